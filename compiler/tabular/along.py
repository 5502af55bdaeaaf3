"""The game along one path of its common noise: common states become parameters.

Where pasts of a common state are too many for tables, solvers draw some paths of it. Along one of
them everything common is known at each stage, so that what is left is a game of one population
whose parameters have a value for each stage, and tables as any other. That its players do not know
what is still to come is for those to see to who train or judge policies.
"""

from dataclasses import dataclass

from mfdsl.compiler.ir.build import Builder
from mfdsl.compiler.ir.model import Model, Named, Node, NoiseVariable, Parameter, Player
from mfdsl.compiler.ir.types import BOOL, INT, REAL, Type
from mfdsl.compiler.ir.walk import LAW, given, reachable
from mfdsl.compiler.tabular.common import common_name
from mfdsl.compiler.tabular.copying import Copier
from mfdsl.compiler.tabular.frames import Frame, NoTables, Piece, owner
from mfdsl.compiler.tabular.rebuild import copied, rebuilt


@dataclass(frozen=True)
class Along:
    """`model` is tabular; `parameters` has (environment, state) for each parameter with a value for
    each stage, `noises` (environment, noise) for those that are the standard draws of a stage.
    `seen` are the observed values that all members share, and that are not the stage alone.
    """

    model: Model
    parameters: dict[str, tuple[str, str]]
    seen: tuple[str, ...]
    noises: dict[str, tuple[str, str]]


def along_path(model: Model) -> Along:
    """The game along a path.

    Raises:
        NoTables: it has other players than one population with finite variables and environments
            that move by themselves, or no end.
    """
    _check(model)
    builder, (only,) = Builder(), model.populations
    path = _Path(model, builder)
    copier, frame = Copier(model, builder, path.leaf), Frame(only.name)
    made = copied(model, only, copier, Copier(model, builder, path.first))
    shown = [Named(name=n.name, node=_seen(n, copier, frame)) for n in only.observe]
    if not only.observe:  # nothing is hidden
        shown = _all_common(model, path, frame)
    made = made.model_copy(update={"observe": tuple(shown)})
    if not path.states:
        raise NoTables(f"nothing that {only.name} does or sees reads a common state")
    more = tuple(_parameter(name, builder.type_index(kind)) for name, kind in path.kinds.items())
    whole = rebuilt(model, builder, [made])
    kept = _kept(more, path.kinds, path.steps)
    whole = whole.model_copy(update={"parameters": (*whole.parameters, *kept)})
    seen = tuple(n.name for n in shown if _common(whole, n.node))
    return Along(whole, path.states, seen, path.noises)


class _Path:
    """Entries of parameters with a value for each stage in the place of common states and draws."""

    def __init__(self, model: Model, builder: Builder) -> None:
        self.model, self.builder = model, builder
        self.steps = model.horizon.steps or 0
        self.states: dict[str, tuple[str, str]] = {}
        self.noises: dict[str, tuple[str, str]] = {}
        self.kinds: dict[str, Type] = {}

    def leaf(self, node: Node, kind: Type, frame: Frame) -> Piece | None:
        """What stands for a leaf of the population, None for itself.

        Raises:
            NoTables: it is an array.
        """
        if not node.op.startswith("common_"):
            return None
        player, name = owner(self.model, frame, node.op, node.attr)
        if kind.dims:
            raise NoTables(f"`{name}` of {player.name} is an array", "write out its entries")
        if node.op == "common_state":
            known = common_name(player.name, name)
            self.states[known] = player.name, name
            return self._entry(known, kind)
        noise = next(n for n in player.noises if n.name == name)
        known = common_name(player.name, f"{name}_draw")
        self.noises[known] = player.name, name
        draw = self._entry(known, REAL)
        return draw if noise.density is None else self._value(player, noise, kind, draw)

    def first(self, node: Node, kind: Type, frame: Frame) -> Piece | None:
        """The same at t = 0, where no time is known.

        Raises:
            NoTables: it is an array.
        """
        if node.op != "common_state":
            return None
        player, name = owner(self.model, frame, node.op, node.attr)
        if kind.dims:
            raise NoTables(f"`{name}` of {player.name} is an array", "write out its entries")
        known = common_name(player.name, name)
        self.states[known] = player.name, name
        return self._entry(known, kind, self.builder.const(0, INT))

    def _entry(self, name: str, kind: Type, stage: int | None = None) -> int:
        """The entry of a parameter at the stage."""
        add = self.builder.add
        self.kinds[name] = kind.model_copy(update={"dims": (self.steps,)})
        whole = add("param", (), name, self.kinds[name])
        at = add("time", (), None, INT) if stage is None else stage
        return add("element", [whole, at], None, kind)

    def _value(self, player: Player, noise: NoiseVariable, kind: Type, draw: int) -> int:
        """The first value whose cumulated probability is above a uniform draw, as simulators do."""
        add, const, frame = self.builder.add, self.builder.const, Frame(player.name)
        below, value = const(0.0), const(kind.first, kind)
        for number in range(kind.first, kind.first + kind.size - 1):

            def at(node: Node, own: Type, within: Frame, number: int = number) -> Piece | None:
                if node.op == "common_noise" and node.attr == (player.name, noise.name):
                    return const(number, own)
                return self.leaf(node, own, within)

            mass = Copier(self.model, self.builder, at).scalar(given(noise.density), frame)
            below = add("add", [below, mass])
            beyond = add("le", [below, draw], None, BOOL)
            value = add("if", [beyond, const(number + 1, kind), value], None, kind)
        return value


def _seen(seen: Named, copier: Copier, frame: Frame) -> int:
    """The copy of an observed value.

    Raises:
        NoTables: it is an array, or reads a draw that has not been made.
    """
    nodes = copier.model.nodes
    if any(nodes[i].op == "common_noise" for i in reachable(nodes, [seen.node])):
        raise NoTables(f"policies see a draw of this stage in `{seen.name}`")
    piece = copier.copy(seen.node, frame)
    if not isinstance(piece, int):
        raise NoTables(f"policies see an array, `{seen.name}`", "list its entries in `observe`")
    return piece


def _all_common(model: Model, path: _Path, frame: Frame) -> list[Named]:
    """Every common state that is a scalar."""
    found = []
    for player in (p for p in model.players if p.kind == "environment"):
        for variable in player.states:
            kind, attr = model.types[variable.type], (player.name, variable.name)
            if not kind.dims:
                node = Node(op="common_state", attr=attr, type=variable.type)
                piece = path.leaf(node, kind, frame)
                assert isinstance(piece, int)
                found.append(Named(name=f"{player.name}.{variable.name}", node=piece))
    return found


def _parameter(name: str, type: int) -> Parameter:
    return Parameter(name=name, type=type, value=(), default=None, structural=False, doc="")


def _kept(
    parameters: tuple[Parameter, ...], kinds: dict[str, Type], steps: int
) -> tuple[Parameter, ...]:
    """Parameters with a value for each stage: the lowest of their range, or 0."""
    found = []
    for parameter in parameters:
        kind = kinds[parameter.name]
        values = (0.0 if kind.kind == "real" else kind.first,) * steps
        found.append(parameter.model_copy(update={"value": values, "default": values}))
    return tuple(found)


def _common(model: Model, root: int) -> bool:
    """Whether an observed value is read off more than the stage, and off nobody's own state."""
    nodes = [model.nodes[i] for i in reachable(model.nodes, [root])]
    ops = {n.op for n in nodes}
    return "state" not in ops and bool(ops & {"param", *LAW})


def _check(model: Model) -> None:
    others = [p for p in model.players if p.kind != "population"]
    if any(p.kind == "major" for p in others):
        raise NoTables("its majors choose, and paths of their states are not given")
    if len(model.populations) != 1 or model.horizon.kind != "finite":
        raise NoTables("paths are of games of one population that end")
    if not others:
        raise NoTables("it has no common state", "leave `paths` out")
    only = model.population
    if only.traits:
        raise NoTables(
            f"{only.name} has traits, and paths are of games whose members differ by states alone",
            f"make `{only.traits[0].name}` a state that stays",
        )
    for variable in (*only.states, *only.actions, *only.noises):
        kind = model.types[variable.type]
        if not kind.finite or kind.dims:
            raise NoTables(
                f"`{variable.name}` of {only.name} is {'an array' if kind.dims else 'continuous'},"
                " and paths are of finite states, actions and noises",
                "put it on points in the spec, as `mfax_endogenous` does",
            )
    ends = [term.node for term in only.rewards if term.final]
    if any(model.nodes[i].op == "common_state" for i in reachable(model.nodes, ends)):
        raise NoTables(
            f"a final reward of {only.name} reads a common state, whose last shock nobody knows who"
            " decides",
            "pay it with the last decision: `if t == T - 1 then ... else 0`",
        )
    for player in others:
        _check_alone(model, player)


def _check_alone(model: Model, player: Player) -> None:
    """Refuse a common state whose path is for the law to set."""
    roots = [given(s.next) for s in player.states]
    roots += [n.density for n in player.noises if n.density is not None]
    for index in reachable(model.nodes, roots):
        if model.nodes[index].op in LAW:
            raise NoTables(f"the law moves the states of {player.name}")
