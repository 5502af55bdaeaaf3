"""Texts of entries of arrays: slices, axes that take another name, look-ups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mfdsl.compiler.backend.particles.axes import (
    entry_axes,
    index_axis,
    is_entry,
    ordered,
    union,
    widened,
)
from mfdsl.compiler.backend.torch_text import ATOM, Text, call, lift, number

if TYPE_CHECKING:
    from mfdsl.compiler.backend.particles.scope import Scope


def element(scope: Scope, index: int) -> Text:
    """The text of an `element` node: an entry, or a row where positions are fewer than axes."""
    arena = scope.module.rewriter.arena
    node = arena.node(index)
    array = scope.known[node.args[0]]
    dims = arena.type_of(node.args[0]).dims
    places = [_place(scope, i, size) for i, size in zip(node.args[1:], dims, strict=False)]
    rest = len(dims) - len(places)
    outer = tuple(axis for axis in array.axes if not is_entry(axis))
    named = [_axis_of(scope, i, size) for i, size in zip(node.args[1:], dims, strict=False)]
    axes = (*outer, *(axis for axis in named if axis is not None))
    if all(p.literal is not None or n is not None for p, n in zip(places, named, strict=True)):
        if len(axes) == len(set(axes)):
            sliced = _sliced(array, places, axes, rest)
            return ordered(sliced, (*sorted(axes), *entry_axes(rest)))
    if not outer:
        return _looked_up(scope, array, places, rest)
    for k, position in enumerate(places):
        array = _taken(scope, array, position, len(dims) - k)
    return array


def _place(scope: Scope, index: int, size: int) -> Text:
    """A position, clipped when nothing says that it lies on the axis."""
    arena = scope.module.rewriter.arena
    text = scope.known[index]
    if text.literal is not None:
        return number(min(max(int(text.literal), 0), size - 1), "int")
    if arena.type_of(index).kind == "bool":
        text = replace(text, code=f"{text.at(ATOM)}.long()", level=ATOM)
    low, high = arena.bounds(index)
    ends = ["min=0"] if low < 0 else []
    ends += [f"max={size - 1}"] if high > size - 1 else []
    if not ends:
        return text
    return replace(text, code=f"{text.at(ATOM)}.clamp({', '.join(ends)})", level=ATOM)


def _axis_of(scope: Scope, index: int, size: int) -> int | None:
    """The axis of an index that runs over a whole axis of the array, place by place."""
    arena = scope.module.rewriter.arena
    node, type = arena.node(index), arena.type_of(index)
    if node.op != "index" or type.first or type.size != size:
        return None
    assert isinstance(node.attr, int)
    return index_axis(node.attr)


def _sliced(array: Text, places: Sequence[Text], axes: tuple[int, ...], rest: int) -> Text:
    """Literal positions, and axes that are kept."""
    marks = [p.code if p.literal is not None else ":" for p in places] + [":"] * rest
    kept = (*axes, *entry_axes(rest))
    if all(mark == ":" for mark in marks):
        return replace(array, axes=kept, minus=array.minus and replace(array.minus, axes=kept))
    return Text(f"{array.at(ATOM)}[..., {', '.join(marks)}]", ATOM, kept, array.batch)


def _looked_up(scope: Scope, array: Text, places: Sequence[Text], rest: int) -> Text:
    """Entries of an array that everybody shares."""
    axes = union(places)
    kept = (*axes, *entry_axes(rest))
    batch = any(p.batch for p in places if p.literal is None)
    if not array.batch:
        inside = ", ".join(lift(p, axes).code for p in places)
        return Text(f"{array.at(ATOM)}[{inside}]", ATOM, kept, batch)
    if batch and not rest and all(p.literal is None for p in places):
        scope.module.helpers.add("_look_up")
        codes = [widened(p, axes) for p in places]
        return Text(call("_look_up", array.code, *codes), ATOM, kept)
    scope.module.helpers.add("_at")
    codes = [lift(p, axes).code for p in places]
    return Text(call("_at", array.code, *codes, f"rank={1 + len(axes)}"), ATOM, kept)


def _taken(scope: Scope, array: Text, position: Text, rank: int) -> Text:
    """The entries along the first of the `rank` axes of an array that differs among its readers."""
    outer = tuple(axis for axis in array.axes if not is_entry(axis))
    entries = entry_axes(rank - 1)
    if position.literal is not None:
        marks = ", ".join([position.code, *[":"] * (rank - 1)])
        return Text(f"{array.at(ATOM)}[..., {marks}]", ATOM, (*outer, *entries), array.batch)
    scope.module.helpers.add("_take")
    axes = tuple(sorted({*outer, *position.axes}))
    whole = lift(array, (*axes, *entry_axes(rank)))
    code = call("_take", whole.code, lift(position, axes).code, str(-rank))
    return Text(code, ATOM, (*axes, *entries), True)
