"""A best response by means over what deviators met, where what they see is one of few views.

Values of actions are means over visits, backwards in time (certainty equivalence):
q_t(v, a) = mean of r + discount * max_a' q_{t+1}(v', a'). The network has only to do what is best
at each view. Fitted to values itself, as in `replayed.py`, it spends its weights on how much views
differ, which is far more than what is gained by leaving a policy that is nearly an equilibrium.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mfdsl.runtime.learning.answers import Answer, Budget
from mfdsl.runtime.learning.replayed import Memory

OFTEN = 20  # visits of each choice at each view that are enough, in the mean
STEPS = 300  # of Adam, on all views together
FEW = 8_192  # views of all times
LEAST = 0.05  # weight of views at which nothing is gained
PARTS = 4


@dataclass(frozen=True, eq=False)
class Views:
    """The views of all times: `number` [T, S, K] of each visit at its time, `counts` of the times,
    and where the first visit of each was, in the order of times: (t, s, k).
    """

    number: Int[Tensor, "T S K"]
    counts: tuple[int, ...]
    first: tuple[tuple[Tensor, Tensor, Tensor], ...]


def views_of(memory: Memory, choices: int) -> Views | None:
    """The views that there are, None where they are too many for means: laws, single players."""
    view = memory.view
    if view.own is None or view.laws:
        return None
    steps, scenes, agents = memory.index.shape
    number = torch.empty_like(memory.index)
    counts, first = [], []
    for t in range(steps):
        common = view.common[t][:, None].expand(-1, agents, -1)
        rows = torch.cat([view.own[t], common.to(view.own)], -1).flatten(0, 1)
        kinds, each = torch.unique(rows, dim=0, return_inverse=True)
        if len(kinds) * choices * OFTEN > len(rows) or len(kinds) * steps > FEW:
            return None
        where = torch.empty(len(kinds), dtype=torch.int64, device=each.device)
        where.scatter_(0, each, torch.arange(len(each), device=each.device))
        number[t] = each.view(scenes, agents)
        counts.append(len(kinds))
        first.append((torch.full_like(where, t), where // agents, where % agents))
    return Views(number, tuple(counts), tuple(first))


def values_of(
    views: Views, index: Tensor, rewards: Tensor, choices: int, discount: float
) -> list[Float[Tensor, "views choices"]]:
    """Values of the choices at the views of each time, -inf where a choice was never made."""
    found: list[Tensor] = []
    ahead = torch.zeros_like(rewards[0], dtype=torch.float64)
    for t in reversed(range(len(index))):
        places = (views.number[t] * choices + index[t]).flatten()
        size = views.counts[t] * choices
        goals = (rewards[t].double() + discount * ahead).flatten()
        often = torch.bincount(places, minlength=size)
        total = torch.zeros(size, dtype=torch.float64, device=goals.device)
        total.index_add_(0, places, goals)
        q = torch.where(often > 0, total / often.clamp(min=1), -torch.inf).view(-1, choices)
        found.append(q)
        ahead = q.amax(-1)[views.number[t]]  # of what the step before led to
    return found[::-1]


def tallied(
    answer: Answer, memory: Memory, views: Views, discount: float, budget: Budget
) -> Iterator[Answer]:
    """Let the answer do what is best by the means over a quarter of the scenes, a half, and so on;
    given out after each.
    """
    choices, scenes = answer.actor.head.choices, memory.index.shape[1]
    for part in range(1, PARTS + 1):
        last = scenes * part // PARTS
        some = replace(views, number=views.number[:, :last])
        q = values_of(some, memory.index[:, :last], memory.rewards[:, :last], choices, discount)
        _do_best(answer, memory, views, torch.cat(q), budget)
        yield answer


def _do_best(answer: Answer, memory: Memory, views: Views, q: Tensor, budget: Budget) -> None:
    """Fit laws of actions to the best choice at each view, by how much is at stake there."""
    t, s, k = (torch.cat(part) for part in zip(*views.first, strict=True))
    view = memory.view
    assert view.own is not None
    rows = replace(view, own=view.own[t, s, k][:, None], common=view.common[t, s], alike=None)
    mask = None if memory.mask is None else memory.mask[t, s, k][:, None]
    met = q.isfinite()
    some = met.any(-1)
    best = q.argmax(-1)
    least = torch.where(met, q, torch.inf).amin(-1)
    stake = torch.where(some, q.amax(-1) - least, 0.0)
    weight = stake / stake.mean().clamp(min=1e-12) + LEAST
    weight = torch.where(some, weight, 0.0).to(view.own)
    optimizer = torch.optim.Adam(answer.parameters(), budget.learning_rate)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = budget.learning_rate * (1 - 0.95 * step / STEPS)
        logits = cast(Tensor, answer.law(rows, mask).logits)[:, 0]
        logs = torch.log_softmax(logits, -1)
        loss = -(weight * logs.gather(-1, best[:, None])[:, 0]).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
