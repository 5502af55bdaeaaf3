"""The meaning of an expression on plain numbers and numpy arrays: slow, and obvious enough to
judge by.

`if`, `and` and `or` of scalars look only at what they need. A conditional mean over a condition
without mass is nan.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np

from mfdsl.compiler.ir import geometry
from mfdsl.compiler.ir.model import Grid, Model, Node
from mfdsl.compiler.ir.transport import squared_distance
from mfdsl.compiler.ir.types import Type
from mfdsl.compiler.ir.walk import MEANS, MEMBERS, REDUCTIONS, depth_of

Number = int | float
Values = tuple[int, ...]
Law = Mapping[tuple[Values, Values], float]
Value = Any  # a number, or a numpy array of numbers
Member = Mapping[tuple[str, str], Value]


@dataclass(frozen=True)
class Environment:
    """What leaves stand for.

    `own` maps (kind, name) to a value, `common` (player, kind, name). A population is either a law
    over (states, actions) of the one population (`law`), a list of members with their probabilities
    (`laws`, by the name of the population), or a list of members (`members`, likewise); `me` is
    then the place of oneself in the own population, and `places` maps the depth of a binder to that
    of its member. `parameters` replaces bound values by name
    (arrays flat, row-major); `peers` and `indices` map the depth of a binder to its member or its
    value. `alike` has the means and extremes that are the same for all members, None until they are
    wanted.
    """

    own: Member = field(default_factory=dict)
    time: int = 0
    parameters: Mapping[str, Number | Sequence[float]] = field(default_factory=dict)
    law: Law = field(default_factory=dict)
    peers: Mapping[int, tuple[Values, Values] | Member] = field(default_factory=dict)
    indices: Mapping[int, int] = field(default_factory=dict)
    common: Mapping[tuple[str, str, str], Value] = field(default_factory=dict)
    members: Mapping[str, Sequence[Member]] = field(default_factory=dict)
    me: int | None = None
    places: Mapping[int, int] = field(default_factory=dict)
    laws: Mapping[str, Sequence[tuple[Member, float]]] = field(default_factory=dict)
    alike: dict[int, Value] = field(default_factory=dict)

    def inside(self, **changes: Mapping[int, Any]) -> "Environment":
        """As `dataclasses.replace`, which takes longer than the body of a short sum."""
        found = object.__new__(Environment)
        vars(found).update(vars(self), **changes)
        return found


ELEMENTARY: dict[str, Callable[..., Number]] = {
    "add": lambda *v: sum(v),
    "mul": lambda *v: math.prod(v),
    "min": lambda *v: min(v),
    "max": lambda *v: max(v),
    "neg": lambda a: -a,
    "abs": abs,
    "exp": math.exp,
    "log": math.log,
    "sqrt": math.sqrt,
    "sin": math.sin,
    "cos": math.cos,
    "tanh": math.tanh,
    "softplus": lambda a: max(a, 0.0) + math.log1p(math.exp(-abs(a))),
    "atan2": math.atan2,
    "floor": math.floor,
    "ceil": math.ceil,
    "round": round,
    "not": lambda a: int(not a),
    "div": lambda a, b: a / b,
    "pow": lambda a, b: a**b,
    "rem": lambda a, b: a % b,
    "eq": lambda a, b: int(a == b),
    "ne": lambda a, b: int(a != b),
    "lt": lambda a, b: int(a < b),
    "le": lambda a, b: int(a <= b),
    "real": float,
    "ind": int,
}

OWN = ("state", "trait", "action", "noise", "draw")
PLAIN = frozenset((int, float, bool))
# Not all arguments of these are wanted; bodies of binders have environments of their own.
CHOOSING = frozenset(("if", "and", "or", "element", *MEMBERS, "array_over", *REDUCTIONS))

_REDUCE: dict[str, Callable[[list[Number]], Number]] = {
    "sum_over": sum,
    "prod_over": math.prod,
    "min_over": min,
    "max_over": max,
    "any_over": lambda v: int(any(v)),
    "all_over": lambda v: int(all(v)),
}


def evaluate(model: Model, root: int, environment: Environment) -> Value:
    """The value of node `root`."""
    known: dict[int, Value] = {}
    stack, nodes = [root], model.nodes
    while stack:
        index = stack[-1]
        if index in known:  # more than one node asked for it
            stack.pop()
            continue
        node = nodes[index]
        needed = _needed(model, index, known) if node.op in CHOOSING else node.args
        missing = [i for i in reversed(needed) if i not in known]
        if missing:
            stack += missing  # the first argument is the first to be valued
            continue
        known[index] = _value(model, index, known, environment)
        stack.pop()
    return known[root]


def _needed(model: Model, index: int, known: Mapping[int, Value]) -> Sequence[int]:
    """Arguments of one that chooses which have to be valued next."""
    node = model.nodes[index]
    if node.op == "if":
        condition, then, otherwise = node.args
        if condition not in known:
            return (condition,)
        if _is_array(known[condition]):
            return node.args
        return (then,) if known[condition] else (otherwise,)
    if node.op in ("and", "or"):
        if model.node_type(index).dims:
            return node.args
        decided = node.op == "or"
        for argument in node.args:
            if argument not in known or bool(known[argument]) == decided:
                return (argument,)
        return ()
    if node.op == "element":
        return node.args[1:]
    return ()


def _is_array(value: Value) -> bool:
    return isinstance(value, np.ndarray) and value.ndim > 0


def _value(model: Model, index: int, known: Mapping[int, Value], environment: Environment) -> Value:
    node = model.nodes[index]
    args = [known[i] for i in node.args if i in known]
    if node.op in ELEMENTARY:
        return _entrywise(ELEMENTARY[node.op], args)
    if not node.args:
        return _leaf(model, node, environment)
    if node.op == "if":
        if _is_array(args[0]):
            return _spread(_entrywise(lambda c, a, b: a if c else b, args), model, index)
        chosen = known[node.args[1] if known[node.args[0]] else node.args[2]]
        return _spread(chosen, model, index)
    if node.op in ("and", "or") and model.node_type(index).dims:
        rule = all if node.op == "and" else any
        return _entrywise(lambda *v: int(rule(v)), args)
    if node.op in ("and", "or"):
        return int((any if node.op == "or" else all)(known[i] for i in node.args if i in known))
    if node.op == "element":
        return _element(model, node, [int(known[i]) for i in node.args[1:]], environment)
    if node.op in ("dot", "norm"):
        product_ = float(np.dot(args[0], args[-1]))
        return product_ if node.op == "dot" else math.sqrt(product_)
    if node.op == "vector":
        return np.stack([np.asarray(a) for a in args])
    if node.op == "w2":
        return _transport(model, node, environment)
    if index in environment.alike:
        return _once(model, index, environment)
    if node.op in MEMBERS:
        return _over_members(model, node, environment)
    if node.op == "array_over":
        return np.stack([np.asarray(v) for v in _bodies(model, node, environment)])
    if node.op in REDUCTIONS:
        return _reduction(model, node, environment)
    return _on_grid(model, node, [int(a) for a in args])


def _entrywise(rule: Callable[..., Value], args: Sequence[Value]) -> Value:
    """The rule on every entry of arrays of one shape; scalars meet every entry."""
    if PLAIN.issuperset(map(type, args)) or not any(map(_is_array, args)):
        return rule(*args)
    spread = np.broadcast_arrays(*args)
    flat = [
        rule(*(a.item() for a in entry)) for entry in zip(*(s.flat for s in spread), strict=True)
    ]
    return np.array(flat).reshape(spread[0].shape)


def _spread(value: Value, model: Model, index: int) -> Value:
    """A number as every entry of an array, where the node is one."""
    dims = model.node_type(index).dims
    return np.broadcast_to(value, dims) if dims and not _is_array(value) else value


def _leaf(model: Model, node: Node, environment: Environment) -> Value:
    attr = node.attr
    if node.op == "const":
        assert isinstance(attr, (int, float))
        return attr
    if node.op == "time":
        return environment.time
    if node.op == "param":
        value = _parameter(model, str(attr), environment)
        dims = model.types[node.type].dims
        return np.array(value).reshape(dims) if dims else value
    if node.op == "array":
        assert isinstance(attr, int)
        array = model.arrays[attr]
        kind = float if model.types[node.type].kind == "real" else int
        return np.array(array.values, dtype=kind).reshape(array.dims)
    if node.op == "index":
        assert isinstance(attr, int)
        return environment.indices[attr]
    if node.op in OWN:
        return environment.own[node.op, str(attr)]
    assert isinstance(attr, tuple)
    if node.op.startswith("common_"):
        return environment.common[str(attr[0]), node.op.removeprefix("common_"), str(attr[1])]
    if node.op == "weight":
        return _weight(model, attr, environment)
    if not node.op.startswith("peer_"):
        raise ValueError(f"unknown operator `{node.op}`")
    member = environment.peers[int(attr[0])]
    if not isinstance(member, tuple):
        return member[node.op.removeprefix("peer_"), str(attr[1])]
    population = model.population
    if node.op == "peer_state":
        return member[0][[s.name for s in population.states].index(str(attr[1]))]
    return member[1][[a.name for a in population.actions].index(str(attr[1]))]


def _weight(model: Model, attr: Sequence[int | str], environment: Environment) -> float:
    """The weight of oneself on the member of a binder; only single agents have weights."""
    depth, population, name = attr
    weights = next(w for w in model.player(str(population)).weights if w.name == name)
    array = model.arrays[weights.array]
    if environment.me is None:
        raise ValueError(f"`{name}` is between agents, a law has none")
    return array.values[_offset(array.dims, (environment.me, environment.places[int(depth)]))]


def _parameter(model: Model, name: str, environment: Environment) -> Number | Sequence[float]:
    if name in environment.parameters:
        return environment.parameters[name]
    return next(p.value for p in model.parameters if p.name == name)


def _element(model: Model, node: Node, positions: Sequence[int], environment: Environment) -> Value:
    array = model.nodes[node.args[0]]
    if array.op == "vector":  # only the entry that is wanted: others may be undefined here
        entry = evaluate(model, array.args[_offset((len(array.args),), positions[:1])], environment)
        return _entry(entry, positions[1:]) if positions[1:] else entry
    if array.op not in ("array", "param") or len(positions) < len(model.types[array.type].dims):
        return _entry(evaluate(model, node.args[0], environment), positions)
    dims = model.types[array.type].dims
    if array.op == "array":
        assert isinstance(array.attr, int)
        return model.arrays[array.attr].values[_offset(dims, positions)]
    value = _parameter(model, str(array.attr), environment)
    assert not isinstance(value, (int, float))
    return value[_offset(dims, positions)]


def _offset(dims: Sequence[int], positions: Sequence[int]) -> int:
    """Row-major offset; raises IndexError outside the array."""
    offset = 0
    for size, position in zip(dims, positions, strict=True):
        if not 0 <= position < size:
            raise IndexError(f"position {position} of an axis of {size}")
        offset = offset * size + position
    return offset


def _entry(array: Value, positions: Sequence[int]) -> Value:
    """An entry or a part of an array; raises IndexError outside it."""
    for size, position in zip(array.shape, positions, strict=False):
        if not 0 <= position < size:
            raise IndexError(f"position {position} of an axis of {size}")
    found = array[tuple(positions)]
    return found if _is_array(found) else found.item()


def _once(model: Model, index: int, environment: Environment) -> Value:
    """What is the same for all members, from the first that wants it."""
    if environment.alike[index] is None:
        environment.alike[index] = _over_members(model, model.nodes[index], environment)
    return environment.alike[index]


def _over_members(model: Model, node: Node, environment: Environment) -> Value:
    """A mean or an extreme over a list of members, or a mean over a law."""
    if not environment.members:
        return _mean(model, node, environment)
    assert isinstance(node.attr, tuple)
    members, depth = environment.members[str(node.attr[1])], depth_of(node)
    values = []
    for place, member in enumerate(members):
        if "others" in node.op and place == environment.me:
            continue
        inside = environment.inside(
            peers={**environment.peers, depth: member}, places={**environment.places, depth: place}
        )
        if node.op.endswith("_if") and not evaluate(model, node.args[1], inside):
            continue
        values.append(evaluate(model, node.args[0], inside))
    if not values:
        return 0.0 if "others" in node.op and not node.op.endswith("_if") else math.nan
    if node.op in MEANS:
        return sum(values[1:], start=values[0]) / len(values)
    return min(values) if node.op.startswith("min") else max(values)


def _transport(model: Model, node: Node, environment: Environment) -> float:
    assert isinstance(node.attr, tuple)
    depth = depth_of(node)
    cloud = [
        evaluate(model, node.args[0], environment.inside(peers={**environment.peers, depth: m}))
        for m in environment.members[str(node.attr[1])]
    ]
    return squared_distance(np.array(cloud), evaluate(model, node.args[1], environment))


def _mean(model: Model, node: Node, environment: Environment) -> float:
    depth = depth_of(node)
    total = mass = 0.0
    for member, weight in _weighted(node, environment):
        if weight == 0:
            continue
        inside = environment.inside(peers={**environment.peers, depth: member})
        if node.op.endswith("_if") and not evaluate(model, node.args[1], inside):
            continue
        mass += weight
        total += weight * evaluate(model, node.args[0], inside)
    if not node.op.endswith("_if"):
        return total
    return total / mass if mass else math.nan


def _weighted(
    node: Node, environment: Environment
) -> Iterable[tuple[tuple[Values, Values] | Member, float]]:
    """The members of a law with their probabilities."""
    assert isinstance(node.attr, tuple)
    return environment.laws.get(str(node.attr[1]), environment.law.items())


def _reduction(model: Model, node: Node, environment: Environment) -> Value:
    values = _bodies(model, node, environment)
    if any(map(_is_array, values)):
        return _entrywise(lambda *v: _REDUCE[node.op](list(v)), values)
    return _REDUCE[node.op](values)


def _bodies(model: Model, node: Node, environment: Environment) -> list[Value]:
    """The body for each value of the index."""
    assert isinstance(node.attr, int)
    body, leaf = node.args
    return [
        evaluate(model, body, environment.inside(indices={**environment.indices, node.attr: value}))
        for value in values_of(model.node_type(leaf))
    ]


def _on_grid(model: Model, node: Node, args: Sequence[int]) -> Number:
    name, region = node.attr if isinstance(node.attr, tuple) else (node.attr, "")
    grid = next(g for g in model.grids if g.name == name)
    if node.op in ("row", "col"):
        return geometry.free_cells(grid)[args[0]][node.op == "col"]
    if node.op in ("drow", "dcol"):
        _, down, right = grid.moves[args[0]]
        return down if node.op == "drow" else right
    if node.op == "cell":
        return geometry.cell_codes(grid)[_wrapped(grid, args[0], args[1])]
    if node.op in ("step", "free"):
        after = geometry.target(grid, args[0], args[1])
        if node.op == "free":
            return int(after is not None)
        return args[0] if after is None else after
    if node.op == "cell_dist":
        return geometry.cell_distance(grid, args[0], args[1])
    if node.op == "path_dist":
        return geometry.path_distances(grid, str(region))[args[0]]
    if node.op == "region":
        return int(geometry.in_region(grid, args[0], str(region)))
    raise ValueError(f"unknown operator `{node.op}`")


def _wrapped(grid: Grid, row: int, column: int) -> tuple[int, int]:
    return (row % grid.height, column % grid.width) if grid.periodic else (row, column)


def values_of(type: Type) -> range:
    """The values of a finite scalar type."""
    return range(type.first, type.first + type.size)


def combinations(model: Model, variables: Sequence[int]) -> list[Values]:
    """All joint values of variables given by their type indices, the last varying fastest."""
    return list(product(*(values_of(model.types[i]) for i in variables)))
