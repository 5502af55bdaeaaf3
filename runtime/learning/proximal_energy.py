"""Mean-field PPO as it is proved: proximal steps on energies (Li et al. 2021, arXiv:2105.08268).

Algorithm 1 of the paper, with its policy evaluation (Algorithm 2, temporal differences) and policy
improvement (Algorithm 3, regression of the energy). Policies are softmax(F / temperature) of an
energy F that sees a law through independent draws from it only. With exact fits F is the running
average of the action values, so that the whole is mirror descent with the rate
1 / (proximity sqrt(iterations)): `exact_iterates` does that on tables.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mfdsl.runtime.learning.mean_field_mdp import (
    MeanFieldMDP,
    action_values,
    policy_values,
    uniform_policy,
)


@dataclass(frozen=True)
class Proximity:
    """How Algorithm 1 runs: K `iterations` of T `steps`, networks of `width` m.

    `proximity` is the paper's upsilon (to 0: policy iteration), `radius` that of the balls around
    the initial weights, `rate` the step, 1 / sqrt(T) when it is None. The text of the paper returns
    the last iterate of Algorithms 2 and 3 and its lemmas bound the average, which is the default.
    """

    iterations: int = 20
    steps: int = 2000
    proximity: float = 0.05
    width: int = 512
    radius: float = 20.0
    rate: float | None = None
    iterate: Literal["average", "last"] = "average"

    @property
    def penalty(self) -> float:
        """The weight kappa of the divergence, the same in all iterations."""
        return self.proximity * math.sqrt(self.iterations)

    @property
    def step(self) -> float:
        """The step of Algorithms 2 and 3."""
        return 1 / math.sqrt(self.steps) if self.rate is None else self.rate

    def temperature(self, iteration: int) -> float:
        """The temperature of the policy after so many iterations."""
        return self.penalty / iteration if iteration else 1.0


@dataclass(frozen=True, eq=False)
class Iterate:
    """One iterate of Algorithm 1 with exact fits: policy [L, R], its values [L], its energy."""

    policy: Tensor
    values: Tensor
    energy: Tensor


def exact_iterates(mdp: MeanFieldMDP, iterations: int, proximity: float) -> Iterator[Iterate]:
    """Algorithm 1 on tables: `iterations` policies, the first of them uniform."""
    options = Proximity(iterations, proximity=proximity)
    policy, energy = uniform_policy(mdp), torch.zeros_like(mdp.rewards)
    for k in range(iterations):
        values = policy_values(mdp, policy)
        yield Iterate(policy, values, energy)
        after = options.temperature(k + 1)
        q = action_values(mdp, values)
        energy = after * (q / options.penalty + energy / options.temperature(k))
        policy = torch.softmax(energy / after, -1)


@dataclass(frozen=True, eq=False)
class Draws:
    """T transitions in each of E runs, seen through draws from the laws before and after.

    `own` [E, T] are states of the deciding agent (0 where decisions are rules of all), `law`
    [E, T, S] shares among the draws, `choice` [E, T] what was decided, `reward` [E, T].
    """

    own: Int[Tensor, "runs steps"]
    law: Float[Tensor, "runs steps states"]
    choice: Int[Tensor, "runs steps"]
    reward: Float[Tensor, "runs steps"]
    next_own: Int[Tensor, "runs steps"]
    next_law: Float[Tensor, "runs steps states"]
    next_choice: Int[Tensor, "runs steps"]


class Sampler(Protocol):
    """A simulator in which E runs play side by side."""

    @property
    def runs(self) -> int:
        """Number E of runs."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of own states (1: decisions are rules of all), of states and choices."""

    @property
    def discount(self) -> float:
        """Weight of the next reward."""

    def draws(self, logits: Tensor, steps: int) -> Draws:
        """T independent transitions under softmax(sum over s' of share(s') logits(s', ...)).

        `logits` [E, O, S, C] are those of energies divided by the temperature.
        """


@dataclass(frozen=True, eq=False)
class Energies:
    """Two-layer networks [E, m, d] on (own state, state of another, choice), one for each run.

    F(s, law, a) = sum over s' of law(s') f(s, s', a), with
    f = m^(-1/2) sum over j of u_j (relu(alpha_j x) - relu(alpha0_j x)) on x = (s, s', a) one-hot.
    Only alpha is trained. The paper's prefactor 1 / sqrt(m N) is 1 / (sqrt(m) N), as its
    Definition 4.1 has it: otherwise F would change when all agents are counted twice. F starts
    at 0, as Algorithm 1 asks, because the network at the start is taken off.
    """

    signs: Float[Tensor, "runs width"] = field(repr=False)
    start: Float[Tensor, "runs width inputs"] = field(repr=False)
    inputs: Float[Tensor, "own states choices inputs"] = field(repr=False)

    def table(self, weights: Tensor) -> Float[Tensor, "runs own states choices"]:
        """What f is at all inputs."""
        return self.raw(weights) - self.raw(self.start)

    def raw(self, weights: Tensor) -> Float[Tensor, "runs own states choices"]:
        """The same without taking off the network at the start."""
        bent = torch.relu(weights @ self.inputs.flatten(0, -2).t())
        found = torch.einsum("em,emx->ex", self.signs, bent) / math.sqrt(self.signs.shape[1])
        return found.reshape(-1, *self.inputs.shape[:-1])

    def at(self, own: Tensor, choice: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs [E, T, S, d] at own states and choices [E, T], and the start's outputs there."""
        runs = torch.arange(len(own))[:, None]
        return self.inputs[own, :, choice], self.raw(self.start)[runs, own, :, choice]


def initial_energies(
    runs: int, shape: tuple[int, int, int], width: int, generator: torch.Generator
) -> Energies:
    """Signs +-1 and first layers N(0, I / d), shared by actor and critic as in section 4."""
    own, states, choices = shape
    parts = [torch.eye(n, dtype=torch.float64) for n in (own, states, choices) if n > 1]
    places = torch.cartesian_prod(*(torch.arange(n) for n in (own, states, choices) if n > 1))
    places = places.reshape(own * states * choices, -1)
    x = torch.cat([e[places[:, k]] for k, e in enumerate(parts)], -1) / math.sqrt(len(parts))
    inputs = x.shape[1]
    signs = 2.0 * torch.randint(2, (runs, width), generator=generator, dtype=torch.int64) - 1
    start = torch.randn(runs, width, inputs, generator=generator, dtype=torch.float64)
    return Energies(signs.double(), start / math.sqrt(inputs), x.reshape(*shape, inputs))


def evaluated(energies: Energies, draws: Draws, discount: float, options: Proximity) -> Tensor:
    """Algorithm 2: weights [E, m, d] after a pass of TD(0) over the draws, one by one."""
    here = energies.at(draws.own, draws.choice)
    there = energies.at(draws.next_own, draws.next_choice)
    x, start = (torch.cat(parts, 2) for parts in zip(here, there, strict=True))
    shares = torch.cat([draws.law, -discount * draws.next_law], -1)
    goal = (1 - discount) * draws.reward + (start * shares).sum(-1)
    return _descended(energies, x, shares, goal, options)


def improved(
    energies: Energies, draws: Draws, target: Tensor, choice: Tensor, options: Proximity
) -> Tensor:
    """Algorithm 3: weights whose energy fits the table `target` [E, O, S, C], at uniform `choice`.

    Own states and laws are those of the draws.
    """
    runs = torch.arange(len(target))[:, None]
    x, start = energies.at(draws.own, choice)
    goal = ((target[runs, draws.own, :, choice] + start) * draws.law).sum(-1)
    return _descended(energies, x, draws.law, goal, options)


def _descended(
    energies: Energies, x: Tensor, shares: Tensor, goal: Tensor, options: Proximity
) -> Tensor:
    """Semi-gradient descent of (sum over k of shares_k f(x_k) - goal)^2 / 2, one step for each t.

    x is [E, T, K, d] and shares [E, T, K]; the first S of K are what F is a mean over, by which
    alone it is differentiated, the others the value of what follows. The start is not taken off f
    here: what it gives is part of the goal.
    """
    states, steps = energies.inputs.shape[1], goal.shape[1]
    signs = energies.signs[:, None] / math.sqrt(energies.signs.shape[1])  # [E, 1, m]
    weights, total = energies.start.clone(), torch.zeros_like(energies.start)
    for t in range(steps):
        before = weights @ x[:, t].mT  # [E, m, K]
        found = (signs @ torch.relu(before))[:, 0]
        gap = (found * shares[:, t]).sum(-1) - goal[:, t]
        pull = shares[:, t, :states] * gap[:, None]
        slope = ((before[..., :states] > 0) * pull[:, None]) @ x[:, t, :states]
        weights = torch.addcmul(weights, slope, signs.mT, value=-options.step)
        weights = _projected(energies, weights, options.radius)
        total += weights
    return total / steps if options.iterate == "average" else weights


def _projected(energies: Energies, weights: Tensor, radius: float) -> Tensor:
    """The nearest weights in the ball around the start."""
    apart = weights - energies.start
    length = apart.flatten(1).norm(dim=1)
    if length.max() <= radius:
        return weights
    found: Tensor = energies.start + (radius / length.clamp(min=radius))[:, None, None] * apart
    return found


def proximal_iterates(
    sampler: Sampler, options: Proximity, seed: int
) -> Iterator[Float[Tensor, "runs own states choices"]]:
    """Algorithm 1: the logits of K + 1 policies, the first of them uniform.

    The theorem bounds the best of them. The action values of the last one are not needed.
    """
    generator = torch.Generator().manual_seed(seed)
    energies = initial_energies(sampler.runs, sampler.shape, options.width, generator)
    energy = torch.zeros(sampler.runs, *sampler.shape, dtype=torch.float64)
    for k in range(options.iterations + 1):
        logits = energy / options.temperature(k)
        yield logits
        if k == options.iterations:
            return
        seen = sampler.draws(logits, options.steps)
        q = energies.table(evaluated(energies, seen, sampler.discount, options))
        target = options.temperature(k + 1) * (q / options.penalty + logits)
        seen = sampler.draws(logits, options.steps)
        uniform = torch.randint(sampler.shape[2], seen.choice.shape, generator=generator)
        energy = energies.table(improved(energies, seen, target, uniform, options))
