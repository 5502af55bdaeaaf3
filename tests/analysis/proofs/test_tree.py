"""Trees of boxes: leaves of random halvings are found again, gaps and wrong cuts are seen."""

import numpy as np
import pytest

from mfdsl.compiler.analysis.proofs.tree import EMPTY, LEAF, CutError, cuts_to, halves
from mfdsl.compiler.analysis.slopes.forward import Rows
from mfdsl.compiler.analysis.slopes.search import Leaves

WHOLE = np.array([False, True, False])


def first() -> Rows:
    """Two boxes at two places: two real sides and one of whole numbers."""
    lo = np.array([[0.0, 0.0, -1.0], [0.5, 3.0, -2.0]])
    hi = np.array([[1.0, 6.0, 1.0], [2.0, 10.0, 0.0]])
    return Rows(np.array([[0], [1]]), lo, hi)


def grown(seed: int) -> tuple[Leaves, list[int]]:
    """Leaves of a random tree, and its codes."""
    random = np.random.default_rng(seed)
    level, codes, parts, empty = first(), [], [], []
    while len(level):
        wide = level.hi > level.lo
        along = np.array([random.choice(np.flatnonzero(w)) for w in wide])
        ends = np.where(random.random(len(level)) < 0.3, EMPTY, LEAF)
        here = np.where((random.random(len(level)) < 0.6) & (len(codes) < 60), along, ends)
        codes += here.tolist()
        parts.append(level.take(here < 0))
        empty += (here[here < 0] == EMPTY).tolist()
        level = halves(level.take(here >= 0), here[here >= 0], WHOLE, [])
    rows = Rows(*(np.concatenate([getattr(p, e) for p in parts]) for e in ("places", "lo", "hi")))
    shuffled = random.permutation(len(rows))
    return Leaves(rows.take(shuffled), np.zeros(len(rows)), np.array(empty)[shuffled]), codes


def volume(rows: Rows) -> float:
    """The volume, where whole numbers count as boxes of length 1."""
    return float(np.prod(rows.hi - rows.lo + WHOLE, axis=1).sum())


@pytest.mark.parametrize("seed", range(20))
def test_leaves_are_found_again(seed: int) -> None:
    leaves, codes = grown(seed)
    assert volume(leaves.rows) == pytest.approx(volume(first()), rel=1e-12)
    found = cuts_to(leaves, first(), WHOLE)
    assert (found < 0).sum() == len(leaves.rows)
    assert (found == EMPTY).sum() == leaves.empty.sum()
    assert len(found) == len(codes)


@pytest.mark.parametrize("seed", range(20))
def test_a_leaf_that_is_left_out_is_seen(seed: int) -> None:
    leaves, _ = grown(seed)
    rest = np.arange(len(leaves.rows)) != seed % len(leaves.rows)
    less = Leaves(leaves.rows.take(rest), leaves.upper[rest], leaves.empty[rest])
    with pytest.raises(CutError):
        cuts_to(less, first(), WHOLE)


def test_a_box_that_was_shrunk_is_seen() -> None:
    leaves, _ = grown(3)
    leaves.rows.hi[0] -= 1e-9
    with pytest.raises(CutError):
        cuts_to(leaves, first(), WHOLE)


def test_halves_of_whole_numbers_have_none_twice() -> None:
    rows = halves(first(), np.array([1, 1]), WHOLE, [])
    assert rows.hi[:, 1].tolist() == [3.0, 6.0, 6.0, 10.0]
    assert rows.lo[:, 1].tolist() == [0.0, 3.0, 4.0, 7.0]


@pytest.mark.parametrize("along", [0, 3])
def test_sides_that_stand_for_several_numbers_are_not_cut(along: int) -> None:
    """A box of two members of a law, each anywhere in it, is more than both of its halves."""
    with pytest.raises(CutError, match="along a coordinate that has none"):
        halves(first(), np.array([along, along]), WHOLE, [0])


@pytest.mark.parametrize("end", [np.inf, 0.0, np.nan])
def test_sides_without_a_middle_are_not_cut(end: float) -> None:
    rows = first()
    rows.hi[0, 0] = end
    with pytest.raises(CutError, match="no middle"):
        halves(rows, np.array([0, 0]), WHOLE, [])
