"""Many iterations of a solver on a small game as one compiled loop (needs numba).

`blocks.py` says which solvers and games go this way. Each rule is the step of a solver, which is
its reference; numbers of a run in single precision are rounded wherever the step rounds them.
"""

import math

import numpy as np

from mfdsl.runtime.kept_loops import njit
from mfdsl.runtime.policy import TIE_MARGIN
from mfdsl.runtime.solvers.mirror_descent import GROWTH, LEAST_RATE, SHRINKAGE
from mfdsl.runtime.solvers.prior_descent import COOLING, FAST, SLOW, WARMING
from mfdsl.runtime.views.native_tape import WITHIN, forth, over, room

MIRROR_DESCENT, FICTITIOUS_PLAY, FIXED_POINT, POLICY_ITERATION, MUNCHAUSEN, PRIOR_DESCENT = range(6)


@njit(cache=True, error_model="numpy")
def iterate(  # type: ignore[no-untyped-def]
    walk,
    discount,
    rule,
    options,
    single,
    first,
    every,
    tolerance,
    even,
    tables,
    numbers,
    found,
    rows,
):
    """Iterations after the `first` one; how many, joint laws and rewards [T, A, S], final ones [S].

    `tables` [K, T, A, S], the policy first, and `numbers` are the state of the solver. `found` has
    the laws [T + 1, S], Q of the policy and of the best response [T, A, S], and both returns
    [2, P] of that policy. All are written over. A row is the exploitability and the value of one
    iteration; the loop ends where no row is left, and at multiples of `every` where the
    exploitability is at most the tolerance or no number, unless `every` is 0.
    """
    laws, q, best, returns = found
    stages = q.shape[0]
    joint, rewards = np.empty(q.shape), np.empty(q.shape)
    memory, chances, targets = room(walk, stages)
    done, final = 0, np.zeros(q.shape[2])
    while done < len(rows):
        iteration = first + done
        if rule == MIRROR_DESCENT:
            climb(options, single, iteration, tables, numbers, q, returns)
        elif rule == FICTITIOUS_PLAY:
            answer, reached = respond(best, 0.0, options[1], single), np.empty(laws.shape)
            # What is met along the response is scratch: it is met anew below.
            forth(walk, answer, memory, chances, targets, reached, joint, rewards)
            average(options[0], single, iteration, even, tables[0], laws, answer, reached)
        elif rule == FIXED_POINT:
            mix(options[1], single, tables[0], respond(best, options[0], options[2], single))
        elif rule == POLICY_ITERATION:
            mix(options[1], single, tables[0], respond(q, options[0], options[2], single))
        elif rule == MUNCHAUSEN:
            add_values(options[0], single, tables, q)
        else:
            answer_prior(options, single, iteration, tables, numbers, best)
        forth(walk, tables[0], memory, chances, targets, laws, joint, rewards)
        final = over(
            walk, tables[0], chances, targets, discount, laws, joint, rewards, q, best, returns
        )
        if single:
            for table in (laws.reshape(-1), q.reshape(-1), best.reshape(-1), returns.reshape(-1)):
                for i in range(len(table)):
                    table[i] = np.float32(table[i])
        gap, value = paid(returns, single)
        rows[done, 0], rows[done, 1] = gap, value
        done += 1
        if every and (first + done) % every == 0 and not (gap > tolerance and gap < np.inf):
            break
    return done, joint, rewards, final


@njit(cache=True, **WITHIN)
def kept(number, single):  # type: ignore[no-untyped-def]
    """The number as a run keeps it."""
    return float(np.float32(number)) if single else number


@njit(cache=True, **WITHIN)
def paid(returns, single):  # type: ignore[no-untyped-def]
    """The exploitability and the value of a policy, from both returns [2, P]."""
    gap, value = 0.0, 0.0
    for p in range(returns.shape[1]):
        gap = kept(gap + kept(returns[1, p] - returns[0, p], single), single)
        value = kept(value + returns[0, p], single)
    return gap, value


@njit(cache=True, **WITHIN)
def soften(scores, temperature, single, probs):  # type: ignore[no-untyped-def]
    """Write the softmax of scores [A, S] / temperature; the logarithms of the sums [S]."""
    logs = np.empty(scores.shape[1])
    for s in range(scores.shape[1]):
        top = -np.inf
        for a in range(len(scores)):
            score = scores[a, s]
            top = score if score > top or score != score else top
        top = kept(top / temperature, single)
        total = top - top  # not a number where scores have left the floats
        for a in range(len(scores)):
            score = kept(scores[a, s] / temperature, single)
            # Most states of a game with masks have one legal action, which needs no exponential.
            probs[a, s] = (
                1.0 if score == top else (0.0 if score == -np.inf else np.exp(score - top))
            )
            total += probs[a, s]
        for a in range(len(scores)):
            probs[a, s] = kept(probs[a, s] / total, single)
        logs[s] = top + math.log(total)
    return logs


@njit(cache=True, **WITHIN)
def respond(values, temperature, first, single):  # type: ignore[no-untyped-def]
    """Best actions [T, A, S], equal ones shared or the `first` alone; a softmax if it is warm."""
    probs = np.zeros(values.shape)
    for t in range(len(values)):
        if temperature > 0:
            soften(values[t], temperature, single, probs[t])
            continue
        for s in range(values.shape[2]):
            top, count = -np.inf, 0
            for a in range(values.shape[1]):
                value = values[t, a, s]
                top = value if value > top or value != value else top
            for a in range(values.shape[1]):
                if values[t, a, s] >= top - TIE_MARGIN and not (first and count):
                    probs[t, a, s] = 1.0
                    count += 1
            for a in range(values.shape[1]):
                probs[t, a, s] = kept(probs[t, a, s] / count, single)
    return probs


@njit(cache=True, **WITHIN)
def mix(damping, single, probs, answer):  # type: ignore[no-untyped-def]
    """The policy moves to the answer, but for the weight of the damping."""
    for t in range(len(probs)):
        for a in range(probs.shape[1]):
            for s in range(probs.shape[2]):
                old, new = probs[t, a, s], answer[t, a, s]
                moved = new + damping * (old - new)
                if damping >= 0.5:
                    moved = old - (old - new) * (1 - damping)
                probs[t, a, s] = new if damping == 0 else kept(moved, single)


@njit(cache=True, **WITHIN)
def climb(options, single, iteration, tables, numbers, q, returns):  # type: ignore[no-untyped-def]
    """The step of `omd`."""
    rate, temperature = options
    if rate == 0:
        own, most = 0.0, 0.0
        for p in range(returns.shape[1]):
            own = kept(own + returns[0, p], single)
            most = kept(most + returns[1, p], single)
        gap = kept(most - own, single)
        if iteration:
            # The step chooses between numbers of tensors, which are single by default.
            factor = kept(SHRINKAGE if gap > numbers[1] else GROWTH, True)
            rate = max(kept(numbers[0] * factor, single), kept(LEAST_RATE, single))
        else:
            rate = numbers[0]
        numbers[0], numbers[1] = rate, gap
    probs, scores = tables[0], tables[1]
    for t in range(len(q)):
        for a in range(q.shape[1]):
            for s in range(q.shape[2]):
                scores[t, a, s] = kept(scores[t, a, s] + rate * q[t, a, s], single)
        soften(scores[t], temperature, single, probs[t])


@njit(cache=True, **WITHIN)
def average(weight, single, iteration, even, probs, laws, answer, reached):  # type: ignore[no-untyped-def]
    """The step of `fictitious_play`, once it is known where the answer leads."""
    share = weight if weight > 0 else 1 / (iteration + 2)
    mass = np.empty(probs.shape[1])
    for t in range(len(probs)):
        for s in range(probs.shape[2]):
            total = 0.0
            for a in range(len(mass)):
                old = kept(kept(laws[t, s] * probs[t, a, s], single) * (1 - share), single)
                new = kept(kept(reached[t, s], single) * answer[t, a, s], single)
                mass[a] = kept(old + share * new, single)
                total = kept(total + mass[a], single)
            for a in range(len(mass)):
                probs[t, a, s] = kept(mass[a] / total, single) if total > 0 else even[t, a, s]


@njit(cache=True, **WITHIN)
def add_values(temperature, single, tables, q):  # type: ignore[no-untyped-def]
    """The step of `munchausen_omd`: values of the policy on top of its logarithm."""
    probs, log_probs = tables[0], tables[1]
    for t in range(len(q)):
        for a in range(q.shape[1]):
            for s in range(q.shape[2]):
                log_probs[t, a, s] = kept(log_probs[t, a, s] + q[t, a, s] / temperature, single)
        logs = soften(log_probs[t], 1.0, single, probs[t])
        for a in range(q.shape[1]):
            for s in range(q.shape[2]):
                log_probs[t, a, s] = kept(log_probs[t, a, s] - logs[s], single)


@njit(cache=True, **WITHIN)
def answer_prior(options, single, iteration, tables, numbers, best):  # type: ignore[no-untyped-def]
    """The step of `prior_descent` with `response=best`."""
    every, fixed = int(options[0]), options[1]
    probs, log_probs, log_prior = tables[0], tables[1], tables[2]
    moves = every > 0 and iteration % every == 0
    for t in range(len(best) if moves else 0):
        for a in range(best.shape[1]):
            for s in range(best.shape[2]):
                log_prior[t, a, s] = log_probs[t, a, s]
    if moves and fixed == 0:
        slow = numbers[2] > kept(SLOW * numbers[1], single)
        fast = numbers[2] < kept(FAST * numbers[1], single)
        factor = COOLING if fast else (WARMING if slow else 1.0)
        numbers[0] = kept(numbers[0] * kept(factor, single), single)
    last = 0.0
    for t in range(len(best)):
        for a in range(best.shape[1]):
            for s in range(best.shape[2]):
                tilt = kept(best[t, a, s] / numbers[0], single)
                log_probs[t, a, s] = kept(log_prior[t, a, s] + tilt, single)
        old = probs[t].copy()
        logs = soften(log_probs[t], 1.0, single, probs[t])
        for a in range(best.shape[1]):
            for s in range(best.shape[2]):
                log_probs[t, a, s] = kept(log_probs[t, a, s] - logs[s], single)
                probs[t, a, s] = kept(np.exp(log_probs[t, a, s]), single)
                change = kept(abs(probs[t, a, s] - old[a, s]), single)
                last = change if change > last or change != change else last
    numbers[2] = last
    if moves:
        numbers[1] = last
