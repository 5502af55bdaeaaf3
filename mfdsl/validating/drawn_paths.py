"""Runs along drawn paths of a common noise beside their own summary and beside simulations."""

import math
import time
from dataclasses import dataclass
from typing import Any

import torch

from mfdsl.errors import UsageError
from mfdsl.pathwise import PathRun
from mfdsl.records import explained
from mfdsl.runtime.simulator import SimulationError
from mfdsl.runtime.solvers.networks.along import best, walk
from mfdsl.runtime.solvers.networks.path_bounds import causal_gap
from mfdsl.runtime.solvers.networks.path_gradient import MEASURED, measure
from mfdsl.validating.gains import EXPLOITABILITY
from mfdsl.validating.networks import RETURNS, SAVED
from mfdsl.validating.outcome import Row, Trial, left

AGREE = 1e-4  # networks compute in float32
SIGMAS = 3.0
FEWEST_GAMES, MOST_GAMES = 8, 1024
SWEEPS = 4  # walks and sweeps of the bounds for each path, beside one walk with its sweep


def saved_row(trial: Trial) -> Row:
    """What the saved policy returns on the measured paths, beside the summary."""
    run = _run(trial)
    with explained():
        saved = run.folder.summary.get("value")
    if not isinstance(saved, int | float):
        return Row(SAVED, "not applicable", "the run has no return in its summary")
    game, config = run.job.course.game, run.job.config
    again = measure(game, run.policy, game.drawn(MEASURED, config.evaluate_paths), 0).value
    figures = {"saved": saved, "again": again, "paths": config.evaluate_paths}
    text = f"the saved policy returns {again:.6g}, the summary says {saved:.6g}"
    return Row(SAVED, "passed" if _agree(again, saved) else "failed", text, figures)


def exploitability_row(trial: Trial, until: float) -> Row:
    """The bounds of what one gains by leaving the saved policy, beside those of the summary."""
    run = _run(trial)
    with explained():
        saved = run.folder.summary.get("exploitability", {})
    value, ends = saved.get("value"), saved.get("between", {})
    if not isinstance(value, int | float):
        return Row(EXPLOITABILITY, "not applicable", "the run has no exploitability in its summary")
    game, config = run.job.course.game, run.job.config
    if saved.get("kind") != "between":
        record = measure(game, run.policy, game.drawn(MEASURED, config.evaluate_paths), 0)
        figures = {"saved": value, "again": record.gain}
        text = f"who knows the paths gains {record.gain:.6g}, the summary says {value:.6g}"
        agrees = _agree(record.gain, value)
        return Row(
            EXPLOITABILITY, "passed" if agrees else "failed", f"{text} (upper_bound)", figures
        )
    needed = SWEEPS * config.evaluate_paths * _seconds(run)
    if needed > left(until):
        detail = f"its bounds take about {needed:.0f} s again: give more --seconds"
        return Row(EXPLOITABILITY, "not applicable", detail)
    again = causal_gap(game, run.policy, paths=config.evaluate_paths, futures=config.futures)
    bounds = {"saved": ends, "again": {"least": again.least, "most": again.most}}
    pairs = (again.least, ends.get("least")), (again.above[0], value)
    text = f"between {again.below:.6g} and {again.above[0]:.6g} again"
    if not all(isinstance(old, int | float) and _agree(new, old) for new, old in pairs):
        detail = f"{text}, the summary says otherwise: {ends.get('least')} and {value:.6g}"
        return Row(EXPLOITABILITY, "failed", detail, bounds)
    return Row(EXPLOITABILITY, "passed", f"{text}, as the summary says (between)", bounds)


@dataclass(frozen=True)
class _Played:
    """What agents earned, beside the limit."""

    agents: int
    games: int
    mean: float
    apart: float
    std_error: float


def returns_row(trial: Trial, until: float) -> Row:
    """Returns of N agents beside that of the limit, over other paths: nearer as N grows."""
    run = _run(trial)
    limit, error = _limit(run)
    found: list[_Played] = []
    for k, number in enumerate(trial.agents):
        share = max(left(until), 0.0) / (len(trial.agents) - k)
        try:
            played = _played(trial, number, share)
        except (SimulationError, UsageError):
            played = None  # too large for this machine
        if played is not None:
            games, mean, own = played
            whole = math.hypot(own, error)
            found.append(_Played(number, games, mean, abs(mean - limit), whole))
    shown = ", ".join(f"{f.mean:.5g} ± {f.std_error:.2g} ({f.agents:,})" for f in found)
    detail = f"agents in brackets: {shown}; {limit:.5g} in the limit"
    figures: dict[str, Any] = {"limit": limit, "returns": [vars(f) for f in found]}
    if len(found) < 2:
        short = "one number of agents only" if found else "the time is too short"
        return Row(RETURNS, "not applicable", f"{short}: give more --seconds", figures)
    allowed = max(f.apart + SIGMAS * f.std_error for f in found[:-1])
    last = found[-1]
    away = last.apart > allowed + SIGMAS * last.std_error or not math.isfinite(last.mean)
    return Row(RETURNS, "failed" if away else "passed", detail, figures)


def _played(trial: Trial, number: int, seconds: float) -> tuple[int, float, float] | None:
    """Games, the mean return and its error with so many agents, None where time is short."""
    for _ in range(2):  # the first one makes what is kept
        began = time.perf_counter()
        trial.game.simulator(agents=number, batch=2, seed=trial.seed).rollout(trial.behaviour)
    each = (time.perf_counter() - began) / 2
    games = min(trial.games or MOST_GAMES, int(seconds / each))
    if games < min(FEWEST_GAMES, trial.games or FEWEST_GAMES):
        return None
    simulator = trial.game.simulator(agents=number, batch=games, seed=trial.seed)
    (paid,) = simulator.rollout(trial.behaviour).returns.values()
    return games, paid.mean, paid.std_error


def _limit(run: PathRun) -> tuple[float, float]:
    """What the policy returns in the limit on the measured paths, and the error over these."""
    game, policy = run.job.course.game, run.policy
    paths = game.drawn(MEASURED, run.job.config.evaluate_paths)
    flow = walk(game, game.params(paths.values, torch.float32), policy.along(game, paths))
    values = flow.first(flow.sweep(flow.of_policy))
    return float(values.mean()), float(values.std() / len(values) ** 0.5)


def _seconds(run: PathRun) -> float:
    """The time of a walk along one path, and of a sweep back."""
    game, policy = run.job.course.game, run.policy
    paths = game.drawn(MEASURED, 1)
    for _ in range(2):  # the first one makes what is kept
        began = time.perf_counter()
        flow = walk(game, game.params(paths.values), policy.along(game, paths))
        flow.first(flow.sweep(best))
    return time.perf_counter() - began


def _agree(again: float, saved: float) -> bool:
    return abs(again - saved) <= AGREE * (1 + abs(saved))


def _run(trial: Trial) -> PathRun:
    assert trial.along is not None
    return trial.along
