"""All checks of a game one after another, each with a share of the time that is left."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.driver import ParameterValue
from mfdsl.errors import UsageError
from mfdsl.exact import exact_run
from mfdsl.game import Game, load
from mfdsl.learning import trained_behaviour
from mfdsl.playing import behaviour_named, by_table
from mfdsl.records import open_run, read_options
from mfdsl.runtime.learning.table import LEARNERS
from mfdsl.runtime.simulator import SimulationError
from mfdsl.runtime.solvers.riccati.table import EXACT
from mfdsl.simulating import game_of_run, setting_of_run, training_of_run
from mfdsl.validating.certificate_row import NAME as BOUND, certificate_row
from mfdsl.validating.certified import FinitePopulation
from mfdsl.validating.closed_forms import (
    costs_row,
    exploitability_row as exact_exploitability_row,
    gain_row as exact_gain_row,
)
from mfdsl.validating.convergence import convergence_row
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
    table_of,
)
from mfdsl.validating.learned_values import learned_values_row, was_played
from mfdsl.validating.networks import POLICY, agents_known, policy_row, returns_row, saved_row
from mfdsl.validating.outcome import Excess, Row, Trial, Validation, left
from mfdsl.validating.permutation import Effort, equivariance, equivariance_certificate
from mfdsl.validating.slopes import Claim, judged_interactions, slope_row
from mfdsl.validating.table import before_after
from mfdsl.validating.trajectories import mass_row, trajectory_row

PERMUTATION = "permutation"
NO_GAIN = "a team has no exploitability: nobody gains at the others' expense"
MOST_AGENTS = 10**6

Found = Row | tuple[Row, tuple[Excess, ...]]


@dataclass(frozen=True)
class Check:
    """One check and its share of the time that is left when it begins."""

    share: float
    run: Callable[[float], Found]


def trial_of(
    target: str | Path | Game,
    *,
    policy: str | Path | None = None,
    params: Mapping[str, ParameterValue] | None = None,
    agents: Sequence[int] = (10, 100, 1000),
    games: int | None = None,
    seed: int = 0,
    seconds: float = 20.0,
    gain: float | None = None,
) -> Trial:
    """A trial of a game, a spec, or the folder of a run.

    The policy is `still`, `uniform` or a run; by default that of the run if `target` is one, else
    `uniform`, or `still` where an action has no bounds. With `gain` the least number of agents
    for which no larger one is possible is asked for.

    Raises:
        CompileError: the spec has errors.
        UsageError: a number is out of range, or the run is damaged, of another game or of a sweep.
    """
    _check_sizes(agents, games, seconds)
    if gain is not None and not 0 <= gain < float("inf"):
        raise UsageError(f"a gain of {gain:g} is out of range", "give one, as `--gain 0.5`")

    def sized(trial: Trial) -> Trial:
        numbers = tuple(sorted(set(agents)))
        return replace(trial, agents=numbers, games=games, seed=seed, seconds=seconds, gain=gain)

    folder = Path(target) if not isinstance(target, Game) and Path(target).is_dir() else None
    named = policy if isinstance(policy, str) and policy in ("still", "uniform") else None
    if named is None and policy is not None and not Path(policy).is_dir():
        raise UsageError(f"`{policy}` is not a run folder", "policies by name: uniform, still")
    run = Path(policy) if policy is not None and named is None else None
    if folder is not None and named is None:
        run = folder if run is None else run
    if run is not None or folder is not None:
        if params:
            raise UsageError("a run keeps its parameters", "leave out --set and --params")
    if run is not None:
        spec = None if folder is not None or isinstance(target, Game) else target
        opened = open_run(run)
        if read_options(opened).solver in LEARNERS:
            training = training_of_run(game_of_run(spec, opened), opened)
            behaviour = trained_behaviour(training, opened)
            table = table_of(training)
            return sized(Trial(training.game, behaviour, "run", table, run, training=training))
        if read_options(opened).solver in EXACT:
            exact = exact_run(game_of_run(spec, opened), opened)
            return sized(Trial(exact.game, exact.behaviour, "run", run=run, exact=exact))
        found = setting_of_run(spec, run)
        if found.swept:
            raise UsageError(
                f"{run} has a policy for each value of its sweep",
                "solve the value to validate with --set",
            )
        behaviour = by_table(found.game, found.policy)
        return sized(Trial(found.game, behaviour, "run", found.policy, run))
    if folder is not None:
        game = game_of_run(None, open_run(folder))
    else:
        game = target if isinstance(target, Game) else load(target, params=params)
    return sized(_by_name(game, named))


def _by_name(game: Game, named: str | None) -> Trial:
    """A trial under a policy by name."""
    unbounded = _unbounded(game)
    if named == "uniform" and unbounded:
        raise UsageError(
            f"the action `{unbounded}` has no bounds, so no law on it is uniform",
            "`--policy still`, or a run",
        )
    name = named or ("still" if unbounded else "uniform")
    return Trial(game, behaviour_named(name), name)


def _unbounded(game: Game) -> str | None:
    for player in game.model.players:
        for action in player.actions:
            kind = game.model.types[action.type]
            if kind.kind == "real" and kind.ball is None and (kind.lo is None or kind.hi is None):
                return action.name
    return None


def _check_sizes(agents: Sequence[int], games: int | None, seconds: float) -> None:
    if not agents:
        raise UsageError("no number of agents is given", "`--agents 10,100,1000`")
    for number in agents:
        if not 1 <= number <= MOST_AGENTS:
            raise UsageError(
                f"{number:,} agents are out of range", f"give numbers from 1 to {MOST_AGENTS:,}"
            )
    if games is not None and games < 1:
        raise UsageError(f"{games} games are out of range", "give at least one")
    if not 0 < seconds < float("inf"):
        raise UsageError(f"{seconds:g} seconds are out of range", "give some, as `--seconds 20`")


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
    gains: list[Gain] = []
    reports: list[FinitePopulation] = []

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
    if trial.game.model.objective == "team":
        return [*plain, *_of_a_team(trial, convergence)]
    if asked is not trial:
        return [*plain, *_of_known_agents(asked)]
    if trial.training is not None:
        plain += _of_networks(trial)[:2]
    if trial.training is not None and trial.table is None:
        return [*plain, *_of_responses(trial, convergence)]
    evaluation = evaluated(trial)
    return [
        *plain,
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


def _of_any_number(trial: Trial) -> Trial:
    """The same, of a policy by name where networks know their agents one by one: checks of the
    game play other numbers.
    """
    if trial.training is None or not agents_known(trial.training.learner.policy):
        return trial
    named = _by_name(trial.game, None)
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
