"""Values of the policies that agents follow, from episodes that they played."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mfdsl.runtime.solvers.episodes import Episodes
from mfdsl.runtime.solvers.soft import entropy
from mfdsl.runtime.views.native import available

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
    by = averaged_by_tensors
    if policies.device.type == "cpu" and available():
        by = averaged_by_loops
    return by(episodes, policies, groups, before, temperature, discount)


def averaged_by_tensors(
    episodes: Episodes,
    policies: Tables,
    groups: Int[Tensor, " agents"],
    before: Tables,
    temperature: float,
    discount: float,
) -> Estimate:
    """All visits of a stage at once."""
    size, stages, states, actions = policies.shape
    rows = groups * states + episodes.places
    taken = (rows * actions + episodes.actions).view(stages, -1)
    visits = _counted(taken, size * states * actions).to(before)
    visits = visits.view(stages, size, states, actions)
    often, seen = visits.clamp(min=1), visits > 0
    staged = policies.movedim(1, 0)
    bonus = temperature * entropy(policies)[..., 0].movedim(1, 0)
    q, ahead = before.movedim(1, 0).contiguous(), episodes.final
    for t in reversed(range(stages)):
        target = torch.add(episodes.rewards[t], ahead, alpha=discount)
        total = torch.zeros_like(visits[t].view(-1)).index_add_(0, taken[t], target.view(-1))
        q[t] = torch.where(seen[t], total.view(visits[t].shape) / often[t], q[t])
        value = (staged[t] * q[t]).sum(-1).add_(bonus[t])
        ahead = value.view(-1).index_select(0, rows[t].view(-1)).view(rows[t].shape)
    return Estimate(q.movedim(0, 1).contiguous(), visits.movedim(0, 1))


def averaged_by_loops(
    episodes: Episodes,
    policies: Tables,
    groups: Int[Tensor, " agents"],
    before: Tables,
    temperature: float,
    discount: float,
) -> Estimate:
    """One visit after another; the same up to the rounding of sums."""
    from mfdsl.runtime.solvers.sampled_native import average  # needs numba

    q = before.clone(memory_format=torch.contiguous_format)
    visits = torch.zeros_like(q)
    bonus = temperature * entropy(policies)[..., 0]
    games = (episodes.places, episodes.actions, episodes.rewards, groups, episodes.final.clone())
    tables = (*games, policies, bonus)
    average(*(part.contiguous().numpy() for part in tables), discount, q.numpy(), visits.numpy())
    return Estimate(q, visits)


def _counted(places: Int[Tensor, "stages visits"], size: int) -> Int[Tensor, "stages places"]:
    """How often each place below `size` is visited at each stage."""
    first = size * torch.arange(len(places), device=places.device)[:, None]
    return torch.bincount((places + first).view(-1), minlength=size * len(places)).view(-1, size)


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
