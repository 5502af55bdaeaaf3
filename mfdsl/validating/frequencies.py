"""Exact tables against agents: how often agents move where, and what they are paid.

The two come from different emitters. Random laws are those of many agents who stand at a
few random places and act at random; the tables at their empirical law say how often each of them
should move where, and what each of them gets. The false-alarm probability of all frequencies
together is FALSE_ALARM.
"""

import math
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mfdsl.compiler.ir.model import Model
from mfdsl.compiler.ir.walk import reachable
from mfdsl.runtime.agents import AgentProgram
from mfdsl.runtime.policy import TRUTH, Axis
from mfdsl.runtime.program import Program
from mfdsl.validating.deviation import divergences, log_chance
from mfdsl.validating.outcome import Row, Trial, left

NAME = "kernel"
FEWEST, MOST = 5_000, 50_000  # agents of a trial
PLACES = 24  # pairs of state and action that the agents of a trial share
FALSE_ALARM = 1e-6
TRIALS = 64
MOST_ENTRIES = 1 << 24
AGREE = 1e-9


@dataclass(frozen=True, eq=False)
class Crowd:
    """Agents [1, N] at random legal places at time t, flat; `law` is their joint law [1, S, A]."""

    t: Tensor
    states: Tensor
    actions: Tensor
    law: Tensor


@dataclass
class Tally:
    """What was compared so far: `tests` rows of frequencies, agents, and the largest differences.

    `worst` is the least likely row with its description, `pooled` the sum over all rows.
    """

    agents: int = 0
    tests: int = 0
    pooled: float = 0.0
    freedom: int = 0
    worst: float = 0.0
    where: str = ""
    rewards: float = 0.0
    reward_where: str = ""


def kernel_row(trial: Trial, until: float) -> Row:
    """The check of a tabular game; others are not applicable, with the reason."""
    reason = _refusal(trial.game.model, trial)
    if reason:
        return Row(NAME, "not applicable", reason)
    program, agents = trial.game.program, trial.game.agents
    generator = torch.Generator().manual_seed(trial.seed)
    params = program.params(), agents.params()
    tally = Tally()
    _initial(program, agents, params, generator, tally)
    exact = not _noisy_rewards(trial.game.model)
    size, began = FEWEST, time.perf_counter()
    for number in range(TRIALS):
        if number and left(until) <= 0:
            break
        if number == 1:
            spent = max(time.perf_counter() - began, 1e-6)
            size = max(FEWEST, min(MOST, int(FEWEST * left(until) / (TRIALS * spent))))
        crowd = _crowd(program, params[0], size, generator)
        _moves(program, agents, params, crowd, generator, tally, exact)
        if number == 0:
            _final(program, agents, params, crowd, tally)
    return _judged(tally, exact)


def _refusal(model: Model, trial: Trial) -> str:
    if not model.tabular:
        return "the game is not one population with finite variables: see `interpreter`"
    if any(node.op.startswith("mean_others") for node in model.nodes):
        return "means over others differ from those of the tables with finitely many agents"
    program = trial.game.program
    entries = program.state_count * program.action_count * program.state_count
    if entries > MOST_ENTRIES:
        return f"its kernel has {entries:,} entries, at most {MOST_ENTRIES:,} are compared"
    return ""


def _noisy_rewards(model: Model) -> bool:
    roots = [term.node for term in model.population.rewards]
    return any(model.nodes[i].op == "noise" for i in reachable(model.nodes, roots))


def _crowd(program: Program, params: Any, size: int, generator: torch.Generator) -> Crowd:
    """Agents at random places, some of them crowded."""
    last = program.horizon if program.kind == "finite" and program.horizon else 8
    t = torch.randint(last, (), generator=generator)
    legal = program.module.legal(params, t).reshape(-1, program.state_count, program.action_count)
    places = legal[0].reshape(-1).nonzero()[:, 0]
    chosen = places[torch.randint(len(places), (PLACES,), generator=generator)]
    weights = torch.rand(PLACES, generator=generator, dtype=torch.float64) ** 3 + 0.01
    drawn = chosen[torch.multinomial(weights, size, True, generator=generator)]
    counts = torch.zeros(legal[0].numel(), dtype=torch.float64)
    counts.scatter_add_(0, drawn, torch.ones(size, dtype=torch.float64))
    law = counts.reshape(1, program.state_count, program.action_count) / size
    return Crowd(t, drawn // program.action_count, drawn % program.action_count, law)


def _moves(
    program: Program,
    agents: AgentProgram,
    params: tuple[Any, Any],
    crowd: Crowd,
    generator: torch.Generator,
    tally: Tally,
    exact: bool,
) -> None:
    """One step of a crowd against the kernel and the rewards at its law."""
    tables, module = program.module, agents.module
    joint = crowd.law.reshape(1, *program.states.values(), *program.actions.values())
    kernel = tables.kernel(params[0], crowd.t, joint)
    kernel = kernel.reshape(-1, program.state_count, program.action_count, program.state_count)[0]
    rewards = tables.rewards(params[0], crowd.t, joint)
    rewards = rewards.reshape(-1, program.state_count, program.action_count)[0]
    (field,) = agents.populations
    state = _tuple(module.State, field, crowd.states, program.state_axes())
    action = _tuple(module.Action, field, crowd.actions, program.action_axes())
    size = len(crowd.states)
    noise = module.draw_noise(1, {field: size}, generator, torch.float64)
    after, paid = module.step(params[1], crowd.t, state, action, noise)
    arrived = flat_of(getattr(after, field), program.state_axes(), size)[0]
    pair = crowd.states * program.action_count + crowd.actions
    kinds = torch.arange(program.state_count * program.action_count)
    kinds = kinds[torch.bincount(pair, minlength=len(kinds)) > 0]
    row = torch.searchsorted(kinds, pair)
    counts = torch.zeros(len(kinds), program.state_count, dtype=torch.float64)
    counts.index_put_((row, arrived), torch.ones((), dtype=torch.float64), accumulate=True)
    _tallied(tally, counts, kernel.reshape(-1, program.state_count)[kinds], int(crowd.t), kinds)
    tally.agents += size
    if exact and hasattr(paid, field):
        wanted = rewards[crowd.states, crowd.actions]
        _paid(tally, getattr(paid, field), wanted, f"t = {int(crowd.t)}")


def _tallied(tally: Tally, counts: Tensor, law: Tensor, t: int, kinds: Tensor | None) -> None:
    found, freedom = divergences(counts, law)
    tally.tests += len(counts)
    tally.pooled += float(found.sum())
    tally.freedom += int(freedom.sum())
    for k, (divergence, free) in enumerate(zip(found.tolist(), freedom.tolist(), strict=True)):
        chance = log_chance(divergence, free)
        if chance < tally.worst:
            tally.worst = chance
            who = "the initial law" if kinds is None else f"state-action {int(kinds[k])}, t = {t}"
            place = int((counts[k] / counts[k].sum() - law[k]).abs().argmax())
            share = float(counts[k, place] / counts[k].sum())
            tally.where = f"{who}: state {place} for {share:.4g}, not {float(law[k, place]):.4g}"


def _paid(tally: Tally, found: Tensor, wanted: Tensor, where: str) -> None:
    found = found.expand(1, len(wanted))[0]
    both = found.isfinite() & wanted.isfinite()
    gap = torch.where(both, (found - wanted).abs() / (1 + wanted.abs()), 0.0)
    gap = gap.masked_fill(found.isfinite() != wanted.isfinite(), math.inf)
    place = int(gap.argmax())
    if float(gap[place]) > tally.rewards:
        tally.rewards = float(gap[place])
        tally.reward_where = f"{where}: {float(found[place]):.9g}, not {float(wanted[place]):.9g}"


def _initial(
    program: Program,
    agents: AgentProgram,
    params: tuple[Any, Any],
    generator: torch.Generator,
    tally: Tally,
) -> None:
    """Agents at t = 0 against the initial law."""
    (field,) = agents.populations
    draws = agents.module.draw_initial(1, {field: MOST}, generator, torch.float64)
    start = agents.module.init(params[1], draws)
    places = flat_of(getattr(start, field), program.state_axes(), MOST)[0]
    counts = torch.bincount(places, minlength=program.state_count).to(torch.float64)
    law = program.module.initial_law(params[0]).reshape(-1, program.state_count)[:1]
    _tallied(tally, counts[None], law, 0, None)


def _final(
    program: Program, agents: AgentProgram, params: tuple[Any, Any], crowd: Crowd, tally: Tally
) -> None:
    """Final rewards of a crowd."""
    if not program.module.HAS_FINAL:
        return
    (field,) = agents.populations
    end = torch.tensor(program.horizon or 0)
    law = crowd.law.sum(-1).reshape(1, *program.states.values())
    table = program.module.final_rewards(params[0], end, law).reshape(-1, program.state_count)[0]
    state = _tuple(agents.module.State, field, crowd.states, program.state_axes())
    paid = agents.module.final_rewards(params[1], end, state)
    _paid(tally, getattr(paid, field), table[crowd.states], "final")


def _judged(tally: Tally, exact: bool) -> Row:
    """The row: every row of frequencies and their sum, each with half of the false alarms."""
    line = math.log(FALSE_ALARM / 2)
    pooled = log_chance(tally.pooled, tally.freedom)
    figures = {
        "agents": tally.agents,
        "rows": tally.tests,
        "log_chance_of_the_rarest_row": tally.worst,
        "log_chance_of_all_rows": pooled,
        "false_alarm": FALSE_ALARM,
        "reward_difference": tally.rewards if exact else None,
    }
    if tally.worst + math.log(max(tally.tests, 1)) < line:
        return Row(NAME, "failed", f"agents do not move as the kernel says: {tally.where}", figures)
    if pooled < line:
        detail = (
            "agents do not move as the kernel says, seen over all rows together;"
            f" the rarest: {tally.where}"
        )
        return Row(NAME, "failed", detail, figures)
    if tally.rewards > AGREE:
        detail = f"agents are not paid what the tables say, {tally.reward_where}"
        return Row(NAME, "failed", detail, figures)
    paid = f"rewards agree to {tally.rewards:.1g}" if exact else "rewards read noise: not compared"
    detail = (
        f"{tally.agents:,} agents move as {tally.tests:,} rows of the kernel say (false alarm"
        f" {FALSE_ALARM:g}), {paid}"
    )
    return Row(NAME, "passed", detail, figures)


def flat_of(group: Any, axes: tuple[Axis, ...], agents: int) -> Tensor:
    """Places of the states of agents among all joint states, [B, N]."""
    flat = torch.zeros(1, agents, dtype=torch.int64)
    for axis, value in zip(axes, group, strict=True):
        flat = flat * axis.size + (value.long() - axis.first)
    return flat


def _tuple(kind: Any, field: str, flat: Tensor, axes: tuple[Axis, ...]) -> Any:
    """States or actions of the one population from flat places [N]."""
    part = kind.__annotations__[field]
    values = []
    for axis in reversed(axes):
        value = (flat % axis.size + axis.first)[None]
        values.append(value.bool() if axis.labels == TRUTH else value)
        flat = flat // axis.size
    return kind(**{field: part(*reversed(values))})
