"""Whether a term is 0, or one divides another: proved by algebra, refuted at a point, or open.

First the exact normal form of a rational function of opaque atoms, then certified values at
rational points, and sympy last, which knows more identities between exponentials and powers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from mfdsl.compiler.analysis.symbolic import gateway
from mfdsl.compiler.analysis.symbolic.decimals import UndefinedError
from mfdsl.compiler.analysis.symbolic.evaluation import Point, value_at
from mfdsl.compiler.analysis.symbolic.expressions import TooLargeError, program
from mfdsl.compiler.analysis.symbolic.points import points
from mfdsl.compiler.analysis.symbolic.polynomials import (
    Polynomial,
    add,
    constant,
    divides as divides_polynomial,
    multiply,
    polynomials,
    power,
    scale,
    variable,
    without_inverses,
)
from mfdsl.compiler.analysis.symbolic.terms import Terms, UnsupportedError
from mfdsl.compiler.ir.build import TooManyNodes
from mfdsl.compiler.ir.walk import reachable

POINTS = 24
TRUTHS = ("lt", "eq", "and", "or", "free", "region")

Reason = Literal["budget", "worker", "unsupported"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`holds` is True when proved, False when refuted at `point`, None with a `reason`.

    At `point` the term lies between the floats `value`, which exclude 0.
    """

    holds: bool | None
    method: str
    point: Point | None = None
    value: tuple[float, float] | None = None
    reason: Reason | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Division:
    """`divides` is True when proved, None otherwise.

    The proof needs the terms `nonzero` to be other than 0, and those of `positive` to be above 0,
    up to the set where the divisor vanishes: there a quotient or a logarithm may outgrow it.
    """

    divides: bool | None
    method: str
    nonzero: tuple[int, ...] = ()
    positive: tuple[int, ...] = ()
    reason: Reason | None = None
    detail: str | None = None


def is_zero(
    terms: Terms,
    root: int,
    *,
    where: Sequence[int] = (),
    count: int = POINTS,
    seconds: float = gateway.SECONDS,
) -> Finding:
    """Whether a term is 0 wherever it is defined, for all values of its leaves and all laws.

    `where` are conditions, terms too, that a counterexample meets: guards on the path, legal
    actions, values of a noise that can occur. Parameters are free in a proof, and as bound in a
    counterexample.
    """
    try:
        if _vanishes(terms, root):
            return Finding(True, "normal form of a rational function")
    except (TooLargeError, TooManyNodes, UnsupportedError):
        pass  # sympy may know a way around
    refuted = _counterexample(terms, root, where, count)
    if refuted is not None:
        return refuted
    try:
        job = program(terms, (root,))
    except TooLargeError as error:
        return Finding(None, "none", reason="budget", detail=str(error))
    answer = gateway.ask("zero", job, seconds=seconds)
    if answer.value is True:
        return Finding(True, "sympy: expand, together, cancel")
    detail = answer.detail or "no identity that expand, together or cancel know"
    return Finding(None, "sympy", reason=answer.reason or "unsupported", detail=detail)


def divides(terms: Terms, divisor: int, root: int, *, seconds: float = gateway.SECONDS) -> Division:
    """Whether `root` is a multiple of `divisor`, so that it vanishes where the divisor does.

    The multiple is bounded there only as far as the result says.
    """
    nonzero, positive = _partial(terms, (root, divisor))
    if terms.builder.exact(divisor) == 0:
        return Division(None, "none", reason="unsupported", detail="the divisor is 0")
    try:
        found = polynomials(terms, (divisor, root), opaque=True)
        assert found is not None
        if not nonzero and divides_polynomial(*found):
            return Division(True, "polynomial division", nonzero, positive)
    except (TooLargeError, TooManyNodes, UnsupportedError, ZeroDivisionError):
        pass  # sympy may know a way around
    try:
        job = program(terms, (divisor, root))
    except TooLargeError as error:
        return Division(None, "none", reason="budget", detail=str(error))
    answer = gateway.ask("divides", job, seconds=seconds)
    if answer.value is True:
        return Division(True, "sympy: division of polynomials", nonzero, positive)
    detail = answer.detail or "there is a remainder"
    return Division(None, "sympy", reason=answer.reason or "unsupported", detail=detail)


def _vanishes(terms: Terms, root: int) -> bool:
    """Whether the normal form is 0, with masses of all values adding up to 1."""
    found = polynomials(terms, (root,), opaque=True)
    assert found is not None
    whole = _on_simplex(terms, without_inverses(terms, found[0]))
    return not _with_single_truths(terms, whole).terms


def _with_single_truths(terms: Terms, a: Polynomial) -> Polynomial:
    """`a` with powers of truth values, which are 0 or 1, replaced by themselves."""
    truths = [
        terms.nodes[v].op in TRUTHS or terms.builder.type_of(v).kind == "bool" for v in a.variables
    ]
    parts: dict[tuple[int, ...], Fraction] = {}
    for exponents, coefficient in a.terms.items():
        kept = tuple(min(e, 1) if t else e for e, t in zip(exponents, truths, strict=True))
        parts[kept] = parts.get(kept, Fraction(0)) + coefficient
    return Polynomial(a.variables, {e: c for e, c in parts.items() if c})


def _on_simplex(terms: Terms, a: Polynomial) -> Polynomial:
    """`a` with the last mass of each law replaced by 1 less all the others, where all occur."""
    for masses in _masses(terms, a.variables):
        rest = add(
            constant(a.variables, 1), *(scale(variable(a.variables, m), -1) for m in masses[:-1])
        )
        place = a.variables.index(masses[-1])
        parts = [constant(a.variables, 0)]
        for exponents, coefficient in a.terms.items():
            kept = (*exponents[:place], 0, *exponents[place + 1 :])
            left = Polynomial(a.variables, {kept: coefficient})
            parts.append(multiply(left, power(rest, exponents[place])))
        a = add(*parts)
    return a


def _masses(terms: Terms, variables: Sequence[int]) -> list[list[int]]:
    """Terms that are the masses of all values of a variable of a population."""
    found: dict[tuple[object, int], dict[int, int]] = {}
    for name in variables:
        node = terms.nodes[name]
        if node.op != "mean" or terms.nodes[node.args[0]].op != "eq":
            continue
        sides = terms.nodes[node.args[0]].args
        for leaf, value in (sides, sides[::-1]):
            exact = terms.builder.exact(value)
            if terms.nodes[leaf].op.startswith("peer_") and exact is not None:
                found.setdefault((node.attr, leaf), {})[int(exact)] = name
    whole = []
    for (_, leaf), by_value in found.items():
        type_ = terms.builder.type_of(leaf)
        if type_.finite and all(type_.first + k in by_value for k in range(type_.size)):
            whole.append([by_value[type_.first + k] for k in range(type_.size)])
    return whole


def _counterexample(terms: Terms, root: int, where: Sequence[int], count: int) -> Finding | None:
    try:
        for point in points(terms, (root, *where), count):
            try:
                if any(value_at(terms, condition, point)[0] < 1 for condition in where):
                    continue
                lo, hi = value_at(terms, root, point)
            except UndefinedError:
                continue
            if lo > 0 or hi < 0:
                value = float(lo), float(hi)
                return Finding(False, "decimal intervals at a rational point", point, value)
    except UnsupportedError:
        return None
    return None


def _partial(terms: Terms, roots: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Terms that must not be 0, or must be positive, for those below to be bounded."""
    nonzero, positive = [], []
    for index in reachable(terms.nodes, roots):
        node, exact = terms.nodes[index], terms.builder.exact
        if node.op == "div" and not exact(node.args[1]):
            nonzero.append(node.args[1])
        if node.op == "log":
            positive.append(node.args[0])
        if node.op == "pow" and not (exact(node.args[1]) or -1) >= 0:
            exponent = exact(node.args[1])
            whole = exponent is not None and exponent.denominator == 1
            (nonzero if whole else positive).append(node.args[0])
    return tuple(dict.fromkeys(nonzero)), tuple(dict.fromkeys(positive))
