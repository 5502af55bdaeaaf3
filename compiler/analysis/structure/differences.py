"""Differences of high order along a line: what no polynomial of a lower degree has.

A polynomial of degree d in own variables and means of members, along a line of values on which laws
are mixed, or all members move by one vector, is one of degree d in the place on the line: its
difference of order d + 1 is 0.
"""

from collections.abc import Callable, Mapping
from fractions import Fraction
from itertools import pairwise
from math import comb

from mfdsl.compiler.analysis.certificate import Witness
from mfdsl.compiler.analysis.opened import OWNER
from mfdsl.compiler.analysis.symbolic import decimals
from mfdsl.compiler.analysis.symbolic.decimals import UndefinedError
from mfdsl.compiler.analysis.symbolic.evaluation import Key, Law, Point, value_at
from mfdsl.compiler.analysis.symbolic.points import points, shown
from mfdsl.compiler.analysis.symbolic.terms import Terms, UnsupportedError

LINES = 10
Way = Callable[[Law, Law, Fraction], Law]
FIXED = ("time", "param")


def line_difference(terms: Terms, root: int, order: int) -> Witness | None:
    """Ends of a line along which the difference of this order is not 0, None where none is found.

    Variables are taken as real ones; time stays the same.
    """
    try:
        for start, end in pairwise(points(terms, (root,), LINES)):
            for way in (_mixed, _shifted):
                found = _difference(terms, root, order, start, end, way)
                if found is not None and (found[0] > 0 or found[1] < 0):
                    return {
                        **{f"from {k}": v for k, v in shown(start).items()},
                        **{f"to {k}": v for k, v in shown(end).items()},
                        "laws": "mixed" if way is _mixed else "shifted",
                        f"difference of order {order}": float(found[0]),
                    }
    except UnsupportedError:
        return None
    return None


def _difference(
    terms: Terms, root: int, order: int, start: Point, end: Point, way: Way
) -> decimals.Range | None:
    parts = []
    for k in range(order + 1):
        share = Fraction(k, order)
        own: dict[Key, Fraction] = {
            key: value if _is_fixed(key) else value + share * (end.own[key] - value)
            for key, value in start.own.items()
        }
        laws = {name: way(law, end.laws[name], share) for name, law in start.laws.items()}
        try:
            value = value_at(terms, root, Point(own, laws))
        except UndefinedError:
            return None
        weight = decimals.enclosed(Fraction(comb(order, k) * (-1) ** (order - k)))
        parts.append(decimals.multiply(weight, value))
    return decimals.add(*parts)


def _is_fixed(key: Key) -> bool:
    return key[0] in FIXED or key[1].startswith(f"{OWNER}.")


def _mixed(one: Law, other: Law, share: Fraction) -> Law:
    """The mixture of two laws."""
    first: list[tuple[Fraction, Mapping[Key, Fraction]]] = [
        ((1 - share) * mass, member) for mass, member in one if share < 1
    ]
    return first + [(share * mass, member) for mass, member in other if share]


def _shifted(one: Law, other: Law, share: Fraction) -> Law:
    """All members moved by a share of the way from the first of one law to that of the other."""
    first, last = one[0][1], other[0][1]
    return [
        (mass, {key: value + share * (last[key] - first[key]) for key, value in member.items()})
        for mass, member in one
    ]
