"""Certified values of terms at rational points: the judge that refutes an identity.

A point gives every leaf a fraction and every population a law of finitely many members;
parameters are as bound where it says nothing of them. Choices look only at the branch that is
taken; where an interval cannot tell, both count.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import DecimalException
from fractions import Fraction

import numpy as np

from mfdsl.compiler.analysis.counted import count
from mfdsl.compiler.analysis.grid_intervals import GRID_RULES
from mfdsl.compiler.analysis.intervals import point as float_point
from mfdsl.compiler.analysis.symbolic import decimals
from mfdsl.compiler.analysis.symbolic.decimals import ONE, ZERO, Range, UndefinedError
from mfdsl.compiler.analysis.symbolic.terms import Terms
from mfdsl.compiler.ir.fold import decimal
from mfdsl.compiler.ir.model import Node
from mfdsl.compiler.ir.walk import MEANS, MEMBERS, depth_of

A_VALUE = 8  # steps of one value in decimals

Key = tuple[str, str, tuple[int, ...]]  # operator, name, position in an array
Member = Mapping[Key, Fraction]
Law = Sequence[tuple[Fraction, Member]]  # probabilities and members

_RULES: dict[str, Callable[..., Range]] = {
    "add": decimals.add,
    "mul": decimals.multiply,
    "neg": decimals.neg,
    "div": decimals.divide,
    "pow": decimals.power,
    "rem": decimals.remainder,
    "abs": decimals.absolute,
    "exp": decimals.exponential,
    "log": decimals.logarithm,
    "sqrt": decimals.root,
    "sin": decimals.sine,
    "cos": decimals.cosine,
    "tanh": decimals.hyperbolic_tangent,
    "softplus": decimals.softplus,
    "floor": lambda a: decimals.rounded(a, math.floor),
    "ceil": lambda a: decimals.rounded(a, math.ceil),
    "round": lambda a: decimals.rounded(a, round),
    "min": decimals.smallest,
    "max": decimals.largest,
    "lt": lambda a, b: decimals.less(a, b, strict=True),
    "le": lambda a, b: decimals.less(a, b, strict=False),
    "eq": decimals.equal,
    "ne": lambda a, b: decimals.negation(decimals.equal(a, b)),
    "not": decimals.negation,
}


@dataclass(frozen=True, slots=True)
class Point:
    """A value of each leaf, by operator, name and position, and a law of each population."""

    own: Mapping[Key, Fraction]
    laws: Mapping[str, Law] = field(default_factory=dict)


def value_at(terms: Terms, root: int, point: Point) -> Range:
    """An interval around the value of a term.

    Raises UndefinedError when it has none, or none that can be certified.
    """
    try:
        return _value(terms, root, point, {})
    except DecimalException as error:
        raise UndefinedError("a value is too large") from error


def leaf_key(terms: Terms, index: int) -> Key | None:
    """What names a scalar leaf, or an entry of an array leaf, in a point; None for other terms."""
    node, place = terms.nodes[index], tuple[int, ...]()
    if node.op == "element":
        exact = [terms.builder.exact(a) for a in node.args[1:]]
        node = terms.nodes[node.args[0]]
        place = tuple(int(e) for e in exact if e is not None)
        if len(place) < len(exact):
            return None
    if node.args or node.op in ("const", "array"):
        return None
    if node.op.startswith("peer_"):
        assert isinstance(node.attr, tuple)
        return node.op, str(node.attr[1]), place
    name = ".".join(map(str, node.attr)) if isinstance(node.attr, tuple) else str(node.attr)
    return node.op, name, place


def _value(terms: Terms, root: int, point: Point, peers: Mapping[int, Member]) -> Range:
    known: dict[int, Range] = {}
    stack = [root]
    while stack:
        missing = [a for a in _needed(terms, stack[-1], known) if a not in known]
        if missing:
            stack.append(missing[0])
            continue
        index = stack.pop()
        known[index] = _apply(terms, index, known, point, peers)
    return known[root]


def _needed(terms: Terms, index: int, known: Mapping[int, Range]) -> Sequence[int]:
    """Arguments to value next: of a choice the condition first, of `and` and `or` in order."""
    node = terms.nodes[index]
    if node.op == "if":
        condition, then, otherwise = node.args
        if condition not in known:
            return (condition,)
        lo, hi = known[condition]
        return ((then,) if hi else ()) + ((otherwise,) if not lo else ())
    if node.op in ("and", "or"):
        decided = ONE if node.op == "or" else ZERO
        for argument in node.args:
            if argument not in known:
                return (argument,)
            if known[argument] == (decided, decided):
                return ()
        return ()
    if node.op in MEMBERS or leaf_key(terms, index) is not None:
        return ()
    return node.args[1:] if node.op == "element" else node.args


def _apply(
    terms: Terms,
    index: int,
    known: Mapping[int, Range],
    point: Point,
    peers: Mapping[int, Member],
) -> Range:
    count(A_VALUE + len(terms.nodes[index].args))
    node, exact = terms.nodes[index], terms.builder.exact(index)
    if exact is not None:
        return decimals.enclosed(exact)
    if node.op == "const":
        assert isinstance(node.attr, float)
        return _around(node.attr)
    key = leaf_key(terms, index)
    if key is not None:
        return _leaf(terms, index, key, point, peers)
    if node.op in MEMBERS:
        return _over_members(terms, node, point, peers)
    if node.op == "element":
        return _element(terms, node, [known[a] for a in node.args[1:]], point, peers)
    values = [known[a] for a in node.args if a in known]
    if node.op == "if":
        return decimals.hull([known[a] for a in _needed(terms, index, known)])
    if node.op in ("and", "or"):
        return (decimals.largest if node.op == "or" else decimals.smallest)(*values)
    if node.op in GRID_RULES:
        return _on_grid(terms, node, values)
    if node.op not in _RULES:
        raise UndefinedError(f"`{node.op}` has no certified value")
    return _RULES[node.op](*values)


def _leaf(terms: Terms, index: int, key: Key, point: Point, peers: Mapping[int, Member]) -> Range:
    node = terms.nodes[index]
    leaf = terms.nodes[node.args[0]] if node.op == "element" else node
    values = peers.get(depth_of(leaf), {}) if leaf.op.startswith("peer_") else point.own
    return _given(terms, key, values)


def _given(terms: Terms, key: Key, values: Member) -> Range:
    """The value of a leaf; parameters are as bound where the point says nothing else."""
    if key in values:
        return decimals.enclosed(values[key])
    if key[0] != "param":
        raise UndefinedError(f"the point has no value of `{key[1]}`")
    return _around(float(np.asarray(terms.facts.parameters[key[1]])[key[2]]))


def _around(value: float) -> Range:
    """All numbers that round to a float, and a few more."""
    known = decimal(value)
    if known is not None:
        return decimals.enclosed(known)
    lo, hi = (Fraction(math.nextafter(value, end)) for end in (-math.inf, math.inf))
    return decimals.enclosed(lo)[0], decimals.enclosed(hi)[1]


def _element(
    terms: Terms,
    node: Node,
    positions: Sequence[Range],
    point: Point,
    peers: Mapping[int, Member],
) -> Range:
    """An entry of an array at exact positions."""
    source = terms.nodes[node.args[0]]
    dims = terms.builder.type_of(node.args[0]).dims
    place = tuple(int(lo) for lo, hi in positions if lo == hi)
    if len(place) < len(dims) or any(not 0 <= p < d for p, d in zip(place, dims, strict=True)):
        raise UndefinedError("an array is read at a position that is outside or not exact")
    if source.op == "vector":
        return _value(terms, source.args[int(np.ravel_multi_index(place, dims))], point, peers)
    if source.op == "array":
        assert isinstance(source.attr, int)
        return _around(float(terms.facts.arrays[source.attr][place]))
    key = leaf_key(terms, node.args[0])
    assert key is not None
    values = peers.get(depth_of(source), {}) if source.op.startswith("peer_") else point.own
    return _given(terms, (*key[:2], place), values)


def _on_grid(terms: Terms, node: Node, values: Sequence[Range]) -> Range:
    if any(lo != hi for lo, hi in values):
        raise UndefinedError("a cell that is not exact")
    whole = [float_point(np.float64(float(lo))) for lo, _ in values]
    found = GRID_RULES[node.op](terms.facts.grids, node, whole)
    if found.lo != found.hi:
        raise UndefinedError(f"`{node.op}` is not exact")
    return decimals.enclosed(Fraction(float(found.lo)))


def _over_members(terms: Terms, node: Node, point: Point, peers: Mapping[int, Member]) -> Range:
    """A mean or an extreme over the law; there are so many others that oneself does not count."""
    assert isinstance(node.attr, tuple)
    law, depth = point.laws.get(str(node.attr[1])), depth_of(node)
    if law is None or node.op == "w2":
        raise UndefinedError(f"`{node.op}` has no certified value")
    found: list[tuple[Range, Range]] = []
    for probability, member in law:
        inside = {**peers, depth: member}
        if node.op.endswith("_if"):
            met = _value(terms, node.args[1], point, inside)
            if met[0] != met[1]:
                raise UndefinedError("a condition on members cannot be told")
            if not met[0]:
                continue
        value = _value(terms, node.args[0], point, inside)
        found.append((decimals.enclosed(probability), value))
    if not found:
        raise UndefinedError("a condition that no member meets")
    if node.op not in MEANS:
        extreme = decimals.smallest if node.op.startswith("min") else decimals.largest
        return extreme(*(value for _, value in found))
    whole = decimals.add(*(decimals.multiply(weight, value) for weight, value in found))
    if not node.op.endswith("_if"):
        return whole
    return decimals.divide(whole, decimals.add(*(weight for weight, _ in found)))
