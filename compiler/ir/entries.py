"""Single entries of array parameters by their names: `spread[infected, 2]`."""

import re
from collections.abc import Iterable, Sequence

from mfdsl.compiler.ir.model import Model, Parameter

ENTRY = re.compile(r"\s*([^\[\]]+?)\s*\[([^\[\]]*)\]\s*")
MOST_NAMED = 6
Labels = Sequence[Sequence[str]]


class EntryError(ValueError):
    """Indices that no entry of an array has; the message says which there are."""


def entry(name: str) -> tuple[str, tuple[str, ...]] | None:
    """The array and the indices of a name such as `spread[infected, 2]`, None for plain names."""
    found = ENTRY.fullmatch(name)
    if found is None:
        return None
    return found[1], tuple(index.strip() for index in found[2].split(","))


def place_of(array: str, indices: Sequence[str], dims: Sequence[int], labels: Labels) -> int:
    """The place of an entry among the numbers of an array, row by row.

    An index is a number from 0 on, or a name where the axis has `labels`; a link is named by its
    two ends.

    Raises:
        EntryError: the array has another number of axes, or an axis no such index.
    """
    if not dims:
        raise EntryError(f"`{array}` is one number and has no entries")
    names = [labels[axis] if axis < len(labels) else () for axis in range(len(dims))]
    joined = _joined(indices, names)
    if len(joined) != len(dims):
        _look_for_links(array, joined, dims, names)
        raise EntryError(f"`{array}` has shape {list(dims)}: its entries are `{_all(array, dims)}`")
    place = 0
    for axis, (index, size) in enumerate(zip(joined, dims, strict=True)):
        known = names[axis]
        if known.count(index) == 1:
            at = known.index(index)
        elif index.isascii() and index.isdigit() and int(index) < size:
            at = int(index)
        else:
            where = f" on axis {axis + 1} of {len(dims)}" if len(dims) > 1 else ""
            no = "several indices" if index in known else "no index"
            raise EntryError(f"`{array}` has {no} `{index}`{where}: they are {_known(size, known)}")
        place = place * size + at
    return place


def _joined(indices: Sequence[str], names: Labels) -> list[str]:
    """The indices with two ends that are a link as one."""
    found: list[str] = []
    k = 0
    while k < len(indices):
        link = ", ".join(indices[k : k + 2])
        of_link = len(found) < len(names) and link in names[len(found)]
        found.append(link if of_link else indices[k])
        k += 2 if of_link else 1
    return found


def _look_for_links(array: str, indices: Sequence[str], dims: Sequence[int], names: Labels) -> None:
    """Name the two ends that are no link, where more indices are given than there are axes."""
    for axis, known in enumerate(names[: len(indices) - 1]):
        if any(", " in name for name in known) and indices[axis] not in known:
            ends = ", ".join(indices[axis : axis + 2])
            listed = _known(dims[axis], known)
            raise EntryError(f"`{array}` has no link `{ends}`: they are {listed}")


def _all(array: str, dims: Sequence[int]) -> str:
    first, last = ", ".join("0" for _ in dims), ", ".join(str(size - 1) for size in dims)
    return f"{array}[{first}]` to `{array}[{last}]"


def _known(size: int, names: Sequence[str]) -> str:
    numbers = f"0 to {size - 1}" if size > 1 else "0"
    if not names:
        return numbers
    listed = ", ".join(f"`{name}`" for name in names[:MOST_NAMED])
    return f"{listed}{', ...' if len(names) > MOST_NAMED else ''}, or {numbers}"


def place_in(model: Model, name: str) -> tuple[Parameter, int] | None:
    """The array parameter and the place in it that a name stands for, None where it names neither
    an entry nor a parameter of the model.

    Raises:
        EntryError: the array has no such entry.
    """
    named = entry(name)
    if named is None:
        return None
    array, indices = named
    for parameter in model.parameters:
        if parameter.name == array:
            dims = model.types[parameter.type].dims
            return parameter, place_of(array, indices, dims, parameter.labels)
    return None


def replaced(numbers: Iterable[float], place: int, value: float) -> tuple[float, ...]:
    """The numbers of an array with another one at a place."""
    found = list(numbers)
    found[place] = value
    return tuple(found)
