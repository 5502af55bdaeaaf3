"""What policies see: the items of `observe`."""

from collections.abc import Sequence

from mfdsl.compiler.ir.model import Named
from mfdsl.compiler.sema import expressions
from mfdsl.compiler.sema.context import Context
from mfdsl.compiler.sema.values import OWN, Env, Term
from mfdsl.compiler.syntax import ast


def lower_observe(ctx: Context, file: str, player: ast.Player) -> list[Named]:
    """The observed values by name; everything must be seen in this release."""
    items = [(m, item) for m in player.members if isinstance(m, ast.Observe) for item in m.items]
    result: list[Named] = []
    for _, item in items:
        if isinstance(item, ast.Call) and item.function.name == "law":
            ctx.error(
                "MFG706",
                "policies that see the law come with a later release",
                item.span,
                "the law of the population",
                helps=["without common noise `t` tells as much; leave it out"],
            )
            continue
        if _is_private(player, item):
            ctx.error(
                "MFG406",
                "observes something that is private to each agent",
                item.span,
                f"every `{player.name.name}` has its own",
                helps=["observe a `let` that is a `mean` or a `prob`, or leave it out"],
            )
            return result
        env = Env(
            file=file,
            player=player.name.name,
            reader=player.name.name,
            view=OWN,
            actions=False,
            purpose="an observation",
        )
        value = expressions.lower(ctx, env, item)
        if isinstance(value, Term) and not value.type.dims:
            result.append(Named(name=_item_name(item, len(result)), node=value.node))
    if items:
        _check_observed(ctx, player, items)
    return result


def _is_private(player: ast.Player, item: ast.Expr) -> bool:
    """Whether the item is `walker.x` or `walker[3]`, something of single members."""
    while isinstance(item, ast.Field | ast.Index):
        item = item.base
        if isinstance(item, ast.Name) and item.name == player.name.name:
            return True
    return False


def _item_name(item: ast.Expr, position: int) -> str:
    return item.name if isinstance(item, ast.Name) else f"observation_{position + 1}"


def _check_observed(
    ctx: Context, player: ast.Player, items: Sequence[tuple[ast.Observe, ast.Expr]]
) -> None:
    seen = {item.name for _, item in items if isinstance(item, ast.Name)}
    hidden = [name for name in ctx.players[player.name.name].states if name not in seen]
    if ctx.steps is not None and ctx.steps > 1 and "t" not in seen:
        hidden.append("t")
    if hidden:
        ctx.error(
            "MFG706",
            "policies that see only a part come with a later release",
            items[0][0].span,
            "does not show " + ", ".join(f"`{name}`" for name in hidden),
            helps=[f"add `{', '.join(hidden)}`, or leave `observe` out"],
        )
