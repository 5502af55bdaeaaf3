"""Axes of emitted tensors beside the batch: indices, agents, bound members, entries of arrays.

An axis is a number, and the axes of a tensor stand in the order of their numbers. Agents come after
indices: there are many of them, and operators are fast along a long last axis.
"""

from collections.abc import Sequence
from dataclasses import replace

from mfdsl.compiler.backend.torch_text import ATOM, Text, lift

OWN = 0
_INDEX = -1_000_000_000
_ENTRY = 1_000_000_000


def peer_axis(depth: int) -> int:
    """The axis of the member bound at a depth."""
    return 1 + depth


def index_axis(depth: int) -> int:
    """The axis of a bound index."""
    return _INDEX + depth


def entry_axes(count: int) -> tuple[int, ...]:
    """The axes of an array with `count` axes of its own, which stand last."""
    return tuple(_ENTRY - k for k in range(count, 0, -1))


def is_entry(axis: int) -> bool:
    """Whether an axis is one of an array."""
    return axis > _ENTRY // 2


def is_agents(axis: int) -> bool:
    """Whether an axis is one of agents, own or bound."""
    return OWN <= axis and not is_entry(axis)


def union(texts: Sequence[Text]) -> tuple[int, ...]:
    """All axes of some texts."""
    return tuple(sorted({axis for text in texts for axis in text.axes}))


def renamed(text: Text, old: int, new: int) -> Text:
    """The same tensor with one of its axes under another name."""
    minus = text.minus and renamed(text.minus, old, new)
    return replace(text, axes=tuple(new if a == old else a for a in text.axes), minus=minus)


def place(text: Text, axis: int) -> int:
    """Where an axis lies, counted from the end."""
    return text.axes.index(axis) - len(text.axes)


def ordered(text: Text, axes: Sequence[int]) -> Text:
    """The same tensor with its axes in the order in which they stand in `axes`."""
    wanted = tuple(axis for axis in axes if axis in text.axes)
    if text.literal is not None or wanted == text.axes:
        return text
    for axis in text.axes:
        rest = [a for a in text.axes if a != axis]
        if rest == [a for a in wanted if a != axis]:
            ends = f"{place(text, axis)}, {wanted.index(axis) - len(wanted)}"
            return Text(f"{text.at(ATOM)}.movedim({ends})", ATOM, wanted, text.batch)
    old = ", ".join(str(place(text, axis)) for axis in wanted)
    new = ", ".join(str(k - len(wanted)) for k in range(len(wanted)))
    return Text(f"{text.at(ATOM)}.movedim(({old}), ({new}))", ATOM, wanted, text.batch)


def widened(text: Text, axes: Sequence[int]) -> str:
    """The code of a tensor with all of `axes`, the batch axis included."""
    lifted = lift(text, axes)
    if lifted.batch or lifted.literal is not None:
        return lifted.code
    missing = len(axes) - len(text.axes) if lifted.code == text.code else 0
    return f"{lifted.at(ATOM)}[{', '.join(['None'] * (1 + missing))}]"
