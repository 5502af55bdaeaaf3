"""Slow oracles: every agent of a game in one long vector, and all stages in one linear system."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfdsl.runtime.solvers.riccati.forms import Form, Quadratic, Start, at
from mfdsl.runtime.solvers.riccati.game import Crowd, Game, joined, mean_member
from mfdsl.runtime.solvers.riccati.plan import Policy, rows_at

Array = NDArray[np.float64]


def random_game(seed: int, *, team: bool = False, majors: bool = True, stages: int = 5) -> Game:
    """Two populations, a major and an environment with random matrices, all of them by stage."""
    draw = np.random.default_rng(seed)
    names = {"sky": ("s",), "king": ("y",), "fish": ("x", "v"), "bird": ("z",)}
    kinds = {"sky": "environment", "king": "major", "fish": "population", "bird": "population"}
    acts = {"sky": (), "king": ("w",) if majors else (), "fish": ("a",), "bird": ("b", "c")}
    traits = {"bird": ("g",)}
    means = [("mean", "fish.x"), ("mean", "fish.v"), ("mean", "bird.z"), ("mean", "bird.g")]
    means += [("mean", "fish.a"), ("mean", "bird.b"), ("mean", "bird.c")]
    common = [("common", "sky.s"), ("common", "king.y")]
    common += [("common", "king.w")] if majors else []
    forms, starts = [], {}
    for player, states in names.items():
        crowd = kinds[player] == "population"
        own = [("state", n) for n in states] + [("trait", n) for n in traits.get(player, ())]
        own += [("action", n) for n in acts[player]]
        noises = [("noise", "e"), ("noise", "sky.c")] if crowd else [("noise", f"{player}.c")]
        z = [*(own if crowd else ()), *common, *means, *noises]
        slopes = draw.normal(0, 0.25, (stages, len(states), len(z)))
        base = draw.normal(0, 0.4, (stages, len(z), len(z)))
        matrix = -np.einsum("tij,tkj->tik", base, base) / len(z)
        for k, entry in enumerate(z):
            mine = entry in own or entry == ("common", f"{player}.w")
            matrix[:, k, k] -= 1.0 if mine else 0.0
        last = matrix.copy()
        ended = [k for k, e in enumerate(z) if _moves(e)]
        last[:, ended], last[:, :, ended] = 0.0, 0.0
        level, flat = draw.normal(0, 1, stages), draw.normal(0, 0.3, (stages, len(z)))
        paid = player != "sky"
        forms.append(
            Form(
                player,
                kinds[player],  # type: ignore[arg-type]
                states,
                traits.get(player, ()),
                acts[player],
                tuple(z),
                draw.normal(0, 0.2, (stages, len(states))),
                slopes,
                Quadratic(level * paid, flat * paid, matrix * paid),
                Quadratic(level * 0, flat * 0, last[:1].repeat(stages, 0) * paid),
                {"e": (0.3, 0.5)} if crowd else {"c": (0.1, 0.4)},
            )
        )
        size = len(states) + len(traits.get(player, ()))
        own_load = draw.normal(0, 0.6, (size, 2 if crowd else 0))
        starts[player] = Start(draw.normal(0, 1, size), own_load, draw.normal(0, 0.3, (size, 2)))
    return joined(forms, starts, stages=stages, discount=0.95, team=team)


def _moves(entry: tuple[str, str]) -> bool:
    """Whether an entry is an action or a noise, which there are none of at the end."""
    return entry[0] in ("action", "noise") or entry[1].split(".")[-1] in ("w", "a", "b", "c")


@dataclass(frozen=True, eq=False)
class Stacked:
    """X = (majors and environments, every member of every crowd, 1) and A = (majors, members).

    X' = moves X + push A + noise, whose covariance is `noise`; agent i pays the square form `costs`
    in (X, A) and `finals` in X. `plan` gives A = plan X, `own` the entries of A of each agent.
    """

    moves: list[Array]
    push: list[Array]
    noise: list[Array]
    start: Array
    costs: dict[Any, list[Array]]
    finals: dict[Any, Array]
    plan: list[Array]
    own: dict[Any, list[int]]
    discount: float


class _Everybody:
    """Where every agent stands in X and A, and the matrices of s and u in them."""

    def __init__(self, game: Game, numbers: dict[str, int]) -> None:
        self.game = game
        self.singles = game.size - 1 - sum(c.size for c in game.crowds)
        self.agents = [(c, i) for c in game.crowds for i in range(numbers[c.name])]
        self.states: dict[Any, list[int]] = {}
        self.acts: dict[Any, list[int]] = {
            s.name: list(range(s.acts.start, s.acts.stop)) for s in game.singles if s.actions
        }
        width, count = self.singles, sum(len(s.actions) for s in game.singles)
        for crowd, i in self.agents:
            self.states[crowd.name, i] = list(range(width, width + crowd.size))
            self.acts[crowd.name, i] = list(range(count, count + len(crowd.actions)))
            width, count = width + crowd.size, count + len(crowd.actions)
        self.width, self.count = width + 1, count
        self.into, self.used = (
            np.zeros((game.size, width + 1)),
            np.zeros((len(game.controls), count)),
        )
        self.into[: self.singles, : self.singles] = np.eye(self.singles)
        self.into[-1, -1] = 1.0
        for single in game.singles:
            self.used[single.acts, single.acts] = np.eye(len(single.actions))
        for crowd, i in self.agents:
            share, here = 1 / numbers[crowd.name], (crowd.name, i)
            self.into[crowd.means, self.states[here]] += share * np.eye(crowd.size)
            self.used[crowd.acts, self.acts[here]] += share * np.eye(len(crowd.actions))
        self.both = np.zeros((game.size + len(game.controls), self.width + count))
        self.both[: game.size, : self.width] = self.into
        self.both[game.size :, self.width :] = self.used

    def member(self, crowd: Crowd, i: int) -> Array:
        """The matrix that takes (X, A) to z of one member."""
        own = np.eye(self.width + self.count)
        rows = [own[self.states[crowd.name, i]], self.both[: self.game.size]]
        acts = [self.width + k for k in self.acts[crowd.name, i]]
        return np.concatenate([*rows, own[acts], self.both[self.game.size :]])

    def start(self) -> Array:
        """Second moments of X at t = 0."""
        first, alone = np.zeros(self.width), np.zeros((self.width, self.width))
        shared = np.zeros((self.width, self.game.start.shared.shape[1]))
        first[: self.singles], first[-1] = self.game.start.mean[: self.singles], 1.0
        shared[: self.singles] = self.game.start.shared[: self.singles]
        for crowd, i in self.agents:
            here = self.states[crowd.name, i]
            first[here], shared[here] = crowd.start.mean, crowd.start.shared
            alone[np.ix_(here, here)] = crowd.start.own @ crowd.start.own.T
        found: Array = np.outer(first, first) + shared @ shared.T + alone
        return found

    def moves(self, t: int) -> tuple[Array, Array]:
        """X' in (X, A), and the covariance of its noise."""
        whole = np.zeros((self.width, self.width + self.count))
        shared = np.zeros((self.width, self.game.shared.shape[2]))
        alone = np.zeros((self.width, self.width))
        whole[: self.singles] = (at(self.game.moves, t) @ self.both)[: self.singles]
        shared[: self.singles] = at(self.game.shared, t)[: self.singles]
        whole[-1, self.width - 1] = 1.0
        for crowd, i in self.agents:
            here = self.states[crowd.name, i]
            whole[here] = at(crowd.moves, t) @ self.member(crowd, i)
            shared[here] = at(crowd.shared, t)
            alone[np.ix_(here, here)] = at(crowd.noise, t) @ at(crowd.noise, t).T
        return whole, shared @ shared.T + alone

    def plan(self, policy: Policy, t: int) -> Array:
        """The matrix of A in X when all follow a policy."""
        rows, rule = rows_at(policy, t), np.zeros((self.count, self.width))
        for single in self.game.singles:
            rule[single.acts] = rows.controls[single.acts] @ self.into
        for k, crowd in enumerate(self.game.crowds):
            for other, i in self.agents:
                if other is crowd:
                    acts = self.acts[crowd.name, i]
                    rule[acts] = rows.common[k] @ self.into
                    rule[np.ix_(acts, self.states[crowd.name, i])] += rows.own[k]
        return rule


def stacked(game: Game, policy: Policy, numbers: dict[str, int]) -> Stacked:
    """All agents of a game, each written out."""
    assert game.stages is not None
    all_, stages = _Everybody(game, numbers), range(game.stages)
    steps = [all_.moves(t) for t in stages]
    costs: dict[Any, list[Array]] = {}
    finals: dict[Any, Array] = {}
    for single in game.singles:
        costs[single.name] = [all_.both.T @ at(single.cost, t) @ all_.both for t in stages]
        finals[single.name] = all_.into.T @ single.final @ all_.into
    for crowd, i in all_.agents:
        z = all_.member(crowd, i)
        ended = np.concatenate([np.eye(all_.width)[all_.states[crowd.name, i]], all_.into])
        costs[crowd.name, i] = [z.T @ at(crowd.cost, t) @ z for t in stages]
        finals[crowd.name, i] = ended.T @ crowd.final @ ended
    return Stacked(
        [whole[:, : all_.width] for whole, _ in steps],
        [whole[:, all_.width :] for whole, _ in steps],
        [noise for _, noise in steps],
        all_.start(),
        costs,
        finals,
        [all_.plan(policy, t) for t in stages],
        all_.acts,
        game.discount,
    )


def paid(system: Stacked, who: Any) -> float:
    """What an agent pays when all follow the plan, by second moments of everybody."""
    second, total, weight = system.start, 0.0, 1.0
    for t, plan in enumerate(system.plan):
        path = np.concatenate([np.eye(len(second)), plan])
        total += weight * float((path.T @ system.costs[who][t] @ path * second).sum())
        step = system.moves[t] + system.push[t] @ plan
        second = step @ second @ step.T + system.noise[t]
        weight *= system.discount
    return total + weight * float((system.finals[who] * second).sum())


def least(system: Stacked, costs: list[Array], final: Array, free: list[int]) -> float:
    """The least of a cost over the actions `free`, which may read all of X, beside the plan."""
    value, width = final, len(system.start)
    held = np.ones(system.push[0].shape[1])
    held[free] = 0.0
    for t in reversed(range(len(system.plan))):
        path = np.zeros((width + len(held), width + len(free)))  # (X, A) of (X, free actions)
        path[:width, :width] = np.eye(width)
        path[width:, :width] = held[:, None] * system.plan[t]
        path[[width + k for k in free], width:] = np.eye(len(free))
        step = np.concatenate([system.moves[t], system.push[t]], axis=1)
        bent = path.T @ (costs[t] + system.discount * step.T @ value @ step) @ path
        noise = system.discount * float((value * system.noise[t]).sum())
        cross = bent[width:, :width]
        value = bent[:width, :width] - cross.T @ np.linalg.solve(bent[width:, width:], cross)
        value[-1, -1] += noise
    return float((value * system.start).sum())


def open_loop(game: Game) -> tuple[Array, Array]:
    """Means [T + 1, p] and controls [T, q] of an equilibrium without majors, or of a team.

    They solve one linear system: moves, costates and first-order conditions of all stages.
    """
    assert game.stages is not None
    p, q, stages = game.size, len(game.controls), game.stages
    owners = [None] if game.team else list(range(len(game.crowds)))
    sizes = [p if k is None else game.crowds[k].size for k in owners]
    per = p + q + sum(sizes)
    total = stages * per + p + sum(sizes)
    system, right = np.zeros((total, total)), np.zeros(total)
    row = 0

    def state(t: int) -> slice:
        return slice(t * per, t * per + p)

    def act(t: int) -> slice:
        return slice(t * per + p, t * per + p + q)

    def costate(t: int, j: int) -> slice:
        first = (t * per + p + q if t < stages else stages * per + p) + sum(sizes[:j])
        return slice(first, first + sizes[j])

    system[:p, state(0)], right[:p] = np.eye(p), game.start.mean
    row = p
    for t in range(stages):
        moves = at(game.moves, t)
        here = slice(row, row + p)
        system[here, state(t + 1)] += np.eye(p)
        system[here, state(t)] -= moves[:, :p]
        system[here, act(t)] -= moves[:, p:]
        row += p
        for j, k in enumerate(owners):
            cost, own, mine, push, drift = _stage(game, t, k)
            here = slice(row, row + sizes[j])
            system[here, costate(t, j)] += np.eye(sizes[j])
            system[here, state(t)] -= 2 * cost[own][:, :p]
            system[here, act(t)] -= 2 * cost[own][:, p:]
            system[here, costate(t + 1, j)] -= game.discount * drift.T
            row += sizes[j]
            here = slice(row, row + push.shape[1])
            system[here, state(t)] += 2 * cost[mine][:, :p]
            system[here, act(t)] += 2 * cost[mine][:, p:]
            system[here, costate(t + 1, j)] += game.discount * push.T
            row += push.shape[1]
    for j, k in enumerate(owners):
        here = slice(row, row + sizes[j])
        system[here, costate(stages, j)] += np.eye(sizes[j])
        system[here, state(stages)] -= 2 * _final(game, k)
        row += sizes[j]
    found = np.linalg.solve(system, right)
    means = np.stack([found[state(t)] for t in range(stages + 1)])
    return means, np.stack([found[act(t)] for t in range(stages)])


def _stage(game: Game, t: int, k: int | None) -> tuple[Array, Any, Any, Array, Array]:
    """Rows of half of the gradient of the cost in (s, u): in the own state and in the own actions,
    and the matrices of the own next state.
    """
    p, q = game.size, len(game.controls)
    if k is None:
        whole = sum((at(s.cost, t) for s in game.singles), np.zeros((p + q, p + q)))
        for crowd in game.crowds:
            middle = mean_member(game, crowd)
            whole = whole + middle.T @ at(crowd.cost, t) @ middle
        moves = at(game.moves, t)
        return whole, slice(0, p), slice(p, None), moves[:, p:], moves[:, :p]
    crowd = game.crowds[k]
    d, b = crowd.size, len(crowd.actions)
    rows = at(crowd.cost, t) @ mean_member(game, crowd)
    moves = at(crowd.moves, t)
    a = slice(d + p, d + p + b)
    return rows, slice(0, d), a, moves[:, a], moves[:, :d]


def _final(game: Game, k: int | None) -> Array:
    p = game.size
    if k is None:
        whole = sum((s.final for s in game.singles), np.zeros((p, p)))
        for crowd in game.crowds:
            middle = np.concatenate([np.eye(p)[crowd.means], np.eye(p)])
            whole = whole + middle.T @ crowd.final @ middle
        return np.asarray(whole)
    crowd = game.crowds[k]
    middle = np.concatenate([np.eye(p)[crowd.means], np.eye(p)])
    return (crowd.final @ middle)[: crowd.size]
