"""Observations of cooperative navigation as other simulators give them, from what our spec shows.

`seen` holds places `x` and velocities `v` [B, N, 2] and landmarks `world.landmark` [B, N, L, 2].
"""

from collections.abc import Mapping

import torch
from torch import Tensor

NEIGHBOURS = 5

Seen = Mapping[str, Tensor]


def everything(seen: Seen) -> Tensor:
    """VMAS: place, velocity, all landmarks and all others from where one stands; [B, N, 4N + 2]."""
    x = seen["x"]
    marks = seen["world.landmark"] - x[:, :, None]
    own = torch.arange(x.shape[1], device=x.device)[:, None]
    others = torch.arange(x.shape[1] - 1, device=x.device)[None]
    places = x[:, others + (others >= own)] - x[:, :, None]
    return torch.cat([x, seen["v"], marks.flatten(2), places.flatten(2)], -1)


def nearest(seen: Seen) -> Tensor:
    """PIC: velocity, place, the six nearest landmarks and five nearest others; [B, N, 26]."""
    x = seen["x"]
    points = torch.stack([seen["world.landmark"], x[:, None].expand(-1, x.shape[1], -1, -1)], 2)
    across, up = (points[..., k] - x[:, :, None, None, k] for k in (0, 1))
    order = (across * across).addcmul_(up, up).topk(NEIGHBOURS + 1, largest=False).indices
    first = torch.stack([across.gather(3, order), up.gather(3, order)], -1)
    marks, others = first[:, :, 0], first[:, :, 1, 1:]  # the nearest agent is oneself
    return torch.cat([seen["v"], x, marks.flatten(2), others.flatten(2)], -1)
