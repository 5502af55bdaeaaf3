"""First reduction: every variable a finite scalar.

Continuous states and actions lie on grids, continuous noises are the points of a Gauss rule,
traits that policies see are states that stay, and those that they do not see are drawn anew.
"""

from collections.abc import Sequence
from typing import Any

from mfdsl.compiler.ir.build import Builder
from mfdsl.compiler.ir.model import (
    Model,
    Named,
    Node,
    NoiseVariable,
    Player,
    StateVariable,
    Term,
    Variable,
)
from mfdsl.compiler.ir.reduced import Coordinate
from mfdsl.compiler.ir.types import BOOL, REAL, Type
from mfdsl.compiler.ir.walk import given
from mfdsl.compiler.tabular.coins import coins
from mfdsl.compiler.tabular.copying import Copier
from mfdsl.compiler.tabular.frames import Frame, Piece, entries, owner, shaped
from mfdsl.compiler.tabular.grids import Bins, Grid, coordinates
from mfdsl.compiler.tabular.hidden import GAUSS_POINTS, Hidden
from mfdsl.compiler.tabular.points import Points, drawn, names_of, positions
from mfdsl.compiler.tabular.quadrature import gauss
from mfdsl.compiler.tabular.rebuild import rebuilt
from mfdsl.compiler.tabular.starts import Starts

BEYOND = 1e-12
END = "end"
JUMPS = ("lt", "le", "eq", "ne", "floor", "ceil", "round", "rem")


class Finite:
    """The copy of a model in which all is finite; `coordinates` by (player, variable).

    Raises:
        NoTables: something cannot be made finite.
    """

    def __init__(self, model: Model, bins: Bins) -> None:
        self.model, self.bins = model, bins
        self.builder = Builder()
        self.coordinates: dict[tuple[str, str], tuple[Coordinate, ...]] = {}
        self.notes: list[str] = []
        self.exact = not any(
            model.types[t.type].kind == "real" for p in model.players for t in p.traits
        )
        points = Points(self.builder)
        self.hidden = Hidden(model, points)
        self.points = points
        self.coins = coins(model, self.builder)
        self.copier = Copier(model, self.builder, self._leaf, self._mean, self.coins.instead)
        self.ending = Copier(model, self.builder, self._last, self._mean)
        self.starts = Starts(model, points, self.hidden, self._leaf)

    def copied(self) -> Model:
        """The copy."""
        for player in self.model.players:
            for variable in (*player.states, *player.traits, *player.actions):
                if (player.name, variable.name) not in self.hidden:
                    axes = tuple(coordinates(self.model, player, variable, self.bins))
                    self.coordinates[player.name, variable.name] = axes
                    if axes[0].step is not None:
                        self.exact = False
                        on = f"{axes[0].size} points" + " an axis" * (len(axes) > 1)
                        self.notes.append(f"{player.name}.{variable.name} on {on}")
        players = [self._player(p) for p in self.model.players]
        self.exact &= self.starts.exact and self.hidden.exact
        return rebuilt(self.model, self.builder, players)

    def _type(self, variable: Variable) -> Type:
        """The type that a variable has in the spec."""
        return self.model.types[variable.type]

    def _axis_type(self, player: Player, axis: Coordinate) -> Type:
        """The type of an axis: that of the variable, or a position on the grid."""
        if axis.step is not None:
            return positions(axis.size)
        variables = (*player.states, *player.traits, *player.actions)
        return self._type(next(v for v in variables if v.name == axis.variable)).scalar

    def _own(self, player: Player, sort: str, name: str, kind: Type) -> int:
        """The leaf of a variable in an expression of its own player."""
        if player.kind == "population":
            return self.builder.add(sort, (), name, kind)
        return self.builder.add(f"common_{sort}", (), (player.name, name), kind)

    def _leaf(self, node: Node, kind: Type, frame: Frame) -> Piece | None:
        """What stands for a variable."""
        player, name = owner(self.model, frame, node.op, node.attr)
        sort = node.op.split("_")[-1]
        if sort == "trait" and (player.name, name) in self.hidden:
            return self.hidden.leaf(node, player, name)
        if sort == "noise":
            return self._noise_leaf(node, player, name, kind)
        axes = self.coordinates[player.name, name]
        return shaped([self._value(node, player, axis) for axis in axes], kind.dims)

    def _last(self, node: Node, kind: Type, frame: Frame) -> Piece | None:
        """What stands for a variable in a final reward."""
        player, name = owner(self.model, frame, node.op, node.attr)
        if node.op == "trait" and (player.name, name) in self.hidden:
            return self.hidden.at(self.hidden.trait(player, name), player, END)
        return self._leaf(node, kind, frame)

    def _value(self, node: Node, player: Player, axis: Coordinate) -> int:
        attr: tuple[int | str, ...] | str = axis.axis
        if isinstance(node.attr, tuple):
            attr = (node.attr[0], axis.axis)
        op = node.op.replace("trait", "state")  # a trait that is seen is a state that stays
        place = self.builder.add(op, (), attr, self._axis_type(player, axis))
        return place if axis.step is None else Grid(self.builder, axis).value(place)

    def _noise_leaf(self, node: Node, player: Player, name: str, kind: Type) -> Piece | None:
        noise = next(n for n in player.noises if n.name == name)
        if noise.law is None:
            return None
        values = gauss(noise.law, GAUSS_POINTS)[0].tolist()
        flat = []
        for entry in names_of(name, kind.dims):
            attr = (node.attr[0], entry) if isinstance(node.attr, tuple) else entry
            place = self.builder.add(node.op, (), attr, positions(GAUSS_POINTS))
            flat.append(self.points.entry(values, place))
        return shaped(flat, kind.dims)

    def _mean(self, node: Node, args: Sequence[int], frame: Frame) -> int:
        fresh = self.hidden.mean(node, args)
        return self.builder.add(node.op, args, node.attr, REAL) if fresh is None else fresh

    def _player(self, player: Player) -> Player:
        frame = Frame(player.name)
        noises = self.hidden.noises(player)
        noises += [n for noise in player.noises for n in self._noises(player, noise, frame)]
        states = [
            axis
            for trait in player.traits
            if (player.name, trait.name) not in self.hidden
            for axis in self._begun(player, trait)
        ]
        sides: list[NoiseVariable] = []
        for state in player.states:
            states += self._moved(player, state, frame, sides)
        for name in sorted(self.hidden.names[player.name]):
            self.notes.append(f"{player.name}.{name} drawn anew at each step: policies do not see")
        changes: dict[str, Any] = {
            "states": tuple(states),
            "traits": (),
            "actions": tuple(self._actions(player)),
            "noises": tuple([*noises, *sides]),
            "draws": (),
            "legal": self._legal(player, frame),
            "rewards": tuple(
                term.model_copy(update={"node": self._term(term, player)})
                for term in player.rewards
            ),
            "lets": tuple(self._lets(player.lets, frame)),
            "observe": (),
            "observes_law": (),
        }
        return player.model_copy(update=changes)

    def _term(self, term: Term, player: Player) -> int:
        """A reward; nobody draws at t = T, so final ones are averaged over fresh traits."""
        frame = Frame(player.name)
        if not term.final:
            return self.copier.scalar(term.node, frame)
        value = self.ending.scalar(term.node, frame)
        return self.points.summed(value, self.points.under([value], END))

    def _actions(self, player: Player) -> list[Variable]:
        return [
            Variable(
                name=axis.axis,
                type=self.builder.type_index(self._axis_type(player, axis)),
                doc=action.doc,
            )
            for action in player.actions
            for axis in self.coordinates[player.name, action.name]
        ]

    def _lets(self, lets: Sequence[Named], frame: Frame) -> list[Named]:
        pieces = [(named, self.copier.copy(named.node, frame)) for named in lets]
        return [n.model_copy(update={"node": p}) for n, p in pieces if isinstance(p, int)]

    def _noises(self, player: Player, noise: NoiseVariable, frame: Frame) -> list[NoiseVariable]:
        kind = self._type(noise)
        if noise.law is None:
            density = self.copier.scalar(given(noise.density), frame)
            own = self.builder.type_index(kind)
            return [noise.model_copy(update={"density": density, "type": own})]
        if (player.name, noise.name) in self.coins.coin:
            return self.coins.noises(self.model, player, noise, self.copier)
        coarse = ", coarse where it decides a comparison" if self._jumps(player, noise) else ""
        self.notes.append(f"{player.name}.{noise.name} at {GAUSS_POINTS} Gauss points{coarse}")
        self.exact = False
        weights = gauss(noise.law, GAUSS_POINTS)[1].tolist()
        found = []
        for name in names_of(noise.name, kind.dims):
            leaf = self._own(player, "noise", name, positions(GAUSS_POINTS))
            found.append(drawn(self.builder, name, leaf, self.points.entry(weights, leaf)))
        return found

    def _jumps(self, player: Player, noise: NoiseVariable) -> bool:
        """Whether something that jumps depends on a noise."""
        found: set[int] = set()
        for index, node in enumerate(self.model.nodes):
            own = node.op in ("noise", "common_noise") and node.attr in (
                noise.name,
                (player.name, noise.name),
            )
            if own or not found.isdisjoint(node.args):
                if node.op in JUMPS:
                    return True
                found.add(index)
        return False

    def _begun(self, player: Player, variable: StateVariable) -> list[StateVariable]:
        """The axes of a state or trait with their laws at t = 0; they keep their values."""
        axes = self.coordinates[player.name, variable.name]
        kinds = [self._axis_type(player, axis) for axis in axes]
        own = [
            self._own(player, "state", axis.axis, kind)
            for axis, kind in zip(axes, kinds, strict=True)
        ]
        laws = self.starts.densities(player, variable, axes, own)
        return [
            StateVariable(
                name=axis.axis,
                type=self.builder.type_index(kind),
                doc=variable.doc,
                initial=law,
                next=leaf,
            )
            for axis, kind, law, leaf in zip(axes, kinds, laws, own, strict=True)
        ]

    def _moved(
        self, player: Player, state: StateVariable, frame: Frame, sides: list[NoiseVariable]
    ) -> list[StateVariable]:
        """The axes of a state; `sides` gets the noises that split a value between two points."""
        after = entries(self.copier.copy(given(state.next), frame))
        found = []
        for made, axis, target in zip(
            self._begun(player, state),
            self.coordinates[player.name, state.name],
            after,
            strict=True,
        ):
            value = target
            if axis.step is not None:
                name = f"{axis.axis}_side"
                side = self._own(player, "noise", name, positions(2))
                value, law = Grid(self.builder, axis).split(target, side)
                sides.append(drawn(self.builder, name, side, law))
            found.append(made.model_copy(update={"next": value}))
        return found

    def _legal(self, player: Player, frame: Frame) -> int | None:
        """The mask of the spec, and the balls that grids of actions stick out of."""
        parts = [] if player.legal is None else [self.copier.scalar(player.legal, frame)]
        for action in player.actions:
            ball = self._type(action).ball
            if ball is None:
                continue
            squares = []
            for axis in self.coordinates[player.name, action.name]:
                place = self._own(player, "action", axis.axis, self._axis_type(player, axis))
                value = Grid(self.builder, axis).value(place)
                squares.append(self.builder.add("mul", [value, value]))
            limit = self.builder.const(ball**2 * (1 + BEYOND))
            total = self.builder.add("add", squares)
            parts.append(self.builder.add("le", [total, limit], None, BOOL))
        return self.builder.add("and", parts, None, BOOL) if parts else None
