"""Which heuristic to take where no solver is licensed: the one ahead after some iterations.

No rule by the properties of a game is better than this: where moves read the law, mirror descent
may cycle for ever while policy iteration stops at an equilibrium, or the other way round.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite
from time import monotonic

from torch import Tensor

from mfdsl.runtime.program import Params, Program
from mfdsl.runtime.solution import Solution
from mfdsl.runtime.solvers.base import make_solver
from mfdsl.runtime.solvers.loop import solve, view_for
from mfdsl.runtime.solvers.needs import refusal
from mfdsl.runtime.solvers.starts import STARTS, begun
from mfdsl.runtime.solvers.table import SOLVERS, Config
from mfdsl.runtime.status import Status
from mfdsl.settings import Settings

Candidate = tuple[str, Mapping[str, float | str]]

TRIALS: tuple[Candidate, ...] = (
    ("omd", {}),
    ("policy_iteration", {}),
    ("fixed_point", {"damping": 0.9}),
    ("fictitious_play", {}),
    ("prior_descent", {"response": "soft", "inner": 5}),
    ("prior_descent", {}),
)
ENDLESS: tuple[Candidate, ...] = (
    ("omd", {}),
    ("successive_averages", {}),
    ("prior_descent", {"response": "soft", "inner": 5}),
    ("prior_descent", {}),
)
# Iterations of these cost tens of those above. A projection of `mf_omi` on 80 stages of 6 states
# takes 1.4 s, so that it comes last, and only where moves do not read the law: elsewhere nothing
# is known to lead it to an equilibrium.
COSTLY: tuple[Candidate, ...] = (("mf_omo", {}),)
COSTLIEST: tuple[Candidate, ...] = (("mf_omi", {}),)
LARGE = "successive_averages"
ROUNDS = 100
LONGER = 400
LONGEST = 1000
FINALISTS = 3
SOLVED = 1e-3
MOST_ENTRIES = 1 << 20
MOST_COSTLY_ENTRIES = 1 << 12
MOST_WORK = 1 << 20  # entries times iterations of all games of a sweep: about a minute
LOG = logging.getLogger("mfdsl.trials")
SAID_AFTER = 5.0  # seconds of silence that nobody wonders about


@dataclass(frozen=True)
class _Trial:
    """A heuristic and where it stands."""

    name: str
    config: Config
    solution: Solution

    @property
    def gap(self) -> float:
        """The exploitability it has come to."""
        gap = self.solution.exploitability.value
        return gap if isfinite(gap) else inf


def tried(
    settings: Settings,
    program: Program,
    params: Params,
    start: Tensor | None = None,
    *,
    games: int = 1,
) -> Settings:
    """The settings with the heuristic of the least exploitability after some iterations.

    All of `TRIALS` begin at the uniform policy and make 100 iterations; those that can begin at the
    policy `start` [1, T, S, A] where one is given. While none has come to a thousandth of the
    exploitability of the first policy, on small tables to the tolerance, the three that are ahead
    go on to 400. Then, on small tables, `COSTLY` makes 100, and while none is at a thousandth
    `COSTLIEST` where moves do not read the law; without an end those three go on to 1,000 instead.
    A trial that reaches the tolerance ends the search. The choice depends on the game only. It is
    not made where somebody named a solver or one is licensed, and for few iterations. On a horizon
    without end only `ENDLESS` are tried, and on small tables only: elsewhere an iteration may take
    thousands of steps of the law. Tables too large for trials get `LARGE` where moves read the law,
    as in traffic. Of a sweep of so many `games` that with the values before it is tried, and
    `COSTLY` is not taken where all games would cost more than `MOST_WORK`.
    """
    entries = program.state_count * program.action_count * (program.horizon or 1)
    endless = program.kind == "stationary"
    if not settings.open or settings.solver not in SOLVERS or program.kind == "infinite":
        return settings
    if entries > (MOST_COSTLY_ENTRIES if endless else MOST_ENTRIES):
        return settings if endless else _untried(settings, program)
    if settings.iterations < ROUNDS:
        return settings
    say = _saying()
    found = _begun(ENDLESS if endless else TRIALS, settings, program, params, start, say)
    near = SOLVED * found[0].solution.history[0].exploitability
    small = not endless and entries <= MOST_COSTLY_ENTRIES
    enough = settings.tolerance if small else near
    for count in (LONGER, LONGEST) if endless else (LONGER,):
        if not _settled(found, enough, settings) and settings.iterations >= count:
            found = _continued(found, count, settings, program, params, say)
    if small and not _settled(found, enough, settings):
        costly = _begun(COSTLY, settings, program, params, start, say)
        work = entries * games * sum(trial.solution.iterations for trial in costly)
        found += costly if games == 1 or work <= MOST_WORK else []
    single = small and games == 1 and not _moves_read_the_law(program)
    if single and not _settled(found, near, settings):
        found += _begun(COSTLIEST, settings, program, params, start, say)
    best = min(found, key=lambda trial: trial.gap)
    names = ", ".join(dict.fromkeys(trial.name for trial in found))
    count = best.solution.iterations
    reason = f"least exploitability, {best.gap:.3g} after {count} iterations, of {names}"
    reason += ", at the values before the sweep" if games > 1 else ""
    return replace(
        settings, solver=best.name, config=best.config, reason=f"{settings.reason}; {reason}"
    )


def _untried(settings: Settings, program: Program) -> Settings:
    """The settings of a game with tables too large for trials."""
    if not _moves_read_the_law(program):
        return settings
    reason = f"{settings.reason}; moves read the law, and the tables are too large for trials"
    return replace(settings, solver=LARGE, config=SOLVERS[LARGE].config(), reason=reason)


def _moves_read_the_law(program: Program) -> bool:
    return "law" in program.module.SUCCESSORS_READ | program.module.WEIGHTS_READ


def _begun(
    candidates: Sequence[Candidate],
    settings: Settings,
    program: Program,
    params: Params,
    start: Tensor | None,
    say: Callable[[_Trial], None],
) -> list[_Trial]:
    """Trials of what is defined on the game, up to the first that reaches the tolerance."""
    found: list[_Trial] = []
    for name, options in candidates:
        if refusal(name, program) is not None or (start is not None and name not in STARTS):
            continue
        config = SOLVERS[name].config.model_validate(dict(options))
        state = None
        if start is not None:
            state = begun(name, make_solver(name, config), view_for(program, params, name), start)
        trial = solve(
            program,
            params,
            name,
            config,
            iterations=ROUNDS,
            tolerance=settings.tolerance,
            state=state,
        )
        _check(trial)
        found.append(_Trial(name, config, trial))
        say(found[-1])
        if trial.status is Status.converged:
            break
    return found


def _continued(
    trials: Sequence[_Trial],
    count: int,
    settings: Settings,
    program: Program,
    params: Params,
    say: Callable[[_Trial], None],
) -> list[_Trial]:
    """The trials, those ahead after `count` iterations, up to the first that reaches the tolerance.

    Those that went on before are the same ones: the others have made fewer iterations.
    """
    made = max(trial.solution.iterations for trial in trials)
    ahead = [trial for trial in trials if trial.solution.iterations == made]
    longer: dict[tuple[str, Config], _Trial] = {}
    for trial in sorted(ahead, key=lambda trial: trial.gap)[:FINALISTS]:
        further = solve(
            program,
            params,
            trial.name,
            trial.config,
            iterations=count,
            tolerance=settings.tolerance,
            state=trial.solution.state,
            history=trial.solution.history,
        )
        _check(further)
        longer[trial.name, trial.config] = replace(trial, solution=further)
        say(longer[trial.name, trial.config])
        if further.status is Status.converged:
            break
    return [longer.get((trial.name, trial.config), trial) for trial in trials]


def _saying() -> Callable[[_Trial], None]:
    """What tells of a trial that has ended, once all of them have taken a while."""
    began = monotonic()

    def say(trial: _Trial) -> None:
        if monotonic() - began > SAID_AFTER:
            count = trial.solution.iterations
            LOG.info("trying %s: %.3g after %d iterations", trial.name, trial.gap, count)

    return say


def _settled(trials: Sequence[_Trial], enough: float, settings: Settings) -> bool:
    """Whether one has come far enough to be taken."""
    return min(trial.gap for trial in trials) <= max(enough, settings.tolerance)


def _check(trial: Solution) -> None:
    if trial.status is Status.interrupted:  # the loop keeps it for itself
        raise KeyboardInterrupt
