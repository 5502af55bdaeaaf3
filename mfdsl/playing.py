"""Simulations of agents: who plays how, what is measured, what is written down."""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy
import torch

from mfdsl.compiler.driver import ParameterValue
from mfdsl.compiler.tabular.grids import Bins
from mfdsl.compiler.tabular.reduce import reduced
from mfdsl.counting import By, countable
from mfdsl.errors import UsageError, unknown
from mfdsl.exact import exact_run
from mfdsl.files import write_bytes
from mfdsl.game import Device, Dtype, Game, loaded
from mfdsl.learning import trained_behaviour, training_elsewhere
from mfdsl.naming import value_text
from mfdsl.pathwise import path_run
from mfdsl.records import goes_along, open_run, read_options
from mfdsl.runtime.behaviours import Behaviour, still, uniform
from mfdsl.runtime.counted.cells import CountedProgram
from mfdsl.runtime.counted.chances import chances_of
from mfdsl.runtime.counted.simulate import CountedSimulator
from mfdsl.runtime.learning.planner import Execution, Planned
from mfdsl.runtime.learning.table import LEARNERS
from mfdsl.runtime.own_actions import ActionError
from mfdsl.runtime.own_policies import OwnPolicy, why_no_policy
from mfdsl.runtime.policy import Axis, TabularPolicy
from mfdsl.runtime.program import ProgramError
from mfdsl.runtime.simulator import Return, Rollout, SimulationError, agents_of
from mfdsl.runtime.solution import finite
from mfdsl.runtime.solvers.riccati.table import EXACT
from mfdsl.runtime.tabled import Tabled
from mfdsl.simulating import game_of_run, setting_of_run, training_of_run
from mfdsl.solving import find_device

BEHAVIOURS: dict[str, Behaviour] = {"still": still, "uniform": uniform}
TRACED_STEPS = 12
MEMBER = re.compile(r"(.+)\[([0-9]{1,18})\]")


@dataclass(frozen=True)
class Wanted:
    """What a simulation is asked for; `trace` names players and agents: `person[0]`, `market`.

    `by` says whether agents are moved one by one or counted; "auto" counts those who are many.
    """

    agents: int | Mapping[str, int] | None = None
    batch: int = 1
    steps: int | None = None
    seed: int = 0
    device: Device = "cpu"
    dtype: Dtype = "float64"
    compile: bool = False
    record: bool = False
    trace: Sequence[str] = field(default_factory=tuple)
    by: By = "auto"


def played_by(
    spec: Game | str | Path | None, policy: str | Path, values: Mapping[str, ParameterValue]
) -> tuple[Game, Behaviour, str]:
    """A game, who plays it, and how to call that: a behaviour by name, or a run by its folder.

    Networks are played at other `values` of parameters than they were trained at; tables are not.
    A game that is loaded has its values.

    Raises:
        CompileError: the spec has errors.
        UsageError: no game is given, the run is damaged, of another game, or one of a sweep, or
            its networks do not fit the game with these values.
    """
    if isinstance(policy, str):
        if spec is None:
            raise UsageError("which game?", "`mfdsl simulate specs/sis.mfg`, or `--policy RUN`")
        return loaded(spec, values), behaviour_named(policy), f"the {policy} policy"
    folder = open_run(policy)
    if read_options(folder).solver in LEARNERS:
        training = training_of_run(game_of_run(spec, folder), folder)
        if values:
            assert not isinstance(spec, Game)
            training = training_elsewhere(training, spec or folder.path / "spec.mfg", values)
        return training.game, trained_behaviour(training, folder), f"the policy of {policy}"
    if values:
        raise UsageError(
            "a run of tables or paths keeps its parameters",
            "leave out --set and --params, or solve again",
        )
    if read_options(folder).solver in EXACT:
        exact = exact_run(game_of_run(spec, folder), folder)
        return exact.game, exact.behaviour, f"the policy of {policy}"
    if goes_along(read_options(folder)):
        run = path_run(game_of_run(spec, folder), folder)
        return run.job.game, run.behaviour, f"the policy of {policy}"
    found = setting_of_run(spec, policy)
    if found.swept:
        raise UsageError(
            f"{policy} has a policy for each game of its batch",
            "solve the one to simulate alone: --set, --opt, --params or --seed",
        )
    return found.game, by_table(found.game, found.policy), f"the policy of {policy}"


def executed(behaviour: Behaviour, execution: Execution) -> Behaviour:
    """A planner whose upper action is drawn: once for all (centralised), or by everybody for
    oneself (decentralised), as in Cui et al. 2024 (arXiv:2303.10665). Without this its mean is
    played, which is the same for everybody.

    Raises:
        UsageError: nobody plans.
    """
    if not isinstance(behaviour, Planned):
        raise UsageError(
            f"{execution} execution is of rules that a planner hands out, and here nobody plans",
            "learn with `--solver m3f_ppo`",
        )
    return replace(behaviour, mode=False, execution=execution)


def by_table(game: Game, policy: TabularPolicy) -> Behaviour:
    """The behaviour of agents who follow a table; its axes say how fine its grids are.

    Raises:
        UsageError: the table is of another game, or tells apart what cannot be told apart in it.
    """
    grids = _grids_of(game, policy)
    game = game if _agree(game.bins, grids) else replace(game, bins=grids)
    small = game.reduced or reduced(game.model, game.bins)
    check_table(game, policy)
    try:
        return Tabled(policy, small, game.model)
    except ValueError as error:
        raise UsageError(str(error)) from None


def check_table(game: Game, policy: TabularPolicy) -> None:
    """Refuse a table over other variables than those of the tables of a game, or for other stages.

    A table of one stage serves at all of them.

    Raises:
        UsageError: names what differs.
    """
    own = (*game.program.state_axes(), *game.program.action_axes())
    given = (*policy.states, *policy.actions)
    if len(given) != len(own) or not all(map(_same_axis, given, own)):
        raise UsageError(f"the policy is of another game than `{game.name}`, or of other grids")
    steps = game.model.horizon.steps
    if steps is not None and policy.stages not in (1, steps):
        raise UsageError(
            f"the policy has {policy.stages:,} stages, and `{game.name}` has {steps:,} here",
            "play it at the parameters that it was solved at",
        )


def _same_axis(given: Axis, own: Axis) -> bool:
    """Older runs have numbers where there are names of links, nodes and moves now."""
    named = given.labels == own.labels or not given.labels
    return (given.name, given.size) == (own.name, own.size) and named


def _agree(bins: Bins, grids: Bins) -> bool:
    """Whether `bins` make these grids, which are named one by one."""
    return (
        all(bins.of(name) == count for name, count in grids.named.items())
        and all(bins.low.get(name) == end for name, end in grids.low.items())
        and all(bins.high.get(name) == end for name, end in grids.high.items())
    )


def _grids_of(game: Game, policy: TabularPolicy) -> Bins:
    """The grids on which a table stands, read off its axes."""
    axes = {axis.name: axis for axis in (*policy.states, *policy.actions) if axis.step is not None}
    named, low, high = {}, {}, {}
    for player in game.model.players:
        for variable in (*player.states, *player.traits, *player.actions):
            kind = game.model.types[variable.type]
            axis = axes.get(f"{variable.name}_0" if kind.dims else variable.name)
            if kind.finite or axis is None or axis.step is None:
                continue
            named[variable.name] = axis.size
            if kind.lo is None or kind.hi is None:
                low[variable.name] = axis.low
                high[variable.name] = axis.low + (axis.size - 1) * axis.step
    return Bins(None, named, low, high)


def behaviour_named(policy: str | Callable[..., Any]) -> Behaviour:
    """`still`, `uniform`, or a function `f(t, observation) -> actions`.

    Raises:
        UsageError: there is no behaviour of that name, or no such function.
    """
    if not isinstance(policy, str):
        if (reason := why_no_policy(policy)) is not None:
            raise UsageError(reason, "a function of your own is in docs/python.md")
        return OwnPolicy(policy)
    if policy not in BEHAVIOURS:
        raise unknown("policy", policy, BEHAVIOURS)
    return BEHAVIOURS[policy]


def play(game: Game, behaviour: Behaviour, wanted: Wanted) -> Rollout:
    """Let everybody play from t = 0.

    What a function of somebody's own raises is raised as it is.

    Raises:
        UsageError: a size, a name or an action does not fit the game.
    """
    traced = [_traced(game, name) for name in wanted.trace]
    if wanted.compile and wanted.by == "counts":
        raise UsageError("counts have no step to compile", "leave out --compile")
    device: Device = "cuda" if find_device(wanted.device).type == "cuda" else "cpu"
    try:
        numbers = agents_of(game.agents, wanted.agents)
        for name, agent in traced:
            _check_agent(name, agent, numbers)
        by: By = "agents" if wanted.compile else wanted.by
        program = countable(game, behaviour, list(numbers.values()), by)
        if program is not None:
            return _counted(program, behaviour, replace(wanted, device=device), traced)
        simulator = game.simulator(
            agents=wanted.agents,
            batch=wanted.batch,
            seed=wanted.seed,
            device=device,
            dtype=wanted.dtype,
            compile=wanted.compile,
        )
        rollout = simulator.rollout(
            behaviour, steps=wanted.steps, terms=True, record=wanted.record or bool(traced)
        )
    except (SimulationError, ProgramError, ActionError) as error:
        raise UsageError(str(error)) from None
    except ValueError as error:
        if isinstance(behaviour, OwnPolicy):
            raise
        raise UsageError(str(error)) from None
    except (torch.OutOfMemoryError, MemoryError):
        raise UsageError("not enough memory", "simulate fewer agents or games at once") from None
    return rollout


def _counted(
    program: CountedProgram,
    behaviour: Behaviour,
    wanted: Wanted,
    traced: Sequence[tuple[str, int | None]],
) -> Rollout:
    """The same by counts; agents who are traced are followed beside them."""
    params = program.agents.params(dtype=getattr(torch, wanted.dtype), device=wanted.device)
    simulator = CountedSimulator(
        program, params, agents=wanted.agents, batch=wanted.batch, seed=wanted.seed
    )
    chances = chances_of(behaviour, program.model)
    assert chances is not None
    return simulator.rollout(
        chances,
        steps=wanted.steps,
        terms=True,
        record=wanted.record or bool(traced),
        follow=[(name, agent) for name, agent in traced if agent is not None],
    )


def _check_agent(player: str, agent: int | None, agents: Mapping[str, int]) -> None:
    if agent is not None and agent >= agents[player]:
        raise UsageError(
            f"there is no agent {agent} of `{player}`",
            f"there are {agents[player]:,}, counted from 0",
        )


def _traced(game: Game, name: str) -> tuple[str, int | None]:
    """The player and the place of the agent that a name like `person[3]` means."""
    players = {player.name: player for player in game.model.players}
    if name in players and players[name].kind != "population":
        return name, None
    if name in players:
        return name, 0
    found = MEMBER.fullmatch(name)
    if found and found[1] in players and players[found[1]].kind == "population":
        return found[1], int(found[2])
    known = [n if p.kind != "population" else f"{n}[0]" for n, p in players.items()]
    raise unknown("player", name, known)


def trace_rows(
    game: Game, rollout: Rollout, names: Sequence[str]
) -> tuple[list[str], list[list[str]]]:
    """The header and the rows of a table of named values over the first steps of game 0."""
    header, columns = ["t"], []
    shown = min(rollout.steps, TRACED_STEPS)
    for name in names:
        player_name, agent = _traced(game, name)
        player = game.model.player(player_name)
        variables = [*player.states, *player.traits, *player.actions]
        for variable in variables:
            kind = game.model.types[variable.type]
            values = _values(rollout, player_name, agent, variable.name)[:shown]
            header.append(f"{name}.{variable.name}")
            columns.append([value_text(game.model, kind, v.tolist()) for v in values])
        if f"{player_name}.reward" in rollout.record:
            values = _values(rollout, player_name, agent, "reward")[:shown]
            header.append(f"{name}.reward")
            columns.append([f"{v.item() + 0.0:.4g}" for v in values])  # a cost of 0 is no -0
    rows = [[str(t), *(column[t] for column in columns)] for t in range(shown)]
    return header, rows


def _values(rollout: Rollout, player: str, agent: int | None, name: str) -> torch.Tensor:
    """The values of one agent, or of a player that is alone, in game 0."""
    followed = rollout.record.get(f"{player}[{agent}].{name}")
    if followed is not None:
        return followed[:, 0]
    values = rollout.record[f"{player}.{name}"][:, 0]
    return values if agent is None else values[:, agent]


def play_json(game: Game, rollout: Rollout, run: Path | None = None) -> dict[str, Any]:
    """The JSON contract of `mfdsl simulate`."""
    agents: int | dict[str, int] = dict(rollout.agents)
    if len(rollout.agents) == 1:
        (agents,) = rollout.agents.values()
    returns = {name: _return_json(found) for name, found in rollout.returns.items()}
    if rollout.team is not None and len(returns) > 1:
        returns["team"] = _return_json(rollout.team)
    return {
        "spec": game.compilation.name,
        "agents": agents,
        "batch": rollout.batch,
        "steps": rollout.steps,
        "returns": returns,
        "by": rollout.by,
        "agent_steps_per_second": rollout.agent_steps_per_second,
        "run": None if run is None else str(run),
    }


def _return_json(found: Return) -> dict[str, float | None]:
    return {"mean": finite(found.mean), "std_error": finite(found.std_error)}


def write_record(rollout: Rollout, target: Path) -> None:
    """Write all recorded arrays, [T + 1, B, N, ...] for states, as one npz file; numbers of agents
    who were counted, [T + 1, B, *S] in each state.

    Raises:
        UsageError: the file cannot be written, or the disk is full.
    """
    arrays = io.BytesIO()
    kept: dict[str, Any] = {name: value.cpu().numpy() for name, value in rollout.record.items()}
    numpy.savez_compressed(arrays, **kept)
    write_bytes(target, arrays.getvalue())
