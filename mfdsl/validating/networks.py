"""The networks of a run: agents in another order, actions in bounds, returns by number of agents.

A policy and a simulator treat agents alike together when the laws of actions move with the agents,
pi(P s) = P pi(s), and so does the step with what they did, step(P s, P a, P z) = P step(s, a, z).
Both are compared along games that the networks play. Networks compute in float32, whose sums in
another order round by some 1e-6.
"""

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from mfdsl.errors import UsageError
from mfdsl.learning import Training
from mfdsl.records import explained, open_run
from mfdsl.runtime.behaviours import Scene
from mfdsl.runtime.learning.base import engine_of
from mfdsl.runtime.learning.crew import Crew
from mfdsl.runtime.learning.engine import Engine, measured
from mfdsl.runtime.learning.local_actor import LocalActor
from mfdsl.runtime.learning.planner import PLANNER, Planner
from mfdsl.runtime.learning.table import LearnerConfig
from mfdsl.runtime.simulator import Return, SimulationError, Simulator
from mfdsl.validating.outcome import Row, Trial, left
from mfdsl.validating.shrinking import persists
from mfdsl.validating.situations import (
    Key,
    Situation,
    broken,
    picked,
    reordered,
    taken,
)
from mfdsl.validating.stages import horizon_of, outside

POLICY, SAVED, RETURNS = "policy", "saved return", "returns"
AGENTS, GAMES, STEPS = 8, 8, 20
AGREE = 1e-4  # of the largest value of a law: networks round at some 1e-6
MOST_GAMES, FEWEST_GAMES = 64, 4
SIGMAS = 3.0


@dataclass(frozen=True, eq=False)
class Played:
    """One stage that networks play: what is seen, what everybody does, the draws of the game."""

    scene: Scene
    action: Any
    noise: Any


def agents_known(policy: nn.Module) -> bool:
    """Whether networks know their agents one by one, so that they play no other number."""
    return isinstance(policy, Crew) and bool(policy.known)


def policy_row(trial: Trial, until: float) -> Row:
    """Whether networks and simulator treat the agents of each population alike, together."""
    assert trial.training is not None
    policy, program = trial.training.learner.policy, trial.game.agents
    if not isinstance(policy, Crew | Planner | LocalActor):
        solver = trial.training.settings.solver
        return Row(POLICY, "not applicable", f"networks of {solver} give no laws agent by agent")
    if isinstance(policy, Crew) and any(policy.known.values()):
        return Row(POLICY, "not applicable", "networks that know who an agent is tell agents apart")
    numbers = {program.names[f]: program.module.AGENTS[f] for f in program.fixed}
    wanted = {p.name: numbers.get(p.name, AGENTS) for p in trial.game.model.populations}
    simulator = trial.game.simulator(agents=wanted, batch=GAMES, seed=trial.seed)
    fields = [p.name for p in trial.game.model.populations if not p.weights]
    fields = [f for f in program.populations if program.names[f] in fields]
    generator = torch.Generator().manual_seed(trial.seed)
    worst, count, last = 0.0, 0, 0
    for stage in _stages(trial, simulator):
        fault, number = _unbounded(simulator, stage.action)
        if fault:
            return Row(POLICY, "failed", f"{fault} at t = {stage.scene.t}", {"t": stage.scene.t})
        count += number
        for field in fields:
            agents = simulator.agents[program.names[field]]
            order = torch.rand(GAMES, agents, generator=generator).argsort(1)
            gap, where = _moved(policy, stage.scene, field, order)
            worst = max(worst, gap)
            fault = where if gap > AGREE else _broken_step(simulator, stage, field, order)
            if fault:
                detail = f"{program.names[field]} in another order at t = {stage.scene.t}: {fault}"
                return Row(POLICY, "failed", detail, {"t": stage.scene.t, "difference": gap})
        last = stage.scene.t + 1
        if left(until) <= 0:
            break
    figures = {"steps": last, "games": GAMES, "actions": count, "difference": worst}
    detail = f"laws of actions move with their agents to {worst:.1g} and so do {last} steps;"
    return Row(POLICY, "passed", f"{detail} {count:,} actions are in their domains", figures)


def _stages(trial: Trial, simulator: Simulator) -> Iterator[Played]:
    """The first stages under the policy of the trial."""
    state = simulator.reset()
    for t in range(horizon_of(simulator, STEPS)):
        scene = simulator.scene(t, state)
        action, noise = trial.behaviour(scene), simulator.noise(t)
        yield Played(scene, action, noise)
        step = simulator.program.module.step
        state = simulator.whole(step(simulator.params, scene.time, state, action, noise)[0])


def laws_of(policy: Crew | Planner | LocalActor, scene: Scene) -> dict[Key, Tensor]:
    """Means, deviations and chances of what everybody does in a scene, by player and name.

    Those of populations are [B, N, k], of single players and of the upper action [B, k].
    """
    if isinstance(policy, Crew):
        found: dict[Key, Tensor] = {}
        for field, law in policy.drawn_from(scene, policy.views(scene)).items():
            if law.mean is not None:
                found[field, "mean"] = law.mean
            if law.logits is not None:
                found[field, "chances"] = torch.softmax(law.logits, -1)
        return found
    if isinstance(policy, LocalActor):
        return {(policy.sight.field, "chances"): policy.chances(scene)}
    upper = policy.upper(policy.views(scene)[PLANNER], policy.mask(scene))
    assert upper.mean is not None
    found, start = {(PLANNER, "mean"): upper.mean}, 0
    if upper.logits is not None:
        found[PLANNER, "chances"] = torch.softmax(upper.logits, -1)
    for rule in policy.rules:
        entries = policy.entries(upper.mean[..., start : start + rule.size])
        mean, spread, chances = rule.laws(entries, scene.state)
        named = {"mean": mean, "deviation": spread, "chances": chances.exp()}
        found |= {(rule.sight.field, name): value for name, value in named.items()}
        start += rule.size
    return found


def _moved(
    policy: Crew | Planner | LocalActor, scene: Scene, field: str, order: Tensor
) -> tuple[float, str]:
    """How far laws are from moving with the agents of a population, and which of them is."""
    before = laws_of(policy, scene)
    situation = reordered(Situation(scene.t, {"state": scene.state}), field, order)
    after = laws_of(policy, replace(scene, state=situation.groups["state"]))
    worst, where = 0.0, ""
    for key, value in before.items():
        if not value.numel():
            continue
        expected = taken(value, order) if key[0] == field else value
        apart = (expected - after[key]).abs().max().item() / max(1.0, value.abs().max().item())
        if not apart <= worst:
            worst, where = apart, f"the {key[1]} of actions of {key[0]} is off by {apart:.3g}"
    return (worst if worst == worst else math.inf), where


def _broken_step(simulator: Simulator, stage: Played, field: str, order: Tensor) -> str:
    """What the simulator does otherwise than reordered with these actions, or ""."""
    groups = {"state": stage.scene.state, "action": stage.action, "noise": stage.noise}
    situation = Situation(stage.scene.t, groups)
    program, params = simulator.program, simulator.params
    for (player, name), games in broken(program, params, situation, field, order).items():
        for game in games.nonzero()[:, 0].tolist():
            line = order[game : game + 1]
            if persists(program, params, picked(situation, game), field, line):
                return f"{name} of {player} is not reordered"
    return ""


def _unbounded(simulator: Simulator, action: Any) -> tuple[str, int]:
    """An action outside of its domain, or "", and how many entries were looked at."""
    program, count = simulator.program, 0
    assert program.model is not None
    for field, part in action._asdict().items():
        player = program.model.player(program.names[field])
        for variable, value in zip(player.actions, part, strict=True):
            count += value.numel()
            if outside(program.model.types[variable.type], value).any():
                return f"action {variable.name} of {player.name} leaves its domain", count
    return "", count


def saved_row(trial: Trial, until: float) -> Row:
    """The return of the saved networks in the games of the measurement, beside the summary's."""
    assert trial.training is not None and trial.run is not None
    training = trial.training
    with explained():
        value = open_run(trial.run).summary.get("value", {})
    saved, error = value.get("mean"), value.get("std_error")
    if not isinstance(saved, int | float) or not isinstance(error, int | float):
        return Row(SAVED, "not applicable", "the run has no measured return in its summary")
    config, lesson = training.learner.config, training.course.lesson
    agents = config.evaluate_agents or config.agents
    engine = engine_of(lesson, config.evaluate_games, agents, config.steps)
    needed = _seconds(replace(engine, steps=1), training) * engine.steps
    if needed > left(until):
        detail = f"measuring again takes about {math.ceil(needed)} s: give more --seconds"
        return Row(SAVED, "not applicable", detail)
    behaviour = training.learner.behaviour(mode=True)
    values = measured(engine, lambda scene, number: behaviour(scene))
    again, spread = values.mean().item(), values.std().item() / math.sqrt(len(values))
    figures = {"saved": saved, "again": again, "std_error": spread, "games": len(values)}
    allowed = SIGMAS * math.hypot(error, spread) + AGREE * (1 + abs(saved))
    text = f"the saved networks return {again:.6g} ± {spread:.2g}, the summary says {saved:.6g}"
    return Row(SAVED, "passed" if abs(again - saved) <= allowed else "failed", text, figures)


def _seconds(engine: Engine, training: Training) -> float:
    """The time of some turns; the first ones make what is kept."""
    behaviour = training.learner.behaviour(mode=True)
    for _ in range(2):
        began = time.perf_counter()
        measured(engine, lambda scene, number: behaviour(scene))
    return time.perf_counter() - began


def returns_row(trial: Trial, until: float) -> Row:
    """Team returns for each number of agents, with standard errors over games."""
    numbers: tuple[int | None, ...] = tuple(sorted(set(trial.agents)))
    if trial.game.agents.fixed:
        numbers = (None,)
    found: list[dict[str, Any]] = []
    skipped: list[int] = []
    for k, number in enumerate(numbers):
        share = max(left(until), 0.0) / (len(numbers) - k)
        try:
            value = _return(trial, number, share)
        except (SimulationError, UsageError):
            value = None  # too large for this machine
        if value is None:
            skipped += [] if number is None else [number]
        else:
            found.append(value)
    if not found:
        return Row(RETURNS, "not applicable", "the time is too short: give more --seconds")
    shown = ", ".join(f"{v['mean']:.5g} ± {v['std_error']:.2g} ({v['agents']:,})" for v in found)
    wrong = [v["agents"] for v in found if not math.isfinite(v["mean"])]
    left_out = f"; too long or large: {', '.join(f'{n:,}' for n in skipped)}" if skipped else ""
    figures = {"returns": found, "skipped": skipped}
    whose = "the team" if trial.game.model.objective == "team" else "all"
    detail = f"of {whose}, agents in brackets: {shown}{left_out}"
    return Row(RETURNS, "failed" if wrong else "passed", detail, figures)


def _return(trial: Trial, number: int | None, seconds: float) -> dict[str, Any] | None:
    """The return with so many agents, None where the time is too short for it."""
    assert trial.training is not None
    config: LearnerConfig = trial.training.learner.config
    steps = config.steps or trial.game.agents.horizon or 1
    least = min(FEWEST_GAMES, trial.games or FEWEST_GAMES)
    simulator = trial.game.simulator(agents=number, batch=least, seed=trial.seed)
    for _ in range(2):  # the first one makes what is kept
        began = time.perf_counter()
        simulator.rollout(trial.behaviour, steps=1)
    each = (time.perf_counter() - began) * steps / least
    games = min(trial.games or MOST_GAMES, int(seconds / each))
    if games < least:
        return None
    simulator = trial.game.simulator(agents=number, batch=games, seed=trial.seed)
    rollout = simulator.rollout(trial.behaviour, steps=steps)
    paid: Return = (
        rollout.team if rollout.team is not None else next(iter(rollout.returns.values()))
    )
    agents: Mapping[str, int] = simulator.agents
    size = max(agents.values(), default=0)
    return {"agents": size, "games": games, "mean": paid.mean, "std_error": paid.std_error}
