"""The equation of a stationary response without what everybody reads of the law.

Scores then depend on scores by the chain of one agent alone, and the law on both: two blocks that
are eliminated in the states, by Schur complements. What is left out has the rank of what rewards
and moves read of the law, mostly a few numbers, so that GMRES with these blocks inverted ends after
as many steps (Murphy, Golub and Wathen 2000, doi 10.1137/S1064827599355153).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Blocks:
    """The blocks at a point: moves to `places` with `ways` by the policy `chances`, the law, and
    the factors of 1 - discount * chain and of 1 - chain transposed + what fills classes up.
    """

    places: Int[Tensor, "states actions ways"]
    ways: Float[Tensor, "states actions ways"]
    chances: Float[Tensor, "states actions"]
    law: Float[Tensor, " states"]
    discount: float
    values: tuple[Tensor, Tensor]
    laws: tuple[Tensor, Tensor]

    @classmethod
    def of(
        cls,
        places: Tensor,
        ways: Tensor,
        chances: Float[Tensor, "states actions"],
        law: Float[Tensor, " states"],
        fill: Float[Tensor, "states states"],
        legal: Bool[Tensor, "states actions"] | None,
        discount: float,
    ) -> "Blocks":
        """The blocks of moves whose tables may be short; nothing follows what is illegal."""
        states, actions = chances.shape
        size = (states, actions, max(places.shape[-1], ways.shape[-1]))
        ways, places = ways.detach().expand(size), places.expand(size)
        if legal is not None:
            ways = ways * legal[..., None]
        flat = torch.arange(states).to(places)[:, None, None] * states + places
        chain = ways.new_zeros(states * states)
        chain = chain.index_add(0, flat.reshape(-1), (ways * chances[..., None]).reshape(-1))
        chain = chain.reshape(states, states)
        one = torch.eye(states).to(chain)
        values, laws = one - discount * chain, one - chain.T + fill
        return cls(
            places,
            ways,
            chances,
            law,
            discount,
            _factors(values),
            _factors(laws),
        )

    def solve(self, right: Float[Tensor, " numbers"]) -> Float[Tensor, " numbers"]:
        """The blocks inverted: scores first, and what the law makes of them."""
        scores, law = self._split(right)
        kept = _solved(self.values, (self.chances * scores).sum(-1))
        found = scores + self.discount * self._ahead(kept)
        joint = self.law[:, None] * self.chances
        swayed = joint * (found - (self.chances * found).sum(-1, keepdim=True))
        moved = _solved(self.laws, law + self._pushed(swayed))
        return torch.cat([found.reshape(-1), moved])

    def solve_transposed(self, right: Float[Tensor, " numbers"]) -> Float[Tensor, " numbers"]:
        """Their transpose inverted: the law first."""
        scores, law = self._split(right)
        moved = _solved(self.laws, law, transposed=True)
        ahead = self._ahead(moved)
        joint = self.law[:, None] * self.chances
        scores = scores + joint * (ahead - (self.chances * ahead).sum(-1, keepdim=True))
        kept = _solved(self.values, self._pushed(scores), transposed=True)
        found = scores + self.discount * self.chances * kept[:, None]
        return torch.cat([found.reshape(-1), moved])

    def _ahead(self, values: Float[Tensor, " states"]) -> Float[Tensor, "states actions"]:
        return (self.ways * values[self.places]).sum(-1)

    def _pushed(self, joint: Float[Tensor, "states actions"]) -> Float[Tensor, " states"]:
        mass = (self.ways * joint[..., None]).reshape(-1)
        return joint.new_zeros(len(self.law)).index_add(0, self.places.reshape(-1), mass)

    def _split(self, right: Tensor) -> tuple[Tensor, Tensor]:
        states = len(self.law)
        return right[:-states].reshape(self.chances.shape), right[-states:]


def _factors(matrix: Tensor) -> tuple[Tensor, Tensor]:
    factors, pivots, _ = torch.linalg.lu_factor_ex(matrix)
    return factors, pivots


def _solved(factors: tuple[Tensor, Tensor], right: Tensor, *, transposed: bool = False) -> Tensor:
    found: Tensor = torch.linalg.lu_solve(*factors, right[:, None], adjoint=transposed)
    return found[:, 0]
