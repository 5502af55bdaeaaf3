"""How far from 0 the rewards of a stage can be, at some values of parameters or between them."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mfdsl.compiler.analysis.enclosure import Evaluator
from mfdsl.compiler.analysis.facts import facts_of
from mfdsl.compiler.analysis.opened import opened
from mfdsl.compiler.ir.model import Model

EACH = 64  # games of which each is looked at by itself

Column = NDArray[np.float64]


def most_paid(
    model: Model, values: Mapping[str, Column], columns: Mapping[str, Column]
) -> float | None:
    """How far from 0 the sum of the rewards of a stage is at most, in all of several games.

    Args:
        model: The game at any values of its parameters.
        values: Parameters of all games in the place of those that the model is bound to.
        columns: Parameters with one more axis in front, an entry for each game.

    Returns:
        The largest absolute value at any law, state and stage, rounded up; None where no bound is
        known. Numbers that differ over the games are looked at together, as an interval; where that
        has no bound, or there are arrays among them, the distinct games are looked at one by one,
        64 of them at most.
    """
    kinds = {p.name: model.types[p.type] for p in model.parameters}
    if all(kinds[name].kind == "real" and not kinds[name].dims for name in columns):
        spread = {name: (float(c.min()), float(c.max())) for name, c in columns.items()}
        found = _most(opened(model, spread), values)
        if found is not None or not columns:
            return found
    games = _distinct(columns)
    if len(games) > EACH:
        return None
    each = [_most(model, {**values, **game}) for game in games]
    known = [most for most in each if most is not None]
    return max(known) if len(known) == len(each) else None


def _distinct(columns: Mapping[str, Column]) -> list[dict[str, Column]]:
    """The games that differ, each with its own values."""
    found = {}
    for row in zip(*columns.values(), strict=True):
        found[tuple(entry.tobytes() for entry in row)] = dict(zip(columns, row, strict=True))
    return list(found.values())


def _most(model: Model, values: Mapping[str, Column]) -> float | None:
    facts = facts_of(model)
    facts = replace(facts, parameters={**facts.parameters, **values})
    evaluator = Evaluator(facts, {})
    ranges = [evaluator.value(term.node) for p in model.players for term in p.rewards]
    most = sum(float(np.maximum(np.abs(r.lo), np.abs(r.hi)).max()) for r in ranges)
    return float(np.nextafter(most, np.inf)) if np.isfinite(most) else None
