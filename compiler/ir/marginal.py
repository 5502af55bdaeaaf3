"""Copies of a game for credits and best responses: members with weights, laws held fixed.

`weighted` gives every agent a weight, 1 by default, with which it counts in all means over its
population: the derivative of a mean in the weight of one agent is what that agent adds to it (the
linear functional derivative; Carmona and Delarue 2018, section 5.2). `held` marks all means as
constants for gradients: an agent of a game does not move the law.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from pydantic import BaseModel

from mfdsl.compiler.ir.model import Model, Node, Place, Player, StateVariable
from mfdsl.compiler.ir.types import REAL, Type
from mfdsl.compiler.ir.walk import MEANS, MEMBERS

WEIGHT = "weight_of_member"
POINTERS = ("initial", "start", "next", "density", "node")  # fields that hold the index of a node

E = TypeVar("E", bound=BaseModel)


def weighted(model: Model) -> Model:
    """The game with a trait `weight_of_member` in each population, which all means respect.

    Raises:
        ValueError: the game compares laws by optimal transport, whose weights are fixed.
    """
    if any(node.op == "w2" for node in model.nodes):
        raise ValueError(f"{model.name} compares laws by `w2`, whose members all count alike")
    copy = _Copy(model)
    for index, node in enumerate(model.nodes):
        args = copy.args(node)
        if node.op not in MEANS:
            copy.same(index, args)
            continue
        assert isinstance(node.attr, tuple)
        weight = copy.new("peer_trait", (), (int(node.attr[0]), WEIGHT), REAL)
        counted = copy.new("mul", (args[0], weight), None, model.node_type(index))
        mean = copy.new(node.op, (counted, *args[1:]), node.attr, model.node_type(index))
        if len(args) > 1:
            mass = copy.new(node.op, (weight, *args[1:]), node.attr, REAL)
            mean = copy.new("div", (mean, mass), None, model.node_type(index))
        copy.to(index, mean)
    one = copy.new("const", (), 1.0, REAL)
    real = copy.type(REAL)

    def with_weight(player: Player) -> Player:
        trait = StateVariable(
            name=WEIGHT, type=real, doc="how much it counts", initial=None, start=one, next=None
        )
        return player.model_copy(update={"traits": (*player.traits, trait)})

    return copy.model(lambda p: with_weight(p) if p.kind == "population" else p)


def held(model: Model) -> Model:
    """The game with all values over populations held fixed for gradients."""
    copy = _Copy(model)
    for index, node in enumerate(model.nodes):
        args = copy.args(node)
        copy.same(index, args)
        if node.op in MEMBERS and model.node_type(index).kind == "real":
            copy.to(index, copy.new("hold", (copy.now(index),), None, model.node_type(index)))
    return copy.model(lambda p: p)


class _Copy:
    """The arena of a model node by node, with others in between; types are appended."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._nodes: list[Node] = []
        self._places: list[Place | None] = []
        self._types = list(model.types)
        self._map: list[int] = []

    def args(self, node: Node) -> tuple[int, ...]:
        """The copies of the arguments of an old node."""
        return tuple(self._map[i] for i in node.args)

    def same(self, index: int, args: tuple[int, ...]) -> None:
        """Copy the next old node."""
        node = self._model.nodes[index].model_copy(update={"args": args})
        self._nodes.append(node)
        self._places.append(self._model.places[index])
        self._map.append(len(self._nodes) - 1)

    def new(self, op: str, args: Sequence[int], attr: object, type: Type) -> int:
        """A node that the old model does not have."""
        node = Node(op=op, args=tuple(args), attr=attr, type=self.type(type))  # type: ignore[arg-type]
        self._nodes.append(node)
        self._places.append(None)
        return len(self._nodes) - 1

    def to(self, index: int, made: int) -> None:
        """Let a new node stand for an old one."""
        if index == len(self._map):
            self._map.append(made)
        else:
            self._map[index] = made

    def now(self, index: int) -> int:
        """What stands for an old node."""
        return self._map[index]

    def type(self, type: Type) -> int:
        """Position of a type."""
        if type not in self._types:
            self._types.append(type)
        return self._types.index(type)

    def model(self, changed: Callable[[Player], Player]) -> Model:
        """The model over the new arena."""
        players = tuple(changed(self._moved(player)) for player in self._model.players)
        return self._model.model_copy(
            update={
                "nodes": tuple(self._nodes),
                "places": tuple(self._places),
                "types": tuple(self._types),
                "players": players,
            }
        )

    def _moved(self, player: Player) -> Player:
        """A player whose expressions are the copies."""
        update: dict[str, object] = {
            "legal": None if player.legal is None else self._map[player.legal]
        }
        for group in ("states", "traits", "noises", "draws", "rewards", "lets", "observe"):
            update[group] = tuple(self._repointed(entry) for entry in getattr(player, group))
        return player.model_copy(update=update)

    def _repointed(self, entry: E) -> E:
        fields = {name: getattr(entry, name, None) for name in POINTERS}
        moved = {name: self._map[node] for name, node in fields.items() if node is not None}
        return entry.model_copy(update=moved)
