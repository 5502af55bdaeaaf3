"""Simulated agents against the exact view."""

import math

import pytest
import torch

from mfdsl.runtime.evaluate import Evaluation, build_view
from mfdsl.runtime.policy import TabularPolicy
from mfdsl.runtime.program import Program
from mfdsl.runtime.rng import stream, uniforms
from mfdsl.runtime.views.particles import reset_where, simulate
from tests.runtime import oracle

GAMES = ("left_right", "beach_bar", "susceptible_infected", "masked_queue")


def uniform_policy(program: Program) -> TabularPolicy:
    return build_view(program).uniform()


@pytest.mark.parametrize("name", GAMES)
def test_the_flow_of_agents_nears_the_exact_flow_like_one_over_root_n(name: str) -> None:
    program = oracle.load(name)
    policy = uniform_policy(program)
    exact = build_view(program).laws(policy)
    for agents in (400, 40_000):
        laws = simulate(program, policy, agents=agents, batch=4, seed=5, record_laws=True).laws
        assert laws is not None
        error = (laws - exact).abs().mean().item()
        assert error < 1.5 / math.sqrt(agents)


@pytest.mark.parametrize("name", GAMES)
def test_mean_returns_agree_with_the_exact_value(name: str) -> None:
    program = oracle.load(name)
    policy = uniform_policy(program)
    result = simulate(program, policy, agents=20_000, batch=8, seed=1)
    exact = Evaluation(build_view(program), policy).value.item()
    assert result.mean == pytest.approx(exact, abs=5 * result.std_error + 2e-3)
    assert result.returns.shape == (8,)
    assert result.agent_steps_per_second > 0


def test_equal_seeds_give_equal_runs_and_other_seeds_do_not() -> None:
    program = oracle.load("masked_queue")
    policy = uniform_policy(program)
    first, again, other = (simulate(program, policy, seed=seed).returns for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_streams_of_one_variable_do_not_depend_on_others() -> None:
    def draw(step: int, variable: str) -> list[float]:
        device = torch.device("cpu")
        shape, dtype = (3,), torch.float64
        return uniforms(shape, 7, step, variable, dtype=dtype, device=device).tolist()

    first = draw(0, "a")
    draw(0, "b")
    assert draw(0, "a") == first
    assert draw(0, "b") != first
    assert draw(1, "a") != first
    assert stream(7, 0, "a").initial_seed() != stream(8, 0, "a").initial_seed()


def test_agents_never_take_illegal_actions() -> None:
    text = oracle.load("masked_queue").text
    old = "    return State(line, busy), -crowd"
    assert old in text
    new = (
        "    late_now = (t % 2 == 0)\n"
        "    bad = (s.line + a.go > 2) | ((a.go == 2) & ~late_now)\n"
        "    crowd = torch.where(bad, torch.inf, crowd)\n" + old
    )
    program = oracle.load_program(text.replace(old, new))
    assert simulate(program, uniform_policy(program), agents=5000).returns.isfinite().all()


def test_a_batch_of_parameters_is_a_batch_of_games() -> None:
    program = oracle.load("susceptible_infected")
    params = program.params({"infection": [0.0, 0.81]})
    policy = uniform_policy(program)
    result = simulate(program, policy, params, agents=2000, record_laws=True)
    assert result.laws is not None
    assert result.batch == 2
    assert result.laws[0, -1, 1] < 0.01 < result.laws[1, -1, 1]


def test_agents_can_start_from_a_given_law() -> None:
    program = oracle.load("masked_queue")
    start = torch.tensor([[0.0, 0.0, 0.0, 0.0, 0.25, 0.75]], dtype=torch.float64)
    laws = simulate(
        program, uniform_policy(program), agents=4000, record_laws=True, start=start
    ).laws
    assert laws is not None
    assert laws[0, 0, :4].sum() == 0
    assert laws[0, 0, 5].item() == pytest.approx(0.75, abs=0.05)


def test_games_without_end_stop_where_discounting_leaves_little() -> None:
    program = oracle.load("beach_bar", HORIZON="None", HORIZON_KIND='"stationary"', DISCOUNT="0.5")
    policy = uniform_policy(program)
    kept = build_view(program).laws(policy)[:, 0]
    result = simulate(program, policy, agents=20_000, start=kept)
    assert result.steps == 14
    exact = Evaluation(build_view(program), policy).value.item()
    assert result.mean == pytest.approx(exact, abs=0.02)


@pytest.mark.parametrize(
    ("sizes", "complaint"),
    [
        ({"agents": 0}, "at least one agent"),
        ({"batch": 0}, "at least one game"),
        ({"steps": 0}, "at least one step"),
        ({"steps": 5}, "has 3 stages, 5 were asked for"),
    ],
)
def test_wrong_sizes_are_refused(sizes: dict[str, int], complaint: str) -> None:
    program = oracle.load("beach_bar")
    with pytest.raises(ValueError, match=complaint):
        simulate(program, uniform_policy(program), **sizes)


def test_reset_replaces_whole_games_or_single_agents() -> None:
    module = oracle.load("masked_queue").module
    old = module.State(torch.zeros(2, 3), torch.zeros(2, 3))
    fresh = module.State(torch.ones(2, 3), torch.full((2, 3), 2.0))
    games = reset_where(old, fresh, torch.tensor([False, True]))
    assert games.line.tolist() == [[0, 0, 0], [1, 1, 1]]
    one = torch.tensor([[True, False, False], [False, False, False]])
    assert reset_where(old, fresh, one).busy.tolist() == [[2, 0, 0], [0, 0, 0]]
