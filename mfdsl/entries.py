"""Single entries of array parameters among the axes of a sweep: `spread[infected, 2]`."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mfdsl.compiler.ir.entries import EntryError, entry, place_in, replaced
from mfdsl.compiler.ir.model import Model, Parameter, Values
from mfdsl.errors import UsageError, unknown


def swept_parameter(model: Model, name: str) -> tuple[Parameter, int | None]:
    """The parameter that a name stands for, with the place of the entry where it names one.

    Raises:
        UsageError: there is no such parameter, or its array has no such entry.
    """
    try:
        found = place_in(model, name)
    except EntryError as error:
        raise UsageError(str(error)) from None
    if found is not None:
        return found
    for parameter in model.parameters:
        if parameter.name == name:
            return parameter, None
    raise unknown("parameter", name, [parameter.name for parameter in model.parameters])


def places_of(model: Model, names: Iterable[str]) -> dict[str, tuple[str, int]]:
    """Of those names that are entries of arrays, the array and the place, row by row.

    Raises:
        UsageError: an array has no such entry, or the array is named as well.
    """
    names = list(names)
    found: dict[str, tuple[str, int]] = {}
    for name in names:
        if entry(name) is None:
            continue
        parameter, place = swept_parameter(model, name)
        assert place is not None
        if parameter.name in names:
            raise UsageError(f"`{parameter.name}` has the entry `{name}`", "name one of both")
        twin = next((n for n, at in found.items() if at == (parameter.name, place)), None)
        if twin is not None:
            raise UsageError(f"`{name}` and `{twin}` are the same entry", "name one of both")
        found[name] = (parameter.name, place)
    return found


def listed(names: str) -> list[str]:
    """Names between commas; those inside brackets divide indices."""
    return [name.strip() for name in re.split(r",(?![^\[]*\])", names) if name.strip()]


def arrays_of(names: Iterable[str]) -> list[str]:
    """The names of parameters, those of arrays in the place of those of their entries."""
    return [named[0] if (named := entry(name)) is not None else name for name in names]


def shaped(model: Model, name: str, value: Values) -> Any:
    """A number, or the numbers of an array as nested lists."""
    if not isinstance(value, tuple):
        return value
    (dims,) = (model.types[p.type].dims for p in model.parameters if p.name == name)
    rows: list[Any] = list(value)
    for size in reversed(dims[1:]):
        rows = [rows[k : k + size] for k in range(0, len(rows), size)]
    return rows


def whole_columns(model: Model, columns: Mapping[str, Sequence[Values]]) -> dict[str, list[Values]]:
    """Values of parameters in several games, with arrays in the place of their entries.

    What is not named of an array is as in the model, or as in its own column.

    Raises:
        UsageError: an entry is named twice, or there is no such one.
    """
    found = {name: list(values) for name, values in columns.items() if entry(name) is None}
    places: dict[tuple[str, int], str] = {}
    for name, values in columns.items():
        parameter, place = swept_parameter(model, name)
        if place is None:
            continue
        if (other := places.setdefault((parameter.name, place), name)) != name:
            raise UsageError(f"`{name}` and `{other}` are the same entry", "sweep one of both")
        whole = found.setdefault(parameter.name, [parameter.value] * len(values))
        for game, value in enumerate(values):
            numbers = whole[game]
            assert isinstance(numbers, tuple) and not isinstance(value, tuple)
            whole[game] = replaced(numbers, place, value)
    return found
