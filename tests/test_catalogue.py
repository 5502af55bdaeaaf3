"""One walk over every shipped game: module against loops, mass, domains, symmetry, streams."""

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mfdsl.compiler.backend.particles.emit import emit_particles
from mfdsl.compiler.ir.model import Model
from mfdsl.compiler.ir.types import Type
from mfdsl.game import Game, load
from mfdsl.runtime.agents import load_agents
from mfdsl.runtime.behaviours import Behaviour, still, uniform
from mfdsl.runtime.simulator import Simulator
from tests.agents_oracle import compared

SPECS = Path(__file__).parents[1] / "specs"
NAMES = sorted(path.stem for path in SPECS.glob("*.mfg"))
SMALL = {
    "m3fc_2g": {"users": 6},
    "m3fc_formation": {"points": 5},
    "navigation": {"n": 4},
    "push": {"n": 4},
}
# A product with the matrix of weights rounds as the size of the batch lets it.
PRODUCTS = {"weighted_rps"}
# Exact transport and contact forces sum in the order of the agents.
ROUNDED = 1e-9


@functools.cache
def game(name: str) -> Game:
    return load(SPECS / f"{name}.mfg", params=SMALL.get(name, {}))


def players(name: str, **options: Any) -> Simulator:
    agents = SMALL.get(name, {}).get("n", options.pop("agents", 4))
    if any(player.fixed for player in game(name).model.players):
        agents = None  # files say how many there are
    return game(name).simulator(agents=agents, **options)


def behaviour_of(model: Model) -> Behaviour:
    """Anything at random where actions are bounded."""
    kinds = [model.types[a.type] for p in model.players for a in p.actions]
    return uniform if all(k.lo is not None and k.hi is not None for k in kinds) else still


def flat(group: Any) -> list[torch.Tensor]:
    return [group] if isinstance(group, torch.Tensor) else [v for part in group for v in flat(part)]


@pytest.mark.parametrize("name", NAMES)
def test_the_module_agrees_with_the_loops_of_its_meaning(name: str) -> None:
    worst, count = compared(game(name).model, players(name, batch=2, seed=3), steps=2, game=1)
    assert worst <= 1e-12 and count > 8


def outside(value: torch.Tensor, kind: Type) -> float:
    """How far values leave their type."""
    if kind.kind == "bool":
        return 0.0 if value.dtype == torch.bool else 1.0
    entries = value.double()
    if kind.ball is not None:
        return float((entries.norm(dim=-1) - kind.ball).max())
    box = kind.box or ((kind.lo, kind.hi),)
    ends = [(-torch.inf if a is None else a, torch.inf if b is None else b) for a, b in box]
    low, high = (torch.tensor([e[k] for e in ends], dtype=torch.float64) for k in (0, 1))
    return float(torch.maximum(low - entries, entries - high).max())


@pytest.mark.parametrize("name", NAMES)
def test_values_stay_in_their_domains_and_rewards_in_their_range(name: str) -> None:
    model = game(name).model
    simulator = players(name, agents=8, batch=3, seed=5)
    steps = min(simulator.program.horizon or 6, 6)
    rollout = simulator.rollout(behaviour_of(model), steps=steps, record=True)
    for player in model.players:
        for variable in (*player.states, *player.traits):
            values = rollout.record[f"{player.name}.{variable.name}"]
            assert torch.isfinite(values.double()).all()
            assert outside(values, model.types[variable.type]) <= 1e-12
            if player.kind == "population":
                assert values.shape[2] == simulator.agents[player.name]  # nobody is lost
    ranges = [c for c in game(name).compilation.certificates if c.claim == "range"]
    for certificate in ranges:
        owner = certificate.subject.removeprefix("reward of ").removeprefix("reward")
        found = [v for k, v in rollout.record.items() if k.endswith(".reward")]
        found = [v for k, v in rollout.record.items() if k == f"{owner}.reward"] or found
        if certificate.verdict != "proved" or (len(ranges) > 1 and len(found) > 1):
            continue
        for values in found:
            assert certificate.lower is None or values.min() >= certificate.lower - 1e-9
            assert certificate.upper is None or values.max() <= certificate.upper + 1e-9


def permuted(group: Any, order: dict[str, torch.Tensor], players_: dict[str, str]) -> Any:
    """Agents in another order, in every population at once."""
    moved = {
        field: type(values)(*(v[:, order[field]] for v in values))
        if players_[field] == "population" and not isinstance(values, torch.Tensor)
        else values
        for field, values in group._asdict().items()
    }
    return type(group)(**moved)


def module_of(name: str, order: dict[str, torch.Tensor]) -> Any:
    """The module of a game, weights between its agents in the order of the agents."""
    model, fields = game(name).model, game(name).agents.names
    arrays = list(model.arrays)
    for field, moved in order.items():
        for weights in model.player(fields[field]).weights:
            array = arrays[weights.array]
            table = np.array(array.values).reshape(array.dims)[np.ix_(moved, moved)]
            arrays[weights.array] = array.model_copy(update={"values": tuple(table.flat)})
    if arrays == list(model.arrays):
        return game(name).agents.module
    moved_model = model.model_copy(update={"arrays": tuple(arrays)})
    return load_agents(emit_particles(moved_model, source_name=name, digest="")).module


@pytest.mark.parametrize("name", NAMES)
def test_permuting_agents_permutes_results(name: str) -> None:
    model = game(name).model
    simulator = players(name, agents=5, batch=2, seed=7)
    module, kinds = simulator.program.module, simulator.program.players
    state = simulator.reset()
    action, noise = behaviour_of(model)(simulator.scene(0, state)), simulator.noise(0)
    stream = torch.Generator().manual_seed(0)
    order = {
        field: torch.randperm(simulator.agents[simulator.program.names[field]], generator=stream)
        for field in simulator.program.populations
    }
    plain, rewards = module.step(simulator.params, simulator.time(0), state, action, noise)
    mixed, others = module_of(name, order).step(
        simulator.params,
        simulator.time(0),
        *(permuted(group, order, kinds) for group in (state, action, noise)),
    )
    for a, b in zip(flat(permuted(plain, order, kinds)), flat(mixed), strict=True):
        assert torch.allclose(a.double(), b.double(), rtol=ROUNDED, atol=ROUNDED)
    for field, value in rewards._asdict().items():
        moved = value[:, order[field]] if field in order else value
        found = getattr(others, field)
        assert torch.allclose(moved, found, rtol=ROUNDED, atol=ROUNDED)


@pytest.mark.parametrize("name", NAMES)
def test_a_game_of_a_batch_does_not_know_how_large_the_batch_is(name: str) -> None:
    model = game(name).model
    steps = min(game(name).agents.horizon or 3, 3)
    few, many = (players(name, batch=b, seed=11) for b in (2, 5))
    runs = [s.rollout(behaviour_of(model), steps=steps, record=True) for s in (few, many)]
    for key, values in runs[0].record.items():
        other = runs[1].record[key]
        shared = min(values.shape[1], other.shape[1], 2)
        a, b = values[:, :shared].numpy(), other[:, :shared].numpy()
        if name in PRODUCTS:
            assert np.allclose(a, b, rtol=0, atol=1e-14), key
        else:
            assert np.array_equal(a, b), key


@pytest.mark.parametrize("name", ["m3fc_formation", "asymmetric_sis", "navigation", "taxi"])
def test_a_step_is_one_compiled_graph_and_agrees_bit_for_bit(name: str) -> None:
    torch._dynamo.reset()
    simulator = players(name, batch=2, seed=1)
    module = simulator.program.module
    state = simulator.reset()
    action, noise = behaviour_of(game(name).model)(simulator.scene(0, state)), simulator.noise(0)
    compiled = torch.compile(module.step, fullgraph=True, backend="aot_eager")
    given = (simulator.params, simulator.time(0), state, action, noise)
    for a, b in zip(flat(compiled(*given)), flat(module.step(*given)), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", NAMES)
def test_single_precision_follows_double(name: str) -> None:
    one, two = (players(name, batch=2, seed=2, dtype=d) for d in ("float32", "float64"))
    results = []
    for simulator in (one, two):
        state = simulator.reset()
        action = behaviour_of(game(name).model)(simulator.scene(0, state))
        results.append(simulator.step(0, state, action)[1])
    for a, b in zip(flat(results[0]), flat(results[1]), strict=True):
        assert a.dtype == torch.float32
        close = torch.isclose(a.double(), b, rtol=1e-3, atol=1e-3)
        assert close.double().mean() > 0.7  # a draw at a rounding edge may fall on the other side
