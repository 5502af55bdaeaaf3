"""Riccati equations beside dense systems of all stages, and beside every agent by itself."""

from dataclasses import replace

import numpy as np
import pytest

from mfdsl.runtime.solvers.base import SolverError
from mfdsl.runtime.solvers.riccati.backwards import Solved, solved
from mfdsl.runtime.solvers.riccati.deviations import gains
from mfdsl.runtime.solvers.riccati.flow import costs, flow
from mfdsl.runtime.solvers.riccati.game import Game
from mfdsl.runtime.solvers.riccati.team import least_team_cost
from tests.riccati.dense import least, open_loop, paid, random_game, stacked

NUMBERS = {"fish": 3, "bird": 2}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("team", [False, True])
def test_the_flow_of_means_solves_the_system_of_all_stages(seed: int, team: bool) -> None:
    """Without majors; the costates of the dense system know nothing of values or policies."""
    game = random_game(seed, team=team, majors=False)
    found = solved(game)
    means, controls = open_loop(game)
    path = flow(game, found.policy).means
    assert path == pytest.approx(means, rel=1e-9, abs=1e-9)
    played = np.einsum("tqp,tp->tq", found.policy.controls, path[:-1])
    assert played == pytest.approx(controls, rel=1e-9, abs=1e-9)


def test_a_planner_moves_majors_as_the_dense_system_does() -> None:
    game = random_game(7, team=True)
    means, _ = open_loop(game)
    assert flow(game, solved(game).policy).means == pytest.approx(means, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("team", [False, True])
def test_costs_among_few_agents_are_those_of_every_agent_by_itself(seed: int, team: bool) -> None:
    game = random_game(seed, team=team)
    found = solved(game)
    system = stacked(game, found.policy, NUMBERS)
    each = costs(game, found.policy, NUMBERS)
    assert each["king"] == pytest.approx(paid(system, "king"), rel=1e-11)
    for name, number in NUMBERS.items():
        for i in range(number):
            assert each[name] == pytest.approx(paid(system, (name, i)), rel=1e-11)


@pytest.mark.parametrize("seed", range(3))
def test_gains_among_few_agents_are_those_of_who_sees_everybody(seed: int) -> None:
    """A best response that may read each other agent's state gains no more than one of means."""
    game = random_game(seed)
    found = solved(game)
    system = stacked(game, found.policy, NUMBERS)
    each = gains(game, found.policy, NUMBERS)
    for who, name in (("king", "king"), (("fish", 0), "fish"), (("bird", 1), "bird")):
        best = least(system, system.costs[who], system.finals[who], system.own[who])
        assert paid(system, who) - best == pytest.approx(each[name], rel=1e-8, abs=1e-11)
    assert each["fish"] > 1e-6 and each["bird"] > 1e-6 > abs(each["king"])


@pytest.mark.parametrize("seed", range(3))
def test_the_team_optimum_among_few_agents_is_that_of_who_moves_them_all(seed: int) -> None:
    game = random_game(seed, team=True)
    found = solved(game)
    system = stacked(game, found.policy, NUMBERS)
    shares = {"king": 1.0} | {(n, i): 1 / k for n, k in NUMBERS.items() for i in range(k)}
    whole = [
        sum(w * system.costs[who][t] for who, w in shares.items()) for t in range(len(system.plan))
    ]
    final = sum(w * system.finals[who] for who, w in shares.items())
    best = least(system, whole, final, list(range(system.push[0].shape[1])))  # type: ignore[arg-type]
    assert least_team_cost(game, NUMBERS) == pytest.approx(best, rel=1e-10)
    assert sum(costs(game, found.policy, NUMBERS).values()) == pytest.approx(best, rel=1e-10)


@pytest.mark.parametrize("seed", range(4))
def test_nobody_gains_in_the_limit_and_less_than_with_random_deviations(seed: int) -> None:
    game = random_game(seed)
    found = solved(game)
    assert max(map(abs, gains(game, found.policy).values())) <= 1e-11
    draw = np.random.default_rng(seed)
    other = _shaken(found, draw)
    each = gains(game, other.policy)
    assert min(each.values()) > 0
    assert each["king"] == pytest.approx(_best_of_king(game, other), rel=1e-9)


def _shaken(found: Solved, draw: np.random.Generator) -> Solved:
    """The same with other rows, whose means of actions are those of members in the middle."""
    policy, game = found.policy, found.game
    own = [o + draw.normal(0, 0.1, o.shape) for o in policy.own]
    common = [c + draw.normal(0, 0.1, c.shape) for c in policy.common]
    controls = policy.controls + draw.normal(0, 0.1, policy.controls.shape)
    for k, crowd in enumerate(game.crowds):
        controls[:, crowd.acts] = common[k]
        controls[:, crowd.acts, crowd.means] += own[k]
    return Solved(game, type(policy)(tuple(own), tuple(common), controls, policy.margins))


def _best_of_king(game: Game, found: Solved) -> float:
    """By a game of very many agents, all by themselves but alike: the means are certain."""
    still = random_game_without_noise(game)
    system = stacked(still, found.policy, {"fish": 1, "bird": 1})
    best = least(system, system.costs["king"], system.finals["king"], system.own["king"])
    return paid(system, "king") - best


def random_game_without_noise(game: Game) -> Game:
    """The same with members who have no noise of their own, so that one is all of them."""
    crowds = tuple(
        replace(
            c,
            noise=np.zeros_like(c.noise),
            start=replace(c.start, own=np.zeros_like(c.start.own)),
        )
        for c in game.crowds
    )
    return replace(game, crowds=crowds)


def test_costs_without_a_least_action_are_refused() -> None:
    game = random_game(0)
    bad = game.crowds[0].cost.copy()
    a = game.crowds[0].size + game.size
    bad[2, a, a] = -100.0
    crowds = (replace(game.crowds[0], cost=bad), game.crowds[1])
    with pytest.raises(SolverError, match="fish has no best action at t = 2"):
        solved(replace(game, crowds=crowds))
