"""Exact arithmetic on constants, with a bound on the size of what it makes."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import ceil, floor, inf, isfinite, nextafter, prod

MAX_BITS = 4096
MAX_EXPONENT = 64
SURE_DIGITS = 15  # a decimal of so many digits is the only one that rounds to its float
SMALLEST = 1e-290  # below this floats have fewer digits

_NEUTRAL = {"add": 0, "mul": 1, "and": 1, "or": 0}

_FOLDS: dict[str, Callable[..., Fraction | int | bool]] = {
    "add": lambda *v: sum(v, Fraction(0)),
    "mul": lambda *v: prod(v, start=Fraction(1)),
    "min": lambda *v: min(v),
    "max": lambda *v: max(v),
    "and": lambda *v: all(v),
    "or": lambda *v: any(v),
    "neg": lambda a: -a,
    "abs": abs,
    "floor": floor,
    "ceil": ceil,
    "round": round,
    "not": lambda a: not a,
    "div": lambda a, b: a / b,
    "pow": lambda a, b: a ** int(b),
    "rem": lambda a, b: a % b,
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "real": lambda a: a,
    "ind": lambda a: a,
}


def decimal(value: float) -> Fraction | None:
    """The number that was written, None where its decimal is too long to tell."""
    text = repr(float(value))
    digits = text.split("e")[0].replace(".", "").replace("-", "").strip("0")
    return Fraction(text) if isfinite(value) and len(digits) <= SURE_DIGITS else None


def carried(exact: Fraction) -> float:
    """The float that stands for a number: the nearest one, unless that would be read as another
    number of few digits; then its neighbour on the other side of the number. Both lie next to the
    number, and two neighbours do not both have few digits.

    Raises:
        OverflowError: the number is beyond the range of a float.
    """
    near = float(exact)
    if near == 0 == exact or (near and abs(near) < SMALLEST) or decimal(near) in (None, exact):
        return near
    return nextafter(near, inf if exact > near else -inf)


def read_float(text: str) -> float:
    """The float that stands for a number in a file or on the command line.

    Raises:
        ValueError: the text is no number.
    """
    near = float(text)
    if not isfinite(near) or abs(near) < SMALLEST or sum(map(str.isdigit, text)) <= SURE_DIGITS:
        return near
    return carried(Fraction(text.strip()))


def told_apart(value: float, low: float, high: float) -> tuple[str, str, str]:
    """A number outside of a range and the ends of this with as many digits as show that it is."""
    for digits in (6, 9, 12, SURE_DIGITS):
        shown = [f"{number:.{digits}g}" for number in (value, low, high)]
        if not float(shown[1]) <= float(shown[0]) <= float(shown[2]):
            return shown[0], shown[1], shown[2]
    value_text, low_text, high_text = (repr(n).removesuffix(".0") for n in (value, low, high))
    return value_text, low_text, high_text


def neutral_element(op: str) -> int | None:
    """The constant that `op` ignores, None when there is none."""
    return _NEUTRAL.get(op)


def folded_value(op: str, values: Sequence[Fraction]) -> Fraction | None:
    """`op` applied to constants, or None when it is not rational, not defined or too large."""
    fold = _FOLDS.get(op)
    if fold is None or (op in ("div", "rem") and values[1] == 0):
        return None
    if op == "pow" and not _small_power(*values):
        return None
    if op in ("add", "mul") and sum(map(_bits, values)) > MAX_BITS:
        return None
    result = Fraction(fold(*values))
    return result if _bits(result) <= MAX_BITS and _fits_float(result) else None


def _small_power(base: Fraction, exponent: Fraction) -> bool:
    if exponent.denominator != 1 or abs(exponent) > MAX_EXPONENT:
        return False
    if base == 0 and exponent < 0:
        return False
    return _bits(base) * abs(int(exponent)) <= MAX_BITS


def _bits(value: Fraction) -> int:
    return value.numerator.bit_length() + value.denominator.bit_length()


def _fits_float(value: Fraction) -> bool:
    try:
        float(value)
    except OverflowError:
        return False
    return True
