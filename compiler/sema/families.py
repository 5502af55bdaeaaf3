"""The players of a model and their full names: each index of a family is a player of its own."""

from mfdsl.compiler.sema import sets
from mfdsl.compiler.sema.context import Context, PlayerScope
from mfdsl.compiler.sema.values import (
    POISON,
    Env,
    FamilyName,
    Handle,
    PlayerName,
    PopulationName,
    SetValue,
)
from mfdsl.compiler.syntax import ast

MAX_MEMBERS = 64


def open_player(ctx: Context, file: str, player: ast.Player) -> None:
    """Make a player that is no family known under its name."""
    name = player.name.name
    _open(ctx, PlayerScope(name, player.kind, file, player))
    known = PopulationName(name) if player.kind == "population" else PlayerName(name)
    ctx.scopes[file][name] = known


def open_families(ctx: Context, unit: ast.Unit) -> None:
    """Make the families known, one player for each index; `ctx.players` is then in order."""
    scope = ctx.scopes[unit.file]
    opened = dict(ctx.players)
    ctx.players.clear()
    for declaration in unit.declarations:
        if not isinstance(declaration, ast.Player):
            continue
        name = declaration.name.name
        if declaration.family is None:
            if name in opened:
                ctx.players[name] = opened[name]
        elif name not in scope:
            members = _members(ctx, unit.file, declaration, declaration.family)
            scope[name] = POISON if members is None else members


def _members(ctx: Context, file: str, player: ast.Player, family: ast.Family) -> FamilyName | None:
    domain = sets.lower_set(ctx, Env(file=file, static=True), family.domain)
    if not isinstance(domain, SetValue):
        return None
    if domain.bounds is None:
        ctx.error(
            "MFG201",
            "a family runs over a range or an enum",
            family.domain.span,
            "not a range",
            helps=["write `[k in 0..4]`, or `[f in Flow]` with an enum"],
        )
        return None
    lo, hi = domain.bounds
    if domain.size > MAX_MEMBERS:
        ctx.error(
            "MFG213",
            f"a family of {domain.size} players",
            family.domain.span,
            f"the limit is {MAX_MEMBERS}",
            helps=["many alike are a `population`"] if player.kind != "population" else [],
        )
        return None
    axis = domain.type
    if axis.kind == "int":
        axis = axis.model_copy(update={"lo": lo, "hi": hi})
    names: list[str] = []
    for code in range(lo, hi + 1):
        name = f"{player.name.name}[{sets.value_name(ctx, domain.type, code)}]"
        _check_spelling(ctx, file, player, name)
        index = (family.name.name, ctx.constant(code, domain.type))
        opened = PlayerScope(name, player.kind, file, player, index, player.name.name)
        _open(ctx, opened)
        names.append(name)
    found = FamilyName(player.name.name, player.kind, axis, tuple(names))
    ctx.families[found.name] = found
    return found


def _check_spelling(ctx: Context, file: str, player: ast.Player, name: str) -> None:
    """`truck[0]` is `truck_0` in generated code, so nobody else may be called so."""
    spelled = name.replace("[", "_").replace("]", "")
    if isinstance(ctx.scopes[file].get(spelled), PlayerName | PopulationName):
        ctx.error(
            "MFG102",
            f"`{name}` and `{spelled}` are spelled alike in generated code",
            player.name.span,
            "a family",
            helps=["give one of them another name"],
        )


def _open(ctx: Context, scope: PlayerScope) -> None:
    if scope.declaration.handle is not None:
        scope.members[scope.declaration.handle.name] = Handle(scope.name)
    ctx.players[scope.name] = scope


def member_at(family: FamilyName, exact: int) -> str | None:
    """The full name of the member whose index is `exact`, None when there is none."""
    lo = 0 if family.axis.lo is None else int(family.axis.lo)
    place = exact - lo
    return family.members[place] if 0 <= place < len(family.members) else None
