"""Symmetry for every number of agents, from what the expressions of a game can name.

Let a permutation s act on the agents of one population: on their states, traits, actions and draws
at once. By induction over the arena every node f, read for agent i in the situation z, has

    f(i, z) = f(s(i), s z)                                                        (equivariance)

as long as it is built from own variables, common ones, constants, and reductions over all members
(or all others) in which no order and no place occurs. A sum over members is such a reduction: both
sides add the same numbers. So every update, reward, mask and observation treats agents alike, and
with independent draws of one law, exchangeable initial states and one policy for all, the process
is exchangeable for every N. What names single agents breaks the induction: entries of a matrix
between agents. Operators that are not listed here break it too, whatever they mean.

The induction is that of Yardim and He, "Exploiting approximate symmetry for efficient multi-agent
reinforcement learning", L4DC 2025, arXiv:2408.15173 (definition of a symmetric game), written for
expressions instead of tables.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

from mfdsl.compiler.ir.model import Model, Node, Place, Player
from mfdsl.compiler.ir.walk import MEMBERS, REDUCTIONS, depth_of, reachable

OWN_LEAVES = frozenset({"state", "trait", "action", "noise", "draw"})
PEER_LEAVES = frozenset({"peer_state", "peer_trait", "peer_action", "peer_noise"})
COMMON_LEAVES = frozenset({"common_state", "common_action", "common_noise", "common_draw"})
GLOBAL_LEAVES = frozenset({"const", "param", "time", "array", "index"})
ASYMMETRIC_OPS = frozenset({"weight"})
POINTWISE = frozenset(
    (
        "add mul min max and or neg abs exp log sqrt sin cos tanh softplus floor ceil round not"
        " div pow rem atan2 eq ne lt le if real ind vector array_over element dot norm"
        " row col drow dcol cell step free cell_dist path_dist region"
    ).split()
)


class Label(IntEnum):
    """What a node may read, each class including those before it.

    GLOBAL: constants, parameters and time. COMMON: states and noises that all agents share. ANON:
    statistics of members without regard to who is who. OWN: variables of the agent itself. ASYM:
    single agents by their place.
    """

    GLOBAL = 0
    COMMON = 1
    ANON = 2
    OWN = 3
    ASYM = 4


@dataclass(frozen=True)
class Root:
    """One expression of the game and its label.

    `path` leads from the expression to the node that names single agents, in words; it is empty
    unless the label is ASYM. `place` is where that node was written.
    """

    player: str
    name: str
    node: int
    label: Label
    path: tuple[str, ...] = ()
    place: Place | None = None

    @property
    def shown(self) -> str:
        """The expression with its path, for messages."""
        return " -> ".join((f"{self.player}.{self.name}", *self.path))


@dataclass(frozen=True)
class Provenance:
    """The derivation for one population: every expression of the game with its label.

    `heterogeneous` names the traits that files give to each agent: they are carried along by a
    permutation, so they leave the rules symmetric, but the agents differ.
    """

    population: str
    roots: tuple[Root, ...]
    heterogeneous: tuple[str, ...]

    @property
    def broken(self) -> tuple[Root, ...]:
        """The expressions that name single agents."""
        return tuple(root for root in self.roots if root.label is Label.ASYM)


def provenance(model: Model, population: str, *, carried: bool = False) -> Provenance:
    """The labels of all expressions of a game under permutations of one population.

    Expressions of other players count too: what they read of this population must not depend on
    who is who. With `carried` a permutation takes the weights between agents along, as it always
    does with their traits: weights are then own variables.

    Raises:
        ValueError: the model has no population of that name.
    """
    if population not in [p.name for p in model.populations]:
        raise ValueError(f"{model.name} has no population {population!r}")
    known, unbound = labels(model, population, carried=carried), unbound_members(model)
    roots = []
    for player in model.players:
        for name, node in expressions(player):
            if unbound[node]:
                path = ("a member that no mean binds",)
                roots.append(Root(player.name, name, node, Label.ASYM, path, model.places[node]))
            else:
                roots.append(_root(model, known, player.name, name, node))
    return Provenance(population, tuple(roots), given_traits(model, model.player(population)))


def labels(model: Model, population: str, *, carried: bool = False) -> list[Label]:
    """The label of every node of the arena under permutations of one population."""
    found: list[Label] = []
    weight = Label.OWN if carried else Label.ASYM
    for node in model.nodes:
        parts = [found[i] for i in node.args]
        if node.op in ASYMMETRIC_OPS:
            found.append(Label.ANON if _elsewhere(node, population) else weight)
        else:
            found.append(_label(node, parts))
    return found


def unbound_members(model: Model) -> list[frozenset[int]]:
    """For every node the depths of the members that no mean inside it binds."""
    found: list[frozenset[int]] = []
    for node in model.nodes:
        free = frozenset[int]().union(*(found[i] for i in node.args))
        if node.op in PEER_LEAVES | ASYMMETRIC_OPS:
            free |= {depth_of(node)}
        found.append(free - {depth_of(node)} if node.op in MEMBERS else free)
    return found


def expressions(player: Player) -> Iterator[tuple[str, int]]:
    """Every expression of a player with a name for messages."""
    for variable in (*player.states, *player.traits):
        starts = (("initial", variable.initial), ("start", variable.start), ("next", variable.next))
        yield from ((f"{word} {variable.name}", n) for word, n in starts if n is not None)
    for noise in (*player.noises, *player.draws):
        if noise.density is not None:
            yield f"law of {noise.name}", noise.density
    if player.legal is not None:
        yield "legal actions", player.legal
    for term in player.rewards:
        yield f"{'final ' if term.final else ''}reward {term.name}", term.node
    for kind, group in (("let", player.lets), ("observe", player.observe)):
        yield from ((f"{kind} {named.name}", named.node) for named in group)


def given_traits(model: Model, player: Player) -> tuple[str, ...]:
    """Traits that start from a draw which files give to each agent."""
    rows = {draw.name for draw in player.draws if draw.given is not None}
    found = []
    for trait in player.traits:
        below = reachable(model.nodes, [n for n in (trait.initial, trait.start) if n is not None])
        leaves = (model.nodes[i] for i in below)
        if any(leaf.op == "draw" and leaf.attr in rows for leaf in leaves):
            found.append(trait.name)
    return tuple(found)


def _label(node: Node, parts: Sequence[Label]) -> Label:
    """The label of a node from those of its arguments; peers are anonymous once they are bound."""
    joined = max(parts, default=Label.GLOBAL)
    op = node.op
    if op in OWN_LEAVES:
        return Label.OWN
    if op in PEER_LEAVES:
        return Label.ANON
    if op in COMMON_LEAVES:
        return Label.COMMON
    if op in MEMBERS:
        return max(joined, Label.OWN if "others" in op else Label.ANON)
    return joined if op in GLOBAL_LEAVES | POINTWISE or op in REDUCTIONS else Label.ASYM


def _elsewhere(node: Node, population: str) -> bool:
    """Whether the matrix is one between agents of another population: (depth, population, name)."""
    return isinstance(node.attr, tuple) and len(node.attr) == 3 and node.attr[1] != population


def _root(model: Model, known: Sequence[Label], player: str, name: str, node: int) -> Root:
    """A closed expression with its label, and the way down to what breaks it."""
    path, last = [], node
    while known[last] is Label.ASYM:
        path.append(_word(model.nodes[last]))
        below = [i for i in model.nodes[last].args if known[i] is Label.ASYM]
        if not below:
            break
        last = below[0]
    return Root(player, name, node, known[node], tuple(path), model.places[last] if path else None)


def _word(node: Node) -> str:
    """A node in a path: its operator, and the name that it has in the spec."""
    if node.op in ASYMMETRIC_OPS and isinstance(node.attr, tuple):
        return f"{node.op} {node.attr[-1]}"
    return node.op
