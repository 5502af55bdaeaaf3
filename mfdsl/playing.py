"""Simulations of agents: who plays how, what is measured, what is written down."""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy
import torch

from mfdsl.errors import UsageError, unknown
from mfdsl.files import write_bytes
from mfdsl.game import Device, Dtype, Game
from mfdsl.naming import value_text
from mfdsl.runtime.behaviours import Behaviour, calling, still, uniform
from mfdsl.runtime.program import ProgramError
from mfdsl.runtime.simulator import Return, Rollout, SimulationError
from mfdsl.runtime.solution import finite
from mfdsl.solving import find_device

BEHAVIOURS: dict[str, Behaviour] = {"still": still, "uniform": uniform}
TRACED_STEPS = 12
MEMBER = re.compile(r"(.+)\[([0-9]{1,18})\]")


@dataclass(frozen=True)
class Wanted:
    """What a simulation is asked for; `trace` names players and agents: `person[0]`, `market`."""

    agents: int | Mapping[str, int] | None = None
    batch: int = 1
    steps: int | None = None
    seed: int = 0
    device: Device = "cpu"
    dtype: Dtype = "float64"
    compile: bool = False
    record: bool = False
    trace: Sequence[str] = field(default_factory=tuple)


def behaviour_named(policy: str | Callable[..., Any]) -> Behaviour:
    """`still`, `uniform`, or a function `f(t, observation) -> actions`.

    Raises:
        UsageError: there is no behaviour of that name.
    """
    if not isinstance(policy, str):
        return calling(policy)
    if policy not in BEHAVIOURS:
        raise unknown("policy", policy, BEHAVIOURS)
    return BEHAVIOURS[policy]


def play(game: Game, policy: str | Callable[..., Any], wanted: Wanted) -> Rollout:
    """Let everybody play from t = 0.

    Raises:
        UsageError: a size, a name or an action does not fit the game.
    """
    behaviour = behaviour_named(policy)
    traced = [_traced(game, name) for name in wanted.trace]
    device: Device = "cuda" if find_device(wanted.device).type == "cuda" else "cpu"
    try:
        simulator = game.simulator(
            agents=wanted.agents,
            batch=wanted.batch,
            seed=wanted.seed,
            device=device,
            dtype=wanted.dtype,
            compile=wanted.compile,
        )
        for name, agent in traced:
            _check_agent(name, agent, simulator.agents)
        rollout = simulator.rollout(
            behaviour, steps=wanted.steps, terms=True, record=wanted.record or bool(traced)
        )
    except (SimulationError, ProgramError, ValueError) as error:
        raise UsageError(str(error)) from None
    except (torch.OutOfMemoryError, MemoryError):
        raise UsageError("not enough memory", "simulate fewer agents or games at once") from None
    return rollout


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
            values = rollout.record[f"{player_name}.{variable.name}"][:shown, 0]
            values = values if agent is None else values[:, agent]
            header.append(f"{name}.{variable.name}")
            columns.append([value_text(game.model, kind, v.tolist()) for v in values])
        if f"{player_name}.reward" in rollout.record:
            values = rollout.record[f"{player_name}.reward"][:shown, 0]
            values = values if agent is None else values[:, agent]
            header.append(f"{name}.reward")
            columns.append([f"{v.item():.4g}" for v in values])
    rows = [[str(t), *(column[t] for column in columns)] for t in range(shown)]
    return header, rows


def play_json(game: Game, rollout: Rollout) -> dict[str, Any]:
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
        "agent_steps_per_second": rollout.agent_steps_per_second,
        "run": None,
    }


def _return_json(found: Return) -> dict[str, float | None]:
    return {"mean": finite(found.mean), "std_error": finite(found.std_error)}


def write_record(rollout: Rollout, target: Path) -> None:
    """Write all recorded arrays, [T + 1, B, N, ...] for states, as one npz file.

    Raises:
        UsageError: the file cannot be written, or the disk is full.
    """
    arrays = io.BytesIO()
    kept: dict[str, Any] = {name: value.cpu().numpy() for name, value in rollout.record.items()}
    numpy.savez_compressed(arrays, **kept)
    write_bytes(target, arrays.getvalue())
