"""A finite game as an environment of MFGLib, and policies both ways.

Guo et al. 2023, MFGLib (arXiv:2304.08630). Needs the extra `mfglib`.

MFGLib has no final rewards and no illegal actions: a game with final rewards gets one more stage,
at which only they are paid, and one with `where` is refused. Its functions are in torch's default
precision, so call `torch.set_default_dtype(torch.float64)` first for figures to ten digits.
"""

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mfdsl.compiler.analysis.paid import most_paid
from mfdsl.errors import UsageError
from mfdsl.evaluating import Scored, evaluation
from mfdsl.export.stages import final_at, initial_of, plain_tables, stage_at
from mfdsl.game import Game, Parameters, loaded
from mfdsl.runtime.policy import TabularPolicy
from mfdsl.runtime.program import Params, Program

try:
    from mfglib.env import Environment
except ImportError as error:
    raise ImportError("mfdsl.export.mfglib needs `pip install 'mfdsl[mfglib]'`") from error


def environment(
    game: Game | str | Path, *, params: Parameters | None = None, r_max: float | None = None
) -> Environment:
    """The game with an axis for each state and action variable; rewards are discounted where the
    game is. `r_max` bounds rewards, by default as the check does.

    Raises:
        CompileError: the spec has errors.
        UsageError: the game has no tables, has several populations, does not end, or has actions
            that are illegal, or nothing is known to bound its rewards.
    """
    found = loaded(game, params)
    program, values = _program(found)
    stages = _stages(program)
    states, actions = tuple(program.states.values()), tuple(program.actions.values())

    def reward(env: Environment, t: int, law: Tensor) -> Tensor:
        joint = law.double().reshape(program.state_count, program.action_count)
        if t == program.horizon:
            paid = final_at(program, values, t, joint.sum(1))[:, None].expand(joint.shape)
        else:
            paid = stage_at(program, values, t, joint).rewards
        return (paid * program.discount**t).reshape(*states, *actions).to(law.dtype)

    def transition(env: Environment, t: int, law: Tensor) -> Tensor:
        joint = law.double().reshape(program.state_count, program.action_count)
        found = stage_at(program, values, t, joint)
        chances = torch.zeros(*joint.shape, program.state_count, dtype=torch.float64)
        chances.scatter_add_(2, found.successors, found.weights)
        return chances.permute(2, 0, 1).reshape(*states, *states, *actions).to(law.dtype)

    initial = initial_of(program, values).reshape(states)
    return Environment(
        T=stages - 1,
        S=states,
        A=actions,
        mu0=initial.to(torch.get_default_dtype()),
        r_max=_bound(found, values) if r_max is None else r_max,
        reward_fn=reward,
        transition_fn=transition,
    )


def policy_to(game: Game, policy: Scored = "uniform") -> Float[Tensor, "stages ..."]:
    """A policy [T, *S, *A] for MFGLib: a solution's, the folder of a run, "uniform", or an array.

    Raises:
        UsageError: the policy is none of this game.
    """
    program, _ = _program(game)
    probs = evaluation(game, policy).policy.probs[0]
    if _stages(program) > len(probs):  # what is done after the end is all the same
        probs = torch.cat([probs, torch.full_like(probs[:1], 1 / program.action_count)])
    shaped = probs.reshape(len(probs), *program.states.values(), *program.actions.values())
    return shaped.to(torch.get_default_dtype())


def policy_from(game: Game, policy: Tensor) -> TabularPolicy:
    """A policy of MFGLib for the environment of a game, which `evaluate` and `simulate` take.

    Raises:
        UsageError: it has another shape than those of this environment.
    """
    program, _ = _program(game)
    shape = (_stages(program), *program.states.values(), *program.actions.values())
    if tuple(policy.shape) != shape:
        raise UsageError(
            f"the policy has the shape {tuple(policy.shape)}, those of `{game.name}` have {shape}"
        )
    flat = policy.detach().double().reshape(-1, program.state_count, program.action_count)
    probs = flat[: program.horizon]
    probs = probs / probs.sum(-1, keepdim=True)  # single precision does not sum to 1
    return TabularPolicy(probs[None], program.state_axes(), program.action_axes())


def _program(game: Game) -> tuple[Program, Params]:
    program, values = plain_tables(game, "MFGLib")
    if program.module.MASKED:
        raise UsageError(f"MFGLib has no illegal actions, and `{game.name}` has a `where`")
    return program, values


def _stages(program: Program) -> int:
    """Stages of the environment: one more for final rewards."""
    return (program.horizon or 0) + bool(program.module.HAS_FINAL)


def _bound(game: Game, values: Params) -> float:
    names = {p.name for p in game.model.parameters}
    given: dict[str, Any] = {k: v.numpy() for k, v in values._asdict().items() if k in names}
    found = most_paid(game.model, given, {})
    if found is None:
        raise UsageError(f"nothing bounds the rewards of `{game.name}`", "give `r_max`")
    return found
