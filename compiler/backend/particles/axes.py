"""Axes of emitted tensors beside the batch: agents, bound members, indices, entries of arrays.

An axis is a number, and the axes of a tensor stand in the order of their numbers.
"""

from collections.abc import Sequence
from dataclasses import replace

from mfdsl.compiler.backend.torch_text import ATOM, Text, lift

OWN = 0
_INDEX = 10_000
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


def union(texts: Sequence[Text]) -> tuple[int, ...]:
    """All axes of some texts."""
    return tuple(sorted({axis for text in texts for axis in text.axes}))


def renamed(text: Text, old: int, new: int) -> Text:
    """The same tensor with one of its axes under another name."""
    return replace(text, axes=tuple(new if axis == old else axis for axis in text.axes))


def place(text: Text, axis: int) -> int:
    """Where an axis lies, counted from the end."""
    return text.axes.index(axis) - len(text.axes)


def widened(text: Text, axes: Sequence[int]) -> str:
    """The code of a tensor with all of `axes`, the batch axis included."""
    lifted = lift(text, axes)
    if lifted.batch or lifted.literal is not None:
        return lifted.code
    missing = len(axes) - len(text.axes) if lifted.code == text.code else 0
    return f"{lifted.at(ATOM)}[{', '.join(['None'] * (1 + missing))}]"
