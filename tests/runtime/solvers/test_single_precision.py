"""What single precision may say: policies that add up, and no exact gain below its rounding."""

from unittest.mock import Mock

import numpy as np
import pytest
import torch

import mfdsl
from mfdsl.runtime.evaluate import Evaluation, build_view
from mfdsl.runtime.solvers import prior_descent, soft_fixed_point
from mfdsl.runtime.solvers.options import PriorDescentConfig, SoftFixedPointConfig
from mfdsl.runtime.solvers.soft import soft_response
from mfdsl.runtime.views.tables import Problem
from mfdsl.validating.gains import evaluated
from mfdsl.validating.trial import Trial


def test_soft_responses_to_large_rewards_are_policies() -> None:
    rewards = torch.tensor([1e8, 1e8, 1e8, 1.3e8], dtype=torch.float32).view(1, 2, 2, 1)
    policy = soft_response(Problem(rewards, (), None, None), 1.0).exp()
    assert (policy.sum(1) - 1).abs().max() < 1e-6
    assert policy[0, 1, 1, 0] == 1


def test_a_policy_of_single_precision_is_scored_with_rows_that_add_up() -> None:
    game = mfdsl.load("sis")
    shares = np.random.default_rng(0).random(mfdsl.evaluate(game).policy.probs.shape[1:])
    rounded = (shares / shares.sum(-1, keepdims=True)).astype(np.float32)
    scored = mfdsl.evaluate(game, rounded)
    assert (scored.policy.probs.sum(-1) - 1).abs().max() < 1e-14
    table = mfdsl.runtime.policy.TabularPolicy(torch.from_numpy(rounded)[None])
    again = evaluated(Trial(game, None, "given", table=table))  # type: ignore[arg-type]
    assert again is not None and again.exploitability == scored.exploitability


def test_parts_of_the_states_need_no_rule_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that share states would each stop at another pass, and wait for ever."""
    view = build_view(mfdsl.load("sis").program)
    whole = Evaluation(view, view.uniform())
    part = Mock(wraps=view, program=view.program)  # no `FiniteView`, as those of processes
    for module, solver in (
        (soft_fixed_point, soft_fixed_point.SoftFixedPoint(SoftFixedPointConfig())),
        (prior_descent, prior_descent.PriorDescent(PriorDescentConfig(response="soft"))),
    ):
        monkeypatch.setattr(module, "_without_end", None)
        shared = Evaluation.of(part, whole.flow)
        part.largest = lambda own: own + 1
        found = solver.step(shared, solver.init(view))
        assert found.probs.equal(solver.step(whole, solver.init(view)).probs)
    assert found.last == solver.step(whole, solver.init(view)).last + 1


@pytest.mark.parametrize(("dtype", "kind"), [("float32", "estimate"), ("float64", "exact")])
def test_a_gain_that_rounding_hides_is_an_estimate(dtype: mfdsl.game.Dtype, kind: str) -> None:
    found = mfdsl.solve("sis", "policy_iteration", tolerance=1e-7, dtype=dtype)
    assert found.exploitability.value < 1e-6 and found.exploitability.kind == kind
    far = mfdsl.solve("sis", "omd", dtype=dtype, iterations=1)
    assert far.exploitability.kind == "exact"
