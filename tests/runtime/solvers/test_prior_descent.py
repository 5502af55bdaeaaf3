"""Prior descent against a slow statement of it, and where a fixed prior or temperature fails."""

import numpy as np
import pytest

import mfdsl
from mfdsl.runtime.solvers.base import make_solver
from tests.runtime import oracle
from tests.runtime.solvers.games import gaps, program, run, soft_values, tables

STEPS = 9
TEMPERATURE = 0.7


def slow_prior_descent(
    game: oracle.Game, discount: float, inner: int, *, soft: bool = False
) -> list[float]:
    policy = prior = oracle.uniform(game)
    found = []
    for k in range(STEPS):
        if inner and k % inner == 0:
            prior = policy
        joints, last = oracle.flow(game, policy)
        if soft:
            legal, rewards, kernels = tables(game, joints)
            warm = [reward / TEMPERATURE for reward in rewards]
            final = game.final(last) / TEMPERATURE
            policy = soft_values(legal, warm, kernels, final, discount, prior)
        else:
            q = oracle.q_values(game, joints, last, None, discount)
            weight = prior * np.exp((q - q.max(-1, keepdims=True)) / TEMPERATURE)
            policy = weight / weight.sum(-1, keepdims=True)
        found.append(oracle.exploitability(game, policy, discount))
    return found


@pytest.mark.parametrize("response", ["best", "soft"])
@pytest.mark.parametrize("inner", [0, 1, 3])
def test_iterates_are_those_of_the_algorithm(inner: int, response: str) -> None:
    options = {"temperature": TEMPERATURE, "inner": inner, "response": response}
    for played in (program("ring"), oracle.load("masked_queue")):
        game, discount = oracle.dense_game(played, played.params()), played.discount
        expected = slow_prior_descent(game, discount, inner, soft=response == "soft")
        assert gaps(run(played, "prior_descent", STEPS, **options))[1:] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "figure"),
    [
        ("left_right", 0.122886),
        ("mfglib_beach_bar", 0.662715),
        ("random_linear", 7.59359),
        ("linear_quadratic", 0.736473),
    ],
)
def test_a_prior_that_stays_leaves_the_bias_that_mfglib_has(name: str, figure: float) -> None:
    # MFGLib 0.3.0, PriorDescent with its defaults (eta = 1, n_inner = None), after 100 iterations.
    found = run(mfdsl.load(name).program, "prior_descent", 100, temperature=1.0, inner=0)
    assert gaps(found)[-1] == pytest.approx(figure, rel=1e-5)


def test_a_temperature_that_adapts_settles_where_a_constant_one_cycles() -> None:
    # Cui and Koeppl's biased rock, paper, scissors, where responses at temperature 1 overshoot.
    game = mfdsl.load("rock_paper_scissors").program
    constant = gaps(run(game, "prior_descent", 400, temperature=1.0))
    assert min(constant) > 0.1
    for response in ("best", "soft"):
        assert gaps(run(game, "prior_descent", 400, response=response))[-1] < 1e-6


def test_a_uniform_prior_that_stays_is_entropy() -> None:
    # the relative entropy to it is log|A| less the entropy, on every horizon
    for name in ("contraction", "lasry_lions_chain", "cycle"):
        options = {"temperature": 1.0, "inner": 0, "response": "soft"}
        found = gaps(run(program(name), "prior_descent", 5, **options))
        expected = gaps(run(program(name), "soft_fixed_point", 5, temperature=1.0))
        assert found == pytest.approx(expected, rel=1e-6)


def test_a_stationary_game_is_solved_with_a_moving_prior() -> None:
    options = {"response": "soft", "inner": 5}
    found = gaps(run(program("lasry_lions_chain"), "prior_descent", 250, **options))
    assert found[-1] < 1e-3 * found[0]


def test_an_adaptive_temperature_needs_responses_to_compare() -> None:
    with pytest.raises(ValueError, match="take inner of 2 or more, or name a temperature"):
        make_solver("prior_descent", {"inner": 1})
    assert make_solver("prior_descent", {"inner": 1, "temperature": 2.0}).config.inner == 1
