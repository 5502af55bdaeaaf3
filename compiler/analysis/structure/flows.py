"""Flows of a finite population whose kernel reads no law, and how two of them can differ.

A flow is the law of (state, action) at each stage under some policy. All flows are a polytope:
the first marginal is the initial law, every other one is where the last law goes. What two flows
differ by at a stage is a combination of moves of mass between actions at one state, and of shifts
of the marginal that earlier moves can cause; the span of the latter is found by elimination.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import count

from mfdsl.compiler.analysis.structure.chains import Chain, Step, step_at
from mfdsl.compiler.analysis.structure.spans import (
    Span,
    Vector,
    add_to,
    simplex_span,
    span_of,
)

MAX_ELIMINATED = 60  # states among which spans of marginals are found exactly
ONE = Fraction(1)

Cell = tuple[int, int]  # state, action
Weights = Callable[[int, int, int], Sequence[Fraction]]
"""Shares of the legal actions of a policy from (t, state, how many are legal)."""


@dataclass(frozen=True)
class Stage:
    """Where members can be at a stage, and the span of what two marginals can differ by.

    `step` is None after the last decision. `shifts` spans at least all differences of marginals,
    and just them where chances are `exact` and states few.
    """

    step: Step | None
    reached: tuple[int, ...]
    shifts: Span
    exact: bool

    def differences(self) -> Iterator[dict[Cell, Fraction]]:
        """Vectors over cells that span what two flows can differ by here; action 0 at the end."""
        if self.step is None:
            yield from ({(s, 0): v for s, v in row} for row in self.shifts)
            return
        legal = self.step.legal
        for s in self.reached:
            last = legal[s][-1]
            yield from ({(s, a): ONE, (s, last): -ONE} for a in legal[s][:-1])
        yield from ({(s, legal[s][-1]): v for s, v in row} for row in self.shifts)


def stages_of(chain: Chain, stages: int | None, deadline: float) -> Iterator[Stage]:
    """The stages 0, 1, ..., and the one after the last; without end if `stages` is None.

    Raises:
        UnsupportedError: a chance is not known.
        OutOfTimeError: no steps are left.
    """
    reached = tuple(s for s, (_, hi) in enumerate(chain.initial) if hi)
    exact = all(lo > 0 for lo, hi in chain.initial if hi)
    shifts: Span = ()
    step: Step | None = None
    for t in count() if stages is None else range(stages):
        if step is None or chain.timed:
            step = step_at(chain, t, deadline)
        exact = exact and step.exact
        here = Stage(step, reached, shifts, exact)
        yield here
        cells = [(s, a) for s in reached for a in step.legal[s]]
        reached = tuple(sorted({to for cell in cells for to in step.nexts[cell]}))
        if exact and len(reached) <= MAX_ELIMINATED:
            shifts = span_of(image(step, moved) for moved in here.differences())
        else:
            shifts = simplex_span(reached)
    yield Stage(None, reached, shifts, exact)


def image(step: Step, law: Mapping[Cell, Fraction]) -> dict[int, Fraction]:
    """The marginal that a vector over cells goes to, for exact chances."""
    found: dict[int, Fraction] = {}
    for cell, mass in law.items():
        for to, (chance, _) in step.nexts[cell].items():
            add_to(found, {to: chance}, mass)
    return found


def sequences(stages: Sequence[Stage]) -> Iterator[list[dict[Cell, Fraction]]]:
    """Differences of flows over all stages that span all of them, for exact chances.

    One for each move of mass between two actions at one state of one stage; from there on
    everybody takes the last legal action.
    """
    for t, stage in enumerate(stages):
        if stage.step is None:
            continue
        for s in stage.reached:
            *others, last = stage.step.legal[s]
            for a in others:
                whole: list[dict[Cell, Fraction]] = [{} for _ in range(t)]
                law: dict[Cell, Fraction] = {(s, a): ONE, (s, last): -ONE}
                for k in range(t, len(stages)):
                    whole.append(law)
                    step = stages[k].step
                    if step is not None:
                        law = held(stages[k + 1], image(step, law))
                yield whole


def held(stage: Stage, marginal: Vector) -> dict[Cell, Fraction]:
    """A marginal with everybody at the last legal action."""
    legal = None if stage.step is None else stage.step.legal
    return {(s, 0 if legal is None else legal[s][-1]): v for s, v in marginal.items()}


def flow_of(chain: Chain, stages: Sequence[Stage], weights: Weights) -> list[dict[Cell, Fraction]]:
    """The flow of a policy from the lower ends of the law at t = 0, for exact chances."""
    marginal: Vector = {s: lo for s, (lo, _) in enumerate(chain.initial) if lo}
    found = []
    for t, stage in enumerate(stages):
        if stage.step is None:
            found.append(held(stage, marginal))
            continue
        law: dict[Cell, Fraction] = {}
        for s, mass in marginal.items():
            shares = weights(t, s, len(stage.step.legal[s]))
            for a, share in zip(stage.step.legal[s], shares, strict=True):
                if share:
                    law[s, a] = mass * share
        found.append(law)
        marginal = image(stage.step, law)
    return found


def evenly(t: int, state: int, actions: int) -> list[Fraction]:
    """All legal actions equally often."""
    return [Fraction(1, actions)] * actions
