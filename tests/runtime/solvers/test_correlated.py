"""Coarse correlated equilibria: exact gaps, mixtures where mirror descent cycles, refusals."""

from itertools import product

import pytest
import torch

import mfdsl
from mfdsl.correlated import correlate, play
from mfdsl.errors import UsageError
from mfdsl.runtime.evaluate import Evaluation
from mfdsl.runtime.solvers.base import SolverError
from mfdsl.runtime.solvers.correlated import coarse_correlated, coarse_gap
from mfdsl.runtime.views.finite import FiniteView
from tests.runtime.solvers.games import program

# Chicken: whoever dares gains while most others yield; equilibria are symmetric.
CHICKEN = """
model chicken
objective nash
horizon 1
population p as mu {
  state  home : int in 0..0 = 0
  action dare : bool
  home' = home
  reward daring = if dare then 7 * mu[dare = false] else 6 * mu[dare = false] + 2 * mu[dare = true]
}
"""

# Matching pennies of two populations, where everything but the mixed equilibrium cycles.
PENNIES = """
model pennies
objective nash
horizon 2
population even as evens {
  state  x : bool = false
  action a : bool
  x' = a
  reward same = if x then odds[x = true] else odds[x = false]
}
population odd as odds {
  state  x : bool = false
  action a : bool
  x' = a
  cost same = if x then evens[x = true] else evens[x = false]
}
"""


def slow_gap(view: FiniteView, policies: torch.Tensor, weights: torch.Tensor) -> float:
    """The coarse gap over all pure policies of one population, by evaluating each on each flow."""
    flows = [view.flow(view.policy(p[None])) for p in policies]
    own = sum(
        float(w) * float(Evaluation(view, view.policy(p[None])).value)
        for w, p in zip(weights, policies, strict=True)
    )
    shape = policies.shape[1:]
    legal = view.uniform().probs[0] > 0
    choices = [row.nonzero()[:, 0].tolist() for row in legal.flatten(0, 1)]
    best = -torch.inf
    for rule in product(*choices):
        probs = torch.nn.functional.one_hot(torch.tensor(rule), shape[-1]).to(policies)
        policy = view.policy(probs.reshape(1, *shape))
        gained = sum(
            float(w) * float(view.value(flow, view.q_values(flow, policy), policy))
            for w, flow in zip(weights, flows, strict=True)
        )
        best = max(best, gained)
    return best - own


@pytest.mark.parametrize("name", ["left_right", "pigou", "chicken"])
def test_the_coarse_gap_is_that_over_all_pure_policies(name: str) -> None:
    game = mfdsl.load(text=CHICKEN).program if name == "chicken" else program(name)
    view = FiniteView.build(game)
    uniform = view.uniform().probs[0]
    draws = uniform * torch.rand(
        (3, *uniform.shape), generator=torch.Generator().manual_seed(2), dtype=uniform.dtype
    )
    policies = draws / draws.sum(-1, keepdim=True)
    weights = torch.tensor([0.5, 0.3, 0.2], dtype=uniform.dtype)
    found = coarse_gap(view, policies, weights)
    assert found == pytest.approx(slow_gap(view, policies, weights), abs=1e-12)


@pytest.mark.parametrize("name", ["rock_paper_scissors", "dynamic_rps", "left_right", "pigou"])
def test_mixtures_have_no_coarse_gap_where_iterates_cycle(name: str) -> None:
    game = program(name)
    mixture = coarse_correlated(game, iterations=40)
    assert mixture.coarse_gap <= 1e-6
    view = FiniteView.build(game)
    again = coarse_gap(view, mixture.policies, mixture.weights)
    assert again == pytest.approx(mixture.coarse_gap, abs=1e-7)
    assert mixture.coarse_gap <= mixture.regret + 1e-12
    assert mixture.coarse_gap <= mixture.gap + 1e-9
    assert float(mixture.weights.sum()) == pytest.approx(1)


def test_a_coarse_equilibrium_need_not_be_one_with_sight() -> None:
    mixture = coarse_correlated(program("rock_paper_scissors"), iterations=40)
    assert len(mixture.weights) > 1
    assert mixture.coarse_gap <= 1e-6 and mixture.gap > 0.1


def test_regret_vanishes_with_the_number_of_iterations() -> None:
    few, many = (coarse_correlated(program("cycle"), iterations=n, tolerance=0) for n in (20, 320))
    assert many.regret < 0.5 * few.regret


def test_two_populations_share_a_draw() -> None:
    mixture = coarse_correlated(mfdsl.load(text=PENNIES).program, iterations=30)
    assert mixture.coarse_gap <= 1e-6 and mixture.value == pytest.approx(0, abs=1e-9)


def test_a_draw_is_played_by_everybody() -> None:
    game = mfdsl.load("rock_paper_scissors")
    mixture = correlate(game, iterations=40)
    played = play(game, mixture, agents=4000, games=60, seed=1)
    assert sum(played.drawn) == 60 and len(played.drawn) == len(mixture.weights)
    assert abs(played.mean - mixture.value) <= 4 * played.std_error + 0.01


def test_what_has_no_exact_coarse_gap_is_refused() -> None:
    with pytest.raises(SolverError, match="moves do not read the law"):
        coarse_correlated(program("sis"))
    with pytest.raises(SolverError, match="stationary horizon"):
        coarse_correlated(program("stationary_sis"))
    game = program("left_right")
    crowd = program("crowd_1d")
    with pytest.raises(SolverError, match="no sweep"):
        coarse_correlated(crowd, crowd.params({"eps": [0.1, 0.2]}))
    with pytest.raises(UsageError, match="are a team"):
        correlate(mfdsl.load("mfppo_toy"))
    assert game.kind == "finite"
