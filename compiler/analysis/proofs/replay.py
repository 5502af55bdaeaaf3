"""Searches answered from a proof: every leaf bounded again in one pass, nothing looked for."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from mfdsl.compiler.analysis.intervals import Array
from mfdsl.compiler.analysis.proofs.attained import OutsideError, again
from mfdsl.compiler.analysis.proofs.fingerprint import Problem, fingerprint
from mfdsl.compiler.analysis.proofs.packing import PackingError, unpack
from mfdsl.compiler.analysis.proofs.proof import Searched
from mfdsl.compiler.analysis.proofs.tree import EMPTY, LEAF, CutError, halves
from mfdsl.compiler.analysis.slopes.domain import STILL, feasible_in, root_rows
from mfdsl.compiler.analysis.slopes.forward import Forward, Rows
from mfdsl.compiler.analysis.slopes.search import Budget, Found, joined_rows, split, splittable
from mfdsl.compiler.analysis.slopes.tape import Unsupported
from mfdsl.compiler.analysis.slopes.value import LargestValue

PASS = 4096  # boxes of one pass
ROUNDS = 8  # of splits of leaves whose bound is too large now
MOST = 20_000  # boxes that such splits may make
NARROWEST = 1e-12  # of a box that may be split, relative to the first


class ReplayError(ValueError):
    """A proof that does not show what it is of; the text says why."""


@dataclass(frozen=True)
class Replayer:
    """Answers problems from what was kept of their searches."""

    searches: Mapping[str, Searched]

    def __call__(self, problem: Problem, budget: Budget) -> Found:
        """Both bounds of a problem, in the place of `Problem.found`.

        Raises:
            ReplayError: what was kept does not give the bound that it claims.
            Unsupported: nothing was kept of this problem.
        """
        kept = self.searches.get(fingerprint(problem))
        if kept is None:
            raise Unsupported("no search of it was kept")
        rows = root_rows(problem.tape)
        try:
            upper, boxes, worst = _bounded(problem, rows, kept)
            lower = _certain(problem, rows)
            if kept.attained is not None:
                lower = max(lower, again(problem, kept.attained))
        except (CutError, PackingError, OutsideError) as error:
            raise ReplayError(str(error)) from None
        if lower > upper:
            raise ReplayError(f"{lower!r} is attained above the bound {upper!r}")
        return Found(lower, upper, boxes, True, worst)


def _bounded(problem: Problem, rows: Rows, kept: Searched) -> tuple[float, int, Rows]:
    """The largest bound of the leaves, their number, and the leaf that has it."""
    top = np.inf if kept.upper is None else kept.upper
    if kept.cuts is None:
        parts = [(rows, bounds_of(problem, rows))]
    else:
        parts = list(leaves(problem, rows, unpack(kept.cuts).astype(np.int64)))
    best, worst, boxes = -np.inf, rows.take(np.arange(min(1, len(rows)))), 0
    for part, bounds in parts:
        sharp, upper = _sharpened(problem, rows, part, bounds, top)
        boxes += len(sharp)
        if len(sharp) and upper.max() > best:
            best, worst = float(upper.max()), sharp.take(np.argsort(-upper)[:1])
    if best > top:
        raise ReplayError(f"a box has the bound {best!r}, above {top!r}")
    return best, boxes, worst


def leaves(problem: Problem, rows: Rows, cuts: np.ndarray) -> Iterator[tuple[Rows, Array]]:
    """The leaves of a tree below some rows with their bounds, each at most that of any box that it
    is a part of. Together with boxes that hold no point of the domain they cover the rows.

    Raises:
        CutError: the codes do not fit the rows, or a box is called empty that may not be.
    """
    tape, at = problem.tape, 0
    whole = np.array([c.whole for c in tape.coordinates], bool)
    above = np.full(len(rows), np.inf)
    while len(rows):
        codes = cuts[at : at + len(rows)]
        at += len(rows)
        if len(codes) < len(rows):
            raise CutError("the tree ends before its leaves")
        if np.any(codes < EMPTY):
            raise CutError("a code that means nothing")
        empty = codes == EMPTY
        if empty.any() and feasible_in(tape, problem.templates, rows.take(empty)).any():
            raise CutError("a box that is called empty may hold a point of the domain")
        rows, codes, above = rows.take(~empty), codes[~empty], above[~empty]
        upper = np.minimum(above, bounds_of(problem, rows))
        leaf = codes == LEAF
        yield rows.take(leaf), upper[leaf]
        rows = halves(rows.take(~leaf), codes[~leaf], whole, sorted(tape.several))
        above = np.tile(upper[~leaf], 2)
    if at != len(cuts):
        raise CutError("the tree goes on after its leaves")


def bounds_of(problem: Problem, rows: Rows) -> Array:
    """An upper bound of each row, in passes that fit into memory; inf where there is none."""
    found = [np.zeros(0)]
    for start in range(0, len(rows), PASS):
        part = rows.take(np.arange(start, min(start + PASS, len(rows))))
        if isinstance(problem, LargestValue):
            found.append(_values(problem, part)[1])
        else:
            found.append(problem.bound(part))
    upper = np.concatenate(found)
    return np.where(np.isnan(upper), np.inf, upper)


def _values(problem: LargestValue, rows: Rows) -> tuple[Array, Array]:
    forward = Forward(problem.tape, rows, STILL, None, problem.spaces)
    value = forward.value(problem.tape.roots[0])
    shape = (len(rows), *(1,) * len(problem.tape.inner))
    lo, hi = (np.broadcast_to(end, shape).reshape(len(rows)) for end in (value.lo, value.hi))
    return (-hi, -lo) if problem.least else (lo, hi)


def _certain(problem: Problem, rows: Rows) -> float:
    """What holds without a witness: slopes are not negative, values above the least of any row."""
    if not isinstance(problem, LargestValue):
        return 0.0
    lower = float(_values(problem, rows)[0].min())
    return -np.inf if np.isnan(lower) else lower


def _sharpened(
    problem: Problem, first: Rows, rows: Rows, upper: Array, top: float
) -> tuple[Rows, Array]:
    """Leaves, and halves of those whose bound is above `top`, a few times over."""
    tape = problem.tape
    whole = np.array([c.whole for c in tape.coordinates], bool)
    sizes = np.maximum(first.hi - first.lo, 0.0).max(0)
    sizes[..., list(tape.several)] = 0.0
    for _ in range(ROUNDS):
        high = upper > top
        high[high] = splittable(rows.take(high), sizes, NARROWEST, whole)
        if not high.any() or 2 * high.sum() > MOST:
            break
        parts, above = split(rows.take(high), sizes, whole), np.tile(upper[high], 2)
        possible = feasible_in(tape, problem.templates, parts)
        parts, above = parts.take(possible), above[possible]
        rows = joined_rows(rows.take(~high), parts)
        upper = np.concatenate([upper[~high], np.minimum(above, bounds_of(problem, parts))])
    return rows, upper


def replayer_of(searches: Iterable[Searched]) -> Replayer:
    """A replayer of some searches."""
    return Replayer({s.problem: s for s in searches})
