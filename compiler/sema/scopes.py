"""File scopes: every top-level name of a file, with its enums, grids, functions and imports."""

import unicodedata

from mfdsl.compiler.diagnostics import Sink
from mfdsl.compiler.imports import MAP_ENDINGS, Files, Loaded, data_file, import_target
from mfdsl.compiler.ir.model import Grid
from mfdsl.compiler.ir.spaces import MOVES, grid_space
from mfdsl.compiler.ir.types import Type
from mfdsl.compiler.sema import sets
from mfdsl.compiler.sema.context import Context, EnumMember, LetSymbol, Symbol
from mfdsl.compiler.sema.data import DataError, read_text
from mfdsl.compiler.sema.dependencies import report_cycles
from mfdsl.compiler.sema.families import open_player
from mfdsl.compiler.sema.names import BUILTIN_NAMES, RESERVED_NAMES
from mfdsl.compiler.sema.suggestions import did_you_mean
from mfdsl.compiler.sema.values import (
    POISON,
    EnumName,
    Env,
    Function,
    GridName,
)
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax import ast
from mfdsl.compiler.syntax.limits import MAX_GRID_LENGTH, MAX_GRID_SIDE

Named = ast.Param | ast.Let | ast.Fn | ast.Enum | ast.Grid | ast.Graph | ast.Player

_KINDS = {
    ast.Param: "parameter",
    ast.Let: "let",
    ast.Fn: "function",
    ast.Enum: "enum",
    ast.Grid: "grid",
    ast.Graph: "graph",
}


def declare_file(ctx: Context, unit: ast.Unit) -> None:
    """Make the names that one file declares known, except the values of its parameters."""
    scope: dict[str, Symbol] = ctx.scopes.setdefault(unit.file, {})
    places: dict[str, tuple[str, Span]] = {}
    spelled: dict[str, str] = {}
    for declaration in unit.declarations:
        if not isinstance(declaration, Named):
            continue
        if declaration.name.name in RESERVED_NAMES | BUILTIN_NAMES:
            scope[declaration.name.name] = POISON  # what reads it is not at fault
        if _is_free(ctx, declaration, places, spelled):
            kind = declaration.kind if isinstance(declaration, ast.Player) else ""
            spelled[spell(declaration.name.name)] = declaration.name.name
            places[declaration.name.name] = (
                kind or _KINDS[type(declaration)],
                declaration.name.span,
            )
            _declare(ctx, unit.file, scope, declaration)
    _declare_enum_values(ctx, unit, scope, places)
    _cut_cycles(ctx, unit, scope)


def _is_free(
    ctx: Context,
    declaration: Named,
    places: dict[str, tuple[str, Span]],
    spelled: dict[str, str],
) -> bool:
    """Whether a name may be declared; `spelled` has those before by their spelling in code."""
    name, span = declaration.name.name, declaration.name.span
    if name in RESERVED_NAMES or name in BUILTIN_NAMES:
        what = "the time index" if name == "t" else "a name of the language"
        ctx.error(
            "MFG104",
            f"`{name}` is {what} and cannot be redefined",
            span,
            "reserved",
            helps=["choose another name"],
        )
        return False
    if spell(name) in spelled:
        other = spelled[spell(name)]
        kind, first = places[other]
        same = (
            f"`{name}` is already a {kind}"
            if other == name
            else (f"`{name}` and `{other}` are spelled alike in generated code")
        )
        ctx.error("MFG102", same, span, "declared again", also=[(first, "declared here first")])
        return False
    return True


def spell(name: str) -> str:
    """A name as generated code spells it: Greek letters by their English names."""
    words = []
    for letter in name:
        full = unicodedata.name(letter, "")
        greek = full.startswith("GREEK") and " LETTER " in full
        words.append(full.split(" LETTER ")[1].split()[0].lower() if greek else letter)
    return "".join(words)


def _declare(ctx: Context, file: str, scope: dict[str, Symbol], declaration: Named) -> None:
    name = declaration.name.name
    if isinstance(declaration, ast.Let):
        scope[name] = LetSymbol(declaration, file)
    elif isinstance(declaration, ast.Fn):
        scope[name] = Function(declaration, file)
    elif isinstance(declaration, ast.Enum):
        values = tuple(v.name for v in declaration.values)
        type_ = Type(kind="enum", lo=0, hi=len(values) - 1, name=name)
        scope[name] = EnumName(type_, values)
    elif isinstance(declaration, ast.Player) and declaration.family is None:
        open_player(ctx, file, declaration)


def _declare_enum_values(
    ctx: Context, unit: ast.Unit, scope: dict[str, Symbol], places: dict[str, tuple[str, Span]]
) -> None:
    members: dict[str, list[EnumMember]] = {}
    for declaration in unit.declarations:
        symbol = scope.get(declaration.name.name) if isinstance(declaration, ast.Enum) else None
        if not isinstance(declaration, ast.Enum) or not isinstance(symbol, EnumName):
            continue
        seen: dict[str, Span] = {}
        for code, value in enumerate(declaration.values):
            if value.name in seen:
                ctx.error(
                    "MFG102",
                    f"`{value.name}` is already a value of `{declaration.name.name}`",
                    value.span,
                    "listed again",
                    also=[(seen[value.name], "listed here first")],
                )
                continue
            seen[value.name] = value.span
            members.setdefault(value.name, []).append(EnumMember(symbol.type, code, value.span))
    for name, found in members.items():
        if len(found) > 1:
            ctx.ambiguous.setdefault(unit.file, {})[name] = tuple(found)
        elif name in places:
            kind, first = places[name]
            ctx.error(
                "MFG102",
                f"`{name}` is already a {kind}",
                found[0].span,
                "named again as an enum value",
                also=[(first, "declared here first")],
            )
        else:
            scope[name] = found[0]


def _cut_cycles(ctx: Context, unit: ast.Unit, scope: dict[str, Symbol]) -> None:
    functions = {d.name.name: (d.name, d.body) for d in unit.declarations if isinstance(d, ast.Fn)}
    for name in report_cycles(ctx.sink, functions, "MFG210", "call each other"):
        scope[name] = POISON
    lets = {d.name.name: (d.name, d.value) for d in unit.declarations if isinstance(d, ast.Let)}
    for name in report_cycles(ctx.sink, lets, "MFG601", "define each other within one step"):
        scope[name] = POISON


def declare_imports(ctx: Context, unit: ast.Unit, loaded: Loaded, files: Files) -> None:
    """Bring imported names into the scope of `unit`; the files are already declared."""
    scope = ctx.scopes[unit.file]
    quiet = Sink()
    for declaration in unit.declarations:
        if not isinstance(declaration, ast.Import):
            continue
        target = import_target(loaded, unit.file, declaration.path, files, quiet)
        for name in declaration.names:
            known = ctx.scopes.get(target or "", {})
            if name.name in scope:
                ctx.error(
                    "MFG102", f"`{name.name}` is already declared", name.span, "imported again"
                )
            elif name.name in known:
                scope[name.name] = known[name.name]
                _import_enum_values(ctx, unit.file, known[name.name], name.span)
            else:
                scope[name.name] = POISON
                if target in loaded.units:
                    ctx.error(
                        "MFG011",
                        f"`{declaration.path.value}` has no `{name.name}`",
                        name.span,
                        "not defined there",
                        helps=did_you_mean(name.name, known, [name.span]),
                    )


def _import_enum_values(ctx: Context, file: str, symbol: Symbol, span: Span) -> None:
    """Values of an imported enum may be written bare, as those of an own one.

    One that meets another enum's value needs the name of its enum; one that meets another kind of
    name is hidden by it.
    """
    if not isinstance(symbol, EnumName):
        return
    scope, ambiguous = ctx.scopes[file], ctx.ambiguous.setdefault(file, {})
    for code, value in enumerate(symbol.values):
        member, there = EnumMember(symbol.type, code, span), scope.get(value)
        if value in ambiguous:
            ambiguous[value] = (*ambiguous[value], member)
        elif isinstance(there, EnumMember):
            ambiguous[value] = (there, member)
            del scope[value]
        elif there is None:
            scope[value] = member


def declare_grids(ctx: Context, unit: ast.Unit, loaded: Loaded, files: Files) -> None:
    """Build the grids of a file."""
    for declaration in unit.declarations:
        if isinstance(declaration, ast.Grid):
            declare_grid(ctx, unit, declaration, loaded, files)


def declare_grid(
    ctx: Context, unit: ast.Unit, declaration: ast.Grid, loaded: Loaded, files: Files
) -> None:
    """Build a grid that is not there yet; the parameters that its sizes use must be bound."""
    scope = ctx.scopes[unit.file]
    if declaration.name.name in scope:
        return
    grid = _grid(ctx, Env(file=unit.file, static=True), declaration, loaded, files)
    if grid is None:
        scope[declaration.name.name] = POISON
        return
    space = grid_space(grid)
    scope[declaration.name.name] = GridName(space)
    ctx.grids[space.name] = space


def _grid(
    ctx: Context, env: Env, declaration: ast.Grid, loaded: Loaded, files: Files
) -> Grid | None:
    rows: tuple[str, ...] | None = None
    sides: tuple[int, int] | None = None
    moves, periodic, failed = MOVES["von_neumann"], False, False
    for item in declaration.items:
        if isinstance(item, ast.GridMap | ast.GridFile) and rows is not None:
            ctx.error("MFG111", "this grid has two maps", item.span, "one of them is needed")
            failed = True
        elif isinstance(item, ast.GridMap):
            rows = item.rows
            failed |= not _check_map(ctx, item)
        elif isinstance(item, ast.GridFile):
            read = _map_of_file(ctx, item, loaded, files)
            rows = () if read is None else read.rows
            failed |= read is None or not _check_map(ctx, read)
        elif isinstance(item, ast.GridSize):
            sides = _sides(ctx, env, item)
            failed |= sides is None
        elif isinstance(item, ast.GridMoves):
            chosen = MOVES.get(item.name.name)
            failed |= chosen is None
            moves = chosen or moves
            if chosen is None:
                _unknown_moves(ctx, item)
        else:
            periodic = True
    if failed:
        return None
    if (rows is None) == (sides is None):
        both = "both a map and a size" if rows is not None else "neither a map nor a size"
        ctx.error(
            "MFG111",
            f"grid `{declaration.name.name}` has {both}",
            declaration.name.span,
            "one of them is needed",
            helps=['write `size 5, 5`, `map` with a drawing, or `file "rooms.txt"`'],
        )
        return None
    if rows is not None:
        sides = (len(rows), len(rows[0]))
    assert sides is not None
    return Grid(
        name=declaration.name.name,
        height=sides[0],
        width=sides[1],
        periodic=periodic,
        rows=rows,
        moves=moves,
        doc=declaration.doc,
    )


def _unknown_moves(ctx: Context, item: ast.GridMoves) -> None:
    ctx.error(
        "MFG107",
        f"there are no moves `{item.name.name}`",
        item.name.span,
        "`von_neumann` has 4 directions, `moore` has 8",
        helps=did_you_mean(item.name.name, MOVES, [item.name.span]),
    )


def _map_of_file(
    ctx: Context, item: ast.GridFile, loaded: Loaded, files: Files
) -> ast.GridMap | None:
    """The lines of a text file as if they were written in the spec, at the place of its name."""
    path = data_file(loaded, item.span.file, item.path, files, ctx.sink, MAP_ENDINGS)
    if path is None:
        return None
    try:
        rows = tuple(row.rstrip() for row in read_text(path).rstrip().splitlines())
    except DataError as error:
        ctx.error("MFG705", str(error), item.path.span, "read here")
        return None
    return ast.GridMap(item.path.span, rows, (item.path.span,) * len(rows))


def _check_map(ctx: Context, item: ast.GridMap) -> bool:
    if not item.rows or not any(mark != "#" for row in item.rows for mark in row):
        word = Span(item.span.file, item.span.start, item.span.start + len("map"))
        ctx.error("MFG010", "the map has no free cell", word, "nobody can be anywhere")
        return False
    width = len(item.rows[0])
    for number, (row, span) in enumerate(zip(item.rows, item.row_spans, strict=True), start=1):
        if len(row) != width:
            ctx.error(
                "MFG010",
                f"map row {number} has {len(row)} cells, the rows above have {width}",
                span,
                f"{len(row)} cells",
            )
            return False
        strange = next((m for m in row if not (m in "#." or (m.isascii() and m.isalnum()))), None)
        if strange is not None:
            ctx.error(
                "MFG010",
                f"map row {number} holds {strange!r}",
                span,
                "walls are `#`, free cells `.`, letters and digits name regions",
            )
            return False
    if max(width, len(item.rows)) > MAX_GRID_SIDE:
        ctx.error("MFG701", f"the map is larger than {MAX_GRID_SIDE} on a side", item.span, "")
        return False
    return True


def _sides(ctx: Context, env: Env, item: ast.GridSize) -> tuple[int, int] | None:
    sides = []
    for expr in (item.height, item.width):
        side = sets.static_integer(ctx, env, expr, "the size of a grid")
        if side is None:
            return None
        if not 1 <= side <= MAX_GRID_LENGTH:
            ctx.error(
                "MFG701" if side > 0 else "MFG213",
                f"a grid {side} cells long",
                expr.span,
                f"must be between 1 and {MAX_GRID_LENGTH}",
            )
            return None
        sides.append(side)
    return sides[0], sides[1]
