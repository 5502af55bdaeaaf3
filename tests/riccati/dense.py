"""Slow oracles: every agent of a game in one long vector, and all stages in one linear system."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfdsl.runtime.solvers.riccati.forms import Form, Quadratic, Start, at
from mfdsl.runtime.solvers.riccati.game import Game, joined, mean_member
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


def stacked(game: Game, policy: Policy, numbers: dict[str, int]) -> Stacked:
    """All agents of a game, each written out."""
    assert game.stages is not None
    singles = game.size - 1 - sum(c.size for c in game.crowds)
    placed, width = {}, singles
    acted, count = {}, sum(len(s.actions) for s in game.singles)
    for crowd in game.crowds:
        for i in range(numbers[crowd.name]):
            placed[crowd.name, i] = list(range(width, width + crowd.size))
            acted[crowd.name, i] = list(range(count, count + len(crowd.actions)))
            width, count = width + crowd.size, count + len(crowd.actions)
    width += 1
    into, used = np.zeros((game.size, width)), np.zeros((len(game.controls), count))
    into[:singles, :singles] = np.eye(singles)
    into[-1, -1] = 1.0
    for single in game.singles:
        for k in range(single.acts.start, single.acts.stop):
            used[k, k] = 1.0
            acted.setdefault(single.name, []).append(k)
    for crowd in game.crowds:
        for i in range(numbers[crowd.name]):
            share = 1 / numbers[crowd.name]
            into[crowd.means, placed[crowd.name, i]] += share * np.eye(crowd.size)
            used[crowd.acts, acted[crowd.name, i]] += share * np.eye(len(crowd.actions))
    both = np.zeros((game.size + len(game.controls), width + count))  # (s, u) of (X, A)
    both[: game.size, :width], both[game.size :, width:] = into, used

    def member(crowd: Any, i: int) -> Array:
        d, b = crowd.size, len(crowd.actions)
        found = np.zeros((d + game.size + b + len(game.controls), width + count))
        found[:d, placed[crowd.name, i]] = np.eye(d)
        found[d : d + game.size, :width] = into
        found[d + game.size : d + game.size + b, [width + k for k in acted[crowd.name, i]]] = (
            np.eye(b)
        )
        found[d + game.size + b :, width:] = used
        return found

    moves, push, noise, plan = [], [], [], []
    costs: dict[Any, list[Array]] = {s.name: [] for s in game.singles}
    costs |= {key: [] for key in placed}
    finals: dict[Any, Array] = {s.name: into.T @ s.final @ into for s in game.singles}
    for t in range(game.stages):
        whole = np.zeros((width, width + count))
        shared = np.zeros((width, game.shared.shape[2]))
        whole[:singles], shared[:singles] = (
            (at(game.moves, t) @ both)[:singles],
            at(game.shared, t)[:singles],
        )
        whole[-1, width - 1] = 1.0
        alone, rule = np.zeros((width, width)), np.zeros((count, width))
        rows = rows_at(policy, t)
        for single in game.singles:
            costs[single.name].append(both.T @ at(single.cost, t) @ both)
            rule[acted.get(single.name, [])] = rows.controls[single.acts] @ into
        for k, crowd in enumerate(game.crowds):
            for i in range(numbers[crowd.name]):
                here, z = placed[crowd.name, i], member(crowd, i)
                whole[here], shared[here] = at(crowd.moves, t) @ z, at(crowd.shared, t)
                alone[np.ix_(here, here)] = at(crowd.noise, t) @ at(crowd.noise, t).T
                costs[crowd.name, i].append(z.T @ at(crowd.cost, t) @ z)
                rule[acted[crowd.name, i]] = rows.common[k] @ into
                rule[np.ix_(acted[crowd.name, i], here)] += rows.own[k]
        moves.append(whole[:, :width])
        push.append(whole[:, width:])
        noise.append(shared @ shared.T + alone)
        plan.append(rule)
    mean, shared = np.zeros(width), np.zeros((width, game.start.shared.shape[1]))
    alone = np.zeros((width, width))
    mean[:singles], shared[:singles], mean[-1] = (
        game.start.mean[:singles],
        game.start.shared[:singles],
        1,
    )
    for crowd in game.crowds:
        for i in range(numbers[crowd.name]):
            here = placed[crowd.name, i]
            mean[here], shared[here] = crowd.start.mean, crowd.start.shared
            alone[np.ix_(here, here)] = crowd.start.own @ crowd.start.own.T
            z = np.concatenate([np.eye(width)[here], into])
            finals[crowd.name, i] = z.T @ crowd.final @ z
    start = np.outer(mean, mean) + shared @ shared.T + alone
    return Stacked(moves, push, noise, start, costs, finals, plan, acted, game.discount)


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
