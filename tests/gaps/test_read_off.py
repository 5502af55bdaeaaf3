"""Policies of agents read off as tables, beside tables that they were made of."""

from dataclasses import replace
from typing import Any

import pytest
import torch

import mfdsl
from mfdsl.compiler.tabular.grids import Bins
from mfdsl.playing import by_table
from mfdsl.runtime.evaluate import Evaluation
from mfdsl.runtime.learning.actor import Shape
from mfdsl.runtime.learning.chances import crew_chances
from mfdsl.runtime.learning.crew import Crew, Look
from mfdsl.runtime.learning.gaps import exact_gap, tables_for
from mfdsl.runtime.learning.placed import Tables, placed, read_off
from mfdsl.runtime.simulator import Simulator
from mfdsl.runtime.tabled import Places
from tests.gaps.lessons import chances_of_table, lesson_of, tables_in

GAMES: dict[str, dict[str, Any]] = {
    "left_right": {},
    "sis": {},
    "garnet": {},
    "predator_prey": {},  # three populations
    "stationary_sis": {},
}


@pytest.mark.parametrize("name", GAMES)
def test_agents_stand_where_the_tables_say(name: str) -> None:
    tables = tables_in(lesson_of(mfdsl.load(name, params=GAMES[name])))
    program = tables.tables
    places = Places(program.state_axes(), program.action_axes(), tables.reduced, tables.model)
    law = torch.full((program.state_count,), 1 / program.state_count, dtype=torch.float64)
    for t in range(min(3, program.horizon or 1)):
        scene, rows = placed(tables, t, law)
        standing = places.standing(scene)
        for row in rows:
            assert torch.equal(standing[row.player.name], row.flat)
            assert torch.allclose(scene.masses[row.field].sum(1), torch.ones(()).double())


def random_policy(tables: Tables, seed: int) -> torch.Tensor:
    """A policy of no particular form, [1, T, S, A]."""
    legal = tables.view.uniform().probs[:1]
    generator = torch.Generator().manual_seed(seed)
    probs = legal * torch.rand(legal.shape, generator=generator, dtype=legal.dtype) ** 3
    return probs / probs.sum(-1, keepdim=True)


@pytest.mark.parametrize("name", GAMES)
def test_a_policy_that_is_read_off_has_the_exploitability_of_its_table(name: str) -> None:
    lesson = lesson_of(mfdsl.load(name, params=GAMES[name]))
    tables = tables_in(lesson)
    probs = random_policy(tables, 3)
    found = exact_gap(lesson, chances_of_table(tables, probs[0]))
    wanted = Evaluation(tables.view, tables.view.policy(probs)).exploitability
    assert found is not None
    assert found.kind == wanted.kind
    assert found.value == pytest.approx(wanted.value, abs=1e-10)
    assert found.per_population == pytest.approx(wanted.per_population, abs=1e-10)


@pytest.mark.parametrize("text", ["LED", "mfax_beach_bar"])
def test_pasts_and_majors_are_read_off(text: str) -> None:
    """Networks beside a common state return in simulated games what their table returns."""
    game = mfdsl.load(text=LED) if text == "LED" else mfdsl.load(text, params={"T": 4})
    lesson = lesson_of(game)
    tables = tables_in(lesson)
    assert tables.reduced.past is not None
    torch.manual_seed(0)
    crew = Crew(game.agents, Shape((16,)), Look()).double()
    for parameter in crew.parameters():
        parameter.data += 0.5 * torch.randn_like(parameter)
    policy = read_off(tables, tables.view, crew_chances(crew, tables))
    assert_simulated(game, crew, policy, agents=1000, games=200)


LED = """
model led
objective nash
horizon 3
major leader {
  state  y : int in 0..2 = 0
  action w : int in 0..1
  noise  e : real ~ uniform([0, 1])
  y' = clip(y + (if e < 0.8 then w else 0), 0, 2)
  reward ahead = mean(p.x for p in person) - 0.3 * w
}
population person {
  state  x : int in 0..2 = 0
  action a : int in 0..1
  x' = clip(x + a, 0, 2)
  reward near = -abs(x - leader.y) - 0.1 * a - 0.2 * mean(p.x for p in person)
}
"""


def test_networks_are_read_off_with_the_law_of_their_own_flow() -> None:
    """A network that reads the law returns in simulated games what its table returns."""
    game = mfdsl.load(text=CROWDED)
    lesson = lesson_of(game)
    tables = tables_in(lesson)
    torch.manual_seed(1)
    crew = Crew(game.agents, Shape((16,)), Look()).double()
    for parameter in crew.parameters():
        parameter.data += 0.7 * torch.randn_like(parameter)
    assert crew.widths["person"][2], "the law is read"
    policy = read_off(tables, tables.view, crew_chances(crew, tables))
    assert_simulated(game, crew, policy, agents=2000, games=60)
    first, last = policy.probs[0, 0], policy.probs[0, -1]
    assert (first - last).abs().max() > 0.01  # the law moves, and the policy with it


def assert_simulated(game: Any, crew: Crew, policy: Any, *, agents: int, games: int) -> None:
    """Networks and the table of them return the same, up to chance and c / N."""
    found = []
    for behaviour in (crew.behaviour(mode=False), by_table(game, policy)):
        simulator = Simulator(game.agents, agents=agents, batch=games, seed=5)
        found.append(simulator.rollout(behaviour).returns)
    tables = Evaluation(tables_in(lesson_of(game)).view, policy)
    each = dict(zip(game.program.populations, tables.values[0].tolist(), strict=True))
    for name, exact in each.items():
        for returns in found:
            allowed = 4 * returns[name].std_error + 3 / agents
            assert returns[name].mean == pytest.approx(exact, abs=allowed)


CROWDED = """
model crowded
objective nash
horizon 4
population person {
  state  x : int in 0..4 = 0
  action a : int in -1..1
  noise  e : real ~ uniform([0, 1])
  let m = mean(p.x for p in person)
  x' = clip(x + (if e < 0.7 then a else 0), 0, 4)
  reward spread = abs(x - m) - 0.2 * abs(a)
  observe x, t, law(person)
}
"""


def test_means_that_are_observed_are_not_read_off() -> None:
    text = CROWDED.replace("observe x, t, law(person)", "observe x, t, m")
    assert tables_for(lesson_of(mfdsl.load(text=text))) is None


def test_real_actions_fall_on_their_neighbours() -> None:
    """The table of a real action has the mean of the network, on the grid of the tables."""
    game = mfdsl.load(text=LINE)
    lesson = lesson_of(replace(game, bins=Bins(every=9)))
    tables = tables_in(lesson)
    torch.manual_seed(2)
    crew = Crew(game.agents, Shape((8,)), Look()).double()
    for parameter in crew.parameters():
        parameter.data += 0.5 * torch.randn_like(parameter)
    chances = crew_chances(crew, tables)
    law = tables.tables.module.initial_law(tables.table_params).reshape(-1)
    scene, (row,) = placed(tables, 0, law)
    probs = chances(scene)[row.field]
    (axis,) = tables.reduced.actions
    assert axis.step is not None
    grid = axis.low + axis.step * torch.arange(axis.size, dtype=torch.float64)
    played = crew.behaviour(mode=True)(scene)
    values = getattr(played, row.field)[0]
    assert torch.allclose(probs @ grid, values, atol=1e-12)
    assert torch.allclose(probs.sum(-1), torch.ones(()).double())
    assert ((probs > 0).sum(-1) <= 2).all()
    found = exact_gap(lesson, chances)
    assert found is not None
    assert found.kind == "estimate"


LINE = """
model line
objective nash
horizon 2
population person {
  state  x : real in [-1, 1] ~ uniform([-1, 1])
  action a : real in [-1, 1]
  x' = clip(x + 0.5 * a, -1, 1)
  reward centre = -(x - mean(p.x for p in person))^2 - 0.1 * a^2
}
"""
