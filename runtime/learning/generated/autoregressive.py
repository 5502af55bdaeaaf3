"""An autoregressive generator on huge finite spaces: p(x | t) = prod_i p(x_i | x_1 .. x_{i-1}, t).

Factors are the finite scalars of a point, cells of grids as row and column, and long ranges as
digits, so that a space of any size has probabilities that are exact, without a table of it
(Larochelle and Murray 2011; Germain et al. 2015, arXiv:1502.03509). Values that no point has, walls
among them, have probability 0.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mfdsl.compiler.ir.model import Model
from mfdsl.compiler.ir.types import Type
from mfdsl.runtime.learning.features import places_of
from mfdsl.runtime.learning.generated.counts import Followers, followers
from mfdsl.runtime.learning.generated.generators import CLOCK, begun, beside, clock
from mfdsl.runtime.learning.networks import Mlp

LONGEST = 128  # values of a factor
UNSEEN = 1e-3  # part of the chances of a factor that is even (`_log_chances` says why)
TINY = 1e-30


@dataclass(frozen=True, eq=False)
class Factors:
    """The factors of one finite scalar: `digits` [size, factors], and `value` [*sizes], the place
    of a value by its digits, -1 where none has them.
    """

    first: int
    sizes: tuple[int, ...]
    digits: Tensor
    value: Tensor


def factors_of(kind: Type, model: Model) -> Factors:
    """The factors of a finite scalar type."""
    if kind.kind == "cell":
        digits, sizes, _ = places_of(kind, model)
    else:
        sizes, rest = (), kind.size
        while rest > LONGEST:
            sizes, rest = (LONGEST, *sizes), -(-rest // LONGEST)
        sizes = (rest, *sizes)
        place, columns = torch.arange(kind.size), []
        for size in reversed(sizes):
            columns.append(place % size)
            place = place // size
        digits = torch.stack(columns[::-1], -1)
    value = torch.full(sizes, -1)
    value[tuple(digits.unbind(-1))] = torch.arange(kind.size)
    return Factors(kind.first, sizes, digits, value)


class Autoregressive(nn.Module):
    """Probabilities of each factor, by a network of the factors before it and the time."""

    def __init__(
        self, kinds: tuple[Type, ...], model: Model, hidden: int, layers: int, told: int = 0
    ) -> None:
        super().__init__()
        self.scalars = [factors_of(kind, model) for kind in kinds]
        self.sizes = [size for scalar in self.scalars for size in scalar.sizes]
        self.networks = nn.ModuleList()
        before = 0
        for size in self.sizes:
            self.networks.append(Mlp(before + CLOCK + told, [hidden] * layers, size, "silu", 0.1))
            before += size

    def calibrate(self, paths: Tensor, told: Tensor) -> None:
        """Nothing is linear."""

    def draw(self, start: Tensor, share: Tensor, noise: Tensor) -> Tensor:
        """Points [T, n, d] from normal numbers; at share 0 the starts."""
        count, times = noise.shape[1], beside(share, noise.shape[1])
        digits: list[Tensor] = []
        read: list[Tensor] = [times]
        uniform = 0.5 * (1 + torch.erf(noise / 2**0.5))
        spent = uniform[..., 0]
        for place, size in enumerate(self.sizes):
            chances = self._log_chances(place, read, digits).exp()
            edges = chances.cumsum(-1)
            digit = (spent[..., None] >= edges[..., :-1]).sum(-1)
            low = torch.where(digit > 0, _picked(edges, (digit - 1).clamp(min=0)), 0.0)
            mass = _picked(chances, digit)
            # what is left of the number says what the next factor is
            spent = ((spent - low) / mass.clamp(min=1e-12)).clamp(0, 1 - 1e-6)
            if place + 1 in self._ends():
                axis = self._ends().index(place + 1) + 1
                if axis < uniform.shape[-1]:
                    spent = uniform[..., axis]
            digits.append(digit)
            read.append(nn.functional.one_hot(digit, size).to(times))
        made = self._values(digits).to(start).expand(len(share), count, -1)
        return begun(share, start, made)

    def log_probs(self, points: Tensor, share: Tensor) -> Tensor:
        """The logarithm of the probability [T, n] of points [T, n, d]."""
        digits = self._digits(points)
        read, total = [beside(share, points.shape[1])], torch.zeros(points.shape[:-1])
        total = total.to(read[0])
        for place, size in enumerate(self.sizes):
            logs = self._log_chances(place, read, digits[:place])
            total = total + _picked(logs, digits[place])
            read.append(nn.functional.one_hot(digits[place], size).to(read[0]))
        return total

    def followers(self, points: Tensor, most: int) -> list[Followers] | None:
        """What the likelihood needs of points [M, n, d]; None where that is more than `most`."""
        return followers(self._digits(points), self.sizes, most)

    def likelihood(self, found: list[Followers], share: Tensor) -> Tensor:
        """The mean of `log_probs` over the points at moments `share` that are counted."""
        times, total = clock(share), share.new_zeros(())
        for place, rows in enumerate(found):
            digits = list(rows.before.unbind(-1))
            read = [
                nn.functional.one_hot(digit, size).to(times)
                for digit, size in zip(digits, self.sizes, strict=False)
            ]
            logs = self._log_chances(place, [times[rows.moment], *read], digits)
            total = total + (rows.counts * logs.where(rows.counts > 0, 0.0)).sum()
        return total / found[0].counts.sum()

    def table(self, share: Tensor) -> Tensor:
        """The probabilities [T, S] of all points, in the order of their tables (row-major).

        Each beginning is asked for once, however many points share it.
        """
        axes = [torch.arange(len(s.digits)) + s.first for s in self.scalars]
        every = torch.cartesian_prod(*axes).reshape(-1, len(axes)).to(share)
        total = share.new_zeros(len(share), len(every))
        which = total.new_zeros(len(every), dtype=torch.int64)  # the beginning of each point
        known = which.new_zeros(1, 0)  # the digits of each beginning
        for place, (digit, size) in enumerate(zip(self._digits(every), self.sizes, strict=True)):
            before = list(known.expand(len(share), *known.shape).unbind(-1))
            read = [beside(share, len(known))]
            for old, of in zip(before, self.sizes, strict=False):
                read.append(nn.functional.one_hot(old, of).to(read[0]))
            total = total + self._log_chances(place, read, before)[:, which, digit]
            met, which = torch.unique(which * size + digit, return_inverse=True)
            known = torch.cat([known[met // size], (met % size)[:, None]], 1)
        return total.exp()

    def _log_chances(self, place: int, read: list[Tensor], digits: list[Tensor]) -> Tensor:
        """Of one factor, given those before; values that no point has are left out.

        A part is even among the others: likelihood lets chances of what no path met go to 0, and
        where agents are paid by minus their logarithm that is an error without bounds.
        """
        logits = self.networks[place](torch.cat(read, -1))
        possible = self._possible(place, digits)
        if possible is None:
            possible = torch.ones_like(logits, dtype=torch.bool)
        chances = torch.softmax(logits.masked_fill(~possible, -torch.inf), -1)
        even = possible / possible.sum(-1, keepdim=True)
        logs = ((1 - UNSEEN) * chances + UNSEEN * even).clamp(min=TINY).log()
        return logs.masked_fill(~possible, -torch.inf)

    def _possible(self, place: int, digits: list[Tensor]) -> Tensor | None:
        start = 0
        for scalar in self.scalars:
            end = start + len(scalar.sizes)
            if place < end:
                there = scalar.value >= 0
                if bool(there.all()):
                    return None
                own = place - start
                left = there.flatten(own + 1).any(-1) if own + 1 < there.ndim else there
                return left[tuple(digits[start:place])] if own else left
            start = end
        raise IndexError(place)

    def _ends(self) -> list[int]:
        ends, total = [], 0
        for scalar in self.scalars:
            total += len(scalar.sizes)
            ends.append(total)
        return ends

    def _digits(self, points: Tensor) -> list[Tensor]:
        found: list[Tensor] = []
        for axis, scalar in enumerate(self.scalars):
            place = points[..., axis].round().long() - scalar.first
            found += scalar.digits.to(place.device)[place].unbind(-1)
        return found

    def _values(self, digits: list[Tensor]) -> Tensor:
        values, start = [], 0
        for scalar in self.scalars:
            own = digits[start : start + len(scalar.sizes)]
            values.append(scalar.value.to(own[0].device)[tuple(own)] + scalar.first)
            start += len(scalar.sizes)
        return torch.stack(values, -1)


def _picked(values: Tensor, index: Tensor) -> Tensor:
    return values.gather(-1, index[..., None])[..., 0]
