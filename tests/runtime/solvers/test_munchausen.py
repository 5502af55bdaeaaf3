"""Mirror descent by values with logarithms paid makes the iterates of mirror descent by sums."""

import pytest
import torch

import mfdsl
from mfdsl.runtime.evaluate import Evaluation, build_view
from mfdsl.runtime.solvers.base import make_solver
from mfdsl.runtime.solvers.munchausen import LogPolicy

GAMES = ["sis", "beach_bar", "four_rooms", "stationary_sis", "predator_prey", "asymmetric_sis"]


@pytest.mark.parametrize("spec", GAMES)
@pytest.mark.parametrize("temperature", [0.5, 4.0])
def test_each_step_is_that_of_omd(spec: str, temperature: float) -> None:
    """From each of its iterates: over many steps a game may blow up differences of rounding."""
    view = build_view(mfdsl.load(spec).program)
    summed = make_solver("omd", {"learning_rate": 1 / temperature})
    paid = make_solver("munchausen_omd", {"temperature": temperature})
    state = summed.init(view)
    for _ in range(15):
        evaluation = Evaluation(view, view.policy(state.probs))
        scores = state.scores.masked_fill(evaluation.q == -torch.inf, -torch.inf)
        found = paid.step(evaluation, LogPolicy(0, state.probs, torch.log_softmax(scores, -1)))
        state = summed.step(evaluation, state)
        torch.testing.assert_close(found.probs, state.probs, rtol=0, atol=1e-10)


@pytest.mark.parametrize("spec", GAMES)
def test_first_iterates_are_those_of_omd(spec: str) -> None:
    more = {"iterations": 6, "tolerance": 0}
    found = mfdsl.solve(spec, "munchausen_omd", options={"temperature": 4.0}, **more)
    expected = mfdsl.solve(spec, "omd", options={"learning_rate": 0.25}, **more)
    torch.testing.assert_close(found.policy.probs, expected.policy.probs, rtol=0, atol=1e-10)
    gaps, others = ([r.exploitability for r in s.history] for s in (found, expected))
    assert gaps == pytest.approx(others, abs=1e-9)


def test_policies_that_are_nearly_pure_stay_finite() -> None:
    found = mfdsl.solve(
        "no_interaction", "munchausen_omd", iterations=200, options={"temperature": 1e-3}
    )
    assert torch.isfinite(found.policy.probs).all()
    assert found.exploitability.value < 1e-9
