"""Values of the policies that agents follow, from episodes that they played."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mfdsl.runtime.solvers.episodes import Episodes
from mfdsl.runtime.solvers.soft import entropy

Tables = Float[Tensor, "groups stages states actions"]


@dataclass(frozen=True, eq=False)
class Estimate:
    """Values with entropy paid, that of the own step left out, and how often each was visited."""

    q: Tables
    visits: Tables


def averaged_values(
    episodes: Episodes,
    policies: Tables,
    groups: Int[Tensor, " agents"],
    before: Tables,
    *,
    temperature: float = 0.0,
    discount: float = 1.0,
) -> Estimate:
    """Backward means over visits: q_t(s, a) of a group is the mean of
    r + discount * (sum_a pi q_{t+1} + temperature * entropy) over all visits of its agents.

    Agent i belongs to group `groups[i]` and plays its policy. Where nobody was, the values of
    `before` stay. This is certainty equivalence, whose fixed point is that of `online_values`.
    """
    q, visits = before.clone(), torch.zeros_like(before)
    _, stages, states, actions = policies.shape
    bonus = temperature * entropy(policies)[..., 0]
    ahead = episodes.final
    for t in reversed(range(stages)):
        target = episodes.rewards[t] + discount * ahead
        place = (groups * states + episodes.places[t]) * actions + episodes.actions[t]
        flat = place.reshape(-1)
        total = q.new_zeros(len(q) * states * actions).index_add_(0, flat, target.reshape(-1))
        times = torch.bincount(flat, minlength=len(total)).to(total).view(visits[:, t].shape)
        visits[:, t] = times
        mean = total.view(times.shape) / times.clamp(min=1)
        q[:, t] = torch.where(times > 0, mean, q[:, t])
        value = (policies[:, t] * q[:, t]).sum(-1) + bonus[:, t]
        ahead = value.reshape(-1)[groups * states + episodes.places[t]]
    return Estimate(q, visits)


def online_values(
    episodes: Episodes,
    policies: Tables,
    groups: Int[Tensor, " agents"],
    before: Tables,
    *,
    temperature: float = 0.0,
    discount: float = 1.0,
    agent: int = 0,
) -> Estimate:
    """Temporal differences of one agent, an episode after the other, all stages at once:
    Q_t(s, a) += 2 / (n + 2) * (r + temperature * entropy + discount * Q_{t+1}(s', a') - Q_t(s, a))
    with n the earlier visits of (t, s, a).

    Algorithm 1 of Yardim and He 2025 (arXiv 2408.15173) with the least chance of a visit, which
    nobody knows, replaced by counts: their 2 / delta visits a step.
    """
    group = int(groups[agent])
    stages = policies.shape[1]
    stage = torch.arange(stages, device=policies.device)
    bonus = temperature * entropy(policies[group])[..., 0]
    full, visits = before.clone(), torch.zeros_like(before)
    own, times = full[group] + bonus[..., None], visits[group]
    for game in range(episodes.places.shape[1]):
        s, a = episodes.places[:, game, agent], episodes.actions[:, game, agent]
        here = own[stage, s, a]
        ahead = torch.cat([here[1:], episodes.final[game, agent][None]])
        target = episodes.rewards[:, game, agent] + bonus[stage, s] + discount * ahead
        own[stage, s, a] = here + 2 / (times[stage, s, a] + 2) * (target - here)
        times[stage, s, a] += 1
    full[group] = own - bonus[..., None]
    visits[group] = times
    return Estimate(full, visits)
