"""Existence of an equilibrium: rewards and kernels that are continuous in the law.

Over finitely many states, actions and stages (or with a discount) best responses to a flow, as
occupations, are a non-empty convex set that is upper hemicontinuous in the flow, so Kakutani's
theorem gives an equilibrium (Saldi, Basar and Raginsky, Markov-Nash equilibria in mean-field games
with discounted cost, 2018). A jump does not refute existence; the theorem is silent then. On a
stationary horizon it gives a policy and a law that stays under it, which is the one that the policy
keeps only where there is no other.
"""

import math
from dataclasses import dataclass

import numpy as np

from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.analysis.clock import processor_time
from mfdsl.compiler.analysis.continuity import gap_of
from mfdsl.compiler.analysis.counted import counted
from mfdsl.compiler.analysis.kernels import reads_means
from mfdsl.compiler.analysis.slopes.composed import is_composed
from mfdsl.compiler.analysis.slopes.domain import root_rows
from mfdsl.compiler.analysis.slopes.law_slope import LawSlope
from mfdsl.compiler.analysis.slopes.search import Found
from mfdsl.compiler.analysis.slopes.tape import Unsupported
from mfdsl.compiler.analysis.slopes.taping import make_tape
from mfdsl.compiler.analysis.structure.kept_laws import several_laws
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.ir.model import Model, Place, Player
from mfdsl.compiler.ir.sight import hidden, values_of


@dataclass(frozen=True)
class Missing:
    """A hypothesis that does not hold, or is not shown."""

    text: str
    place: Place | None = None
    fix: str | None = None
    continuity: bool = False


def existence(model: Model, copies: Copies, seconds: float) -> Certificate:
    """The certificate `existence` of an equilibrium (of a best joint policy for a team)."""
    started = processor_time()
    shape = _shape(model, copies)
    parts: list[Certificate] = []
    if shape is None:
        parts = continuity(model, copies, seconds)
        bad = next((p for p in parts if p.verdict != "proved"), None)
        if bad is not None:
            text = f"{bad.subject}: {bad.detail}"
            shape = Missing(text, bad.culprit, bad.fix, bad.reason == "continuity")
    proved = shape is None
    return Certificate(
        claim="existence",
        subject="equilibrium" if model.objective == "nash" else "optimal policy",
        verdict="proved" if proved else "unknown",
        method=("continuity in the law", "Kakutani's fixed point theorem"),
        rigor="enclosure",
        reason=None if shape is None else "continuity" if shape.continuity else "unsupported",
        detail=None if shape is None else shape.text,
        culprit=None if shape is None else shape.place,
        fix=None if shape is None else shape.fix,
        obligations=tuple(parts) if proved else (),
        seconds=round(processor_time() - started, 6),
    )


def _shape(model: Model, copies: Copies) -> Missing | None:
    """What the theorem asks of a game besides continuity."""
    for player in model.players:
        if player.kind == "major":
            return Missing(f"a major player, `{player.name}`: the theorem has populations only")
        for v in (*player.states, *player.traits, *player.actions, *player.noises):
            type_ = model.types[v.type]
            if type_.dims or not type_.finite:
                return Missing(f"`{v.name}` of {player.name} is not a finite scalar")
        if player.fixed:
            return Missing(f"files give each agent of {player.name}")
        unseen = hidden(model, player)
        if unseen is not None:
            return Missing(f"policies of {player.name} do not see `{unseen}`")
    if model.horizon.kind != "finite" and not model.discount < 1:
        return Missing("an infinite horizon without a discount")
    several = several_laws(model, copies) if model.horizon.kind == "stationary" else None
    return None if several is None else Missing(several)


def continuity(model: Model, copies: Copies, seconds: float) -> list[Certificate]:
    """Certificates that rewards, chances and next states are continuous in each law they read."""
    deadline = counted() + seconds
    found = []
    for player in model.players:
        for name, node, whole in values_of(player):
            for population in model.populations:
                if reads_means(copies.facts, node, population.name):
                    asked = _Asked(f"{player.name}.{name}", node, population, whole)
                    found.append(_continuous(model, copies, asked, deadline))
    return found


@dataclass(frozen=True)
class _Asked:
    """A value, the population whose law it reads, and whether it takes whole values only."""

    name: str
    node: int
    population: Player
    whole: bool


def _continuous(model: Model, copies: Copies, asked: _Asked, deadline: float) -> Certificate:
    """Whether a value has bounded slopes in a law and no branches that do not meet, or is made of
    operations that are continuous.
    """
    gap: Missing | None
    left = deadline - counted()
    try:
        gap = _gap(model, copies, asked, left) if left > 0 else Missing("no steps are left", None)
    except Unsupported as error:
        gap = Missing(str(error))
    place = model.places[asked.node] if asked.node < len(model.places) else None
    return Certificate(
        claim=f"continuous({asked.name}, {asked.population.name})",
        subject=asked.name,
        source=asked.population.name,
        verdict="proved" if gap is None else "unknown",
        method=("interval derivatives with Clarke rules", "composition"),
        rigor="enclosure",
        reason=None if gap is None else "continuity" if gap.continuity else "budget",
        detail=None if gap is None else gap.text,
        culprit=None if gap is None else gap.place or place,
        fix=None if gap is None else gap.fix,
    )


def _gap(model: Model, copies: Copies, asked: _Asked, seconds: float) -> Missing | None:
    """What may be a jump; None for what is continuous.

    Raises:
        Unsupported: the value has no interval slopes.
    """
    problem = LawSlope(make_tape(copies.facts, [asked.node]), asked.population.name)
    problem.deadline = counted() + seconds
    rows = root_rows(problem.tape)
    upper = problem.bound(rows)
    most = float(upper.max())
    if asked.whole:
        if most == 0 and not problem.joints:
            return None
        return Missing(
            "takes whole values and depends on the law, so that it jumps", None, None, True
        )
    if (math.isfinite(most) and not problem.joints) or is_composed(problem):
        return None
    worst = rows.take(np.argsort(-upper)[:1])
    found = Found(0.0, most, len(rows), False, worst)
    gap = gap_of(problem, found, model.places, max(seconds / 2, 0.01))
    return None if gap is None else Missing(gap.text, gap.place, gap.fix, True)
