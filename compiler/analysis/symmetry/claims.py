"""The certificate of symmetry of a population: for every number of agents, or for those of files.

By `provenance` the rules treat agents alike when a permutation takes along what files say of them.
A permutation that leaves traits and weights as they are is then a symmetry of the game, and such
are all permutations inside an exchangeable type.
"""

import numpy as np

from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.analysis.symmetry.provenance import Provenance, provenance
from mfdsl.compiler.analysis.symmetry.types import Types, advice, exchangeable_types
from mfdsl.compiler.ir.model import Model, Player

POLICY = "all agents follow one policy"
METHOD = ("provenance",)


def symmetry_certificate(model: Model, population: str) -> Certificate:
    """Whether the agents of a population are exchangeable: the claim `symmetric(NAME)`.

    Proved for every number of agents when no expression names single agents and no file tells them
    apart; for the agents of files when all of them have the same row and weights, else unknown with
    the types that there are. An expression that may name agents in another way leaves it unknown,
    with the path to what does. It rests on `anonymous(NAME)`: agents whose traits and weights are
    carried along are treated alike.

    Raises:
        ValueError: the model has no population of that name.
    """
    player = next((p for p in model.populations if p.name == population), None)
    rules = _anonymous(provenance(model, population, carried=True))
    assert player is not None  # else provenance has raised
    assumptions = (POLICY,) if player.actions else ()
    if player.fixed and rules.verdict == "proved":
        return _of_files(model, player, rules, assumptions)
    return Certificate(
        claim=f"symmetric({population})",
        subject=population,
        verdict=rules.verdict,
        rigor="exact",
        method=METHOD,
        reason=rules.reason,
        detail=rules.detail,
        culprit=rules.culprit,
        assumptions=assumptions,
        obligations=(rules,),
    )


def types_of_files(model: Model, player: Player) -> Types:
    """The exchangeable types of agents that files give one by one: equal rows, twins in weights.

    Raises:
        ValueError: no file gives the agents of the player.
    """
    rows = [model.arrays[d.given].values for d in player.draws if d.given is not None]
    if player.weights:
        tables = [model.arrays[w.array] for w in player.weights]
        layers = np.stack([np.reshape(t.values, t.dims) for t in tables], -1)
        return exchangeable_types(layers, list(zip(*rows, strict=True)) if rows else None)
    if not rows:
        raise ValueError(f"no file gives the agents of {player.name}")
    members: dict[tuple[float, ...], list[int]] = {}
    for agent, row in enumerate(zip(*rows, strict=True)):
        members.setdefault(row, []).append(agent)
    classes = sorted((tuple(c) for c in members.values()), key=lambda c: (-len(c), c[0]))
    return Types(tuple(classes), len(classes), len(classes))


def derivation(found: Provenance) -> tuple[str, ...]:
    """The proof in lines: each expression with what it reads at most."""
    words = {
        "GLOBAL": "constants, parameters and time",
        "COMMON": "what all agents share",
        "ANON": "statistics of members",
        "OWN": "own variables, and statistics of members",
        "ASYM": "single agents",
    }
    return tuple(f"{root.shown}: {words[root.label.name]}" for root in found.roots)


def _anonymous(found: Provenance) -> Certificate:
    """The claim that the rules treat agents alike, for every number of agents."""
    broken = found.broken
    detail = (
        f"for every number of agents: {len(found.roots)} expressions read own and common variables"
        " and statistics of members"
    )
    if broken:
        detail = "may read single agents: " + "; ".join(root.shown for root in broken[:3])
    return Certificate(
        claim=f"anonymous({found.population})",
        subject=found.population,
        verdict="unknown" if broken else "proved",
        rigor="exact",
        method=METHOD,
        reason="unsupported" if broken else None,
        detail=detail,
        culprit=broken[0].place if broken else None,
    )


def _of_files(
    model: Model, player: Player, rules: Certificate, assumptions: tuple[str, ...]
) -> Certificate:
    """The claim for the agents of files: exchangeable when their data are."""
    types, broken = types_of_files(model, player), provenance(model, player.name)
    alone = len(types.classes) == 1
    lines = list(advice(types))
    if broken.heterogeneous:
        lines.append(f"heterogeneous in {', '.join(broken.heterogeneous)}")
    if broken.broken:
        lines.append("weights: " + "; ".join(root.shown for root in broken.broken[:3]))
    return Certificate(
        claim=f"symmetric({player.name})",
        subject=f"{player.name}, the {sum(types.sizes)} agents of its files",
        verdict="proved" if alone else "unknown",
        rigor="exact",
        method=(*METHOD, "transposition classes"),
        detail="; ".join(lines),
        culprit=None if alone or not broken.broken else broken.broken[0].place,
        assumptions=assumptions,
        obligations=(rules,),
    )
