"""Who gets credit for a reward of the team.

`team`: everybody gets the team's reward. `own`: everybody gets what oneself is paid, as in a game.
`marginal`: everybody gets what oneself adds to the team, the derivative of the team's reward in
the weight with which one counts (the linear functional derivative; in linear-quadratic games it
turns the equilibrium of the individual costs into the team's optimum). One's influence on where
others go is counted through the value of where they go, as far as it has a gradient.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from mfdsl.runtime.agents import AgentProgram
from mfdsl.runtime.learning.engine import team_reward

Credit = Literal["team", "own", "marginal"]
Ahead = Callable[[Any], Tensor]
"""The team's value [B] of the states after a step, with gradients in these."""


def with_weights(weighted: AgentProgram, state: Any, weights: Mapping[str, Tensor]) -> Any:
    """A state of the weighted game: that of the plain one, and how much every agent counts."""
    kinds = weighted.module.State.__annotations__
    groups = {}
    for field in weighted.module.State._fields:
        values = getattr(state, field, ())
        extra = (weights[field],) if field in weights else ()
        groups[field] = kinds[field](*values, *extra)
    return weighted.module.State(**groups)


def without_weights(counted: Any, like: Any) -> Any:
    """A state of the plain game from one of the weighted game."""
    kinds = type(like).__annotations__
    groups = {}
    for field in like._fields:
        values = getattr(counted, field)
        groups[field] = kinds[field](*values[: len(getattr(like, field))])
    return type(like)(**groups)


def even_weights(program: AgentProgram, state: Any, unit: Tensor) -> dict[str, Tensor]:
    """Weights 1 [B, N] for each population by field name, ready for derivatives."""
    return {
        field: unit.new_ones(getattr(state, field)[0].shape[:2]).requires_grad_()
        for field in program.populations
    }


def marginal_rewards(
    weighted: AgentProgram,
    params: Any,
    time: Tensor,
    state: Any,
    action: Any | None,
    noise: Any | None,
    ahead: Ahead | None = None,
) -> dict[str, Tensor]:
    """What each agent adds to the team's reward of a step, [B, N] by field name.

    Without an action the final rewards are shared out. `ahead` values (discounted) the states that
    follow, in which all count alike, so that one's influence on where others go counts.
    """
    with torch.enable_grad():
        weights = even_weights(weighted, state, params.unit)
        counted = with_weights(weighted, state, weights)
        after = None
        if action is None:
            rewards = weighted.module.final_rewards(params, time, counted)
        else:
            after, rewards = weighted.module.step(params, time, counted, action, noise)
        batch = len(next(iter(weights.values())))
        shared = {
            f: weights[f] * getattr(rewards, f) if f in weights else getattr(rewards, f)
            for f in rewards._fields
        }
        total = team_reward(shared.values(), batch).sum()
        if ahead is not None and after is not None:
            total = total + ahead(without_weights(after, state)).sum()
        slopes: tuple[Tensor | None, ...] = (None,) * len(weights)
        if total.requires_grad:
            slopes = torch.autograd.grad(total, list(weights.values()), allow_unused=True)
    found = {}
    for (field, weight), slope in zip(weights.items(), slopes, strict=True):
        share = torch.zeros_like(weight) if slope is None else slope * weight.shape[1]
        found[field] = share.detach()
    return found


def own_rewards(
    rewards: Any, program: AgentProgram, batch: int, agents: Mapping[str, int]
) -> dict[str, Tensor]:
    """What everybody is paid itself: [B, N] of each population and [B] of each major by field
    name; 0 for whoever has no rewards.
    """
    found = {}
    unit = rewards[0]
    for field, kind in program.players.items():
        if kind == "environment":
            continue
        lead = (batch, agents[program.names[field]]) if kind == "population" else (batch,)
        value = getattr(rewards, field, None)
        found[field] = unit.new_zeros(lead) if value is None else value.expand(lead)
    return found
