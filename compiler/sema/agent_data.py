"""Populations whose agents are given one by one: traits and weights from files.

All files of a population have a row for each agent, and that is its number of agents. Agents with
equal rows are one value of a draw at t = 0, `ROW`, which the traits are functions of: its law is
the empirical one of the file. With N agents, agent i has row i.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mfdsl.compiler.ir.model import NoiseVariable, Weights
from mfdsl.compiler.ir.types import BOOL, INT, REAL, Type
from mfdsl.compiler.sema import sets, types
from mfdsl.compiler.sema.agent_files import (
    AgentData,
    Cell,
    Dense,
    Sparse,
    check_size,
    read_column,
    read_number,
    read_weights,
)
from mfdsl.compiler.sema.context import Context, PlayerScope
from mfdsl.compiler.sema.data import DataError
from mfdsl.compiler.sema.operators import describe
from mfdsl.compiler.sema.values import POISON, EnumName, Poison, Term, WeightsName
from mfdsl.compiler.syntax import ast

ROW = "row_of_file"
KINDS = ("real", "int", "bool", "enum")
TRUTHS = {"true": 1, "false": 0, "1": 1, "0": 0}


def read_agents(ctx: Context, scope: PlayerScope) -> AgentData:
    """Read all files of a population; what does not fit is reported."""
    found = AgentData()
    for member in scope.declaration.members:
        if isinstance(member, ast.Trait) and member.data is not None:
            _read_trait(ctx, scope, member, member.data, found)
    later: list[tuple[ast.Weights, Sparse]] = []
    for member in scope.declaration.members:
        if isinstance(member, ast.Weights):
            table = _read_table(ctx, member)
            if isinstance(table, Sparse):
                later.append((member, table))
            elif table is not None and _counted(ctx, table.size, member.data, found):
                found.tables[member.name.name] = table
    for member, table in later:
        _fill(ctx, scope, member, table, found)
    return found


def trait_type(type: Type, values: Sequence[float]) -> Type:
    """The type of a trait: as declared, and where it has no ends those of its values."""
    if type.kind not in ("real", "int") or not (type.lo is None and type.hi is None):
        return type
    kept = float if type.kind == "real" else int
    return type.model_copy(update={"lo": kept(min(values)), "hi": kept(max(values))})


def weights_name(scope: PlayerScope, name: str, data: AgentData) -> WeightsName | Poison:
    """What the name of a table of weights stands for."""
    if name not in data.tables:
        return POISON
    values = data.tables[name].values
    return WeightsName(scope.name, name, min(values), max(values))


def weights_of(ctx: Context, scope: PlayerScope) -> tuple[Weights, ...]:
    """The tables of weights of a population, as data of the model."""
    found = []
    for member in scope.declaration.members:
        if isinstance(member, ast.Weights) and member.name.name in scope.agents.tables:
            table = scope.agents.tables[member.name.name]
            node = ctx.builder.array((table.size, table.size), table.values)
            array = ctx.builder.nodes[node].attr
            assert isinstance(array, int)
            found.append(Weights(name=member.name.name, array=array, doc=member.doc))
    return tuple(found)


def draw_rows(ctx: Context, scope: PlayerScope) -> tuple[dict[str, int], NoiseVariable] | None:
    """The value at t = 0 of each trait from a file, and the draw that all of them read."""
    columns = scope.agents.columns
    if not columns:
        return None
    lines = list(zip(*columns.values(), strict=True))
    places = {line: k for k, line in enumerate(dict.fromkeys(lines))}
    rows = [places[line] for line in lines]
    type = Type(kind="int", lo=0, hi=len(places) - 1)
    leaf = ctx.node("draw", (), type, None, ROW)
    density = ctx.constant(1 / len(rows))
    if len(places) < len(rows):
        agents = Counter(rows)
        shares = ctx.builder.array((len(places),), [agents[k] / len(rows) for k in places.values()])
        density = ctx.node("element", (shares, leaf.node), REAL, None)
    values = {
        name: _value(ctx, scope.traits[name].type, [line[k] for line in places], leaf).node
        for k, name in enumerate(columns)
        if name in scope.traits
    }
    given = ctx.builder.nodes[ctx.builder.array((len(rows),), rows, kind="int")].attr
    assert isinstance(given, int)
    draw = NoiseVariable(
        name=ROW,
        type=ctx.builder.type_index(type),
        doc="",
        density=density.node,
        given=given,
    )
    return values, draw


def _value(ctx: Context, type: Type, column: Sequence[float], row: Term) -> Term:
    """The value of a trait as a function of the row."""
    real = type.kind == "real"
    array = ctx.builder.array((len(column),), column, kind="real" if real else "int")
    kept = INT if type.kind == "bool" else type
    entry = ctx.node("element", (array, row.node), kept, None)
    if type.kind != "bool":
        return entry
    return ctx.node("eq", (entry.node, ctx.integer(1).node), BOOL, None)


def _read_trait(
    ctx: Context, scope: PlayerScope, member: ast.Trait, data: ast.Text, found: AgentData
) -> None:
    name, path = member.name.name, ctx.data_paths.get(data)
    type = types.variable_type(ctx, scope.env("next", "a type", static=True), member.type)
    if path is None or isinstance(type, Poison):
        return
    if type.kind not in KINDS or type.dims or type.periodic:
        ctx.error(
            "MFG201",
            "a trait from a file is a number, a truth value or an enum value",
            member.type.span,
            describe(type),
            helps=["give each entry a trait and a column of its own"] if type.dims else [],
        )
        return
    try:
        cells = read_column(path, name)
        values = tuple(_code(ctx, path, name, type, cell) for cell in cells)
    except DataError as error:
        ctx.error("MFG705", str(error), data.span, "does not fit the trait")
        return
    if _counted(ctx, len(values), data, found):
        found.columns[name] = values


def _code(ctx: Context, path: Path, name: str, type: Type, cell: Cell) -> float:
    """The value of a cell as the number that stands for it. Raises DataError with its line."""
    where = f"`{path.name}` line {cell.line}"
    if type.kind == "bool":
        if cell.text.lower() not in TRUTHS:
            raise DataError(f"{where}: {cell.text!r:.40} is neither `true` nor `false`")
        return TRUTHS[cell.text.lower()]
    if type.kind == "enum":
        values = _enum_values(ctx, type)
        if cell.text not in values:
            raise DataError(f"{where}: {cell.text!r:.40} is no value of `{type.name}`")
        return values.index(cell.text)
    number = read_number(path, cell.line, cell.text)
    if type.kind == "int" and not (number.is_integer() and abs(number) <= 2**53):
        raise DataError(f"{where}: `{name} = {cell.text:.40}` is not a whole number")
    if (type.lo is not None and number < type.lo) or (type.hi is not None and number > type.hi):
        ends = f"{type.lo}..{type.hi}" if type.kind == "int" else f"[{type.lo:g}, {type.hi:g}]"
        raise DataError(f"{where}: `{name} = {cell.text:.40}` is outside {ends}")
    return number


def _enum_values(ctx: Context, type: Type) -> tuple[str, ...]:
    symbols = (scope.get(type.name or "") for scope in ctx.scopes.values())
    return next(symbol.values for symbol in symbols if isinstance(symbol, EnumName))


def _read_table(ctx: Context, member: ast.Weights) -> Dense | Sparse | None:
    path = ctx.data_paths.get(member.data)
    if path is None:
        return None
    try:
        return read_weights(path)
    except DataError as error:
        ctx.error("MFG705", str(error), member.data.span, "does not fit the weights")
        return None


def _fill(
    ctx: Context, scope: PlayerScope, member: ast.Weights, table: Sparse, found: AgentData
) -> None:
    """The square table of listed weights: of as many agents as the other files or `agents` say."""
    path = ctx.data_paths[member.data]
    assert path is not None
    last = max(table.weights, key=lambda w: max(w.row, w.column))
    asked = found.count or agents_asked(ctx, scope)
    size = asked or 1 + max(last.row, last.column)
    try:
        if max(last.row, last.column) >= size:
            raise DataError(
                f"`{path.name}` line {last.line}: there is no agent"
                f" {max(last.row, last.column)}, they are 0 to {size - 1:,}"
            )
        check_size(path, size)
    except DataError as error:
        ctx.error("MFG705", str(error), member.data.span, "does not fit the weights")
        return
    values = [0.0] * (size * size)
    for weight in table.weights:
        values[weight.row * size + weight.column] = weight.value
    if _counted(ctx, size, member.data, found):
        found.tables[member.name.name] = Dense(size, tuple(values))


def agents_asked(ctx: Context, scope: PlayerScope) -> int | None:
    """The number after `agents`, None where the population does not say."""
    count = None
    for member in scope.declaration.members:
        if isinstance(member, ast.Agents) and scope.kind == "population":
            env = scope.env("next", "the number of agents", static=True)
            count = sets.static_integer(ctx, env, member.count, "the number of agents")
            if count is not None and count < 1:
                ctx.error("MFG213", f"{count} agents", member.count.span, "must be at least 1")
                return None
    return count


def number_of_agents(ctx: Context, scope: PlayerScope) -> int | None:
    """The number of agents that the spec asks for: that of the files, where there are some."""
    asked, first = agents_asked(ctx, scope), scope.agents.first
    if first is None or asked is None or asked == first[0]:
        return asked if first is None else first[0]
    place = next(m for m in scope.declaration.members if isinstance(m, ast.Agents))
    ctx.error(
        "MFG213",
        f"{asked:,} agents, but the file has a row for each of {first[0]:,}",
        place.count.span,
        "another number of agents",
        also=[(first[1].span, f"{first[0]:,} agents")],
        helps=["leave `agents` out: the file says how many there are"],
    )
    return None


def _counted(ctx: Context, count: int, data: ast.Text, found: AgentData) -> bool:
    """Whether a file is about as many agents as those before it; reports when not."""
    if found.first is None:
        found.first = (count, data)
    if found.first[0] == count:
        return True
    ctx.error(
        "MFG705",
        f'"{data.value}" is about {count:,} agents, "{found.first[1].value}" about'
        f" {found.first[0]:,}",
        data.span,
        f"{count:,} agents",
        also=[(found.first[1].span, f"{found.first[0]:,} agents")],
        helps=["all files of a population have a row for each of its agents"],
    )
    return False
