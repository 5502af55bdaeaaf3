"""How far a grid is from what it stands for: the same policy in the game on grids twice as fine.

Between two points of the coarse grid the policy mixes those of its neighbours, so that it chooses
among coarse actions everywhere; best responses may use all actions of the fine grid.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from mfdsl.compiler.ir.reduced import Coordinate, Reduced
from mfdsl.errors import UsageError
from mfdsl.runtime.evaluate import Evaluation
from mfdsl.runtime.program import Program
from mfdsl.runtime.solution import Solution, finite
from mfdsl.runtime.solvers.loop import view_for
from mfdsl.solving import Job, params_at

MOST_ENTRIES = 1 << 27


@dataclass(frozen=True)
class Refined:
    """The exploitability and the value of a policy on finer grids, of the worst game of a batch.

    `points` are the points of the finer grids by variable.
    """

    points: dict[str, int]
    exploitability: float
    value: float

    def to_json(self) -> dict[str, Any]:
        """The entry `refined` of the JSON of a solve."""
        return {
            "points": dict(self.points),
            "exploitability": finite(self.exploitability),
            "value": finite(self.value),
        }


def refine(job: Job, solution: Solution) -> Refined | None:
    """The policy of a solution on grids twice as fine, None without grids or without room."""
    coarse = job.game.reduced
    if coarse is None or not coarse.grids:
        return None
    points = {c.variable: _twice(c) for c in coarse.grids}
    if any(points[c.variable] != _twice(c) for c in coarse.grids):
        return None  # grids of one name are not refined alike, and bins go by name
    bins = job.game.bins
    game = replace(job.game, bins=replace(bins, named={**bins.named, **points}))
    try:
        fine = game.reduced
    except UsageError:
        return None
    assert fine is not None
    program = game.program
    if _entries(program) * len(job.points) > MOST_ENTRIES:
        return None
    columns = job.batch.columns()
    params = params_at(game, columns, dtype=job.params.unit.dtype, device=job.device)
    with torch.no_grad():
        view = view_for(program, params, solution.solver)
        even = view.uniform().probs
        probs = _carried(solution.policy.probs, (job.game.program, coarse), (program, fine))
        evaluation = Evaluation(view, view.policy(_legal(probs, even)))
        value = float(evaluation.value.min())
        return Refined(points, evaluation.exploitability.value, value)


def _twice(axis: Coordinate) -> int:
    return 2 * axis.size if axis.periodic else 2 * axis.size - 1


def _entries(program: Program) -> int:
    stages = program.horizon or 1
    return program.state_count * program.action_count * program.noise_count * stages


def _legal(probs: Tensor, even: Tensor) -> Tensor:
    """Probabilities without those of illegal actions: between two points a neighbour may allow
    what is not allowed there. Where nothing is left, and where nobody is, all legal ones alike.
    """
    kept = probs * (even > 0)
    total = kept.sum(-1, keepdim=True)
    return torch.where(total > 0, kept / total.clamp(min=torch.finfo(kept.dtype).tiny), even)


def _carried(
    probs: Tensor, before: tuple[Program, Reduced], after: tuple[Program, Reduced]
) -> Tensor:
    """Probabilities [B, T, S, A] on the coarse axes as ones on the fine axes, 0 where nobody is."""
    (coarse, small), (fine, large) = before, after
    table = probs.reshape(*probs.shape[:2], *coarse.states.values(), *coarse.actions.values())
    shape = (*probs.shape[:2], *fine.states.values(), *fine.actions.values())
    found = table.new_zeros(shape)
    for population in small.populations:
        here, axes = _part(small, coarse, population)
        there, kinds = _part(large, fine, population)
        part = table[(..., *here)]
        for place, (sort, _, axis) in enumerate(axes):
            if axis is not None and axis.step is not None:
                mix = (_between(axis) if sort == "state" else _among(axis)).to(probs)
                part = torch.tensordot(part, mix, ([2 + place], [1])).movedim(-1, 2 + place)
        keys = [(sort, key) for sort, key, _ in axes]
        order = [2 + keys.index((sort, key)) for sort, key, _ in kinds]
        found[(..., *there)] = part.permute(0, 1, *order)
    return found.reshape(*probs.shape[:2], fine.state_count, fine.action_count)


Key = tuple[str, ...]
Axes = list[tuple[str, Key, Coordinate | None]]


def _part(small: Reduced, program: Program, population: str) -> tuple[list[int | slice], Axes]:
    """Where the part of a population lies among all axes, and the axes that it has: states before
    actions, each with what it stands for.
    """
    only = small.model.population
    places: list[int | slice] = []
    axes: Axes = []
    for sort, variables, sizes, coordinates in (
        ("state", only.states, program.states.values(), small.states),
        ("action", only.actions, program.actions.values(), small.actions),
    ):
        for variable, size in zip(variables, sizes, strict=True):
            if sort == "state" and variable.name == small.who:
                places.append(small.populations.index(population))
            elif small.past is not None and variable.name == small.past.axis:
                places.append(slice(size))
                axes.append((sort, ("past",), None))
            elif (own := _standing(small, coordinates, variable.name, population)) is not None:
                places.append(slice(own.size))
                axes.append((sort, (own.player, own.variable, str(own.entry)), own))
            else:
                places.append(0)
    return places, axes


def _standing(
    small: Reduced, coordinates: Sequence[Coordinate], axis: str, population: str
) -> Coordinate | None:
    """What an axis stands for to a population: a variable of its own, or of the environment."""
    for own in coordinates:
        if own.axis == axis and (own.player == population or own.player not in small.populations):
            return own
    return None


def _between(axis: Coordinate) -> Tensor:
    """[fine, coarse]: a fine point is a coarse one, or half way between two."""
    size = _twice(axis)
    mix = torch.zeros(size, axis.size)
    for k in range(size):
        mix[k, k // 2] += 0.5
        mix[k, (k + 1) // 2 % axis.size] += 0.5
    return mix


def _among(axis: Coordinate) -> Tensor:
    """[fine, coarse]: a coarse action is every second fine one."""
    mix = torch.zeros(_twice(axis), axis.size)
    for k in range(axis.size):
        mix[2 * k, k] = 1.0
    return mix
