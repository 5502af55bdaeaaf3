"""A second look at a bound that enclosures, operator by operator, did not show.

Of `4 * m * (1 - m)` they know that its factors are at most 4 and 1. Where a value occurs twice,
polynomials are bounded by their Bernstein coefficients (Garloff 1985), exactly, so that a bound may
be met; everything else by branch and bound over the statistics of laws and the real variables.
Where neither shows the bound, a point at which it is broken for certain is told.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from mfdsl.compiler.analysis.enclosure import Evaluator, Facts, Guard
from mfdsl.compiler.analysis.slopes.domain import spaces_of
from mfdsl.compiler.analysis.slopes.polynomial import law_polynomials
from mfdsl.compiler.analysis.slopes.search import Budget
from mfdsl.compiler.analysis.slopes.tape import Tape, Unsupported
from mfdsl.compiler.analysis.slopes.taping import make_tape
from mfdsl.compiler.analysis.slopes.value import LargestValue
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.analysis.symbolic.bernstein import (
    maximum_on_box,
    maximum_on_simplex,
    negative,
)
from mfdsl.compiler.analysis.symbolic.decimals import UndefinedError
from mfdsl.compiler.analysis.symbolic.expressions import TooLargeError
from mfdsl.compiler.analysis.symbolic.identities import is_zero
from mfdsl.compiler.analysis.symbolic.polynomials import Polynomial, polynomials
from mfdsl.compiler.analysis.symbolic.terms import (
    Exact,
    Terms,
    UnsupportedError,
    difference,
    free_depths,
    written_out,
)
from mfdsl.compiler.ir.build import TooManyNodes
from mfdsl.compiler.ir.fold import decimal
from mfdsl.compiler.ir.types import BOOL
from mfdsl.compiler.ir.walk import MEANS, reachable

CELLS = 400  # of one polynomial
MAX_SIDES = 5  # variables of one polynomial
SECONDS = 0.3  # of one search
GAPS = (1e-3, 1e-8)  # between the bounds of the search, one after the other

Failed = (UnsupportedError, TooLargeError, TooManyNodes, UndefinedError, OverflowError)


@dataclass(frozen=True)
class Look:
    """`holds` is True where the bound was shown, by `method`, False where it is broken at the place
    of `problem`, None where neither is known. `value` is attained there, or is a proved bound.
    `close` is for callers that ask for more than the bound: it is met, without that.
    """

    holds: bool | None
    value: float
    method: str = ""
    problem: LargestValue | None = None
    close: bool = False


def covers(facts: Facts, roots: Sequence[int]) -> bool:
    """Whether a second look knows all that expressions read: no member and no index that is bound
    around them, and nothing over `others`, which is the whole law in the limit only. Of N agents
    the others have another law than all, and an agent alone has none.
    """
    if any("others" in facts.nodes[i].op for i in reachable(facts.nodes, roots)):
        return False
    free = free_depths(facts.nodes, roots)
    return not any(free[root] for root in roots)


def at_most(
    facts: Facts,
    node: int,
    bound: float,
    *,
    least: bool = False,
    slack: float = 0.0,
    guards: Sequence[Guard] = (),
    exact: Exact | None = None,
) -> Look:
    """Whether a number is at most `bound` wherever `guards` hold; with `least`, at least. Missing
    it by `slack` counts as meeting it where the search decides.
    """
    try:
        if _by_coefficients(facts, node, bound, least, exact):
            return Look(True, bound, "Bernstein coefficients")
    except Failed:
        pass  # the search may know
    try:
        if _of_masses(make_tape(facts, [node]), bound, least):
            return Look(True, bound, "Bernstein coefficients")
        tape = make_tape(*_where_reached(facts, node, guards, bound + (1 if least else -1)))
        return _searched(LargestValue(tape, least), -bound if least else bound, slack)
    except Unsupported:
        return Look(None, -np.inf if least else np.inf)


def _where_reached(
    facts: Facts, node: int, guards: Sequence[Guard], otherwise: float
) -> tuple[Facts, list[int]]:
    """Facts with a node that is `node` where all conditions on the path hold, else a number."""
    copies = Copies(facts)
    truth = copies.type_place(BOOL)
    for guard in guards:
        condition = guard.node
        if not guard.positive:
            condition = copies.add("not", (condition,), None, truth)
        rest = copies.const(otherwise, node)
        node = copies.add("if", (condition, node, rest), None, copies.nodes[node].type)
    return copies.facts, [node]


def _searched(problem: LargestValue, top: float, slack: float) -> Look:
    """The search for the largest value, or the negated least one, beside `top`."""
    sign, upper = (-1 if problem.least else 1), np.inf
    for gap in GAPS:
        found = problem.found(Budget(boxes=50_000, seconds=SECONDS, gap=gap))
        upper = min(upper, found.upper)
        if upper <= top + slack:
            return Look(True, sign * upper, "branch and bound")
        if problem.best > top + slack:
            return Look(False, sign * problem.best, problem=problem)
        if not np.isfinite(upper):
            break
    return Look(None, sign * upper)


def _of_masses(tape: Tape, bound: float, least: bool) -> bool:
    """Whether coefficients show the bound of a polynomial of the masses of all kinds of members,
    as a variance is one.
    """
    spaces = spaces_of(tape)
    if len(spaces) != 1:
        return False
    try:
        found = law_polynomials(tape, *next(iter(spaces.items())))
        top = _number(-bound if least else bound)
        for near in found:
            searched = negative(near.centre) if least else near.centre
            off = sum(near.error.terms.values(), Fraction(0))  # no mass is above 1
            largest = maximum_on_simplex(searched, tolerance=Fraction(0), cells=CELLS).upper
            if largest + off > top:
                return False
    except (Unsupported, *Failed):
        return False
    return True


def _number(value: float) -> Fraction:
    """The number that was written, or the float itself."""
    return decimal(value) or Fraction(value)


def adds_up_to_one(facts: Facts, node: int, exact: Exact | None = None) -> bool:
    """Whether a number is 1 by an identity."""
    try:
        terms, (root,) = written_out(facts, [node], exact=exact, bind=True)
        one = terms.builder.const(1)
        return bool(is_zero(terms, difference(terms, root, one), seconds=1.0).holds)
    except Failed:
        return False


def _by_coefficients(
    facts: Facts, node: int, bound: float, least: bool, exact: Exact | None
) -> bool:
    """Whether Bernstein coefficients show the bound of a polynomial of what a node reads."""
    terms, (root,) = written_out(facts, [node], exact=exact, bind=True)
    found = polynomials(terms, (root,), opaque=True)
    assert found is not None
    polynomial = _of_its_variables(found[0])
    if not 1 <= len(polynomial.variables) <= MAX_SIDES:
        return False
    top = _number(-bound if least else bound)
    searched = negative(polynomial) if least else polynomial
    if _share_a_law(terms, polynomial.variables):
        whole = Polynomial((*polynomial.variables, -1), _with_rest(searched))
        return maximum_on_simplex(whole, tolerance=Fraction(0), cells=CELLS).upper <= top
    box = _box(terms, polynomial.variables)
    if box is None:
        return False
    return maximum_on_box(searched, box, tolerance=Fraction(0), cells=CELLS).upper <= top


def _of_its_variables(a: Polynomial) -> Polynomial:
    """The polynomial without variables that occur in no term."""
    kept = [k for k, v in enumerate(a.variables) if a.degree_in(v)]
    return replace(
        a,
        variables=tuple(a.variables[k] for k in kept),
        terms={tuple(e[k] for k in kept): c for e, c in a.terms.items()},
    )


def _with_rest(a: Polynomial) -> dict[tuple[int, ...], Fraction]:
    """Its terms with one more variable, which occurs in none: the mass of all other members."""
    return {(*e, 0): c for e, c in a.terms.items()}


def _share_a_law(terms: Terms, variables: Sequence[int]) -> bool:
    """Whether the variables are masses of members with different values of one variable, at least
    two: then they are not negative and add up to at most 1.
    """
    held: set[tuple[object, ...]] = set()
    values: set[Fraction] = set()
    for name in variables:
        node = terms.nodes[name]
        if node.op not in MEANS or terms.nodes[node.args[0]].op != "eq" or len(node.args) > 1:
            return False
        sides = terms.nodes[node.args[0]].args
        known = [(leaf, terms.builder.exact(value)) for leaf, value in (sides, sides[::-1])]
        whole = [
            (k, v) for k, v in known if terms.nodes[k].op.startswith("peer_") and v is not None
        ]
        if len(whole) != 1:
            return False
        held.add((node.op, node.attr, whole[0][0]))
        values.add(whole[0][1])
    return len(held) == 1 and len(values) == len(variables) > 1


def _box(terms: Terms, variables: Sequence[int]) -> list[tuple[Fraction, Fraction]] | None:
    """The ends of each variable, None where one has none."""
    evaluator = Evaluator(terms.as_facts(), {})
    box = []
    for name in variables:
        value = evaluator.value(name)
        lo, hi = float(np.min(value.lo)), float(np.max(value.hi))
        if not (np.isfinite(lo) and np.isfinite(hi)):
            return None
        box.append((Fraction(lo), Fraction(hi)))
    return box
