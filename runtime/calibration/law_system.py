"""The system of a response in time with the laws between scores and scores.

Where rewards and moves read laws of states, scores z answer laws, z = B(l), and laws follow scores,
l = L(z). With their derivatives (1 - B' L')^{-1} = 1 + B' (1 - L' B')^{-1} L' (Woodbury's identity;
Hager 1989, doi 10.1137/1031049): the matrix has a row for each state at each stage, and not for
each action there, and takes as many backward passes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mfdsl.runtime.calibration.linear import Eliminated, Function, products

ALIKE = 1e-9  # relative: slopes in masses of actions as close as this are slopes in their sum
SEED = 4

Flow = Callable[[Tensor], tuple[Tensor, Tensor]]
Answer = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class ByLaws:
    """`met` is L' [laws, scores], `answer` is B, scores from `laws`, and `middle` is 1 - L' B'."""

    met: Float[Tensor, "laws scores"]
    answer: Function
    laws: Float[Tensor, "stages states"]
    middle: Eliminated

    @classmethod
    def of(
        cls,
        flow: Flow,
        answer: Answer,
        point: Float[Tensor, "stages states actions"],
        chances: Float[Tensor, "stages states actions"],
        legal: Bool[Tensor, "stages states actions"] | None,
    ) -> "ByLaws | None":
        """The system at a point with these chances of actions: `flow` has the laws and joint laws
        of scores, `answer` the scores that answer these. None where it reads more than laws.
        """
        with torch.enable_grad():
            here = point.detach().requires_grad_()
            laws, joints = flow(here)
            if not _reads_laws(answer, laws.detach(), joints.detach(), chances, legal):
                return None

            def answered(law: Tensor) -> Tensor:
                return answer(law, law[:-1, :, None] * chances)

            unit = torch.eye(laws.numel()).to(laws).reshape(-1, *laws.shape)
            (met,) = torch.autograd.grad(laws, here, unit, is_grads_batched=True)
            there = laws.detach().requires_grad_()
            value = answered(there) + 0 * there.sum()  # a game may not read the law at all
            (around,) = torch.autograd.grad(value, there, met, is_grads_batched=True)
        count = laws.numel()
        middle = Eliminated.factored(around.reshape(count, count))
        return cls(met.reshape(count, -1), answered, laws.detach(), middle)

    def solve(self, right: Tensor) -> Tensor | None:
        """The solution of (1 - B' L') x = right; None where there is none."""
        moved = (self.met @ right.reshape(-1)).reshape(self.laws.shape)
        found = self.middle.solve(moved)
        return None if found is None else right + products(self.answer, self.laws)(found)

    def solve_transposed(self, right: Tensor) -> Tensor | None:
        """That of (1 - B' L')^T x = right."""
        with torch.enable_grad():
            there = self.laws.detach().requires_grad_()
            (pulled,) = torch.autograd.grad(self.answer(there) + 0 * there.sum(), there, right)
        found = self.middle.solve_transposed(pulled)
        if found is None:
            return None
        return right + (found.reshape(-1) @ self.met).reshape(right.shape)


def _reads_laws(
    answer: Answer,
    laws: Tensor,
    joints: Tensor,
    chances: Tensor,
    legal: Tensor | None,
) -> bool:
    """Whether answers change alike with the mass of each legal action of a state, at this point.

    One backward pass: were they not alike, a random combination of answers would hardly be.
    """
    there = joints.requires_grad_()
    value = answer(laws, there) + 0 * there.sum()
    weights = torch.randn(value.shape, generator=torch.Generator().manual_seed(SEED))
    (slopes,) = torch.autograd.grad(value, there, weights.to(value))
    off = (slopes - (slopes * chances).sum(-1, keepdim=True)).abs()
    if legal is not None:
        off = off.where(legal, 0.0)
    return bool(off.amax() <= ALIKE * slopes.abs().amax())
