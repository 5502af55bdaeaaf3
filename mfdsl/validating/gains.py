"""The policy of a run: its exploitability once more, and what one agent gains among N - 1 others.

The best response is that to the flow of the limit. Agent 0 follows it in one of two games with the
same draws, so that the mean of the differences has a small standard error. As N grows the gain goes
to the exploitability; the check fails when it is further away at the largest N than at all smaller
ones, by more than three standard errors.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mfdsl.game import Game
from mfdsl.playing import by_table
from mfdsl.records import explained, open_run, read_options
from mfdsl.runtime.behaviours import Behaviour, Scene
from mfdsl.runtime.evaluate import Evaluation, build_view
from mfdsl.runtime.policy import TabularPolicy, adding_up, greedy_probs
from mfdsl.runtime.simulator import Simulator, steps_of
from mfdsl.runtime.solvers.social.view import SocialView
from mfdsl.runtime.solvers.table import SOLVERS
from mfdsl.runtime.views.finite import FiniteView
from mfdsl.validating.outcome import Row, Trial, left

EXPLOITABILITY = "exploitability"
NAME = "gain among N"
AGREE = {"float64": 1e-9, "float32": 1e-4}
MOST_GAMES = 20_000
MOST_AGENTS = 1 << 21  # of all games together
LEAST_GAMES = 16
SIGMAS = 3.0


@dataclass(frozen=True)
class Gain:
    """What one agent of a population gains by the best response, and its standard error.

    `types` has the same for each value of its finite traits.
    """

    population: str
    agents: int
    games: int
    mean: float
    std_error: float
    types: dict[str, tuple[float, float]]

    def to_json(self) -> dict[str, Any]:
        """The entry of the gain in the figures of a row."""
        types = {k: {"gain": m, "std_error": s} for k, (m, s) in self.types.items()}
        return {
            "population": self.population,
            "agents": self.agents,
            "games": self.games,
            "gain": self.mean,
            "std_error": self.std_error,
            "types": types,
        }


def evaluated(trial: Trial) -> Evaluation | None:
    """The exact evaluation of the table of a trial, None without one."""
    if trial.table is None:
        return None
    with torch.no_grad():
        view = build_view(trial.game.program, trial.game.program.params())
        return Evaluation(view, view.policy(adding_up(trial.table.probs.double())))


def exploitability_row(trial: Trial, evaluation: Evaluation | None) -> Row:
    """The exploitability of the saved policy beside that of the summary."""
    if evaluation is None:
        return Row(EXPLOITABILITY, "not applicable", "no run is given")
    if trial.run is None:
        gap = evaluation.exploitability
        figures = {"again": gap.value, "per_population": dict(gap.per_population)}
        detail = f"no run is given; that of the policy is {gap.value:.6g} ({gap.kind})"
        return Row(EXPLOITABILITY, "not applicable", detail, figures)
    folder = open_run(trial.run)
    with explained():
        saved = folder.summary.get("exploitability", {}).get("value")
    if not isinstance(saved, (int, float)):
        return Row(EXPLOITABILITY, "not applicable", "the run has no exploitability in its summary")
    options = read_options(folder)
    row = SOLVERS.get(options.solver)
    planned = row is not None and row.social
    if planned and isinstance(evaluation.view, FiniteView):
        evaluation = Evaluation(SocialView(evaluation.view), evaluation.policy)
    with torch.no_grad():
        again = evaluation.exploitability
    figures = {"saved": saved, "again": again.value, "per_population": dict(again.per_population)}
    limit = AGREE[options.dtype] * (1 + abs(saved))
    if not abs(again.value - saved) <= limit:
        detail = f"the saved policy has {again.value:.9g}, the summary says {saved:.9g}"
        return Row(EXPLOITABILITY, "failed", detail, figures)
    detail = f"the saved policy has {again.value:.6g}, as the summary says ({again.kind})"
    if planned:
        detail = f"{detail}, with marginal rewards: a planner's"
    return Row(EXPLOITABILITY, "passed", detail, figures)


def gain_row(
    trial: Trial, evaluation: Evaluation | None, until: float
) -> tuple[Row, tuple[Gain, ...]]:
    """The row and the gains for each number of agents, each population and each type."""
    if evaluation is None or trial.table is None:
        return Row(NAME, "not applicable", "no run is given"), ()
    if trial.game.program.kind == "stationary":
        reason = "agents do not start from the law that the policy keeps"
        return Row(NAME, "not applicable", reason), ()
    with torch.no_grad():
        best = evaluation.view.policy(greedy_probs(evaluation.best_q, "first"))
        limits = evaluation.exploitability.per_population
    gains = measured(trial, best, until)
    if not gains:
        return Row(NAME, "not applicable", "the time is too short for any number of agents"), ()
    return judged(gains, limits, exact=trial.game.program.exact), tuple(gains)


@dataclass(frozen=True, eq=False)
class Pair:
    """Everybody follows the policy of a run; or all but agent 0 of a population do."""

    stays: Behaviour
    leaves: Behaviour
    field: str


def measured(trial: Trial, best: TabularPolicy, until: float) -> list[Gain]:
    """Gains of one agent of each population by a table, among the numbers of agents that fit."""
    assert trial.table is not None
    base, other = (by_table(trial.game, table) for table in (trial.table, best))
    fields = trial.game.agents.populations
    return among(trial, [Pair(base, deviating(base, other, f), f) for f in fields], until)


def among(trial: Trial, pairs: Sequence[Pair], until: float) -> list[Gain]:
    """Gains of one agent of each pair, among the numbers of agents that fit the time."""
    numbers: tuple[int | None, ...] = tuple(sorted(set(trial.agents)))
    if trial.game.agents.fixed:
        numbers = (None,)
    found: list[Gain] = []
    jobs = [(n, pair) for n in numbers for pair in pairs]
    for k, (number, pair) in enumerate(jobs):
        share = max(left(until), 0.0) / (len(jobs) - k)
        games = _affordable(trial, pair, number, share)
        if games:
            found.append(_gain(trial, pair, number, games))
    return found


def _affordable(trial: Trial, pair: Pair, number: int | None, seconds: float) -> int:
    """The number of games that fit, 0 when that is too few; the second of two short runs is timed.

    The first one makes tables that are kept.
    """
    games = min(LEAST_GAMES, trial.games or LEAST_GAMES)
    simulator = _simulator(trial, number, games)
    steps = stages_of(trial.game)
    tried = min(2, steps)
    for _ in range(2):
        began = time.perf_counter()
        _returns(simulator, pair.leaves, pair.field, tried)
    each = (time.perf_counter() - began) / tried / games
    fits = int(seconds / (2 * each * steps))
    agents = max(simulator.agents.values())
    most = min(MOST_GAMES, max(games, MOST_AGENTS // agents))
    return 0 if fits < games else min(fits, trial.games or most)


def _gain(trial: Trial, pair: Pair, number: int | None, games: int) -> Gain:
    simulator = _simulator(trial, number, games)
    steps = stages_of(trial.game)
    stays, start = _returns(simulator, pair.stays, pair.field, steps)
    leaves, _ = _returns(simulator, pair.leaves, pair.field, steps)
    gain = leaves - stays
    name = simulator.program.names[pair.field]
    mean, error = _summed(gain)
    types = _by_type(trial.game, name, start, gain)
    return Gain(name, simulator.agents[name], games, mean, error, types)


def _simulator(trial: Trial, number: int | None, games: int) -> Simulator:
    return trial.game.simulator(agents=number, batch=games, seed=trial.seed)


def deviating(base: Behaviour, other: Behaviour, field: str) -> Behaviour:
    """Everybody follows `base`, agent 0 of a population `other`."""

    def behave(scene: Scene) -> Any:
        usual, instead = base(scene), other(scene)
        part, new = getattr(usual, field), getattr(instead, field)
        values = [torch.cat([b[:, :1], a[:, 1:]], 1) for a, b in zip(part, new, strict=True)]
        return usual._replace(**{field: type(part)(*values)})

    return behave


def stages_of(game: Game) -> int:
    """The stages of a game, without end to where discounting leaves 0.01 %."""
    return steps_of(game.agents, None)


def _returns(
    simulator: Simulator, behaviour: Behaviour, field: str, steps: int
) -> tuple[Tensor, Any]:
    """The discounted return [B] of agent 0 of a population, and the states at t = 0."""
    program = simulator.program
    state = start = simulator.reset()
    total, weight = torch.zeros(simulator.batch, dtype=torch.float64), 1.0
    for t in range(steps):
        action = behaviour(simulator.scene(t, state))
        state, rewards = simulator.step(t, state, action)
        paid = getattr(rewards, field, None)
        if paid is not None:
            total = total + weight * paid[:, 0]
        weight *= program.discount
    if program.module.HAS_FINAL and steps == program.horizon:
        ended = program.module.final_rewards(simulator.params, simulator.time(steps), state)
        if hasattr(ended, field):
            total = total + weight * getattr(ended, field)[:, 0]
    return total, getattr(start, field, None)


def _summed(values: Tensor) -> tuple[float, float]:
    error = values.std().item() / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return values.mean().item(), error


def _by_type(game: Game, name: str, start: Any, gain: Tensor) -> dict[str, tuple[float, float]]:
    """Gains by the values of the finite traits of agent 0."""
    player = game.model.player(name)
    places = [
        (trait.name, len(player.states) + k)
        for k, trait in enumerate(player.traits)
        if game.model.types[trait.type].finite and not game.model.types[trait.type].dims
    ]
    if not places or start is None:
        return {}
    columns = [start[place][:, 0].long().tolist() for _, place in places]
    labels = [
        ", ".join(f"{key} = {v}" for (key, _), v in zip(places, row, strict=True))
        for row in zip(*columns, strict=True)
    ]
    found = {}
    for label in sorted(set(labels)):
        mine = torch.tensor([other == label for other in labels])
        found[label] = _summed(gain[mine])
    return found


def judged(gains: Sequence[Gain], limits: dict[str, float], *, exact: bool) -> Row:
    """The verdict on gains whose limits are the exploitabilities of the populations."""
    entries = [gain.to_json() for gain in gains]
    worst = max(gains, key=lambda g: g.mean)
    figures = {"gains": entries, "limits": dict(limits), "exact": exact}
    text = f"at most {worst.mean:.4g} ± {worst.std_error:.2g} ({worst.agents:,} {worst.population})"
    types = [(m, s, k) for g in gains for k, (m, s) in g.types.items()]
    if types:
        mean, error, label = max(types)
        text += f", of the worst type {mean:.4g} ± {error:.2g} ({label})"
    fault, compared = "", False
    for name, limit in limits.items():
        mine = sorted((g for g in gains if g.population == name), key=lambda g: g.agents)
        if len(mine) < 2:
            continue
        compared = True
        apart = [abs(g.mean - limit) for g in mine]
        allowed = max(a + SIGMAS * g.std_error for a, g in zip(apart[:-1], mine[:-1], strict=True))
        if apart[-1] > allowed + SIGMAS * mine[-1].std_error + AGREE["float64"]:
            fault = (
                f"{name}: {mine[-1].mean:.4g} among {mine[-1].agents:,}, {limit:.4g} in the limit"
            )
    if fault:
        return Row(NAME, "failed", f"the gain moves away from its limit: {fault}", figures)
    shown = ", ".join(f"{limit:.4g} for {name}" for name, limit in limits.items())
    if not compared:
        detail = f"{text}; one number of agents only, the limit is {shown}"
        return Row(NAME, "not applicable", detail, figures)
    return Row(NAME, "passed", f"{text}; the limit is {shown}", figures)
