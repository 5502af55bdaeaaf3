"""From syntax trees to the model: every pass over names, types and domains, in order."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.analysis.symmetry.claims import symmetry_certificate
from mfdsl.compiler.diagnostics import Sink
from mfdsl.compiler.imports import Files, Loaded, data_file, import_target
from mfdsl.compiler.ir.build import MAX_NODES, Builder
from mfdsl.compiler.ir.model import Model, Player
from mfdsl.compiler.sema.claims import certify, check_requirements
from mfdsl.compiler.sema.context import Context
from mfdsl.compiler.sema.domains import check_obligations, facts_of
from mfdsl.compiler.sema.families import open_families
from mfdsl.compiler.sema.graphs import declare_graph, declare_graphs
from mfdsl.compiler.sema.legal_actions import check_legal
from mfdsl.compiler.sema.lint import (
    check_conditions,
    check_costs,
    check_interaction,
    check_members_read,
    check_unused,
)
from mfdsl.compiler.sema.members import declare_members
from mfdsl.compiler.sema.overrides import Override
from mfdsl.compiler.sema.parameters import bind_parameters
from mfdsl.compiler.sema.players import lower_players
from mfdsl.compiler.sema.regularity import decide_claims
from mfdsl.compiler.sema.result import build_model
from mfdsl.compiler.sema.scopes import (
    declare_file,
    declare_grid,
    declare_grids,
    declare_imports,
)
from mfdsl.compiler.sema.settings import Settings, check_assumptions, lower_settings
from mfdsl.compiler.sema.unknown_names import report_unknown_names
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax import ast

MAX_STATES = 10_000_000


@dataclass(frozen=True, slots=True)
class Lowered:
    """The model, its certificates, and where each setting of the solver block stands."""

    model: Model
    certificates: tuple[Certificate, ...]
    solver_places: Mapping[str, Span]


def lower_unit(
    main: str,
    loaded: Loaded,
    files: Files,
    overrides: Mapping[str, Override],
    sink: Sink,
    spread: Mapping[str, tuple[float, float]],
) -> Lowered | None:
    """The model of the file `main`, or None when it has errors before its claims are decided.

    Assumes that all files are parsed. Names come before types, types before domains, domains
    before claims: each pass may rely on what the ones before it checked. Ranges are checked for all
    values of parameters in `spread`; conditions and claims on parameters at their bound values.
    """
    unit = loaded.units[main]
    ctx = Context(Builder(MAX_NODES), sink, spread=spread, sources=loaded.sources)
    resolved = resolve(ctx, unit, loaded, files, overrides)
    if resolved is None:
        return None
    players, settings = resolved
    check_obligations(ctx, main)
    for scope in ctx.players.values():
        check_legal(ctx, main, scope.declaration, scope.legal)
    if sink.failed:
        return None
    facts = facts_of(ctx, main)
    certificates = certify(ctx, facts, players)
    decided, claims = check_requirements(ctx, facts, unit, players)
    report_unknown_names(ctx)
    model = build_model(ctx, unit, loaded.sources[main], settings, players)
    symmetries = [symmetry_of(model, player) for player in model.populations]
    certificates = [*symmetries, *certificates, *decided, *decide_claims(ctx, model, claims)]
    _check_size(ctx, model)
    if not sink.failed:
        check_unused(ctx, unit)
        check_members_read(ctx, unit)
        check_interaction(ctx, model)
        check_conditions(ctx, facts, model)
        check_costs(ctx, facts, model)
    return Lowered(model, tuple(certificates), settings.solver_places)


def resolve(
    ctx: Context,
    unit: ast.Unit,
    loaded: Loaded,
    files: Files,
    overrides: Mapping[str, Override],
) -> tuple[tuple[Player, ...], Settings] | None:
    """Names and types: all players and settings, before anything is known of ranges."""
    if unit.header is not None and unit.header.kind == "library":
        _report_library(ctx.sink, unit.header)
        return None
    _declare(ctx, unit, loaded, files, overrides)
    settings = lower_settings(ctx, unit)
    check_assumptions(ctx, unit)
    if not _has_population(ctx.sink, unit):
        report_unknown_names(ctx)
        return None
    for scope in ctx.players.values():
        declare_members(ctx, scope)
    players = lower_players(ctx)
    report_unknown_names(ctx)
    if ctx.sink.failed or players is None or settings is None:
        return None
    return players, settings


def _report_library(sink: Sink, header: ast.Header) -> None:
    sink.report(
        "MFG111",
        f"`{header.name.name}` is a library, not a model",
        header.span,
        "libraries are imported, models are solved",
    )


def _has_population(sink: Sink, unit: ast.Unit) -> bool:
    kinds = [d.kind for d in unit.declarations if isinstance(d, ast.Player)]
    if "population" in kinds:
        return True
    sink.report(
        "MFG111",
        "the model has no `population`",
        unit.header.name.span if unit.header else Span(unit.file, 0, 0),
        "nobody plays",
        helps=["add `population NAME { ... }`"],
    )
    return False


def symmetry_of(model: Model, player: Player) -> Certificate:
    """Whether the agents of a population may be exchanged for one another."""
    found = symmetry_certificate(model, player.name)
    return found.model_copy(update={"claim": "symmetry", "subject": player.name})


def _declare(
    ctx: Context,
    unit: ast.Unit,
    loaded: Loaded,
    files: Files,
    overrides: Mapping[str, Override],
) -> None:
    """All top-level names of all files: libraries first, then the model's own."""
    others = _in_import_order(unit, loaded, files)[:-1]
    for library in others:
        _check_library(ctx, library)
        declare_file(ctx, library)
    for library in others:
        declare_imports(ctx, library, loaded, files)
        declare_grids(ctx, library, loaded, files)
        declare_graphs(ctx, library, loaded, files)
    declare_file(ctx, unit)
    declare_imports(ctx, unit, loaded, files)
    paths: dict[str, Path | None] = {
        d.name.name: data_file(loaded, unit.file, d.data, files, ctx.sink)
        for d in unit.declarations
        if isinstance(d, ast.Param) and d.data is not None
    }
    members = (m for d in unit.declarations if isinstance(d, ast.Player) for m in d.members)
    for member in members:
        if isinstance(member, ast.Trait | ast.Weights) and member.data is not None:
            path = data_file(loaded, unit.file, member.data, files, ctx.sink)
            ctx.data_paths[member.data] = path

    def declare_space(declaration: ast.Grid | ast.Graph) -> None:
        if isinstance(declaration, ast.Grid):
            declare_grid(ctx, unit, declaration, loaded, files)
        else:
            declare_graph(ctx, unit, declaration, loaded, files)

    bind_parameters(ctx, unit.file, unit, overrides, paths, declare_space)
    open_families(ctx, unit)
    _check_type_names(ctx, [*others, unit])


def _in_import_order(unit: ast.Unit, loaded: Loaded, files: Files) -> list[ast.Unit]:
    """The unit after all that it imports, directly or not; each once."""
    order: dict[str, ast.Unit] = {}

    def visit(current: ast.Unit) -> None:
        for declaration in current.declarations:
            if not isinstance(declaration, ast.Import):
                continue
            target = import_target(loaded, current.file, declaration.path, files, Sink())
            if target in loaded.units and target not in order and target is not None:
                visit(loaded.units[target])
        order[current.file] = current

    visit(unit)
    return list(order.values())


def _check_type_names(ctx: Context, units: list[ast.Unit]) -> None:
    """Enums and grids are told apart by their names, so no two files may use the same one."""
    first: dict[str, Span] = {}
    for unit in units:
        for declaration in unit.declarations:
            if not isinstance(declaration, ast.Enum | ast.Grid | ast.Graph):
                continue
            name = declaration.name.name
            if name in first and first[name].file != unit.file:
                ctx.error(
                    "MFG102",
                    f"`{name}` is also declared in `{first[name].file}`",
                    declaration.name.span,
                    "two types of one name",
                    also=[(first[name], "declared here too")],
                    helps=["give one of them another name, or import it"],
                )
            first.setdefault(name, declaration.name.span)


def _check_library(ctx: Context, unit: ast.Unit) -> None:
    if unit.header is not None and unit.header.kind == "model":
        ctx.error(
            "MFG011",
            f"`{unit.file}` is a model, only libraries can be imported",
            unit.header.span,
            "starts with `model`",
            helps=["start it with `library`"],
        )
    for declaration in unit.declarations:
        if not isinstance(
            declaration, ast.Import | ast.Let | ast.Fn | ast.Enum | ast.Grid | ast.Graph
        ):
            ctx.error(
                "MFG011",
                "a library holds imports, lets, functions, enums, grids and graphs",
                declaration.span,
                "belongs into a model",
            )


def _check_size(ctx: Context, model: Model) -> None:
    """Exact tables have one entry for each state; what has no tables has no limit."""
    if not model.tabular:
        return
    scope = ctx.players[model.population.name]
    count = 1
    for symbol in scope.states.values():
        count *= symbol.type.size
    if count > MAX_STATES:
        sizes = " x ".join(f"{n} ({s.type.size:,})" for n, s in scope.states.items())
        ctx.error(
            "MFG701",
            f"{count:.2g} states: {sizes}",
            scope.declaration.name.span,
            f"the limit is {MAX_STATES:,}",
            helps=["coarsen one of the states"],
        )
