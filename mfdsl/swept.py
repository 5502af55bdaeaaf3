"""Sweeps of parameters: every game of a batch keeps to what the check of a spec is about.

A model is checked at the values that its parameters are bound to. Where others are swept, the same
must hold at theirs: weights add up to at most 1, next values stay in their domains, what is assumed
and required is true. One compilation with intervals in the place of the swept values shows that for
all of them; where it does not, each point is compiled by itself.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from mfdsl.batches import FILE, Batch, Number, numbers_of
from mfdsl.compiler.analysis.assumed import meets
from mfdsl.compiler.diagnostics import CompileError
from mfdsl.compiler.driver import ParameterValue
from mfdsl.compiler.ir.model import Model, Values
from mfdsl.compiler.sema.claims import is_range
from mfdsl.compiler.sema.dependencies import identifiers
from mfdsl.compiler.syntax import ast
from mfdsl.entries import arrays_of
from mfdsl.errors import UsageError
from mfdsl.game import Game, Parameters

CLAIMS = "MFG5"  # the codes of errors about what a spec requires

Point = Mapping[str, Number]


def check_points(game: Game, batch: Batch) -> None:
    """Refuse a batch that has a game which the spec would not compile to.

    Raises:
        CompileError: the spec has errors at a point, which its notes name.
    """
    swept = batch.parameters
    if not swept:
        return
    check_followers(game, arrays_of(swept), batch.sets)
    by_file: dict[str, dict[tuple[Number, ...], None]] = {}
    for each in batch.points():
        moved = tuple(value for name, value in numbers_of(each) if name in swept)
        by_file.setdefault(str(each.get(FILE, "")), {})[moved] = None
    for label, found in by_file.items():
        base = {**game.parameters, **_given(game.model, batch.sets.get(label, {}))}
        points: list[Point] = [dict(zip(swept, moved, strict=True)) for moved in found]
        if not _hold_together(game, base, points):
            for values in points:
                check_point(game, base, values, label)


def check_followers(game: Game, names: Sequence[str], others: Collection[str] = ()) -> None:
    """Refuse to move parameters without those whose defaults are made of them.

    Raises:
        UsageError: names the parameter that would stay behind.
    """
    unit = game.compilation.unit
    assert unit is not None
    for declaration in unit.declarations:
        if not isinstance(declaration, ast.Param) or declaration.default is None:
            continue
        follower = declaration.name.name
        if follower in names or follower in game.parameters or follower in others:
            continue
        read = (name for name, _ in identifiers(declaration.default))
        name = next((name for name in read if name in names), None)
        if name is not None:
            raise UsageError(
                f"the default of `{follower}` is made of `{name}`, and would not move with it",
                f"hold it with `--set {follower}=...`, or run once for each value of `{name}`",
            )


def check_point(
    game: Game,
    base: Parameters,
    point: Mapping[str, Number | tuple[float, ...]],
    label: str = "",
    *,
    claims: bool = True,
) -> None:
    """Refuse values of parameters at which the spec has errors; without `claims` it may be that
    what it requires is not true.

    Raises:
        CompileError: the errors, with a note that names the values.
    """
    found = game.compiled_at({**base, **point})
    errors = [d for d in found.diagnostics if d.severity == "error"]
    if not any(claims or not d.code.startswith(CLAIMS) for d in errors):
        return
    where = ", ".join(f"{name} = {_shown(value)}" for name, value in point.items())
    note = f"at {where}" + (f", of {label}" if label else "")
    noted = (replace(d, notes=(*d.notes, note)) for d in errors)
    raise CompileError(tuple(noted), found.sources)


def _shown(value: Number | tuple[float, ...]) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(f'{each:g}' for each in value)}]"
    return f"{value:g}"


def _hold_together(game: Game, base: Parameters, points: Sequence[Point]) -> bool:
    """Whether one look at intervals shows that the spec has no errors at any of the points."""
    model = game.model
    reals = {p.name for p in model.parameters if model.types[p.type].kind == "real"}
    if len(points) < 2 or _requires_more(game) or not reals.issuperset(points[0]):
        return False  # single entries of arrays have no intervals
    ends = {
        name: (min(float(p[name]) for p in points), max(float(p[name]) for p in points))
        for name in points[0]
    }
    if model.assumes and not all(meets(model, _exact(point)) for point in points):
        return False
    return game.compiled_at({**base, **points[0]}, spread=ends).ok


def _requires_more(game: Game) -> bool:
    """Whether the spec requires more than ranges, which intervals of parameters do not decide."""
    unit = game.compilation.unit
    assert unit is not None
    players = (d for d in unit.declarations if isinstance(d, ast.Player))
    everything = (*unit.declarations, *(m for player in players for m in player.members))
    claims = (d.claim for d in everything if isinstance(d, ast.Require))
    return not all(is_range(claim) for claim in claims)


def _exact(point: Point) -> dict[str, Fraction]:
    return {name: Fraction(repr(float(value))) for name, value in point.items()}


def _given(model: Model, values: Mapping[str, Values]) -> dict[str, ParameterValue]:
    """Values of a model as they would be given: names in the place of their numbers."""
    types = {p.name: model.types[p.type] for p in model.parameters}
    enums = {enum.name: enum.values for enum in model.enums}
    given: dict[str, ParameterValue] = {}
    for name, value in values.items():
        type_ = types[name]
        if isinstance(value, tuple) or type_.kind not in ("bool", "enum"):
            given[name] = value
        elif type_.kind == "bool":
            given[name] = "true" if value else "false"
        else:
            given[name] = enums[str(type_.name)][int(value)]
    return given
