"""What one agent meets at one stage beside a given joint law, as plain tables of one game."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mfdsl.errors import UsageError
from mfdsl.game import Game
from mfdsl.runtime.program import Params, Program
from mfdsl.solving import params_at


@dataclass(frozen=True, eq=False)
class Stage:
    """States and actions are flat, row by row; outcomes K are those of the noise.

    `rewards` are means over the noise and mean nothing where `legal` does not hold.
    """

    rewards: Float[Tensor, "states actions"]
    successors: Int[Tensor, "states actions outcomes"]
    weights: Float[Tensor, "states actions outcomes"]


def stage_at(
    program: Program, params: Params, t: int, joint: Float[Tensor, "states actions"]
) -> Stage:
    """The tables at stage t when states and actions have the law `joint`."""
    module, now = program.module, torch.tensor(t)
    law = joint.reshape(1, *program.states.values(), *program.actions.values())
    field = module.field(params, now, law)
    shape = (program.state_count, program.action_count)
    successors = module.successors(params, now, field)[0]
    return Stage(
        module.rewards(params, now, law).reshape(-1, *shape)[0],
        successors,
        module.weights(params, now, field)[0].expand(successors.shape),
    )


def legal_at(program: Program, params: Params, t: int) -> Bool[Tensor, "states actions"]:
    """Which actions `where` allows at stage t."""
    legal: Tensor = program.module.legal(params, torch.tensor(t))[0]
    return legal.expand(program.state_count, program.action_count)


def final_at(
    program: Program, params: Params, t: int, law: Float[Tensor, " states"]
) -> Float[Tensor, " states"]:
    """Final rewards when the last states have this law; 0 of a game that has none."""
    if not program.module.HAS_FINAL:
        return torch.zeros_like(law)
    shaped = law.reshape(1, *program.states.values())
    found: Tensor = program.module.final_rewards(params, torch.tensor(t), shaped)
    return found.reshape(-1, program.state_count)[0]


def initial_of(program: Program, params: Params) -> Float[Tensor, " states"]:
    """The law of the states at t = 0."""
    law: Tensor = program.module.initial_law(params)
    return law.reshape(-1, program.state_count)[0]


def plain_tables(game: Game, tool: str) -> tuple[Program, Params]:
    """The program and the parameters of a game whose tables another tool can hold.

    Raises:
        UsageError: the game has no tables, has several populations, or does not end.
    """
    program = game.program
    if len(program.populations) > 1:
        names = ", ".join(program.populations)
        raise UsageError(f"{tool} gets games of one population, and `{game.name}` has {names}")
    if program.kind != "finite":
        raise UsageError(
            f"{tool} gets games that end, and the horizon of `{game.name}` is {program.kind}",
            "give it a number of stages: `horizon 50`",
        )
    return program, params_at(game, {}, dtype=torch.float64, device=torch.device("cpu"))
