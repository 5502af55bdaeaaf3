"""What players do in a simulation: nothing, anything at random, or what a function says."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from mfdsl.compiler.ir.model import Model, Player
from mfdsl.compiler.ir.types import Type
from mfdsl.runtime.agents import AgentProgram
from mfdsl.runtime.own_actions import ActionError, fitting, tensor_of
from mfdsl.runtime.streams import draw

REST = ("stay", "still", "stay_here", "wait", "idle", "none", "nothing")

Observation = Mapping[str, Mapping[str, Tensor]]
Choice = Mapping[str, Mapping[str, Tensor]] | Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Scene:
    """What a behaviour may look at: the game at step t, with B games and `agents` by population."""

    program: AgentProgram
    params: Any
    t: int
    time: Tensor
    state: Any
    batch: int
    agents: Mapping[str, int]
    seed: int

    def shape(self, player: Player) -> tuple[int, ...]:
        """Leading axes of the actions of a player: [B, N], or [B] for a major."""
        if player.kind == "population":
            return (self.batch, self.agents[player.name])
        return (self.batch,)


class Behaviour(Protocol):
    """Gives the actions of all players that act, as the module's `Action`."""

    def __call__(self, scene: Scene) -> Any:
        """The actions in a scene."""
        ...


def still(scene: Scene) -> Any:
    """Nobody does anything: 0, or the action called `stay` and the like, or the first legal one."""
    masks = _masks(scene)

    def rest(player: Player, name: str, kind: Type) -> Tensor:
        shape = (*scene.shape(player), *kind.dims)
        place = scene.params.unit
        if kind.kind == "real":
            low = -torch.inf if kind.lo is None else float(kind.lo)
            high = torch.inf if kind.hi is None else float(kind.hi)
            return torch.full(
                shape, min(max(0.0, low), high), dtype=place.dtype, device=place.device
            )
        value = _resting(scene.program.model, kind)
        dtype = torch.bool if kind.kind == "bool" else torch.int64
        return torch.full(shape, value, dtype=dtype, device=place.device)

    return _actions(scene, rest, _first_legal, masks)


def uniform(scene: Scene) -> Any:
    """All legal actions equally often, and every point of a box or ball.

    Raises:
        ValueError: an action is unbounded, so that there is no uniform law on it.
    """
    masks = _masks(scene)

    def anything(player: Player, name: str, kind: Type) -> Tensor:
        shape = (*scene.shape(player), *kind.dims)
        key = (scene.seed, scene.t, f"policy.{player.name}.{name}")
        if kind.kind != "real":
            u = _standard(scene, ("uniform",), shape, key)
            value = u.mul_(kind.size).long().clamp_(max=kind.size - 1).add_(kind.first)
            return value.bool() if kind.kind == "bool" else value
        if kind.ball is not None:
            return _in_ball(scene, shape, key, kind.ball)
        if kind.lo is None or kind.hi is None:
            raise ValueError(
                f"the action {name} of {player.name} is unbounded, so no law on it is uniform:"
                " play `still`, or a function of your own"
            )
        low, width = _ends(kind, scene.params.unit)
        return _standard(scene, ("uniform",), shape, key).mul_(width).add_(low)

    def legal(player: Player, mask: Tensor, wanted: Tensor) -> Tensor:
        key = (scene.seed, scene.t, f"legal.{player.name}")
        u = _standard(scene, ("uniform",), tuple(mask.shape[:-1]), key)
        counts = mask.cumsum(-1)
        goal = (u * counts[..., -1]).floor() + 1
        return (counts >= goal[..., None]).int().argmax(-1)

    return _actions(scene, anything, legal, masks)


def observation(scene: Scene) -> dict[str, dict[str, Tensor]]:
    """What each acting player may see, by the names of the spec."""
    program, module = scene.program, scene.program.module
    model = _model(program)
    seen: dict[str, dict[str, Tensor]] = module.observe(scene.params, scene.time, scene.state)
    common: dict[str, Tensor] = {}
    for field, name in program.names.items():
        if program.players[field] != "population":
            values = getattr(scene.state, field, None)
            common |= {f"{name}.{k}": v for k, v in (values._asdict() if values else {}).items()}
    found: dict[str, dict[str, Tensor]] = {}
    for player in model.players:
        if not player.actions:
            continue
        shown = seen.get(player.name) or seen.get(_field(program, player.name))
        if shown is None:
            own = getattr(scene.state, _field(program, player.name), None)
            shown = {**common, "t": scene.time}
            if player.kind == "population" and own is not None:
                shown |= own._asdict()
        found[player.name] = dict(shown)
    return found


def actions_of(scene: Scene, chosen: Choice, *, check: bool = False) -> Any:
    """Actions by name as the module's tuples, checked for names and shapes; their values and what
    is legal as well where somebody's own function may have made them.

    Raises:
        ActionError: the actions are none of this game.
    """
    model = _model(scene.program)
    acting = [p for p in model.players if p.actions]
    if len(acting) == 1 and acting[0].name not in chosen:
        chosen = cast(Choice, {acting[0].name: chosen})
    groups = []
    for player in acting:
        given = _of_player(chosen, player, acting)
        values = []
        for action in player.actions:
            kind = model.types[action.type]
            name, device = f"`{action.name}` of {player.name}", scene.params.unit.device
            if check:
                value = fitting(tensor_of(given[action.name], device, name), kind, name)
            else:
                value = torch.as_tensor(given[action.name], device=device)
            if kind.kind == "real":
                value = value.to(scene.params.unit.dtype)
            shape = (*scene.shape(player), *kind.dims)
            try:
                values.append(value.expand(shape))
            except RuntimeError:
                raise ActionError(
                    f"{name} has shape {list(value.shape)}, expected {list(shape)}"
                ) from None
        groups.append((_field(scene.program, player.name), values))
    if check:
        _check_legal(scene, acting, groups)
    return _tupled(scene.program.module, groups)


def _of_player(chosen: Choice, player: Player, acting: Sequence[Player]) -> Mapping[str, Any]:
    """The actions of a player by name."""
    given = chosen.get(player.name)
    if given is None:
        known = ", ".join(p.name for p in acting)
        raise ActionError(f"the policy gives no actions of {player.name}; who acts: {known}")
    names = [action.name for action in player.actions]
    if not isinstance(given, Mapping):
        wanted = ", ".join(f'"{name}": ...' for name in names)
        raise ActionError(
            f"the policy gives {type(given).__name__} as actions of {player.name}, not actions by"
            f" name: {{{wanted}}}"
        )
    for name in names:
        if name not in given:
            there = ", ".join(map(str, given)) or "nothing"
            raise ActionError(f"the policy gives no `{name}` of {player.name}, but {there}")
    return given


def _check_legal(
    scene: Scene, acting: Sequence[Player], groups: Sequence[tuple[str, list[Tensor]]]
) -> None:
    """Refuse actions that `where` forbids."""
    masks = _masks(scene)
    for player, (field, values) in zip(acting, groups, strict=True):
        mask = masks.get(field, masks.get(player.name))
        if mask is None:
            continue
        flat = _flat(scene, player, values)
        mask = mask.expand(*scene.shape(player), mask.shape[-1])
        if not bool(mask.gather(-1, flat[..., None]).all()):
            named = ", ".join(f"`{action.name}`" for action in player.actions)
            raise ActionError(f"{named} of {player.name} takes a value that `where` forbids there")


def _flat(scene: Scene, player: Player, values: Sequence[Tensor]) -> Tensor:
    """The finite actions of a player as one number, row by row."""
    kinds = [_model(scene.program).types[a.type] for a in player.actions]
    flat = torch.zeros(scene.shape(player), dtype=torch.int64, device=scene.params.unit.device)
    for kind, value in zip(kinds, values, strict=True):
        if kind.finite and not kind.dims:
            flat = flat * kind.size + value.long() - kind.first
    return flat


def _tupled(module: Any, groups: list[tuple[str, list[Tensor]]]) -> Any:
    """The nested `Action` of a module."""
    kinds = module.Action.__annotations__
    return module.Action(**{field: kinds[field](*values) for field, values in groups})


def _actions(
    scene: Scene,
    choose: Callable[[Player, str, Type], Tensor],
    legal: Callable[[Player, Tensor, Tensor], Tensor],
    masks: Mapping[str, Tensor],
) -> Any:
    """Actions of all players by a rule for each variable; masked ones by a rule for all at once."""
    model = _model(scene.program)
    groups = []
    for player in model.players:
        if not player.actions:
            continue
        kinds = [model.types[a.type] for a in player.actions]
        field = _field(scene.program, player.name)
        values = [choose(player, a.name, k) for a, k in zip(player.actions, kinds, strict=True)]
        mask = masks.get(field, masks.get(player.name))
        if mask is not None:
            finite = [i for i, kind in enumerate(kinds) if kind.finite and not kind.dims]
            flat = _flat(scene, player, values)
            flat = legal(player, mask.expand(*scene.shape(player), mask.shape[-1]), flat)
            for i in reversed(finite):
                value = flat % kinds[i].size + kinds[i].first
                values[i] = value.bool() if kinds[i].kind == "bool" else value
                flat = flat // kinds[i].size
        groups.append((field, values))
    return _tupled(scene.program.module, groups)


def _first_legal(player: Player, mask: Tensor, wanted: Tensor) -> Tensor:
    """The wanted action where it is legal, else the first legal one."""
    allowed = mask.gather(-1, wanted[..., None])[..., 0]
    return torch.where(allowed, wanted, mask.int().argmax(-1))


def _masks(scene: Scene) -> Mapping[str, Tensor]:
    found: Mapping[str, Tensor] = scene.program.module.legal(scene.params, scene.time, scene.state)
    return found


def _standard(
    scene: Scene, law: tuple[str, ...], shape: tuple[int, ...], key: tuple[int, int, str]
) -> Tensor:
    unit = scene.params.unit
    return draw(law, shape, key, dtype=unit.dtype, device=unit.device)


def _in_ball(
    scene: Scene, shape: tuple[int, ...], key: tuple[int, int, str], radius: float
) -> Tensor:
    """Uniform points of a ball: normal directions, radii with density r^(d - 1)."""
    z = _standard(scene, ("normal",), shape, key)
    u = _standard(scene, ("uniform",), shape[:-1], (key[0], key[1], f"{key[2]}.radius"))
    length = z.norm(dim=-1, keepdim=True).clamp(min=1e-12)
    point: Tensor = radius * u[..., None] ** (1 / shape[-1]) * z / length
    return point


def _ends(kind: Type, unit: Tensor) -> tuple[Tensor | float, Tensor | float]:
    """The lower ends and the widths of a box."""
    if kind.box is not None:
        low, high = (unit.new_tensor([ends[k] for ends in kind.box]) for k in (0, 1))
        return low, high - low
    assert kind.lo is not None and kind.hi is not None
    return float(kind.lo), float(kind.hi) - float(kind.lo)


def _resting(model: Model | None, kind: Type) -> int:
    """The value of a finite action that changes least: a rest by name, else 0, else the lowest."""
    names: tuple[str, ...] = ()
    if model is not None and kind.kind == "enum":
        names = next(e.values for e in model.enums if e.name == kind.name)
    if model is not None and kind.kind == "move":
        names = tuple(m[0] for g in model.grids if g.name == kind.name for m in g.moves)
    resting = next((k for k, name in enumerate(names) if name in REST), None)
    if resting is not None:
        return resting
    return 0 if kind.first <= 0 < kind.first + kind.size else kind.first


def _field(program: AgentProgram, name: str) -> str:
    return next(field for field, shown in program.names.items() if shown == name)


def _model(program: AgentProgram) -> Model:
    if program.model is None:
        raise ValueError("a behaviour needs the model of the game beside its module")
    return program.model
