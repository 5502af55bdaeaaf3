"""Games, their programs, states and environments go through pickle, as to other processes."""

import copy
import pickle
from typing import Any

import pytest
import torch

import mfdsl

ENDLESS = """model stay
objective nash
horizon infinite
discount 0.5
population agent as mu {
  state x : int in 0..1 ~ uniform
  action a : int in 0..1
  x' = a
  reward apart = -mu[x]
  agents 4
}
"""


@pytest.mark.parametrize("again", [copy.deepcopy, lambda game: pickle.loads(pickle.dumps(game))])
def test_a_game_is_the_same_one_afterwards(again: Any) -> None:
    game = mfdsl.load(text=ENDLESS)
    played = mfdsl.simulate(game, "uniform", record=True, seed=3)
    value = mfdsl.evaluate(game).value
    other = again(game)  # with both modules loaded, and the function that bounds rewards
    assert torch.equal(mfdsl.evaluate(other).value, value)
    assert other.program.most is not None and other.agents is not game.agents
    replayed = mfdsl.simulate(other, "uniform", record=True, seed=3)
    assert torch.equal(replayed.record["agent.x"], played.record["agent.x"])


def test_states_are_kept_with_the_text_of_their_module_once() -> None:
    game = mfdsl.load(text=ENDLESS)
    played = mfdsl.simulate(game, "uniform", record=True)
    kept = pickle.dumps(played)
    state = pickle.loads(kept).state
    assert torch.equal(state.agent.x, played.state.agent.x)
    assert kept.count(b"def observe(") == 1 and type(state).__name__ == "State"


def test_a_simulator_goes_on_where_it_was() -> None:
    simulator = mfdsl.load(text=ENDLESS).simulator(seed=5)
    other, state = pickle.loads(pickle.dumps((simulator, simulator.reset())))
    module = other.program.module
    moves = module.Action(agent=module.AgentAction(torch.ones(1, 4, dtype=torch.long)))
    rewards = [each.step(0, state, moves)[1].agent for each in (simulator, other)]
    assert torch.equal(*rewards)
