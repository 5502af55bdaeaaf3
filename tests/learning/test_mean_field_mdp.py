"""The decision process on laws: exact values, moves of few agents one by one, the limit."""

from itertools import product

import pytest
import torch
from torch import Tensor

from mfdsl import load
from mfdsl.runtime.learning.mean_field_mdp import (
    MeanFieldMDP,
    action_values,
    of_agents,
    of_limit,
    optimal_values,
    policy_values,
    uniform_policy,
)
from tests.learning.team_tables import tables_of, toy

# V* by the share of agents that are there: `mfppo_tabular_toy` in closed_forms.json
TOY_VALUES = (
    -0.0835646014133, -0.0653997821106, -0.052957047725, -0.0458516432787, -0.0409434127462,
    -0.0343028995302, -0.0242140612, -0.0181720960067, -0.0179278592663, -0.024238226124,
    -0.0374570503973,
)  # fmt: skip

RING = """
model ring
objective team
horizon infinite
discount 0.8

population agent as mu {
  state  s : int in 0..2 ~ uniform
  action a : int in 0..1

  let crowd = mu[s = s]
  s' ~ mix { 0.2 + 0.6 * crowd -> if a == 1 then (if s == 2 then 0 else s + 1) else s, else -> 0 }

  reward apart = -crowd^2 + 0.1 * s * prob(q.a == 1 for q in agent)
  cost   work  = 0.05 * a
  agents 3
}
"""


def test_values_of_ten_agents_are_the_known_ones() -> None:
    mdp = of_agents(toy(), 10)
    there = mdp.laws[:, 1]
    assert torch.equal(there.sort().values, torch.arange(11).double() / 10)
    known = torch.tensor(TOY_VALUES, dtype=torch.float64)[(10 * there).round().long()]
    torch.testing.assert_close(optimal_values(mdp), known, rtol=0, atol=1e-12)


def test_values_solve_their_equations() -> None:
    mdp = of_agents(toy(), 10)
    best = optimal_values(mdp)
    torch.testing.assert_close(action_values(mdp, best).amax(-1), best, rtol=0, atol=1e-14)
    policy = torch.softmax(torch.arange(44.0).double().reshape(11, 4).sin(), -1)
    values = policy_values(mdp, policy)
    again = (policy * action_values(mdp, values)).sum(-1)
    torch.testing.assert_close(again, values, rtol=0, atol=1e-14)
    assert (values <= best).all()


def by_enumeration(agents: int, mdp: MeanFieldMDP) -> tuple[Tensor, Tensor]:
    """Transitions and rewards of RING from all moves of all agents, one after another."""
    place = {tuple((agents * law).round().long().tolist()): k for k, law in enumerate(mdp.laws)}
    chances, paid = torch.zeros_like(mdp.transitions), torch.zeros_like(mdp.rewards)
    for counts, here in place.items():
        states = [s for s, n in enumerate(counts) for _ in range(n)]
        for r, rule in enumerate(mdp.rules):
            actions = [int(rule[s].argmax()) for s in states]
            moving = sum(actions) / agents
            for s, a in zip(states, actions, strict=True):
                crowd = counts[s] / agents
                paid[here, r] += (-(crowd**2) + 0.1 * s * moving - 0.05 * a) / agents
            for falls in product((True, False), repeat=agents):
                chance, after = 1.0, [0, 0, 0]
                for s, a, fall in zip(states, actions, falls, strict=True):
                    stay = 0.2 + 0.6 * counts[s] / agents
                    chance *= 1 - stay if fall else stay
                    after[0 if fall else (s + a) % 3] += 1
                chances[here, r, place[tuple(after)]] += chance
    return chances, paid


@pytest.mark.parametrize("agents", [1, 2, 4])
def test_moves_of_few_agents_are_those_of_all_their_outcomes(agents: int) -> None:
    mdp = of_agents(tables_of(load(text=RING)), agents)
    assert mdp.rules.shape == (8, 3, 2)
    chances, paid = by_enumeration(agents, mdp)
    torch.testing.assert_close(mdp.transitions, chances, rtol=0, atol=1e-14)
    torch.testing.assert_close(mdp.rewards, paid, rtol=0, atol=1e-14)


def test_in_the_limit_values_are_those_of_the_moving_law() -> None:
    program = tables_of(load(text=RING))
    random = torch.tensor([[[0.5, 0.5], [0.2, 0.8], [0.9, 0.1]]], dtype=torch.float64)
    mdp = of_limit(program, 60, rules=random)
    found = policy_values(mdp, uniform_policy(mdp))
    for start in (0, 700, len(mdp.laws) - 1):
        law, value, weight = mdp.laws[start], 0.0, 0.2
        for _ in range(120):
            paid, after = 0.0, torch.zeros(3).double()
            moving = float((law * random[0, :, 1]).sum())
            for s in range(3):
                crowd, move = float(law[s]), float(random[0, s, 1])
                paid += crowd * (-(crowd**2) + 0.1 * s * moving - 0.05 * move)
                stay = crowd * (0.2 + 0.6 * crowd)
                after[(s + 1) % 3] += stay * move
                after[s] += stay * (1 - move)
                after[0] += crowd - stay
            value, weight, law = value + weight * paid, 0.8 * weight, after
        assert found[start].item() == pytest.approx(value, abs=2e-4)


def test_values_of_many_agents_approach_the_limit() -> None:
    program = toy()
    limit = optimal_values(of_limit(program, 320))[[0, -1]]
    gaps = [(optimal_values(of_agents(program, n))[[0, -1]] - limit).abs().max() for n in (20, 80)]
    assert gaps[0] < 0.007 and gaps[1] < 0.4 * gaps[0]


def test_a_grid_refines_towards_one_value() -> None:
    program = toy()
    ends = [optimal_values(of_limit(program, n))[[0, -1]] for n in (40, 80, 320)]
    assert (ends[0] - ends[2]).abs().max() < 2e-4
    assert (ends[1] - ends[2]).abs().max() < 5e-5


def test_games_without_values_on_laws_are_refused() -> None:
    with pytest.raises(ValueError, match="depends on time"):
        of_agents(load("beach_bar").program, 5)
    half = torch.full((1, 2, 2), 0.5).double()
    with pytest.raises(ValueError, match="deterministic"):
        of_agents(toy(), 5, rules=half)
    with pytest.raises(ValueError, match="too large"):
        of_agents(toy(), 10_000)
