"""The meaning of an expression on plain Python numbers: slow, and obvious enough to judge by.

`if`, `and` and `or` look only at what they need. A conditional mean over a condition without mass
is nan.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

from mfdsl.compiler.ir import geometry
from mfdsl.compiler.ir.model import Grid, Model, Node
from mfdsl.compiler.ir.types import Type
from mfdsl.compiler.ir.walk import REDUCTIONS, depth_of

Number = int | float
Values = tuple[int, ...]
Law = Mapping[tuple[Values, Values], float]


@dataclass(frozen=True)
class Environment:
    """What leaves stand for. `law` is the joint law of states and actions by value.

    `parameters` replaces bound values by name (arrays flat, row-major); `peers` and `indices` map
    the depth of a binder to its member (states, actions) or its value.
    """

    own: Mapping[tuple[str, str], int] = field(default_factory=dict)
    time: int = 0
    parameters: Mapping[str, Number | Sequence[float]] = field(default_factory=dict)
    law: Law = field(default_factory=dict)
    peers: Mapping[int, tuple[Values, Values]] = field(default_factory=dict)
    indices: Mapping[int, int] = field(default_factory=dict)


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

_REDUCE: dict[str, Callable[[list[Number]], Number]] = {
    "sum_over": sum,
    "prod_over": math.prod,
    "min_over": min,
    "max_over": max,
    "any_over": lambda v: int(any(v)),
    "all_over": lambda v: int(all(v)),
}


def evaluate(model: Model, root: int, environment: Environment) -> Number:
    """The value of node `root`."""
    known: dict[int, Number] = {}
    stack = [root]
    while stack:
        index = stack[-1]
        missing = [i for i in _needed(model, index, known) if i not in known]
        if missing:
            stack.append(missing[0])
            continue
        known[index] = _value(model, index, known, environment)
        stack.pop()
    return known[root]


def _needed(model: Model, index: int, known: Mapping[int, Number]) -> Sequence[int]:
    """Arguments that have to be valued next; bodies of binders have environments of their own."""
    node = model.nodes[index]
    if node.op == "if":
        condition, then, otherwise = node.args
        if condition not in known:
            return (condition,)
        return (then,) if known[condition] else (otherwise,)
    if node.op in ("and", "or"):
        decided = node.op == "or"
        for argument in node.args:
            if argument not in known or bool(known[argument]) == decided:
                return (argument,)
        return ()
    if node.op == "element":
        return node.args[1:]
    if node.op in ("mean", "mean_if", "vector", *REDUCTIONS):
        return ()
    return node.args


def _value(
    model: Model, index: int, known: Mapping[int, Number], environment: Environment
) -> Number:
    node = model.nodes[index]
    args = [known[i] for i in node.args if i in known]
    if node.op in ELEMENTARY:
        return ELEMENTARY[node.op](*args)
    if node.op == "if":
        return known[node.args[1] if known[node.args[0]] else node.args[2]]
    if node.op in ("and", "or"):
        return int((any if node.op == "or" else all)(known[i] for i in node.args if i in known))
    if node.op == "element":
        return _element(model, node, [int(known[i]) for i in node.args[1:]], environment)
    if node.op in ("mean", "mean_if"):
        return _mean(model, node, environment)
    if node.op in REDUCTIONS:
        return _reduction(model, node, environment)
    if args:
        return _on_grid(model, node, [int(a) for a in args])
    return _leaf(model, node, environment)


def _leaf(model: Model, node: Node, environment: Environment) -> Number:
    attr = node.attr
    if node.op == "const":
        assert isinstance(attr, (int, float))
        return attr
    if node.op == "time":
        return environment.time
    if node.op == "param":
        value = _parameter(model, str(attr), environment)
        assert isinstance(value, (int, float))
        return value
    if node.op == "index":
        assert isinstance(attr, int)
        return environment.indices[attr]
    if node.op in ("state", "action", "noise"):
        return environment.own[node.op, str(attr)]
    if node.op not in ("peer_state", "peer_action"):
        raise ValueError(f"unknown operator `{node.op}`")
    assert isinstance(attr, tuple)
    member = environment.peers[int(attr[0])]
    population = model.population
    if node.op == "peer_state":
        return member[0][[s.name for s in population.states].index(str(attr[1]))]
    return member[1][[a.name for a in population.actions].index(str(attr[1]))]


def _parameter(model: Model, name: str, environment: Environment) -> Number | Sequence[float]:
    if name in environment.parameters:
        return environment.parameters[name]
    return next(p.value for p in model.parameters if p.name == name)


def _element(
    model: Model, node: Node, positions: Sequence[int], environment: Environment
) -> Number:
    array = model.nodes[node.args[0]]
    if array.op == "vector":
        return evaluate(model, array.args[_offset((len(array.args),), positions)], environment)
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


def _mean(model: Model, node: Node, environment: Environment) -> float:
    depth = depth_of(node)
    total = mass = 0.0
    for member, weight in environment.law.items():
        if weight == 0:
            continue
        inside = replace(environment, peers={**environment.peers, depth: member})
        if node.op == "mean_if" and not evaluate(model, node.args[1], inside):
            continue
        mass += weight
        total += weight * evaluate(model, node.args[0], inside)
    if node.op == "mean":
        return total
    return total / mass if mass else math.nan


def _reduction(model: Model, node: Node, environment: Environment) -> Number:
    assert isinstance(node.attr, int)
    body, leaf = node.args
    values = [
        evaluate(
            model, body, replace(environment, indices={**environment.indices, node.attr: value})
        )
        for value in values_of(model.node_type(leaf))
    ]
    return _REDUCE[node.op](values)


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
