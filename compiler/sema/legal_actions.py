"""Whether every state has a legal action."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from mfdsl.compiler.analysis.axes import choose_axes
from mfdsl.compiler.analysis.enclosure import Evaluator, Facts, leaves_of, listed
from mfdsl.compiler.sema.context import Context
from mfdsl.compiler.sema.domains import facts_of
from mfdsl.compiler.sema.failures import leaf_value, written_name
from mfdsl.compiler.sema.sets import value_name
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax import ast

MASK_POINTS = 1 << 22
ACTIONS = ("action", "common_action")


def check_legal(ctx: Context, file: str, player: ast.Player, legal: int | None) -> None:
    """Every state must have a legal action; a state without one is named."""
    if legal is None:
        return
    facts = facts_of(ctx, file)
    leaves = leaves_of(facts.nodes, [legal])
    axes = choose_axes(facts, leaves, limit=MASK_POINTS, roots=[legal])
    value = Evaluator(facts, axes).value(legal)
    shape = tuple(_size(facts, leaf) for leaf in sorted(axes, key=axes.__getitem__))
    acting = tuple(axis for leaf, axis in axes.items() if facts.nodes[leaf].op in ACTIONS)
    stuck = ~np.broadcast_to(value.lo > 0, shape).any(acting, keepdims=True)
    if not stuck.any():
        return
    certain = np.broadcast_to(value.hi <= 0, shape).all(acting, keepdims=True)
    where = next(m for m in player.members if isinstance(m, ast.Action) and m.where is not None)
    assert where.where is not None
    if not certain.any() and _too_many(ctx, facts, leaves, axes, where.where.span):
        return
    none = bool(certain.any())
    at = np.argwhere(certain if none else stuck)[0]
    names = dict(
        leaf_value(ctx, facts, facts.nodes[leaf], int(at[axis]))
        for leaf, axis in axes.items()
        if facts.nodes[leaf].op not in ACTIONS
    )
    shown = ", ".join(f"{name} = {value}" for name, value in names.items())
    message = "no action is legal" if none else "it is not certain that an action is legal"
    ctx.error(
        "MFG306",
        f"{message}{f' when {shown}' if shown else ''}",
        where.where.span,
        "false for every action" if none else "cannot be shown for all values of the rest",
        helps=[
            "let one action always be legal, for example staying",
            *_staying(ctx, player, where, any(facts.nodes[k].op in ACTIONS for k in leaves)),
        ],
    )


def _staying(ctx: Context, player: ast.Player, action: ast.Action, reads: bool) -> list[str]:
    """`where not vaccinate or (h == S)` for `where h == S`, which forbids all values or none."""
    name = action.name.name
    symbol = next(s for s in ctx.players.values() if s.declaration is player).actions[name]
    if reads or not listed(symbol.type) or action.where is None:
        return []
    first = f"{name} == {value_name(ctx, symbol.type, symbol.type.first)}"
    kept = f"not {name}" if symbol.type.kind == "bool" else first
    allowed = f"`where {kept} or {ctx.operand(action.where.span)}`"
    return [f"the condition does not read `{name}`: {allowed}"]


def _too_many(
    ctx: Context, facts: Facts, leaves: Sequence[int], axes: Mapping[int, int], span: Span
) -> bool:
    """Report that there are too many values to go through, if there are."""
    nodes, types = facts.nodes, facts.types
    timed = not facts.endless and facts.last_time < MASK_POINTS  # else there is no end to it
    finite = [
        k for k in leaves if (timed if nodes[k].op == "time" else listed(types[nodes[k].type]))
    ]
    if len(finite) == len(axes):
        return False
    count = math.prod(_size(facts, leaf) for leaf in finite)
    names = " and ".join(f"`{written_name(ctx, nodes[leaf])}`" for leaf in finite)
    links = any(types[nodes[leaf].type].kind == "link" for leaf in finite)
    place = "let a state be the node where one stands: `state x : city.node`, `where tail(a) == x`"
    ctx.error(
        "MFG306",
        "too many combinations to check that an action is always legal",
        span,
        f"{count:,} values of {names}",
        helps=[
            *[place] * links,
            "let the condition read fewer variables, or such with fewer values",
        ],
    )
    return True


def _size(facts: Facts, leaf: int) -> int:
    """How many values a listed variable has."""
    node = facts.nodes[leaf]
    return facts.last_time + 1 if node.op == "time" else facts.types[node.type].size
