"""Symmetry of a population of N agents by writing out what each of them has for expressions.

Means over members become sums over N agents, weights and traits from files become numbers, and
every expression gets a number that does not depend on the order of sums, products, minima and the
like. An expression of agent i whose agents are renamed by a permutation s must have the number of
the same expression of agent s(i). Then the game is symmetric for this N, whatever functions occur;
when numbers differ nothing is known, because different expressions may have equal values.
"""

from collections import Counter
from collections.abc import Hashable, Sequence

from mfdsl.compiler.analysis.symmetry.generators import generators
from mfdsl.compiler.analysis.symmetry.provenance import (
    OWN_LEAVES,
    PEER_LEAVES,
    expressions,
    given_traits,
    unbound_members,
)
from mfdsl.compiler.ir.model import Model, Node, Player
from mfdsl.compiler.ir.walk import MEMBERS, depth_of

UNORDERED = frozenset({"add", "mul", "min", "max", "and", "or", "eq", "ne", "dot"})
MOST_NODES = 1_000_000
MOST_DEPTH = 200

Bound = tuple[tuple[int, int], ...]  # (depth of a binder, agent)


class TooLargeError(Exception):
    """The expressions of all agents have more nodes than are written out."""


def structurally_symmetric(model: Model, population: str, agents: int) -> bool:
    """Whether all expressions of `agents` agents are equal as written, up to renaming.

    Raises:
        ValueError: the model has no population of that name, or files give another number.
        TooLargeError: the expressions are too many to write out.
    """
    player = next((p for p in model.populations if p.name == population), None)
    if player is None:
        raise ValueError(f"{model.name} has no population {population!r}")
    if player.fixed and agents != player.agents:
        raise ValueError(f"{population} has the {player.agents} agents of its files, not {agents}")
    if _depth(model) > MOST_DEPTH:
        raise TooLargeError
    numbers: dict[Hashable, int] = {}
    same = tuple(range(agents))
    plain = _Expansion(model, player, same, numbers)
    for image in generators(agents):
        renamed = _Expansion(model, player, image, numbers)
        for _, root in expressions(player):
            if any(renamed.number(root, i) != plain.number(root, image[i]) for i in same):
                return False
        for other in model.players:
            roots = [] if other is player else [root for _, root in expressions(other)]
            if any(renamed.number(root, None) != plain.number(root, None) for root in roots):
                return False
    return True


class _Expansion:
    """Numbers of expressions with the agents renamed: agent i is called `image[i]`."""

    def __init__(
        self, model: Model, player: Player, image: Sequence[int], numbers: dict[Hashable, int]
    ) -> None:
        self.model, self.player, self.image, self.numbers = model, player, image, numbers
        self.known: dict[tuple[int, int | None, Bound], int] = {}
        self.depths = unbound_members(model)
        self.rows = {
            d.name: model.arrays[d.given].values for d in player.draws if d.given is not None
        }
        self.given = given_traits(model, player)
        self.weights = {w.name: model.arrays[w.array] for w in player.weights}

    def number(self, node: int, me: int | None, bound: Bound = ()) -> int:
        """The number of a node for agent `me`, the members of outer means bound.

        `me` is None in expressions of other players, whose own leaves are not renamed.
        """
        free = self.depths[node]
        bound = tuple(pair for pair in bound if pair[0] in free)
        key = (node, me, bound)
        if key not in self.known:
            if len(self.known) > MOST_NODES:
                raise TooLargeError
            form = self._form(self.model.nodes[node], me, bound)
            self.known[key] = self.numbers.setdefault(form, len(self.numbers))
        return self.known[key]

    def _form(self, node: Node, me: int | None, bound: Bound) -> Hashable:
        """A node by what it is and the numbers of its arguments."""
        op, attr = node.op, node.attr
        if op in OWN_LEAVES:
            return (op, attr, "own") if me is None else self._variable(op, str(attr), me)
        if op in PEER_LEAVES and isinstance(attr, tuple):
            agent = dict(bound).get(int(attr[0]))
            if agent is not None:
                return self._variable(op.removeprefix("peer_"), str(attr[1]), agent)
        if op == "weight" and isinstance(attr, tuple) and attr[1] == self.player.name:
            assert me is not None  # weights are read by their own population
            table = self.weights[str(attr[2])]
            return "const", float(table.values[me * table.dims[1] + dict(bound)[int(attr[0])]])
        if op in MEMBERS and isinstance(attr, tuple) and attr[1] == self.player.name:
            return self._over_members(node, me, bound)
        parts = [self.number(i, me, bound) for i in node.args]
        if op in UNORDERED:
            return op, frozenset(Counter(parts).items())
        return op, attr, node.type if op == "index" else None, tuple(parts)

    def _over_members(self, node: Node, me: int | None, bound: Bound) -> Hashable:
        """A mean or an extreme as the collection of what it is over."""
        depth = depth_of(node)
        without = me if "others" in node.op else None
        bodies = Counter(
            tuple(self.number(i, me, (*bound, (depth, agent))) for i in node.args)
            for agent in range(len(self.image))
            if agent != without
        )
        return node.op, frozenset(bodies.items())

    def _variable(self, kind: str, name: str, agent: int) -> Hashable:
        """A variable of an agent under its new name; what files give is a number instead."""
        if kind == "draw" and name in self.rows:
            return "const", float(self.rows[name][agent])
        if kind == "trait" and name in self.given:
            return kind, name, tuple(float(rows[agent]) for rows in self.rows.values())
        return kind, name, self.image[agent]


def _depth(model: Model) -> int:
    """The length of the longest chain of arguments."""
    depths: list[int] = []
    for node in model.nodes:
        depths.append(1 + max((depths[i] for i in node.args), default=0))
    return max(depths, default=0)
