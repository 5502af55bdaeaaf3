"""The games of a batch, shared: each process solves its own, and the first has all in the end."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from mfdsl.runtime.distributed.group import Group
from mfdsl.runtime.distributed.meeting import worst_of
from mfdsl.runtime.exploitability import Exploitability
from mfdsl.runtime.flow import Flow
from mfdsl.runtime.policy import TabularPolicy
from mfdsl.runtime.solution import Record, Solution
from mfdsl.runtime.solvers.course import Course
from mfdsl.runtime.solvers.members import outcome
from mfdsl.runtime.solvers.state_rows import joined

Tensors = dict[str, Tensor]


def places_of(count: int, rank: int, size: int) -> range:
    """Which of so many games a process solves."""
    return range(count * rank // size, count * (rank + 1) // size)


def own_rows(tensors: Mapping[str, Tensor], places: range) -> Tensors:
    """The rows of a saved state that belong to these games."""
    return {name: value[places.start : places.stop] for name, value in tensors.items()}


def saved_together(group: Group, course: Course) -> Tensors | None:
    """The saved state of the whole batch, at the first process."""
    stand = course.stand
    state = joined([stand.of(place) for place in range(len(course.members))])
    return rows_together(group, course.saved(state, alone=False))


def rows_together(group: Group, tensors: Mapping[str, Tensor]) -> Tensors | None:
    """Tables of all games, one below the other, at the first process."""
    shapes = group.objects({name: tuple(value.shape) for name, value in tensors.items()})
    found: Tensors = {}
    for name, value in tensors.items():
        moved = value.to(group.device)
        if not group.first:
            group.send_to_first(moved)
            continue
        rows = [moved]
        for rank in range(1, group.size):
            like = moved.new_empty(shapes[rank][name])
            rows.append(group.received_from(rank, like))
        found[name] = torch.cat(rows).to(value.device)
    return found if group.first else None


def history_together(
    group: Group,
    made: Sequence[Record],
    before: int,
    gap: float,
    value: Sequence[float],
) -> tuple[Record, ...]:
    """The history of the batch: `before` records were there already, and are of all games.

    A process whose games have ended stays at its last record; one that made none counts with its
    `gap` and `value`.
    """
    own = list(made[before:])
    still = Record(-1, gap, 0.0, tuple(value))
    found = []
    each = group.objects((own, still))
    iterations = sorted({record.iteration for records, _ in each for record in records})
    for iteration in iterations:
        row = [
            next((r for r in reversed(records) if r.iteration <= iteration), None) or idle
            for records, idle in each
        ]
        social = any(r.value is not None for records, _ in each for r in records)
        worth = tuple(v for r in row for v in r.value or ()) if social else None
        seconds = max(r.seconds for r in row)
        found.append(Record(iteration, worst_of([r.exploitability for r in row]), seconds, worth))
    return (*made[:before], *found)


def merged(
    group: Group, solution: Solution, saved: Tensors | None, history: tuple[Record, ...]
) -> Solution:
    """The solution of all games at the first process; the others keep what is the same for all."""
    parts = group.objects(
        (solution.exploitability, solution.value, solution.endings, solution.seconds)
    )
    tables = rows_together(group, {"probs": solution.policy.probs, "laws": solution.flow.laws})
    gaps, values, endings, seconds = zip(*parts, strict=True)
    ended = tuple(ending for some in endings for ending in some)
    status, message = outcome(ended)
    whole = replace(
        solution,
        exploitability=_exploitability(gaps),
        value=tuple(v for some in values for v in some),
        status=status,
        message=message,
        iterations=max(ending.iterations for ending in ended),
        seconds=max(seconds),
        history=history,
        endings=ended,
    )
    if tables is None or saved is None:
        return whole
    policy = TabularPolicy(tables["probs"], solution.policy.states, solution.policy.actions)
    return replace(whole, policy=policy, flow=Flow(tables["laws"], policy), state=saved)


def _exploitability(parts: Sequence[Exploitability]) -> Exploitability:
    """That of the worst game, the first one that is not a number if there is one."""
    strange = [part for part in parts if math.isnan(part.value)]
    worst = strange[0] if strange else max(parts, key=lambda part: part.value)
    exact = all(part.kind == "exact" for part in parts)
    each = tuple(gap for part in parts for gap in part.per_game)
    return replace(worst, kind="exact" if exact else "estimate", per_game=each)
