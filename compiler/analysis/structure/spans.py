"""Linear spans of vectors of fractions, in reduced echelon form: equal spans are equal tuples."""

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import TypeVar

Place = TypeVar("Place")
Vector = Mapping[int, Fraction]  # entries that are not 0, by position
Span = tuple[tuple[tuple[int, Fraction], ...], ...]


def span_of(vectors: Iterable[Vector]) -> Span:
    """The basis of the span with pivots 1, in the order of the pivots (Gauss and Jordan)."""
    rows: dict[int, dict[int, Fraction]] = {}
    for vector in vectors:
        row = _reduced({k: v for k, v in vector.items() if v}, rows)
        if not row:
            continue
        pivot = min(row)
        head = row[pivot]
        row = {k: v / head for k, v in row.items()}
        for other in rows.values():
            if pivot in other:
                add_to(other, row, -other[pivot])
        rows[pivot] = row
    return tuple(tuple(sorted(rows[pivot].items())) for pivot in sorted(rows))


def _reduced(row: dict[int, Fraction], rows: Mapping[int, Vector]) -> dict[int, Fraction]:
    """A vector without its entries at the pivots of `rows`."""
    for pivot in [k for k in row if k in rows]:
        add_to(row, rows[pivot], -row[pivot])
    return row


def add_to(
    total: dict[Place, Fraction], vector: Mapping[Place, Fraction], factor: Fraction
) -> None:
    """Add a multiple of a vector in place; what cancels is dropped."""
    for k, v in vector.items():
        value = total.get(k, Fraction(0)) + factor * v
        if value:
            total[k] = value
        else:
            total.pop(k, None)


def simplex_span(places: Iterable[int]) -> Span:
    """The vectors over some places that sum to 0."""
    found = sorted(set(places))
    one = Fraction(1)
    return tuple(((k, one), (found[-1], -one)) for k in found[:-1])
