"""Claims on rewards at laws, decided together since they rest on the same slopes.

Over a box of parameters: for two laws that are held fixed the inner product of the differences of
rewards and laws is affine in a parameter that the rewards are affine in, so the ends of such
parameters are enough. All others are opened, and their box is halved where a claim stays open; so
are those that decide which actions are legal, since they say which laws there are.
"""

from collections.abc import Callable, Collection, Iterable, Sequence

from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.analysis.clock import processor_time
from mfdsl.compiler.analysis.counted import counted
from mfdsl.compiler.analysis.facts import facts_of
from mfdsl.compiler.analysis.opened import (
    Box,
    bound,
    corners,
    halves,
    is_affine,
    named,
    opened,
    read_of,
)
from mfdsl.compiler.analysis.structure.forms import Forms, forms_of
from mfdsl.compiler.analysis.structure.monotone import monotone
from mfdsl.compiler.analysis.structure.on_flows import CLAIM as ON_FLOWS, monotone_on_flows
from mfdsl.compiler.analysis.structure.potential import concave_potential, potential, skew_affine
from mfdsl.compiler.analysis.structure.stages import law_stages
from mfdsl.compiler.analysis.structure.strictly import strictly_monotone
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.ir.model import Model

LAW_CLAIMS = (
    "monotone",
    "strictly_monotone",
    "potential",
    "concave_potential",
    "skew_affine",
    ON_FLOWS,
)
MAX_CORNERS = 5  # parameters of which all combinations of ends are taken
MAX_HALVED = 4  # times that a box is halved
WORST = ("refuted", "unknown", "proved")


def law_claims(
    model: Model, copies: Copies, dynamics: Certificate, seconds: float
) -> list[Certificate]:
    """The certificates of LAW_CLAIMS, in that order."""
    started, deadline = processor_time(), counted() + seconds
    stages: list[Forms] = []
    todo = law_stages(model, copies)
    for stage in todo:
        stages.append(forms_of(model, copies, stage, seconds / len(todo)))
    weak = monotone(model, copies, stages, seconds)
    strict = strictly_monotone(model, copies, stages, weak, seconds / 8)
    gradient = potential(model, stages)
    spent = round(processor_time() - started, 6)
    skew = skew_affine(model, copies, stages, weak, seconds / 8)
    left = max(deadline - counted(), seconds / 4)
    return [
        weak.model_copy(update={"seconds": spent}),
        strict,
        gradient,
        concave_potential(gradient, weak),
        skew,
        monotone_on_flows(model, copies, stages, weak, dynamics, left),
    ]


Decider = Callable[[Model, float], list[Certificate]]


def law_claims_over(
    model: Model, box: Box, dynamics: Certificate, seconds: float
) -> list[Certificate]:
    """The same for all values of the parameters in a box; refuted ones name values."""
    copies = Copies(facts_of(model))
    parts = [p.node for s in law_stages(model, copies) for p in s.parts]
    moving = read_of(model.nodes, _dynamics(model), box)

    def decide(some: Model, share: float) -> list[Certificate]:
        return law_claims(some, Copies(facts_of(some)), dynamics, share)

    masks = [p.legal for p in model.players if p.legal is not None]
    read = read_of(copies.nodes, [*parts, *masks], box)
    choosing = read_of(copies.nodes, masks, box)
    affine = [n for n in read if n not in choosing and is_affine(copies.nodes, parts, n)]
    found = _over(model, {n: box[n] for n in read}, affine, decide, seconds)
    if moving and found[0].verdict != "proved":
        # Flows move with these parameters: the ends of others are enough, but not theirs.
        here = {n: box[n] for n in box if n in read or n in moving}
        still = [n for n in affine if n not in moving]
        found[-1:] = _over(model, here, still, lambda m, s: decide(m, s)[-1:], seconds)
    if all(c.verdict != "unknown" for c in found):
        return found
    return _refuted_as_bound(model, {*read, *moving}, decide(model, seconds), found)


def _refuted_as_bound(
    model: Model,
    names: Collection[str],
    as_bound: Sequence[Certificate],
    found: Sequence[Certificate],
) -> list[Certificate]:
    """What is open over a box and refuted at the bound values is refuted there."""
    values = {p.name: float(p.value) for p in model.parameters if p.name in names}  # type: ignore[arg-type]
    return [
        one.model_copy(update={"witness": named(one.witness, values)})
        if one.verdict == "refuted" and over.verdict == "unknown"
        else over
        for one, over in zip(as_bound, found, strict=True)
    ]


def _dynamics(model: Model) -> list[int]:
    found = [p.legal for p in model.players]
    for player in model.players:
        found += [s.next for s in player.states]
        found += [n for s in (*player.states, *player.traits) for n in (s.initial, s.start)]
        found += [n.density for n in (*player.noises, *player.draws)]
    return [n for n in found if n is not None]


def _over(
    model: Model,
    box: Box,
    affine: Sequence[str],
    decide: Decider,
    seconds: float,
) -> list[Certificate]:
    """The worst certificates over the ends of affine parameters, all others opened."""
    ends = list(corners({n: box[n] for n in affine[:MAX_CORNERS]}))
    free = {n: box[n] for n in box if n not in affine[:MAX_CORNERS]}
    deadline = counted() + seconds
    found: list[list[Certificate]] = []
    for k, values in enumerate(ends):
        left = max(deadline - counted(), 0.0) / (len(ends) - k)
        found.append(_halving(bound(model, values), free, decide, left, MAX_HALVED, values))
    return [worst(column) for column in zip(*found, strict=True)]


def _halving(
    model: Model,
    free: Box,
    decide: Decider,
    seconds: float,
    most: int,
    values: dict[str, float],
) -> list[Certificate]:
    """The certificates over a box, from those of its halves where they are open on the whole."""
    deadline = counted() + seconds
    whole = decide(opened(model, free), seconds / 2 if free and most else seconds)
    whole = [c.model_copy(update={"witness": named(c.witness, _told(c, values))}) for c in whole]
    left = deadline - counted()
    if not free or not most or left <= 0 or all(c.verdict != "unknown" for c in whole):
        return whole
    both = [_halving(model, half, decide, left / 2, most - 1, values) for half in halves(free)]
    return [
        one if one.verdict != "unknown" else worst(column)
        for one, column in zip(whole, zip(*both, strict=True), strict=True)
    ]


def _told(certificate: Certificate, values: dict[str, float]) -> dict[str, float]:
    """Values of parameters are worth telling where a claim fails."""
    return values if certificate.verdict == "refuted" else {}


def worst(certificates: Iterable[Certificate]) -> Certificate:
    """One certificate for several cases of one claim: it is proved if all of them are."""
    cases = list(certificates)
    first = min(cases, key=lambda c: WORST.index(c.verdict))
    changes: dict[str, object] = {
        "boxes": sum(c.boxes for c in cases),
        "seconds": round(sum(c.seconds for c in cases), 6),
    }
    if first.verdict == "proved":
        changes["method"] = tuple(dict.fromkeys(m for c in cases for m in c.method))
        exact = all(c.rigor == "exact" for c in cases)
        changes["rigor"] = "exact" if exact else "enclosure"
    return first.model_copy(update=changes)
