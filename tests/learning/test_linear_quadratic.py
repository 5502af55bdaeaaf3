"""Learned policies of linear-quadratic teams cost nearly what the planner's optimum costs."""

import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from bench.lq_cases import COSTS
from bench.papers.linear_quadratic import (
    GAMES,
    METHODS,
    SPECS,
    least_costs,
    optimum,
    row,
    team_costs,
)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Tensors are small here: on a busy machine threads wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def gaps(name: str, iterations: int, seed: int) -> list[float]:
    """What a policy that was learned in a short course costs too much, at each size."""
    method = replace(METHODS[name], iterations=iterations)
    return [found.gap for found in row(name, "lq1b", seed, method).gaps]


def test_the_optimum_is_that_of_the_file() -> None:
    figures = COSTS["lq_control", "lq1b", "agent"]
    assert optimum("lq1b")[1] == pytest.approx({n: figures[n] for n in GAMES}, rel=1e-11)


@pytest.mark.parametrize("case", SPECS)
def test_the_optimum_is_what_its_policy_pays(case: str) -> None:
    for agents, games in GAMES.items():
        paid = least_costs(case, agents, games)
        error = paid.std().item() / math.sqrt(games)
        assert abs(paid.mean().item() - optimum(case)[1][agents]) <= 3 * error


def test_doing_nothing_costs_what_a_random_walk_costs() -> None:
    """Costs by hand, apart from both closed forms and policies."""
    case, still, mean = "lq1b", 0.0, 1.0
    idle = team_costs(case, "still", 50, GAMES[50])
    for t in range(11):  # x is a random walk of variance 0.2 + 0.04 t, the mean of 1/50 of it
        spread = 0.2 + 0.04 * t
        apart = spread * (1 - 1 / 50) + 0.04 * (mean**2 + spread / 50)
        still += 0.5 * apart + (0.15 * (mean**2 + spread) if t < 10 else 0.0)
    assert abs(idle.mean().item() - still) <= 3 * idle.std().item() / math.sqrt(GAMES[50])


def test_the_path_leads_to_the_optimum_at_any_number_of_agents() -> None:
    found = gaps("path", 80, 0)
    assert all(0 < gap < 0.015 for gap in found), found


def test_credit_for_what_oneself_adds_leaves_less_than_half_of_the_gap() -> None:
    """Policies of 240 games; other seeds leave .005 and .008, and .18 and .29 without credit."""
    found = {name: gaps(name, 15, seed=0) for name in ("marginal", "team")}
    assert max(found["marginal"]) < 0.02
    for marginal, team in zip(found["marginal"], found["team"], strict=True):
        assert marginal < team / 2
