"""What a player sees, read off the model: own values, common ones, laws and sets of points.

Values that every agent sees alike stand once for each game. A common real array [n, d] with many
rows is read as a law on points: the order of its rows says nothing. So is a shown one of any number
of rows beside which another array says how much is at each of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from mfdsl.compiler.ir.model import Model, Player
from mfdsl.compiler.ir.types import Type
from mfdsl.compiler.ir.walk import reachable
from mfdsl.runtime.agents import AgentProgram

OWN = ("state", "trait", "draw")
FEWEST_POINTS = 8  # rows of an array that is read as a law


@dataclass(frozen=True)
class Feature:
    """One value by its name in the spec; `own` when agents see different ones."""

    name: str
    type: Type
    own: bool


@dataclass(frozen=True)
class Crowd:
    """A population whose law is seen: field name in the module, and what is seen of a member."""

    name: str
    field: str
    features: tuple[Feature, ...]


@dataclass(frozen=True)
class Sight:
    """What one acting player sees, and what it does.

    `own` values are [B, N, ...], `common` ones [B, ...]; `points` are common arrays [B, n, d] that
    stand for laws, `crowds` the populations whose law is seen. `masses` has the array [B, n] of how
    much is at each of the points (0: nothing), for those that have one.
    """

    player: str
    field: str
    single: bool
    own: tuple[Feature, ...]
    common: tuple[Feature, ...]
    points: tuple[Feature, ...]
    crowds: tuple[Crowd, ...]
    actions: tuple[Feature, ...]
    masses: Mapping[str, Feature]


def sights_of(
    program: AgentProgram, *, hidden: tuple[str, ...] = (), shown: tuple[str, ...] = ()
) -> tuple[Sight, ...]:
    """The sights of all players that act: without values named in `hidden`, and with those named in
    `shown`, which are common and which the spec shows to somebody not at all.

    Raises:
        ValueError: nobody sees a value to hide, or there is no such value to show.
    """
    model = model_of(program)
    acting = [p for p in model.players if p.actions]
    unseen = {f.name for p in acting for f in _unseen(model, p)}
    for name in shown:
        if name not in unseen:
            known = ", ".join(sorted(unseen)) or "nothing"
            raise ValueError(f"`{name}` cannot be shown: what somebody does not see is {known}")
    seen = {f.name for p in acting for f in _seen(model, p)}
    for name in hidden:
        if name not in seen:
            known = ", ".join(sorted(seen))
            raise ValueError(f"nobody sees `{name}`, so it cannot be hidden: known {known}")
    return tuple(_sight(program, model, p, hidden, shown) for p in acting)


def model_of(program: AgentProgram) -> Model:
    """The model of a program.

    Raises:
        ValueError: the program was loaded without one.
    """
    if program.model is None:
        raise ValueError(f"learning needs the model of {program.name} beside its module")
    return program.model


def _sight(
    program: AgentProgram,
    model: Model,
    player: Player,
    hidden: tuple[str, ...],
    shown: tuple[str, ...],
) -> Sight:
    fields = {name: field for field, name in program.names.items()}
    more = [f for f in _unseen(model, player) if f.name in shown]
    masses = _masses(more)
    listed = [f for f in _seen(model, player) if f.name not in hidden] + more
    seen = [f for f in listed if f not in masses.values()]
    points = tuple(f for f in seen if not f.own and (_many(f.type) or f.name in masses))
    single = player.kind != "population"
    return Sight(
        player.name,
        fields[player.name],
        single,
        tuple(f for f in seen if f.own and not single),
        tuple(f for f in seen if (single or not f.own) and f not in points),
        points,
        tuple(
            Crowd(name, fields[name], _members(model, model.player(name)))
            for name in player.observes_law
        ),
        tuple(Feature(a.name, model.types[a.type], True) for a in player.actions),
        masses,
    )


def _seen(model: Model, player: Player) -> list[Feature]:
    """What `observe` lists, or everything that is not private to others."""
    if player.observe:
        found = []
        for named in player.observe:
            node = model.nodes[named.node]
            kind = _clock(model) if node.op == "time" else model.types[node.type]
            found.append(Feature(named.name, kind, _own(model, named.node)))
        return found
    common = _common(model)
    own = [Feature(f.name, f.type, True) for f in _members(model, player)]
    return [*(own if player.kind == "population" else []), *common]


def _common(model: Model) -> list[Feature]:
    """The states of all that is no population, and the time."""
    states = [
        Feature(f"{other.name}.{v.name}", model.types[v.type], False)
        for other in model.players
        if other.kind != "population"
        for v in other.states
    ]
    return [*states, Feature("t", _clock(model), False)]


def _unseen(model: Model, player: Player) -> list[Feature]:
    """Common values that a player does not see; its own ones have short names among those seen."""
    seen = {f.name for f in _seen(model, player)}
    return [f for f in _common(model) if not {f.name, _short(f.name, player)} & seen]


def _short(name: str, player: Player) -> str:
    return name.removeprefix(f"{player.name}.")


def _masses(shown: list[Feature]) -> dict[str, Feature]:
    """By the name of an array of points [n, d], the array [n] of how much is at each of them.

    It is the only array of that length that belongs to the same player and is never below 0.
    """
    found = {}
    for points in shown:
        if points.type.kind != "real" or len(points.type.dims) != 2:
            continue
        owner = points.name.rpartition(".")[0]
        fitting = [
            f
            for f in shown
            if f.type.kind == "real"
            and f.type.dims == points.type.dims[:1]
            and f.type.lo == 0
            and f.name.rpartition(".")[0] == owner
        ]
        if len(fitting) == 1:
            found[points.name] = fitting[0]
    return found


def _members(model: Model, player: Player) -> tuple[Feature, ...]:
    variables = (*player.states, *player.traits)
    return tuple(Feature(v.name, model.types[v.type], True) for v in variables)


def _clock(model: Model) -> Type:
    """Time, as a bounded real where there is an end."""
    return Type(kind="real", lo=0, hi=model.horizon.steps)


def _own(model: Model, node: int) -> bool:
    return any(model.nodes[k].op in OWN for k in reachable(model.nodes, [node]))


def _many(kind: Type) -> bool:
    return kind.kind == "real" and len(kind.dims) == 2 and kind.dims[0] >= FEWEST_POINTS


def values_seen(program: AgentProgram, params: Any, time: Tensor, state: Any) -> dict[str, Any]:
    """All observed values {player: {name: tensor}} by the names of the spec, at one time."""
    seen = program.module.observe(params, time, state)
    common: dict[str, Tensor] = {"t": time}
    for field, name in program.names.items():
        if program.players[field] != "population":
            values = getattr(state, field, None)
            names = program.variables(field, "state") if values is not None else ()
            common |= {f"{name}.{k}": v for k, v in zip(names, values or (), strict=True)}
    found = {}
    for player in model_of(program).players:
        if player.actions:
            field = next(f for f, n in program.names.items() if n == player.name)
            own = getattr(state, field, None)
            listed = seen.get(player.name) or seen.get(field)
            if listed is None:
                named = program.variables(field, "state") if own is not None else ()
                listed = common | dict(zip(named, own or (), strict=True))
            # a module calls one's own states by their bare names, the views by their full ones
            found[player.name] = common | listed
    return found
