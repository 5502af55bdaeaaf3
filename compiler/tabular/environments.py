"""Second reduction: the common state of finite environments joins the states of the members.

Where nothing reads the law, or where the common state moves without chance, it is one more state
that all members share. Otherwise the law is random, and each past of the common state has its own:
members carry their past, draw its next turn for themselves, and meet only members of the same
past. The joint law of (past, state) then is the probability of the past times the law given it, so
flows, best responses and exploitability are exact, and nobody sees the future.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mfdsl.compiler.ir.build import Builder
from mfdsl.compiler.ir.model import Model, Node, NoiseVariable, Player, StateVariable
from mfdsl.compiler.ir.reduced import Past
from mfdsl.compiler.ir.types import BOOL, INT, REAL, Type
from mfdsl.compiler.ir.walk import MEANS, given, reachable
from mfdsl.compiler.tabular.copying import Copier
from mfdsl.compiler.tabular.frames import Frame, NoTables, Piece, owner
from mfdsl.compiler.tabular.pasts import Tree, grow, starting_states
from mfdsl.compiler.tabular.rebuild import player_roots, rebuilt

TINY = 1e-300


def with_environments(model: Model) -> tuple[Model, Past | None, frozenset[str], list[str]]:
    """The model without environments, the pasts, parameters that are worked in, and notes.

    Raises:
        NoTables: there are too many pasts, or chance moves a common state that reads the law.
    """
    around = [p for p in model.players if p.kind == "environment"]
    if not around:
        return model, None, frozenset(), []
    roots = [n for p in around for n in player_roots(p)]
    feedback = _reads(model, roots, MEANS)
    everything = [n for p in model.players for n in player_roots(p)]
    starts = starting_states(model, around)
    chance = len(starts) != 1 or any(p.noises for p in around)
    if not chance or not _reads(model, everything, MEANS):
        return _Shared(model).joined(), None, frozenset(), []
    if feedback:
        raise NoTables("chance moves a common state that reads the law")
    if model.horizon.kind != "finite":
        raise NoTables("common noise over a horizon without end has too many pasts")
    tree = grow(model, around, starts)
    made = _WithPast(model, tree).joined()
    names = sorted(str(model.nodes[i].attr) for i in _parameters(model, roots))
    note = f"{tree.width} pasts of the common state"
    return made, tree.past(), frozenset(names), [note]


def _reads(model: Model, roots: Sequence[int], ops: Sequence[str]) -> bool:
    return any(model.nodes[i].op in ops for i in reachable(model.nodes, roots))


def _parameters(model: Model, roots: Sequence[int]) -> list[int]:
    return [i for i in reachable(model.nodes, roots) if model.nodes[i].op == "param"]


@dataclass
class _Shared:
    """Common states and noises as variables of every population."""

    model: Model

    def joined(self) -> Model:
        """The model without environments."""
        self.builder = Builder()
        copier = Copier(self.model, self.builder, self._leaf)
        players = []
        for player in self.model.populations:
            frame = Frame(player.name)
            states, noises = [], []
            for other in (p for p in self.model.players if p.kind == "environment"):
                there = Frame(other.name)
                for state in other.states:
                    states.append(
                        StateVariable(
                            name=common_name(other.name, state.name),
                            type=self.builder.type_index(self.model.types[state.type]),
                            doc=state.doc,
                            initial=copier.scalar(given(state.initial), there),
                            next=copier.scalar(given(state.next), there),
                        )
                    )
                for noise in other.noises:
                    noises.append(
                        NoiseVariable(
                            name=common_name(other.name, noise.name),
                            type=self.builder.type_index(self.model.types[noise.type]),
                            doc=noise.doc,
                            density=copier.scalar(given(noise.density), there),
                        )
                    )
            players.append(copied_player(self.model, player, copier, frame, states, noises))
        return rebuilt(self.model, self.builder, players)

    def _leaf(self, node: Node, kind: Type, frame: Frame) -> Piece | None:
        if not node.op.startswith("common_"):
            return None
        player, name = owner(self.model, frame, node.op, node.attr)
        return self.builder.add(
            node.op.removeprefix("common_"), (), common_name(player.name, name), kind
        )


@dataclass
class _WithPast:
    """The past of the common state as a state of every population; means are given it."""

    model: Model
    tree: Tree

    def joined(self) -> Model:
        """The model without environments."""
        self.builder = Builder()
        copier = Copier(self.model, self.builder, self._leaf, self._mean)
        self.op = copier.op
        tree = self.tree
        self.past_kind = Type(kind="int", lo=0, hi=tree.width - 1)
        self.turn_kind = Type(kind="int", lo=0, hi=tree.turns - 1)
        self.past = self.builder.add("state", (), tree.axis, self.past_kind)
        self.turn = self.builder.add("noise", (), tree.turn, self.turn_kind)
        time = self.builder.add("time", (), None, INT)
        start = self._look_up((tree.width,), tree.first, REAL, self.past)
        after = (tree.stages, tree.width, tree.turns)
        child = self._look_up(after, tree.after, self.past_kind, time, self.past, self.turn)
        chance = self._look_up(after, tree.chances, REAL, time, self.past, self.turn)
        state = StateVariable(
            name=tree.axis,
            type=self.builder.type_index(self.past_kind),
            doc="past of the common state",
            initial=start,
            next=child,
        )
        noise = NoiseVariable(
            name=tree.turn,
            type=self.builder.type_index(self.turn_kind),
            doc="what happens to the common state",
            density=chance,
        )
        players = [
            copied_player(self.model, p, copier, Frame(p.name), [state], [noise])
            for p in self.model.populations
        ]
        return rebuilt(self.model, self.builder, players)

    def _look_up(self, dims: tuple[int, ...], values: Sequence[float], kind: Type, *at: int) -> int:
        whole = kind.kind if kind.kind == "real" else "int"
        table = self.builder.array(dims, values, None, whole)
        if kind.kind != "bool":
            return self.builder.add("element", [table, *at], None, kind)
        number = self.builder.add("element", [table, *at], None, INT)
        return self.op("eq", number, self.builder.const(1, INT), type=BOOL)

    def _leaf(self, node: Node, kind: Type, frame: Frame) -> Piece | None:
        if not node.op.startswith("common_"):
            return None
        player, name = owner(self.model, frame, node.op, node.attr)
        if node.op == "common_noise":
            values = self.tree.noise_values(player.name, name)
            return self._look_up((self.tree.turns,), values, kind, self.turn)
        values = self.tree.state_values(player.name, name)
        time = self.builder.add("time", (), None, INT)
        dims = (self.tree.stages + 1, self.tree.width)
        return self._look_up(dims, values, kind, time, self.past)

    def _mean(self, node: Node, args: Sequence[int], frame: Frame) -> int:
        """The mean over members of the same past."""
        assert isinstance(node.attr, tuple)
        builder, op = self.builder, self.op
        theirs = builder.add("peer_state", (), (node.attr[0], self.tree.axis), self.past_kind)
        same = op("eq", theirs, self.past, type=BOOL)
        held = same if len(args) == 1 else op("and", same, args[1], type=BOOL)
        plain = node.op.removesuffix("_if")
        total = op(plain, op("if", held, args[0], builder.const(0)), attr=node.attr)
        mass = op("real", op("ind", held, type=INT))
        weight = op("max", op(plain, mass, attr=node.attr), builder.const(TINY))
        return op("div", total, weight)


def copied_player(
    model: Model,
    player: Player,
    copier: Copier,
    frame: Frame,
    states: Sequence[StateVariable] = (),
    noises: Sequence[NoiseVariable] = (),
) -> Player:
    """A finite population with all its expressions copied, and more states and noises before."""
    builder = copier.builder

    def typed(index: int) -> int:
        return builder.type_index(model.types[index])

    return player.model_copy(
        update={
            "states": (
                *states,
                *(
                    s.model_copy(
                        update={
                            "type": typed(s.type),
                            "initial": copier.scalar(given(s.initial), frame),
                            "next": copier.scalar(given(s.next), frame),
                        }
                    )
                    for s in player.states
                ),
            ),
            "actions": tuple(a.model_copy(update={"type": typed(a.type)}) for a in player.actions),
            "noises": (
                *noises,
                *(
                    n.model_copy(
                        update={
                            "type": typed(n.type),
                            "density": copier.scalar(given(n.density), frame),
                        }
                    )
                    for n in player.noises
                ),
            ),
            "legal": None if player.legal is None else copier.scalar(player.legal, frame),
            "rewards": tuple(
                t.model_copy(update={"node": copier.scalar(t.node, frame)}) for t in player.rewards
            ),
            "lets": tuple(
                n.model_copy(update={"node": copier.scalar(n.node, frame)}) for n in player.lets
            ),
        }
    )


def common_name(player: str, name: str) -> str:
    """The name of a common variable among those of a population."""
    return re.sub(r"\W", "_", f"{player}_{name}")
