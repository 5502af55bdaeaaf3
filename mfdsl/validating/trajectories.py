"""States inside their domains, traits that stay, and laws that keep their mass, step by step."""

from typing import Any

import torch

from mfdsl.compiler.ir.model import Player, StateVariable
from mfdsl.runtime.simulator import Simulator
from mfdsl.validating.outcome import Row, Trial, left
from mfdsl.validating.stages import Stage, horizon_of, outside, stages

NAME = "trajectories"
MASS = "mass"
AGENTS = 200
GAMES = 8
STEPS = 200
MASS_STEPS = 50
MOST_ENTRIES = 1 << 22
AGREE = 1e-12


def trajectory_row(trial: Trial, until: float) -> Row:
    """States, traits and rewards of simulated games under the policy."""
    program = trial.game.agents
    fixed = {program.names[f]: program.module.AGENTS[f] for f in program.fixed}
    wanted = {p.name: fixed.get(p.name, AGENTS) for p in trial.game.model.populations}
    simulator = trial.game.simulator(agents=wanted, batch=trial.games or GAMES, seed=trial.seed)
    count, last = 0, horizon_of(simulator, STEPS)
    for stage in stages(simulator, trial.behaviour, last):
        fault, number = _fault(simulator, stage)
        count += number
        if fault:
            return Row(NAME, "failed", fault, {"t": stage.t})
        if left(until) <= 0:
            last = stage.t + 1
            break
    figures = {"values": count, "steps": last, "games": simulator.batch}
    detail = f"{count:,} values of {last} steps are in their domains, rewards finite, traits kept"
    return Row(NAME, "passed", detail, figures)


def _fault(simulator: Simulator, stage: Stage) -> tuple[str, int]:
    """What is wrong with the states of a stage, or "", and how many values were looked at."""
    program = simulator.program
    assert program.model is not None
    count = 0
    for player in program.model.players:
        field = next(f for f, name in program.names.items() if name == player.name)
        variables: tuple[StateVariable, ...] = (*player.states, *player.traits)
        if not variables:
            continue
        groups = [
            getattr(g, field)
            for g in ((stage.state, stage.after) if stage.t == 0 else (stage.after,))
        ]
        for k, variable in enumerate(variables):
            for late, group in enumerate(groups, 2 - len(groups)):
                count += group[k].numel()
                fault = _outside(program.model.types[variable.type], group[k])
                if fault:
                    return (
                        f"{variable.name} of {player.name} is {fault} at t = {stage.t + late}",
                        count,
                    )
            if _changed(player, variable, stage, field, k):
                return f"trait {variable.name} of {player.name} changes at t = {stage.t}", count
    for field, value in stage.rewards._asdict().items():
        count += value.numel()
        if not value.isfinite().all():
            return f"the reward of {program.names[field]} is not finite at t = {stage.t}", count
    return "", count


def _changed(player: Player, variable: StateVariable, stage: Stage, field: str, k: int) -> bool:
    if variable not in player.traits:
        return False
    before, after = getattr(stage.state, field)[k], getattr(stage.after, field)[k]
    return not torch.equal(before.expand_as(after), after)


def _outside(kind: Any, value: torch.Tensor) -> str:
    wrong = outside(kind, value)
    if not wrong.any():
        return ""
    place = tuple(wrong.nonzero()[0].tolist())
    return f"{value[place].tolist()} outside of its domain"


def mass_row(trial: Trial, until: float) -> Row:
    """Kernels with rows of mass 1 and laws of mass 1, over the flow of everybody at random."""
    if not trial.game.model.tabular:
        return Row(MASS, "not applicable", "laws of agents are counts: only tables can lose mass")
    program = trial.game.program
    if program.state_count * program.action_count * program.noise_count > MOST_ENTRIES:
        return Row(MASS, "not applicable", "its tables are too large to go over at every stage")
    params, module = program.params(), program.module
    law, worst, lowest = module.initial_law(params).reshape(1, -1), 0.0, 0.0
    last = min(program.horizon or MASS_STEPS, MASS_STEPS)
    for t in range(last):
        now = torch.tensor(t)
        legal = module.legal(params, now).reshape(-1, program.state_count, program.action_count)
        policy = legal.to(law) / legal.sum(-1, keepdim=True)
        joint = (law[..., None] * policy).reshape(
            1, *program.states.values(), *program.actions.values()
        )
        weights = module.weights(params, now, module.field(params, now, joint))
        after = module.push(params, now, joint).reshape(1, -1)
        rows = (weights.sum(-1) - 1).abs().max()
        worst = max(worst, float(rows), abs(float(after.sum()) - 1))
        lowest = min(lowest, float(weights.min()), float(after.min()))
        if worst > AGREE * program.noise_count * 10 or lowest < -AGREE:
            detail = f"at t = {t} a mass of 1 is off by {worst:.3g}, the least mass is {lowest:.3g}"
            return Row(MASS, "failed", detail, {"t": t, "error": worst, "least": lowest})
        law = after
        if left(until) <= 0:
            last = t + 1
            break
    detail = f"rows of the kernel and laws of {last} steps have mass 1 to {worst:.1g}"
    return Row(MASS, "passed", detail, {"steps": last, "error": worst, "least": lowest})
