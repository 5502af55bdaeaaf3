"""The policy of a table played by agents of the game that the table stands for.

A continuous state falls on one of its two neighbours on the grid by chance, in proportion to how
near they are, as in the tables themselves.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mfdsl.compiler.ir.model import Model, Player
from mfdsl.compiler.ir.reduced import Coordinate, Past, Reduced
from mfdsl.runtime.behaviours import Scene, actions_of
from mfdsl.runtime.policy import Axis, TabularPolicy
from mfdsl.runtime.streams import draw
from mfdsl.runtime.views.native import available


class Places:
    """Where players stand in tables with these axes, and what their actions there mean.

    It follows the past of the common state, so the steps of a game are asked for in order.

    Raises:
        ValueError: the past of a game cannot be told from what happens in it.
    """

    def __init__(
        self, states: Sequence[Axis], actions: Sequence[Axis], reduced: Reduced, model: Model
    ) -> None:
        if reduced.past is not None and not reduced.past.told:
            raise ValueError(
                "members read common noise or a major's action itself, so the past cannot be told "
                "from the common states: make what they read a state"
            )
        self.states, self.actions, self.reduced, self.model = states, actions, reduced, model
        self._past: list[int] = []

    def standing(self, scene: Scene) -> dict[str, Tensor]:
        """The places of all who act among the states of the table, [B, N], of a major [B]."""
        if self.reduced.past is not None:
            self._past = _followed(self.reduced.past, self._past, scene)
        return {p.name: self._standing(p, scene) for p in self.model.players if p.actions}

    def moves(self, scene: Scene, taken: Mapping[str, Tensor]) -> Any:
        """The module's `Action`, from the places of everybody's actions in the table."""
        chosen = {}
        for name, place in taken.items():
            player = self.model.player(name)
            chosen[name] = self.values(player, place, self.rows_of(player, scene))
        return actions_of(scene, chosen)

    def _standing(self, player: Player, scene: Scene) -> Tensor:
        shape = scene.shape(player)
        flat = torch.zeros((), dtype=torch.int64, device=scene.params.unit.device)
        axes = zip(self.reduced.model.population.states, self.states, strict=True)
        for number, (variable, axis) in enumerate(axes):
            place = self._place(player, variable.name, scene)
            lead = place.reshape(-1, *[1] * (len(shape) - 1)) if place.ndim == 1 else place
            flat = flat * axis.size + lead if number else lead
        return flat.expand(shape)

    def _place(self, player: Player, name: str, scene: Scene) -> Tensor:
        device = scene.params.unit.device
        if name == self.reduced.who:
            return torch.tensor(self.reduced.populations.index(player.name), device=device)
        if self.reduced.past is not None and name == self.reduced.past.axis:
            return torch.tensor(self._past, device=device)
        for axis in self.reduced.states:
            common = self.model.player(axis.player).kind != "population"
            if axis.axis == name and (common or axis.player == player.name):
                return _position(axis, scene, _value(axis, self.model, scene))
        return torch.tensor(0, device=device)  # a variable of other populations

    def rows_of(self, player: Player, scene: Scene) -> Tensor | None:
        """Where actions are ranks: the joint action of the game at each rank, [B, N, ranks].

        None where the tables have the actions themselves.
        """
        choices = self.reduced.choices
        if choices is None:
            return None
        where = tuple(self._place(player, name, scene).cpu().numpy() for name in choices.states)
        rows = torch.from_numpy(choices.rows[choices.row_of[where]])
        return rows.to(scene.params.unit.device)

    def values(self, player: Player, flat: Tensor, rows: Tensor | None = None) -> dict[str, Tensor]:
        """Action variables from the places of actions in the table; ranks have their `rows_of`."""
        if rows is not None:
            flat = rows.expand(*flat.shape, -1).gather(-1, flat[..., None])[..., 0]
        places: dict[str, Tensor] = {}
        axes = self._axes()
        shape, left = flat.shape, len(axes)
        for name, size in reversed(axes):
            left -= 1
            places[name] = flat % size if left else flat
            flat = flat // size if left else flat
        found = {}
        for action in player.actions:
            kind = self.model.types[action.type]
            own = [
                c
                for c in self.reduced.actions
                if c.player == player.name and c.variable == action.name
            ]
            entries = [_of_place(c, places[c.axis]) for c in own]
            value = (
                torch.stack(entries, -1).reshape(*shape, *kind.dims) if kind.dims else entries[0]
            )
            found[action.name] = value.bool() if kind.kind == "bool" else value
        return found

    def _axes(self) -> list[tuple[str, int]]:
        """Names and sizes of the action axes that joint actions are flat over."""
        if self.reduced.choices is not None:
            return [(c.axis, c.size) for c in self.reduced.actions]
        actions = self.reduced.model.population.actions
        return [(v.name, axis.size) for v, axis in zip(actions, self.actions, strict=True)]


class Tabled:
    """A behaviour: everybody draws an action from the row of the own place.

    Raises:
        ValueError: the past of a game cannot be told from what happens in it.
    """

    def __init__(self, policy: TabularPolicy, reduced: Reduced, model: Model) -> None:
        self.policy = policy
        self.places = Places(policy.states, policy.actions, reduced, model)

    def __call__(self, scene: Scene) -> Any:
        """The actions of all agents."""
        standing = self.places.standing(scene)
        taken = {name: self.draw(name, flat, scene) for name, flat in standing.items()}
        return self.places.moves(scene, taken)

    def draw(self, player: str, flat: Tensor, scene: Scene) -> Tensor:
        """The places of the actions that are drawn at places of states, of the same shape."""
        u = _uniform(scene, f"policy.{player}", tuple(flat.shape))
        return drawn(self.rows(flat, scene), u)

    def rows(self, flat: Tensor, scene: Scene) -> Tensor:
        """Probabilities [..., A] of the actions of the table at places of its states."""
        probs = self.policy.probs.to(scene.params.unit)
        table = probs[:, min(scene.t, probs.shape[1] - 1)]
        games = torch.arange(len(flat) if len(table) > 1 else 1, device=flat.device)
        return table[games.reshape(-1, *[1] * (flat.ndim - 1)), flat]


def drawn(rows: Tensor, u: Tensor) -> Tensor:
    """Places drawn from probabilities [..., A] with uniform numbers [...]."""
    return picked(rows.cumsum(-1), u)


def picked(chances: Tensor, u: Tensor) -> Tensor:
    """Places drawn from cumulated probabilities [..., A] with uniform numbers [...]."""
    sought = (u * chances[..., -1])[..., None]
    found = torch.searchsorted(chances.contiguous(), sought, right=True)[..., 0]
    return found.clamp_(max=chances.shape[-1] - 1)


def picked_from(chances: Tensor, rows: Tensor, u: Tensor) -> Tensor:
    """Places [...] drawn from these rows [...] of cumulated probabilities [R, A] with uniform
    numbers [...]: `picked` of chances[rows], as a compiled loop on a CPU.
    """
    if chances.device.type != "cpu" or not available():
        return picked(chances[rows], u)
    from mfdsl.runtime.tabled_native import pick  # needs numba

    found = torch.empty(rows.shape, dtype=torch.int64)
    parts = (chances.contiguous(), rows.reshape(-1), u.reshape(-1), found.view(-1))
    pick(*(part.numpy() for part in parts))
    return found


def _of_place(axis: Coordinate, place: Tensor) -> Tensor:
    if axis.step is not None:
        return axis.low + axis.step * place
    return place + axis.first if axis.first else place


def _value(axis: Coordinate, model: Model, scene: Scene) -> Tensor:
    """One entry of a state or trait of all agents (or of the environment)."""
    program, player = scene.program, model.player(axis.player)
    field = next(f for f, name in program.names.items() if name == axis.player)
    place = program.variables(field, "state").index(axis.variable)
    value: Tensor = getattr(scene.state, field)[place]
    kept = next(v for v in (*player.states, *player.traits) if v.name == axis.variable)
    dims = model.types[kept.type].dims
    lead = value.shape[: value.ndim - len(dims)] if dims else value.shape
    whole = value.reshape(*lead, -1) if dims else value[..., None]
    shape = (scene.batch, *lead[1:])
    return whole[..., axis.entry].expand(shape)


def _position(axis: Coordinate, scene: Scene, value: Tensor) -> Tensor:
    """Places on an axis."""
    if axis.step is None:
        return value.long() - axis.first if axis.first else value.long()
    scaled = (value - axis.low) / axis.step
    below = scaled.floor()
    if not axis.periodic:
        below = below.clamp(0, axis.size - 2)
    u = _uniform(scene, f"policy.{axis.player}.{axis.axis}", tuple(value.shape))
    place = below.long() + (u < scaled - below).long()
    return place % axis.size if axis.periodic else place


def _uniform(scene: Scene, name: str, shape: tuple[int, ...]) -> Tensor:
    unit = scene.params.unit
    key = (scene.seed, scene.t, name)
    return draw(("uniform",), shape, key, dtype=unit.dtype, device=unit.device)


def _followed(past: Past, before: Sequence[int], scene: Scene) -> list[int]:
    """The past of every game at this step, from the one before and the common state now."""
    model = scene.program.model
    assert model is not None
    columns = []
    for player, name in past.variables:
        axis = Coordinate(player, name, 0, name, 0)
        columns.append(_value(axis, model, scene).tolist())
    states = [tuple(int(column[b]) for column in columns) for b in range(scene.batch)]
    if scene.t == 0:
        return [past.starts[state] for state in states]
    children = past.children[scene.t - 1]
    return [children[h, state] for h, state in zip(before, states, strict=True)]
