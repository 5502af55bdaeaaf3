"""What claims are about: rewards, dynamics, named terms and lets, and what they vary with."""

from collections.abc import Iterator

from mfdsl.compiler.analysis.enclosure import Facts
from mfdsl.compiler.analysis.expected import drawing, drawn_by, finite_leaves
from mfdsl.compiler.analysis.kernels import leaf_of, reads_means
from mfdsl.compiler.analysis.lipschitz import Source, Subject, Term
from mfdsl.compiler.ir.model import Model, Place, Player
from mfdsl.compiler.ir.walk import given

WORDS = ("reward", "final", "dynamics")


def place_of(model: Model, node: int) -> Place | None:
    """Where a node is written."""
    return model.places[node] if node < len(model.places) else None


def reward_subject(model: Model, player: Player, *, final: bool = False) -> Subject:
    """The running reward of a player, or the final one."""
    terms = tuple(
        Term(term.name, term.node, place_of(model, term.node))
        for term in player.rewards
        if term.final == final
    )
    return Subject("final" if final else "reward", terms, None, model.players, player, paid=True)


def subject_of(model: Model, player: Player, name: str) -> Subject | None:
    """The subject of that name as a player knows it: rewards, dynamics, one term, or a let."""
    if name == "dynamics":
        return Subject(name, dynamics=player, players=model.players)
    if name in ("reward", "final"):
        return reward_subject(model, player, final=name == "final")
    for term in player.rewards:
        if term.name == name:
            own = (Term(name, term.node, place_of(model, term.node)),)
            return Subject(name, own, None, model.players, player, paid=True)
    for let in player.lets:
        if let.name == name:
            own = (Term(name, let.node, place_of(model, let.node)),)
            return Subject(name, own, players=model.players)
    return None


def subject_names(player: Player) -> list[str]:
    """All names that `subject_of` knows."""
    return [*WORDS, *(t.name for t in player.rewards), *(let.name for let in player.lets)]


def law_name(player: Player) -> str:
    """How a spec writes the law of a population."""
    return player.handle or player.name


def sources_of(model: Model, facts: Facts, player: Player, name: str) -> list[Source]:
    """The sources of that name: laws of populations, own variables, or variables of others.

    A family name gives a source for each of its members.
    """
    laws = [
        Source(name, "law", p) for p in model.populations if name in (p.handle, p.name, p.family)
    ]
    if laws:
        return laws
    if name in (v.name for v in (*player.states, *player.traits, *player.actions)):
        return [Source(name, "variables", leaves=_variables(facts, player, [name]))]
    found = []
    for other in model.players:
        if other.kind != "population" and name in (other.name, other.family):
            names = [v.name for v in (*other.states, *other.actions)]
            leaves = _variables(facts, other, names)
            found.append(Source(name, "variables", leaves=leaves))
    return found


def _variables(facts: Facts, player: Player, names: list[str]) -> tuple[int, ...]:
    leaves = []
    for kind, group in (
        ("state", player.states),
        ("trait", player.traits),
        ("action", player.actions),
    ):
        for variable in group:
            if variable.name in names:
                leaf = leaf_of(facts, player, variable.name, kind)
                if leaf is not None:
                    leaves.append(leaf)
    return tuple(leaves)


def source_names(model: Model, player: Player) -> list[str]:
    """All names that `sources_of` knows."""
    laws = [n for p in model.populations for n in (p.handle, p.name, p.family) if n]
    own = [v.name for v in (*player.states, *player.traits, *player.actions)]
    others = [p.name for p in model.players if p.kind != "population"]
    return list(dict.fromkeys([*laws, *own, *others]))


def interactions(model: Model, facts: Facts) -> Iterator[tuple[Player, Subject, Source]]:
    """Every reward and dynamics together with every law that it depends on."""
    for player in model.players:
        noises = finite_leaves(facts, drawing(model.players, player))
        dynamics = subject_of(model, player, "dynamics")
        subjects = [dynamics] if player.states and dynamics is not None else []
        for final in (False, True):
            if any(t.final == final for t in player.rewards):
                subjects.append(reward_subject(model, player, final=final))
        for subject in subjects:
            for population in model.populations:
                source = Source(law_name(population), "law", population)
                nodes = [t.node for t in subject.terms]
                drawn = {leaf for n in nodes for leaf in drawn_by(facts, noises, n)}
                nodes += [given(noises[leaf].density) for leaf in drawn]
                if subject.dynamics is not None:
                    nodes += [s.next for s in player.states if s.next is not None]
                    nodes += [n.density for n in player.noises if n.density is not None]
                if any(reads_means(facts, n, population.name) for n in nodes):
                    yield player, subject, source
