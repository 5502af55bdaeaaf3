"""All structure certificates of a model, cheap ones first, within a time limit."""

import time
from collections.abc import Callable, Iterator

from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.analysis.facts import facts_of
from mfdsl.compiler.analysis.structure.contraction import contraction
from mfdsl.compiler.analysis.structure.existence import existence
from mfdsl.compiler.analysis.structure.forms import Forms, forms_of
from mfdsl.compiler.analysis.structure.independent import (
    independent,
    independent_dynamics,
    independent_value,
)
from mfdsl.compiler.analysis.structure.linear_quadratic import linear_quadratic
from mfdsl.compiler.analysis.structure.monotone import monotone
from mfdsl.compiler.analysis.structure.on_flows import monotone_on_flows
from mfdsl.compiler.analysis.structure.potential import concave_potential, potential, skew_affine
from mfdsl.compiler.analysis.structure.stages import law_stages
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.ir.model import Model

SECONDS = 0.5
SHARE = 0.4  # of the time that is left, for one group
LAW_CLAIMS = (
    "monotone",
    "strictly_monotone",
    "potential",
    "concave_potential",
    "skew_affine",
    "monotone_on_flows",
)


def structure_certificates(
    model: Model, budget_seconds: float = SECONDS
) -> tuple[Certificate, ...]:
    """What is proved, refuted or unknown of the structure of a model.

    Claims are `independent`, `dynamics_independent_of_mu`, `linear_quadratic` of each player,
    `monotone`, `strictly_monotone`, `potential`, `concave_potential`, `skew_affine`,
    `monotone_on_flows`, `existence` and `contraction`. What the time does not suffice for is
    unknown with the reason "budget".
    """
    deadline = time.perf_counter() + budget_seconds
    copies = Copies(facts_of(model))
    found: list[Certificate] = []
    for names, group in _groups(model, copies):
        left = deadline - time.perf_counter()
        if left <= 0:
            found += [_left_out(name, subject) for name, subject in names]
        else:
            found += group(SHARE * left)
    return tuple(found)


Group = tuple[list[tuple[str, str]], Callable[[float], list[Certificate]]]


def _groups(model: Model, copies: Copies) -> Iterator[Group]:
    """Claims with their subjects, and what decides them within some seconds."""
    names = [("independent", "game"), ("dynamics_independent_of_mu", "dynamics")]
    moving: list[Certificate] = []

    def _dependence(seconds: float) -> list[Certificate]:
        found = _independent(model, copies, seconds)
        moving.append(found[1])
        return found

    yield names, _dependence
    acting = [p for p in model.players if p.kind != "environment"]
    yield (
        [("linear_quadratic", p.name) for p in acting],
        lambda _: [linear_quadratic(model, copies, p) for p in acting],
    )
    laws = [(name, "reward") for name in LAW_CLAIMS]
    yield laws, lambda seconds: _of_laws(model, copies, moving[0], seconds)
    yield [("existence", "equilibrium")], lambda seconds: [existence(model, copies, seconds)]
    soft = [("contraction", "soft fixed point")]
    yield soft, lambda seconds: [contraction(model, copies, seconds)]


def _independent(model: Model, copies: Copies, seconds: float) -> list[Certificate]:
    paid = [p for p in model.players if p.rewards]
    share = seconds / (1 + len(paid))
    dynamics = independent_dynamics(model, copies, seconds=share)
    rewards = [
        independent_value(
            model,
            copies,
            "reward" if len(paid) == 1 else f"reward of {player.name}",
            [t.node for t in player.rewards],
            player=player,
            seconds=share,
        )
        for player in paid
    ]
    return [independent([dynamics, *rewards]), dynamics]


def _of_laws(
    model: Model, copies: Copies, dynamics: Certificate, seconds: float
) -> list[Certificate]:
    started = time.perf_counter()
    stages: list[Forms] = []
    todo = law_stages(model, copies)
    for stage in todo:
        stages.append(forms_of(model, copies, stage, seconds / len(todo)))
    weak = monotone(model, copies, stages, seconds)
    strict = monotone(model, copies, stages, seconds, strictly=True, weak=weak)
    gradient = potential(model, stages)
    spent = round(time.perf_counter() - started, 6)
    return [
        weak.model_copy(update={"seconds": spent}),
        strict,
        gradient,
        concave_potential(gradient, weak),
        skew_affine(model, stages, weak),
        monotone_on_flows(model, copies, stages, weak, dynamics, seconds),
    ]


def _left_out(claim: str, subject: str) -> Certificate:
    return Certificate(
        claim=claim,
        subject=subject,
        verdict="unknown",
        reason="budget",
        detail="no time was left",
    )
