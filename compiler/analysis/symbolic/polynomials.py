"""Polynomials in many variables with exact coefficients, read from terms without sympy.

Variables are nodes of the terms. What is not a polynomial is either refused or, as an opaque
atom, a variable of its own; `1 / b` is such an atom. Division by one polynomial is exact algebra:
the remainder is 0 just when it divides (Cox, Little and O'Shea, Ideals, Varieties, and
Algorithms, 2.3).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce

from mfdsl.compiler.analysis.counted import count
from mfdsl.compiler.analysis.symbolic.expressions import MAX_EXPONENT, TooLargeError
from mfdsl.compiler.analysis.symbolic.terms import Terms, UnsupportedError

MAX_DEGREE = 64
MAX_TERMS = 20_000
A_PRODUCT = 3  # steps of one product of terms
MAX_PRODUCTS = 300_000  # products of terms in one multiplication, and terms held at once

Exponents = tuple[int, ...]
LEAVES = ("mean", "mean_others")


@dataclass(frozen=True, slots=True)
class Polynomial:
    """A sum of `coefficient * product(variable ** exponent)`, without zero coefficients."""

    variables: tuple[int, ...]
    terms: Mapping[Exponents, Fraction]

    def __post_init__(self) -> None:
        count(1 + len(self.terms))

    @property
    def degree(self) -> int:
        """The total degree; 0 for constants and for 0."""
        return max(map(sum, self.terms), default=0)

    def degree_in(self, variable: int) -> int:
        """The degree in one variable."""
        place = self.variables.index(variable)
        return max((exponents[place] for exponents in self.terms), default=0)


def constant(variables: Sequence[int], value: Fraction | int) -> Polynomial:
    """A constant polynomial."""
    terms = {(0,) * len(variables): Fraction(value)} if value else {}
    return Polynomial(tuple(variables), terms)


def variable(variables: Sequence[int], name: int) -> Polynomial:
    """The polynomial that is one variable."""
    exponents = tuple(int(v == name) for v in variables)
    return Polynomial(tuple(variables), {exponents: Fraction(1)})


def add(*parts: Polynomial) -> Polynomial:
    """The sum of polynomials in the same variables."""
    count(2 * sum(len(part.terms) for part in parts))
    terms: dict[Exponents, Fraction] = {}
    for part in parts:
        for exponents, coefficient in part.terms.items():
            terms[exponents] = terms.get(exponents, Fraction(0)) + coefficient
    return Polynomial(parts[0].variables, {e: c for e, c in terms.items() if c})


def scale(a: Polynomial, factor: Fraction | int) -> Polynomial:
    """A multiple of a polynomial."""
    if not factor:
        return constant(a.variables, 0)
    return Polynomial(a.variables, {e: c * factor for e, c in a.terms.items()})


def multiply(a: Polynomial, b: Polynomial) -> Polynomial:
    """The product of two polynomials; raises TooLargeError beyond MAX_DEGREE or MAX_TERMS."""
    if a.terms and b.terms and a.degree + b.degree > MAX_DEGREE:
        raise TooLargeError(f"a polynomial of degree {a.degree + b.degree:,}")
    if len(a.terms) * len(b.terms) > MAX_PRODUCTS:
        raise TooLargeError(f"a product of {len(a.terms):,} with {len(b.terms):,} terms")
    count(A_PRODUCT * len(a.terms) * len(b.terms))
    terms: dict[Exponents, Fraction] = {}
    for left, x in a.terms.items():
        for right, y in b.terms.items():
            exponents = tuple(map(int.__add__, left, right))
            terms[exponents] = terms.get(exponents, Fraction(0)) + x * y
        if len(terms) > MAX_TERMS:
            raise TooLargeError(f"a polynomial of more than {MAX_TERMS:,} terms")
    return Polynomial(a.variables, {e: c for e, c in terms.items() if c})


def power(a: Polynomial, exponent: int) -> Polynomial:
    """A whole power, by squaring."""
    result, base = constant(a.variables, 1), a
    while exponent:
        if exponent & 1:
            result = multiply(result, base)
        exponent >>= 1
        if exponent:
            base = multiply(base, base)
    return result


def derivative(a: Polynomial, name: int) -> Polynomial:
    """The partial derivative in one variable."""
    place = a.variables.index(name)
    terms = {
        (*e[:place], e[place] - 1, *e[place + 1 :]): c * e[place]
        for e, c in a.terms.items()
        if e[place]
    }
    return Polynomial(a.variables, terms)


def evaluate(a: Polynomial, values: Sequence[Fraction | int]) -> Fraction:
    """The value where the variables, in order, are `values`."""
    count(len(a.variables) * len(a.terms))
    result = Fraction(0)
    for exponents, coefficient in a.terms.items():
        for value, exponent in zip(values, exponents, strict=True):
            if exponent:
                coefficient *= Fraction(value) ** exponent
        result += coefficient
    return result


def divided(a: Polynomial, divisor: Polynomial) -> tuple[Polynomial, Polynomial]:
    """Quotient and remainder in the lexicographic order of the variables.

    No term of the remainder is divisible by the leading term of the divisor. Raises
    ZeroDivisionError when the divisor is 0, TooLargeError after MAX_TERMS steps.
    """
    if not divisor.terms:
        raise ZeroDivisionError("division by the polynomial 0")
    lead = max(divisor.terms)
    quotient: dict[Exponents, Fraction] = {}
    rest: dict[Exponents, Fraction] = {}
    left = dict(a.terms)
    for _ in range(MAX_TERMS):
        if not left:
            return Polynomial(a.variables, quotient), Polynomial(a.variables, rest)
        top = max(left)
        shift = tuple(map(int.__sub__, top, lead))
        if min(shift, default=0) < 0:
            rest[top] = left.pop(top)
            continue
        factor = left[top] / divisor.terms[lead]
        quotient[shift] = factor
        for exponents, coefficient in divisor.terms.items():
            moved = tuple(map(int.__add__, exponents, shift))
            value = left.get(moved, Fraction(0)) - factor * coefficient
            if value:
                left[moved] = value
            else:
                left.pop(moved, None)
    raise TooLargeError(f"a division of more than {MAX_TERMS:,} steps")


def divides(divisor: Polynomial, a: Polynomial) -> bool:
    """Whether `a` is a multiple of `divisor`."""
    return not divided(a, divisor)[1].terms


def polynomials(
    terms: Terms, roots: Sequence[int], *, opaque: bool = False, variables: Sequence[int] = ()
) -> list[Polynomial] | None:
    """The terms `roots` as polynomials in the same variables, None when one is none.

    Variables are the leaves and plain means that occur, after those that are asked for. With
    `opaque` everything else is a variable too. A constant whose exact value is not known is one.

    Raises:
        TooLargeError: more than MAX_TERMS terms, or a degree above MAX_DEGREE.
    """
    order = _arithmetic(terms, roots, frozenset(variables))
    found = [i for i in order if not _is_arithmetic(terms, i)]
    if not opaque and not all(_is_variable(terms, i) or i in variables for i in found):
        return None
    names = tuple(dict.fromkeys((*variables, *found)))
    chosen = frozenset(names)
    read: dict[int, Polynomial] = {}
    held = 0
    for index in order:
        if index in chosen:
            read[index] = variable(names, index)
        else:
            parts = [read[p] for p in _parts(terms, index)]
            read[index] = _read(terms, index, parts, names)
        held += len(read[index].terms)
        if held > MAX_PRODUCTS:
            raise TooLargeError("an expression with too many terms when it is multiplied out")
    return [read[root] for root in roots]


def without_inverses(terms: Terms, a: Polynomial) -> Polynomial:
    """`a` times powers of the denominators b of its atoms `1 / b`, so that none is left.

    Zero just when `a` is zero as a rational function of its other atoms. Raises UnsupportedError
    when a denominator is 0 everywhere, TooLargeError as `polynomials`.
    """
    while True:
        below = {d: v for v in a.variables if (d := _denominator(terms, v)) is not None}
        left = [d for d, name in below.items() if a.degree_in(name)]
        if not left:
            return a
        outermost = max(left)  # the denominators inside of it come before it
        found = polynomials(terms, (outermost,), opaque=True, variables=a.variables)
        assert found is not None
        (denominator,) = found
        if not without_inverses(terms, denominator).terms:
            raise UnsupportedError("a denominator is 0 everywhere")
        a = _cleared(_widened(a, denominator.variables), below[outermost], denominator)


def inverse(terms: Terms, denominator: int) -> int:
    """The atom `1 / denominator`."""
    return terms.builder.add("div", (terms.builder.const(1), denominator))


def _cleared(a: Polynomial, name: int, denominator: Polynomial) -> Polynomial:
    """`a * denominator ** k` with `name` standing for `1 / denominator`, k its degree in `a`."""
    place, most = a.variables.index(name), a.degree_in(name)
    by_power: dict[int, dict[Exponents, Fraction]] = {}
    for exponents, coefficient in a.terms.items():
        kept = (*exponents[:place], 0, *exponents[place + 1 :])
        by_power.setdefault(exponents[place], {})[kept] = coefficient
    parts = [
        multiply(Polynomial(a.variables, part), power(denominator, most - k))
        for k, part in by_power.items()
    ]
    return add(*parts)


def _widened(a: Polynomial, variables: tuple[int, ...]) -> Polynomial:
    """The same polynomial with more variables after its own."""
    more = (0,) * (len(variables) - len(a.variables))
    return Polynomial(variables, {(*e, *more): c for e, c in a.terms.items()})


def _denominator(terms: Terms, index: int) -> int | None:
    node = terms.nodes[index]
    if node.op == "div" and terms.builder.exact(node.args[0]) == 1:
        return node.args[1]
    return None


def _is_variable(terms: Terms, index: int) -> bool:
    node = terms.nodes[index]
    entry = node.op == "element" and not terms.nodes[node.args[0]].args
    return node.op in LEAVES or entry or not node.args


def _is_arithmetic(terms: Terms, index: int) -> bool:
    """Whether the term is a polynomial of its arguments, of `1 / b`, and of truth values."""
    node, exact = terms.nodes[index], terms.builder.exact
    if exact(index) is not None or node.op in ("add", "mul", "neg", "if"):
        return True
    if node.op == "div":
        return exact(node.args[0]) != 1 or bool(exact(node.args[1]))
    if node.op != "pow":
        return False
    exponent = exact(node.args[1])
    return exponent is not None and exponent.denominator == 1 and abs(exponent) <= MAX_EXPONENT


def _arithmetic(terms: Terms, roots: Sequence[int], stops: Iterable[int]) -> list[int]:
    """Everything under `roots` down to variables, arguments first.

    Quotients get their inverse atom here, which comes after them in the arena.
    """
    seen: set[int] = set()
    found: list[int] = []
    stack = [(root, False) for root in roots]
    while stack:
        index, done = stack.pop()
        if done:
            found.append(index)
            continue
        if index in seen:
            continue
        seen.add(index)
        stack.append((index, True))
        if index not in stops and _is_arithmetic(terms, index):
            stack += [(a, False) for a in _parts(terms, index)]
    return found


def _parts(terms: Terms, index: int) -> tuple[int, ...]:
    """The terms that an arithmetic node is a polynomial of."""
    node, exact = terms.nodes[index], terms.builder.exact
    if exact(index) is not None:
        return ()
    if node.op == "div" and not exact(node.args[1]):
        return (node.args[0], inverse(terms, node.args[1]))
    if node.op == "pow" and (exact(node.args[1]) or 0) < 0:
        return (inverse(terms, node.args[0]),)
    return node.args[:1] if node.op in ("pow", "div") else node.args


def _read(
    terms: Terms, index: int, parts: Sequence[Polynomial], names: Sequence[int]
) -> Polynomial:
    """The polynomial of an arithmetic node from those of its parts."""
    node, exact = terms.nodes[index], terms.builder.exact
    value = exact(index)
    if value is not None:
        return constant(names, value)
    if node.op == "add":
        return add(*parts)
    if node.op == "neg":
        return scale(parts[0], -1)
    if node.op == "if":  # b + c (a - b) with c either 0 or 1
        condition, then, otherwise = parts
        return add(otherwise, multiply(condition, add(then, scale(otherwise, -1))))
    if node.op == "pow":
        return power(parts[0], abs(int(exact(node.args[1]) or 0)))
    divisor = exact(node.args[1]) if node.op == "div" else None
    return scale(parts[0], 1 / divisor) if divisor else reduce(multiply, parts)
