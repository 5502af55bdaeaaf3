"""Values that the spec hides and an option shows: points with masses, in no order."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

import mfdsl
from mfdsl import UsageError
from mfdsl.learning import prepare_training
from mfdsl.runtime.behaviours import Scene
from mfdsl.runtime.learning.actor import Shape
from mfdsl.runtime.learning.crew import Crew, Look
from mfdsl.runtime.learning.encoders import EncoderKind
from mfdsl.runtime.learning.loop import Learned
from mfdsl.runtime.learning.planner import PLANNER, Plan, Planner
from mfdsl.runtime.learning.sight import sights_of
from mfdsl.runtime.learning.surroundings import WIDTHS
from mfdsl.settings import resolve

GAME = mfdsl.load("m3fc_foraging")
DEPOSITS = ("field.pos", "field.left")
GAMES, AGENTS = 3, 7
SMALL = {"agents": 6, "games": 4, "steps": 8, "hidden": 16, "evaluate_games": 8}


def scene() -> Scene:
    """Drones, and deposits at three of five places (two, and none, in the other games)."""
    simulator = GAME.simulator(agents=AGENTS, batch=GAMES, dtype="float32", seed=4)
    generator = torch.Generator().manual_seed(5)
    state = simulator.reset()
    there = torch.tensor([[0, 1, 0, 1, 1], [1, 0, 0, 0, 1], [0, 0, 0, 0, 0]])
    left = there * (0.5 + torch.rand(GAMES, 5, generator=generator))
    place = 4 * torch.rand(GAMES, 5, 2, generator=generator) - 2
    field = state.field._replace(pos=place, left=left)
    return simulator.scene(0, state._replace(field=field))


def moved(of: Scene, pos: Any, left: Any) -> Scene:
    """The scene with other deposits."""
    field = of.state.field._replace(pos=pos, left=left)
    return replace(of, state=of.state._replace(field=field))


def crew(**look: Any) -> Crew:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Crew(GAME.agents, Shape(encoder="histogram"), Look(**{"shown": DEPOSITS} | look))


def test_points_with_masses_are_a_law_and_others_are_single_values() -> None:
    depot, drone = sights_of(GAME.agents, shown=DEPOSITS)
    assert [f.name for f in depot.points] == [f.name for f in drone.points] == ["field.pos"]
    assert drone.masses["field.pos"].name == "field.left"
    assert [f.name for f in drone.common] == ["depot.y"]
    (_, alone) = sights_of(GAME.agents, shown=("field.pos", "t"))
    assert [f.name for f in alone.common] == ["depot.y", "field.pos", "t"]
    assert alone.points == () and not alone.masses
    (_, unchanged) = sights_of(GAME.agents)
    assert [f.name for f in unchanged.common] == ["depot.y"] and unchanged.points == ()


@pytest.mark.parametrize("name", ["field.zzz", "depot.y", "field.born", "left"])
def test_what_nobody_can_be_shown_is_refused_with_what_there_is(name: str) -> None:
    settings = resolve(GAME.model, "mf_ppo", options={"show": name})
    with pytest.raises(UsageError, match=f"`{name}` cannot be shown") as refusal:
        prepare_training(GAME, settings)
    assert "field.left, field.pos, t" in refusal.value.message


def test_each_drone_sees_the_deposits_nearest_first() -> None:
    now, seen = scene(), crew()
    found = seen.views(now)["drone"].own
    assert found is not None and found.shape == (GAMES, AGENTS, 2 + 1 + 15 + 2)
    x, pos, left = now.state.drone.x, now.state.field.pos, now.state.field.left
    for game in range(GAMES):
        for agent in range(AGENTS):
            here = [k for k in range(5) if left[game, k] > 0]
            here.sort(key=lambda k: math.dist(pos[game, k].tolist(), x[game, agent].tolist()))
            expected = [
                number
                for k in here
                for number in (*((pos[game, k] - x[game, agent]) / 2).tolist(), left[game, k] / 1.5)
            ]
            expected += [0.0] * (15 - len(expected))
            row = found[game, agent, 3:18].tolist()
            assert row == pytest.approx([float(e) for e in expected], abs=1e-5)


def test_fields_tell_how_crowded_each_deposit_is() -> None:
    now = scene()
    found = crew(fields=True).views(now)["drone"].own
    assert found is not None
    x, pos, left = now.state.drone.x[0], now.state.field.pos[0], now.state.field.left[0]
    here = [k for k in range(5) if left[k] > 0]
    nearest = min(here, key=lambda k: math.dist(pos[k].tolist(), x[4].tolist()))
    far = [math.dist(p, pos[nearest].tolist()) / 2 for p in x.tolist()]
    expected = [sum(math.exp(-((d / w) ** 2) / 2) for d in far) / AGENTS for w in WIDTHS]
    first = 3 + 3 * len(WIDTHS) + 3  # own values, the field of drones, where it is and how much
    assert found[0, 4, first : first + len(WIDTHS)].tolist() == pytest.approx(expected, abs=1e-5)


def test_fields_of_deposits_count_their_masses() -> None:
    now = scene()
    found = crew(fields=True).views(now)["drone"].own
    assert found is not None
    listed, kernels = 5 * (2 + 1 + len(WIDTHS)), 3 * len(WIDTHS)
    first = 3 + kernels + listed  # own values, the field of drones, deposits one by one
    x, pos, left = now.state.drone.x[0, 2] / 2, now.state.field.pos[0] / 2, now.state.field.left[0]
    expected = []
    for width in WIDTHS:
        near = [math.exp(-(math.dist(p, x) ** 2) / (2 * width**2)) for p in pos.tolist()]
        parts = [k * m / 1.5 for k, m in zip(near, left.tolist(), strict=True)]
        expected.append(sum(parts))
        for axis in range(2):
            apart = [(p[axis] - x[axis]).item() / width for p in pos]
            expected.append(sum(k * a for k, a in zip(parts, apart, strict=True)))
    assert found[0, 2, first : first + kernels].tolist() == pytest.approx(expected, abs=1e-5)


@torch.no_grad()
def test_neither_the_order_of_deposits_matters_nor_a_place_without_one() -> None:
    now, players = scene(), crew(fields=True)
    pos, left = now.state.field.pos, now.state.field.left
    order = torch.tensor([3, 0, 4, 2, 1])
    elsewhere = torch.where(left[..., None] > 0, pos, -pos)
    for other in (moved(now, pos[:, order], left[:, order]), moved(now, elsewhere, left)):
        one, two = (players.drawn_from(s, players.views(s)) for s in (now, other))
        for name in ("depot", "drone"):
            torch.testing.assert_close(one[name].mean, two[name].mean, rtol=1e-5, atol=1e-6)
    more = moved(now, pos, torch.where(left > 0, 1.5 * torch.ones(()), left))
    changed = players.drawn_from(more, players.views(more))
    for name in ("depot", "drone"):
        apart = (changed[name].mean - one[name].mean).abs()  # type: ignore[operator]
        assert apart[0].max() > 1e-4 and apart[2].max() < 1e-6


def test_histograms_of_a_planner_have_the_cells_of_its_rules() -> None:
    """Those of populations; points that are shown keep `bins`."""
    for shown, points in (((), 0), (DEPOSITS, 4 * 4)):
        plan = Plan(bins=7, cells={"q": 2}, shown=shown)
        planner = Planner(GAME.agents, Shape(encoder="histogram", bins=4), plan)
        widths = [encode.width for encode in planner.overview.encoders]
        assert widths == [4 * 4 * 2] + [points] * bool(shown)


@torch.no_grad()
def test_rules_look_agents_up_in_their_cells() -> None:
    planner = Planner(GAME.agents, Shape(encoder="histogram"), Plan(bins=3, cells={"q": 2}))
    (rule,), now = planner.rules, scene()
    table = torch.rand(now.batch, rule.cells, 4)
    drone = now.state.drone
    own = {name: drone[k] for k, name in enumerate(drone._fields)}
    found = rule._looked_up(table, own)
    cell = torch.stack([axis.cell(own[axis.name]) for axis in rule.axes])
    assert [int(c) for c in cell.amax((1, 2))] <= [2, 2, 1] and int(cell.min()) >= 0
    place = (cell[0] * 3 + cell[1]) * 2 + cell[2]
    for b in range(now.batch):
        assert torch.equal(found[b], table[b, place[b]])


@torch.no_grad()
@pytest.mark.parametrize("encoder", ["mean_embed", "histogram"])
def test_a_planner_is_shown_the_law_of_deposits(encoder: EncoderKind) -> None:
    """As members with masses, or by a fixed encoder as what it gives of them."""
    torch.manual_seed(0)
    plan = Plan(bins=3, cells={"q": 2}, shown=DEPOSITS)
    planner = Planner(GAME.agents, Shape(encoder=encoder), plan)
    now = scene()
    pos, left = now.state.field.pos, now.state.field.left
    view = planner.views(now)[PLANNER]
    if encoder == "mean_embed":
        assert [w is None for w in view.weights] == [True, False]
        torch.testing.assert_close(view.weights[1], left / 1.5)
    back = moved(now, pos.flip(1), left.flip(1))
    less = moved(now, pos, left / 2)
    one, two, other = (planner.upper(planner.views(s)[PLANNER]).mean for s in (now, back, less))
    torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(one[:2], other[:2], rtol=1e-4)


@pytest.mark.parametrize("solver", ["mf_ppo", "m3f_ppo", "mappo"])
@pytest.mark.parametrize("gradient", ["path", "score"])
def test_what_is_shown_is_learned_from(solver: str, gradient: str) -> None:
    if (solver, gradient) == ("mappo", "path"):
        return
    options = SMALL | {"show": " ".join(DEPOSITS), "gradient": gradient}
    options |= {"bins": 3, "cells": "q=2"} if solver == "m3f_ppo" else {}
    found = mfdsl.solve(GAME, solver, iterations=2, options=options)
    assert isinstance(found, Learned)
    assert math.isfinite(found.value.mean)
    rollout = mfdsl.simulate(GAME, found, agents=20, batch=2, steps=10)
    assert math.isfinite(rollout.team.mean)  # type: ignore[union-attr]
