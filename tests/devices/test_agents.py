"""The module of agents of every shipped game runs on a GPU, shown on one that is pretended."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

import mfdsl
from mfdsl.runtime.behaviours import still, uniform
from tests import shipped
from tests.devices.pretended import pretended, without_waiting

GAMES, AGENTS = 2, 6


def mapped(rule: Callable[[Tensor], Tensor], group: Any) -> Any:
    if isinstance(group, Tensor):
        return rule(group)
    return type(group)(*(mapped(rule, part) for part in group))


def leaves(group: Any) -> Iterator[Tensor]:
    if isinstance(group, Tensor):
        yield group
    elif isinstance(group, dict):
        yield from (leaf for part in group.values() for leaf in leaves(part))
    elif not isinstance(group, str):
        yield from (leaf for part in group for leaf in leaves(part))


def to_cuda(group: Any) -> Any:
    return mapped(lambda value: value.to("cuda"), group)


def acted(simulator: Any, state: Any) -> Any:
    """Actions of anybody, or of those who stand still where no law on actions is uniform."""
    try:
        return uniform(simulator.scene(0, state))
    except ValueError:
        return still(simulator.scene(0, state))


@pytest.mark.parametrize("name", shipped.NAMES)
def test_a_step_on_a_gpu_is_that_of_the_cpu(name: str) -> None:
    """All that a step makes lies there, in float32, from the same draws; no step waits for it.

    Exact transport is the exception: its plans are found on the CPU (`runtime/transport.py`).
    """
    game = mfdsl.load(shipped.SPECS / f"{name}.mfg")
    agents = None if game.agents.fixed else AGENTS
    module: Any = game.agents.module

    def all_of(simulator: Any, draws: Any, noise: Any, actions: Any) -> list[Any]:
        params, now = simulator.params, simulator.time(0)
        state = simulator.whole(module.init(params, draws))
        actions = acted(simulator, state) if actions is None else actions
        after, rewards = module.step(params, now, state, actions, noise)
        terms = module.reward_terms(params, now, state, actions, noise)
        seen, legal = module.observe(params, now, state), module.legal(params, now, state)
        final = module.final_rewards(params, now, state) if module.HAS_FINAL else ()
        return [actions, state, after, rewards, terms, seen, legal, final]

    here = game.simulator(agents=agents, batch=GAMES, dtype="float32")
    draws = here._draws(module.Initial, module.INITIALS, 0, "initial")
    noise = here.noise(0)
    expected = all_of(here, draws, noise, None)
    with pretended() as machine:
        there = game.simulator(agents=agents, batch=GAMES, dtype="float32", device="cuda")
        given = to_cuda(draws), to_cuda(noise), to_cuda(expected[0])
        found = all_of(there, *given)  # tables of maps are made at the first step
        for mine, own in zip(leaves(found), leaves(expected), strict=True):
            assert mine.is_cuda and mine.dtype == own.dtype != torch.float64
            torch.testing.assert_close(mine.cpu(), own, rtol=0, atol=0, equal_nan=True)
        machine.doubles.clear()
        if "torch.ops.mfdsl.w2" not in game.agents.text:
            with without_waiting():
                all_of(there, *given)
                there.step(0, there.reset(), given[2])
        assert all(leaf.is_cuda for leaf in leaves(acted(there, found[1])))


@pytest.mark.parametrize("name", ["sis", "foraging", "m3fc_potential", "crowd_avoidance"])
def test_a_step_in_float32_makes_no_doubles(name: str) -> None:
    game = mfdsl.load(shipped.SPECS / f"{name}.mfg")
    with pretended() as machine:
        simulator = game.simulator(agents=AGENTS, dtype="float32", device="cuda")
        state = simulator.reset()
        actions, noise = acted(simulator, state), simulator.noise(0)
        machine.doubles.clear()
        game.agents.module.step(simulator.params, simulator.time(0), state, actions, noise)
        assert not machine.doubles
