"""Which policy a run returns whose solver keeps the best one: least exploitability of all scored.

The state is that of the last iterate, from which a resumed run goes on. Other solvers return the
last iterate: in compiled blocks their policies are nowhere between two reports.
"""

from dataclasses import replace

import torch

from mfdsl.runtime.evaluate import Evaluation
from mfdsl.runtime.solution import Ending
from mfdsl.runtime.solvers.base import State
from mfdsl.runtime.solvers.course import Course, evaluated


def returned(
    course: Course, state: State, evaluation: Evaluation
) -> tuple[tuple[Ending, ...], Evaluation]:
    """How the games ended and what their policies are worth, the best ones where an earlier iterate
    was better than the last; the message says which.

    `state` is one with `best`, `gap` and `reached`. An exploitability that is no number stays.
    """
    best, gap, reached = (getattr(state, name) for name in ("best", "gap", "reached"))
    last = torch.tensor(evaluation.exploitability.per_game).to(gap)
    better = gap < last
    endings = course.endings()
    if not better.any():
        return endings, evaluation
    probs = torch.where(better[:, None, None, None], best, state.probs)
    found = evaluated(evaluation.view, replace(state, probs=probs))
    # what the last iterates are worth is forgotten before the tables of the others are made
    course.stand = replace(course.stand, evaluation=found)
    told = []
    for place, ending in enumerate(endings):
        if better[place]:
            note = f"returned is iteration {int(reached[place]):,}, the best one scored"
            ending = replace(ending, message="; ".join(filter(None, (ending.message, note))))
        told.append(ending)
    return tuple(told), found
