"""Lipschitz certificates of rewards, dynamics and named values in laws, variables and players.

Norms: l1 between laws over finitely many kinds of members (half the largest difference of two
partial derivatives; kernels in l1, too), Wasserstein-1 between other laws, with the Euclidean
distance and 1 between members that differ in a finite variable; the Euclidean norm for variables.
Next states that are real are compared with the same noise, which bounds the Wasserstein-1 distance
of their laws (synchronous coupling).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Literal

from mfdsl.compiler.analysis.certificate import Certificate, Reason, Share, Verdict
from mfdsl.compiler.analysis.counted import counted, late
from mfdsl.compiler.analysis.dynamics import dynamics_bounds
from mfdsl.compiler.analysis.enclosure import Facts
from mfdsl.compiler.analysis.expected import drawing, drawn_by, expected, finite_leaves
from mfdsl.compiler.analysis.kernels import reads_means
from mfdsl.compiler.analysis.moduli import Bounds, even, legal_only, value_bounds
from mfdsl.compiler.analysis.noise import reads_noise
from mfdsl.compiler.analysis.proofs.archive import kept
from mfdsl.compiler.analysis.slopes.search import Budget
from mfdsl.compiler.analysis.slopes.tape import Unsupported
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.ir.model import Place, Player
from mfdsl.compiler.ir.walk import given, reachable

PATIENCE = 2  # times the budget, after which shares of terms are left out
OWN = ("state", "trait", "action")
TIGHT = 1e-12  # relative: closer than this a bound counts as equal to a claim


@dataclass(frozen=True)
class Term:
    """One summand: a name, its node, and where it is written."""

    name: str
    node: int
    place: Place | None = None


@dataclass(frozen=True)
class Subject:
    """What is claimed to be Lipschitz: the sum of terms, or the dynamics of a player.

    `players` are all of the game, and `owner` is whose expressions these are. Terms that are `paid`
    are means over their noises.
    """

    name: str
    terms: tuple[Term, ...] = ()
    dynamics: Player | None = None
    players: tuple[Player, ...] = ()
    owner: Player | None = None
    paid: bool = False

    @property
    def drawn(self) -> tuple[Player, ...]:
        """The players over whose noises terms are means."""
        if not self.paid or self.owner is None:
            return ()
        return drawing(self.players, self.owner)


@dataclass(frozen=True)
class Source:
    """What varies: the law of a population, or own or common variables by their leaf nodes."""

    name: str
    kind: Literal["law", "variables"]
    population: Player | None = None
    leaves: tuple[int, ...] = ()

    def read_by(self, facts: Facts, node: int) -> bool:
        """Whether an expression depends on it."""
        if self.population is not None:
            return reads_means(facts, node, self.population.name)
        return not set(self.leaves).isdisjoint(reachable(facts.nodes, [node]))


@dataclass(frozen=True)
class Question:
    """What is asked of which facts, with how much patience; places of the nodes, for messages.

    Parameters in `free` range over these intervals, all others have their bound values.
    """

    facts: Facts
    subject: Subject
    source: Source
    budget: Budget = field(default_factory=Budget)
    places: Sequence[Place | None] = ()
    free: Mapping[str, tuple[float, float]] = field(default_factory=dict)


@kept
def lipschitz(question: Question, most: float | None = None) -> Certificate:
    """The certificate of a constant, decided against `most` if that is claimed."""
    facts, subject, source = question.facts, question.subject, question.source
    deadline = counted() + PATIENCE * question.budget.seconds
    shares: tuple[Share, ...] = ()
    try:
        mixed = _members_draw(question)
        if subject.dynamics is not None:
            bounds = _of_dynamics(question, subject.dynamics)
        else:
            bounds, shares = _summed(_averaged(question), deadline)
        bounds = even(bounds, "with noises of members held fixed") if mixed else bounds
        if _reads(question, "weight"):
            bounds = even(bounds, "with weights that no row of the file need have")
    except Unsupported as error:
        bounds = Bounds.none(error)
    verdict, reason = _verdict(bounds, most)
    claim = f"lipschitz({subject.name}, {source.name})"
    gap = bounds.gap if bounds.gap is not None else bounds.steep
    return Certificate(
        claim=claim if most is None else f"{claim} <= {most:.10g}",
        subject=subject.name,
        source=source.name,
        verdict=verdict,
        lower=bounds.lower,
        upper=bounds.upper if isfinite(bounds.upper) else None,
        norm=norm_of(facts, subject, source, bounds.distance),
        method=bounds.method,
        rigor="enclosure",
        witness=bounds.witness,
        reason=reason,
        detail=gap.text if gap is not None else bounds.detail,
        shares=shares,
        culprit=gap.place if gap is not None else None,
        fix=gap.fix if gap is not None else None,
        boxes=bounds.boxes,
        assumptions=tuple(f"{n} in [{a:g}, {b:g}]" for n, (a, b) in question.free.items()),
    )


def _members_draw(question: Question) -> bool:
    """Whether noises of other members are read: their law goes with states and actions.

    Raises:
        Unsupported: it goes with the source, too.
    """
    facts, subject = question.facts, question.subject
    if not _reads(question, "peer_noise"):
        return False
    chances = [n.density for p in subject.players for n in p.noises if n.density is not None]
    if any(question.source.read_by(facts, chance) for chance in chances):
        raise Unsupported("noises of other members whose chances depend on it")
    below = (facts.nodes[i] for i in reachable(facts.nodes, chances))
    if any(n.op in OWN and not facts.types[n.type].finite for n in below):
        raise Unsupported(
            "noises of other members whose chances depend on real variables of theirs"
        )
    return True


def _reads(question: Question, op: str) -> bool:
    """Whether a leaf of some kind is read by what is asked about."""
    facts, subject = question.facts, question.subject
    nodes = [t.node for t in subject.terms]
    nodes = nodes if subject.dynamics is None else _next_nodes(subject.dynamics)
    return any(facts.nodes[i].op == op for i in reachable(facts.nodes, nodes))


def _of_dynamics(question: Question, player: Player) -> Bounds:
    """Bounds for the laws of next states.

    Raises:
        Unsupported: they read a noise of somebody else whose chances depend on the source.
    """
    facts, source, nodes = question.facts, question.source, _next_nodes(player)
    foreign = finite_leaves(facts, drawing(question.subject.players, player)[1:])
    for leaf in {leaf for node in nodes for leaf in drawn_by(facts, foreign, node)}:
        if source.read_by(facts, given(foreign[leaf].density)):
            raise Unsupported("a noise of another player whose chances depend on it")
    if not any(source.read_by(facts, node) for node in nodes):
        return Bounds.zero()
    found = dynamics_bounds(question, player)
    return legal_only(facts, question.subject.players, nodes, found)


def _next_nodes(player: Player) -> list[int]:
    nexts = [s.next for s in player.states if s.next is not None]
    return nexts + [n.density for n in player.noises if n.density is not None]


def _averaged(question: Question) -> Question:
    """The question about means over noises."""
    subject, copies = question.subject, Copies(question.facts)
    if not subject.drawn:
        return question

    def reads(node: int) -> bool:
        return question.source.read_by(copies.facts, node)

    terms = tuple(
        replace(t, node=expected(copies, subject.drawn, t.node, reads)) for t in subject.terms
    )
    return replace(question, facts=copies.facts, subject=replace(subject, terms=terms))


def _summed(question: Question, deadline: float) -> tuple[Bounds, tuple[Share, ...]]:
    """Bounds of a sum of terms, and what each of them contributes."""
    terms = question.subject.terms
    moving = [t for t in terms if question.source.read_by(question.facts, t.node)]
    whole = value_bounds(question, [t.node for t in moving]) if moving else Bounds.zero()
    if question.subject.drawn and any(reads_noise(question.facts.nodes, t.node) for t in moving):
        whole = even(whole, "with its noise held fixed: its mean may not")
    nodes = [t.node for t in moving]
    whole = legal_only(question.facts, question.subject.players, nodes, whole)
    shares = []
    for term in terms:
        one = Bounds.zero()
        if term in moving and len(moving) > 1 and late(deadline):
            continue
        if term in moving:
            one = whole if len(moving) == 1 else value_bounds(question, [term.node])
        if isfinite(one.upper):
            shares.append(Share(term=term.name, upper=one.upper, place=term.place))
    return whole, tuple(shares)


def _verdict(bounds: Bounds, most: float | None) -> tuple[Verdict, Reason | None]:
    if bounds.gap is not None and bounds.gap.certain:
        return "refuted", None
    if most is not None and bounds.lower > most * (1 + TIGHT):
        return "refuted", None
    if bounds.reason is not None:
        return "unknown", bounds.reason
    if not isfinite(bounds.upper):
        return "unknown", "domain"
    if most is None or bounds.upper <= most * (1 + TIGHT):
        return "proved", None
    return "unknown", "budget"


def norm_of(facts: Facts, subject: Subject, source: Source, inside: str | None) -> str:
    """The norms in which a constant is stated: that of the source, and of laws of next states."""
    if inside is None:
        inside = "l2" if source.population is None else "l1"
    if subject.dynamics is None:
        return inside
    finite = all(facts.types[s.type].finite for s in subject.dynamics.states)
    return f"{inside} -> {'l1' if finite else 'W1'}"
