"""Obligations that ranges do not show, looked at again: shown, broken at a point, or left open."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from mfdsl.compiler.analysis.counted import counted
from mfdsl.compiler.analysis.enclosure import LEAVES, Facts
from mfdsl.compiler.analysis.rounding import rounding
from mfdsl.compiler.analysis.second_look import (
    Look,
    adds_up_to_one,
    at_most,
    covers,
)
from mfdsl.compiler.analysis.slopes.value import LargestValue
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.analysis.witness import law_text
from mfdsl.compiler.ir.walk import MEMBERS, reachable
from mfdsl.compiler.sema.context import Context
from mfdsl.compiler.sema.failures import (
    MAX_EXPONENT,
    ROOM,
    SUM_TOLERANCE,
    TOLERANCE,
    Failure,
    KnownRange,
    leaf_value,
    written_name,
)
from mfdsl.compiler.sema.values import Obligation

APART = ("nonnegative", "positive", "nonzero", "range", "ball")
SECONDS = 3.0  # counted, of all second looks at one model

ANYWHERE = "claims are about all values and laws, whether or not the game comes to these"
DECIDED = ("state", "action", "common_state", "common_action", "time", "index")

Side = tuple[float, bool]


def sides_of(o: Obligation) -> tuple[Side, ...]:
    """The bounds that an obligation asks for, as (bound, whether it is a lower one).

    Where a value may not be 0, one of them is enough.
    """
    if o.kind == "range":
        return tuple(s for s in ((o.lo, True), (o.hi, False)) if math.isfinite(s[0]))
    return {
        "ball": ((o.hi, False),),
        "probability": ((0.0, True),),
        "nonnegative": ((0.0, True),),
        "positive": ((0.0, True),),
        "nonzero": ((0.0, True), (0.0, False)),
        "total": ((1.0, False),),
        "one": ((1 - SUM_TOLERANCE, True), (1 + SUM_TOLERANCE, False)),
        "exponent": ((MAX_EXPONENT, False),),
    }.get(o.kind, ())


def second_look(ctx: Context, facts: Facts, o: Obligation, failure: Failure) -> Failure | None:
    """The failure of an obligation as it is known after a second look; None where it holds."""
    sides = sides_of(o)
    roots = [o.node, *(g.node for g in o.guards)]
    type_ = facts.types[facts.nodes[o.node].type]
    if failure.certain or not sides or ctx.spread or type_.kind != "real" or type_.dims:
        return failure
    if not covers(facts, roots) or not _is_more_than_listed(facts, roots):
        return failure
    if ctx.spent > SECONDS:
        return failure
    began = counted()
    try:
        return _second_look(ctx, facts, o, failure, sides)
    finally:
        ctx.spent += counted() - began


def _second_look(
    ctx: Context, facts: Facts, o: Obligation, failure: Failure, sides: Sequence[Side]
) -> Failure | None:
    if o.kind == "one" and adds_up_to_one(facts, o.node, ctx.builder.exact):
        ctx.looked.setdefault(o.player, set()).add("an identity")
        return None
    looks = [_look(ctx, facts, o, side, failure) for side in sides]
    enough = any if o.kind == "nonzero" else all
    if enough(look.holds for look in looks):
        ctx.looked.setdefault(o.player, set()).update(k.method for k in looks if k.method)
        return None
    close = any(look.close for look in looks)
    if o.kind == "nonzero":  # its enclosure holds 0 all the same
        return replace(failure, missing="room") if close else failure
    return _known_better(ctx, facts, failure, sides, looks)


def _look(ctx: Context, facts: Facts, o: Obligation, side: Side, failure: Failure) -> Look:
    """A look at one bound. Rounding must not take values across ends outside of which something is
    undefined, so what is shown keeps away from them; from others where large numbers cancel.
    """
    bound, least = side
    if o.kind == "range" and (failure.ends[0] >= bound if least else failure.ends[1] <= bound):
        return Look(True, bound)
    decide = partial(at_most, facts, o.node, least=least, guards=o.guards, exact=ctx.builder.exact)
    apart, off = o.kind in APART, rounding(facts, [o.node])
    if not apart and off <= ROOM:
        return decide(bound, slack=0.0 if o.kind == "one" else TOLERANCE)
    room = max(ROOM * max(1.0, abs(bound)) if apart else 0.0, off)
    look = decide(bound + room if least else bound - room)
    if look.holds or (look.holds is False and _is_beyond(o, side, look.value)):
        return look
    met = decide(bound)
    return replace(met, holds=None, close=True) if met.holds else met


def _is_beyond(o: Obligation, side: Side, value: float) -> bool:
    """Whether a value breaks a bound, with no room between."""
    bound, least = side
    if o.kind in ("positive", "nonzero") and value == bound:
        return True
    return value < bound if least else value > bound


def known_range(
    ctx: Context,
    facts: Facts,
    nodes: Sequence[int],
    claimed: tuple[float, float],
    enclosed: tuple[float, float],
) -> KnownRange:
    """A second look at the range of a sum of some expressions, whose enclosure is not enough."""
    lo, hi = enclosed
    if lo > claimed[1] or hi < claimed[0]:
        return KnownRange("refuted", lo, hi)
    copies = Copies(facts)
    node, exact = copies.total(list(nodes)), ctx.builder.exact
    if ctx.spread or not covers(copies.facts, [node]):
        return KnownRange("unknown", lo, hi)
    looks = [
        at_most(copies.facts, node, bound, least=least, exact=exact)
        for bound, least in zip(claimed, (True, False), strict=True)
    ]
    methods = tuple(dict.fromkeys(look.method for look in looks if look.holds))
    if all(look.holds for look in looks):
        found, off = _proved(looks, enclosed), rounding(copies.facts, [node])
        left = min(found[0] - claimed[0], claimed[1] - found[1])
        if left < off and off > ROOM * max(1.0, *map(abs, claimed)):
            example = f"is there as a formula, but rounding may move it by {off:.2g} when it runs"
            return KnownRange("unknown", *found, methods, example)
        return KnownRange("proved", *found, methods)
    problem = next((look.problem for look in looks if look.problem is not None), None)
    if problem is None or problem.place is None or not _occurs(ctx, problem):
        return KnownRange("unknown", *_proved(looks, enclosed), methods)
    value = -problem.best if problem.least else problem.best
    at = ", ".join(f"{k} = {v}" for k, v in _values(ctx, facts, problem).items())
    where = " and ".join(part for part in (at, *_laws(problem)) if part)
    notes = (f"it is when {where}", ANYWHERE) if where else ()
    return KnownRange("refuted", lo, hi, methods, f"can be {value:.6g}", notes)


def _proved(looks: Sequence[Look], enclosed: tuple[float, float]) -> tuple[float, float]:
    """The enclosure of a value after a look at both ends."""
    ends = [k.value if k.holds is not False else e for k, e in zip(looks, enclosed, strict=True)]
    return max(enclosed[0], ends[0]), min(enclosed[1], ends[1])


def _occurs(ctx: Context, problem: LargestValue) -> bool:
    """Whether a value is attained inside of what a claim is about: all laws and all values of the
    variables in their ranges, as long as all actions are legal and nothing is read that has a law
    of its own. The game need not come there.
    """
    if any(scope.legal is not None for scope in ctx.players.values()):
        return False
    tape = problem.tape
    leaves = [*tape.grid, *tape.inner, *(c.node for c in tape.coordinates if c.statistic is None)]
    return all(tape.facts.nodes[leaf].op.removeprefix("peer_") in DECIDED for leaf in leaves)


def _is_more_than_listed(facts: Facts, roots: Sequence[int]) -> bool:
    """Whether something is read that ranges do not go through value by value."""
    below = [facts.nodes[i] for i in reachable(facts.nodes, roots)]
    reals = (n.op in LEAVES and facts.types[n.type].kind == "real" for n in below)
    return any(n.op in MEMBERS for n in below) or any(reals)


def _known_better(
    ctx: Context, facts: Facts, failure: Failure, sides: Sequence[Side], looks: Sequence[Look]
) -> Failure:
    """The failure with attained values and their place, or with the best bounds that are proved."""
    lo, hi = failure.lo, failure.hi
    for (bound, least), look in zip(sides, looks, strict=True):
        known = bound if look.holds or look.close else look.value
        lo, hi = (max(lo, known), hi) if least else (lo, min(hi, known))
    broken = [(abs(k.value - b), k.problem) for (b, _), k in zip(sides, looks, strict=True)]
    broken = [(by, problem) for by, problem in broken if problem is not None]
    if not broken:
        close = any(look.close for look in looks)
        return replace(failure, lo=lo, hi=hi, missing="room" if close else "proof")
    problem = max(broken, key=lambda pair: pair[0])[1]
    assert problem is not None
    if problem.place is None or problem.point is None:
        return replace(failure, lo=lo, hi=hi)
    return replace(failure, lo=lo, hi=hi, witness=_values(ctx, facts, problem), laws=_laws(problem))


def _values(ctx: Context, facts: Facts, problem: LargestValue) -> dict[str, str]:
    """Values of own and common variables by name, where a bound is broken."""
    assert problem.place is not None and problem.point is not None
    tape, found = problem.tape, {}
    for leaf, position in zip(tape.grid, problem.place, strict=True):
        name, shown = leaf_value(ctx, facts, tape.facts.nodes[leaf], int(position))
        found[name] = shown
    for coordinate, value in zip(tape.coordinates, problem.point, strict=True):
        node = tape.facts.nodes[coordinate.node]
        if coordinate.statistic is None and not node.op.startswith("peer_"):
            entry = "".join(f"[{k}]" for k in coordinate.entry)
            found[f"{written_name(ctx, node)}{entry}"] = f"{float(value):.6g}"
    return found


def _laws(problem: LargestValue) -> tuple[str, ...]:
    """The laws of populations where a bound is broken, by what their members are."""
    return tuple(
        f"`{name}` is {law_text(problem.tape, law, name, problem.spaces[name])}"
        for name, law in problem.laws.items()
    )
