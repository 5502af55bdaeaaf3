"""Third reduction: several populations as one, with the name of the population as first state.

Each has the same mass, which never moves, so a mean over population j is the mean over all where
the name is j, times the number of populations. Variables of one name and type share an axis; the
others share by size, and what sticks out of a shorter one is never reached nor chosen.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from mfdsl.compiler.ir.build import Builder
from mfdsl.compiler.ir.model import (
    Enum,
    Model,
    Node,
    NoiseVariable,
    Player,
    StateVariable,
    Term,
    Variable,
)
from mfdsl.compiler.ir.types import BOOL, INT, Type
from mfdsl.compiler.ir.walk import given
from mfdsl.compiler.tabular.copying import Copier
from mfdsl.compiler.tabular.frames import Frame, Piece, owner
from mfdsl.compiler.tabular.naming import free_name
from mfdsl.compiler.tabular.rebuild import rebuilt

ALL = "all"


@dataclass(frozen=True)
class Shared:
    """An axis; its type is that of the variables, or a range of positions when they differ."""

    name: str
    type: Type


Axes = dict[tuple[str, str], Shared]


def united(model: Model) -> tuple[Model, str | None, Axes, Axes]:
    """The model with one population; the name of the axis of names, and the axis of each
    (population, state) and (population, action).
    """
    if len(model.populations) == 1:
        return model, None, {}, {}
    union = _Union(model)
    return union.united(), union.who, union.axes["state"], union.axes["action"]


class _Union:
    def __init__(self, model: Model) -> None:
        self.model, self.builder = model, Builder()
        groups = model.populations
        self.axes: dict[str, Axes] = {}
        for sort in ("state", "action", "noise"):
            variables = [(p.name, variables_of(p, sort)) for p in groups]
            self.axes[sort] = shared_axes(model, variables, self._axis_names())
        self.names = [p.name for p in groups]
        family = groups[0].family
        one = family is not None and all(p.family == family for p in groups)
        taken = self._axis_names() | {e.name for e in model.enums}
        self.who = free_name(family if family and one else "population", taken)
        labels = [p.index if one and p.index else p.name for p in groups]
        self.kind = Type(kind="enum", lo=0, hi=len(groups) - 1, name=self.who)
        self.enum = Enum(name=self.who, values=tuple(labels), doc="populations")
        self.copier = Copier(model, self.builder, self.leaf, self.mean)
        self.op = self.copier.op
        self.own = self.builder.add("state", (), self.who, self.kind)

    def _axis_names(self) -> set[str]:
        return {axis.name for axes in self.axes.values() for axis in axes.values()}

    def united(self) -> Model:
        """The model with one population."""
        first = self.model.populations[0]
        share = self.builder.const(1 / len(self.names))
        who = StateVariable(
            name=self.who,
            type=self.builder.type_index(self.kind),
            doc="the population",
            initial=share,
            next=self.own,
        )
        player = first.model_copy(
            update={
                "name": ALL,
                "family": None,
                "index": None,
                "handle": None,
                "states": (who, *(self._state(a) for a in _distinct(self.axes["state"]))),
                "actions": tuple(
                    Variable(name=a.name, type=self.builder.type_index(a.type), doc="")
                    for a in _distinct(self.axes["action"])
                ),
                "noises": tuple(self._noise(a) for a in _distinct(self.axes["noise"])),
                "legal": self._legal(),
                "rewards": tuple(t for p in self.model.populations for t in self._terms(p)),
                "lets": (),
                "agents": None,
                "doc": "",
            }
        )
        return rebuilt(self.model, self.builder, [player], [self.enum])

    def leaf(self, node: Node, kind: Type, frame: Frame) -> Piece | None:
        """A variable of one population on its axis."""
        player, name = owner(self.model, frame, node.op, node.attr)
        axis = self.axes[node.op.split("_")[-1]][player.name, name]
        attr = (node.attr[0], axis.name) if isinstance(node.attr, tuple) else axis.name
        return self._valued(self.builder.add(node.op, (), attr, axis.type), axis, kind)

    def _valued(self, place: int, axis: Shared, kind: Type) -> int:
        """The value of type `kind` at a place on an axis; places beyond it repeat the last."""
        if axis.type == kind:
            return place
        inside = place
        if axis.type.size > kind.size:
            inside = self.op("min", place, self.builder.const(kind.size - 1, INT), type=INT)
        if kind.kind == "bool":
            return self.op("eq", inside, self.builder.const(1, INT), type=BOOL)
        return self.op("add", inside, self.builder.const(kind.first, INT), type=kind)

    def mean(self, node: Node, args: Sequence[int], frame: Frame) -> int:
        """A mean over one population."""
        assert isinstance(node.attr, tuple)
        depth, population = int(node.attr[0]), str(node.attr[1])
        theirs = self.builder.add("peer_state", (), (depth, self.who), self.kind)
        there = self._is(theirs, population)
        plain = node.op.removesuffix("_if")
        attr = (depth, ALL)
        if len(args) > 1:
            held = self.op("and", there, args[1], type=BOOL)
            return self.op(f"{plain}_if", args[0], held, attr=attr)
        value = self.op("if", there, args[0], self.builder.const(0))
        scale = self.builder.const(len(self.names))
        return self.op("mul", scale, self.op(plain, value, attr=attr))

    def _is(self, leaf: int, population: str) -> int:
        code = self.builder.const(self.names.index(population), self.kind)
        return self.op("eq", leaf, code, type=BOOL)

    def _chosen(self, cases: Sequence[tuple[str, int]], otherwise: int) -> int:
        """The value of the case of one's own population."""
        found = otherwise
        for population, value in reversed(cases):
            kind = self.builder.type_of(value)
            found = self.op("if", self._is(self.own, population), value, found, type=kind)
        return found

    def _users(self, sort: str, axis: Shared) -> list[tuple[Player, str]]:
        """Populations with a variable on an axis, and its name."""
        return [
            (self.model.player(player), name)
            for (player, name), found in self.axes[sort].items()
            if found is axis
        ]

    def _state(self, axis: Shared) -> StateVariable:
        leaf = self.builder.add("state", (), axis.name, axis.type)
        first = self.builder.const(axis.type.first, axis.type)
        starts, nexts = [], []
        for player, name in self._users("state", axis):
            state = next(s for s in player.states if s.name == name)
            frame = Frame(player.name)
            kind = self.model.types[state.type]
            start = self.copier.scalar(given(state.initial), frame)
            starts.append((player.name, self._on_axis(leaf, axis, kind, start)))
            after = self.copier.scalar(given(state.next), frame)
            nexts.append((player.name, self._placed(after, axis, kind)))
        alone = self.op("real", self.op("ind", self.op("eq", leaf, first, type=BOOL), type=INT))
        return StateVariable(
            name=axis.name,
            type=self.builder.type_index(axis.type),
            doc="",
            initial=self._chosen(starts, alone),
            next=self._chosen(nexts, leaf),
        )

    def _on_axis(self, leaf: int, axis: Shared, kind: Type, density: int) -> int:
        """A density that is 0 at places beyond the variable."""
        if axis.type == kind or axis.type.size == kind.size:
            return density
        inside = self.op("le", leaf, self.builder.const(kind.size - 1, INT), type=BOOL)
        return self.op("if", inside, density, self.builder.const(0))

    def _placed(self, value: int, axis: Shared, kind: Type) -> int:
        """The place of a value on an axis."""
        if axis.type == kind:
            return value
        if kind.kind == "bool":
            return self.op("ind", value, type=INT)
        return self.op("add", value, self.builder.const(-kind.first, INT), type=axis.type)

    def _noise(self, axis: Shared) -> NoiseVariable:
        leaf = self.builder.add("noise", (), axis.name, axis.type)
        cases = []
        for player, name in self._users("noise", axis):
            noise = next(n for n in player.noises if n.name == name)
            density = self.copier.scalar(given(noise.density), Frame(player.name))
            kind = self.model.types[noise.type]
            cases.append((player.name, self._on_axis(leaf, axis, kind, density)))
        first = self.builder.const(axis.type.first, axis.type)
        alone = self.op("real", self.op("ind", self.op("eq", leaf, first, type=BOOL), type=INT))
        return NoiseVariable(
            name=axis.name,
            type=self.builder.type_index(axis.type),
            doc="",
            density=self._chosen(cases, alone),
        )

    def _terms(self, player: Player) -> list[Term]:
        found = []
        for term in player.rewards:
            value = self.copier.scalar(term.node, Frame(player.name))
            here = self._chosen([(player.name, value)], self.builder.const(0))
            name = f"{player.name}.{term.name}"
            found.append(term.model_copy(update={"name": name, "node": here}))
        return found

    def _legal(self) -> int | None:
        """Own masks, and of each axis of actions only the places of the own variable."""
        true = self.builder.const(1, BOOL)
        cases = []
        for player in self.model.populations:
            parts = []
            if player.legal is not None:
                parts.append(self.copier.scalar(player.legal, Frame(player.name)))
            for axis in _distinct(self.axes["action"]):
                mine = [n for p, n in self._users("action", axis) if p is player]
                kinds = {a.name: self.model.types[a.type] for a in player.actions}
                size = kinds[mine[0]].size if mine else 1
                if size < axis.type.size:
                    leaf = self.builder.add("action", (), axis.name, axis.type)
                    last = self.builder.const(axis.type.first + size - 1, INT)
                    parts.append(self.op("le", leaf, last, type=BOOL))
            whole = self.op("and", *parts, type=BOOL) if parts else true
            cases.append((player.name, whole))
        return None if all(value == true for _, value in cases) else self._chosen(cases, true)


def variables_of(player: Player, sort: str) -> Sequence[Variable]:
    """The states, the actions or the noises of a player."""
    by_sort = {"state": player.states, "action": player.actions, "noise": player.noises}
    return by_sort[sort]


def shared_axes(
    model: Model, groups: Sequence[tuple[str, Sequence[Variable]]], taken: Collection[str]
) -> Axes:
    """The axis of each variable: one name and type share, the rest share by size.

    No axis has one of the names that are `taken`, nor have two the same.
    """
    found: Axes = {}
    common: dict[tuple[str, Type], Shared] = {}
    rest: list[tuple[str, Variable]] = []
    names = set(taken)
    for player, variable in ((player, v) for player, variables in groups for v in variables):
        kind = model.types[variable.type]
        users = sum(
            any(v.name == variable.name and model.types[v.type] == kind for v in others)
            for _, others in groups
        )
        if users < 2:
            rest.append((player, variable))
            continue
        key = (variable.name, kind)
        if key not in common:
            common[key] = Shared(free_name(variable.name, names), kind)
            names.add(common[key].name)
        found[player, variable.name] = common[key]
    by_player: dict[str, list[Variable]] = {}
    for player, variable in rest:
        by_player.setdefault(player, []).append(variable)
    ranked = [
        sorted(variables, key=lambda v: -model.types[v.type].size)
        for variables in by_player.values()
    ]
    for rank in range(max(map(len, ranked), default=0)):
        row = [
            (player, variables[rank])
            for player, variables in zip(by_player, ranked, strict=True)
            if rank < len(variables)
        ]
        kinds = [model.types[v.type] for _, v in row]
        size = max(k.size for k in kinds)
        shared = kinds[0] if len(row) == 1 else Type(kind="int", lo=0, hi=size - 1)
        name = "_".join(dict.fromkeys(v.name for _, v in row))
        axis = Shared(free_name(name, names), shared)
        names.add(axis.name)
        found |= {(player, v.name): axis for player, v in row}
    return found


def _distinct(axes: Axes) -> list[Shared]:
    """The axes, each once, in the order of first use."""
    return list({id(axis): axis for axis in axes.values()}.values())
