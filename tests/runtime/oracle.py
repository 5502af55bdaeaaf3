"""Slow and obvious numpy statements of games and algorithms, to judge the fast ones.

Stated from the definitions of the peers' games and algorithms, independently of the emitted
modules and of the views.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from mfdsl.runtime.program import Params, Program, load_program

Array = np.ndarray
MODULES = Path(__file__).parent / "modules"


@dataclass(frozen=True)
class Game:
    """`kernel(t, L)` [S, A, S] and `reward(t, L)` [S, A] at the joint law L [S, A]."""

    stages: int
    initial: Array
    kernel: Callable[[int, Array], Array]
    reward: Callable[[int, Array], Array]
    legal: Callable[[int], Array]
    final: Callable[[Array], Array]


def load(name: str, **changes: str) -> Program:
    """A hand-written module, with constants replaced: HORIZON="5"."""
    lines = (MODULES / f"{name}.py").read_text().splitlines()
    for constant, value in changes.items():
        places = [i for i, line in enumerate(lines) if line.startswith(f"{constant} = ")]
        assert len(places) == 1, constant
        lines[places[0]] = f"{constant} = {value}"
    return load_program("\n".join(lines) + "\n", name=name)


def beach_bar_program(states: int, stages: int) -> Program:
    """The beach bar with another number of states and stages."""
    text = (MODULES / "beach_bar.py").read_text()
    last = states - 1
    for old, new in (
        ('{"x": 4}', f'{{"x": {states}}}'),
        ("HORIZON = 3", f"HORIZON = {stages}"),
        ("expand(1, 4) / 4", f"expand(1, {states}) / {states}"),
        ("torch.ones(1, 4, 3", f"torch.ones(1, {states}, 3"),
        ("torch.arange(4", f"torch.arange({states}"),
        ("clamp(0, 3)", f"clamp(0, {last})"),
        ("[..., None], 4)", f"[..., None], {states})"),
        ("- x, 4)", f"- x, {states})"),
        ("abs() / 4", f"abs() / {states}"),
    ):
        assert old in text, old
        text = text.replace(old, new)
    return load_program(text, name="beach_bar")


def dense_game(program: Program, params: Params) -> Game:
    """The game that the dense `kernel` of a module states, for parameters without a batch."""
    module = program.module
    states, actions = program.state_count, program.action_count
    shape = (1, *program.states.values(), *program.actions.values())

    def table(function: Callable[..., torch.Tensor], t: int, law: Array) -> Array:
        value = function(params, torch.tensor(t), torch.from_numpy(law).reshape(shape))
        return value.numpy()

    def final(law: Array) -> Array:
        m = torch.from_numpy(law).reshape(1, *program.states.values())
        return module.final_rewards(params, torch.tensor(program.horizon), m).numpy().reshape(-1)

    return Game(
        stages=program.horizon or 0,
        initial=module.initial_law(params).numpy().reshape(-1),
        kernel=lambda t, law: table(module.kernel, t, law).reshape(states, actions, states),
        reward=lambda t, law: table(module.rewards, t, law).reshape(states, actions),
        legal=lambda t: module.legal(params, torch.tensor(t)).numpy().reshape(states, actions),
        final=final if module.HAS_FINAL else (lambda law: np.zeros(states)),
    )


def _open_game(stages: int, initial: Array, kernel: Array | Callable, reward: Callable) -> Game:
    moves = kernel if callable(kernel) else (lambda t, law: kernel)
    size = len(initial)
    return Game(
        stages,
        initial,
        moves,
        reward,
        lambda t: np.ones((size, 2), dtype=bool),
        lambda law: np.zeros(size),
    )


def beach_bar(size: int = 4, stages: int = 3, bar: int = 2, still: float = 0.5) -> Game:
    """MFGLib's beach bar: moves stop at the walls, the distance goes around."""
    kernel = np.zeros((size, 3, size))
    for s in range(size):
        for a in range(3):
            for e, w in ((-1, (1 - still) / 2), (0, still), (1, (1 - still) / 2)):
                kernel[s, a, min(max(s + a - 1 + e, 0), size - 1)] += w
    s = np.arange(size)
    away = np.minimum((s - bar) % size, (bar - s) % size)
    fixed = -away[:, None] - np.abs(np.arange(3) - 1)[None] / size
    game = _open_game(
        stages,
        np.full(size, 1 / size),
        kernel,
        lambda t, law: fixed - np.log(law.sum(1) + 1e-20)[:, None],
    )
    return Game(**{**game.__dict__, "legal": lambda t: np.ones((size, 3), dtype=bool)})


def left_right() -> Game:
    """MFGLib's left-right."""
    kernel = np.zeros((3, 2, 3))
    kernel[:, 0, 1] = kernel[:, 1, 2] = 1

    def reward(t: int, law: Array) -> Array:
        mu = law.sum(1)
        return np.repeat(np.array([0, -mu[1], -2 * mu[2]])[:, None], 2, 1)

    return _open_game(2, np.array([1.0, 0, 0]), kernel, reward)


def susceptible_infected() -> Game:
    """MFGLib's susceptible-infected: infection in proportion to the law."""

    def kernel(t: int, law: Array) -> Array:
        ill = 0.81 * law[1].sum()
        rows = [[[1 - ill, ill], [1.0, 0.0]], [[0.3, 0.7], [0.3, 0.7]]]
        return np.array(rows)

    reward = np.array([[0.0, -0.5], [-1.0, -1.5]])
    return _open_game(51, np.array([0.4, 0.6]), kernel, lambda t, law: reward)


def flow(game: Game, policy: Array) -> tuple[list[Array], Array]:
    """Joint laws at the stages, and the law of the states at the end."""
    law, joints = game.initial, []
    for t in range(game.stages):
        joints.append(law[:, None] * policy[t])
        law = np.einsum("sa,sax->x", joints[t], game.kernel(t, joints[t]))
    return joints, law


def q_values(
    game: Game, joints: list[Array], last: Array, policy: Array | None, discount: float = 1.0
) -> Array:
    """Q of the policy, or of the best response; -inf at illegal actions."""
    q = np.zeros((game.stages, *joints[0].shape))
    value = game.final(last)
    for t in reversed(range(game.stages)):
        q[t] = game.reward(t, joints[t]) + discount * game.kernel(t, joints[t]) @ value
        legal = game.legal(t)
        if policy is None:
            value = np.where(legal, q[t], -np.inf).max(1)
        else:
            value = np.where(legal, policy[t] * q[t], 0).sum(1)
        q[t] = np.where(legal, q[t], -np.inf)
    return q


def exploitability(game: Game, policy: Array, discount: float = 1.0) -> float:
    """Gain of the best response against the policy's own flow."""
    joints, last = flow(game, policy)
    best = q_values(game, joints, last, None, discount)[0].max(1)
    own = q_values(game, joints, last, policy, discount)[0]
    mean = np.where(game.legal(0), policy[0] * np.where(game.legal(0), own, 0), 0).sum(1)
    return float(game.initial @ (best - mean))


def softmax(y: Array) -> Array:
    y = np.exp(y - y.max(-1, keepdims=True))
    return y / y.sum(-1, keepdims=True)


def greedy(q: Array) -> Array:
    """Equal shares among the best actions."""
    best = q >= q.max(-1, keepdims=True) - 1e-12
    return best / best.sum(-1, keepdims=True)


def uniform(game: Game) -> Array:
    legal = np.stack([game.legal(t) for t in range(game.stages)]).astype(float)
    return legal / legal.sum(-1, keepdims=True)


def solve(game: Game, solver: str, iterations: int, rate: float = 1.0) -> list[float]:
    """Exploitability of the iterates 0, 1, ... of an algorithm of the peers."""
    policy = first = uniform(game)
    scores = np.zeros_like(policy)
    gaps = [exploitability(game, policy)]
    for k in range(1, iterations + 1):
        joints, last = flow(game, policy)
        own = q_values(game, joints, last, policy)
        best = greedy(q_values(game, joints, last, None))
        if solver == "omd":
            scores = scores + rate * own
            policy = softmax(scores)
        elif solver == "policy_iteration":
            policy = softmax(rate * own)
        elif solver == "fixed_point":
            policy = best
        else:
            weight = 1 / (k + 1)
            mass = (1 - weight) * np.stack(joints) + weight * np.stack(flow(game, best)[0])
            total = mass.sum(-1, keepdims=True)
            policy = np.where(total > 0, mass / np.where(total > 0, total, 1), first)
        gaps.append(exploitability(game, policy))
    return gaps
