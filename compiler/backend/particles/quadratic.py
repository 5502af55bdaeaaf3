"""Which means of a module of agents still compare every agent with every agent."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from mfdsl.compiler.backend.particles.arena import Arena
from mfdsl.compiler.backend.particles.rewrite import Rewriter
from mfdsl.compiler.backend.particles.roots import final, observed, running
from mfdsl.compiler.ir.model import Model, Player
from mfdsl.compiler.ir.walk import reachable

When = Literal["in every step", "at the end"]
Root = tuple[Player, str, int]


@dataclass(frozen=True)
class PairMean:
    """A mean or an extreme that is computed over pairs, or over more agents at once.

    `node` is that of the model, `populations` those whose agents are combined, one entry for each
    agent of a combination. `term` names the let, the reward or the next value it stands in.
    """

    node: int
    term: str
    populations: tuple[str, ...]
    extreme: bool
    when: When


def pair_means(model: Model) -> list[PairMean]:
    """All of them, in the order in which the module computes them."""
    rewriter = Rewriter(model)
    found: dict[tuple[int, tuple[str, ...]], PairMean] = {}
    for when, roots in _roots(rewriter):
        arena = rewriter.arena
        for player, name, root in roots:
            below = reachable(arena.builder.nodes, [root])
            outer, around = _bound_further_out(arena, below)
            for pairs in (i for i in below if arena.node(i).op == "pairs" and i not in around):
                node = arena.means[pairs]
                populations = _combined(arena, pairs, outer)
                term = _let(model, player, node) or name
                extreme = _attr(arena, pairs)[2] != "sum"
                made = PairMean(node, term, populations, extreme, when)
                found.setdefault((node, populations), made)
    return list(found.values())


def _roots(rewriter: Rewriter) -> Iterable[tuple[When, list[Root]]]:
    """What may read a law, by how often it is computed: neither masks nor values at t = 0 do."""
    nexts, terms = running(rewriter)
    steps = [(p, f"the next `{v.name}` of `{_shown(p)}`", root) for p, v, root in nexts]
    steps += [(p, f"`{name}` of `{_shown(p)}`", root) for p, name, root in terms]
    last = [(p, f"`{name}` of `{_shown(p)}`", root) for p, name, root in final(rewriter)]
    steps += [(p, f"`{name}` of `{_shown(p)}`", root) for p, name, root in observed(rewriter)]
    return (("in every step", steps), ("at the end", last))


def _shown(player: Player) -> str:
    """A member of a family under the name of the family: its members share their places."""
    return player.family or player.name


def _attr(arena: Arena, pairs: int) -> tuple[int, str, str]:
    """Depth, population and reduction (`sum`, `min` or `max`) of a `pairs` node."""
    attr = arena.node(pairs).attr
    assert isinstance(attr, tuple)
    return int(attr[0]), str(attr[1]), str(attr[2])


def _bound_further_out(
    arena: Arena, below: Sequence[int]
) -> tuple[dict[tuple[int, int], str], set[int]]:
    """(node over pairs, depth) to the population of the node around it, and the nodes around."""
    found: dict[tuple[int, int], str] = {}
    around: set[int] = set()
    for outer in (i for i in below if arena.node(i).op == "pairs"):
        depth, population, _ = _attr(arena, outer)
        for i in reachable(arena.builder.nodes, arena.node(outer).args):
            if arena.node(i).op == "pairs" and depth in arena.facts(i).peers:
                found[i, depth] = population
                around.add(outer)
    return found, around


def _combined(arena: Arena, pairs: int, outer: dict[tuple[int, int], str]) -> tuple[str, ...]:
    """The populations whose agents one `pairs` node combines."""
    facts = arena.facts(pairs)
    own = (facts.owner,) if facts.owner is not None else ()
    further = tuple(outer[pairs, depth] for depth in sorted(facts.peers))
    return (*own, *further, _attr(arena, pairs)[1])


def _let(model: Model, player: Player, node: int) -> str | None:
    """The innermost let around a node, of the player whose value reads it or of another."""
    for owner in (player, *model.players):
        around = [let for let in owner.lets if node in reachable(model.nodes, [let.node])]
        if around:
            return f"`{min(around, key=lambda let: let.node).name}` of `{_shown(owner)}`"
    return None
