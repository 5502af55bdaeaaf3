"""A small game with everything at once: two state variables, illegal actions that change with
time, two noises, transitions and rewards that read time and the law, and a final reward."""

from typing import NamedTuple

import torch
from torch import Tensor

ABI = 1
NAME, POPULATION = "masked_queue", "client"
HORIZON = 4
HORIZON_KIND = "finite"
DISCOUNT = 1.0
STATES = {"line": 3, "busy": 2}
ACTIONS = {"go": 3}
NOISES = {"slip": 2, "busy_next": 2}
SUCCESSORS_READ: frozenset[str] = frozenset()
WEIGHTS_READ: frozenset[str] = frozenset({"law", "params", "time"})
REWARDS_READ = frozenset({"law", "params", "time"})
LEGAL_READ: frozenset[str] = frozenset({"time"})
MASKED = True
HAS_FINAL = True


class Params(NamedTuple):
    unit: Tensor
    slip: Tensor
    price: Tensor


class State(NamedTuple):
    line: Tensor
    busy: Tensor


class Action(NamedTuple):
    go: Tensor


class Noise(NamedTuple):
    slip: Tensor
    busy_next: Tensor


class Initial(NamedTuple):
    line: Tensor
    busy: Tensor


class Field(NamedTuple):
    line: Tensor
    movers: Tensor


def default_params(dtype=torch.float64, device=None):
    return Params(
        torch.tensor(1.0, dtype=dtype, device=device),
        torch.tensor(0.2, dtype=dtype, device=device),
        torch.tensor([0.5, 1.0, 0.25], dtype=dtype, device=device),
    )


def initial_law(p):
    line = torch.tensor([0.5, 0.3, 0.2], dtype=p.unit.dtype, device=p.unit.device)
    busy = torch.tensor([0.75, 0.25], dtype=p.unit.dtype, device=p.unit.device)
    return (line[:, None] * busy)[None]


def init(p, z):
    line = (z.line >= 0.5).long() + (z.line >= 0.8).long()
    return State(line, (z.busy >= 0.75).long())


def field(p, t, m):
    return Field(m.sum((2, 3)), m[..., 1:].sum((1, 2, 3)))


def field_of_agents(p, t, s, a):
    line = torch.stack([(s.line == k).to(p.unit.dtype).mean(1) for k in range(3)], -1)
    return Field(line, (a.go > 0).to(p.unit.dtype).mean(1))


def legal(p, t):
    line = torch.arange(3, device=p.unit.device).repeat_interleave(2)[:, None]
    go = torch.arange(3, device=p.unit.device)
    open_now = (t % 2 == 0).reshape(-1, 1, 1)
    return (line + go <= 2) & ((go < 2) | open_now)


def successors(p, t, f):
    line = torch.arange(3, device=p.unit.device).repeat_interleave(2)[:, None, None]
    go = torch.arange(3, device=p.unit.device)[:, None]
    slip = torch.arange(2, device=p.unit.device).repeat_interleave(2)
    busy = torch.arange(2, device=p.unit.device).repeat(2)
    ahead = torch.where(slip == 1, line, (line + go) % 3)
    return (ahead * 2 + busy)[None]


def _busy_next(p, t, f):
    return 0.1 + 0.5 * f.movers + 0.05 * t.to(p.unit.dtype)


def weights(p, t, f):
    busy = _busy_next(p, t, f)
    games = max(busy.shape[0], p.slip.numel())
    slip = p.slip.reshape(-1).expand(games)
    busy = busy.expand(games)
    slips = torch.stack([1 - slip, slip], -1)[..., None]
    return (slips * torch.stack([1 - busy, busy], -1)[:, None]).reshape(games, 1, 1, 4)


def rewards(p, t, m):
    f = field(p, t, m)
    busy = torch.arange(2, device=m.device).to(m.dtype)[:, None]
    go = torch.arange(3, device=m.device).to(m.dtype)
    crowd = torch.log(f.line + 0.01)[..., None, None]
    price = p.price[..., None, :] if p.price.ndim == 2 else p.price
    price = price.reshape(-1, 1, 1, 3)
    late = t.to(m.dtype).reshape(-1, 1, 1, 1) / 10
    return (-crowd - price * go - busy * (1 + late)).reshape(m.shape[0], 6, 3)


def final_rewards(p, t, m):
    line = torch.arange(3, device=m.device).to(m.dtype)[:, None]
    crowd = m.sum(-1, keepdim=True)
    return (2 * line - crowd).expand(-1, 3, 2).reshape(-1, 6)


def reward_terms(p, t, m):
    return {"reward": rewards(p, t, m)}


def kernel(p, t, m):
    f = field(p, t, m)
    w = weights(p, t, f)
    games = w.shape[0]
    table = torch.zeros(games, 6, 3, 6, dtype=w.dtype, device=w.device)
    table = table.scatter_add(
        -1, successors(p, t, f).expand(games, 6, 3, 4), w.expand(games, 6, 3, 4)
    )
    return table.view(games, 3, 2, 3, 3, 2)


def push(p, t, m):
    return torch.einsum("bsqa,bsqaxy->bxy", m, kernel(p, t, m).expand(m.shape[0], 3, 2, 3, 3, 2))


def step(p, t, s, a, z):
    f = field_of_agents(p, t, s, a)
    slip = z.slip >= 1 - p.slip[..., None]
    line = torch.where(slip, s.line, (s.line + a.go) % 3)
    busy = (z.busy_next >= 1 - _busy_next(p, t, f)[..., None]).long()
    kind = p.unit.dtype
    crowd = torch.log(f.line + 0.01).gather(1, s.line)
    price = p.price.reshape(-1, 3).expand(s.line.shape[0], 3).gather(1, a.go)
    late = t.to(kind) / 10
    return State(line, busy), -crowd - price * a.go - s.busy.to(kind) * (1 + late)
