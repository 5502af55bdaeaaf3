"""Random games of three and four players of all kinds, with their induced games."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from mfdsl.runtime.finite_population.constants import (
    Constants,
    along_flow,
    anchored_slopes,
)
from mfdsl.runtime.finite_population.extension import grid_laws, kuhn
from mfdsl.runtime.finite_population.grid import (
    FloatArray,
    all_profiles,
    position,
    tally,
)
from mfdsl.runtime.finite_population.majors import worst_of
from mfdsl.runtime.finite_population.recursion import (
    Asymmetry,
    MajorSlopes,
    asymmetry_of_players,
)
from tests.runtime.finite_population.oracle import (
    Game,
    Limit,
    Node,
    empirical,
    everybody,
    others_of,
)


@dataclass(frozen=True)
class Kind:
    """What a random game has; strengths between 0 and 1."""

    players: int = 3
    states: int = 2
    actions: int = 2
    steps: int = 3
    interaction: float = 0.5
    nonlinear: bool = False
    heterogeneity: float = 0.0
    anonymity: float = 0.0
    starts: float = 0.0
    majors: int = 1
    major_reacts: float = 0.0
    everyone: bool = False


@dataclass(frozen=True)
class Sample:
    kind: Kind
    game: Game
    limit: Limit
    typed: Limit
    asymmetry: Asymmetry
    plain: Asymmetry
    reward_range: float


def sample(kind: Kind, rng: np.random.Generator) -> Sample:
    """One game; every player has a kernel, a reward and a table of the others in order."""
    kernels, rewards = _families(kind, rng)
    return _assemble(kind, rng, kernels, rewards)


def sample_of_two_types(
    kind: Kind, rng: np.random.Generator
) -> tuple[Sample, Callable[[tuple[int, ...]], Sample]]:
    """A game whose players are of two types, as its typed limit, and the game for given types."""
    kernels, rewards = _families(kind, rng)
    share = float(rng.uniform(0.2, 0.8))
    seed = int(rng.integers(1 << 30))

    def of(types: tuple[int, ...]) -> Sample:
        chosen = list(types)
        return _assemble(
            kind,
            np.random.default_rng(seed),
            lambda y, joint: kernels(y, joint)[chosen],
            lambda y, joint: rewards(y, joint)[chosen],
        )

    first = of((0, 1, 0))
    typed = replace(
        first.typed,
        initial=first.typed.initial[:2],
        shares=np.array([share, 1 - share]),
        kernel=lambda y, joint: kernels(y, joint)[:2],
        reward=lambda y, joint: rewards(y, joint)[:2],
    )
    return replace(first, typed=typed), of


Family = Callable[[int, FloatArray], FloatArray]


def _families(kind: Kind, rng: np.random.Generator) -> tuple[Family, Family]:
    n, s, a, many = kind.players, kind.states, kind.actions, kind.majors
    cells = s * a
    base = rng.normal(size=(many, n, s, a, cells, s)) * 1.5
    common = rng.normal(size=(many, 1, s, a, cells, s)) * 1.5
    theta = kind.heterogeneity
    logits = (1 - theta) * common + theta * base
    corners = _softmax(logits)
    prize = (1 - theta) * rng.uniform(size=(many, 1, s, a, cells)) + theta * rng.uniform(
        size=(many, n, s, a, cells)
    )
    mean_law = np.full(cells, 1 / cells)
    w = kind.interaction

    def kernels(y: int, joint: FloatArray) -> FloatArray:
        mu = joint.reshape(-1)
        if kind.nonlinear:
            move = np.einsum("ksact,c->ksat", logits[y] * 2, (1 - w) * mean_law + w * mu)
            return _softmax(move)
        table: FloatArray = np.einsum("ksact,c->ksat", corners[y], (1 - w) * mean_law + w * mu)
        return table

    def rewards(y: int, joint: FloatArray) -> FloatArray:
        mu = joint.reshape(-1)
        level = np.einsum("ksac,c->ksa", prize[y], (1 - w) * mean_law + w * mu)
        return np.asarray(level**2 if kind.nonlinear else level)

    return kernels, rewards


@dataclass(frozen=True)
class Tables:
    """The game as tables over the profiles of all players, and how far it is from its limit."""

    kernel: FloatArray
    reward: FloatArray
    alpha: FloatArray
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True)
class Odd:
    """Tables that read the others in order, with their symmetrisation extended to all laws."""

    weight: float
    kernel: FloatArray
    reward: FloatArray
    mean_kernel: FloatArray
    mean_reward: FloatArray


def _odd(kind: Kind, rng: np.random.Generator) -> Odd:
    n, s, a, many = kind.players, kind.states, kind.actions, kind.majors
    cells, others = s * a, n - 1
    rest = all_profiles(others, cells)
    kernel = _softmax(2 * rng.normal(size=(many, n, len(rest), s, a, s)))
    reward = rng.uniform(size=(many, n, len(rest), s, a))
    place = position(tally(rest, cells))
    means = [
        np.zeros((many, len(grid_laws(others, cells)), *t.shape[3:])) for t in (kernel, reward)
    ]
    for mean, table in zip(means, (kernel, reward), strict=True):
        for point in range(mean.shape[1]):
            mean[:, point] = table[:, :, place == point].mean((1, 2))
    return Odd(kind.anonymity, kernel, reward, *means)


def _extended(table: FloatArray, others: int, joint: FloatArray) -> FloatArray:
    found: FloatArray = kuhn(table, others, joint.reshape(1, -1))[0]
    return found


def _assemble(kind: Kind, rng: np.random.Generator, kernels: Family, rewards: Family) -> Sample:
    n, s, many = kind.players, kind.states, kind.majors
    odd = _odd(kind, rng)
    v = odd.weight

    def induced_kernel(y: int, joint: FloatArray) -> FloatArray:
        strange = _extended(odd.mean_kernel[y], n - 1, joint) if v else 0.0
        mixed: FloatArray = (1 - v) * kernels(y, joint).mean(0) + v * strange
        return mixed[None]

    def induced_reward(y: int, joint: FloatArray) -> FloatArray:
        strange = _extended(odd.mean_reward[y], n - 1, joint) if v else 0.0
        mixed: FloatArray = (1 - v) * rewards(y, joint).mean(0) + v * strange
        return mixed[None]

    tables = _tables(kind, odd, (kernels, rewards), (induced_kernel, induced_reward))
    major, major_reward = _major(kind, rng)
    full = everybody(n, kind.states * kind.actions)
    laws = empirical(full, kind.states * kind.actions).reshape(-1, s, kind.actions)
    common = rng.dirichlet(np.ones(s))
    starts = (1 - kind.starts) * common + kind.starts * rng.dirichlet(np.ones(s), size=n)
    game = Game(
        players=n,
        states=s,
        actions=kind.actions,
        steps=kind.steps,
        initial=starts,
        kernel=tables.kernel,
        reward=tables.reward,
        major=np.stack([np.stack([major(y, law) for law in laws], 1) for y in range(many)]),
        major_reward=np.stack(
            [np.stack([major_reward(y, law) for law in laws], 1) for y in range(many)]
        ),
        major_policy=rng.dirichlet(np.ones(2), size=(kind.steps, many)),
    )
    eta = np.abs(starts - starts.mean(0)).sum(-1)
    steps = np.ones(kind.steps)
    alpha = np.outer(tables.alpha, steps)
    centred = np.outer((tables.high - tables.low) / 2, steps)
    beta = np.outer(np.maximum(np.abs(tables.low), np.abs(tables.high)), steps)
    parts = major, major_reward
    return Sample(
        kind,
        game,
        Limit(starts.mean(0)[None], np.ones(1), induced_kernel, induced_reward, *parts),
        Limit(starts, np.full(n, 1 / n), kernels, rewards, *parts),
        asymmetry_of_players(alpha, centred, eta),
        asymmetry_of_players(alpha, beta, eta),
        float(tables.reward.max() - tables.reward.min()),
    )


def _major(kind: Kind, rng: np.random.Generator) -> tuple[Family, Family]:
    cells, many = kind.states * kind.actions, kind.majors
    lead = _softmax(1.5 * rng.normal(size=(many, 2, cells, many)))
    prize = rng.uniform(size=(many, 2, cells))
    react = kind.major_reacts

    def moves(y: int, joint: FloatArray) -> FloatArray:
        felt = (1 - react) / cells + react * joint.reshape(-1)
        table: FloatArray = np.einsum("acz,c->az", lead[y], felt)
        return table

    def reward(y: int, joint: FloatArray) -> FloatArray:
        found: FloatArray = prize[y] @ joint.reshape(-1)
        return found

    return moves, reward


def _tables(
    kind: Kind, odd: Odd, own: tuple[Family, Family], limit: tuple[Family, Family]
) -> Tables:
    n, s, a, many = kind.players, kind.states, kind.actions, kind.majors
    cells, v = s * a, odd.weight
    full = everybody(n, cells)
    places = [
        np.ravel_multi_index(tuple(others_of(full, i).T), (cells,) * (n - 1)) for i in range(n)
    ]
    kernel, reward = np.zeros((many, n, len(full), s)), np.zeros((many, n, len(full)))
    alpha, low, high = np.zeros(n), np.full(n, np.inf), np.full(n, -np.inf)
    seen: dict[tuple[int, bytes], list[FloatArray]] = {}
    for y, i, at in np.ndindex(many, n, len(full)):
        crowd = full[at] if kind.everyone else np.delete(full[at], i)
        law = empirical(crowd[None], cells)[0].reshape(s, a)
        key = y, law.tobytes()
        if key not in seen:
            seen[key] = [f(y, law) for f in (*own, *limit)]
        moves, gifts, mean_moves, mean_gifts = seen[key]
        x = divmod(int(full[at, i]), a)
        k = places[i][at]
        kernel[y, i, at] = (1 - v) * moves[(i, *x)] + v * odd.kernel[(y, i, k, *x)]
        reward[y, i, at] = (1 - v) * gifts[(i, *x)] + v * odd.reward[(y, i, k, *x)]
        alpha[i] = max(alpha[i], np.abs(kernel[y, i, at] - mean_moves[(0, *x)]).sum())
        apart = reward[y, i, at] - mean_gifts[(0, *x)]
        low[i], high[i] = min(low[i], apart), max(high[i], apart)
    return Tables(kernel, reward, alpha, low, high)


def constants_of(one: Sample, limit: Limit, nodes: list[Node], policy: FloatArray) -> Constants:
    """Constants anchored at every node of the tree, by enumeration of the grid of laws."""
    kind = one.kind
    seen = kind.players if kind.everyone else kind.players - 1
    points = grid_laws(seen, kind.states * kind.actions)
    tables: dict[int, list[Constants]] = {}
    known: dict[int, tuple[FloatArray, FloatArray]] = {}
    shape = (kind.states, kind.actions)
    for node in nodes:
        if node.y not in known:
            known[node.y] = (
                np.stack([limit.kernel(node.y, p.reshape(shape)) for p in points]),
                np.stack([limit.reward(node.y, p.reshape(shape)) for p in points]),
            )
        kernel, reward = limit.kernel(node.y, node.joint), limit.reward(node.y, node.joint)
        at = node.joint.reshape(-1)
        slope = anchored_slopes(known[node.y][0], points, kernel, at)
        tilt = anchored_slopes(known[node.y][1][..., None], points, reward[..., None], at)
        tables.setdefault(node.step, []).append(
            along_flow(
                kernel[:, None],
                reward[:, None],
                node.joint[None],
                policy[node.step, node.y][None],
                slope[:, None, ..., None],
                tilt[:, None, ..., None],
            )
        )
    return joined([worst_of(tables[h]) for h in sorted(tables)])


def joined(steps: list[Constants]) -> Constants:
    """Constants of single steps one after another."""
    first = steps[0]

    def along(name: str, axis: int) -> FloatArray:
        return np.concatenate([getattr(c, name) for c in steps], axis=axis)

    names = {"reward_slope": 1, "own_slope": 1, "crowd_slope": 0, "own_mixing": 1}
    names |= {"crowd_mixing": 0, "reward_span": 1, "spread": 1, "width": 0, "weights": 0}
    return Constants(**{k: along(k, axis) for k, axis in names.items()}, shares=first.shares)


def major_slopes(one: Sample, nodes: list[Node], rows: int, *, folded: bool = True) -> MajorSlopes:
    """K0 along the tree, with the policy of the major or at its worst action."""
    kind = one.kind
    points = grid_laws(kind.players, kind.states * kind.actions)
    shape = (kind.states, kind.actions)
    slope = np.zeros((kind.steps, 1))
    low, high = one.game.reward.min(), one.game.reward.max()
    for node in nodes:
        weights = one.game.major_policy[node.step, node.y]

        def moves(joint: FloatArray, y: int = node.y, mix: FloatArray = weights) -> FloatArray:
            table = one.limit.major(y, joint)
            return (mix @ table)[None] if folded else table

        values = np.stack([moves(p.reshape(shape)) for p in points])
        here = anchored_slopes(values, points, moves(node.joint), node.joint.reshape(-1))
        slope[node.step] = np.maximum(slope[node.step], here.max())
        limit_rewards = one.limit.reward(node.y, node.joint)
        low, high = min(low, limit_rewards.min()), max(high, limit_rewards.max())
    return MajorSlopes(slope, np.full((rows, kind.steps), high - low))


def random_policy(one: Sample, rng: np.random.Generator) -> FloatArray:
    kind = one.kind
    sharp = rng.choice([0.3, 1.0, 5.0])
    shape = (kind.steps, kind.majors, kind.states)
    return rng.dirichlet(np.full(kind.actions, sharp), size=shape)


def _softmax(logits: FloatArray) -> FloatArray:
    raised = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(raised / raised.sum(-1, keepdims=True))
