"""Policies of agents read off as tables: scenes with one agent at each place of the tables.

A policy is asked stage after stage; the law of its own flow is known by then, so that it may read
that law. Several common states are games side by side.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod
from typing import Any, Protocol

import torch
from torch import Tensor

from mfdsl.compiler.ir.model import Model, Player
from mfdsl.compiler.ir.reduced import Coordinate, Reduced
from mfdsl.compiler.ir.types import Type
from mfdsl.compiler.ir.walk import MEANS, reachable
from mfdsl.runtime.agents import AgentProgram
from mfdsl.runtime.behaviours import Scene
from mfdsl.runtime.evaluate import View, build_view
from mfdsl.runtime.flow import Flow
from mfdsl.runtime.policy import TabularPolicy
from mfdsl.runtime.program import Params, Program

MOST_ENTRIES = 20_000_000  # of a policy
ROUNDS = 50  # in search of a stationary law that the policy, reading it, keeps
AGREE = 1e-9


@dataclass(frozen=True, eq=False)
class Tables:
    """The tables of a game, and how places there stand for its agents.

    `program` are the agents of the game, `params` theirs; `table_params` those of the tables.
    """

    program: AgentProgram
    params: Params
    tables: Program
    table_params: Params
    reduced: Reduced

    @property
    def model(self) -> Model:
        """The game of the agents."""
        assert self.program.model is not None
        return self.program.model

    @cached_property
    def view(self) -> View:
        """The game of the tables, exactly."""
        return build_view(self.tables, self.table_params)

    def entries(self, stages: int) -> int:
        """The size of a policy."""
        return self.tables.state_count * self.tables.action_count * stages


@dataclass(frozen=True, eq=False)
class Placed(Scene):
    """A scene with one agent at each place, who do not all count alike: `masses` [B, N] by the
    field name of the population are the law there (adding up to 1, or 0 where nobody ever is).
    """

    masses: Mapping[str, Tensor]


class Chances(Protocol):
    """A policy of agents by its probabilities."""

    def __call__(self, scene: Placed) -> Mapping[str, Tensor]:
        """Probabilities of the own actions [B, N, A] of each acting population by field name, and
        [B, A] of each major: row-major over its action variables and their entries, real ones on
        their grids.
        """


@dataclass(frozen=True, eq=False)
class Rows:
    """Where the players of one kind stand in the tables: `flat` [B, N] places of states, -1 where
    the tables have none; `actions` [A] places of the own actions.
    """

    player: Player
    field: str
    flat: Tensor
    actions: Tensor


def observes_means(model: Model) -> bool:
    """Whether somebody observes a mean, which agents at places do not have."""
    seen = [named.node for p in model.players if p.actions for named in p.observe]
    return any(model.nodes[k].op in MEANS for k in reachable(model.nodes, seen))


def read_off(tables: Tables, view: View, chances: Chances) -> TabularPolicy:
    """The policy as a table [1, T, S, A]; places where nobody can be are played uniformly.

    Raises:
        ValueError: pasts cannot be told from common states, or no law of a stationary game is kept
            by a policy that reads it.
    """
    if tables.reduced.past is not None and not tables.reduced.past.told:
        raise ValueError("the past cannot be told from the common states")
    if tables.tables.kind == "stationary":
        return _kept(tables, view, chances)
    probs = view.uniform().probs[:1].clone()
    program, params = tables.tables, tables.table_params
    law = program.module.initial_law(params).reshape(1, *program.states.values()).to(probs)
    for t in range(probs.shape[1]):
        _fill(tables, chances, t, law.reshape(-1), probs[0, t])
        share = probs[:, t].reshape(1, program.state_count, program.action_count)
        joint = law.reshape(1, -1, 1) * share
        shape = (1, *program.states.values(), *program.actions.values())
        time = torch.tensor(t, device=probs.device)
        law = program.module.push(params, time, joint.reshape(shape))
    return view.policy(probs)


def _kept(tables: Tables, view: View, chances: Chances) -> TabularPolicy:
    """The policy at the stationary law that it keeps, which it may read."""
    policy = view.policy(view.uniform().probs[:1])
    law = view.laws(policy)[0, 0]
    for _ in range(ROUNDS):
        probs = policy.probs.clone()
        _fill(tables, chances, 0, law, probs[0, 0])
        moved = (probs - policy.probs).abs().max().item()
        policy = view.policy(probs)
        if moved <= AGREE:
            return policy
        law = view.laws(policy)[0, 0]
    raise ValueError("the policy reads the law, and no stationary law is kept by it")


def _fill(tables: Tables, chances: Chances, t: int, law: Tensor, table: Tensor) -> None:
    """Write what a policy does at a stage into the table [S, A]."""
    scene, rows = placed(tables, t, law)
    with torch.no_grad():
        found = chances(scene)
    for row in rows:
        if row.field not in found:
            continue
        given = found[row.field]
        given = given[:, None] if given.ndim == 2 else given
        flat = row.flat.reshape(-1)
        there = flat >= 0
        values = given.reshape(len(flat), -1)[there].to(table)
        whole = torch.zeros(len(values), table.shape[1], dtype=table.dtype, device=table.device)
        whole[:, row.actions] = values / values.sum(-1, keepdim=True)
        table[flat[there]] = whole


def followed_by(
    tables: Tables, policy: TabularPolicy, flow: Flow, chances: Chances
) -> TabularPolicy:
    """The table of one player that does something else along the flow of a policy.

    Players of whom `chances` say nothing follow the policy.
    """
    probs = policy.probs[:1].clone()
    for t in range(probs.shape[1]):
        _fill(tables, chances, t, flow.laws[0, t], probs[0, t])
    return tables.view.policy(probs)


def placed(tables: Tables, t: int, law: Tensor) -> tuple[Placed, list[Rows]]:
    """The scene at a stage with agents at all places, where the law [S] is the masses."""
    commons = _commons(tables, t)
    rows, groups, masses = [], {}, {}
    program, model = tables.program, tables.model
    kinds = program.module.State.__annotations__
    for field in program.module.State._fields:
        player = model.player(program.names[field])
        own = _own(tables, player)
        single = player.kind != "population"
        values = [
            _values(tables, player, v.name, model.types[v.type], commons, own)
            for v in (*player.states, *player.traits)
        ]
        groups[field] = kinds[field](*values)
        if not single:
            flat = _flat(tables, player, commons, own)
            mass = torch.where(flat >= 0, law[flat.clamp(min=0)], 0.0)
            masses[field] = (mass / mass.sum(1, keepdim=True).clamp(min=1e-300)).to(
                tables.params.unit
            )
    for player in model.players:
        if player.actions:
            field = next(f for f, n in program.names.items() if n == player.name)
            flat = _flat(tables, player, commons, _own(tables, player))
            rows.append(Rows(player, field, flat, _actions(tables, player)))
    counts = {program.names[f]: m.shape[1] for f, m in masses.items()}
    unit = tables.params.unit
    time = torch.tensor(t, dtype=torch.int64, device=unit.device)
    state = program.module.State(**groups)
    return Placed(program, tables.params, t, time, state, len(commons), counts, 0, masses), rows


Place = dict[str, int]
"""Places on axes by their names."""


def _commons(tables: Tables, t: int) -> list[tuple[Place, dict[tuple[str, str], int]]]:
    """Places on the axes of common states, one entry for each game, and the values of common
    states where a past stands for them.
    """
    reduced = tables.reduced
    axes = {c.axis: c for c in reduced.states if tables.model.player(c.player).kind != "population"}
    plain = [
        dict(zip(axes, p, strict=True)) for p in product(*(range(c.size) for c in axes.values()))
    ]
    if reduced.past is None:
        return [(place, {}) for place in plain]
    past = reduced.past
    if t == 0:
        pasts = {h: state for state, h in past.starts.items()}
    else:
        pasts = {h: state for (_, state), h in past.children[t - 1].items()}
    return [
        ({past.axis: h, **place}, dict(zip(past.variables, state, strict=True)))
        for h, state in pasts.items()
        for place in plain
    ]


def _own(tables: Tables, player: Player) -> list[Place]:
    """Places on the axes of the own states and traits of a player."""
    axes = {
        c.axis: c.size
        for c in tables.reduced.states
        if c.player == player.name and player.kind == "population"
    }
    return [dict(zip(axes, p, strict=True)) for p in product(*(range(n) for n in axes.values()))]


def _flat(
    tables: Tables,
    player: Player,
    commons: Sequence[tuple[Place, Mapping[tuple[str, str], int]]],
    own: Sequence[Place],
) -> Tensor:
    """The places of a player among all states of the tables, [B, N]; -1 where it has none."""
    reduced = tables.reduced
    who = 0
    if reduced.who is not None:
        if player.name not in reduced.populations:
            return torch.full((len(commons), len(own)), -1)
        who = reduced.populations.index(player.name)
    axes = tables.tables.state_axes()
    names = [v.name for v in reduced.model.population.states]

    def flat(places: Place) -> int:
        found = 0
        for name, axis in zip(names, axes, strict=True):
            place = who if name == reduced.who else places.get(name, 0)
            found = found * axis.size + place
        return found

    rows = [[flat({**common, **mine}) for mine in own] for common, _ in commons]
    return torch.tensor(rows, device=tables.params.unit.device)


def _actions(tables: Tables, player: Player) -> Tensor:
    """The places of the own actions of a player among all actions of the tables, [A]."""
    own = own_actions(tables.reduced, player)
    names = [v.name for v in tables.reduced.model.population.actions]
    axes = tables.tables.action_axes()
    found = []
    for places in product(*(range(c.size) for c in own)):
        mine = {c.axis: place for c, place in zip(own, places, strict=True)}
        flat = 0
        for name, axis in zip(names, axes, strict=True):
            flat = flat * axis.size + mine.get(name, 0)
        found.append(flat)
    assert len(found) == prod(c.size for c in own)
    return torch.tensor(found, device=tables.params.unit.device)


def own_actions(reduced: Reduced, player: Player) -> list[Coordinate]:
    """The axes of the actions of a player, in the order of its variables and their entries."""
    order = [action.name for action in player.actions]
    own = [c for c in reduced.actions if c.player == player.name]
    return sorted(own, key=lambda c: (order.index(c.variable), c.entry))


def _values(
    tables: Tables,
    player: Player,
    name: str,
    kind: Type,
    commons: Sequence[tuple[Place, Mapping[tuple[str, str], int]]],
    own: Sequence[Place],
) -> Tensor:
    """A state or trait of all its members, [B, N, *dims], of all others [B, *dims].

    What has no axis (hidden traits) is something that policies do not see.
    """
    mine = [c for c in tables.reduced.states if c.player == player.name and c.variable == name]
    single = player.kind != "population"
    size = prod(kind.dims)
    filler = _filler(kind)

    def entries(places: Place, told: Mapping[tuple[str, str], int]) -> list[float]:
        found = [filler] * size
        if (player.name, name) in told:
            found = [float(told[player.name, name])] * size
        for c in mine:
            place = places[c.axis]
            found[c.entry] = place + c.first if c.step is None else c.low + c.step * place
        return found

    rows: list[Any] = []
    for common, told in commons:
        members = [{}] if single else own
        rows.append([entries({**common, **m}, told) for m in members])
    unit = tables.params.unit
    dtype = unit.dtype if not kind.finite else torch.int64
    if kind.kind == "bool":
        dtype = torch.bool
    value = torch.tensor(rows, dtype=torch.float64, device=unit.device).to(dtype)
    lead = (len(commons),) if single else (len(commons), len(own))
    return value.reshape(*lead, *kind.dims)


def _filler(kind: Type) -> float:
    if kind.finite:
        return float(kind.first)
    low = -1.0 if kind.lo is None else float(kind.lo)
    high = 1.0 if kind.hi is None else float(kind.hi)
    return (low + high) / 2
