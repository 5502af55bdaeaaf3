"""The model as data, from what lowering found."""

from mfdsl.compiler.ir.fold import carried
from mfdsl.compiler.ir.model import ABI, Enum, Model, Parameter, Player, Values
from mfdsl.compiler.sema.context import Context, ParameterSymbol, ParameterValue
from mfdsl.compiler.sema.features import features_of
from mfdsl.compiler.sema.settings import Settings
from mfdsl.compiler.source import SourceFile, Span
from mfdsl.compiler.syntax import ast


def build_model(
    ctx: Context,
    unit: ast.Unit,
    source: SourceFile,
    settings: Settings,
    players: tuple[Player, ...],
) -> Model:
    """The model of the file `unit` with its lowered players."""
    assert unit.header is not None
    enums = [d for d in unit.declarations if isinstance(d, ast.Enum)]
    parameters = tuple(
        _parameter(ctx, name, symbol)
        for name, symbol in ctx.scopes[unit.file].items()
        if isinstance(symbol, ParameterSymbol)
    )
    arena = ctx.builder.freeze()
    features = features_of(ctx, players, settings.horizon.kind)
    return Model(
        abi=ABI,
        features=features,
        name=unit.header.name.name,
        doc=unit.header.doc,
        parameters=parameters,
        enums=tuple(
            Enum(name=d.name.name, values=tuple(v.name for v in d.values), doc=d.doc) for d in enums
        ),
        grids=tuple(space.grid for space in ctx.grids.values()),
        types=arena.types,
        nodes=arena.nodes,
        places=arena.places,
        arrays=arena.arrays,
        graphs=tuple(ctx.graphs.values()),
        players=players,
        objective=ctx.objective,
        horizon=settings.horizon,
        discount=settings.discount,
        solver=settings.solver,
        assumes=tuple(
            _in_a_line(source, d.condition.span)
            for d in unit.declarations
            if isinstance(d, ast.Assume)
        ),
    )


def _in_a_line(source: SourceFile, span: Span) -> str:
    """The text at a place without its layout and comments."""
    lines = source.text[span.start : span.end].splitlines()
    return " ".join(" ".join(line.partition("#")[0] for line in lines).split())


def _parameter(ctx: Context, name: str, symbol: ParameterSymbol) -> Parameter:
    return Parameter(
        name=name,
        type=ctx.builder.type_index(symbol.type),
        value=_plain(symbol, symbol.value),
        default=None if symbol.default is None else _plain(symbol, symbol.default),
        structural=symbol.structural,
        doc=symbol.declaration.doc,
        labels=symbol.labels if any(symbol.labels) else (),
    )


def _plain(symbol: ParameterSymbol, value: ParameterValue) -> Values:
    if isinstance(value, tuple):
        return value
    return carried(value) if symbol.type.kind == "real" else int(value)
