"""Exact solutions of linear-quadratic games beside simulations and beside their own summary."""

import time
from dataclasses import replace
from typing import Any

import numpy as np

from mfdsl.errors import UsageError
from mfdsl.records import explained, read_options
from mfdsl.runtime.simulator import SimulationError
from mfdsl.runtime.solvers.riccati.deviations import gains
from mfdsl.runtime.solvers.riccati.flow import costs
from mfdsl.runtime.solvers.riccati.game import Game
from mfdsl.runtime.solvers.riccati.solve import measured_gap
from mfdsl.validating.gains import AGREE, EXPLOITABILITY, NAME as GAIN
from mfdsl.validating.networks import RETURNS
from mfdsl.validating.outcome import Row, Trial, left

SIGMAS = 4.0
FEWEST_GAMES, MOST_GAMES = 8, 4096
ROUNDED = 1e-9  # of a cost


def costs_row(trial: Trial, until: float) -> Row:
    """Simulated costs beside exact ones for each number of agents, within four standard errors."""
    assert trial.exact is not None
    found: list[dict[str, Any]] = []
    refused: dict[int, str] = {}
    if trial.exact.job.problem.agents is None:
        return Row(RETURNS, "not applicable", "means over others are exact in the limit only")
    for k, number in enumerate(trial.agents):
        share = max(left(until), 0.0) / (len(trial.agents) - k)
        try:
            found += _compared(trial, number, share)
        except (SimulationError, UsageError) as error:  # fewer agents may still be played
            refused[number] = str(error)
    if not found:
        why = next(iter(refused.values()), "the time is too short: give more --seconds")
        return Row(RETURNS, "not applicable", why)
    off = [f for f in found if not f["deviations"] <= SIGMAS]
    worst = max(f["deviations"] for f in found)
    detail = f"costs are the exact ones within {worst:.2g} standard errors"
    if refused:
        detail += f"; not played among {', '.join(f'{n:,}' for n in refused)}"
    if off:
        one = off[0]
        detail = (
            f"{one['player']} among {one['agents']:,} costs {one['simulated']:.6g} ±"
            f" {one['std_error']:.2g}, exactly {one['exact']:.6g}"
        )
    return Row(RETURNS, "failed" if off else "passed", detail, {"costs": found})


def exploitability_row(trial: Trial) -> Row:
    """What best responses to the saved policy gain, beside the summary."""
    assert trial.exact is not None
    run = trial.exact
    with explained():
        saved = run.folder.summary.get("exploitability", {}).get("value")
    if not isinstance(saved, int | float):
        return Row(EXPLOITABILITY, "not applicable", "the run has no exploitability in its summary")
    again = measured_gap(run.solved, run.policy, costs(run.solved, run.policy))
    figures = {"saved": saved, "again": again.value, "per_population": again.per_population}
    paid = sum(abs(c) for c in costs(run.solved, run.policy).values())
    limit = AGREE[read_options(run.folder).dtype] * (1 + paid)
    verdict = "passed" if abs(again.value - saved) <= limit else "failed"
    detail = f"the saved policy has {again.value:.3g}, the summary says {saved:.3g} (exact)"
    return Row(EXPLOITABILITY, verdict, detail, figures)  # type: ignore[arg-type]


def gain_row(trial: Trial) -> Row:
    """What one agent of N gains by its best response, exactly; it falls to the exploitability."""
    assert trial.exact is not None
    run = trial.exact
    if run.solved.team:
        return Row(GAIN, "not applicable", "in a team nobody gains at the others' expense")
    if run.job.problem.agents is None:
        return Row(GAIN, "not applicable", "means over others are exact in the limit only")
    limit = sum(gains(run.solved, run.policy).values())
    found, totals = [], []
    for number in trial.agents:
        each = gains(run.solved, run.policy, dict.fromkeys(run.job.problem.agents, number))
        found.append({"agents": number, "gains": each})
        totals.append(sum(each.values()))
    shown = [f"{g:.3g} ({n:,})" for g, n in zip(totals, trial.agents, strict=True)]
    apart = [abs(total - limit) for total in totals]
    falls = len(apart) < 2 or apart[-1] <= apart[0] + ROUNDED
    detail = f"exactly, agents in brackets: {', '.join(shown)}"
    return Row(GAIN, "passed" if falls else "failed", detail, {"gains": found})


def _compared(trial: Trial, number: int, seconds: float) -> list[dict[str, Any]]:
    """Simulated and exact costs of every player with so many agents; none where time is short."""
    assert trial.exact is not None
    run = trial.exact
    began = time.perf_counter()
    trial.game.simulator(agents=number, batch=2, seed=trial.seed).rollout(run.behaviour)
    each = (time.perf_counter() - began) / 2
    games = min(trial.games or MOST_GAMES, int(seconds / each))
    if games < min(FEWEST_GAMES, trial.games or FEWEST_GAMES):
        return []
    simulator = trial.game.simulator(agents=number, batch=games, seed=trial.seed)
    rollout = simulator.rollout(run.behaviour)
    played = first_steps(run.solved, rollout.steps, ended=trial.game.agents.horizon is not None)
    exact = costs(played, run.policy, {c.name: number for c in played.crowds})
    found = []
    for player, paid in rollout.returns.items():
        if player not in exact or games < 2:
            continue
        off = abs(-paid.mean - exact[player])
        error = max(paid.std_error, ROUNDED * (1 + abs(exact[player])) / SIGMAS)
        found.append(
            {
                "player": player,
                "agents": number,
                "games": games,
                "simulated": -paid.mean,
                "std_error": paid.std_error,
                "exact": exact[player],
                "deviations": off / error,
            }
        )
    return found


def first_steps(game: Game, steps: int, *, ended: bool) -> Game:
    """The game that was played: its first steps where it has no end."""
    if ended:
        return game
    crowds = tuple(replace(c, final=np.zeros_like(c.final)) for c in game.crowds)
    singles = tuple(replace(s, final=np.zeros_like(s.final)) for s in game.singles)
    return replace(game, crowds=crowds, singles=singles, stages=steps)
