"""Draws from a decision process on laws, for policies that see a law through samples of it."""

from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from mfdsl.runtime.learning.mean_field_mdp import MeanFieldMDP
from mfdsl.runtime.learning.proximal_energy import Draws

Visits = Literal["stationary", "discounted"]


@dataclass(frozen=True, eq=False)
class LawChains:
    """Lifted mode: one draw of a rule for all agents, from what `samples` draws of the law show.

    Chains start at uniformly drawn laws and are looked at after `burn` steps (`stationary`, as in
    the paper), or after a geometric time (`discounted`), when laws that the policy leaves soon are
    seen as well.
    """

    mdp: MeanFieldMDP
    runs: int
    samples: int
    generator: torch.Generator = field(repr=False)
    visits: Visits = "stationary"
    burn: int = 60

    @property
    def shape(self) -> tuple[int, int, int]:
        """No own state: all agents follow the rule that is drawn."""
        return 1, self.mdp.laws.shape[1], len(self.mdp.rules)

    @property
    def discount(self) -> float:
        """Weight of the next reward."""
        return self.mdp.discount

    def draws(self, logits: Tensor, steps: int) -> Draws:
        """Transitions under softmax(sum over s' of share(s') logits(s', rule))."""
        mdp, table = self.mdp, logits[:, 0]
        law = torch.randint(len(mdp.laws), (self.runs, steps), generator=self.generator)
        left = self._times((self.runs, steps))
        for t in range(int(left.max())):
            rule = self._rule(table, self._seen(law))
            law = torch.where(t < left, self._next(law, rule), law)
        seen = self._seen(law)
        rule = self._rule(table, seen)
        after = self._next(law, rule)
        next_seen = self._seen(after)
        none = torch.zeros_like(law)
        reward = mdp.rewards[law, rule]
        ahead = self._rule(table, next_seen)
        return Draws(none, seen, rule, reward, none, next_seen, ahead)

    def _times(self, shape: tuple[int, int]) -> Tensor:
        if self.visits == "stationary":
            return torch.full(shape, self.burn)
        uniform = torch.rand(shape, generator=self.generator, dtype=torch.float64)
        return (uniform.log() / torch.tensor(self.discount).double().log()).long()

    def _seen(self, law: Tensor) -> Float[Tensor, "runs steps states"]:
        """Shares of the states among draws from laws with these numbers [E, T]."""
        edges = self.mdp.laws.cumsum(-1)[law][..., None, :-1]
        shape = (*law.shape, self.samples)
        uniform = torch.rand(shape, generator=self.generator, dtype=torch.float64)
        beyond = (uniform[..., None, :] >= edges.transpose(-1, -2)).sum(-1)  # [E, T, S - 1]
        none = torch.zeros_like(beyond[..., :1])
        ends = torch.cat((none + self.samples, beyond, none), -1)
        return -ends.diff(dim=-1).double() / self.samples

    def _rule(self, table: Tensor, seen: Tensor) -> Tensor:
        return self._choice(torch.softmax(torch.einsum("esr,ets->etr", table, seen), -1))

    def _next(self, law: Tensor, rule: Tensor) -> Tensor:
        return self._choice(self.mdp.transitions[law, rule])

    def _choice(self, chances: Tensor) -> Tensor:
        edges = chances.cumsum(-1)[..., :-1]
        uniform = torch.rand(edges.shape[:-1], generator=self.generator, dtype=torch.float64)
        return (uniform[..., None] >= edges).sum(-1)


def policy_on_laws(
    mdp: MeanFieldMDP, logits: Tensor, samples: int | None = None
) -> Float[Tensor, "runs laws rules"]:
    """The policies [E, L, R] of energies' logits [E, 1, S, R].

    With `samples` the law is seen through so many draws, all tallies of which are weighted by
    their chances; without, it is seen itself.
    """
    table = logits[:, 0]
    if samples is None:
        return torch.softmax(torch.einsum("esr,ls->elr", table, mdp.laws), -1)
    from mfdsl.runtime.finite_population.grid import tallies

    counts = torch.from_numpy(tallies(samples, mdp.laws.shape[1])).double()
    ways = torch.lgamma(counts.sum(-1) + 1) - torch.lgamma(counts + 1).sum(-1)
    chances = ways.exp() * torch.pow(mdp.laws[:, None], counts).prod(-1)  # [L, K]
    each = torch.softmax(torch.einsum("esr,ks->ekr", table, counts / samples), -1)
    return torch.einsum("lk,ekr->elr", chances, each)
