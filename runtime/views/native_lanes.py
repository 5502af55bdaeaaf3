"""Laws and values of many games with the same moves as compiled loops (needs numba).

Elimination without subtractions as in `native_chains.py`, along a plan of `lanes.py`, with games
innermost: [slots, games], some games at a time. The best response is found by policy improvement
(Howard 1960) from the greedy one after a few sweeps, in all games of a block until none gains.
"""

import numpy as np

from mfdsl.runtime.kept_loops import INNER, njit
from mfdsl.runtime.views.native_chains import VECTORS

BLOCK = 64  # games at a time, at most
FEW_SWEEPS = 16  # fewer cost more improvements, which are dearer
NEVER = 1e-30  # chances far below what leaves for good; products of less are slow, being denormal


@njit(cache=True, fastmath=VECTORS)
def limits(plan, moves, probs, laws, kept, left, most, unmoved):  # type: ignore[no-untyped-def]
    """Replace `laws` [S, B] by their limits under the policies `probs` [A, S, B]; the largest l1
    change that a push makes to one of them.
    """
    states, games = laws.shape
    worst = 0 * kept
    block = _block(games)
    for start in range(0, games, block):
        part = probs[:, :, start : start + block]
        width = part.shape[2]
        chain, pivots, rest = _room(plan, states, width, kept)
        law, ahead = laws[:, start : start + width].copy(), np.empty_like(rest)
        _fill(plan, moves, part, kept, chain)
        _eliminate(plan, chain, pivots, rest, left)
        for _ in range(most):
            for s in range(states):
                for b in range(width):
                    ahead[s, b] = law[s, b]
            _solve_from_left(plan, chain, pivots, ahead)
            if _replaced(law, ahead) <= unmoved:
                break
        _write(law, laws, start)
        size = _pushed_off(moves, part, law)
        worst = size if not size <= worst else worst
    return worst


@njit(cache=True, fastmath=VECTORS)
def values_of(plan, moves, probs, paid, kept, left):  # type: ignore[no-untyped-def]
    """Replace `paid` [S, B], mean rewards of the policies, by their values without end."""
    states, games = paid.shape
    block = _block(games)
    for start in range(0, games, block):
        part = probs[:, :, start : start + block]
        width = part.shape[2]
        chain, pivots, rest = _room(plan, states, width, kept)
        value = paid[:, start : start + width].copy()
        _fill(plan, moves, part, kept, chain)
        _eliminate(plan, chain, pivots, rest, left)
        _solve_from_right(plan, chain, pivots, value)
        _write(value, paid, start)


@njit(cache=True, fastmath=VECTORS)
def improved(plan, moves, rewards, kept, left, most, tolerance, q):  # type: ignore[no-untyped-def]
    """Write `q` [A, S, B] of the best responses; whether `most` improvements sufficed."""
    _, states, games = rewards.shape
    block = _block(games)
    for start in range(0, games, block):
        paid = rewards[:, :, start : start + block].copy()
        width = paid.shape[2]
        chain, pivots, value = _room(plan, states, width, kept)
        rest, table = np.empty_like(value), np.empty_like(paid)
        choice = np.empty((states, width), np.int64)
        value[:] = 0
        for _ in range(FEW_SWEEPS):
            _look_ahead(moves, paid, value, kept, table)
            _greedy(table, choice, value)
        found = False
        for _ in range(most):
            chain[:] = 0
            for s in range(states):
                for b in range(width):
                    a = choice[s, b]
                    row, slot = moves[0][a, s], plan.first[a, s]
                    value[s, b] = paid[a, s, b]
                    for k in range(moves[1][row], moves[1][row + 1]):
                        chain[plan.filled[slot], b] += kept * moves[3][k]
                        slot += 1
            _eliminate(plan, chain, pivots, rest, left)
            _solve_from_right(plan, chain, pivots, value)
            _look_ahead(moves, paid, value, kept, table)
            if _greedy(table, choice, value) <= tolerance:
                found = True
                break
        if not found:
            return False
        for a in range(len(q)):
            _write(table[a], q[a], start)
    return True


@njit(cache=True, **INNER)
def _write(block, whole, start):  # type: ignore[no-untyped-def]
    """Write the games of a block over others; a slice takes seconds to compile, for its errors."""
    for s in range(len(block)):
        for b in range(block.shape[1]):
            whole[s, start + b] = block[s, b]


@njit(cache=True, **INNER)
def _block(games):  # type: ignore[no-untyped-def]
    """Games at a time, about as many each time."""
    parts = (games + BLOCK - 1) // BLOCK
    return (games + parts - 1) // parts


@njit(cache=True, **INNER)
def _room(plan, states, width, like):  # type: ignore[no-untyped-def]
    """Arrays for the chains, the pivots and one more vector of a block."""
    one = np.empty((states, width)) * like
    return np.empty((plan.slots, width), one.dtype), one, np.empty_like(one)


@njit(cache=True, fastmath=VECTORS, **INNER)
def _fill(plan, moves, probs, kept, chain):  # type: ignore[no-untyped-def]
    """Write `kept` times the chances of going on under `probs` [A, S, B]."""
    landing, starts, _, chances = moves
    actions, states, width = probs.shape
    chain[:] = 0
    for a in range(actions):
        for s in range(states):
            slot, row = plan.first[a, s], landing[a, s]
            for k in range(starts[row], starts[row + 1]):
                to, chance = plan.filled[slot], kept * chances[k]
                slot += 1
                for b in range(width):
                    share = probs[a, s, b]
                    chain[to, b] += chance * share if share > NEVER else 0


@njit(cache=True, fastmath=VECTORS, **INNER)
def _eliminate(plan, chain, pivots, rest, left):  # type: ignore[no-untyped-def]
    """Factors of the identity less the chain in its place; `left` of each row leaves for good."""
    _, order, starts, later, _, ends, earlier, behind, targets, _, _ = plan
    states, width = pivots.shape
    rest[:] = left
    t = 0
    for n in range(states):
        s, first, end = order[n], starts[n], starts[n + 1]
        for b in range(width):
            pivots[s, b] = rest[s, b]
        for k in range(first, end):
            for b in range(width):
                pivots[s, b] += chain[later[k], b]
        for c in range(ends[n], ends[n + 1]):
            row, i = earlier[c], behind[c]
            for b in range(width):
                chain[row, b] /= pivots[s, b]
                rest[i, b] += chain[row, b] * rest[s, b]
            for k in range(first, end):
                to, one = targets[t], later[k]
                t += 1
                for b in range(width):
                    chain[to, b] += chain[row, b] * chain[one, b]


@njit(cache=True, fastmath=VECTORS, **INNER)
def _solve_from_left(plan, chain, pivots, found):  # type: ignore[no-untyped-def]
    """The x with x (I - chain) = found, in place."""
    _, order, starts, later, ahead, ends, earlier, behind, _, _, _ = plan
    states, width = found.shape
    for n in range(states):
        s = order[n]
        for b in range(width):
            found[s, b] /= pivots[s, b]
        for k in range(starts[n], starts[n + 1]):
            for b in range(width):
                found[ahead[k], b] += found[s, b] * chain[later[k], b]
    for n in range(states - 1, -1, -1):
        s = order[n]
        for c in range(ends[n], ends[n + 1]):
            for b in range(width):
                found[s, b] += found[behind[c], b] * chain[earlier[c], b]


@njit(cache=True, fastmath=VECTORS, **INNER)
def _solve_from_right(plan, chain, pivots, found):  # type: ignore[no-untyped-def]
    """The x with (I - chain) x = found, in place."""
    _, order, starts, later, ahead, ends, earlier, behind, _, _, _ = plan
    states, width = found.shape
    for n in range(states):
        s = order[n]
        for c in range(ends[n], ends[n + 1]):
            for b in range(width):
                found[behind[c], b] += chain[earlier[c], b] * found[s, b]
    for n in range(states - 1, -1, -1):
        s = order[n]
        for k in range(starts[n], starts[n + 1]):
            for b in range(width):
                found[s, b] += chain[later[k], b] * found[ahead[k], b]
        for b in range(width):
            found[s, b] /= pivots[s, b]


@njit(cache=True, fastmath=VECTORS, **INNER)
def _replaced(law, ahead):  # type: ignore[no-untyped-def]
    """Replace the laws by others, brought to mass 1; the largest l1 change."""
    states, width = law.shape
    worst = 0 * law[0, 0]
    for b in range(width):
        whole, change = 0 * worst, 0 * worst
        for s in range(states):
            whole += ahead[s, b]
        for s in range(states):
            after = ahead[s, b] / whole
            change += abs(after - law[s, b])
            law[s, b] = after
        worst = change if not change <= worst else worst
    return worst


@njit(cache=True, fastmath=VECTORS, **INNER)
def _pushed_off(moves, probs, law):  # type: ignore[no-untyped-def]
    """The largest l1 change that a push makes to one of the laws."""
    landing, starts, places, chances = moves
    actions, states, width = probs.shape
    middle, change = np.zeros((len(starts) - 1, width), law.dtype), -law
    for a in range(actions):
        for s in range(states):
            row = landing[a, s]
            for b in range(width):
                middle[row, b] += law[s, b] * probs[a, s, b]
    for row in range(len(starts) - 1):
        for k in range(starts[row], starts[row + 1]):
            for b in range(width):
                change[places[k], b] += chances[k] * middle[row, b]
    worst = 0 * law[0, 0]
    for b in range(width):
        size = 0 * worst
        for s in range(states):
            size += abs(change[s, b])
        worst = size if not size <= worst else worst
    return worst


@njit(cache=True, fastmath=VECTORS, **INNER)
def _look_ahead(moves, rewards, value, discount, q):  # type: ignore[no-untyped-def]
    """Write rewards plus the discounted mean of `value` after a move."""
    landing, starts, places, chances = moves
    actions, states, width = rewards.shape
    middle = np.zeros((len(starts) - 1, width), value.dtype)
    for row in range(len(starts) - 1):
        for k in range(starts[row], starts[row + 1]):
            chance = discount * chances[k]
            for b in range(width):
                middle[row, b] += chance * value[places[k], b]
    for a in range(actions):
        for s in range(states):
            row = landing[a, s]
            for b in range(width):
                q[a, s, b] = rewards[a, s, b] + middle[row, b]


@njit(cache=True, fastmath=VECTORS, **INNER)
def _greedy(q, choice, value):  # type: ignore[no-untyped-def]
    """Replace the values by the best of Q and note where these are; the most that this gains in a
    game, relative to 1 + its largest value before.
    """
    actions, states, width = q.shape
    worst = -np.inf
    before, sizes, gains = np.empty_like(value[0]), np.ones_like(value[0]), np.empty_like(value[0])
    gains[:] = -np.inf
    for s in range(states):
        for b in range(width):
            before[b], value[s, b], choice[s, b] = value[s, b], q[0, s, b], 0
        for a in range(1, actions):
            for b in range(width):
                higher = q[a, s, b] > value[s, b]
                choice[s, b] = a if higher else choice[s, b]
                value[s, b] = q[a, s, b] if higher else value[s, b]
        for b in range(width):
            sizes[b] = max(sizes[b], 1 + abs(before[b]))
            gains[b] = max(gains[b], value[s, b] - before[b])
    for b in range(width):
        gain = gains[b] / sizes[b]
        worst = gain if not gain <= worst else worst
    return worst
