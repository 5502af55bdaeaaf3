"""Points of a finite space as counts: all that a likelihood needs of them.

A factor of a point is drawn from probabilities that depend on the time and on the factors before
it, so that paths enter the likelihood by how often each digit follows each beginning. Beginnings
are few where points share them (in a grid one and the number of its rows), and then all paths
together are less work than some of them one by one.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Followers:
    """Beginnings of points: the moment [U] and the digits before a factor [U, i] of each, and how
    often each digit of the factor followed, [U, size].
    """

    moment: Tensor
    before: Tensor
    counts: Tensor


def followers(digits: list[Tensor], sizes: list[int], most: int) -> list[Followers] | None:
    """Of the digits [M, n] of each factor of points at M moments; None where there are more than
    `most` beginnings.
    """
    moments = len(digits[0])
    moment = torch.arange(moments, device=digits[0].device)
    before = moment.new_zeros(moments, 0)
    row = moment[:, None].expand_as(digits[0])
    found: list[Followers] = []
    for digit, size in zip(digits, sizes, strict=True):
        if sum(len(f.moment) for f in found) + len(moment) > most:
            return None
        key = row * size + digit
        counts = torch.bincount(key.flatten(), minlength=len(moment) * size)
        found.append(Followers(moment, before, counts.reshape(-1, size)))
        (met,) = torch.nonzero(counts, as_tuple=True)
        place = torch.zeros_like(counts)
        place[met] = torch.arange(len(met), device=met.device)
        row, above = place[key], met // size
        moment = moment[above]
        before = torch.cat([before[above], (met % size)[:, None]], 1)
    return found
