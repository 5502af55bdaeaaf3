"""The game along one path of its common noise: common states become parameters.

Where pasts of a common state are too many for tables, solvers draw some paths of it. Along one of
them everything common is known at each stage, so that what is left is a game of one population
whose parameters have a value for each stage, and tables as any other. That its players do not know
what is still to come is for those to see to who train or judge policies.
"""

from dataclasses import dataclass

from mfdsl.compiler.ir.build import Builder
from mfdsl.compiler.ir.model import Model, Named, Node, Parameter, Player
from mfdsl.compiler.ir.types import INT, Type
from mfdsl.compiler.ir.walk import LAW, given, reachable
from mfdsl.compiler.tabular.common import common_name
from mfdsl.compiler.tabular.copying import Copier
from mfdsl.compiler.tabular.frames import Frame, NoTables, Piece, owner
from mfdsl.compiler.tabular.rebuild import copied, rebuilt


@dataclass(frozen=True)
class Along:
    """`model` is tabular; `parameters` has (environment, variable) for each parameter with a value
    for each stage. `seen` are the observed values that all members share, and that are not the
    stage alone.
    """

    model: Model
    parameters: dict[str, tuple[str, str]]
    seen: tuple[str, ...]


def along_path(model: Model) -> Along:
    """The game along a path.

    Raises:
        NoTables: it has other players than one population with finite variables and environments
            that move by themselves, or no end.
    """
    _check(model)
    builder, (only,) = Builder(), model.populations
    found: dict[str, tuple[str, str]] = {}
    kinds: dict[str, Type] = {}
    steps = model.horizon.steps or 0

    def leaf(node: Node, kind: Type, frame: Frame) -> Piece | None:
        if not node.op.startswith("common_"):
            return None
        player, name = owner(model, frame, node.op, node.attr)
        if node.op != "common_state":
            raise NoTables(f"{only.name} reads the draws of a common noise, `{name}`")
        known = common_name(player.name, name)
        found[known] = player.name, name
        kinds[known] = kind.model_copy(update={"dims": (steps,)})
        whole = builder.add("param", (), known, kinds[known])
        return builder.add("element", [whole, builder.add("time", (), None, INT)], None, kind)

    copier, frame = Copier(model, builder, leaf), Frame(only.name)
    made = copied(model, only, copier)
    shown = [Named(name=n.name, node=copier.scalar(n.node, frame)) for n in only.observe]
    made = made.model_copy(update={"observe": tuple(shown)})
    more = tuple(_parameter(name, builder.type_index(kind)) for name, kind in kinds.items())
    whole = rebuilt(model, builder, [made])
    whole = whole.model_copy(update={"parameters": (*whole.parameters, *_kept(more, kinds, steps))})
    seen = tuple(n.name for n in shown if _common(whole, n.node))
    return Along(whole, found, seen)


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
    for variable in (*only.states, *only.traits, *only.actions, *only.noises):
        if not model.types[variable.type].finite or only.traits:
            raise NoTables(
                f"`{variable.name}` of {only.name} is continuous or a trait, and paths are of"
                " finite states",
                "put it on points in the spec, as `mfax_endogenous` does",
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
