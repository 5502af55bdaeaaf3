"""Trees of boxes: which cuts lead from the first boxes to the leaves of a search.

Codes of cuts stand level by level, in each level first all left halves of the level above, then all
right ones.
"""

from collections.abc import Sequence

import numpy as np

from mfdsl.compiler.analysis.intervals import Array
from mfdsl.compiler.analysis.slopes.forward import Rows
from mfdsl.compiler.analysis.slopes.search import Leaves

LEAF, EMPTY = -1, -2


class CutError(ValueError):
    """Boxes that no cuts lead to, or codes that are no cuts; the text says which."""


def cuts_to(leaves: Leaves, first: Rows, whole: np.ndarray) -> np.ndarray:
    """The codes of a tree that has these leaves below the `first` boxes.

    Raises:
        CutError: the leaves do not come from halving the first boxes.
    """
    codes: list[int] = []
    level = list(zip(first.lo, first.hi, _below(leaves, first), strict=True))
    while level:
        lefts, rights = [], []
        for lo, hi, inside in level:
            code = _code(leaves, lo, hi, inside, whole)
            codes.append(code)
            if code < 0:
                continue
            left_end, right_end = _ends(lo[code], hi[code], bool(whole[code]))
            goes_left = leaves.rows.hi[inside, code] <= left_end
            one, other = hi.copy(), lo.copy()
            one[code], other[code] = left_end, right_end
            lefts.append((lo, one, inside[goes_left]))
            rights.append((other, hi, inside[~goes_left]))
        level = [*lefts, *rights]
    return np.array(codes, dtype=np.int16)


def _below(leaves: Leaves, first: Rows) -> list[np.ndarray]:
    """The leaves at the place of each first box."""
    found: dict[bytes, list[int]] = {}
    for k, place in enumerate(leaves.rows.places.astype(np.int64)):
        found.setdefault(place.tobytes(), []).append(k)
    places = first.places.astype(np.int64)
    return [np.array(found.get(place.tobytes(), []), dtype=np.int64) for place in places]


def _code(leaves: Leaves, lo: Array, hi: Array, inside: np.ndarray, whole: np.ndarray) -> int:
    if not len(inside):
        raise CutError("a part of the domain has no leaf")
    los, his = leaves.rows.lo[inside], leaves.rows.hi[inside]
    if len(inside) == 1 and np.array_equal(los[0], lo) and np.array_equal(his[0], hi):
        return EMPTY if leaves.empty[inside[0]] else LEAF
    with np.errstate(invalid="ignore"):
        order = np.argsort(-(hi - lo), kind="stable")
    for k in map(int, order):
        left_end, right_end = _ends(lo[k], hi[k], bool(whole[k]))
        left, right = his[:, k] <= left_end, los[:, k] >= right_end
        if np.isfinite(left_end) and left.any() and right.any() and np.all(left ^ right):
            return k
    raise CutError("a box was not cut in halves")


def _ends(lo: float, hi: float, whole: bool) -> tuple[float, float]:
    """The upper end of the left half, and the lower end of the right one."""
    with np.errstate(over="ignore", invalid="ignore"):
        middle = lo / 2 + hi / 2
    return (np.floor(middle), np.floor(middle) + 1) if whole else (middle, middle)


def halves(rows: Rows, along: np.ndarray, whole: np.ndarray, fixed: Sequence[int]) -> Rows:
    """Both halves of each box along its coordinate, left ones first. What lies in a box lies in one
    of its halves.

    Raises:
        CutError: a coordinate that is not there, is `fixed`, or has no end.
    """
    if np.any(along >= rows.lo.shape[1]) or np.any(np.isin(along, list(fixed))):
        raise CutError("a cut along a coordinate that has none")
    at = np.arange(len(rows))
    lo, hi = rows.lo[at, along], rows.hi[at, along]
    if not (np.isfinite(lo) & np.isfinite(hi) & (lo < hi)).all():
        raise CutError("a cut through a side that has no middle")
    middle = lo / 2 + hi / 2
    left_end = np.where(whole[along], np.floor(middle), middle)
    right_end = np.where(whole[along], np.floor(middle) + 1, middle)
    one, other = rows.hi.copy(), rows.lo.copy()
    one[at, along], other[at, along] = left_end, right_end
    return Rows(
        np.concatenate([rows.places, rows.places]),
        np.concatenate([rows.lo, other]),
        np.concatenate([one, rows.hi]),
    )
