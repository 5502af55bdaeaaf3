"""Types of the language as spaces of gymnasium, and what lies in a space as values of a type."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
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


def acts(parts: dict[str, Space[Any]]) -> Space[Any]:
    """The space of one action, or a dictionary of several by name."""
    return next(iter(parts.values())) if len(parts) == 1 else spaces.Dict(parts)


def point_of(given: Any, space: Space[Any], name: str) -> Any:
    """What a learner gave as arrays in a space, be it numbers, lists, or tensors of torch.

    Raises:
        ValueError: names what is wrong with it.
    """
    if not isinstance(space, spaces.Dict):
        return _inside(_array(given, name), space, name)
    wanted = ", ".join(f"`{part}`" for part in space.spaces)
    if not isinstance(given, Mapping):
        raise ValueError(f"{name} is a {type(given).__name__}, not a dictionary of {wanted}")
    if missing := [part for part in space.spaces if part not in given]:
        raise ValueError(f"{name} lacks `{missing[0]}`: it is a dictionary of {wanted}")
    return {part: point_of(given[part], kind, f"`{part}`") for part, kind in space.spaces.items()}


def _array(given: Any, name: str) -> NDArray[Any]:
    try:
        found = np.asarray(given.detach().cpu() if isinstance(given, Tensor) else given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name} is no array: {error}") from None
    if found.dtype.kind not in "biuf":
        raise ValueError(f"{name} is {given!r}, which is no number and no array of numbers")
    return found


def _inside(found: NDArray[Any], space: Space[Any], name: str) -> NDArray[Any]:
    """The array, whole where the space is; compared with bounds in the precision of the space."""
    if found.shape != space.shape:
        raise ValueError(
            f"{name} has shape {list(found.shape)}, expected {list(space.shape or ())}"
        )
    whole = np.issubdtype(space.dtype, np.integer)
    if (odd := ~np.isfinite(found) | (whole & (found != np.rint(found)))).any():
        wanted = "a whole number" if whole else "a finite number"
        raise ValueError(f"{name} is {found[odd][0]:g}, which is not {wanted}")
    compared = found.astype(space.dtype)
    low, high = np.broadcast_arrays(*_bounds(space), compared)[:2]
    if (outside := (compared < low) | (compared > high)).any():
        least, most = low[outside][0], high[outside][0]
        domain = f"0..{most}, which count from 0" if whole else f"[{least:g}, {most:g}]"
        raise ValueError(f"{name} is {found[outside][0]:g}, outside of {domain}")
    return compared if whole else found


def _bounds(space: Space[Any]) -> tuple[Any, Any]:
    """Lowest and highest point of a box, or of counts from 0."""
    if isinstance(space, spaces.Box):
        return space.low, space.high
    if isinstance(space, spaces.MultiDiscrete):
        return 0, space.nvec - 1
    assert isinstance(space, spaces.Discrete)
    return 0, space.n - 1
