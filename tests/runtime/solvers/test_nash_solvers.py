"""What every solver owes: runs that go on, sweeps that are their games, any kind of game."""

import pytest
import torch

import mfdsl
from mfdsl.runtime.solvers.loop import solve
from mfdsl.runtime.solvers.needs import refusal
from mfdsl.runtime.status import Status
from tests.runtime import oracle
from tests.runtime.solvers.games import gaps, program, run

SOLVERS = {
    "prior_descent": {},
    "mf_omo": {"route": "gradient", "updates": 3},
    "mf_omi": {},
    "mf_pso": {"particles": 6},
    "successive_averages": {"patience": 2},
}
# What the best of 25 policies leaves of the start on games of a few stages, at most.
LEFT = {
    "prior_descent": 0.5,
    "mf_omo": 0.5,
    "mf_omi": 0.3,
    "mf_pso": 0.9,
    "successive_averages": 0.5,
}

TWO = """
model two_crowds
objective nash
horizon 3
population fox as f {
  state  x : int in 0..2 = 0
  action a : int in -1..1
  x' = clip(x + a)
  reward hunt = 2 * h[x] - 3 * f[x]
}
population hare as h {
  state  x : int in 0..2 = 2
  action a : int in -1..1
  x' = clip(x + a)
  reward flee = -2 * f[x] - h[x]
}
"""

WEATHER = """
model weather
objective nash
horizon 3
environment sky {
  state wet : bool = false
  wet' ~ mix { 0.5 -> true, else -> false }
}
population walker as mu {
  state  x : int in 0..2 ~ uniform
  action a : int in -1..1
  x' = clip(x + a)
  cost crowd = 2 * mu[x]
  cost rain  = ind(sky.wet) * x
}
"""


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_resumed_run_is_the_run_that_did_not_stop(solver: str) -> None:
    played, options = oracle.load("masked_queue"), SOLVERS[solver]
    whole = run(played, solver, 9, **options)
    first = run(played, solver, 4, **options)
    rest = solve(
        played,
        None,
        solver,
        options,
        iterations=9,
        tolerance=-1,
        patience=None,
        state=first.state,
        history=first.history,
    )
    assert gaps(rest) == gaps(whole)
    assert torch.equal(rest.policy.probs, whole.policy.probs)


@pytest.mark.parametrize("name", ["beach_bar", "masked_queue"])
@pytest.mark.parametrize("solver", SOLVERS)
def test_a_batch_solves_each_game(solver: str, name: str) -> None:
    played = oracle.load("beach_bar") if name == "beach_bar" else mfdsl.load("sis", params={"T": 4})
    played = played if name == "beach_bar" else played.program
    swept = {"bar": [2.0, 0.0, 1.0]} if name == "beach_bar" else {"infection": [0.3, 0.9]}
    ((parameter, values),) = swept.items()
    settings = {"iterations": 5, "tolerance": 0}
    batch = solve(played, played.params(swept), solver, SOLVERS[solver], **settings)
    for g, value in enumerate(values):
        alone = solve(
            played, played.params({parameter: value}), solver, SOLVERS[solver], **settings
        )
        found = batch.exploitability.per_game[g]
        assert found == pytest.approx(alone.exploitability.value, rel=1e-6, abs=1e-9)
        torch.testing.assert_close(
            batch.policy.probs[g], alone.policy.probs[0], atol=1e-6, rtol=1e-5
        )


@pytest.mark.parametrize("solver", SOLVERS)
def test_single_precision_agrees_at_first(solver: str) -> None:
    played = program("cycle")
    settings = {"iterations": 3, "tolerance": 0}
    exact = solve(played, None, solver, SOLVERS[solver], **settings)
    rough = solve(played, played.params(dtype=torch.float32), solver, SOLVERS[solver], **settings)
    assert rough.policy.probs.dtype == torch.float32
    assert gaps(rough) == pytest.approx(gaps(exact), rel=1e-2, abs=1e-2)


@pytest.mark.parametrize("text", [TWO, WEATHER], ids=["populations", "common noise"])
@pytest.mark.parametrize("solver", SOLVERS)
def test_several_populations_and_common_noise(solver: str, text: str) -> None:
    played = mfdsl.load(text=text).program
    found = run(played, solver, 25, **SOLVERS[solver])
    start = run(played, "omd", 0).exploitability.value
    assert -1e-9 <= min(gaps(found)) < LEFT[solver] * start
    sums = found.policy.probs.sum(-1)
    torch.testing.assert_close(sums, torch.ones_like(sums))


@pytest.mark.parametrize(
    ("solver", "iterations"),
    [("prior_descent", 400), ("mf_omo", 60), ("mf_omi", 400), ("mf_pso", 150)],
)
def test_known_equilibria(solver: str, iterations: int) -> None:
    """Left-right by hand; biased rock, paper, scissors where 2 s - p = 4 r - 2 s = 6 p - 3 r."""
    found = run(mfdsl.load("left_right").program, solver, iterations)
    assert found.flow.laws[0, 1].tolist() == pytest.approx([0, 2 / 3, 1 / 3], abs=1e-4)
    assert found.value[0] == pytest.approx(-2 / 3, abs=1e-4)
    found = run(mfdsl.load("rock_paper_scissors").program, solver, iterations)
    expected = [0, 26 / 77, 20 / 77, 31 / 77]
    assert found.flow.laws[0, 1].tolist() == pytest.approx(expected, abs=1e-3)
    assert found.value[0] == pytest.approx(42 / 77, abs=1e-3)


@pytest.mark.parametrize(
    "name",
    "equilibrium_price random_linear conservative_treasure_hunting nfg_coop nfg_dom two_bars "
    "garnet lq_ring a_rps".split(),
)
def test_exploitabilities_are_never_negative(name: str) -> None:
    played = mfdsl.load(name).program
    for solver, options in SOLVERS.items():
        if refusal(solver, played) is not None:
            assert (solver, played.kind) == ("mf_omi", "stationary")
            continue
        found = run(played, solver, 3, **options)
        assert min(gaps(found)) >= -1e-9
        sums = found.policy.probs.sum(-1)
        torch.testing.assert_close(sums, torch.ones_like(sums))


@pytest.mark.parametrize("solver", SOLVERS)
def test_illegal_actions_are_never_taken(solver: str) -> None:
    played = program("ring")
    found = run(played, solver, 4, **SOLVERS[solver])
    illegal = run(played, "omd", 0).policy.probs == 0
    assert illegal.any()
    assert (found.policy.probs[illegal] == 0).all()


@pytest.mark.parametrize("solver", ["prior_descent", "mf_omo", "mf_pso"])
def test_stationary_horizons(solver: str) -> None:
    played = program("contraction")
    found = run(played, solver, 12 if solver == "mf_pso" else 40, **SOLVERS[solver])
    start = run(played, "omd", 0).exploitability.value
    assert found.exploitability.value < 0.5 * start
    assert min(gaps(found)) >= -1e-9


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_run_ends_at_its_tolerance(solver: str) -> None:
    found = solve(mfdsl.load("left_right").program, None, solver, {}, tolerance=1e-3)
    assert found.status is Status.converged
    assert 0 <= found.exploitability.value <= 1e-3
