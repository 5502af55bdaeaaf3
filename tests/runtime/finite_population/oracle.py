"""Tiny games of N players solved exactly: dynamic programming over the states of everybody.

A best response here sees all states, which is as good as seeing the whole history. The state of a
major is `y` (one value where there is none); profiles list (state, action) cells in player order.
"""

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mfdsl.runtime.finite_population.grid import FloatArray, all_profiles, tally

Table = FloatArray


@dataclass(frozen=True)
class Game:
    """N players as tables over the profiles of all players, [cells ** N], the last fastest.

    `kernel` [majors' states, players, profiles, next], `reward` [majors' states, players,
    profiles], `initial` [players, states]; `major` [states, actions, profiles, next],
    `major_reward` [states, actions, profiles], `major_policy` [steps, states, actions].
    """

    players: int
    states: int
    actions: int
    steps: int
    initial: Table
    kernel: Table
    reward: Table
    major: Table
    major_reward: Table
    major_policy: Table

    @property
    def cells(self) -> int:
        return self.states * self.actions


def others_of(profiles: np.ndarray, player: int) -> np.ndarray:
    return np.delete(profiles, player, axis=1)


def expected_next(game: Game, value: Table) -> Table:
    """Mean of value [y', s_1..s_N] after a move from each (y, a0, profile)."""
    ahead = np.einsum("yapz,z...->yap...", game.major, value)
    for player in range(game.players):
        ahead = np.einsum("yps,yaps...->yap...", game.kernel[:, player], ahead)
    return np.asarray(ahead)


def solve(
    game: Game,
    policy: Table,
    deviator: int | None,
    *,
    major_deviates: bool = False,
    stages: Sequence[Game] | None = None,
) -> tuple[float, Table, float]:
    """Returns (own return of the deviator, returns of all under the policy, of the major).

    `policy` [steps, y, states, actions] is that of all who do not deviate. The first is the best
    the deviator (or the major) can reach. `stages` has the game of each step where they differ.
    """
    n, s = game.players, game.states
    shape = (s,) * n
    many = len(game.major)
    best = np.zeros((many, *shape))
    own = np.zeros((n, many, *shape))
    lead = np.zeros((many, *shape))
    for h in reversed(range(game.steps)):
        game = game if stages is None else stages[h]
        target = game.major_reward if major_deviates else None
        if deviator is not None:
            target = game.reward[:, deviator][:, None] + np.zeros_like(game.major_reward)
        assert target is not None
        q = _average(target + expected_next(game, best), game, policy[h], skip=deviator)
        if major_deviates:
            best = q.max(1)
        else:
            best = np.einsum("ya,ya...->y...", game.major_policy[h], q)
            best = _most(best, deviator, n)
        for player in range(n):
            total = game.reward[:, player][:, None] + expected_next(game, own[player])
            mean = _average(total, game, policy[h], skip=None)
            own[player] = np.einsum("ya,ya...->y...", game.major_policy[h], mean)
        mean = _average(game.major_reward + expected_next(game, lead), game, policy[h], skip=None)
        lead = np.einsum("ya,ya...->y...", game.major_policy[h], mean)
    start = game.initial
    fold = [float(_start(v[0], start)) for v in (best, *own, lead)]
    return fold[0], np.array(fold[1:-1]), fold[-1]


def _average(q: Table, game: Game, policy: Table, skip: int | None) -> Table:
    """[y, a0, s_1..s_N], and the action of `skip` last, from q [y, a0, profiles]."""
    n = game.players
    table = q.reshape(*q.shape[:2], *((game.states, game.actions) * n))
    letters = string.ascii_lowercase
    places = [(letters[2 + 2 * j], letters[3 + 2 * j]) for j in range(n)]
    inputs = ["ab" + "".join(x + y for x, y in places)]
    arrays = [table]
    for j, (x, y) in enumerate(places):
        if j != skip:
            inputs.append("a" + x + y)
            arrays.append(policy)
    output = "ab" + "".join(x for x, _ in places)
    if skip is not None:
        output += places[skip][1]
    return np.asarray(np.einsum(",".join(inputs) + "->" + output, *arrays, optimize=True))


def _most(q: Table, deviator: int | None, players: int) -> Table:
    return q.max(-1) if deviator is not None else q


def _start(value: Table, initial: Table) -> Table:
    for law in initial:
        value = np.tensordot(law, value, axes=1)
    return value


@dataclass(frozen=True)
class Limit:
    """The induced game as functions of (y, joint law [states, actions]).

    `kernel` -> [types, states, actions, next], `reward` -> [types, states, actions], `major` ->
    [actions, next], `major_reward` -> [actions]; `initial` [types, states], `shares` [types].
    """

    initial: Table
    shares: Table
    kernel: Callable[[int, Table], Table]
    reward: Callable[[int, Table], Table]
    major: Callable[[int, Table], Table]
    major_reward: Callable[[int, Table], Table]


@dataclass(frozen=True)
class Node:
    """A step along a path of the majors: its law, and the values from there [types, states]."""

    step: int
    y: int
    joint: Table
    own: Table
    best: Table
    lead: float
    lead_best: float


def walk(
    limit: Limit, game: Game, policy: Table, h: int = 0, y: int = 0, law: Table | None = None
) -> list[Node]:
    """All nodes of the tree of paths below, the root first; exact values in the limit."""
    law = limit.initial if law is None else law
    by_type = law[..., None] * policy[h, y]
    joint = np.einsum("k,ksa->sa", limit.shares, by_type)
    kernel, q_own = limit.kernel(y, joint), limit.reward(y, joint)
    moves, lead_q = limit.major(y, joint), limit.major_reward(y, joint)
    q_best, lead_best_q = q_own, lead_q
    below: list[Node] = []
    if h + 1 < game.steps:
        ahead = np.einsum("ksa,ksat->kt", by_type, kernel)
        trees = [walk(limit, game, policy, h + 1, z, ahead) for z in range(len(game.major))]
        chosen = game.major_policy[h, y] @ moves
        own = sum(p * tree[0].own for p, tree in zip(chosen, trees, strict=True))
        best = sum(p * tree[0].best for p, tree in zip(chosen, trees, strict=True))
        q_own = q_own + np.einsum("ksat,kt->ksa", kernel, own)
        q_best = q_best + np.einsum("ksat,kt->ksa", kernel, best)
        lead_q = lead_q + moves @ np.array([tree[0].lead for tree in trees])
        lead_best_q = lead_best_q + moves @ np.array([tree[0].lead_best for tree in trees])
        below = [node for tree in trees for node in tree]
    lead = float(game.major_policy[h, y] @ lead_q)
    here = (q_own * policy[h, y]).sum(-1)
    return [Node(h, y, joint, here, q_best.max(-1), lead, float(lead_best_q.max())), *below]


def empirical(profiles: np.ndarray, cells: int) -> Table:
    return np.asarray(tally(profiles, cells) / profiles.shape[1])


def everybody(game_players: int, cells: int) -> np.ndarray:
    return all_profiles(game_players, cells)
