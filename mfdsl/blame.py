"""Which reward term became infinite or undefined during a run, and where the spec says so."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mfdsl.compiler.diagnostics import Diagnostic, Label
from mfdsl.compiler.source import Span
from mfdsl.runtime.policy import Axis
from mfdsl.runtime.solution import Solution

if TYPE_CHECKING:
    from mfdsl.solving import Job


def blame(job: "Job", solution: Solution) -> Diagnostic | None:
    """MFG903 at the first reward term with a value that is not finite along the last flow.

    None when every term is finite there: then sums or probabilities burst, which the status says.
    """
    program = job.game.program
    sizes = (*program.states.values(), *program.actions.values())
    probs, laws = solution.policy.probs, solution.flow.laws
    for t in range(probs.shape[1]):
        joint = (laws[:, t, :, None] * probs[:, t]).reshape(-1, *sizes)
        if not torch.isfinite(joint).all():
            return None
        terms = program.module.reward_terms(job.params, torch.tensor(t), joint)
        for name, values in terms.items():
            bad = ~torch.isfinite(values)
            if bad.any():
                return _diagnostic(job, name, t, values, bad)
    return None


def _diagnostic(job: "Job", name: str, t: int, values: Tensor, bad: Tensor) -> Diagnostic:
    """The message with the term's place and the values of state and action by name."""
    program, model = job.game.program, job.game.model
    _, state, action = (int(i) for i in bad.nonzero()[0])
    shown = f"{float(values[bad][0]):g}"
    term = next(
        term
        for player in model.players
        for term in player.rewards
        if name in (term.name, f"{player.name}.{term.name}")
    )
    place = model.places[term.node]
    labels: tuple[Label, ...] = ()
    if place is not None:
        span = Span(place.file, place.start, place.end)
        labels = (Label(span, f"is {shown} there", primary=True),)
    where = [
        *_named(program.state_axes(), state),
        *_named(program.action_axes(), action),
    ]
    return Diagnostic(
        code="MFG903",
        severity="error",
        message=f"`reward {name}` became {shown} at step {t}",
        labels=labels,
        notes=("for " + ", ".join(where), f"computed in {job.dtype}"),
    )


def _named(axes: Sequence[Axis], flat: int) -> list[str]:
    """`x = 3` for each axis, from a flat row-major position."""
    shown: list[str] = []
    for axis in reversed(axes):
        flat, position = divmod(flat, axis.size)
        value = axis.labels[position] if axis.labels else axis.first + position
        shown.insert(0, f"{axis.name} = {value}")
    return shown
