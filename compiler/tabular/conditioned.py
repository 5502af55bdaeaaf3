"""Populations whose members carry the past of the common state.

Each past of the common state has its own law. Members carry their past, draw its next turn for
themselves, and meet only members of the same past. The joint law of (past, state) then is the
probability of the past times the law given it, so flows, best responses and exploitability are
exact, and nobody sees the future.

A major player is a population of its own, whose members choose its actions and draw the rest of a
turn. Everybody else draws its actions evenly, so that pasts that it avoids keep a law, against
which its deviations are measured; their rewards are weighted by how much likelier its own choices
make the past than even ones, the ratio of the two masses of the past.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mfdsl.compiler.ir.build import Builder
from mfdsl.compiler.ir.model import Model, Node, NoiseVariable, Player, StateVariable
from mfdsl.compiler.ir.types import BOOL, INT, REAL, Type
from mfdsl.compiler.ir.walk import MEANS, given, reachable
from mfdsl.compiler.tabular.copying import Copier
from mfdsl.compiler.tabular.frames import Frame, Piece, owner
from mfdsl.compiler.tabular.pasts import Tree
from mfdsl.compiler.tabular.rebuild import copied, rebuilt

TINY = 1e-300
NOBODY = Frame("")  # who reads all of a turn, own actions too, off the turn
DEPTH = 60  # of the means that measure a past: beyond those of a spec


@dataclass(frozen=True)
class Leaves:
    """What everybody reads of the pasts."""

    past: int
    turn: int
    time: int
    kind: Type


class Conditioned:
    """One copy of a model in which the common state is a past that members carry."""

    def __init__(self, model: Model, tree: Tree) -> None:
        self.model, self.tree, self.builder = model, tree, Builder()
        self.copier = Copier(model, self.builder, self._leaf, self._mean)
        self.starting = Copier(model, self.builder, self._first)
        self.op = self.copier.op
        kind = Type(kind="int", lo=0, hi=tree.width - 1)
        turn = Type(kind="int", lo=0, hi=tree.turns - 1)
        self.at = Leaves(
            past=self.builder.add("state", (), tree.axis, kind),
            turn=self.builder.add("noise", (), tree.turn, turn),
            time=self.builder.add("time", (), None, INT),
            kind=kind,
        )
        self.majors = [p for p in model.players if p.kind == "major"]

    def populations(self) -> Model:
        """The model with populations only."""
        players = [
            self._major(p) if p.kind == "major" else self._population(p)
            for p in self.model.players
            if p.kind != "environment"
        ]
        return rebuilt(self.model, self.builder, players)

    def _population(self, player: Player) -> Player:
        made = copied(self.model, player, self.copier, self.starting)
        rewards = []
        for term in made.rewards:
            node = self._likely(term.node, self.majors, player, made.noises)
            node = self._possible(node, player, self.builder.const(0))
            rewards.append(term.model_copy(update={"node": node}))
        states = [self._kept(s, player) for s in made.states]
        noises = [self._first_drawn(n, player) for n in made.noises]
        more = {
            "states": (self._carried(), *states),
            "noises": (self._turn(None, player), *noises),
            "rewards": tuple(rewards),
        }
        return made.model_copy(update=more)

    def _major(self, player: Player) -> Player:
        """A major as a population: all its states are read off the past."""
        frame = Frame(player.name)
        others = [m for m in self.majors if m is not player]
        rewards = []
        for term in player.rewards:
            node = self.copier.scalar(term.node, frame)
            if others:
                node = self._likely(node, others, player)
            node = self._possible(node, player, self.builder.const(0))
            rewards.append(term.model_copy(update={"node": node}))
        legal = None if player.legal is None else self.copier.scalar(player.legal, frame)
        actions = tuple(
            a.model_copy(update={"type": self.builder.type_index(self.model.types[a.type])})
            for a in player.actions
        )
        return player.model_copy(
            update={
                "kind": "population",
                "states": (self._carried(),),
                "actions": actions,
                "noises": (self._turn(player, player),),
                "legal": legal,
                "rewards": tuple(rewards),
                "lets": (),
            }
        )

    def _carried(self) -> StateVariable:
        """The past as a state."""
        tree, at = self.tree, self.at
        dims = (tree.stages, tree.width, tree.turns)
        return StateVariable(
            name=tree.axis,
            type=self.builder.type_index(at.kind),
            doc="past of the common state",
            initial=self._look_up((tree.width,), tree.first, REAL, at.past),
            next=self._look_up(dims, tree.after, at.kind, at.time, at.past, at.turn),
        )

    def _possible(self, node: int, asker: Player, otherwise: int) -> int:
        """A value where the past can have been, and another one where it cannot.

        There nobody is, and what reads the law may have no value.
        """
        under = reachable(self.builder.nodes, [node])
        if not any(self.builder.nodes[i].op in MEANS for i in under):
            return node
        mass = self._mass(self._even(asker))
        there = self.op("lt", self.builder.const(0), mass, type=BOOL)
        return self.op("if", there, node, otherwise, type=self.builder.type_of(otherwise))

    def _kept(self, state: StateVariable, player: Player) -> StateVariable:
        """A state that stays in pasts that cannot have been."""
        own = self.builder.add("state", (), state.name, self.builder.types[state.type])
        return state.model_copy(update={"next": self._possible(given(state.next), player, own)})

    def _first_drawn(self, noise: NoiseVariable, player: Player) -> NoiseVariable:
        """A noise that takes its first value in pasts that cannot have been."""
        kind = self.builder.types[noise.type]
        own = self.builder.add("noise", (), noise.name, kind)
        same = self.op("eq", own, self.builder.const(kind.first, kind), type=BOOL)
        first = self.op("real", self.op("ind", same, type=INT))
        density = self._possible(given(noise.density), player, first)
        return noise.model_copy(update={"density": density})

    def _turn(self, chooser: Player | None, asker: Player) -> NoiseVariable:
        """What happens next to the common state, as members draw it; `chooser` chooses its part."""
        tree, at = self.tree, self.at
        dims = (tree.stages, tree.width, tree.turns)
        parts = [self._look_up(dims, tree.chances, REAL, at.time, at.past, at.turn)]
        for player, name in tree.by_law:
            noise = next(n for n in self.model.player(player).noises if n.name == name)
            parts.append(self.copier.scalar(given(noise.density), NOBODY))
        for major in self.majors:
            if chooser is None or major.name != chooser.name:
                parts.append(self._evenly(major))
        density = self.op("mul", *parts)
        if chooser is not None:
            chosen = [
                self.op("eq", self._action(chooser.name, a.name, kind), own, type=BOOL)
                for a in chooser.actions
                for kind in [self.model.types[a.type]]
                for own in [self.builder.add("action", (), a.name, kind)]
            ]
            same = self.op("and", *chosen, type=BOOL)
            density = self.op("if", same, density, self.builder.const(0))
        turn = NoiseVariable(
            name=tree.turn,
            type=self.builder.nodes[at.turn].type,
            doc="what happens to the common state",
            density=density,
        )
        return self._first_drawn(turn, asker)

    def _evenly(self, major: Player) -> int:
        """The probability of a major's part of the turn when it takes all actions equally often."""
        tree, at = self.tree, self.at
        dims = (tree.stages, tree.width, tree.turns)
        return self._look_up(dims, tree.even[major.name], REAL, at.time, at.past, at.turn)

    def _likely(
        self,
        reward: int,
        majors: Sequence[Player],
        asker: Player,
        noises: Sequence[NoiseVariable] = (),
    ) -> int:
        """A reward weighted by the likelihood of the past under the choices of some majors, and
        of the turn where it reads that, itself or through the law of a noise.
        """
        now = self.at.turn in self._under(reward, {n.name: given(n.density) for n in noises})
        for major in majors:
            chosen, even = self._mass(major, now), self._mass(self._even(asker))
            if now:
                even = self.op("mul", even, self._evenly(major))
            ratio = self.op("div", chosen, self.op("max", even, self.builder.const(TINY)))
            reward = self.op("mul", ratio, reward)
        return reward

    def _under(self, root: int, densities: Mapping[str, int]) -> set[int]:
        """The nodes under a root, and under the laws of the noises that are read there."""
        found: set[int] = set()
        roots = [root]
        while roots:
            fresh = set(reachable(self.builder.nodes, roots)) - found
            found |= fresh
            read = [n.attr for n in (self.builder.nodes[i] for i in fresh) if n.op == "noise"]
            roots = [densities[str(name)] for name in read if name in densities]
        return found

    def _even(self, asker: Player) -> Player:
        """A population that draws all actions of majors evenly."""
        return asker if asker.kind == "population" else self.model.populations[0]

    def _mass(self, player: Player, turn: bool = False) -> int:
        """The mass of the own past in a population, or of those there who choose as in the turn."""
        leaf = self.builder.add("peer_state", (), (DEPTH, self.tree.axis), self.at.kind)
        same = self.op("eq", leaf, self.at.past, type=BOOL)
        if turn:
            for action in player.actions:
                kind = self.model.types[action.type]
                theirs = self.builder.add("peer_action", (), (DEPTH, action.name), kind)
                here = self._action(player.name, action.name, kind)
                same = self.op("and", same, self.op("eq", theirs, here, type=BOOL), type=BOOL)
        mass = self.op("real", self.op("ind", same, type=INT))
        return self.op("mean", mass, attr=(DEPTH, player.name))

    def _look_up(self, dims: tuple[int, ...], values: Sequence[float], kind: Type, *at: int) -> int:
        table = self.builder.array(dims, values, None, "real" if kind.kind == "real" else "int")
        if kind.kind != "bool":
            return self.builder.add("element", [table, *at], None, kind)
        number = self.builder.add("element", [table, *at], None, INT)
        return self.op("eq", number, self.builder.const(1, INT), type=BOOL)

    def _action(self, player: str, name: str, kind: Type) -> int:
        """What a major does, read off the turn."""
        values = self.tree.outcome_values(player, name)
        return self._look_up((self.tree.turns,), values, kind, self.at.turn)

    def _leaf(self, node: Node, kind: Type, frame: Frame) -> Piece | None:
        if not node.op.startswith("common_"):
            return None
        player, name = owner(self.model, frame, node.op, node.attr)
        if node.op == "common_action" and frame.player == player.name:
            return self.builder.add("action", (), name, kind)
        if node.op in ("common_noise", "common_action"):
            return self._action(player.name, name, kind)
        values = self.tree.state_values(player.name, name)
        dims = (self.tree.stages + 1, self.tree.width)
        return self._look_up(dims, values, kind, self.at.time, self.at.past)

    def _first(self, node: Node, kind: Type, frame: Frame) -> Piece | None:
        """A common state at t = 0, where no time is known."""
        if node.op != "common_state":
            return None
        player, name = owner(self.model, frame, node.op, node.attr)
        width = self.tree.width
        values = self.tree.state_values(player.name, name)[:width]
        return self._look_up((width,), values, kind, self.at.past)

    def _mean(self, node: Node, args: Sequence[int], frame: Frame) -> int:
        """The mean over members of the same past."""
        assert isinstance(node.attr, tuple)
        builder, op = self.builder, self.op
        theirs = builder.add("peer_state", (), (node.attr[0], self.tree.axis), self.at.kind)
        same = op("eq", theirs, self.at.past, type=BOOL)
        held = same if len(args) == 1 else op("and", same, args[1], type=BOOL)
        plain = node.op.removesuffix("_if")
        total = op(plain, op("if", held, args[0], builder.const(0)), attr=node.attr)
        mass = op("real", op("ind", held, type=INT))
        weight = op("max", op(plain, mass, attr=node.attr), builder.const(TINY))
        return op("div", total, weight)
