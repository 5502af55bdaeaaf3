"""Learned runs of games: their policy as a table where it is one, else learned best responses.

Networks that read no law and whose game has tables are judged as tables are: exactly, with the best
response among N agents. Of all others a response is learned against them; in the game of N agents
one agent plays it, beside N - 1 who do not, with the same draws. That agent knows its own traits,
so that the gain of the worst type is told where the policy does not see types.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from mfdsl.learning import Training
from mfdsl.records import explained, open_run
from mfdsl.runtime.behaviours import Behaviour
from mfdsl.runtime.exploitability import QUANTILE, Exploitability
from mfdsl.runtime.learning.answers import Answering
from mfdsl.runtime.learning.base import Lesson
from mfdsl.runtime.learning.chances import crew_chances
from mfdsl.runtime.learning.crew import Crew
from mfdsl.runtime.learning.gaps import Budget, learned_gap, responses_to, tables_for
from mfdsl.runtime.learning.placed import read_off
from mfdsl.runtime.policy import TabularPolicy
from mfdsl.runtime.simulator import SimulationError
from mfdsl.validating.gains import EXPLOITABILITY, NAME as GAIN, Gain, Pair, among, deviating
from mfdsl.validating.outcome import Row, Trial, left

AGREE = 1e-4  # networks compute in float32
SIGMAS = 3.0
GAMES = 8
AGENTS = 200  # that respond is learned beside, where the run does not say
MOST, LEAST = 60, 4  # iterations of learning
LEARNING = 0.6  # part of the time that goes into learning
SPARE = 0.5  # by how much a lower bound may be surpassed


def table_of(training: Training) -> TabularPolicy | None:
    """The policy of networks as a table, None where they read laws or the game has no tables."""
    crew, lesson = training.learner.policy, training.course.lesson
    if training.game.model.objective != "nash" or not isinstance(crew, Crew):
        return None
    if any(crew.known.values()) or any(laws for _, _, laws in crew.widths.values()):
        return None
    tables = tables_for(lesson)
    if tables is None or not tables.tables.exact:
        return None
    with torch.no_grad():
        return read_off(tables, tables.view, crew_chances(crew, tables))


def exploitability_row(trial: Trial, until: float) -> Row:
    """The exploitability of networks beside that of the summary, with its kind.

    Exact figures come out again. A lower bound is learned once more, from other draws; it fails
    where the new gain is far above the saved one, whose learning had not come to its end then.
    """
    assert trial.training is not None and trial.run is not None
    with explained():
        saved = open_run(trial.run).summary.get("exploitability", {})
    value, kind = saved.get("value"), saved.get("kind")
    known = isinstance(value, int | float)
    if known and kind != "lower_bound":
        with torch.enable_grad():
            again = trial.training.learner.gap()  # type: ignore[attr-defined]
        return _reproduced(again, float(value))
    found = _learned(trial, until)
    if isinstance(found, Row):
        return replace(found, name=EXPLOITABILITY)
    figures = {"saved": value, "again": found.to_json()}
    text = f"a response learned here gains {found.gain:.4g} ± {found.std_error or 0:.2g}"
    text += f", so at least {found.value:.4g}"
    if not math.isfinite(found.gain):
        return Row(EXPLOITABILITY, "failed", f"{text}: no number", figures)
    if not known:
        return Row(EXPLOITABILITY, "passed", f"{text} (lower_bound); the run has none", figures)
    earlier = sum(float(r["gain"]) for r in saved.get("responses", ())) or float(value)
    errors = math.hypot(found.std_error or 0.0, float(saved.get("std_error") or 0.0))
    allowed = max(earlier, 0.0) * (1 + SPARE) + SIGMAS * errors
    told = f"{text}; the summary says at least {value:.4g} (lower_bound)"
    if found.gain > allowed:
        detail = f"{told}, which is far too low: its response had not learned enough"
        return Row(EXPLOITABILITY, "failed", detail, figures)
    return Row(EXPLOITABILITY, "passed", told, figures)


def _reproduced(again: Exploitability | None, saved: float) -> Row:
    if again is None:
        return Row(EXPLOITABILITY, "not applicable", "the learner measures none here")
    figures = {"saved": saved, "again": again.value, "per_population": dict(again.per_population)}
    if not abs(again.value - saved) <= AGREE * (1 + abs(saved)):
        detail = f"the saved networks have {again.value:.6g}, the summary says {saved:.6g}"
        return Row(EXPLOITABILITY, "failed", detail, figures)
    detail = f"the saved networks have {again.value:.6g}, as the summary says ({again.kind})"
    return Row(EXPLOITABILITY, "passed", detail, figures)


def _learned(trial: Trial, until: float) -> Exploitability | Row:
    """A lower bound that is learned in the time that is left."""
    assert trial.training is not None
    lesson, numbers = trial.training.course.lesson, _numbers(trial)
    began = time.perf_counter()
    plan = Budget(iterations=2, test_games=GAMES)

    def gap(budget: Budget) -> Exploitability:
        with torch.enable_grad():
            return learned_gap(
                lesson,
                trial.behaviour,
                agents=numbers,
                games=GAMES,
                seed=trial.seed + 1,
                budget=budget,
            )

    try:
        found = gap(plan)
        iterations = _affordable(time.perf_counter() - began, until)
        return gap(Budget(iterations=iterations)) if iterations > plan.iterations else found
    except SimulationError as error:
        return Row("", "not applicable", str(error))


def _affordable(spent: float, until: float) -> int:
    """How many iterations fit, after a trial of two of them with all that belongs to it."""
    fits = int(4 * (left(until) / spent - 3))
    return max(0, min(MOST, fits))


def _numbers(trial: Trial) -> dict[str, int] | None:
    """The agents of each population that a response is learned beside, as many as in training."""
    assert trial.training is not None
    program, asked = trial.game.agents, trial.training.learner.config.agents
    if program.fixed:
        return None
    return {program.names[f]: asked or AGENTS for f in program.populations}


def gain_row(trial: Trial, until: float) -> tuple[Row, tuple[Gain, ...]]:
    """What one agent gains by a learned response among each number of agents, and each type."""
    assert trial.training is not None
    began = time.perf_counter()
    lesson, numbers = trial.training.course.lesson, _numbers(trial)
    whole = began + LEARNING * max(left(until), 0.0)
    try:
        _responses(lesson, trial, numbers, Budget(iterations=2, test_games=GAMES))
        iterations = max(LEAST, _affordable(time.perf_counter() - began, whole))
        plan = Budget(iterations=iterations, test_games=GAMES)
        answers = _responses(lesson, trial, numbers, plan)
    except SimulationError as error:
        return Row(GAIN, "not applicable", str(error)), ()
    gains = finite_population_gap(trial, answers, until)
    if not gains:
        return Row(GAIN, "not applicable", "the time is too short for any number of agents"), ()
    return _told(gains, iterations), tuple(gains)


def finite_population_gap(
    trial: Trial, answers: Mapping[str, Behaviour], until: float
) -> list[Gain]:
    """What one agent of each population gains among N by answers that were learned, by type.

    `answers` are by the field name of the population. The agent plays its answer in one of two
    games with the same draws, and the policy of the trial in the other; all others play the policy
    in both. Gains of types are those of agents with these values of their finite traits.
    """
    pairs = [
        Pair(trial.behaviour, deviating(trial.behaviour, answer, field), field)
        for field, answer in answers.items()
    ]
    return among(trial, pairs, until)


def worst_type(gains: Sequence[Gain]) -> tuple[str, float, float] | None:
    """The type that gains most, its mean gain and the standard error, None without types."""
    types = [(label, m, s) for g in gains for label, (m, s) in g.types.items() if s == s]
    return max(types, key=lambda entry: entry[1]) if types else None


def _responses(
    lesson: Lesson, trial: Trial, numbers: Mapping[str, int] | None, plan: Budget
) -> dict[str, Behaviour]:
    """Learned answers of the populations, by players who know their traits."""
    with torch.enable_grad():
        found = responses_to(
            lesson,
            trial.behaviour,
            agents=numbers,
            games=GAMES,
            seed=trial.seed + 2,
            budget=plan,
            knows=True,
        )
    return {
        answer.answer.sight.field: Answering(answer.answer, answer.mode)
        for answer, _ in found
        if not answer.answer.sight.single
    }


def _told(gains: Sequence[Gain], iterations: int) -> Row:
    worst = max(gains, key=lambda g: g.mean)
    text = f"a response learned in {iterations} iterations gains"
    text += f" {worst.mean:.4g} ± {worst.std_error:.2g} ({worst.agents:,} {worst.population})"
    found = worst_type(gains)
    if found is not None:
        label, mean, error = found
        text += f", that of the worst type {mean:.4g} ± {error:.2g} ({label})"
    bound = max(0.0, worst.mean - QUANTILE * worst.std_error)
    figures = {"gains": [gain.to_json() for gain in gains], "iterations": iterations}
    finite = all(math.isfinite(g.mean) for g in gains)
    detail = f"{text}: at least {bound:.4g} (lower_bound)"
    return Row(GAIN, "passed" if finite else "failed", detail, figures)
