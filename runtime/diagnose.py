"""Finds where a value that is NaN or infinite came from."""

import torch
from torch import Tensor

from mfdsl.runtime.evaluate import Evaluation
from mfdsl.runtime.layout import outer


def first_not_finite(evaluation: Evaluation) -> str:
    """The first table with a value that is not finite, and its stage: "`reward` at stage 3"."""
    flow = evaluation.flow
    problem = flow.problem
    if not torch.isfinite(evaluation.policy.probs).all():
        return f"the policy at stage {_first(evaluation.policy.probs)}"
    law_stage = _first(flow.laws)
    rewards = outer(problem.rewards) if problem is not None else flow.joint
    reward_stage = _first(rewards)
    if law_stage is not None and (reward_stage is None or law_stage <= reward_stage):
        return "the initial law" if law_stage == 0 else f"`kernel` at stage {law_stage - 1}"
    if reward_stage is not None:
        return f"`reward` at stage {reward_stage}"
    if problem is not None and problem.final is not None and not problem.final.isfinite().all():
        return f"`final reward` at stage {flow.laws.shape[1] - 1}"
    return "the values (rewards too large to add up)"


def _first(table: Tensor) -> int | None:
    """The first stage (second axis) with a value that is not finite."""
    bad = ~torch.isfinite(table).transpose(0, 1).flatten(1).all(1)
    return int(bad.nonzero()[0]) if bad.any() else None
