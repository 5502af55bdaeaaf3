"""A part of the states of a game: the module of the game, cut down to some values of one variable.

A module says its sizes as numbers, so a part has a text of its own: in the functions over all
states the axis of that variable begins and ends elsewhere. What members, laws and agents do is left
as it is. So rewards of a part cost a part, and read the law of everybody.
"""

import ast
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from mfdsl.runtime.program import Program, load_program

TABLES = ("initial_law legal successors weights rewards reward_terms final_rewards _states").split()


class PartError(ValueError):
    """A game whose states cannot be shared, and why."""


@dataclass(frozen=True)
class Part:
    """Values `first`, ..., `first + count - 1` of the state variable `axis`, whatever the others.

    `sizes` are those of all state variables of the whole game.
    """

    sizes: tuple[int, ...]
    axis: int
    first: int
    count: int

    @property
    def states(self) -> int:
        """How many states the part has."""
        return math.prod(self.sizes) // self.sizes[self.axis] * self.count

    def places(self) -> Tensor:
        """The states of the part among all, in its own order."""
        grid = torch.arange(math.prod(self.sizes)).view(self.sizes)
        return grid.narrow(self.axis, self.first, self.count).reshape(-1)


def parts_of(program: Program, count: int) -> tuple[Part, ...]:
    """The states as that many parts, nearly alike, along the variable with most values.

    Raises:
        PartError: no variable has that many values.
    """
    sizes = tuple(program.states.values())
    axis = sizes.index(max(sizes))
    if sizes[axis] < count:
        raise PartError(
            f"no state variable of {program.name} has {count} values for {count} processes"
        )
    ends = [sizes[axis] * k // count for k in range(count + 1)]
    return tuple(Part(sizes, axis, first, last - first) for first, last in pairwise(ends))


def part_program(program: Program, part: Part) -> Program:
    """The program whose tables are those of the part; laws that it takes are still of all states.

    Raises:
        PartError: the text of the module is not as the compiler writes it.
    """
    cutter = _Cutter(part)
    tree = ast.parse(program.text)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name in TABLES:
            cutter.visit(node)
    if not cutter.cut:
        raise PartError(f"the tables of {program.name} have no axis that can be cut")
    text = ast.unparse(ast.fix_missing_locations(tree))
    own = load_program(
        text,
        program.model,
        program.name,
        populations=program.populations,
        exact=program.exact,
        grids=program.grids,
        most=program.most,
    )
    names = list(program.states)
    return replace(own, states={**program.states, names[part.axis]: part.count})


class _Cutter(ast.NodeTransformer):
    """Puts the size of the part in the place of the whole one, where tables get their shapes."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.whole = math.prod(part.sizes)
        self.cut = False

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        name = node.func.attr if isinstance(node.func, ast.Attribute) else None
        if isinstance(node.func, ast.Name) and node.func.id == "_axis":
            self._axis(node)
        elif name == "expand" or (name == "reshape" and _of_weights(node)):
            self._sized(node, 1 + self.part.axis, self.part.sizes[self.part.axis], self.part.count)
        elif name in ("reshape", "new_zeros", "ones"):
            self._sized(node, 1, self.whole, self.part.states)
        return node

    def _axis(self, node: ast.Call) -> None:
        first, size, place = node.args[:3]
        if not (isinstance(place, ast.Constant) and place.value == 1 + self.part.axis):
            return
        node.args[0] = ast.BinOp(first, ast.Add(), ast.Constant(self.part.first))
        node.args[1] = ast.Constant(self.part.count)
        self.cut = self.cut or isinstance(size, ast.Constant)

    def _sized(self, node: ast.Call, place: int, whole: int, own: int) -> None:
        if len(node.args) <= place:
            return
        size = node.args[place]
        if isinstance(size, ast.Constant) and size.value == whole:
            node.args[place] = ast.Constant(own)


def _of_weights(node: ast.Call) -> bool:
    """Whether it is weights that get one axis for each variable."""
    function = node.func
    assert isinstance(function, ast.Attribute)
    called = function.value
    return (
        isinstance(called, ast.Call)
        and isinstance(called.func, ast.Name)
        and called.func.id == "weights"
    )


def reads_actions(program: Program) -> bool:
    """Whether statistics read the actions of others, and not the law of their states alone."""
    own = set(range(1, 1 + len(program.states)))
    actions = {1 + len(program.states) + k for k in range(len(program.actions))}
    for node in ast.parse(program.text).body:
        if isinstance(node, ast.FunctionDef) and node.name == "field":
            return not all(
                actions <= set(summed) and not set(summed) - own - actions for summed in _sums(node)
            )
    return True


def _sums(function: ast.FunctionDef) -> list[Sequence[int]]:
    """The axes of each sum over the law; a law that is read as it is counts as a sum over none."""
    found: list[Sequence[int]] = []
    used = [n for n in ast.walk(function) if isinstance(n, ast.Name) and n.id == "m"]
    for node in ast.walk(function):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        target = node.func.value
        if node.func.attr == "sum" and isinstance(target, ast.Name) and target.id == "m":
            found.append(ast.literal_eval(node.args[0]))
    return [*found, *([()] * (len(used) - len(found)))]
