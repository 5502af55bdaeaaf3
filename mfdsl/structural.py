"""What can be read off a model without a search, for the decision table. No torch here."""

from collections.abc import Iterable, Iterator, Sequence
from math import prod

from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.ir.model import Model
from mfdsl.compiler.ir.sight import hidden
from mfdsl.compiler.ir.walk import LAW, reachable
from mfdsl.concave import concave_social
from mfdsl.findings import FINAL_MODULUS, FREE, REWARD_MODULUS, Finding, findings
from mfdsl.rules import Case


def case_of(model: Model, tolerance: float) -> Case:
    """What rates depend on besides properties."""
    plain = _plain(model)
    several = plain and len(model.populations) > 1
    players = model.populations if plain else ()
    return Case(
        horizon=model.horizon.kind,
        stages=model.horizon.steps if model.horizon.kind == "finite" else None,
        actions=prod(model.types[a.type].size for p in players for a in p.actions),
        discount=model.discount,
        plain=plain,
        final=any(term.final for player in model.players for term in player.rewards),
        tolerance=tolerance,
        populations=tuple(p.name for p in players if p.rewards) if several else (),
        readings=tuple(_readings(model)) if several else (),
        team=model.objective == "team",
        entangled=_entangled(model),
        estimated=_estimated(model),
    )


def _plain(model: Model) -> bool:
    """Whether the tables are the game itself: each player alone would be a tabular game, and its
    policies see all that these show.
    """
    alike = model.model_copy(update={"objective": "nash"})
    return all(
        alike.model_copy(update={"players": (p,)}).tabular and hidden(model, p) is None
        for p in model.players
    )


def _entangled(model: Model) -> str | None:
    """What may make the best response of one player depend on the others, without their laws."""
    major = next((p.name for p in model.players if p.kind == "major" and p.actions), None)
    if major is not None and _acting(model) > 1:
        return f"others may face what `{major}` does"
    for player in model.populations:
        unseen = hidden(model, player)
        if unseen is not None:
            return f"policies of `{player.name}` do not see `{unseen}`"
    return None


def _estimated(model: Model) -> str | None:
    """What tables have only on a grid, or at some points."""
    for player in model.players:
        for v in (*player.states, *player.traits, *player.actions, *player.noises):
            if not model.types[v.type].finite:
                return f"`{v.name}` is put on points, so no count is promised"
    return None


def _readings(model: Model) -> Iterator[tuple[str, str]]:
    """Claim and subject of the modulus of each reward in each law that it reads."""
    # Loads numpy, which a game of one population does not need here.
    from mfdsl.compiler.analysis.facts import facts_of
    from mfdsl.compiler.analysis.subjects import interactions

    for player, subject, source in interactions(model, facts_of(model)):
        if subject.dynamics is None:
            yield f"lipschitz({subject.name}, {source.name})", f"{subject.name} of {player.name}"


def with_structure(model: Model, certificates: Sequence[Certificate]) -> tuple[Certificate, ...]:
    """The certificates, and what can be read off: parts of games that never read the population,
    which holds at all values of the parameters, and, beside certificates, a social value that is
    concave.
    """
    found = (*certificates, *_structural(model))
    if not certificates:
        return found
    monotone = findings(found).get("monotone", Finding()).verdict == "proved"
    return (*found, concave_social(model, monotone=monotone))


def _structural(model: Model) -> Iterable[Certificate]:
    if alone(model):
        yield _proved("independent", model, "one player acts, and nothing reads the population")
    if not model.tabular:
        return
    player = model.population
    moves = [s.next for s in player.states] + [n.density for n in player.noises]
    if not _reads_law(model, [node for node in moves if node is not None]):
        yield _proved(FREE, model, "no next value and no noise reads the population")
    for claim, final in ((REWARD_MODULUS, False), (FINAL_MODULUS, True)):
        terms = [t.node for t in player.rewards if t.final == final]
        if any(model.nodes[i].op == "noise" for i in reachable(model.nodes, terms)):
            terms += [n.density for n in player.noises if n.density is not None]
        if not _reads_law(model, terms):
            yield _proved(claim, model, "no term reads the population", upper=0.0, norm="l1")


def _proved(
    claim: str, model: Model, method: str, *, upper: float | None = None, norm: str | None = None
) -> Certificate:
    return Certificate(
        claim=claim,
        subject=model.name,
        verdict="proved",
        upper=upper,
        norm=norm,
        method=(method,),
        rigor="exact",
    )


def alone(model: Model) -> bool:
    """Whether this is a single-agent problem: one player acts, and nothing reads a population."""
    return _acting(model) == 1 and not any(node.op in LAW for node in model.nodes)


def _acting(model: Model) -> int:
    """How many players choose something."""
    return sum(bool(player.actions) for player in model.players)


def _reads_law(model: Model, roots: Sequence[int]) -> bool:
    return any(model.nodes[i].op in LAW for i in reachable(model.nodes, roots))
