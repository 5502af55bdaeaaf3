"""All checks of a game one after another, each with a share of the time that is left."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.errors import UsageError
from mfdsl.runtime.simulator import SimulationError
from mfdsl.validating.certificate_row import NAME as BOUND, certificate_row
from mfdsl.validating.certified import FinitePopulation
from mfdsl.validating.closed_forms import (
    costs_row,
    exploitability_row as exact_exploitability_row,
    gain_row as exact_gain_row,
)
from mfdsl.validating.convergence import convergence_row
from mfdsl.validating.drawn_paths import (
    exploitability_row as paths_exploitability_row,
    returns_row as paths_returns_row,
    saved_row as paths_saved_row,
)
from mfdsl.validating.excess import range_row, write_reproduction
from mfdsl.validating.frequencies import kernel_row
from mfdsl.validating.gains import (
    EXPLOITABILITY,
    NAME as GAIN,
    Gain,
    evaluated,
    exploitability_row,
    gain_row,
)
from mfdsl.validating.interpreted import interpreter_row
from mfdsl.validating.invariances import invariance_row
from mfdsl.validating.learned import (
    exploitability_row as learned_exploitability_row,
    gain_row as learned_gain_row,
)
from mfdsl.validating.learned_values import learned_values_row, was_played
from mfdsl.validating.networks import POLICY, agents_known, policy_row, returns_row, saved_row
from mfdsl.validating.outcome import Excess, Row, Trial, Validation, left
from mfdsl.validating.permutation import Effort, equivariance, equivariance_certificate
from mfdsl.validating.slopes import Claim, judged_interactions, slope_row
from mfdsl.validating.table import before_after
from mfdsl.validating.trajectories import mass_row, trajectory_row
from mfdsl.validating.trial import named_trial

PERMUTATION = "permutation"
NO_GAIN = "a team has no exploitability: nobody gains at the others' expense"

Found = Row | tuple[Row, tuple[Excess, ...]]


@dataclass(frozen=True)
class Check:
    """One check and its share of the time that is left when it begins."""

    share: float
    run: Callable[[float], Found]


def validate(trial: Trial, on_row: Callable[[Row], None] | None = None) -> Validation:
    """Do all checks; `on_row` hears of each when it is done.

    Bounds that are exceeded are written to a reproduction file.

    Raises:
        UsageError: the machine has too little memory, or the run is damaged.
    """
    end = time.perf_counter() + trial.seconds
    rows: list[Row] = []
    exceeded: list[Excess] = []
    reports: list[FinitePopulation] = []
    for check in checks(trial, reports.append):
        began = time.perf_counter()
        try:
            with torch.no_grad():
                found = check.run(began + check.share * max(left(end), 0.0))
        except SimulationError as error:
            raise UsageError(str(error)) from None
        except (torch.OutOfMemoryError, MemoryError):
            raise UsageError("not enough memory", "give smaller numbers in --agents") from None
        row, more = found if isinstance(found, tuple) else (found, ())
        rows.append(replace(row, seconds=time.perf_counter() - began))
        exceeded += more
        if on_row is not None:
            on_row(rows[-1])
    written = write_reproduction(trial, exceeded) if exceeded else None
    return Validation(
        trial.game.compilation.name,
        trial.policy,
        trial.run,
        trial.seed,
        tuple(rows),
        tuple(exceeded),
        written,
        next(iter(reports), None),
    )


def checks(trial: Trial, on_report: Callable[[FinitePopulation], None]) -> list[Check]:
    """The checks in their order: the cheap ones first, since later ones rest on them.

    `on_report` hears what is certified among finitely many agents.
    """
    asked, trial = trial, _of_any_number(trial)
    known: list[tuple[Claim, ...]] = []

    def interactions() -> tuple[Claim, ...]:
        if not known:
            known.append(judged_interactions(trial.game.model))
        return known[0]

    def slopes(until: float) -> Found:
        proved = [c for c in interactions() if c.proved]
        return slope_row(trial, proved, until)

    def convergence(until: float) -> Found:
        found: list[Certificate] = [c.certificate for c in interactions()]
        return convergence_row(trial, found, until)

    plain = [
        Check(0.1, lambda until: kernel_row(trial, until)),
        Check(0.1, lambda until: interpreter_row(trial, until)),
        Check(0.1, lambda until: permutation_row(trial)),
        Check(0.1, lambda until: invariance_row(trial)),
        Check(0.1, lambda until: trajectory_row(trial, until)),
        Check(0.1, lambda until: mass_row(trial, until)),
        Check(0.1, lambda until: range_row(trial, trial.game.compilation.certificates, until)),
        Check(0.2, slopes),
    ]
    if trial.exact is not None:
        return [*plain, *_of_closed_forms(trial, convergence)]
    if trial.along is not None:
        return [*plain, *_of_paths(trial, convergence)]
    if trial.game.model.objective == "team":
        return [*plain, *_of_a_team(trial, convergence)]
    if asked is not trial:
        return [*plain, *_of_known_agents(asked)]
    if trial.training is not None:
        plain += _of_networks(trial)[:2]
    if trial.training is not None and trial.table is None:
        return [*plain, *_of_responses(trial, convergence)]
    return [*plain, *_of_tables(trial, convergence, on_report)]


def _of_tables(
    trial: Trial,
    convergence: Callable[[float], Found],
    on_report: Callable[[FinitePopulation], None],
) -> list[Check]:
    """What is checked where the exploitability is exact, and by no run at all."""
    evaluation = evaluated(trial)
    gains: list[Gain] = []
    reports: list[FinitePopulation] = []

    def gain(until: float) -> Found:
        row, found = gain_row(trial, evaluation, until)
        gains.extend(found)
        return row

    def certified(_: float) -> Found:
        row, found, report = certificate_row(trial, gains)
        if report is not None:
            on_report(report)
            reports.append(report)
        return row, found

    def values(_: float) -> Found:
        return learned_values_row(trial, next(iter(reports), None))

    return [
        Check(0.4 if trial.table is not None else 0.8, convergence),
        Check(1.0, lambda until: exploitability_row(trial, evaluation)),
        Check(0.7, gain),
        Check(1.0, certified),
        *([Check(1.0, values)] if was_played(trial) else []),
    ]


def _of_a_team(trial: Trial, convergence: Callable[[float], Found]) -> list[Check]:
    """What takes the place of equilibria where the players are a team."""

    def refused(name: str) -> Check:
        return Check(0.0, lambda until: Row(name, "not applicable", NO_GAIN))

    return [
        *(_of_networks(trial) if trial.training is not None else ()),
        Check(0.9, convergence),
        *(refused(name) for name in (EXPLOITABILITY, GAIN, BOUND)),
    ]


def _of_closed_forms(trial: Trial, convergence: Callable[[float], Found]) -> list[Check]:
    """An exact solution beside its summary and beside simulations."""

    def no_bound(until: float) -> Found:
        return Row(BOUND, "not applicable", "costs and gains among N are exact here")

    return [
        Check(0.4, convergence),
        Check(0.8, lambda until: costs_row(trial, until)),
        Check(1.0, lambda until: exact_exploitability_row(trial)),
        Check(1.0, lambda until: exact_gain_row(trial)),
        Check(0.0, no_bound),
    ]


def _of_paths(trial: Trial, convergence: Callable[[float], Found]) -> list[Check]:
    """A run along drawn paths beside its summary and beside simulations."""

    def refused(name: str, why: str) -> Check:
        return Check(0.0, lambda until: Row(name, "not applicable", why))

    return [
        Check(0.3, convergence),
        Check(0.4, lambda until: paths_returns_row(trial, until)),
        Check(0.5, lambda until: paths_saved_row(trial)),
        Check(1.0, lambda until: paths_exploitability_row(trial, until)),
        refused(GAIN, "responses are fitted to the flow of the limit along paths"),
        refused(BOUND, "the policy of these networks has no table"),
    ]


def _of_any_number(trial: Trial) -> Trial:
    """The same, of a policy by name where networks know their agents one by one: checks of the
    game play other numbers.
    """
    if trial.training is None or not agents_known(trial.training.learner.policy):
        return trial
    named = named_trial(trial.game, None)
    return replace(trial, behaviour=named.behaviour, policy=named.policy, table=None, training=None)


def _of_known_agents(trial: Trial) -> list[Check]:
    """What can be said of networks that know their agents one by one."""
    why = "networks know their agents one by one, and play no other number"

    def refused(name: str) -> Check:
        return Check(0.0, lambda until: Row(name, "not applicable", why))

    rows = (refused(name) for name in (POLICY, EXPLOITABILITY, GAIN, BOUND))
    return [Check(0.8, lambda until: saved_row(trial, until)), *rows]


def _of_networks(trial: Trial) -> list[Check]:
    """Networks beside their own symmetry and their saved return; last the returns of a team."""
    return [
        Check(0.2, lambda until: policy_row(trial, until)),
        Check(0.3, lambda until: saved_row(trial, until)),
        Check(0.4, lambda until: returns_row(trial, until)),
    ]


def _of_responses(trial: Trial, convergence: Callable[[float], Found]) -> list[Check]:
    """What tells of equilibria where no table is the policy: responses that are learned."""

    def no_bound(until: float) -> Found:
        return Row(BOUND, "not applicable", "the policy of these networks has no table")

    return [
        Check(0.3, convergence),
        Check(0.5, lambda until: learned_exploitability_row(trial, until)),
        Check(1.0, lambda until: learned_gain_row(trial, until)[0]),
        Check(0.0, no_bound),
    ]


def permutation_row(trial: Trial) -> Row:
    """Whether reordering agents does no more than that, for all populations."""
    game = trial.game
    names = [p.name for p in game.model.populations if not p.weights]
    if not names:
        reason = "weights between single agents tell them apart"
        reason = reason if game.model.populations else "the game has no population"
        return Row(PERMUTATION, "not applicable", reason)
    outcomes = [equivariance(game.agents, name, Effort(seed=trial.seed)) for name in names]
    certificates = [equivariance_certificate(outcome) for outcome in outcomes]
    games = {o.population: o.games for o in outcomes}
    for outcome, certificate in zip(outcomes, certificates, strict=True):
        if certificate.verdict == "refuted":
            seen = {"witness": certificate.witness, "games": games}
            table = before_after(outcome.counterexample) if outcome.counterexample else ""
            detail = certificate.detail or certificate.claim
            return Row(PERMUTATION, "failed", detail, seen, table=table)
    number = sum(games.values())
    rounded = sum(o.rounded for o in outcomes)
    figures = {"games": games, "rounded": rounded}
    detail = f"{number:,} games with agents in another order agree"
    detail += f", {rounded} up to rounding at a threshold" if rounded else ""
    return Row(PERMUTATION, "passed", detail, figures)
