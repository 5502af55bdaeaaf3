"""Rules learned through exact moves of the law, against values on a grid of laws and rules."""

import pytest
import torch
from torch import Tensor, nn

from mfdsl import load
from mfdsl.runtime.learning.lifted_rule import Lifting, course_values, trained
from mfdsl.runtime.learning.mean_field_mdp import (
    of_limit,
    optimal_values,
    policy_values,
    uniform_policy,
)
from tests.learning.team_tables import toy


class Same(nn.Module):
    """One rule at all laws."""

    def __init__(self, rule: Tensor) -> None:
        super().__init__()
        self.rule = rule

    def forward(self, laws: Tensor) -> Tensor:
        return self.rule.expand(len(laws), -1, -1)


def random_rules(steps: int) -> Tensor:
    share = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    rows = torch.stack([1 - share, share], -1)
    return torch.stack([torch.stack([one, two]) for one in rows for two in rows])


def test_values_of_a_fixed_rule_are_those_of_its_process() -> None:
    program = toy()
    rule = torch.tensor([[0.4, 0.6], [0.9, 0.1]], dtype=torch.float64)
    mdp = of_limit(program, 200, rules=rule[None])
    found = course_values(program, program.params(), Same(rule), mdp.laws, 300)
    torch.testing.assert_close(found, policy_values(mdp, uniform_policy(mdp)), rtol=0, atol=2e-5)


def test_gradients_are_those_of_differences() -> None:
    program, law = toy(), torch.tensor([[0.35, 0.65]], dtype=torch.float64)
    rule = torch.tensor([[0.4, 0.6], [0.9, 0.1]], dtype=torch.float64, requires_grad=True)

    def value(chances: Tensor) -> Tensor:
        return course_values(program, program.params(), Same(chances), law, 12)

    assert torch.autograd.gradcheck(value, rule)


def test_a_learned_rule_is_optimal_within_a_thousandth_at_all_laws() -> None:
    program = toy()
    mdp = of_limit(program, 160, rules=random_rules(20))
    *_, (rule, last) = trained(program, program.params(), Lifting(steps=12), seed=0)
    with torch.no_grad():
        found = course_values(program, program.params(), rule, mdp.laws, 200)
    best = optimal_values(mdp)
    assert (best - found).max() < 1e-3
    assert (found > optimal_values(of_limit(program, 160)) - 1e-3).all()
    assert last == pytest.approx(best.mean().item(), abs=0.01)


def test_games_with_an_end_are_refused() -> None:
    program = load("beach_bar").program
    with pytest.raises(ValueError, match="not a discounted game"):
        next(trained(program, program.params(), Lifting(), seed=0))
