"""What a policy of a game without end is worth, and the best response, as compiled loops.

Policies are evaluated by elimination (`native_chains.py`), the best response is found by policy
improvement (Howard 1960) from the greedy one. Rewards are -inf at illegal actions. Needs numba.
"""

import numpy as np

from mfdsl.runtime.kept_loops import INNER, njit
from mfdsl.runtime.views.native_chains import VECTORS, _eliminate, _fill, _solve_from_right, limits
from mfdsl.runtime.views.native_tape import play


@njit(cache=True, fastmath=VECTORS)
def settled(moves, band, probs, laws, kept, left, most, unmoved):  # type: ignore[no-untyped-def]
    """`limits`, and the largest l1 change that a push makes to one of them."""
    limits(moves, band, probs, laws, kept, left, most, unmoved)
    landing, starts, places, chances = moves
    actions, states, games = probs.shape
    worst, change = 0 * kept, np.empty(states, laws.dtype)
    for b in range(games):
        for s in range(states):
            change[s] = -laws[s, b]
        for a in range(actions):
            for s in range(states):
                mass = laws[s, b] * probs[a, s, b]
                for k in range(starts[landing[a, s]], starts[landing[a, s] + 1]):
                    change[places[k]] += chances[k] * mass
        size = 0.0
        for s in range(states):
            size += abs(change[s])
        worst = size if not size <= worst else worst
    return worst


@njit(cache=True, error_model="numpy")
def meet(game, probs, laws):  # type: ignore[no-untyped-def]
    """Rewards [A, S] at a law [S, 1] under `probs` [A, S, 1], and with -inf at illegal actions."""
    actions, states, _ = probs.shape
    rewards = game.known.copy()
    if len(game.paid):
        memory = game.line.memory.copy()
        for a in range(actions):
            for s in range(states):
                memory[game.joint + a * states + s] = laws[s, 0] * probs[a, s, 0]
        play(game.line, memory)
        for a in range(actions):
            for s in range(states):
                rewards[a, s] = memory[game.paid[a, s]]
    open_rewards = rewards.copy()
    for a in range(len(game.legal)):
        for s in range(states):
            if not game.legal[a, s]:
                rewards[a, s], open_rewards[a, s] = 0, -np.inf
    return rewards, open_rewards


@njit(cache=True, fastmath=VECTORS)
def scored(moves, band, rewards, probs, law, discount, most, tolerance, q, best, returns):  # type: ignore[no-untyped-def]
    """Write Q [A, S] of a policy and of the best response, and the returns [2, P] of both from the
    law, as means of an agent of each population; whether `most` improvements sufficed.
    """
    actions, states = rewards.shape
    left = discount / discount - discount
    chain, pivots = np.empty((states, states), q.dtype), np.empty(states, q.dtype)
    value, choice = np.zeros(states, q.dtype), np.empty(states, np.int64)
    for a in range(actions):
        for s in range(states):
            if probs[a, s] != 0:  # nor nan is left out
                value[s] += probs[a, s] * rewards[a, s]
    _fill(moves, band, probs, discount, chain)
    _eliminate(chain, band, pivots, left)
    _solve_from_right(chain, band, pivots, value)
    _look_ahead(moves, rewards, value, discount, q)
    _add_returns(law, value, returns[0])
    _greedy(q, choice, value)
    for _ in range(most):
        for s in range(states):
            value[s] = rewards[choice[s], s]
        _fill_pure(moves, band, choice, discount, chain)
        _eliminate(chain, band, pivots, left)
        _solve_from_right(chain, band, pivots, value)
        _look_ahead(moves, rewards, value, discount, best)
        size = 1.0
        for s in range(states):
            size = max(size, 1 + abs(value[s]))
        if not _greedy(best, choice, value) > tolerance * size:
            _add_returns(law, value, returns[1])
            return True
    return False


@njit(cache=True, **INNER)
def _add_returns(law, value, returns):  # type: ignore[no-untyped-def]
    """Add the mean value of an agent of each population."""
    count = len(returns)
    each = len(law) // count
    for s in range(len(law)):
        returns[s // each] += law[s] * value[s] * count


@njit(cache=True, fastmath=VECTORS, **INNER)
def _look_ahead(moves, rewards, value, discount, q):  # type: ignore[no-untyped-def]
    """Write rewards plus the discounted mean of `value` after a move."""
    landing, starts, places, chances = moves
    actions, states = rewards.shape
    for a in range(actions):
        for s in range(states):
            expected = 0 * discount
            for k in range(starts[landing[a, s]], starts[landing[a, s] + 1]):
                expected += chances[k] * value[places[k]]
            q[a, s] = rewards[a, s] + discount * expected


@njit(cache=True, **INNER)
def _greedy(q, choice, value):  # type: ignore[no-untyped-def]
    """Replace the value by the best of Q and note where it is; the most that this gains."""
    actions, states = q.shape
    gain = -np.inf
    for s in range(states):
        best = 0
        for a in range(1, actions):
            if q[a, s] > q[best, s]:
                best = a
        gain = max(gain, q[best, s] - value[s])
        choice[s], value[s] = best, q[best, s]
    return gain


@njit(cache=True, fastmath=VECTORS, **INNER)
def _fill_pure(moves, band, choice, kept, chain):  # type: ignore[no-untyped-def]
    """`_fill` for a policy that takes one action in each state."""
    landing, starts, places, chances = moves
    for s in range(len(choice)):
        row = chain[s]
        row[band[s, 0] : band[s, 1]] = 0
        for k in range(starts[landing[choice[s], s]], starts[landing[choice[s], s] + 1]):
            row[places[k]] += kept * chances[k]
