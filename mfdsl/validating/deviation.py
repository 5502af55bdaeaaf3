"""How unlikely observed frequencies are, with a bound that holds for every sample size.

For n draws from a law p over k outcomes, n KL(observed || p) has a moment generating function at
most (1 - s)^-(k - 1) for 0 <= s < 1 (Agrawal 2020, "Finite-sample concentration of the multinomial
in relative entropy", arXiv:1904.02291), so that sums over independent rows exceed x > d with
probability at most exp(d - x) (x / d)^d, d the sum of the k - 1.
"""

import math

import torch
from torch import Tensor

NEVER = 1e-15  # a probability of which rounding is all there is: such an outcome must not occur


def divergences(counts: Tensor, law: Tensor) -> tuple[Tensor, Tensor]:
    """The divergence n KL(observed || law) of each row, and its degrees of freedom k - 1.

    `counts` and `law` are [R, K]; infinite where an outcome of no probability was seen.
    """
    total = counts.sum(-1, keepdim=True)
    possible = law > NEVER
    expected = total * torch.where(possible, law, 1.0)
    ratio = torch.where(counts > 0, counts / expected.clamp(min=1e-300), 1.0)
    found = (counts * ratio.log()).sum(-1).clamp(min=0.0)
    impossible = ((counts > 0) & ~possible).any(-1)
    return found.masked_fill(impossible, math.inf), (possible.sum(-1) - 1).clamp(min=0)


def log_chance(divergence: float, freedom: int) -> float:
    """The logarithm of a bound of the probability that a sum of divergences is so large, 0 or less.

    With one possible outcome only there is nothing to deviate: rounding of its probability aside.
    """
    if math.isinf(divergence):
        return -math.inf
    if freedom == 0 or divergence <= freedom:
        return 0.0
    return freedom - divergence + freedom * math.log(divergence / freedom)
