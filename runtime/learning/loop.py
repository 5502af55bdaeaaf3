"""Runs a learner: measures it now and then, keeps its best policy, stops when asked."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from mfdsl.runtime.exploitability import Exploitability
from mfdsl.runtime.interruption import patient
from mfdsl.runtime.learning.base import Learner, Lesson, Player, engine_of
from mfdsl.runtime.learning.engine import measured
from mfdsl.runtime.learning.table import LEARNERS
from mfdsl.runtime.simulator import Return
from mfdsl.runtime.solution import finite
from mfdsl.runtime.status import Status

MADE = "made"  # the entry of a state that says how many iterations led to it


@dataclass(frozen=True)
class LearningRecord:
    """One iteration: what training saw, and a measurement where there was one (else nan)."""

    iteration: int
    seconds: float
    value: float
    measured: float = math.nan
    std_error: float = math.nan
    details: Mapping[str, float] = field(default_factory=dict)


REMEDIES = {  # of learners, where they are not those of tables
    Status.max_iterations: "",
    Status.not_finite: f"{Status.not_finite.remedy}, or lower `--opt learning_rate`",
}


@dataclass(frozen=True, eq=False)
class Learned:
    """What a course of learning returns.

    `networks` are those of the best measurement, whose team return is `value`, with
    `agents` in each game; in a game where everybody plays for oneself those of the last one, with
    its `exploitability` where that is measured. `state` holds the tensors from which training
    continues; `run` is the folder in which all was kept, if it was.
    """

    networks: Mapping[str, Tensor] = field(repr=False)
    value: Return
    agents: Mapping[str, int]
    status: Status
    message: str
    iterations: int
    seconds: float
    history: tuple[LearningRecord, ...]
    solver: str
    options: Mapping[str, Any]
    seed: int
    state: Mapping[str, Tensor] = field(repr=False)
    exploitability: Exploitability | None = None
    run: Path | None = None

    def __repr__(self) -> str:
        """What a course came to, without its tensors and its history."""
        gap = self.exploitability
        known = "" if gap is None else f"exploitability={gap.value:.3g} ({gap.kind}), "
        agents = ", ".join(f"{number:,} {name}" for name, number in self.agents.items())
        return (
            f"Learned(solver={self.solver!r}, status={self.status.name}, "
            f"iterations={self.iterations}, {known}value={self.value.mean:.6g} ± "
            f"{self.value.std_error:.2g} among {agents}, seed={self.seed})"
        )

    def to_json(self) -> dict[str, Any]:
        """The JSON contract of `mfdsl solve` for learners; numbers that are not finite are null."""
        value = {"mean": self.value.mean, "std_error": self.value.std_error}
        entries = {
            "solver": self.solver,
            "options": dict(self.options),
            "seed": self.seed,
            "status": self.status.name,
            "message": self.message,
            "iterations": self.iterations,
            "seconds": self.seconds,
            "value": value | {"games": len(self.value.values), "agents": dict(self.agents)},
            "history": [asdict(record) for record in self.history],
        }
        if self.exploitability is not None:
            entries["exploitability"] = self.exploitability.to_json()
        return {name: finite(entry) for name, entry in entries.items()}


@dataclass(frozen=True, eq=False)
class Course:
    """How a course runs: its name and length, whom it reports to, and what it continues; `save`
    gets what was learned at each measurement. A game where everybody plays for oneself ends when
    its exploitability was measured to be at most the `tolerance`; a bound from below shows nothing.
    """

    solver: str
    lesson: Lesson
    tolerance: float = 0.0
    on_progress: Callable[[LearningRecord], None] | None = None
    stop: Callable[[], bool] | None = None
    save: "Callable[[Learned], None] | None" = None
    state: Mapping[str, Tensor] | None = None
    history: Sequence[LearningRecord] = ()


def learn(learner: Learner, course: Course) -> Learned:
    """Train for the iterations of the lesson.

    Ctrl-C ends it early: once after the iteration that runs, twice at once, as it was at the last
    measurement, so that what is saved always goes on exactly.
    """
    now = Standing(learner, course)
    safe = now.learned()
    try:
        with patient() as pressed:
            while now.status is Status.max_iterations and now.done < course.lesson.iterations:
                if pressed() or (course.stop is not None and course.stop()):
                    now.status = Status.interrupted
                    break
                fresh = now.advance()
                if course.on_progress is not None:
                    course.on_progress(now.history[-1])
                if fresh:
                    now.judge()
                    safe = now.learned()
                    if course.save is not None:
                        course.save(safe)
    except KeyboardInterrupt:
        now.go_back(safe)
    now.finish()
    return now.learned()


class Standing:
    """How far a course has come: its records, and the best networks with what they reached."""

    def __init__(self, learner: Learner, course: Course) -> None:
        config, lesson = learner.config, course.lesson
        self.learner, self.course = learner, course
        self.probe = engine_of(
            lesson, config.evaluate_games, config.evaluate_agents or config.agents, config.steps
        )
        self.history, self.done = list(course.history), 0
        self.networks, self.best = _clone(learner.policy.state_dict()), _nothing()
        self.plays = LEARNERS[course.solver].objective == "nash"
        self.gap: Exploitability | None = None
        if course.state is not None:
            self.networks, self.best, self.done = _restored(learner, course.state)
        self.earlier = self.history[-1].seconds if self.history else 0.0
        self.began, self.status = time.perf_counter(), Status.max_iterations

    def seconds(self) -> float:
        """Wall time of the whole course."""
        return self.earlier + time.perf_counter() - self.began

    def learned(self) -> Learned:
        """What was learned so far, with all that is needed to go on."""
        learner, status = self.learner, self.status
        kept = _kept(self.networks, self.best, self.done)
        return Learned(
            self.networks,
            self.best,
            self.probe.simulator.agents,
            status,
            REMEDIES.get(status, status.remedy),
            self.done,
            self.seconds(),
            tuple(self.history),
            self.course.solver,
            learner.config.model_dump(),
            self.course.lesson.seed,
            _clone({**learner.state(), **kept}),
            self.gap,
        )

    def advance(self) -> bool:
        """Train once, and measure where that is due: whether there is a new measurement."""
        learner, count = self.learner, self.done + 1
        found = learner.step(self.done)
        last = count == self.course.lesson.iterations
        due = last or count % learner.config.evaluate_every == 0
        value = _measure(self.probe, learner) if due and math.isfinite(found["return"]) else None
        if value is not None and math.isfinite(value.mean):
            if self.plays or not self.best.mean >= value.mean:
                self.networks, self.best = _clone(learner.policy.state_dict()), value
            self.gap = _gap(learner) if self.plays else None
        gap = self.gap if due else None
        self.history.append(_record(count, self.seconds(), found, value, gap))
        self.done = count
        if not math.isfinite(found["return"] if value is None else value.mean):
            self.status = Status.not_finite
            return False
        return value is not None

    def judge(self) -> None:
        """See whether the tolerance is met."""
        if _solved(self.gap, self.course.tolerance):
            self.status = Status.converged

    def go_back(self, safe: Learned) -> None:
        """Be interrupted, as it was at a measurement."""
        self.status = Status.interrupted
        self.learner.restore(safe.state)
        self.history, self.done = list(safe.history), safe.iterations
        self.networks, self.best, self.gap = dict(safe.networks), safe.value, safe.exploitability

    def finish(self) -> None:
        """Measure what never was."""
        unknown = math.isnan(self.best.mean) or (self.plays and self.gap is None)
        if self.status is Status.not_finite or not unknown:
            return
        learner = self.learner
        self.networks, self.best = (
            _clone(learner.policy.state_dict()),
            _measure(self.probe, learner),
        )
        self.gap = _gap(learner) if self.plays else None


def _gap(learner: Learner) -> Exploitability | None:
    return cast(Player, learner).gap()


def _solved(gap: Exploitability | None, tolerance: float) -> bool:
    return gap is not None and gap.kind != "lower_bound" and gap.value <= tolerance


def _measure(probe: Any, learner: Learner) -> Return:
    behaviour = learner.behaviour(mode=True)
    values = measured(probe, lambda scene, number: behaviour(scene))
    spread = values.std().item() / math.sqrt(len(values))
    return Return(values.cpu(), values.mean().item(), spread)


def _nothing() -> Return:
    return Return(torch.empty(0), math.nan, math.nan)


def _record(
    iteration: int,
    seconds: float,
    found: Mapping[str, float],
    value: Return | None,
    gap: Exploitability | None,
) -> LearningRecord:
    details = {k: v for k, v in found.items() if k != "return"}
    if gap is not None:
        details["exploitability"] = gap.value
    if value is None:
        return LearningRecord(iteration, seconds, found["return"], details=details)
    return LearningRecord(iteration, seconds, found["return"], value.mean, value.std_error, details)


def _kept(networks: Mapping[str, Tensor], best: Return, done: int) -> dict[str, Tensor]:
    """The best networks so far and what they reached, and how many iterations were made."""
    kept = {f"best.{k}": v for k, v in networks.items()}
    return kept | {"reached": best.values, MADE: torch.tensor(done)}


def _restored(
    learner: Learner, state: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], Return, int]:
    learner.restore(state)
    networks = {k.removeprefix("best."): v for k, v in state.items() if k.startswith("best.")}
    values, made = state["reached"], int(state[MADE])
    if not len(values):
        return networks, _nothing(), made
    spread = values.std().item() / math.sqrt(len(values))
    return networks, Return(values, values.mean().item(), spread), made


def _clone(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in state.items()}
