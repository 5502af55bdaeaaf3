"""Draws of agents who learn, and of paths that are kept, with less noise in what they add up to.

Half of the agents meet the opposite noise of the others: the mean of two opposite agents has none
of what is linear in it (antithetic variates; Hammersley and Morton 1956,
doi:10.1017/S0305004100031455). Normal noise of those who learn is besides made uncorrelated, over
the agents of a game, with that of the steps before, at its own variance (orthogonal draws; Yu et
al. 2016, arXiv:1610.09072): gains on the own state are learned from products of what has happened
with what will, which have mean 0, and which opposite agents have alike. Where rewards and dynamics
are linear-quadratic and policies affine, gradients along the path are then 0 at the best one.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

Laws = Mapping[str, Mapping[str, Any]]
"""What a module draws in each step, `NOISES`: of each variable of a group the law and its shape."""


def opposed(noise: Any, laws: Laws, field: str, half: int) -> Any:
    """Standard draws in which the last `half` agents of a population have the opposite of what the
    `half` before them have, where the noise is normal.
    """
    drawn, found = getattr(noise, field), {}
    for name in _normal(laws, field):
        values: Tensor = getattr(drawn, name)
        last = values.shape[1] - half
        found[name] = torch.cat([values[:, :last], -values[:, last - half : last]], 1)
    return noise._replace(**{field: drawn._replace(**found)}) if found else noise


class Uncorrelated:
    """Makes normal draws of the `half` agents before the last `half` uncorrelated with those of the
    steps before, as far back as there are half as many numbers of an agent as agents.
    """

    def __init__(self, laws: Laws, field: str, half: int) -> None:
        self.names, self.field, self.half = _normal(laws, field), field, half
        self.before: Tensor | None = None

    def of(self, noise: Any) -> Any:
        """The draws of the next step, with those of these agents changed."""
        if not self.names:
            return noise
        group = getattr(noise, self.field)
        drawn = [getattr(group, name)[:, -2 * self.half : -self.half] for name in self.names]
        rows = [v.flatten(2) if v.ndim > 2 else v[..., None] for v in drawn]
        width = sum(row.shape[-1] for row in rows)
        if not 0 < 2 * width <= self.half:
            return noise
        values = torch.cat(rows, -1)
        if self.before is not None:
            values = values - self.before @ (self.before.transpose(1, 2) @ values)
        axes, triangle = torch.linalg.qr(values)
        axes = axes * triangle.diagonal(dim1=1, dim2=2).sign()[:, None]
        kept = axes if self.before is None else torch.cat([self.before, axes], -1)
        self.before = kept[..., -(self.half // 2 // width * width) :]
        found, start = {}, 0
        for name, old, row in zip(self.names, drawn, rows, strict=True):
            new = axes[..., start : start + row.shape[-1]] * self.half**0.5
            start += row.shape[-1]
            whole = getattr(group, name)
            parts = [whole[:, : -2 * self.half], new.reshape(old.shape), whole[:, -self.half :]]
            found[name] = torch.cat(parts, 1)
        return noise._replace(**{self.field: group._replace(**found)})


def _normal(laws: Laws, field: str) -> list[str]:
    return [name for name, (law, _) in laws.get(field, {}).items() if law[0] == "normal"]
