"""All structure certificates of a model, cheap ones first, within a budget.

What decides claims that few ask for alone is loaded when it is their turn.
"""

from collections.abc import Callable, Collection, Iterator, Sequence

from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.analysis.counted import counted
from mfdsl.compiler.analysis.facts import facts_of
from mfdsl.compiler.analysis.opened import Box, assumptions, named, opened
from mfdsl.compiler.analysis.structure.independent import (
    independent,
    independent_value,
)
from mfdsl.compiler.analysis.structure.independent_moves import independent_dynamics
from mfdsl.compiler.analysis.structure.law_claims import LAW_CLAIMS, law_claims, law_claims_over
from mfdsl.compiler.analysis.structure.legal import of_legal_majors
from mfdsl.compiler.analysis.structure.stages import mean_of
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.ir.model import Model, Player

SECONDS = 0.5
SHARE = 0.4  # of the time that is left, for one group
AFTERWARDS = ("existence", "contraction")


def structure_certificates(
    model: Model,
    budget_seconds: float = SECONDS,
    *,
    box: Box | None = None,
    claims: Collection[str] | None = None,
) -> tuple[Certificate, ...]:
    """What is proved, refuted or unknown of the structure of a model.

    Claims are `independent`, `dynamics_independent_of_mu`, `linear_quadratic` of each player,
    `monotone`, `strictly_monotone`, `potential`, `concave_potential`, `skew_affine`,
    `monotone_on_flows`, `existence` and `contraction`. What the time does not suffice for is
    unknown with the reason "budget". With a `box` they are about all values of its parameters.
    With `claims` only these are looked at, those that are decided together with them, and the first
    two, on which others rest.
    """
    deadline = counted() + budget_seconds
    whole = opened(model, box) if box else model
    found: list[Certificate] = []
    for names, group in _groups(model, whole, Copies(facts_of(whole)), box or {}):
        if claims is not None and found and not any(name in claims for name, _ in names):
            continue
        left = deadline - counted()
        if left <= 0:
            found += [_left_out(name, subject) for name, subject in names]
        else:
            found += group(SHARE * left, found)
    found = [of_legal_majors(model, certificate) for certificate in found]
    found.sort(key=lambda c: c.claim in AFTERWARDS)  # decided early, told late
    if not box:
        return tuple(found)
    kept = assumptions(box)
    return tuple(
        c.model_copy(update={"assumptions": kept, "witness": named(c.witness, {})}) for c in found
    )


Group = tuple[
    list[tuple[str, str]], Callable[[float, Sequence[Certificate]], Sequence[Certificate]]
]


def _groups(model: Model, whole: Model, copies: Copies, box: Box) -> Iterator[Group]:
    """Claims with their subjects, and what decides them within some seconds after others.

    `whole` is the model with its box opened, `copies` are of that.
    """
    names = [("independent", "game"), ("dynamics_independent_of_mu", "dynamics")]
    yield names, lambda seconds, _: _independent(whole, copies, seconds)
    acting = [p for p in model.players if p.kind != "environment"]
    yield (
        [("linear_quadratic", p.name) for p in acting],
        lambda *_: [_linear_quadratic(whole, copies, p) for p in acting],
    )
    yield (
        [("existence", "equilibrium")],
        lambda seconds, _: [_existence(whole, copies, seconds)],
    )
    laws = [(name, "reward") for name in LAW_CLAIMS]

    def of_laws(seconds: float, found: Sequence[Certificate]) -> Sequence[Certificate]:
        dynamics = next(c for c in found if c.claim == "dynamics_independent_of_mu")
        if box:
            return law_claims_over(model, box, dynamics, seconds)
        return law_claims(model, copies, dynamics, seconds)

    yield laws, of_laws
    soft = [("contraction", "soft fixed point")]
    yield soft, lambda seconds, _: [_contraction(whole, copies, seconds)]


def _linear_quadratic(model: Model, copies: Copies, player: Player) -> Certificate:
    from mfdsl.compiler.analysis.structure.linear_quadratic import linear_quadratic

    return linear_quadratic(model, copies, player)


def _existence(model: Model, copies: Copies, seconds: float) -> Certificate:
    from mfdsl.compiler.analysis.structure.existence import existence

    return existence(model, copies, seconds)


def _contraction(model: Model, copies: Copies, seconds: float) -> Certificate:
    from mfdsl.compiler.analysis.structure.contraction import contraction

    return contraction(model, copies, seconds)


def _independent(model: Model, copies: Copies, seconds: float) -> list[Certificate]:
    paid = [p for p in model.players if p.rewards]
    share = seconds / (1 + len(paid))
    dynamics = independent_dynamics(model, copies, seconds=share)
    rewards = [
        independent_value(
            model,
            copies,
            "reward" if len(paid) == 1 else f"reward of {player.name}",
            [mean_of(model, copies, t.node, player) for t in player.rewards],
            player=player,
            seconds=share,
        )
        for player in paid
    ]
    return [independent([dynamics, *rewards]), dynamics]


def _left_out(claim: str, subject: str) -> Certificate:
    return Certificate(
        claim=claim,
        subject=subject,
        verdict="unknown",
        reason="budget",
        detail="no steps were left",
    )
