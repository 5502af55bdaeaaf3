"""Types of the language as spaces of gymnasium, and what lies in a space as values of a type."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from mfdsl.compiler.ir.types import Type

try:
    from gymnasium import Space, spaces
except ImportError as error:
    raise ImportError("environments need `pip install 'mfdsl[rl]'`") from error


def space_of(kind: Type) -> Space[Any]:
    """Finite values counted from 0, real ones in the box around them, in single precision."""
    if kind.finite:
        sizes = np.full(kind.dims, kind.size)
        return spaces.MultiDiscrete(sizes) if kind.dims else spaces.Discrete(kind.size)
    low, high = (np.broadcast_to(end, kind.dims).astype(np.float32) for end in ends_of(kind))
    return spaces.Box(low, high)


def ends_of(kind: Type) -> tuple[Any, Any]:
    """Lowest and highest value, for each entry of the last axis where they differ."""
    if kind.box is not None:
        return tuple(np.array(kind.box).T)
    low = -np.inf if kind.lo is None else kind.lo
    return low, np.inf if kind.hi is None else kind.hi


def values_of(given: Any, kind: Type) -> Tensor:
    """Values of a type from points of its space; those around a ball move to its nearest point."""
    value = torch.as_tensor(np.asarray(given))
    if kind.finite:
        value = value + kind.first
    if kind.ball is not None:
        length = torch.linalg.vector_norm(value, dim=-1, keepdim=True)
        value = value * (kind.ball / length).clamp(max=1)
    return value
