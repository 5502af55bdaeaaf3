"""Claims: what every model is certified for, and what its `require` clauses demand."""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TypeGuard

from mfdsl.compiler.analysis.certificate import Certificate, Verdict
from mfdsl.compiler.analysis.enclosure import Facts
from mfdsl.compiler.ir.model import Player
from mfdsl.compiler.ir.types import REAL
from mfdsl.compiler.sema import expressions, sets
from mfdsl.compiler.sema.claim import Claim
from mfdsl.compiler.sema.context import Context
from mfdsl.compiler.sema.domains import enclosure
from mfdsl.compiler.sema.failures import SUM_TOLERANCE, TOLERANCE, KnownRange, reach
from mfdsl.compiler.sema.regularity import is_regularity, read_claim
from mfdsl.compiler.sema.settings import sides
from mfdsl.compiler.sema.values import Env, Poison, Term
from mfdsl.compiler.syntax import ast


def certify(ctx: Context, facts: Facts, players: Sequence[Player]) -> list[Certificate]:
    """What is established about every model that passes the checks."""
    facts = _of_all_stages(ctx, facts)
    laws = [_normalised(ctx, player) for player in players if _laws_of(player)]
    paid = [player for player in players if player.rewards]
    ranges = [_reward_range(facts, player, alone=len(paid) == 1) for player in paid]
    return [*laws, *ranges]


def _of_all_stages(ctx: Context, facts: Facts) -> Facts:
    """The facts of all stages, also of those that nobody plays: claims are about them, too."""
    return replace(facts, endless=ctx.steps is None)


def _laws_of(player: Player) -> int:
    """How many laws the spec gives by the probability of each value."""
    noises = [n for n in player.noises if n.density is not None]
    return len(noises) + sum(s.initial is not None for s in (*player.states, *player.traits))


def _normalised(ctx: Context, player: Player) -> Certificate:
    summed = any(
        o.kind == "one" and o.player == player.name and ctx.builder.exact(o.node) != 1
        for o in ctx.obligations
    )
    slack = SUM_TOLERANCE if summed else 0.0
    return Certificate(
        claim="normalised",
        subject=f"{_laws_of(player)} laws of {player.name}",
        verdict="proved",
        lower=1.0 - slack,
        upper=1.0 + slack,
        method=(
            f"weights add up to 1 within {SUM_TOLERANCE:g}"
            if summed
            else "remaining mass by construction",
            f"weights enclosed over all finite values, to {TOLERANCE:g}",
            *(f"where these do not tell, {m}" for m in sorted(ctx.looked.get(player.name, ()))),
        ),
        rigor="enclosure",
    )


def _reward_range(facts: Facts, player: Player, *, alone: bool) -> Certificate:
    started = time.perf_counter()
    lo, hi = reward_range(facts, player)
    return Certificate(
        claim="range",
        subject="reward" if alone else f"reward of {player.name}",
        verdict="proved" if math.isfinite(lo) and math.isfinite(hi) else "unknown",
        lower=lo if math.isfinite(lo) else None,
        upper=hi if math.isfinite(hi) else None,
        method=("interval arithmetic over all finite values",),
        rigor="enclosure",
        seconds=round(time.perf_counter() - started, 6),
    )


def reward_range(facts: Facts, player: Player) -> tuple[float, float]:
    """An enclosure of the running reward over all states, actions, laws and times."""
    nodes = [term.node for term in player.rewards if not term.final]
    return enclosure(facts, nodes) if nodes else (0.0, 0.0)


def check_requirements(
    ctx: Context, facts: Facts, unit: ast.Unit, players: Sequence[Player]
) -> tuple[list[Certificate], list[Claim]]:
    """Decide every `require`; the ones that do not hold are errors.

    Claims about slopes and structure are handed back: they are decided on the finished model.
    """
    facts = _of_all_stages(ctx, facts)
    found, claims = [], []
    for requirement, env, player in _requirements(ctx, unit, players):
        started = time.perf_counter()
        if is_regularity(requirement.claim):
            claim = read_claim(ctx, env, requirement.claim, player)
            claims += [claim] if claim is not None else []
            continue
        certificate = _decide(ctx, facts, env, requirement, player)
        if certificate is not None:
            seconds = round(time.perf_counter() - started, 6)
            found.append(certificate.model_copy(update={"seconds": seconds}))
    return found, claims


def _requirements(
    ctx: Context, unit: ast.Unit, players: Sequence[Player]
) -> Iterator[tuple[ast.Require, Env, Player | None]]:
    """Every `require`, where it stands, and the player whose rewards it names.

    Outside of all players that is the only one with rewards. Inside a family it is asked of each.
    """
    paid = [player for player in players if player.rewards]
    for declaration in unit.declarations:
        if isinstance(declaration, ast.Require):
            env = Env(file=unit.file, purpose="a `require`")
            yield declaration, env, paid[0] if len(paid) == 1 else None
    for player in players:
        scope = ctx.players[player.name]
        noises = frozenset(scope.noises)
        for member in scope.declaration.members:
            if isinstance(member, ast.Require):
                yield member, scope.env("reward", "a `require`", noises=noises), player


def _decide(
    ctx: Context, facts: Facts, env: Env, requirement: ast.Require, player: Player | None
) -> Certificate | None:
    claim = requirement.claim
    if is_range(claim):
        return _decide_range(ctx, facts, env, claim, player)
    return _decide_condition(ctx, env, requirement, player)


def is_range(claim: ast.Expr) -> TypeGuard[ast.Member]:
    """Whether a claim is about the range of a value."""
    return isinstance(claim, ast.Member) and isinstance(claim.set, ast.Vector | ast.Range)


def _compared_reward(claim: ast.Expr, player: Player | None) -> str | None:
    """The reward, or its term, that a comparison is about."""
    names = {"reward", *(() if player is None else (term.name for term in player.rewards))}
    operands = claim.operands if isinstance(claim, ast.Compare) else ()
    named = (o.name for o in operands if isinstance(o, ast.Name))
    return next((name for name in named if name in names), None)


def _decide_condition(
    ctx: Context, env: Env, requirement: ast.Require, player: Player | None
) -> Certificate | None:
    """A condition on parameters."""
    paid = _compared_reward(requirement.claim, player)
    if paid is not None and paid not in ctx.scopes[env.file]:
        ctx.error(
            "MFG206",
            f"a range of `{paid}` is claimed with `in`",
            requirement.claim.span,
            "compared with a number",
            helps=[f"write `require {paid} in [low, high]`"],
        )
        return None
    static = Env(file=env.file, static=True)
    condition = expressions.lower_condition(ctx, static, requirement.claim)
    if isinstance(condition, Poison):
        return None
    exact = ctx.exact(condition)
    if exact is None:
        ctx.error(
            "MFG509",
            "this `require` could not be decided",
            requirement.claim.span,
            "not a comparison of sums, products and quotients of parameters",
        )
        return None
    if not exact:
        ctx.error(
            "MFG511",
            "a `require` does not hold at the values of the parameters",
            requirement.claim.span,
            sides(ctx, static, requirement.claim),
        )
    return Certificate(
        claim="condition",
        subject="parameters",
        verdict="proved" if exact else "refuted",
        method=("exact arithmetic",),
        rigor="exact",
    )


def _decide_range(
    ctx: Context, facts: Facts, env: Env, claim: ast.Member, player: Player | None
) -> Certificate | None:
    bounds = _bounds(ctx, env, claim.set)
    subject = _subject(ctx, env, claim.item, player)
    if bounds is None or subject is None:
        return None
    name, nodes = subject
    lo, hi = enclosure(facts, nodes)  # sees the nodes of the claim, too: they are appended
    method = ["interval arithmetic over all finite values"]
    verdict: Verdict = "proved" if bounds[0] <= lo and hi <= bounds[1] else "unknown"
    if verdict == "unknown":
        from mfdsl.compiler.sema.second_looks import known_range  # not needed by most specs

        known = known_range(ctx, facts, nodes, bounds, (lo, hi))
        lo, hi, verdict = known.lo, known.hi, known.verdict
        method += known.methods
        if verdict != "proved":
            _report_range(ctx, claim, name, bounds, known)
            lo, hi = bounds  # what is not proved is the claim, not what was found
    return Certificate(
        claim="range",
        subject=name,
        verdict=verdict,
        lower=lo if math.isfinite(lo) else None,
        upper=hi if math.isfinite(hi) else None,
        method=tuple(method),
        rigor="enclosure",
    )


def _report_range(
    ctx: Context, claim: ast.Member, name: str, bounds: tuple[float, float], known: KnownRange
) -> None:
    certain = known.verdict == "refuted"
    ends = zip((known.lo, known.hi), bounds, strict=True)
    shown = f"[{', '.join(_beside(end, bound) for end, bound in ends)}]"
    wanted = f"[{bounds[0]:g}, {bounds[1]:g}]"
    message = (
        f"`{name}` is not in {wanted}"
        if certain
        else f"`{name}` could not be shown to be in {wanted}"
    )
    notes = ["the range found is proved, the true one may be narrower"]
    ctx.error(
        "MFG511" if certain else "MFG509",
        message,
        claim.span,
        known.example or f"the range found is {shown}",
        notes=known.notes if certain else notes,
        helps=["widen the claim" if certain else "widen the claim, or bound a parameter or a log"],
    )


def _beside(value: float, bound: float) -> str:
    """An end of a range with as many digits as tell it from the one that is claimed."""
    texts = (reach(value), f"{value:.9g}", f"{value:.12g}", f"{value:.17g}")
    return next((t for t in texts if value == bound or float(t) != bound), texts[-1])


def _bounds(ctx: Context, env: Env, expr: ast.Expr) -> tuple[float, float] | None:
    ends: tuple[ast.Expr, ...] = ()
    if isinstance(expr, ast.Vector):
        ends = expr.items
    elif isinstance(expr, ast.Range):
        ends = (expr.lo, expr.hi)
    if len(ends) != 2:
        ctx.error("MFG201", "an interval has two ends", expr.span, "write `[lo, hi]`")
        return None
    static = Env(file=env.file, static=True)
    values = [sets.static_real(ctx, static, end, "the end of an interval") for end in ends]
    if values[0] is None or values[1] is None:
        return None
    return values[0], values[1]


def _subject(
    ctx: Context, env: Env, item: ast.Expr, player: Player | None
) -> tuple[str, list[int]] | None:
    """The nodes whose sum the claim is about: all rewards, one named term, or a value."""
    if isinstance(item, ast.Name) and item.name == "reward" and player is None:
        owners = dict.fromkeys(s.declaration.name.name for s in ctx.players.values())
        shown = " and ".join(f"`{owner}`" for owner in owners)
        ctx.error(
            "MFG103",
            f"`reward` belongs to {shown}",
            item.span,
            "whose?",
            helps=["move the `require` into the block that it is about"],
        )
        return None
    if isinstance(item, ast.Name) and player is not None:
        terms = [t for t in player.rewards if not t.final]
        if item.name == "reward":
            alone = player.family is None
            shown = "reward" if alone else f"reward of {player.name}"
            return shown, [t.node for t in terms]
        named = [t for t in player.rewards if t.name == item.name]
        if named and _is_cost(ctx, player, item.name):  # claimed of the cost as it is written
            return item.name, [ctx.node("neg", (named[0].node,), REAL, None).node]
        if named:
            return item.name, [named[0].node]
    value = expressions.lower(ctx, env, item)
    if isinstance(value, Term) and value.type.numeric and not value.type.dims:
        return short_name(item), [value.node]
    if not isinstance(value, Poison):
        ctx.error("MFG201", "a range is claimed of a number", item.span, "not a number")
    return None


def _is_cost(ctx: Context, player: Player, name: str) -> bool:
    members = ctx.players[player.name].declaration.members
    costs = (m.name for m in members if isinstance(m, ast.Reward) and m.kind == "cost")
    return any(cost is not None and cost.name == name for cost in costs)


def short_name(item: ast.Expr) -> str:
    """A short name of the subject of a claim."""
    return item.name if isinstance(item, ast.Name) else "the value"
