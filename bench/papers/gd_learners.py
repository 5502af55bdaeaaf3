"""Learners of generated laws for the cases of `gd_mfrl.py`, and what is measured of them."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor

from mfdsl.compiler.tabular.grids import Bins
from mfdsl.game import Game
from mfdsl.learning import tables_of, weighted_of
from mfdsl.runtime.learning.base import Lesson, make_learner
from mfdsl.runtime.learning.generated.distances import sliced_wasserstein
from mfdsl.runtime.learning.generated.learner import GeneratedField
from mfdsl.settings import resolve

SAMPLES = 4096
PROBE = 1 << 33  # episodes of these draws have numbers from here on

Row = dict[str, Any]


def learner_of(
    game: Game, options: Mapping[str, Any], seed: int, iterations: int, bins: Bins | None = None
) -> GeneratedField:
    """The learner of a game, whose tables have these grids."""
    settings = resolve(game.model, "gd_mfrl", options=options, iterations=iterations)
    params = game.agents.params(dtype=torch.float32)
    tabled = game if bins is None else replace(game, bins=bins)
    lesson = Lesson(
        game.agents,
        params,
        seed,
        iterations,
        weighted_of(game),
        lambda: tables_of(tabled, params),
    )
    return cast(GeneratedField, make_learner("gd_mfrl", settings.config, lesson))


def trained(learner: GeneratedField, iterations: int) -> tuple[dict[str, float], float]:
    """Train; the last record with a verdict, and the seconds of the processor."""
    began, found = time.process_time(), {}
    for k in range(iterations):
        found = dict(learner.step(k))
    return found, time.process_time() - began


def draws_of(learner: GeneratedField, count: int) -> Tensor:
    """Points [T + 1, n, d] of the generator."""
    return learner.crowd(count, PROBE)[:, 0]


def fidelity(made: Tensor, exact: Tensor, again: Tensor, draws: torch.Generator) -> Row:
    """Sliced distances of points [T, n, d] at times after the start, and their floor."""
    apart = [sliced_wasserstein(m, e, draws) for m, e in zip(made, exact, strict=True)]
    floor = [sliced_wasserstein(a, e, draws) for a, e in zip(again, exact, strict=True)]
    mean = sum(floor) / len(floor)
    return {"sw1": sum(apart) / len(apart), "sw1_max": max(apart), "floor": mean}


def moments(made: Tensor, means: Tensor, deviations: Tensor) -> Row:
    """The largest errors of means, and of deviations relative to them."""
    wrong = (made.mean(1) - means).abs().max()
    spread = (made.std(1) / deviations - 1).abs().max()
    return {"mean_error": float(wrong), "std_error": float(spread)}


def audit_part(found: Mapping[str, float]) -> Row:
    """What the auditor and the error split said at the end."""
    names = ("c2st", "coverage", "audit_failed", "split_error", "split_bound")
    return {name: found[name] for name in names if name in found}


def exploited(learner: GeneratedField) -> float:
    """The exploitability of the policy against its own flow."""
    gap = learner.gap()
    assert gap is not None
    return gap.value
