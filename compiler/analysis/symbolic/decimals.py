"""Intervals of decimals with outward rounding: certified values at rational points.

Sums, products, quotients, roots, `exp` and `ln` of the decimal module are correctly rounded, so
the ends are rounded outwards by its directed contexts, or moved by one unit in the last place.
Sine and cosine are Taylor sums with their remainder.
"""

from collections.abc import Callable, Sequence
from decimal import (
    ROUND_CEILING,
    ROUND_FLOOR,
    Context,
    Decimal,
    DivisionByZero,
    InvalidOperation,
    Overflow,
)
from fractions import Fraction

from mfdsl.compiler.analysis.counted import count
from mfdsl.compiler.analysis.symbolic.terms import UnsupportedError

DIGITS = 50
MAX_POWER = 10_000
MAX_ANGLE = 10**6
LARGEST = 10_000  # exponent of ten: larger values count as overflow

Range = tuple[Decimal, Decimal]


class UndefinedError(UnsupportedError):
    """An expression has no certified value at a point: a pole, a negative root, an overflow."""


def _context(rounding: str) -> Context:
    traps = [Overflow, InvalidOperation, DivisionByZero]
    return Context(prec=DIGITS, rounding=rounding, Emax=LARGEST, Emin=-LARGEST, traps=traps)


DOWN, UP = _context(ROUND_FLOOR), _context(ROUND_CEILING)
A_SERIES = 80  # steps of an exponential or a logarithm
ZERO, ONE, TWO = Decimal(0), Decimal(1), Decimal(2)
PI = (
    Decimal("3.14159265358979323846264338327950288419716939937510582097494"),
    Decimal("3.14159265358979323846264338327950288419716939937510582097495"),
)


def enclosed(value: Fraction) -> Range:
    """The interval of a fraction."""
    top, bottom = Decimal(value.numerator), Decimal(value.denominator)
    return DOWN.divide(top, bottom), UP.divide(top, bottom)


def add(*parts: Range) -> Range:
    """The sum of intervals."""
    lo, hi = ZERO, ZERO
    for part in parts:
        lo, hi = DOWN.add(lo, part[0]), UP.add(hi, part[1])
    return lo, hi


def neg(a: Range) -> Range:
    """The negative of an interval."""
    return a[1].copy_negate(), a[0].copy_negate()


def multiply(*factors: Range) -> Range:
    """The product of intervals."""
    lo, hi = ONE, ONE
    for other in factors:
        pairs = [(a, b) for a in (lo, hi) for b in other]
        lo = min(DOWN.multiply(a, b) for a, b in pairs)
        hi = max(UP.multiply(a, b) for a, b in pairs)
    return lo, hi


def divide(a: Range, b: Range) -> Range:
    """The quotient of intervals; raises UndefinedError when the divisor may be 0."""
    if b[0] <= 0 <= b[1]:
        raise UndefinedError("a divisor may be 0")
    pairs = [(x, y) for x in a for y in b]
    return min(DOWN.divide(*p) for p in pairs), max(UP.divide(*p) for p in pairs)


def absolute(a: Range) -> Range:
    """The absolute value."""
    if a[0] >= 0:
        return a
    return neg(a) if a[1] <= 0 else (ZERO, max(a[0].copy_negate(), a[1]))


def exponential(a: Range) -> Range:
    """The exponential function."""
    count(A_SERIES)
    return max(ZERO, DOWN.next_minus(DOWN.exp(a[0]))), UP.next_plus(UP.exp(a[1]))


def logarithm(a: Range) -> Range:
    """The natural logarithm; raises UndefinedError unless the argument is positive."""
    if a[0] <= 0:
        raise UndefinedError("the argument of a logarithm may not be positive")
    count(A_SERIES)
    return DOWN.next_minus(DOWN.ln(a[0])), UP.next_plus(UP.ln(a[1]))


def root(a: Range) -> Range:
    """The square root; raises UndefinedError when the argument may be negative."""
    if a[0] < 0:
        raise UndefinedError("the argument of a root may be negative")
    lo, hi = DOWN.sqrt(a[0]), UP.sqrt(a[1])
    exact = a[0] == a[1] and DOWN.multiply(lo, lo) == UP.multiply(lo, lo) == a[0]
    return (lo, hi) if exact else (max(ZERO, DOWN.next_minus(lo)), UP.next_plus(hi))


def hyperbolic_tangent(a: Range) -> Range:
    """The hyperbolic tangent, 1 - 2 / (exp(2 a) + 1), at each end."""
    ends = []
    for end in a:
        double = exponential(multiply((TWO, TWO), (end, end)))
        ends.append(add((ONE, ONE), neg(divide((TWO, TWO), add(double, (ONE, ONE))))))
    return ends[0][0], ends[1][1]


def softplus(a: Range) -> Range:
    """log(1 + exp a) = max(a, 0) + log(1 + exp(-|a|)), at each end."""
    ends = []
    for end in a:
        small = exponential((end.copy_abs().copy_negate(),) * 2)
        ends.append(add((max(end, ZERO),) * 2, logarithm(add((ONE, ONE), small))))
    return ends[0][0], ends[1][1]


def power(a: Range, exponent: Range) -> Range:
    """A power: whole exponents of any base, others of positive ones.

    Raises:
        UndefinedError: an exponent is too large, or not whole with a base that may be 0 or less.
    """
    if exponent[0] == exponent[1] == exponent[0].to_integral_value():
        whole = int(exponent[0])
        if abs(whole) > MAX_POWER:
            raise UndefinedError(f"a power with exponent {whole}")
        base = a if whole % 2 else absolute(a)
        found = _whole_power(base, abs(whole))
        return found if whole >= 0 else divide((ONE, ONE), found)
    if a == (ZERO, ZERO) and exponent[0] > 0:
        return a
    return exponential(multiply(exponent, logarithm(a)))


def _whole_power(base: Range, exponent: int) -> Range:
    """Powers grow with the base: odd ones everywhere, even ones of what is not negative."""
    ends = []
    for end in base:
        result, square, left = (ONE, ONE), (end, end), exponent
        while left:
            result = multiply(result, square) if left & 1 else result
            left >>= 1
            square = multiply(square, square) if left else square
        ends.append(result)
    return ends[0][0], ends[1][1]


def remainder(a: Range, b: Range) -> Range:
    """The rest of a division of exact numbers, with the sign of the divisor.

    Raises:
        UndefinedError: a number is not exact, or the divisor is 0.
    """
    if a[0] != a[1] or b[0] != b[1] or b[0] == 0:
        raise UndefinedError("a remainder of numbers that are not exact")
    x, y = Fraction(a[0]), Fraction(b[0])
    return enclosed(x - y * (x // y))


def rounded(a: Range, how: Callable[[Decimal], int]) -> Range:
    """A rounding function of numbers, which grows."""
    return Decimal(how(a[0])), Decimal(how(a[1]))


def sine(a: Range) -> Range:
    """The sine: at the middle, plus or minus half the width.

    Raises:
        UndefinedError: the argument is too large.
    """
    middle = DOWN.divide(DOWN.add(a[0], a[1]), TWO)
    if middle.copy_abs() > MAX_ANGLE:
        raise UndefinedError("the argument of a sine is large")
    half = UP.subtract(max(a[1], middle), min(a[0], middle))
    turns = Decimal(int(middle / (2 * PI[0])))
    angle = add((middle, middle), neg(multiply((2 * turns, 2 * turns), PI)))
    at = _taylor_sine(angle)
    return max(-ONE, DOWN.subtract(at[0], half)), min(ONE, UP.add(at[1], half))


def cosine(a: Range) -> Range:
    """The cosine, sin(a + pi / 2)."""
    return sine(add(a, divide(PI, (TWO, TWO))))


def _taylor_sine(a: Range) -> Range:
    """The alternating series at an angle below 7; the rest is below the first term left out."""
    term, result, k = a, a, 1
    square = multiply(a, a)
    while _size(term) > Decimal(f"1e-{DIGITS}") or k < 8:
        step = Decimal((k + 1) * (k + 2))
        term = neg(divide(multiply(term, square), (step, step)))
        result = add(result, term)
        k += 2
    rest = _size(term)
    return DOWN.subtract(result[0], rest), UP.add(result[1], rest)


def _size(a: Range) -> Decimal:
    return max(a[0].copy_abs(), a[1].copy_abs())


def less(a: Range, b: Range, *, strict: bool) -> Range:
    """Whether a < b, or a <= b: 1, 0, or both where it cannot be told."""
    if a[1] < b[0] or (not strict and a[1] == b[0]):
        return ONE, ONE
    if a[0] > b[1] or (strict and a[0] == b[1]):
        return ZERO, ZERO
    return ZERO, ONE


def equal(a: Range, b: Range) -> Range:
    """Whether a = b: 1, 0, or both where it cannot be told."""
    if a[0] == a[1] == b[0] == b[1]:
        return ONE, ONE
    return (ZERO, ZERO) if a[1] < b[0] or b[1] < a[0] else (ZERO, ONE)


def negation(a: Range) -> Range:
    """The opposite of a truth value."""
    return ONE - a[1], ONE - a[0]


def smallest(*parts: Range) -> Range:
    """The smallest of intervals; `and` of truth values."""
    return min(p[0] for p in parts), min(p[1] for p in parts)


def largest(*parts: Range) -> Range:
    """The largest of intervals; `or` of truth values."""
    return max(p[0] for p in parts), max(p[1] for p in parts)


def hull(parts: Sequence[Range]) -> Range:
    """The smallest interval around several."""
    return min(p[0] for p in parts), max(p[1] for p in parts)
