"""What spoils a slope: jumps, poles, and branches that may not meet.

A jump or a pole is shown by pairs of laws or points whose distance goes to 0 while the slope
between them grows. A pole that grows slowly is shown by its derivative: it is c h'(s) + rest, where
h' is unbounded, c and the rate of s exclude 0, and the rest is finite.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mfdsl.compiler.analysis.certificate import Witness
from mfdsl.compiler.analysis.grid_intervals import GRID_RULES
from mfdsl.compiler.analysis.intervals import Array, Interval
from mfdsl.compiler.analysis.slopes.atoms import ATOMS
from mfdsl.compiler.analysis.slopes.domain import (
    in_balls,
    members,
    middle_of,
    root_rows,
    sample_laws,
)
from mfdsl.compiler.analysis.slopes.forward import Forward, Rows
from mfdsl.compiler.analysis.slopes.jumps import BOUNDLESS, Cliff, change, climb
from mfdsl.compiler.analysis.slopes.law_slope import LawSlope
from mfdsl.compiler.analysis.slopes.point_slope import PointSlope
from mfdsl.compiler.analysis.slopes.search import Found
from mfdsl.compiler.analysis.slopes.tape import BOOLEAN, Tape
from mfdsl.compiler.ir.build import TooManyNodes
from mfdsl.compiler.ir.model import Node, Place

Problem = LawSlope | PointSlope
SEGMENTS = 6
PLACES = 6  # grid points at which segments are tried
REACH = 10.0  # where a variable has no bounds
CLOSE = 1e-9  # of the argument of a pole to 0
POLES = ("log", "xlogx", "sqrt", "pow", "div")
APART = {op: 0.0 for op in (*BOOLEAN, "ind", "floor", "ceil", "round", "lookup", *GRID_RULES)}
APART |= {"rem": 1e-3, "atan2": 1.0}  # how far apart the sides of a jump are
FIXES = {
    "log": "keep its argument away from 0: `log(... + eps)` has slope at most 1/eps",
    "xlogx": "keep its argument away from 0: `log(... + eps)`",
    "sqrt": "keep its argument away from 0: `sqrt(... + eps)`",
    "pow": "keep the base away from 0, or raise the exponent to at least 1",
    "div": "keep the divisor away from 0: `max(..., eps)`",
    "floor": "round at random: `noise r : int ~ dither(...)`",
    "round": "round at random: `noise r : int ~ dither(...)`",
    "ceil": "round at random: `noise r : int ~ dither(...)`",
    "ind": "use a ramp in the place of the condition: `clip((a - b) / width, 0, 1)`",
    "if": "let both branches meet where the condition changes, or use a ramp",
}


@dataclass(frozen=True)
class Gap:
    """Why there is no constant, or none is shown: `certain` when there is none."""

    text: str
    place: Place | None
    certain: bool
    slope: float
    fix: str | None = None
    witness: Witness | None = None


def gap_of(
    problem: Problem, found: Found, places: Sequence[Place | None], seconds: float = 1.0
) -> Gap | None:
    """The gap of a problem after its search, None where everything is continuous."""
    deadline = time.perf_counter() + seconds
    joints = {i for i in sorted(problem.joints) if not continuous_at(problem.tape, i, deadline)}
    infinite = not np.isfinite(found.upper)
    if not joints and not infinite:
        return None
    problem.deadline = deadline
    steep, ends = steepest(problem, deadline)
    blamed = culprit(problem, found, joints)
    op = problem.tape.steps[blamed].op if blamed is not None else ""
    place = _place(problem.tape, blamed, places)
    if steep is not None and steep.steep:
        if (steep.jump and flips(problem.tape, ends)) or reaches(problem.tape, ends, blamed, CLOSE):
            return _cliff_gap(steep, op, place)
    if infinite and blamed is not None and pole_at(problem, found, blamed):
        if (
            steep is not None
            and steep.growing
            and reaches(problem.tape, ends, blamed, CLOSE if steep.steep else 0.0)
        ):
            text = f"the slope of `{_written(op)}` grows without end towards the edge of its domain"
            return Gap(text, place, True, found.lower, FIXES.get("ind" if op in BOOLEAN else op))
        if not np.isfinite([*found.worst.lo[0], *found.worst.hi[0]]).all():
            text = "grows faster than linearly where a variable has no bounds"
            return Gap(text, place, False, 0.0, "bound the variable: `real in [lo, hi]`")
    if joints:
        return Gap("the branches were not shown to meet", place, False, 0.0, FIXES["if"])
    text = f"no bound for the slope of `{_written(op)}`" if op else "no bound was found"
    return Gap(text, place, False, 0.0, FIXES.get("ind" if op in BOOLEAN else op))


def _cliff_gap(cliff: Cliff, op: str, place: Place | None) -> Gap:
    if cliff.gap >= BOUNDLESS:
        return Gap("the value itself grows without end", place, True, 0.0, FIXES.get(op))
    width, slope = cliff.slopes[-1]
    if cliff.jump:
        text = f"jumps by {cliff.gap:.3g} (slope {slope:.2g} across {width:.1e})"
    else:
        text = f"the slope grows without end ({slope:.2g} across {width:.1e})"
    evidence: Witness = {"change": slope * width, "distance": width}
    return Gap(text, place, True, slope, FIXES.get("ind" if op in BOOLEAN else op), evidence)


def _written(op: str) -> str:
    if op in BOOLEAN:
        return "a condition"
    return {"xlogx": "log", "ind": "a condition", "pow": "^", "div": "/"}.get(op, op)


def _place(tape: Tape, step: int | None, places: Sequence[Place | None]) -> Place | None:
    if step is None:
        return None
    node = tape.steps[step].node
    if tape.steps[step].op == "if":
        node = tape.facts.nodes[node].args[0]
    return places[node] if 0 <= node < len(places) else None


def continuous_at(tape: Tape, step: int, deadline: float) -> bool:
    """Whether both branches of an `if` are proved equal wherever its condition changes.

    They are if their difference is a multiple of `a - b` for every comparison of a and b that the
    condition has, and nothing in it is unbounded there.
    """
    from mfdsl.compiler.analysis.symbolic.identities import divides
    from mfdsl.compiler.analysis.symbolic.terms import UnsupportedError, difference, written_out

    nodes = tape.facts.nodes
    condition, one, other = nodes[tape.steps[step].node].args
    compared = _comparisons(nodes, condition)
    if compared is None:
        return False
    roots = [one, other, *(side for pair in compared for side in pair)]
    try:
        terms, found = written_out(tape.facts, roots, bind=True)
    except (UnsupportedError, TooManyNodes):
        return False
    apart = difference(terms, found[0], found[1])
    for k in range(len(compared)):
        guard = difference(terms, found[2 + 2 * k], found[3 + 2 * k])
        left = deadline - time.perf_counter()
        if left <= 0:
            return False
        answer = divides(terms, guard, apart, seconds=left)
        if not answer.divides or answer.nonzero or answer.positive:
            return False
    return True


def _comparisons(nodes: Sequence[Node], condition: int) -> list[tuple[int, int]] | None:
    """The sides of all comparisons below a condition; None where it is more than those."""
    found, waiting = [], [condition]
    while waiting:
        node = nodes[waiting.pop()]
        if node.op in ("lt", "le"):
            found.append((node.args[0], node.args[1]))
        elif node.op in ("and", "or", "not"):
            waiting.extend(node.args)
        else:
            return None
    return found


def culprit(problem: Problem, found: Found, joints: set[int]) -> int | None:
    """The first step without a finite slope whose arguments all have one."""
    row = found.worst.take(np.arange(1))
    forward = _forward(problem, row)
    forward.tangent(problem.tape.roots[0])
    for i, step in enumerate(problem.tape.steps):
        rate = forward.tangents.get(i)
        if rate is None or _finite(rate):
            continue
        if all(_finite(forward.tangents.get(a)) for a in step.args):
            return i
    return min(joints, default=None)


def _finite(rate: Interval | None) -> bool:
    return rate is None or bool(np.isfinite(rate.lo).all() and np.isfinite(rate.hi).all())


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
    rest, lead = _forward(problem, row, cut=pole), _forward(problem, row, lead=pole)
    inner = rest.tangent(step.args[-1 if step.op == "div" else 0])
    for root in tape.roots:
        left, factor = rest.tangent(root), lead.tangent(root)
        if inner is None or factor is None or not _finite(left) or not _finite(factor):
            continue
        away = _away(inner) & _away(factor)
        if np.any(away):
            return True
    return False


def flips(tape: Tape, ends: Sequence[Forward]) -> bool:
    """Whether a step that jumps has different values on both sides of a cliff."""
    for i, step in enumerate(tape.steps):
        least = APART.get(step.op)
        if least is None or any(i not in end.values for end in ends):
            continue
        one, other = (end.values[i] for end in ends)
        if np.any((one.lo - other.hi > least) | (other.lo - one.hi > least)):
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


def steepest(problem: Problem, deadline: float) -> tuple[Cliff | None, Sequence[Forward]]:
    """The cliff with the steepest end, on segments through the domain, and passes at its sides."""
    best: Cliff | None = None
    ends: Sequence[Forward] = ()
    for at, length in _segments(problem, deadline):
        if time.perf_counter() > deadline:
            break
        cliff = climb(_root_values(problem.tape, at), length, deadline)
        if cliff is not None and (best is None or cliff.slopes[-1][1] > best.slopes[-1][1]):
            best, ends = cliff, [at(cliff.at), at(cliff.at + cliff.width / length)]
            for end in ends:
                for root in problem.tape.roots:
                    end.value(root)
        if best is not None and best.jump and best.steep:
            break
    return best, ends


def _root_values(
    tape: Tape, at: Callable[[float], Forward]
) -> Callable[[float], Sequence[Interval]]:
    def value(share: float) -> list[Interval]:
        forward = at(share)
        return [forward.value(root) for root in tape.roots]

    return value


Segment = tuple[Callable[[float], Forward], float]
"""A pass at each point of a segment, by its share of the way, and the length of the segment."""


def _segments(problem: Problem, deadline: float) -> Iterator[Segment]:
    """Segments through the domain at the grid points with the largest bounds."""
    rows = root_rows(problem.tape)
    upper = problem.bound(rows)
    order = np.argsort(-np.nan_to_num(upper, posinf=1e300), kind="stable")
    spread = order[np.linspace(0, len(order) - 1, min(PLACES, len(order))).astype(int)]
    for k in dict.fromkeys([*order[: PLACES // 2], *spread]):
        if time.perf_counter() > deadline:
            return
        row = rows.take(np.array([k]))
        if isinstance(problem, LawSlope):
            yield from _law_segments(problem, row)
        else:
            yield from _point_segments(problem, row, deadline)


def _law_segments(problem: LawSlope, row: Rows) -> list[Segment]:
    laws = {name: sample_laws(members(space)) for name, space in problem.spaces.items()}
    own = laws[problem.population]
    middle = middle_of(row, problem.tape)
    at = Rows(row.places, middle, middle)
    others = {n: law[len(law) // 2][None] for n, law in laws.items() if n != problem.population}

    def at_laws(law: Array) -> Forward:
        tiled = at.take(np.zeros(len(law), dtype=np.int64))
        here = {n: np.repeat(w, len(law), 0) for n, w in others.items()}
        return Forward(
            problem.tape,
            tiled,
            problem.directions.moves(problem.tape, tiled),
            here | {problem.population: law},
            problem.spaces,
        )

    still = at_laws(own)
    values = [still.value(root) for root in problem.tape.roots]
    count = len(own)
    low, high = (
        np.array([np.broadcast_to(e.reshape(len(e), -1)[:, 0], (count,)) for e in ends])
        for ends in ([v.lo for v in values], [v.hi for v in values])
    )
    one, other = np.triu_indices(count, 1)
    distance = np.abs(own[one] - own[other]).sum(1)
    with np.errstate(over="ignore", invalid="ignore"):
        apart = np.maximum(low[:, one] - high[:, other], low[:, other] - high[:, one])
        moved = np.nan_to_num(np.maximum(apart, 0.0), posinf=1e300).sum(0)
        order = np.argsort(-moved / np.maximum(distance, 1e-9))[:SEGMENTS]

    def segment(a: Array, b: Array) -> Segment:
        def at_share(share: float) -> Forward:
            return at_laws(((1 - share) * a + share * b)[None])

        return at_share, float(np.abs(a - b).sum())

    return [segment(own[one[k]], own[other[k]]) for k in order if distance[k] > 0]


def _point_segments(problem: PointSlope, row: Rows, deadline: float) -> list[Segment]:
    source = np.random.default_rng(0)
    lo, hi = row.lo[0], row.hi[0]
    lo = np.where(np.isfinite(lo), lo, np.where(np.isfinite(hi), hi - 2 * REACH, -REACH))
    hi = np.where(np.isfinite(hi), hi, lo + 2 * REACH)
    moving = list(problem.moving)
    laws = problem.even_laws(row)
    found = []

    def at_point(point: Array) -> Forward:
        return problem.at(Rows(row.places, point[None], point[None]), laws)

    def values_at(point: Array) -> Sequence[Interval]:
        return _root_values(problem.tape, lambda _: at_point(point))(0.0)

    whole = np.array([c.whole for c in problem.tape.coordinates], bool)
    for _ in range(64):
        if time.perf_counter() > deadline:
            break
        both = lo + source.random((2, len(lo))) * (hi - lo)
        start, end = in_balls(np.where(whole, np.floor(both), both), problem.tape)
        end = np.where(np.isin(np.arange(len(lo)), moving), end, start)
        length = float(np.linalg.norm(end - start))
        if length:
            found.append((start, end, length, change(values_at(start), values_at(end))))
    found.sort(key=lambda f: -f[3] / f[2])

    def segment(start: Array, end: Array, length: float) -> Segment:
        return (lambda share: at_point((1 - share) * start + share * end)), length

    return [segment(a, b, length) for a, b, length, _ in found[:SEGMENTS]]
