"""Scores of a policy that comes from anywhere: its flow, its values and its exploitability."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike

from mfdsl.errors import UsageError
from mfdsl.game import Device, Dtype, Game
from mfdsl.planning import check_tables
from mfdsl.records import start_of
from mfdsl.runtime.evaluate import Evaluation, View, build_view
from mfdsl.runtime.learning.loop import Learned
from mfdsl.runtime.policy import TabularPolicy
from mfdsl.runtime.solution import Solution
from mfdsl.solving import find_device, params_at
from mfdsl.starting import GIVEN, Start, policies_of

Scored = Solution | TabularPolicy | str | Path | ArrayLike
UNIFORM = "uniform"
PLAYED = "`simulate(game, policy)` plays it; `validate(RUN)` measures the run of a learner"
AXES = 4  # batch, stages, states, actions
SHAPES = "give one of shape [stages, states, actions], states and actions flat, row by row"


def evaluation(
    game: Game, policy: Scored = UNIFORM, *, device: Device = "cpu", dtype: Dtype = "float64"
) -> Evaluation:
    """Everything exact about one policy on the tables of a game; computed when asked for.

    Raises:
        UsageError: the game has no tables, or the policy is none of this game.
    """
    check_tables(game.model, game.bins)
    place = find_device(device)
    view = build_view(game.program, params_at(game, {}, dtype=getattr(torch, dtype), device=place))
    return Evaluation(view, view.policy(_chances(game, policy, view)))


def _chances(game: Game, policy: Scored, view: View) -> torch.Tensor:
    """The probabilities [1, T, S, A] of a policy."""
    if isinstance(policy, str) and policy == UNIFORM:
        return view.uniform().probs
    if isinstance(policy, Solution):
        policy = policy.policy
    if isinstance(policy, TabularPolicy | str | Path):
        start = start_of(policy, game)
    else:
        start = Start(GIVEN, TabularPolicy(_table(policy)))
    return policies_of(start, view, games=1, seeds=(0,))


def _table(values: ArrayLike) -> torch.Tensor:
    """An array [1, T, S, A], [T, S, A], or [S, A] of a policy that is stationary."""
    try:
        if isinstance(values, torch.Tensor):  # of a network: only its numbers are read
            values = values.detach().cpu()
        found = torch.as_tensor(np.asarray(values, dtype=np.float64))
    except (TypeError, ValueError, RuntimeError):
        played = isinstance(values, Learned) or callable(values)
        raise UsageError(
            f"a policy is a table of numbers, and `{type(values).__name__}` is none",
            PLAYED if played else SHAPES,
        ) from None
    if not 2 <= found.ndim <= AXES:
        raise UsageError(f"a policy has 2 to 4 axes, and this array has {found.ndim}", SHAPES)
    return found.reshape(*[1] * (AXES - found.ndim), *found.shape)
