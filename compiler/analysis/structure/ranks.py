"""Linear independence of functions of own variables, exactly, from their values at points.

If 1 and the functions m are independent, integrals of m over signed measures of mass 0 fill all of
the space, so that a matrix that is not symmetric is so on moves of mass, too.
"""

import random
from collections.abc import Sequence
from fractions import Fraction

from mfdsl.compiler.analysis.structure.spans import span_of
from mfdsl.compiler.analysis.symbolic.decimals import UndefinedError
from mfdsl.compiler.analysis.symbolic.evaluation import Key, Point, leaf_key, value_at
from mfdsl.compiler.analysis.symbolic.terms import Terms, UnsupportedError, entry_type
from mfdsl.compiler.ir.types import Type
from mfdsl.compiler.ir.walk import reachable

STEPS = 8  # values of a real variable between its ends
REACH = 4  # and its distance from 0 where it has none
MORE = 6  # points for each function

Monomial = tuple[tuple[int, int], ...]  # factors: term, exponent


def independent(terms: Terms, monomials: Sequence[Monomial]) -> bool:
    """Whether 1 and the monomials are seen to be independent at points of their variables."""
    leaves: dict[Key, Type] = {}
    for i in reachable(terms.nodes, [v for monomial in monomials for v, _ in monomial]):
        key, node = leaf_key(terms, i), terms.nodes[i]
        if key is None or key[0] not in ("state", "trait", "action"):
            continue
        type_ = terms.builder.type_of(node.args[0] if node.op == "element" else i)
        if len(key[2]) == len(type_.dims):  # not an array, of which entries are read
            leaves[key] = entry_type(type_, key[2]) if key[2] else type_
    chance = random.Random(0)
    rows = []
    try:
        for _ in range(MORE * (len(monomials) + 1)):
            own = {key: _drawn(type_, chance) for key, type_ in leaves.items()}
            rows.append(_row(terms, monomials, own))
    except (UndefinedError, UnsupportedError):
        return False
    return len(span_of(rows)) == len(monomials) + 1


def _drawn(type_: Type, chance: random.Random) -> Fraction:
    if type_.finite:
        return Fraction(chance.randrange(type_.first, type_.first + type_.size))
    lo = Fraction(-REACH if type_.lo is None else type_.lo)
    hi = Fraction(lo + 2 * REACH if type_.hi is None else type_.hi)
    return lo + (hi - lo) * chance.randint(0, STEPS) / STEPS


def _row(
    terms: Terms, monomials: Sequence[Monomial], own: dict[Key, Fraction]
) -> dict[int, Fraction]:
    """The values of 1 and the monomials at a point.

    Raises:
        UndefinedError: one is not an exact number there.
    """
    found = {0: Fraction(1)}
    known: dict[int, Fraction] = {}
    for k, monomial in enumerate(monomials, 1):
        value = Fraction(1)
        for v, e in monomial:
            if v not in known:
                lo, hi = value_at(terms, v, Point(own))
                if lo != hi:
                    raise UndefinedError("a value that is not exact")
                known[v] = Fraction(lo)
            value *= known[v] ** e
        found[k] = value
    return found
