"""What spoils a slope: jumps, poles, and branches that may not meet.

A jump is proved on a short segment that straddles it (`slopes/straddling.py`). A pole is shown by
pairs of laws or points whose distance goes to 0 while the slope between them grows, and by its
derivative: it is c h'(s) + rest, where h' is unbounded, c and the rate of s exclude 0, and the rest
is finite.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mfdsl.compiler.analysis.certificate import Witness
from mfdsl.compiler.analysis.counted import counted, late
from mfdsl.compiler.analysis.faces import divided_at, equal_at
from mfdsl.compiler.analysis.intervals import Interval, point
from mfdsl.compiler.analysis.remedies import FIXES, fix_of, written
from mfdsl.compiler.analysis.slopes.atoms import ATOMS
from mfdsl.compiler.analysis.slopes.crossings import crossings
from mfdsl.compiler.analysis.slopes.forward import Forward, Rows
from mfdsl.compiler.analysis.slopes.jumps import BOUNDLESS, Cliff, climb
from mfdsl.compiler.analysis.slopes.law_slope import LawSlope
from mfdsl.compiler.analysis.slopes.search import Found
from mfdsl.compiler.analysis.slopes.segments import Problem, Segment, segments
from mfdsl.compiler.analysis.slopes.straddling import straddled
from mfdsl.compiler.analysis.slopes.tape import BOOLEAN, Tape
from mfdsl.compiler.analysis.witness import straddle_witness
from mfdsl.compiler.ir.model import Place

STEEP = 1e4  # slopes at least so steep that search points miss them are looked for on segments
PART = 10.0  # of the bound that a search attains where nothing is steep
QUICK = 0.3  # of the time, for continuity before jumps are looked for
CLOSE = 1e-9  # of the argument of a pole to 0
POLES = ("log", "xlogx", "sqrt", "pow", "div")


@dataclass(frozen=True)
class Gap:
    """Why there is no constant, or none is shown: `certain` when there is none."""

    text: str
    place: Place | None
    certain: bool
    slope: float
    fix: str | None = None
    witness: Witness | None = None


@dataclass(frozen=True)
class Steepest:
    """A segment and where on it the slope explodes."""

    segment: Segment
    cliff: Cliff


def gap_of(
    problem: Problem, found: Found, places: Sequence[Place | None], seconds: float = 1.0
) -> Gap | None:
    """The gap of a problem after its search, None where everything is continuous."""
    tape, began = problem.tape, counted()
    quick, late = began + seconds * QUICK, began + seconds * (1 + QUICK)
    joints = {i for i in sorted(problem.joints) if not divided_at(tape, i, quick)}
    infinite = not np.isfinite(found.upper)
    if not joints and not infinite:
        return None
    gap = _at_conditions(problem, joints, places, began + seconds / 2)
    if gap is not None:
        return gap
    problem.deadline = began + seconds
    steep = steepest(problem, problem.deadline)
    blamed = culprit(problem, found, joints)
    if steep is not None and steep.cliff.steep:
        gap = _at_cliff(problem, steep, blamed, places)
    if gap is None and infinite and blamed is not None:
        gap = _at_pole(problem, found, blamed, steep, places)
    if gap is not None:
        return gap
    joints = {i for i in sorted(joints) if not equal_at(tape, i, late)}
    if not joints and not infinite:
        return None
    op = problem.tape.steps[blamed].op if blamed is not None else ""
    place = place_of(problem.tape, blamed, places)
    slope = steep.cliff.steepest if steep is not None else 0.0
    if steep is not None and steep.cliff.steep and steep.cliff.jump:
        cliff = steep.cliff
        text = f"changes by {cliff.gap:.3g} across {cliff.width:.1e}: no jump was proved"
        return Gap(text, place, False, slope, fix_of(op))
    if joints:
        return Gap("the branches were not shown to meet", place, False, slope, FIXES["if"])
    text = f"no bound for the slope of {written(op)}" if op else "no bound was found"
    return Gap(text, place, False, slope, fix_of(op))


def _at_cliff(
    problem: Problem, steep: Steepest, blamed: int | None, places: Sequence[Place | None]
) -> Gap | None:
    """The gap at a cliff that is proved to be a jump or a pole."""
    tape, cliff = problem.tape, steep.cliff
    jump = _jump(problem, steep.segment, cliff, places) if cliff.jump else None
    if jump is not None:
        return jump
    ends = [steep.segment.over(share, share, {}) for share in (cliff.at, cliff.to)]
    for end in ends:
        for root in tape.roots:
            end.value(root)
    if not reaches(tape, ends, blamed, CLOSE):
        return None
    assert blamed is not None
    op, place = tape.steps[blamed].op, place_of(tape, blamed, places)
    if cliff.gap >= BOUNDLESS:
        return Gap("the value itself grows without end", place, True, 0.0, FIXES.get(op))
    width, slope = cliff.slopes[-1]
    text = f"the slope of {written(op)} grows without end ({slope:.2g} across {width:.1e})"
    evidence = straddle_witness(problem, steep.segment, cliff, slope * width)
    return Gap(text, place, True, slope, fix_of(op), evidence)


def _at_conditions(
    problem: Problem, joints: set[int], places: Sequence[Place | None], deadline: float
) -> Gap | None:
    """A proved jump where a condition changes, None if none was found."""
    steps = problem.tape.steps
    conditions = {steps[i].args[0] for i in joints}
    conditions |= {i for i in problem.jumps if steps[i].op == "ind"}
    for segment, part in crossings(problem, sorted(conditions), deadline):
        gap = _jump(problem, segment, part, places)
        if gap is not None:
            return gap
    return None


def _jump(
    problem: Problem, segment: Segment, cliff: Cliff, places: Sequence[Place | None]
) -> Gap | None:
    """A jump on the last part of a cliff, None where none was proved."""
    jump = straddled(problem, segment, cliff)
    if jump is None:
        return None
    text = f"jumps by {jump.gap:.3g} (slope {cliff.steepest:.2g} across {cliff.width:.1e})"
    evidence = straddle_witness(problem, segment, cliff, jump.gap)
    step = problem.tape.steps[jump.step]
    place = place_of(problem.tape, jump.step, places)
    return Gap(text, place, True, cliff.steepest, fix_of(step.op), evidence)


def _at_pole(
    problem: Problem,
    found: Found,
    blamed: int,
    steep: Steepest | None,
    places: Sequence[Place | None],
) -> Gap | None:
    """The gap at a pole whose slope grows too slowly for a cliff."""
    tape = problem.tape
    if not pole_at(problem, found, blamed):
        return None
    op, place = tape.steps[blamed].op, place_of(tape, blamed, places)
    if steep is not None and steep.cliff.growing:
        cliff = steep.cliff
        ends = [steep.segment.over(share, share, {}) for share in (cliff.at, cliff.to)]
        for end in ends:
            for root in tape.roots:
                end.value(root)
        if reaches(tape, ends, blamed, CLOSE if cliff.steep else 0.0):
            text = f"the slope of {written(op)} grows without end towards the edge of its domain"
            return Gap(text, place, True, found.lower, fix_of(op))
    if not np.isfinite([*found.worst.lo[0], *found.worst.hi[0]]).all():
        text = "grows faster than linearly where a variable has no bounds"
        return Gap(text, place, False, 0.0, "bound the variable: `real in [lo, hi]`")
    return None


def place_of(tape: Tape, step: int | None, places: Sequence[Place | None]) -> Place | None:
    """Where a step is written."""
    if step is None:
        return None
    node = tape.steps[step].node
    if tape.steps[step].op == "if":
        node = tape.facts.nodes[node].args[0]
    return places[node] if 0 <= node < len(places) else None


def steep_of(
    problem: Problem, found: Found, places: Sequence[Place | None], seconds: float
) -> Gap | None:
    """What makes a bounded slope so steep that the search attained only a small part of it; None
    where that is not so. It is certain of nothing but its slope.
    """
    if not STEEP <= found.upper < np.inf or found.lower * PART >= found.upper:
        return None
    problem.deadline = counted() + seconds
    steep = steepest(problem, problem.deadline)
    blamed = culprit(problem, found, set(), found.upper / PART)
    if blamed is None:
        return None
    op, slope, evidence = problem.tape.steps[blamed].op, 0.0, None
    if steep is not None and steep.cliff.steepest > found.lower:
        cliff, slope = steep.cliff, steep.cliff.steepest
        evidence = straddle_witness(problem, steep.segment, cliff, cliff.gap)
    text = f"{written(op)} is as steep as a jump: slope up to {found.upper:.3g}"
    return Gap(text, place_of(problem.tape, blamed, places), False, slope, fix_of(op), evidence)


def culprit(
    problem: Problem, found: Found, joints: set[int], most: float = BOUNDLESS
) -> int | None:
    """The first step with a slope above `most` whose arguments all have slopes below it."""
    row = found.worst.take(np.arange(1))
    forward = _forward(problem, row)
    forward.tangent(problem.tape.roots[0])
    steep = [
        i
        for i, step in enumerate(problem.tape.steps)
        if not _within(forward.tangents.get(i), most)
        and all(_within(forward.tangents.get(a), most) for a in step.args)
    ]
    truths = [i for i in steep if problem.tape.steps[i].op in BOOLEAN]
    return min([i for i in steep if i not in truths] or truths or joints, default=None)


def _within(rate: Interval | None, most: float = BOUNDLESS) -> bool:
    return rate is None or bool((rate.lo >= -most).all() and (rate.hi <= most).all())


def _forward(problem: Problem, rows: Rows, **more: object) -> Forward:
    moves = (
        problem.directions.moves(problem.tape, rows)
        if isinstance(problem, LawSlope)
        else problem.moves
    )
    return Forward(problem.tape, rows, moves, None, problem.spaces, **more)  # type: ignore[arg-type]


def pole_at(problem: Problem, found: Found, pole: int) -> bool:
    """The pole lemma at the worst box: the slope is c h'(s) + rest with c and ds away from 0."""
    tape = problem.tape
    step = tape.steps[pole]
    atom = ATOMS.get(step.op)
    if step.op != "xlogx" and (atom is None or not atom.pole):
        return False
    row = found.worst.take(np.arange(1))
    return any(_leads(problem, row, pole, truths) for truths in _branches(problem, row))


def _branches(problem: Problem, row: Rows) -> Iterator[dict[int, Interval]]:
    """No choice of a branch, then one at each condition that is not decided on a box."""
    yield {}
    forward = _forward(problem, row)
    shape = (1,) * (1 + len(problem.tape.inner))
    for i in sorted(problem.joints):
        condition = problem.tape.steps[i].args[0]
        value = forward.value(condition)
        if np.any(value.lo != value.hi):
            yield from ({condition: point(np.full(shape, truth))} for truth in (1.0, 0.0))


def _leads(problem: Problem, row: Rows, pole: int, truths: dict[int, Interval]) -> bool:
    """Whether a slope follows that of a pole, in one branch of the conditions."""
    tape, step = problem.tape, problem.tape.steps[pole]
    rest, lead = (
        _forward(problem, row, values=dict(truths), tangents=dict.fromkeys(truths), **part)
        for part in ({"cut": pole}, {"lead": pole})
    )  # a condition that was chosen stands still, whatever is below it
    inner = rest.tangent(step.args[-1 if step.op == "div" else 0])
    for root in tape.roots:
        left, factor = rest.tangent(root), lead.tangent(root)
        if inner is None or factor is None or not _within(left) or not _within(factor):
            continue
        away = _away(inner) & _away(factor)
        if np.any(away):
            return True
    return False


def reaches(tape: Tape, ends: Sequence[Forward], pole: int | None, close: float) -> bool:
    """Whether the argument of a pole comes close to 0, where its slope has no bound."""
    if pole is None or tape.steps[pole].op not in POLES:
        return False
    below = tape.steps[pole].args[-1 if tape.steps[pole].op == "div" else 0]
    for end in ends:
        value = end.values.get(below)
        if value is not None and np.any(np.maximum(np.abs(value.lo), np.abs(value.hi)) <= close):
            return True
    return False


def _away(value: Interval) -> np.ndarray:
    return (value.lo > 0) | (value.hi < 0)


def steepest(problem: Problem, deadline: float) -> Steepest | None:
    """The cliff with the steepest end, on segments through the domain."""
    best: Steepest | None = None
    for segment in segments(problem, deadline):
        if late(deadline):
            break
        cliff = climb(_values(segment), segment.length, segment.apart, deadline)
        if cliff is not None and (best is None or cliff.slopes[-1][1] > best.cliff.slopes[-1][1]):
            best = Steepest(segment, cliff)
        if best is not None and best.cliff.jump and best.cliff.steep:
            break
    return best


def _values(segment: Segment) -> Callable[[float], Sequence[Interval]]:
    return lambda share: segment.values(share, share)
