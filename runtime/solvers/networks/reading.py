"""What a network reads of a time and a state: names of values, their sizes, and look-ups.

A part is a table that is broadcast over stages and axes of states, so that the first layer of a
network is a sum of small products, however many rows there are.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mfdsl.compiler.ir.model import Model, Node
from mfdsl.runtime.evaluate import View
from mfdsl.runtime.program import Program
from mfdsl.runtime.solvers.networks.history import past_axis

NAMED = 512  # most values of an axis that each have weights of their own
FEW = 64  # most values of an array that do


@dataclass(frozen=True, eq=False)
class Part:
    """`values` [T or 1, *S or 1, F]; None where each place along one axis has its own feature."""

    shape: tuple[int, ...]
    width: int
    values: Tensor | None = field(repr=False)

    def projected(self, weights: Tensor) -> Tensor:
        """Products with weights [games, F, units], [games, *shape, units]."""
        if self.values is None:
            return weights.reshape(len(weights), *self.shape, -1)
        flat = self.values.reshape(-1, self.width) @ weights
        return flat.reshape(len(weights), *self.shape, -1)


@dataclass(frozen=True, eq=False)
class Reading:
    """All parts; rows are pairs (stage, state), row-major. `rows` [parts, T * S] is the row of each
    part that belongs to a pair.
    """

    stages: int
    states: tuple[int, ...]
    parts: tuple[Part, ...]

    @property
    def count(self) -> int:
        """Number of rows."""
        return self.stages * math.prod(self.states)

    def summed(
        self, projected: list[Tensor], rows: Tensor | None, stages: slice | None = None
    ) -> Tensor:
        """The sum of projected parts at rows [N], all of them without: [games, N, units].

        Without rows `stages` takes those of some stages alone.
        """
        if rows is None:
            some = range(self.stages)[stages] if stages else range(self.stages)
            sizes = (len(some), *self.states)
            if stages:
                projected = [p if p.shape[1] == 1 else p[:, stages] for p in projected]
            whole = projected[0].new_zeros(())
            for found in sorted(projected, key=torch.numel):  # broadcasts grow as late as they can
                whole = whole + found
            return whole.expand(-1, *sizes, -1).flatten(1, -2)
        total: Tensor | None = None
        for found in projected:
            picked = found.flatten(1, -2).index_select(1, self._places(found.shape[1:-1], rows))
            total = picked if total is None else total + picked
        assert total is not None
        return total

    def _places(self, shape: tuple[int, ...], rows: Tensor) -> Tensor:
        """Rows of a part of this shape that belong to rows of all."""
        place, stride, rest = torch.zeros_like(rows), 1, rows
        for have, size in zip(reversed(shape), reversed((self.stages, *self.states)), strict=True):
            if have > 1:
                place = place + rest % size * stride
                stride *= have
            rest = rest // size
        return place


def reading_of(view: View) -> Reading:
    """What networks read in a game: the stage, each state variable, and what tables of the game
    say there (constant arrays that are looked up at own states and the stage).

    A past of the common state has no name of its own where look-ups say what it means.
    """
    program, uniform = view.program, view.uniform()
    stages, device = uniform.stages, uniform.probs.device
    sizes = tuple(program.states.values())
    told = look_ups(program, stages, device)
    past = past_axis(program)
    place = list(program.states).index(past) + 1 if past else None
    if place is not None and all(table.shape[place] == 1 for table in told):
        place = None
    parts = list(_axis_parts(0, stages, len(sizes), device)) if stages > 1 else []
    for axis, size in enumerate(sizes, 1):
        parts += [] if axis == place else _axis_parts(axis, size, len(sizes), device)
    for table in told:
        parts += _told(table)
    if not parts:  # one state at one stage: nothing to tell apart
        one = (1,) * (1 + len(sizes))
        parts = [Part(one, 1, torch.ones(*one, 1, dtype=torch.float32, device=device))]
    return Reading(stages, sizes, tuple(parts))


def seen_pasts(view: View, axis: str) -> Tensor:
    """What look-ups say of each past at each stage, [T, places, F]."""
    program, uniform = view.program, view.uniform()
    place = list(program.states).index(axis) + 1
    found = []
    for table in look_ups(program, uniform.stages, uniform.probs.device):
        if table.numel() == math.prod(table.shape[i] for i in (0, place)):
            line = table.reshape(table.shape[0], table.shape[place])
            scaled = 2 * (line - line.amin()) / (line.amax() - line.amin()) - 1
            found.append(scaled.expand(uniform.stages, program.states[axis]))
    ones = torch.ones(uniform.stages, program.states[axis], device=uniform.probs.device)
    return torch.stack([ones, *found], -1)


def _axis_parts(place: int, size: int, axes: int, device: torch.device) -> Iterator[Part]:
    """A name for each value, and its place in [-1, 1]."""
    shape = (*[1] * place, size, *[1] * (axes - place))
    if size <= NAMED:
        yield Part(shape, size, None)
    if size > 2:
        line = torch.linspace(-1, 1, size, dtype=torch.float32, device=device)
        waves = [line]
        if size > NAMED:
            waves += [f(math.pi * 2**k * line) for k in range(size.bit_length()) for f in _WAVES]
        yield Part(shape, len(waves), torch.stack(waves, -1).reshape(*shape, -1))


_WAVES = (torch.sin, torch.cos)


def _told(table: Tensor) -> Iterator[Part]:
    """The values of a look-up, in [-1, 1], and a name for each where they are few."""
    low, high = table.amin(), table.amax()
    line = (table - low) / (high - low) * 2 - 1
    yield Part(tuple(table.shape), 1, line[..., None])
    different = table.new_tensor(sorted(set(table.flatten().tolist())))
    if 2 < len(different) <= FEW:
        names = (table[..., None] == different).float()
        yield Part(tuple(table.shape), len(different), names)


def look_ups(program: Program, stages: int, device: torch.device) -> list[Tensor]:
    """Tables [T or 1, *S or 1] of constant arrays that the game reads at own states and the stage.

    These are what the pasts of a common state mean, tariffs by the hour, maps. Arrays that do not
    vary are left out.
    """
    model = program.model
    if model is None:
        return []
    found: dict[tuple[object, ...], Tensor] = {}
    for node in model.nodes:
        if node.op != "element" or model.nodes[node.args[0]].op != "array":
            continue
        axes = [_axis(model, model.nodes[i], program) for i in node.args[1:]]
        number = model.nodes[node.args[0]].attr
        array = model.arrays[int(str(number))]
        known = [axis for axis in axes if axis is not None]
        if len(known) < len(axes) or len(array.dims) != len(axes) or len(set(known)) < len(known):
            continue
        values = torch.tensor(array.values, dtype=torch.float32, device=device)
        found[number, *known] = _spread(values.reshape(array.dims), known, program, stages)
    return [table for table in found.values() if bool((table != table.flatten()[0]).any())]


def _axis(model: Model, leaf: Node, program: Program) -> int | None:
    """The axis of rows that a position runs along: 0 is the stage; None if it is another thing."""
    if leaf.op == "time":
        return 0
    names = list(program.states)
    if leaf.op == "state" and leaf.attr in names and model.types[leaf.type].first == 0:
        return names.index(str(leaf.attr)) + 1
    return None


def _spread(values: Tensor, axes: Sequence[int], program: Program, stages: int) -> Tensor:
    """An array whose axes are those of rows, with ones between them; the stages that there are."""
    order = sorted(range(len(axes)), key=axes.__getitem__)
    values = values.permute(order)
    shape = [1] * (1 + len(program.states))
    for size, place in zip(values.shape, sorted(axes), strict=True):
        shape[place] = size
    table = values.reshape(shape)
    return table[:stages] if 0 in axes else table
