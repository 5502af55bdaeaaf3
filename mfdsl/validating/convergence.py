"""The error of N agents against the limit, for several N: it should fall like one over the root.

The error is the mean over games and steps of the Euclidean distance of a statistic from its limit,
over the standard deviation of one agent, averaged over the statistics; it is about 1 / sqrt(N) for
independent agents. The limit is exact where the game is tabular, else a reference run with many
more agents and the same common noise.

The slope of log error against log N is fitted by weighted least squares, from 10 agents on. The
check fails when it lies above LINE by more than three standard errors, the errors are not rounding,
and the error at the largest N is above what the reference itself is uncertain by. The rate is
promised for rewards and dynamics that are Lipschitz in the law; where that is not proved, it is not
judged.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.runtime.simulator import Simulator
from mfdsl.validating.courses import Course, course, exact_course
from mfdsl.validating.outcome import Row, Trial, left
from mfdsl.validating.stages import horizon_of

NAME = "error against N"
LINE = -0.35
SIGMAS = 3.0
STEPS = 20
GAMES = 64
FEWEST = 10  # agents from which on the rate is fitted
FACTOR = 16  # agents of the reference over the most that are compared with it
LEAST_FACTOR = 4
REFERENCE_GAMES = 8
REFERENCE_SHARE = 0.8  # of the time that is left for a reference run
ROUNDING = 1e-9
MEASURED = 0.15  # of the time, for measuring how long a step takes


@dataclass(frozen=True)
class Point:
    """The error with N agents, and its standard error over the games."""

    agents: int
    error: float
    std_error: float


@dataclass(frozen=True)
class Fit:
    """The slope of log error against log N, and its standard error."""

    slope: float
    std_error: float


def convergence_row(trial: Trial, certificates: Sequence[Certificate], until: float) -> Row:
    """Errors for each number of agents of the trial, their slope, and the verdict.

    Where one of the `certificates` of slopes is not proved, there is no promise of a rate.
    """
    model, program = trial.game.model, trial.game.agents
    if not program.populations:
        return Row(NAME, "not applicable", "the game has no population")
    if program.fixed:
        names = ", ".join(program.names[f] for f in program.fixed)
        return Row(NAME, "not applicable", f"files give the agents of {names} one by one")
    numbers = tuple(sorted(set(trial.agents)))
    if len(numbers) < 2:
        return Row(NAME, "not applicable", "a slope needs two numbers of agents: --agents 10,100")
    steps = horizon_of(_simulator(trial, numbers[0], 1), STEPS)
    exact = exact_course(trial, steps)
    random = exact is None and any(p.kind != "population" for p in model.players)
    games = trial.games or GAMES
    games = min(games, REFERENCE_GAMES) if random else games
    many, numbers, games, reason = _plan(trial, numbers, games, steps, exact is None, random, until)
    if reason:
        return Row(NAME, "not applicable", reason)
    limit, source = exact, "the exact flow"
    if limit is None:
        reference = _simulator(trial, many, games if random else 1)
        half = time.perf_counter() + REFERENCE_SHARE * left(until)
        limit = course(reference, trial.behaviour, steps, half)
        source, steps = f"{many:,} agents", limit.steps
    points = [
        _point(course(_simulator(trial, n, games), trial.behaviour, steps), limit, n)
        for n in numbers
    ]
    row = judged(points, source, 1 / math.sqrt(many) if exact is None else 0.0, steps, games)
    return _promised(row, certificates)


def _promised(row: Row, certificates: Sequence[Certificate]) -> Row:
    """A failure only where the rate is promised: for rewards and dynamics proved Lipschitz."""
    doubtful = [c for c in certificates if c.source and c.verdict != "proved"]
    if row.verdict != "failed" or not doubtful:
        return row
    why = doubtful[0].detail or doubtful[0].reason or doubtful[0].verdict
    detail = f"{row.detail}; no rate is promised: {doubtful[0].claim} is not proved ({why})"
    return replace(row, verdict="not applicable", detail=detail)


def _simulator(trial: Trial, agents: int, games: int) -> Simulator:
    return trial.game.simulator(agents=agents, batch=games, seed=trial.seed)


def _plan(
    trial: Trial,
    numbers: tuple[int, ...],
    games: int,
    steps: int,
    needs_reference: bool,
    random: bool,
    until: float,
) -> tuple[int, tuple[int, ...], int, str]:
    """Agents of the reference, the numbers and the games that fit the time, or why none do."""
    budget = max(left(until), 0.0)
    cost = {n: seconds * steps for n, seconds in _costs(trial, numbers, MEASURED * budget).items()}
    kept, growth = list(cost), 1.0
    if needs_reference and len(kept) > 1:
        growth = math.log(cost[kept[-1]] / cost[kept[0]]) / math.log(kept[-1] / kept[0])
        growth = min(2.0, max(1.0, growth))
    while len(kept) >= 2:
        top = kept[-1]
        for factor in (FACTOR, FACTOR // 2, LEAST_FACTOR):
            for batch in (games, games // 2, games // 4, games // 8):
                if batch < 4 and batch < games:
                    continue
                own = sum(cost[n] for n in kept) * batch
                many = cost[top] * factor**growth * (batch if random else 1)
                if own + (many if needs_reference else 0.0) <= budget:
                    return factor * top, tuple(kept), batch, ""
            if not needs_reference:
                break
        kept.pop()
    return 0, (), 0, f"{budget:.1f} s are too few for {numbers[0]:,} and {numbers[1]:,} agents"


def _costs(trial: Trial, numbers: tuple[int, ...], budget: float) -> dict[int, float]:
    """The seconds that one step of one game takes, for those numbers that are quick to try."""
    found: dict[int, float] = {}
    course(_simulator(trial, numbers[0], 1), trial.behaviour, 1)  # makes what is kept
    for agents in numbers:
        games = max(1, min(GAMES, 4000 // agents))
        if found:
            least = max(found)
            if found[least] * (agents / least) ** 2 * games > budget:
                break
        simulator = _simulator(trial, agents, games)
        began = time.perf_counter()
        course(simulator, trial.behaviour, 1)
        found[agents] = max(time.perf_counter() - began, 1e-6) / games
    return found


def _point(found: Course, limit: Course, agents: int) -> Point:
    """The error of one number of agents: [T, B] distances, means over time, then over games."""
    parts = []
    for name, means in found.means.items():
        if name not in limit.means:
            continue
        known = limit.means[name]
        steps = min(len(means), len(known))
        apart = (means[:steps] - known[:steps]).norm(dim=-1)
        spread = limit.spread[name].mean()
        if float(spread) <= ROUNDING:
            spread = torch.ones_like(spread)
        parts.append((apart / spread).mean(0))
    errors = torch.stack(parts).mean(0)
    deviation = errors.std().item() / math.sqrt(len(errors)) if len(errors) > 1 else math.nan
    return Point(agents, errors.mean().item(), deviation)


def fitted(points: list[Point]) -> Fit:
    """The slope by least squares, weighted with the standard errors of the logarithms."""
    x = [math.log(p.agents) for p in points]
    y = [math.log(max(p.error, 1e-300)) for p in points]
    sizes = [p.std_error / max(p.error, 1e-300) for p in points]
    w = [1 / max(s, 1e-3) ** 2 if math.isfinite(s) else 1.0 for s in sizes]
    total = sum(w)
    mean_x = sum(a * b for a, b in zip(w, x, strict=True)) / total
    mean_y = sum(a * b for a, b in zip(w, y, strict=True)) / total
    square = sum(a * (b - mean_x) ** 2 for a, b in zip(w, x, strict=True))
    product = sum(a * (b - mean_x) * (c - mean_y) for a, b, c in zip(w, x, y, strict=True))
    known = all(math.isfinite(s) for s in sizes)
    return Fit(product / square, 1 / math.sqrt(square) if known else math.nan)


def judged(points: list[Point], source: str, uncertain: float, steps: int, games: int) -> Row:
    """The verdict on errors against a limit that is itself `uncertain` by so much."""
    table = [{"agents": p.agents, "error": p.error, "std_error": p.std_error} for p in points]
    figures = {"limit": source, "steps": steps, "games": games, "points": table}
    if max(p.error for p in points) <= ROUNDING:
        detail = f"N agents are the limit ({source}): nothing is random in the statistics"
        return Row(NAME, "passed", detail, figures)
    late = [p for p in points if p.agents >= FEWEST]
    if len(late) < 2:
        detail = f"the rate shows from {FEWEST} agents on: --agents 10,100"
        return Row(NAME, "not applicable", detail, figures)
    fit = fitted(late)
    figures |= {"slope": fit.slope, "slope_std_error": fit.std_error, "line": LINE}
    shown = ", ".join(f"{p.error:.3g} at {p.agents:,}" for p in points)
    text = f"errors {shown} agents against {source}: slope {fit.slope:.2f} ± {fit.std_error:.2f}"
    if math.isnan(fit.std_error):
        return Row(NAME, "not applicable", f"{text}: one game has no standard error", figures)
    if fit.slope - SIGMAS * fit.std_error <= LINE:
        return Row(NAME, "passed", f"{text} (expected -0.5)", figures)
    if points[-1].error <= SIGMAS * uncertain:
        detail = f"{text}: the reference itself is uncertain by {uncertain:.2g}"
        return Row(NAME, "not applicable", detail, figures)
    detail = f"{text}, above {LINE} by more than {SIGMAS:g} standard errors"
    return Row(NAME, "failed", detail, figures)
