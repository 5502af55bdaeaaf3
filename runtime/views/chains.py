"""Laws in which small Markov chains end, to full precision however slowly they get there.

One step of length 1 / r in mean, mu <- r mu (I - (1 - r) P)^-1, keeps of mu what P keeps and leaves
r / (r + g) of what P loses at the rate g. Elimination without subtractions (Grassmann, Taksar and
Heyman 1985; O'Cinneide 1993, doi 10.1007/BF01385642) solves this to relative rounding in every
entry, also where r is far below the unit of rounding of I - P, so r can be as small as the change
of a law that is of no interest, and two or three steps reach the limit. `native_chains.py` has the
same as compiled loops.
"""

import torch
from jaxtyping import Float
from torch import Tensor

LEAVING = 1e-14
MOST_STEPS = 8


def limit_laws(
    chains: Float[Tensor, "batch states states"], laws: Float[Tensor, "batch states"]
) -> Float[Tensor, "batch states"]:
    """The limits of laws under half steps of chains, in double precision.

    Diagonals are not read: what does not leave a state stays there.
    """
    leaving = (1 - LEAVING) * chains
    leaving.diagonal(dim1=1, dim2=2).zero_()
    pivots, lower = _eliminated(leaving, torch.full_like(laws, LEAVING))
    for _ in range(MOST_STEPS):
        ahead = _solved(leaving, pivots, lower, LEAVING * laws)
        ahead = ahead / ahead.sum(1, keepdim=True)
        change = (ahead - laws).abs().sum(1).max()
        laws = ahead
        if change <= 4 * torch.finfo(laws.dtype).eps:
            break
    return laws


def _eliminated(upper: Tensor, left: Tensor) -> tuple[Tensor, Tensor]:
    """Eliminate in place from rates of leaving [B, S, S]: pivots [B, S] and factors [B, S, S].

    `left` [B, S] are the row sums of I - (1 - r) P. Pivots are sums of what leaves to states that
    come later, so nothing is subtracted.
    """
    lower = torch.zeros_like(upper)
    pivots = torch.empty_like(left)
    for k in range(upper.shape[-1]):
        pivots[:, k] = left[:, k] + upper[:, k, k + 1 :].sum(1)
        factor = upper[:, k + 1 :, k] / pivots[:, k, None]
        lower[:, k + 1 :, k] = factor
        upper[:, k + 1 :, k + 1 :] += factor[:, :, None] * upper[:, k, None, k + 1 :]
        left[:, k + 1 :] += factor * left[:, k, None]
    return pivots, lower


def _solved(upper: Tensor, pivots: Tensor, lower: Tensor, right: Tensor) -> Tensor:
    """The x [B, S] with x (I - (1 - r) P) = right; diagonals of `upper` are not read."""
    states = right.shape[1]
    found = right.clone()
    for k in range(states):
        found[:, k] /= pivots[:, k]
        found[:, k + 1 :] += found[:, k, None] * upper[:, k, k + 1 :]
    for k in reversed(range(states - 1)):
        found[:, k] += (found[:, k + 1 :] * lower[:, k + 1 :, k]).sum(1)
    return found
