"""What policies see: the items of `observe`, and the populations whose whole law is seen."""

from mfdsl.compiler.ir.model import Named
from mfdsl.compiler.sema import expressions, names
from mfdsl.compiler.sema.context import Context, PlayerScope
from mfdsl.compiler.sema.operators import found
from mfdsl.compiler.sema.player_parts import player_words
from mfdsl.compiler.sema.suggestions import did_you_mean
from mfdsl.compiler.sema.values import Env, FamilyName, PlayerName, Poison, PopulationName, Term
from mfdsl.compiler.sema.vectors import as_array
from mfdsl.compiler.syntax import ast


def lower_observe(ctx: Context, scope: PlayerScope) -> tuple[list[Named], list[str]]:
    """The observed values by name, and the names of the populations whose law is seen.

    Both are empty when the player sees everything.
    """
    values: list[Named] = []
    laws: list[str] = []
    for member in scope.declaration.members:
        if not isinstance(member, ast.Observe) or scope.kind == "environment":
            continue
        for item in member.items:
            env = scope.env("observe", "an observation")
            if isinstance(item, ast.Call) and item.function.name == "law":
                laws += [name for name in _laws(ctx, env, item) if name not in laws]
                continue
            value = as_array(ctx, env, expressions.lower(ctx, env, item), item.span)
            if isinstance(value, Term):
                values.append(Named(name=_item_name(item, len(values)), node=value.node))
            elif not isinstance(value, Poison):
                ctx.error("MFG201", "policies see values", item.span, f"this is {found(value)}")
    return values, laws


def _laws(ctx: Context, env: Env, item: ast.Call) -> tuple[str, ...]:
    """The populations of `law(p)`; a family stands for all of its members."""
    populations = {
        **{s.name: (s.name,) for s in ctx.players.values() if s.kind == "population"},
        **{f.name: f.members for f in ctx.families.values() if f.kind == "population"},
    }
    if len(item.arguments) != 1:
        ctx.error("MFG206", "`law` takes one population", item.span, "write `law(p)`")
        return ()
    argument = item.arguments[0].value
    if isinstance(argument, ast.Name) and names.find(ctx, env, argument.name) is None:
        ctx.error(
            "MFG101",
            f"unknown name `{argument.name}`",
            argument.span,
            "not the name of a population",
            helps=did_you_mean(argument.name, populations, [argument.span]),
        )
        return ()
    value = expressions.lower(ctx, env, argument)
    if isinstance(value, Poison):
        return ()
    if isinstance(value, PopulationName | FamilyName) and value.name in populations:
        ctx.used.add(value.name)
        return populations[value.name]
    ctx.error(
        "MFG404",
        "`law` takes a population",
        argument.span,
        f"`{value.name}` is {player_words(ctx, value)}"
        if isinstance(value, PlayerName | FamilyName)
        else f"this is {found(value)}",
        helps=[f"write `law({name})`" for name in list(populations)[:1]],
    )
    return ()


def _item_name(item: ast.Expr, position: int) -> str:
    """The name of an item as the spec writes it: `x`, `truck[0].y`; others are numbered."""
    written = _written(item)
    return f"observation_{position + 1}" if written is None else written


def _written(item: ast.Expr) -> str | None:
    if isinstance(item, ast.Name):
        return item.name
    if isinstance(item, ast.Number) and item.integral:
        return str(item.value)
    if isinstance(item, ast.Field):
        base = _written(item.base)
        return None if base is None else f"{base}.{item.name.name}"
    if isinstance(item, ast.Index) and len(item.indices) == 1 and item.indices[0].name is None:
        base, index = _written(item.base), _written(item.indices[0].value)
        return None if base is None or index is None else f"{base}[{index}]"
    return None
