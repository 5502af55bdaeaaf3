"""Susceptible-infected of MFGLib 0.3: infection in proportion to the infected, or stay away."""

from typing import NamedTuple

import torch
from torch import Tensor

ABI = 1
NAME, POPULATION = "susceptible_infected", "person"
HORIZON = 51
HORIZON_KIND = "finite"
DISCOUNT = 1.0
STATES = {"health": 2}
ACTIONS = {"distance": 2}
NOISES = {"health_next": 2}
SUCCESSORS_READ: frozenset[str] = frozenset()
WEIGHTS_READ: frozenset[str] = frozenset({"law", "params"})
REWARDS_READ = frozenset({"params"})
LEGAL_READ: frozenset[str] = frozenset()
MASKED = False
HAS_FINAL = False


class Params(NamedTuple):
    unit: Tensor
    infection: Tensor
    recovery: Tensor


class State(NamedTuple):
    health: Tensor


class Action(NamedTuple):
    distance: Tensor


class Noise(NamedTuple):
    health_next: Tensor


class Initial(NamedTuple):
    health: Tensor


class Field(NamedTuple):
    infected: Tensor


def default_params(dtype=torch.float64, device=None):
    return Params(*(torch.tensor(v, dtype=dtype, device=device) for v in (1.0, 0.81, 0.3)))


def initial_law(p):
    return torch.stack([p.unit * 0.4, p.unit * 0.6])[None]


def init(p, z):
    return State((z.health >= 0.4).long())


def field(p, t, m):
    return Field(m[:, 1].sum(-1))


def field_of_agents(p, t, s, a):
    return Field(s.health.to(p.unit.dtype).mean(1))


def legal(p, t):
    return torch.ones(1, 2, 2, dtype=torch.bool, device=p.unit.device)


def successors(p, t, f):
    return torch.arange(2, device=p.unit.device).expand(1, 2, 2, 2)


def _ill_next(p, f, health, distance):
    """Probability of being infected next."""
    caught = p.infection[..., None] * f.infected[..., None]
    caught = torch.where(distance == 0, caught, torch.zeros_like(caught))
    return torch.where(health == 0, caught, 1 - p.recovery[..., None])


def weights(p, t, f):
    health = torch.tensor([0, 0, 1, 1], device=p.unit.device)
    distance = torch.tensor([0, 1, 0, 1], device=p.unit.device)
    ill = _ill_next(p, f, health, distance).reshape(-1, 2, 2)
    return torch.stack([1 - ill, ill], -1)


def rewards(p, t, m):
    cost = torch.tensor([[0.0, 0.5], [1.0, 1.5]], dtype=p.unit.dtype, device=p.unit.device)
    return -(cost * p.unit).expand(m.shape[0], 2, 2)


def final_rewards(p, t, m):
    return torch.zeros_like(m)


def reward_terms(p, t, m):
    return {"cost": rewards(p, t, m)}


def kernel(p, t, m):
    return weights(p, t, field(p, t, m))


def push(p, t, m):
    return torch.einsum("bsa,bsax->bx", m, kernel(p, t, m))


def step(p, t, s, a, z):
    ill = _ill_next(p, field_of_agents(p, t, s, a), s.health, a.distance)
    reward = -s.health.to(p.unit.dtype) - a.distance.to(p.unit.dtype) / 2
    return State((z.health_next >= 1 - ill).long()), reward
