"""Left-right of MFGLib 0.3: from the centre to one of two sides, the crowd makes both worse."""

from typing import NamedTuple

import torch
from torch import Tensor

ABI = 1
NAME, POPULATION = "left_right", "walker"
HORIZON = 2
HORIZON_KIND = "finite"
DISCOUNT = 1.0
STATES = {"place": 3}
ACTIONS = {"side": 2}
NOISES = {}
SUCCESSORS_READ: frozenset[str] = frozenset()
WEIGHTS_READ: frozenset[str] = frozenset()
REWARDS_READ = frozenset({"law", "params"})
LEGAL_READ: frozenset[str] = frozenset()
MASKED = False
HAS_FINAL = False


class Params(NamedTuple):
    unit: Tensor
    worse: Tensor


class State(NamedTuple):
    place: Tensor


class Action(NamedTuple):
    side: Tensor


class Noise(NamedTuple):
    pass


class Initial(NamedTuple):
    place: Tensor


class Field(NamedTuple):
    mu: Tensor


def default_params(dtype=torch.float64, device=None):
    return Params(*(torch.tensor(v, dtype=dtype, device=device) for v in (1.0, 2.0)))


def initial_law(p):
    return torch.stack([p.unit, p.unit * 0, p.unit * 0])[None]


def init(p, z):
    return State(torch.zeros_like(z.place, dtype=torch.int64))


def field(p, t, m):
    return Field(m.sum(-1))


def field_of_agents(p, t, s, a):
    counts = torch.zeros(s.place.shape[0], 3, dtype=p.unit.dtype, device=s.place.device)
    share = p.unit.expand(s.place.shape) / s.place.shape[1]
    return Field(counts.scatter_add(1, s.place, share))


def legal(p, t):
    return torch.ones(1, 3, 2, dtype=torch.bool, device=p.unit.device)


def successors(p, t, f):
    side = torch.arange(2, device=p.unit.device)[:, None]
    return (side + 1).expand(3, 2, 1)[None]


def weights(p, t, f):
    return p.unit.expand(1, 1, 1, 1)


def _place_reward(p, mu):
    zero = torch.zeros_like(mu[..., 0])
    return torch.stack([zero, -mu[..., 1], -p.worse * mu[..., 2]], -1)


def rewards(p, t, m):
    return _place_reward(p, m.sum(-1))[..., None].expand(-1, 3, 2)


def final_rewards(p, t, m):
    return torch.zeros_like(m)


def reward_terms(p, t, m):
    return {"crowd": rewards(p, t, m)}


def kernel(p, t, m):
    moves = torch.zeros(1, 3, 2, 3, dtype=p.unit.dtype, device=p.unit.device)
    return moves.scatter(-1, successors(p, t, None), 1.0)


def push(p, t, m):
    return torch.einsum("bsa,bsax->bx", m, kernel(p, t, m).expand(m.shape[0], 3, 2, 3))


def step(p, t, s, a, z):
    reward = _place_reward(p, field_of_agents(p, t, s, a).mu).gather(1, s.place)
    return State(a.side + 1), reward
