"""How far a grid is from what it stands for: the same policy in the game on grids twice as fine.

Between two points of the coarse grid the policy mixes those of its neighbours, so that it chooses
among coarse actions everywhere; best responses may use all actions of the fine grid.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from mfdsl.compiler.ir.reduced import Coordinate, Reduced
from mfdsl.runtime.evaluate import Evaluation, build_view
from mfdsl.runtime.program import Program
from mfdsl.runtime.solution import Solution, finite
from mfdsl.solving import Job

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
    game = replace(job.game, bins=replace(job.game.bins, every=None, named=points))
    fine = game.reduced
    assert fine is not None
    program = game.program
    if _entries(program) > MOST_ENTRIES:
        return None
    columns = {name: [point[name] for point in job.points] for name in job.points[0]}
    params = program.params(columns, dtype=job.params.unit.dtype, device=job.device)
    with torch.no_grad():
        view = build_view(program, params)
        probs = _carried(solution.policy.probs, job.game.program, program, coarse)
        evaluation = Evaluation(view, view.policy(probs))
        value = float(evaluation.value.min())
        return Refined(points, evaluation.exploitability.value, value)


def _twice(axis: Coordinate) -> int:
    return 2 * axis.size if axis.periodic else 2 * axis.size - 1


def _entries(program: Program) -> int:
    stages = program.horizon or 1
    return program.state_count * program.action_count * program.noise_count * stages


def _carried(probs: Tensor, coarse: Program, fine: Program, before: Reduced) -> Tensor:
    """Probabilities [B, T, S, A] on the coarse axes as ones on the fine axes."""
    shape = (*probs.shape[:2], *coarse.states.values(), *coarse.actions.values())
    table = probs.reshape(shape)
    only = before.model.population
    for place, variable in enumerate((*only.states, *only.actions)):
        sort = before.states if place < len(only.states) else before.actions
        axis = next((c for c in sort if c.axis == variable.name and c.step is not None), None)
        if axis is None:
            continue
        mix = _between(axis) if place < len(only.states) else _among(axis)
        mix = mix.to(probs)
        table = torch.tensordot(table, mix, ([2 + place], [1])).movedim(-1, 2 + place)
    return table.reshape(*probs.shape[:2], fine.state_count, fine.action_count)


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
