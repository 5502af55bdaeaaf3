"""Beach bar of MFGLib 0.3: a walk between two walls, crowd aversion, one bar."""

from typing import NamedTuple

import torch
from torch import Tensor

ABI = 1
NAME, POPULATION = "beach_bar", "bather"
HORIZON = 3
HORIZON_KIND = "finite"
DISCOUNT = 1.0
STATES = {"x": 4}
ACTIONS = {"a": 3}
NOISES = {"e": 3}
SUCCESSORS_READ: frozenset[str] = frozenset()
WEIGHTS_READ = frozenset({"params"})
REWARDS_READ = frozenset({"law", "params"})
LEGAL_READ: frozenset[str] = frozenset()
MASKED = False
HAS_FINAL = False


class Params(NamedTuple):
    unit: Tensor
    p_still: Tensor
    bar: Tensor
    log_eps: Tensor


class State(NamedTuple):
    x: Tensor


class Action(NamedTuple):
    a: Tensor


class Noise(NamedTuple):
    e: Tensor


class Initial(NamedTuple):
    x: Tensor


class Field(NamedTuple):
    mu_x: Tensor


def default_params(dtype=torch.float64, device=None):
    values = (1.0, 0.5, 2.0, 1e-20)
    return Params(*(torch.tensor(v, dtype=dtype, device=device) for v in values))


def initial_law(p):
    return p.unit.expand(1, 4) / 4


def draw_initial(batch, agents, generator=None, dtype=torch.float64, device=None):
    return Initial(torch.rand(batch, agents, generator=generator, dtype=dtype, device=device))


def init(p, z):
    return State((z.x * 4).long().clamp(0, 3))


def draw_noise(batch, agents, generator=None, dtype=torch.float64, device=None):
    return Noise(torch.rand(batch, agents, generator=generator, dtype=dtype, device=device))


def field(p, t, m):
    return Field(m.sum(-1))


def empirical(p, s, a):
    flat = s.x * 3 + a.a
    counts = torch.zeros(flat.shape[0], 12, dtype=p.unit.dtype, device=flat.device)
    counts = counts.scatter_add(1, flat, p.unit.expand(flat.shape) / flat.shape[1])
    return counts.view(-1, 4, 3)


def field_of_agents(p, t, s, a):
    return field(p, t, empirical(p, s, a))


def legal(p, t):
    return torch.ones(1, 4, 3, dtype=torch.bool, device=p.unit.device)


def successors(p, t, f):
    x = torch.arange(4, device=p.unit.device)[:, None, None]
    a = torch.arange(3, device=p.unit.device)[:, None] - 1
    e = torch.arange(-1, 2, device=p.unit.device)
    return (x + a + e).clamp(0, 3)[None]


def _moves(p):
    half = (1 - p.p_still) / 2
    return torch.stack([half, p.p_still, half], -1)


def weights(p, t, f):
    return _moves(p).reshape(-1, 1, 1, 3)


def _reward(p, x, a, mu):
    ahead = torch.remainder(x - p.bar[..., None], 4)
    distance = torch.minimum(ahead, torch.remainder(p.bar[..., None] - x, 4))
    return -distance - a.abs() / 4 - torch.log(mu + p.log_eps[..., None])


def rewards(p, t, m):
    x = torch.arange(4, device=m.device).to(m.dtype)
    a = torch.arange(3, device=m.device).to(m.dtype) - 1
    place = _reward(p, x, torch.zeros_like(x), m.sum(-1))
    return place[..., None] - a.abs() / 4


def final_rewards(p, t, m):
    return torch.zeros_like(m)


def reward_terms(p, t, m):
    return {"reward": rewards(p, t, m)}


def kernel(p, t, m):
    index = successors(p, t, field(p, t, m))
    w = weights(p, t, field(p, t, m))
    games = max(index.shape[0], w.shape[0])
    w = w.expand(games, 4, 3, 3)
    out = torch.zeros(games, 4, 3, 4, dtype=w.dtype, device=w.device)
    return out.scatter_add(-1, index.expand(games, 4, 3, 3), w)


def push(p, t, m):
    return torch.einsum("bsa,bsax->bx", m, kernel(p, t, m).expand(m.shape[0], 4, 3, 4))


def step(p, t, s, a, z):
    f = field_of_agents(p, t, s, a)
    cdf = _moves(p).cumsum(-1)[..., None, :-1]
    e = (z.e[..., None] >= cdf).sum(-1) - 1
    mu = f.mu_x.gather(1, s.x)
    reward = _reward(p, s.x.to(p.unit.dtype), a.a.to(p.unit.dtype) - 1, mu)
    return State((s.x + a.a - 1 + e).clamp(0, 3)), reward


def observe(p, t, s, f):
    return {"x": s.x.to(p.unit.dtype)}
