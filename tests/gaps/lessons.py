"""Lessons of games with their tables, and policies of agents that tables give."""

from collections.abc import Mapping
from functools import cache

import torch
from torch import Tensor

from mfdsl.game import Game
from mfdsl.learning import tables_of
from mfdsl.runtime.learning.base import Lesson
from mfdsl.runtime.learning.placed import Chances, Placed, Tables, own_actions
from mfdsl.runtime.tabled import Places


def lesson_of(game: Game, dtype: torch.dtype = torch.float64) -> Lesson:
    params = game.agents.params(dtype=dtype)
    weighted = game.agents_of("weighted")
    return Lesson(game.agents, params, 0, 1, weighted, cache(lambda: tables_of(game, params)))


def tables_in(lesson: Lesson) -> Tables:
    assert lesson.tables is not None
    tables = lesson.tables()
    assert tables is not None
    return tables


def chances_of_table(tables: Tables, probs: Tensor) -> Chances:
    """A policy [T, S, A] as agents follow it: each looks up the row of its own place."""
    program = tables.tables
    places = Places(program.state_axes(), program.action_axes(), tables.reduced, tables.model)
    names = [v.name for v in tables.reduced.model.population.actions]
    sizes = list(program.actions.values())

    def chances(scene: Placed) -> Mapping[str, Tensor]:
        found = {}
        for name, flat in places.standing(scene).items():
            player = tables.model.player(name)
            field = next(f for f, n in tables.program.names.items() if n == name)
            rows = probs[scene.t, flat].reshape(*flat.shape, *sizes)
            mine = [c.axis for c in own_actions(tables.reduced, player)]
            for k, axis in reversed(list(enumerate(names))):
                if axis not in mine:
                    rows = rows.select(flat.ndim + k, 0)
            found[field] = rows.reshape(*flat.shape, -1)
        return found

    return chances
