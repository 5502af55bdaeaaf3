"""Texts of arrays: items side by side, and bodies whose index becomes an axis of entries."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mfdsl.compiler.backend.particles.axes import (
    entry_axes,
    index_axis,
    is_agents,
    is_entry,
    ordered,
    union,
    widened,
)
from mfdsl.compiler.backend.torch_text import ATOM, Text, call, lift

if TYPE_CHECKING:
    from mfdsl.compiler.backend.particles.scope import Scope

DTYPES = {"real": "p.unit.dtype", "bool": "torch.bool"}


def vector(scope: Scope, index: int) -> Text:
    """Items stacked along a new axis in front of their own."""
    arena = scope.module.rewriter.arena
    items = [scope.known[i] for i in arena.node(index).args]
    type = arena.type_of(index)
    rank = len(type.dims)
    outer = tuple(axis for axis in union(items) if not is_entry(axis))
    dtype = DTYPES.get(type.kind, "torch.int64")
    codes = [
        lift(item, (*outer, *entry_axes(rank - 1))).code
        if item.literal is None
        else f"torch.tensor({item.code}, dtype={dtype}, device=p.unit.device)"
        for item in items
    ]
    if rank == 1 and any(map(is_agents, outer)):
        scope.module.helpers.add("_vectors")
        code = call("_vectors", *codes)
    else:
        scope.module.helpers.add("_stack")
        code = call("_stack", *codes, f"axis={-rank}")
    return Text(code, ATOM, (*outer, *entry_axes(rank)), any(item.batch for item in items))


def array_over(scope: Scope, index: int) -> Text:
    """The axis of the index becomes the first axis of an array."""
    arena = scope.module.rewriter.arena
    node, dims = arena.node(index), arena.type_of(index).dims
    assert isinstance(node.attr, int)
    body, axis = scope.known[node.args[0]], index_axis(node.attr)
    outer = tuple(a for a in body.axes if not is_entry(a) and a != axis)
    axes = (*outer, axis, *entry_axes(len(dims) - 1))
    made = (*outer, *entry_axes(len(dims)))
    if axis in body.axes:
        return replace(lift(ordered(body, axes), axes), axes=made)
    sizes = ", ".join([*["-1"] * (1 + len(outer)), *map(str, dims)])
    code = widened(body, axes)
    code = f"{code} * p.unit" if body.literal is not None else code
    return Text(f"({code}).expand({sizes})", ATOM, made)
