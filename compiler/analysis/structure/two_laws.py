"""Two laws at which an expression differs, evaluated in decimal intervals."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from mfdsl.compiler.analysis.certificate import Reason, Verdict, Witness
from mfdsl.compiler.analysis.counted import late
from mfdsl.compiler.analysis.structure.legal import Mask, legal_part
from mfdsl.compiler.analysis.structure.stages import (
    is_of_law,
)
from mfdsl.compiler.analysis.symbolic.decimals import Range, UndefinedError
from mfdsl.compiler.analysis.symbolic.evaluation import Law, Point, value_at
from mfdsl.compiler.analysis.symbolic.points import own_of_members, points, shown
from mfdsl.compiler.analysis.symbolic.polynomials import polynomials
from mfdsl.compiler.analysis.symbolic.terms import Terms
from mfdsl.compiler.ir.walk import reachable

POINTS = 24

Decision = tuple[Verdict, str, Reason | None, Witness | None, str | None]


def moves(terms: Terms, root: int, laws: frozenset[str] | None) -> bool:
    """Whether the normal form of a term has a factor that reads a law."""
    found = polynomials(terms, [root], opaque=True)
    assert found is not None
    used = {
        v
        for exponents in found[0].terms
        for v, e in zip(found[0].variables, exponents, strict=True)
        if e
    }
    return any(is_of_law(terms.nodes[i], laws) for i in reachable(terms.nodes, used))


@dataclass(frozen=True)
class Varied:
    """Which laws two points may differ in (None: all), and the masks of all populations."""

    masks: Mapping[str, Mask | None]
    laws: frozenset[str] | None
    deadline: float


def two_laws(
    terms: Terms, roots: Sequence[int], where: Sequence[int], varied: Varied
) -> Witness | None:
    """Two laws at which one of the terms differs, at a legal point."""
    for here, laws in law_pairs(terms, [*roots, *where], varied):
        for root in roots:
            try:
                if any(value_at(terms, c, here)[0] < 1 for c in where):
                    continue
                one = value_at(terms, root, here)
                other = value_at(terms, root, Point(here.own, laws))
            except UndefinedError:
                continue
            if apart(one, other):
                return witness_of(here, laws, one, other)
    return None


def law_pairs(
    terms: Terms, roots: Sequence[int], varied: Varied
) -> Iterator[tuple[Point, Mapping[str, Law]]]:
    """Points, each with a second law: another one, or all members as oneself is. Members of laws
    have legal actions.
    """
    for one, others in _any_pairs(terms, roots):
        if late(varied.deadline):
            return
        first, second = legal_part(varied.masks, one.laws), legal_part(varied.masks, others)
        if first is not None and second is not None:
            if varied.laws is not None:
                second = {n: second[n] if n in varied.laws else first[n] for n in first}
            yield Point(one.own, first), second


def _any_pairs(terms: Terms, roots: Sequence[int]) -> Iterator[tuple[Point, Mapping[str, Law]]]:
    twins = own_of_members(terms, roots)
    for one, other in pairwise(points(terms, roots, POINTS)):
        yield one, other.laws
        alike: dict[str, Law] = {}
        for name, law in one.laws.items():
            mine = {key: one.own[twin] for key, twin in twins[name].items()}
            alike[name] = [(Fraction(1), {**law[0][1], **mine})]
        yield one, alike


def apart(one: Range, other: Range) -> bool:
    """Whether two enclosed numbers differ for certain."""
    return one[1] < other[0] or other[1] < one[0]


def witness_of(here: Point, laws: Mapping[str, Law], one: Range, other: Range) -> Witness:
    """A point, other laws, and the values at both."""
    found: Witness = dict(shown(here))
    second = shown(Point({}, laws))
    found |= {f"other {name}": text for name, text in second.items()}
    return found | {"value": float(one[0]), "other value": float(other[0])}
