"""Opposite draws for half of the agents who learn: less noise in gradients along the path.

Where rewards and dynamics are linear-quadratic and policies affine, the gradient that two agents of
opposite noise have in common is exact in all that does not go by their own noise (antithetic
variates; Hammersley and Morton 1956, doi:10.1017/S0305004100031455).
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def opposed(noise: Any, laws: Mapping[str, Mapping[str, Any]], field: str, half: int) -> Any:
    """Standard draws in which the last `half` agents of a population have the opposite of what the
    `half` before them have, where the noise is normal.
    """
    normal = [name for name, (law, _) in laws.get(field, {}).items() if law[0] == "normal"]
    if not normal:
        return noise
    drawn, found = getattr(noise, field), {}
    for name in normal:
        values: Tensor = getattr(drawn, name)
        last = values.shape[1] - half
        found[name] = torch.cat([values[:, :last], -values[:, last - half : last]], 1)
    return noise._replace(**{field: drawn._replace(**found)})
