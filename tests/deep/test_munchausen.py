"""deep_munchausen beside munchausen_omd and omd: the same values, and iterates in the limit."""

import pytest
import torch

import mfdsl
from mfdsl.runtime.evaluate import Evaluation, build_view
from mfdsl.runtime.policy import softmax_probs
from mfdsl.runtime.solvers.base import make_solver
from mfdsl.runtime.solvers.loop import solve
from mfdsl.runtime.solvers.munchausen import LogPolicy
from mfdsl.runtime.solvers.networks.munchausen import paid_values

GAMES = ["left_right", "lasry_lions_chain", "asymmetric_sis"]


@pytest.mark.parametrize("spec", GAMES)
@pytest.mark.parametrize("temperature", [0.5, 4.0])
def test_values_without_a_network_are_those_of_omd(spec: str, temperature: float) -> None:
    """The tabular limit: the softmax that networks are fitted to is the next iterate of omd."""
    view = build_view(mfdsl.load(spec).program)
    summed = make_solver("omd", {"learning_rate": 1 / temperature})
    paid = make_solver("munchausen_omd", {"temperature": temperature})
    state = summed.init(view)
    for _ in range(10):
        evaluation = Evaluation(view, view.policy(state.probs))
        scores = state.scores.masked_fill(evaluation.q == -torch.inf, -torch.inf)
        logs = torch.log_softmax(scores, -1)
        goal = softmax_probs(paid_values(evaluation, logs, temperature, 1.0), temperature)
        exact = paid.step(evaluation, LogPolicy(0, state.probs, logs))
        state = summed.step(evaluation, state)
        torch.testing.assert_close(goal, state.probs, rtol=0, atol=1e-10)
        torch.testing.assert_close(goal, exact.probs, rtol=0, atol=1e-10)


def test_less_of_the_logarithm_leans_to_the_uniform_policy() -> None:
    """With alpha = 0 values are soft ones of one iteration: nothing is remembered."""
    view = build_view(mfdsl.load("left_right").program)
    probs = view.uniform().probs.clone()
    probs[0, 0, 0] = torch.tensor([0.7, 0.2, 0.1])
    evaluation = Evaluation(view, view.policy(probs))
    logs = probs.log()
    q = [paid_values(evaluation, logs, 2.0, alpha)[0, 0, 0] for alpha in (0.0, 0.5, 1.0)]
    apart = [float(row[0] - row[1]) for row in q]
    log_odds = float(logs[0, 0, 0, 0] - logs[0, 0, 0, 1])
    assert apart[1:] == pytest.approx([apart[0] + log_odds, apart[0] + 2 * log_odds])


def test_networks_that_fit_well_make_the_iterates_of_the_table() -> None:
    program = mfdsl.load("crowd_1d").program
    options = {"temperature": 4.0, "updates": 400, "learning_rate": 0.01, "decay": 0.5}
    found = solve(program, None, "deep_munchausen", options, iterations=5, tolerance=0)
    exact = solve(program, None, "munchausen_omd", {"temperature": 4.0}, iterations=5, tolerance=0)
    apart = (found.policy.probs - exact.policy.probs).abs().amax(-1)
    laws = exact.flow.laws[:, :-1]
    assert float((laws * apart).sum(-1).max()) < 0.02
    for one, other in zip(found.history, exact.history, strict=True):
        assert one.exploitability == pytest.approx(other.exploitability, rel=0.03)


def test_a_network_is_as_good_as_the_table_on_a_crowd() -> None:
    """At most 1.5 times the exact solver's exploitability after as many iterations."""
    program = mfdsl.load("crowd_2d").program
    gaps = [
        solve(
            program, None, name, {"temperature": 1.0}, iterations=30, tolerance=0
        ).exploitability.value
        for name in ("munchausen_omd", "deep_munchausen")
    ]
    assert gaps[1] < 1.5 * gaps[0]
