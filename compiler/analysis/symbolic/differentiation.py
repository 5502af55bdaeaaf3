"""Partial derivatives of terms on their shared graph, as terms again.

A derivative costs a few nodes for each node below it, where a written-out derivative of a k-fold
composition grows exponentially (Griewank and Walther, Evaluating Derivatives, 2008). At kinks and
jumps it is the derivative of the branch that is taken: right where the function is smooth, and
silent about jumps, which are an obligation of their own.
"""

from collections.abc import Callable, Sequence

from mfdsl.compiler.analysis.symbolic.terms import Terms, UnsupportedError, product, total
from mfdsl.compiler.ir.walk import MEANS, reachable

_FLAT = ("floor", "ceil", "round", "eq", "ne", "lt", "le", "not", "and", "or")
Slopes = Sequence[int]


def partial(terms: Terms, root: int, name: int) -> int:
    """The term of the derivative of `root` by the term `name`: a leaf or a mean.

    Raises UnsupportedError where an operator that depends on `name` has no rule, TooManyNodes
    when the arena is full.
    """
    zero = terms.builder.const(0)
    slopes: dict[int, int] = {name: terms.builder.const(1)}
    for index in reachable(terms.nodes, (root,)):
        if index in slopes:
            continue
        inner = [slopes[a] for a in terms.nodes[index].args]
        slopes[index] = zero if all(s == zero for s in inner) else _rule(terms, index, inner)
    return slopes[root]


def _rule(terms: Terms, index: int, inner: Slopes) -> int:
    """The chain rule for one node; `inner` are the slopes of its arguments."""
    node, add = terms.nodes[index], terms.builder.add
    if node.op in _FLAT:
        return terms.builder.const(0)
    if node.op in _RULES:
        return _RULES[node.op](terms, index, inner)
    if node.op in _OUTER:
        return product(terms, (_OUTER[node.op](terms, index), inner[0]))
    if node.op in MEANS:  # the slope of a condition is 0 where it has one
        return add(node.op, (inner[0], *node.args[1:]), node.attr)
    raise UnsupportedError(f"`{node.op}` has no rule for its slope")


def _sum_rule(terms: Terms, index: int, inner: Slopes) -> int:
    return total(terms, [s for s in inner if terms.builder.exact(s) != 0])


def _product_rule(terms: Terms, index: int, inner: Slopes) -> int:
    factors = terms.nodes[index].args
    parts = [
        product(terms, (slope, *factors[:k], *factors[k + 1 :]))
        for k, slope in enumerate(inner)
        if terms.builder.exact(slope) != 0
    ]
    return total(terms, parts)


def _quotient_rule(terms: Terms, index: int, inner: Slopes) -> int:
    """(a / b)' = (a' - (a / b) b') / b."""
    _, b = terms.nodes[index].args
    top = inner[0]
    if terms.builder.exact(inner[1]) != 0:
        loss = terms.builder.add("neg", (product(terms, (index, inner[1])),))
        top = total(terms, [s for s in (top, loss) if terms.builder.exact(s) != 0])
    return terms.builder.add("div", (top, b))


def _power_rule(terms: Terms, index: int, inner: Slopes) -> int:
    """(a ** b)' = b a ** (b - 1) a' + a ** b log(a) b'."""
    a, b = terms.nodes[index].args
    add, parts = terms.builder.add, []
    if terms.builder.exact(inner[0]) != 0:
        less = add("add", (b, terms.builder.const(-1)))
        parts.append(product(terms, (b, add("pow", (a, less)), inner[0])))
    if terms.builder.exact(inner[1]) != 0:
        parts.append(product(terms, (index, add("log", (a,)), inner[1])))
    return total(terms, parts)


def _choice_rule(terms: Terms, index: int, inner: Slopes) -> int:
    return terms.builder.add("if", (terms.nodes[index].args[0], *inner[1:]))


def _extreme_rule(terms: Terms, index: int, inner: Slopes) -> int:
    """The slope of the argument that is the extreme, the earlier one where two are."""
    node, add = terms.nodes[index], terms.builder.add
    best, slope = node.args[0], inner[0]
    for other, more in zip(node.args[1:], inner[1:], strict=True):
        pair = (best, other) if node.op == "max" else (other, best)
        slope = add("if", (add("lt", pair), more, slope))
        best = add(node.op, sorted((best, other)))
    return slope


def _entry_rule(terms: Terms, index: int, inner: Slopes) -> int:
    """An entry of a list at positions, which are whole numbers and have no slope."""
    node, add = terms.nodes[index], terms.builder.add
    source = terms.nodes[node.args[0]]
    if source.op != "vector":
        raise UnsupportedError("an entry of an array that varies")
    return add("element", (inner[0], *node.args[1:]))


def _vector_rule(terms: Terms, index: int, inner: Slopes) -> int:
    return terms.builder.add("vector", inner, None, terms.builder.type_of(index))


def _rest_rule(terms: Terms, index: int, inner: Slopes) -> int:
    if terms.builder.exact(inner[1]) != 0:
        raise UnsupportedError("a remainder by what varies")
    return inner[0]


def _angle_rule(terms: Terms, index: int, inner: Slopes) -> int:
    """atan2(y, x)' = (x y' - y x') / (x x + y y)."""
    y, x = terms.nodes[index].args
    add = terms.builder.add
    loss = add("neg", (product(terms, (y, inner[1])),))
    top = total(terms, (product(terms, (x, inner[0])), loss))
    return add("div", (top, total(terms, (product(terms, (x, x)), product(terms, (y, y))))))


def _sign(terms: Terms, index: int) -> int:
    (a,) = terms.nodes[index].args
    below = terms.builder.add("lt", (a, terms.builder.const(0)))
    return terms.builder.add("if", (below, terms.builder.const(-1), terms.builder.const(1)))


def _reciprocal(terms: Terms, index: int) -> int:
    return terms.builder.add("div", (terms.builder.const(1), terms.nodes[index].args[0]))


def _root_slope(terms: Terms, index: int) -> int:
    double = product(terms, (terms.builder.const(2), index))
    return terms.builder.add("div", (terms.builder.const(1), double))


def _negative_sine(terms: Terms, index: int) -> int:
    return terms.builder.add("neg", (terms.builder.add("sin", terms.nodes[index].args),))


def _bell(terms: Terms, index: int) -> int:
    """The slope of tanh, 1 - tanh ** 2."""
    square = terms.builder.add("neg", (product(terms, (index, index)),))
    return total(terms, (terms.builder.const(1), square))


def _logistic(terms: Terms, index: int) -> int:
    """The slope of softplus, 1 / (1 + exp(-a))."""
    add = terms.builder.add
    small = add("exp", (add("neg", terms.nodes[index].args),))
    return add("div", (terms.builder.const(1), total(terms, (terms.builder.const(1), small))))


_RULES: dict[str, Callable[[Terms, int, Slopes], int]] = {
    "add": _sum_rule,
    "neg": lambda terms, index, inner: terms.builder.add("neg", inner),
    "mul": _product_rule,
    "div": _quotient_rule,
    "pow": _power_rule,
    "if": _choice_rule,
    "min": _extreme_rule,
    "max": _extreme_rule,
    "element": _entry_rule,
    "vector": _vector_rule,
    "rem": _rest_rule,
    "atan2": _angle_rule,
}

_OUTER: dict[str, Callable[[Terms, int], int]] = {
    "abs": _sign,
    "exp": lambda terms, index: index,
    "log": _reciprocal,
    "sqrt": _root_slope,
    "sin": lambda terms, index: terms.builder.add("cos", terms.nodes[index].args),
    "cos": _negative_sine,
    "tanh": _bell,
    "softplus": _logistic,
}
