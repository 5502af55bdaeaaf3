"""Values that are given for parameters from outside: whole ones, and single entries of arrays."""

import math
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction

from mfdsl.compiler.ir.entries import EntryError, entry, place_of, replaced
from mfdsl.compiler.ir.fold import carried, decimal
from mfdsl.compiler.ir.rows import Rows
from mfdsl.compiler.ir.types import Type
from mfdsl.compiler.sema.context import Context, ParameterValue
from mfdsl.compiler.sema.operators import describe
from mfdsl.compiler.sema.values import EnumName
from mfdsl.compiler.syntax import ast

Override = int | float | str | tuple[float, ...]


def entries_of(
    overrides: Mapping[str, Override], known: Iterable[str]
) -> dict[str, dict[str, Override]]:
    """By the name of a parameter, the values that are given for entries of it by their names."""
    found: dict[str, dict[str, Override]] = {}
    for name, value in overrides.items():
        named = entry(name)
        if named is not None and named[0] in known:
            found.setdefault(named[0], {})[name] = value
    return found


def labels_of(ctx: Context, axes: Sequence[Type]) -> tuple[tuple[str, ...], ...]:
    """The names of the indices of each axis, none where they are numbers."""
    return tuple(_names(ctx, axis) for axis in axes)


def _names(ctx: Context, axis: Type) -> tuple[str, ...]:
    if axis.kind in ("node", "link"):
        graph = ctx.graphs[str(axis.name)]
        ends = ((graph.nodes[tail], graph.nodes[head]) for tail, head in graph.links)
        return graph.nodes if axis.kind == "node" else tuple(", ".join(pair) for pair in ends)
    if axis.kind == "enum":
        return _enum(ctx, axis).values
    return ()


def _enum(ctx: Context, type_: Type) -> EnumName:
    symbols = (scope.get(type_.name or "") for scope in ctx.scopes.values())
    return next(symbol for symbol in symbols if isinstance(symbol, EnumName))


def with_entries(
    ctx: Context,
    declaration: ast.Param,
    type_: Type,
    labels: Sequence[Sequence[str]],
    value: ParameterValue,
    entries: Mapping[str, Override],
) -> ParameterValue | None:
    """An array with other numbers at some places, None where one does not fit and was reported."""
    places: dict[int, str] = {}
    for name, given in entries.items():
        array, indices = entry(name) or (name, ())
        number = None if isinstance(given, tuple) else _scalar_override(ctx, type_, given)
        problem = None if number is not None else f"`{name} = {given}` is not one number"
        try:
            place = place_of(array, indices, type_.dims, labels)
        except EntryError as error:
            place, problem = 0, str(error)
        if problem is None and place in places:
            problem = f"`{name}` and `{places[place]}` are the same entry"
        if problem is not None:
            ctx.sink.report("MFG307", problem, declaration.name.span, "declared here")
            return None
        assert number is not None and isinstance(value, tuple)
        places[place] = name
        value = replaced(value, place, _at_end(type_, carried(number)))
    return value


def overridden(
    ctx: Context, declaration: ast.Param, type_: Type, given: Override
) -> ParameterValue | None:
    """The value that is given for a parameter, None where it does not fit and was reported.

    One number alone is every entry of an array.
    """
    name = declaration.name.name
    if type_.dims:
        count = math.prod(type_.dims)
        shape = given.shape if isinstance(given, Rows) else (count,)
        if isinstance(given, tuple) and len(given) == count and shape in ((count,), type_.dims):
            return tuple(_at_end(type_, float(x)) for x in given)
        one = None if isinstance(given, tuple) else _scalar_override(ctx, type_, given)
        if one is not None:
            return (_at_end(type_, carried(one)),) * count
        got = f"`{given}`"
        if isinstance(given, tuple):
            got = "1 number" if len(given) == 1 else f"{len(given)} numbers"
        if isinstance(given, Rows):
            got = f"rows of shape {list(given.shape)}"
        ctx.sink.report(
            "MFG307",
            f"`{name}` has shape {list(type_.dims)}: {count} numbers, got {got}",
            declaration.name.span,
            "declared here",
        )
        return None
    value = _scalar_override(ctx, type_, given)
    if value is None:
        ctx.sink.report(
            "MFG307",
            f"`{name} = {given}` is not {describe(type_)}",
            declaration.name.span,
            "declared here",
        )
    return value


def _scalar_override(ctx: Context, type_: Type, given: Override) -> Fraction | None:
    if type_.kind == "enum":
        values = _enum(ctx, type_).values
        return Fraction(values.index(str(given))) if given in values else None
    if type_.kind == "bool":
        words = {"true": 1, "false": 0, "1": 1, "0": 0}
        return Fraction(words[str(given).lower()]) if str(given).lower() in words else None
    try:
        value = Fraction(str(given))
        carried(value)
    except (ValueError, ZeroDivisionError, OverflowError):
        return None
    if type_.kind != "real":
        return value if value.denominator == 1 else None
    number = carried(value)
    end = _at_end(type_, number)
    return value if end == number else decimal(end) or Fraction(end)


def _at_end(type_: Type, number: float) -> float:
    """The number, or the end of the range that it exceeds by the rounding of a float: numbers that
    were printed with all their digits, or computed, miss an end by as little.
    """
    for end, beyond in ((type_.lo, -math.inf), (type_.hi, math.inf)):
        if end is not None and number == math.nextafter(end, beyond):
            return float(end)
    return number
