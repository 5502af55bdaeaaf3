"""Proof of a jump: a short part of a segment on which one step has two values.

The part begins where the step has one value and ends where it has another, and has no third one in
between. So there is a point of the part that is arbitrarily close to points of both kinds: the
boundary of those with the first value. All values of the expression on the part with the step held
at one value lie in one enclosure, those at the other in another; if these are apart, the expression
jumps at that point by at least their distance.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mfdsl.compiler.analysis.asymmetry.degrees import law_degree
from mfdsl.compiler.analysis.intervals import RULES, Array, Interval, add, point
from mfdsl.compiler.analysis.slopes.forward import Forward
from mfdsl.compiler.analysis.slopes.jumps import Cliff
from mfdsl.compiler.analysis.slopes.law_slope import LawSlope
from mfdsl.compiler.analysis.slopes.segments import Problem, Segment
from mfdsl.compiler.analysis.slopes.tape import BOOLEAN, Tape

TRUTHS = (*BOOLEAN, "ind", "any_over", "all_over")
ROUNDED = ("floor", "ceil", "round")
MAX_ENTRIES = 8  # of an array of which several flip, that are tried one by one


@dataclass(frozen=True)
class Straddle:
    """A step that jumps, and by how much the expression does, at least."""

    step: int
    gap: float


@dataclass(frozen=True)
class Part:
    """Passes at the beginning of a part, at its end, and over all of it."""

    before: Forward
    after: Forward
    whole: Forward

    @property
    def passes(self) -> tuple[Forward, Forward, Forward]:
        """All three."""
        return self.before, self.after, self.whole


def straddled(problem: Problem, segment: Segment, cliff: Cliff) -> Straddle | None:
    """The proof of a jump on the last part of a cliff, None where there is none."""
    tape = problem.tape
    part = Part(
        *(
            segment.over(*ends, {})
            for ends in ((cliff.at, cliff.at), (cliff.to, cliff.to), (cliff.at, cliff.to))
        )
    )
    for forward in part.passes:
        for root in tape.roots:
            forward.value(root)
    best: Straddle | None = None
    ratios = _ratios(problem, segment, part.before) if cliff.at == 0.0 else {}
    for i in range(len(tape.steps)):
        if any(i not in forward.values for forward in part.passes):
            continue
        for one, other in _sides(tape, i, part):
            beyond = {**ratios, i: other} if _is(one, part.before.values[i]) else {i: other}
            ends = [segment.values(cliff.at, cliff.to, held) for held in ({i: one}, beyond)]
            gap = segment.apart(*ends)
            if gap > 0 and (best is None or gap > best.gap):
                best = Straddle(i, gap)
    return best


def _is(held: Interval, value: Interval) -> bool:
    """Whether a step is held at the value that it has at the beginning, not at another one."""
    return bool(np.all((held.lo <= value.lo) & (value.hi <= held.hi)))


def _ratios(problem: Problem, segment: Segment, before: Forward) -> dict[int, Interval]:
    """Quotients of two numbers that are affine along a segment and 0 where it begins: beyond its
    beginning they are those at its end.
    """
    tape, found = problem.tape, {}
    if not isinstance(problem, LawSlope):
        return {}
    end = segment.over(1.0, 1.0, {})
    for i, step in enumerate(tape.steps):
        if step.op != "div" or i not in before.values:
            continue
        both = [before.values[a] for a in step.args]
        parts = tape.facts.nodes[step.node].args
        affine = all(law_degree(tape.facts.nodes, p, problem.population) <= 1 for p in parts)
        if affine and all(np.all((v.lo == 0) & (v.hi == 0)) for v in both):
            found[i] = RULES["div"](*(end.value(a) for a in step.args))
    return found


def _sides(tape: Tape, index: int, part: Part) -> Iterator[tuple[Interval, Interval]]:
    """Pairs of values of a step, of which it has one or the other everywhere on a part, and both
    somewhere: one entry of an array is held, the others are anything that they may be.
    """
    op = tape.steps[index].op
    first, last, around = (f.values[index] for f in part.passes)
    shape = np.broadcast_shapes(first.lo.shape, last.lo.shape, around.lo.shape)
    if op in TRUTHS or op in ROUNDED:
        decided = (first.lo == first.hi) & (last.lo == last.hi) & (first.lo != last.lo)
        two = decided & (around.hi - around.lo == 1)
        for place in np.argwhere(np.broadcast_to(two, shape))[:MAX_ENTRIES]:
            at = tuple(place)
            yield _held(around, shape, at, first), _held(around, shape, at, last)
    elif op == "extreme" and _is_fixed(tape, tape.steps[index].attr[1]):
        if part.before.laws is not None and np.any(first.lo != last.lo):
            yield first, last  # beyond the beginning the support is the same everywhere
    elif op == "rem":
        yield from _turns(part, tape.steps[index].args, around, shape)
    elif op == "atan2":
        yield from _angles(part, tape.steps[index].args, around, shape)


def _is_fixed(tape: Tape, statistic: int) -> bool:
    """Whether the body of a statistic reads no law."""
    below = tape.touched[tape.statistics[statistic].body]
    return all(tape.coordinates[k].statistic is None for k in below)


def _held(
    around: Interval, shape: tuple[int, ...], at: tuple[int, ...], value: Interval
) -> Interval:
    """An enclosure in which one entry has the value that it has in another."""
    lo, hi = (np.array(np.broadcast_to(end, shape)) for end in (around.lo, around.hi))
    lo[at] = np.broadcast_to(value.lo, shape)[at]
    hi[at] = np.broadcast_to(value.hi, shape)[at]
    return Interval(lo, hi)


def _turns(
    part: Part, args: tuple[int, ...], around: Interval, shape: tuple[int, ...]
) -> Iterator[tuple[Interval, Interval]]:
    """A remainder below and above the one multiple of its divisor that is passed."""
    value, period = part.whole.values[args[0]], part.whole.values[args[1]]
    ends = [f.values[args[0]] for f in (part.before, part.after)]
    with np.errstate(invalid="ignore", divide="ignore"):
        turn = np.floor(value.hi / period.lo)
        fixed = (period.lo == period.hi) & (period.lo > 0) & np.isfinite(turn)
    multiple = RULES["mul"](point(np.where(fixed, turn, 0.0)), period)
    below = [e.hi < multiple.lo for e in ends]
    above = [e.lo >= multiple.hi for e in ends]
    passes = fixed & ((below[0] & above[1]) | (above[0] & below[1]))
    passes = passes & (value.hi - multiple.lo < period.lo) & (multiple.hi - value.lo < period.lo)
    for place in np.argwhere(np.broadcast_to(passes, shape))[:MAX_ENTRIES]:
        at = tuple(place)
        over = add(value, RULES["neg"](multiple))
        under = add(over, period)
        high = Interval(np.maximum(under.lo, 0.0), np.broadcast_to(period.hi, under.hi.shape))
        low = Interval(np.zeros_like(over.lo), np.maximum(over.hi, 0.0))
        yield _held(around, shape, at, low), _held(around, shape, at, high)


def _angles(
    part: Part, args: tuple[int, ...], around: Interval, shape: tuple[int, ...]
) -> Iterator[tuple[Interval, Interval]]:
    """An angle on both sides of the half line where x is negative."""
    y, x = (part.whole.values[a] for a in args)
    ends = [f.values[args[0]] for f in (part.before, part.after)]
    below, above = [e.hi < 0 for e in ends], [e.lo >= 0 for e in ends]
    passes = (x.hi < 0) & ((below[0] & above[1]) | (above[0] & below[1]))
    near = np.maximum(-x.hi, np.finfo(float).tiny)
    up, down = (_turned(np.maximum(end, 0.0), near) for end in (y.hi, -y.lo))
    down = RULES["neg"](down)
    for place in np.argwhere(np.broadcast_to(passes, shape))[:MAX_ENTRIES]:
        at = tuple(place)
        yield _held(around, shape, at, up), _held(around, shape, at, down)


def _turned(y: Array, x: Array) -> Interval:
    """Angles of points that are at least x to the left and at most y up: pi less y / x or less."""
    with np.errstate(over="ignore"):
        least = np.nextafter(np.pi - np.nextafter(y / x, np.inf), -np.inf)
    return Interval(np.maximum(least, 0.0), np.full_like(least, np.nextafter(np.pi, np.inf)))
