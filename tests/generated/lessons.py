"""Learners of generated laws for tests: small, with one thread."""

from collections.abc import Mapping
from typing import Any, cast

import torch

from mfdsl.game import Game
from mfdsl.learning import tables_of, weighted_of
from mfdsl.runtime.learning.base import Lesson, make_learner
from mfdsl.runtime.learning.generated.learner import GeneratedField
from mfdsl.settings import resolve


def lesson_of(game: Game, seed: int = 0, iterations: int = 4) -> Lesson:
    """A lesson with tables and weights."""
    params = game.agents.params(dtype=torch.float32)
    return Lesson(
        game.agents, params, seed, iterations, weighted_of(game), lambda: tables_of(game, params)
    )


def learner_of(game: Game, seed: int = 0, iterations: int = 4, **options: Any) -> GeneratedField:
    """The learner with these options."""
    given: Mapping[str, Any] = {"evaluate_every": 100, **options}
    config = resolve(game.model, "gd_mfrl", options=given, iterations=iterations).config
    lesson = lesson_of(game, seed, iterations)
    return cast(GeneratedField, make_learner("gd_mfrl", config, lesson))
