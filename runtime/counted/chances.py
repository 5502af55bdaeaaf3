"""What players do by its probabilities at all places, instead of one draw for each agent."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from mfdsl.compiler.ir.model import Model, Player
from mfdsl.compiler.ir.walk import reachable
from mfdsl.runtime.behaviours import Behaviour, Scene, still, uniform
from mfdsl.runtime.tabled import Tabled


@dataclass(frozen=True, eq=False)
class Choice:
    """Probabilities [B or 1, S, A] of the own joint actions at the places of each population by
    field name, and the actions of each major as the tuple of the module.
    """

    chances: Mapping[str, NDArray[np.float64]]
    majors: Mapping[str, Any]


class Chances(Protocol):
    """A policy by its probabilities; `fixed` says that they always are the same."""

    @property
    def fixed(self) -> bool:
        """Whether it reads neither time nor a common state, and no major draws."""
        ...

    def __call__(self, scene: Scene) -> Choice:
        """What everybody does in a scene with one agent at each place."""
        ...


def chances_of(behaviour: Behaviour, model: Model) -> Chances | None:
    """The probabilities of a behaviour, None where it only has draws."""
    if behaviour is uniform:
        return _Plain(_evenly, _masks_stay(model))
    if behaviour is still:
        return _Plain(_at_rest, _masks_stay(model))
    if isinstance(behaviour, Tabled):
        return _Rows(behaviour)
    return None


def _masks_stay(model: Model) -> bool:
    """Whether legal actions read neither time nor a common state, and only populations act."""
    roots = [p.legal for p in model.players if p.legal is not None]
    ops = {model.nodes[k].op for k in reachable(model.nodes, roots)}
    acting = all(p.kind == "population" for p in model.players if p.actions)
    return acting and not any(op == "time" or op.startswith("common_") for op in ops)


@dataclass(frozen=True)
class _Plain:
    """What a function says."""

    function: Callable[[Scene], Choice]
    fixed: bool

    def __call__(self, scene: Scene) -> Choice:
        return self.function(scene)


def _evenly(scene: Scene) -> Choice:
    """All legal actions equally often."""
    masks = scene.program.module.legal(scene.params, scene.time, scene.state)
    found = {}
    for field, player in _acting(scene):
        mask = masks.get(field, masks.get(player.name))
        shape = (1, 1, _actions(scene, player)) if mask is None else mask.shape
        found[field] = np.ones(shape) if mask is None else mask.cpu().numpy().astype(np.float64)
    return Choice(found, _majors(scene, uniform))


def _at_rest(scene: Scene) -> Choice:
    """One action at each place, for certain."""
    chosen = still(scene)
    found = {}
    for field, player in _acting(scene):
        flat = torch.zeros((), dtype=torch.int64)
        for variable, value in zip(player.actions, getattr(chosen, field), strict=True):
            kind = _model(scene).types[variable.type]
            flat = flat * kind.size + (value.long().cpu() - kind.first)
        found[field] = np.eye(_actions(scene, player))[flat.numpy()]
    return Choice(found, {f: getattr(chosen, f) for f in chosen._fields if f not in found})


class _Rows:
    """The rows of a table."""

    def __init__(self, behaviour: Tabled) -> None:
        self.behaviour = behaviour
        alone = all(p.kind == "population" for p in behaviour.places.model.players)
        self.fixed = alone and behaviour.policy.probs.shape[1] == 1
        self._standing: Mapping[str, torch.Tensor] | None = None
        self._stays = alone  # where nothing is common, places stand where they did

    def __call__(self, scene: Scene) -> Choice:
        places = self.behaviour.places
        if self._standing is None or not self._stays:
            self._standing = places.standing(scene)
        standing = self._standing
        found, taken = {}, {}
        for field, player in _acting(scene):
            rows = self.behaviour.rows(standing[player.name], scene)
            own = self._own(player, rows.shape[-1], scene).to(rows.device).expand(rows.shape)
            whole = rows.new_zeros(*rows.shape[:-1], _actions(scene, player))
            found[field] = whole.scatter_add_(-1, own, rows).double().cpu().numpy()
            taken[player.name] = torch.zeros_like(standing[player.name])
        majors = [name for name in standing if name not in taken]
        if not majors:
            return Choice(found, {})
        taken |= {n: self.behaviour.draw(n, standing[n], scene) for n in majors}
        acts = places.moves(scene, taken)
        return Choice(found, {f: getattr(acts, f) for f in acts._fields if f not in found})

    def _own(self, player: Player, count: int, scene: Scene) -> torch.Tensor:
        """The place among the own joint actions of each action of the table, [A] or [..., A]."""
        places = self.behaviour.places
        if (ranked := places.rows_of(player, scene)) is not None:
            return ranked
        values = places.values(player, torch.arange(count))
        flat = torch.zeros(count, dtype=torch.int64)
        for variable in player.actions:
            kind = places.model.types[variable.type]
            flat = flat * kind.size + (values[variable.name].long() - kind.first)
        return flat


def _majors(scene: Scene, behaviour: Behaviour) -> Mapping[str, Any]:
    """What majors draw."""
    acting = [p for p in _model(scene).players if p.actions and p.kind != "population"]
    if not acting:
        return {}
    chosen = behaviour(scene)
    names = [p.name for p in acting]
    return {f: getattr(chosen, f) for f in chosen._fields if scene.program.names[f] in names}


def _acting(scene: Scene) -> list[tuple[str, Player]]:
    """The populations that act, by field name."""
    names, model = scene.program.names, _model(scene)
    found = [(f, model.player(names[f])) for f in scene.program.populations]
    return [(field, player) for field, player in found if player.actions]


def _actions(scene: Scene, player: Player) -> int:
    return prod(_model(scene).types[a.type].size for a in player.actions)


def _model(scene: Scene) -> Model:
    assert scene.program.model is not None
    return scene.program.model
