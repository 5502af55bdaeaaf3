"""Numbers of an array that were given as rows: flat, with the shape that the rows had."""

from collections.abc import Iterable, Sequence
from typing import Any, Self


class Rows(tuple[float, ...]):
    """The numbers one row after the other; `shape` has the length of each axis, two or more.

    Everybody may take it for a flat tuple; who knows the shape of the array compares.
    """

    shape: tuple[int, ...]

    def __new__(cls, numbers: Iterable[float], shape: tuple[int, ...]) -> Self:
        """Keep the shape beside the numbers."""
        made = super().__new__(cls, numbers)
        made.shape = shape
        return made

    def __getnewargs__(self) -> tuple[Any, ...]:
        """What a copy in another process is made from."""
        return tuple(self), self.shape


def array_of(values: Sequence[Any]) -> tuple[float, ...]:
    """The numbers of a list, or those of lists of lists as `Rows`.

    Raises:
        ValueError: rows have different lengths, or numbers stand beside rows; the message says so.
    """
    shape = _shape(values)
    if len(shape) == 1:
        return tuple(values)
    flat: Sequence[Any] = values
    for _ in shape[1:]:
        flat = [number for row in flat for number in row]
    return Rows(flat, shape)


def _shape(values: Sequence[Any]) -> tuple[int, ...]:
    rows = [v for v in values if isinstance(v, list | tuple)]
    if not rows:
        return (len(values),)
    if len(rows) < len(values):
        raise ValueError("numbers stand beside rows of numbers")
    shapes = list(dict.fromkeys(_shape(row) for row in rows))
    if len(shapes) > 1:
        sizes = [" x ".join(map(str, shape)) for shape in shapes[:2]]
        raise ValueError(f"one row has {sizes[0]} numbers, another {sizes[1]}")
    return (len(rows), *shapes[0])
