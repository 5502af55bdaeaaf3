"""Terms as steps that a worker follows to build sympy objects, node by node.

Only sums, products, quotients, powers with small constant exponents and smooth elementary
functions are translated. Everything else is a symbol, one for each node: extremes, absolute
values, choices, comparisons, rounding, table look-ups, means over a law. sympy would decide their
kinks and jumps wrongly, or take minutes to construct them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from mfdsl.compiler.analysis.symbolic.terms import Terms

MAX_OPERATIONS = 2_000
MAX_SYMBOLS = 20
MAX_EXPONENT = 64
MAX_ROOT = 8

SMOOTH = ("exp", "log", "sqrt", "sin", "cos", "tanh", "softplus")
TRANSLATED = ("add", "mul", "neg", "div", *SMOOTH)

Step = tuple[str | int, ...]


class TooLargeError(Exception):
    """An expression beyond the limits of a symbolic job; the message has the figures."""


@dataclass(frozen=True, slots=True)
class Program:
    """Steps in order, each an operator with the positions of earlier steps.

    `("symbol", k)` is symbol k, which stands for the node `symbols[k]`; `("number", p, q)` is the
    fraction of two hexadecimal integers. `roots` are the positions of the results.
    """

    steps: tuple[Step, ...]
    symbols: tuple[int, ...]
    roots: tuple[int, ...]


def program(
    terms: Terms,
    roots: Sequence[int],
    *,
    operations: int = MAX_OPERATIONS,
    symbols: int = MAX_SYMBOLS,
) -> Program:
    """The steps that build the terms `roots`.

    Raises:
        TooLargeError: more operations or free symbols than allowed.
    """
    steps: list[Step] = []
    place: dict[int, int] = {}
    free: list[int] = []
    used = 0
    for index in _translated(terms, roots):
        node, value = terms.nodes[index], terms.builder.exact(index)
        if value is not None:
            steps.append(("number", hex(value.numerator), hex(value.denominator)))
        elif is_atom(terms, index):
            steps.append(("symbol", len(free)))
            free.append(index)
        else:
            used += len(node.args) - 1 or 1
            steps.append((node.op, *(place[a] for a in node.args)))
        place[index] = len(steps) - 1
    if used > operations or len(free) > symbols:
        raise TooLargeError(
            f"{used:,} operations on {len(free):,} free symbols,"
            f" {operations:,} on {symbols:,} are allowed"
        )
    return Program(tuple(steps), tuple(free), tuple(place[r] for r in roots))


def is_atom(terms: Terms, index: int) -> bool:
    """Whether algebra treats the term as a symbol."""
    node = terms.nodes[index]
    if node.op == "pow":
        return not _small(terms.builder.exact(node.args[1]))
    return node.op not in TRANSLATED and terms.builder.exact(index) is None


def atoms(terms: Terms, roots: Sequence[int]) -> list[int]:
    """The symbols among the terms `roots`, in order."""
    return [i for i in _translated(terms, roots) if is_atom(terms, i)]


def _small(exponent: Fraction | None) -> bool:
    return (
        exponent is not None and abs(exponent) <= MAX_EXPONENT and exponent.denominator <= MAX_ROOT
    )


def _translated(terms: Terms, roots: Sequence[int]) -> list[int]:
    """Everything under `roots` down to symbols, arguments first."""
    seen, stack = set(roots), list(roots)
    while stack:
        index = stack.pop()
        if is_atom(terms, index):
            continue
        for argument in terms.nodes[index].args:
            if argument not in seen:
                seen.add(argument)
                stack.append(argument)
    return sorted(seen)
