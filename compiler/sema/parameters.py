"""Parameters: their types, ranges and defaults, and which of them fix shapes."""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

from mfdsl.compiler.ir.entries import entry
from mfdsl.compiler.ir.fold import carried, told_apart
from mfdsl.compiler.ir.types import Type
from mfdsl.compiler.sema import expressions, types
from mfdsl.compiler.sema.context import Context, ParameterSymbol, ParameterValue
from mfdsl.compiler.sema.data import DataError, read_array
from mfdsl.compiler.sema.dependencies import draw_order, identifiers
from mfdsl.compiler.sema.operators import describe, found
from mfdsl.compiler.sema.overrides import (
    Override,
    entries_of,
    labels_of,
    overridden,
    with_entries,
)
from mfdsl.compiler.sema.values import Env, Items, Mapped, Poison, Term, Value
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax import ast
from mfdsl.compiler.syntax.nearest import nearest


def structural_names(unit: ast.Unit) -> set[str]:
    """Names that sizes, ranges, horizons and discounts mention, through lets and functions.

    A `let` of a block is read inside of it, where it hides one outside, and after a point.
    """
    outside: Mapping[str, object] = {
        d.name.name: (d.value if isinstance(d, ast.Let) else d.body)
        for d in unit.declarations
        if isinstance(d, ast.Let | ast.Fn)
    }
    blocks = [_lets(d) for d in unit.declarations]
    found: set[str] = set()
    stack: list[tuple[object, Mapping[str, object]]] = [
        (place, own)
        for declaration, own in zip(unit.declarations, blocks, strict=True)
        for place in _static_places(declaration)
    ]
    seen: set[int] = set()
    while stack:
        part, own = stack.pop()
        plain = {name for name, _ in identifiers(part, plain=True)}
        for name, _ in identifiers(part):
            found.add(name)
            readable = [own if name in own else outside] if name in plain else [outside, *blocks]
            for block in readable:
                if name in block and id(block[name]) not in seen:
                    seen.add(id(block[name]))
                    stack.append((block[name], block if block is not outside else {}))
    return found


def _lets(declaration: ast.Declaration) -> dict[str, object]:
    members = declaration.members if isinstance(declaration, ast.Player) else ()
    return {m.name.name: m.value for m in members if isinstance(m, ast.Let)}


def _static_places(declaration: ast.Declaration) -> Iterator[object]:
    """Everything whose value must be known before the run, except the ranges of parameters."""
    if isinstance(declaration, ast.Param):
        yield declaration.type.dims
    elif isinstance(declaration, ast.Horizon | ast.Discount):
        yield declaration.value
    elif isinstance(declaration, ast.Grid):
        yield declaration.items
    else:
        yield from _domains(declaration)


def _domains(tree: object) -> Iterator[object]:
    """Domains of types and sets anywhere inside `tree`."""
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, tuple):
            stack.extend(node)
        if not isinstance(node, ast.Tree):
            continue
        if isinstance(node, ast.TypeExpr):
            yield node.dims
            yield node.domain
            continue
        if isinstance(node, ast.Range | ast.Agents):
            yield node
        stack.extend(getattr(node, f.name) for f in dataclasses.fields(node) if f.name != "span")


def bind_parameters(
    ctx: Context,
    file: str,
    unit: ast.Unit,
    overrides: Mapping[str, Override],
    data_path: Mapping[str, Path | None],
    declare_space: Callable[[ast.Grid | ast.Graph], None],
) -> None:
    """Declare every parameter with its bound value, and the grids and graphs of the file.

    Each comes after those that it names: sizes of grids use parameters, and arrays have an entry
    for each cell or link. Where nothing is named, parameters come first.
    """
    declared = [d for d in unit.declarations if isinstance(d, ast.Param)]
    structural = structural_names(unit)
    known = [d.name.name for d in declared]
    of_entries = entries_of(overrides, known)
    for name in overrides:
        if name not in known and not any(name in entries for entries in of_entries.values()):
            guess = nearest((entry(name) or (name,))[0], known)
            ctx.sink.report(
                "MFG901",
                f"no parameter `{name}`",
                helps=[f"did you mean `{guess}`?"] if guess else [_list(known)],
            )
    spaces = [d for d in unit.declarations if isinstance(d, ast.Grid | ast.Graph)]
    by_name = {d.name.name: d for d in reversed([*declared, *spaces])}
    needs = {name: {other for other, _ in identifiers(d)} for name, d in by_name.items()}
    for name in draw_order({d.name.name: needs[d.name.name] for d in [*declared, *spaces]}):
        declaration = by_name[name]
        if not isinstance(declaration, ast.Param):
            declare_space(declaration)
            continue
        if not isinstance(ctx.scopes[file].get(name), Poison | None):
            continue
        symbol = _bind(
            ctx,
            file,
            declaration,
            overrides.get(name),
            of_entries.get(name, {}),
            data_path.get(name),
            structural=name in structural,
        )
        ctx.scopes[file][name] = symbol if symbol is not None else Poison()


def _list(known: list[str]) -> str:
    if not known:
        return "the model has no parameters"
    return "its parameters are " + ", ".join(f"`{name}`" for name in known[:12])


def _bind(
    ctx: Context,
    file: str,
    declaration: ast.Param,
    override: Override | None,
    entries: Mapping[str, Override],
    path: Path | None,
    *,
    structural: bool,
) -> ParameterSymbol | None:
    env = Env(file=file, static=True, purpose=f"`{declaration.name.name}`")
    scalar = types.scalar_type(ctx, env, declaration.type)
    axes = types.dimension_types(ctx, env, declaration.type)
    if isinstance(scalar, Poison) or isinstance(axes, Poison):
        return None
    if scalar.kind in ("cell", "move"):
        ctx.error(
            "MFG201",
            "a parameter is a number, a truth value or an enum value",
            declaration.type.span,
            describe(scalar),
        )
        return None
    if axes and scalar.kind in ("bool", "enum"):
        ctx.error(
            "MFG201",
            f"an array holds numbers, not {describe(scalar)} at each place",
            declaration.type.span,
            "`real` or `int` is needed",
            helps=["use numbers: `int[n] in 0..1`, compared with `== 1`"],
        )
        return None
    dims = tuple(axis.size for axis in axes)
    type_ = scalar.model_copy(update={"dims": dims})
    default = _default(ctx, env, declaration, type_, path)
    value = default
    if override is not None:
        value = overridden(ctx, declaration, type_, override)
    labels = labels_of(ctx, axes)
    if value is not None and entries:
        value = with_entries(ctx, declaration, type_, labels, value, entries)
    if value is None:
        if override is None and declaration.default is None and declaration.data is None:
            name = declaration.name.name
            ctx.error(
                "MFG307",
                f"parameter `{name}` has no value",
                declaration.name.span,
                "no default, and none was given",
                helps=[f"give it: `--set {name}={_example(type_)}`, or write a default after `=`"],
            )
        return None
    where = declaration.default.span if declaration.default is not None else declaration.name.span
    written = where if override is None and not entries else None
    if not _in_range(ctx, declaration, type_, value, written):
        return None
    return ParameterSymbol(declaration, type_, value, default, structural, axes, labels)


def _example(type: Type) -> str:
    """A value of a parameter for a help: an end of its range, or one that is as good as any."""
    if type.kind in ("real", "int"):
        return f"{type.lo if type.lo is not None else type.hi if type.hi is not None else 1:g}"
    return "true" if type.kind == "bool" else "VALUE"


def _default(
    ctx: Context, env: Env, declaration: ast.Param, type_: Type, path: Path | None
) -> ParameterValue | None:
    if declaration.data is not None:
        if path is None:
            return None
        try:
            values = read_array(path, declaration.name.name, type_.dims)
        except DataError as error:
            ctx.error("MFG705", str(error), declaration.data.span, "does not fit the parameter")
            return None
        return values if type_.dims else Fraction(repr(values[0]))
    if declaration.default is None:
        return None
    value = expressions.lower(
        ctx, Env(file=env.file, static=True, target=type_), declaration.default
    )
    if isinstance(value, Poison):
        return None
    if type_.dims:
        return _array_default(ctx, declaration, type_, value, declaration.default.span)
    return _scalar_default(ctx, type_, value, declaration.default.span)


def _scalar_default(ctx: Context, type_: Type, value: Value, span: Span) -> Fraction | None:
    if not isinstance(value, Term):
        ctx.error("MFG201", f"expected {describe(type_)}, found {found(value)}", span)
        return None
    exact = ctx.exact(value)
    if exact is None:
        ctx.error("MFG211", "a default is a plain number", span, "not a constant")
        return None
    fits = (value.type.kind, value.type.name) == (type_.kind, type_.name)
    if not fits and not (type_.kind == "real" and value.type.kind == "int"):
        ctx.error(
            "MFG201",
            f"expected {describe(type_)}, found {describe(value.type)}",
            span,
            describe(value.type),
        )
        return None
    return exact


def _array_default(
    ctx: Context, declaration: ast.Param, type_: Type, value: Value, span: Span
) -> tuple[float, ...] | None:
    """Entries row by row; one number alone is every entry."""
    flat: list[float] = []

    def walk(item: Value, dims: tuple[int, ...]) -> bool:
        if isinstance(item, Poison):
            return False
        if not dims:
            number = _scalar_default(ctx, Type(kind=type_.kind), item, span)
            if number is not None:
                flat.append(carried(number))
            return number is not None
        rows = _rows(ctx, item)
        if rows is None or len(rows) != dims[0]:
            size = found(item) if rows is None else f"{len(rows)} values"
            ctx.error(
                "MFG202",
                f"`{declaration.name.name}` has shape {list(type_.dims)}, found {size}",
                span,
                f"expected a list of {dims[0]}",
            )
            return False
        return all(walk(inner, dims[1:]) for inner in rows)

    filled = isinstance(value, Term)
    if not walk(value, () if filled else type_.dims):
        return None
    return tuple(flat) * (math.prod(type_.dims) if filled else 1)


def _rows(ctx: Context, item: Value) -> Sequence[Value] | None:
    """The entries of a list, written out or by a rule."""
    if isinstance(item, Items):
        return item.items
    if isinstance(item, Mapped):
        return [item.at(ctx.integer(k).node, 0) for k in range(item.size)]
    return None


def _in_range(
    ctx: Context,
    declaration: ast.Param,
    type_: Type,
    value: ParameterValue,
    default: Span | None,
) -> bool:
    """Whether the value lies in the declared range; `default` is its place when it is written."""
    values = value if isinstance(value, tuple) else (carried(value),)
    lo = -math.inf if type_.lo is None else type_.lo
    hi = math.inf if type_.hi is None else type_.hi
    wrong = next((v for v in values if not lo <= v <= hi or math.isinf(v)), None)
    whole = type_.kind != "int" or all(float(v).is_integer() for v in values)
    if wrong is None and whole:
        return True
    name = declaration.name.name
    shown = wrong if wrong is not None else next(v for v in values if not float(v).is_integer())
    text, low, high = told_apart(shown, lo, hi)
    domain = f"{low}..{high}" if type_.kind == "int" else f"[{low}, {high}]"
    where = declaration.type.domain.span if declaration.type.domain else declaration.type.span
    message = f"`{name} = {text}` is outside its range {domain}"
    if not whole:
        message = f"`{name}` holds {shown:g}, which is not a whole number"
    if default is not None:
        ctx.error("MFG307", message, default, text, also=[(where, "the range")])
    else:
        ctx.error("MFG307", message, where, "the range", helps=[f"choose a value in {domain}"])
    return False
