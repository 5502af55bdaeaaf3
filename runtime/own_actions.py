"""Actions that somebody's own function gives: what is none of the spec is refused, never played."""

from typing import Any

import torch
from torch import Tensor

from mfdsl.compiler.ir.types import Type

ROUNDING = 1e-5  # of the width of an interval: squashed values of single precision


class ActionError(ValueError):
    """Actions that are none of the game: missing, of another shape, out of range or forbidden."""


def tensor_of(given: Any, device: torch.device, name: str) -> Tensor:
    """What was given as a tensor on a device.

    Raises:
        ActionError: it is none, or not one of real numbers.
    """
    try:
        value = torch.as_tensor(given, device=device)
    except (TypeError, ValueError, RuntimeError):
        kind = "a meta tensor" if _is_meta(given) else f"of type {type(given).__name__}"
        raise ActionError(f"{name} is {kind}, which holds no numbers") from None
    if value.is_complex() or value.layout != torch.strided:
        kind = "complex" if value.is_complex() else "sparse"
        raise ActionError(f"{name} is {kind}, and actions are dense tensors of real numbers")
    return value


def _is_meta(given: Any) -> bool:
    return isinstance(given, Tensor) and given.is_meta


def fitting(value: Tensor, kind: Type, name: str) -> Tensor:
    """The values as the module takes them: whole numbers and bools for finite actions.

    Raises:
        ActionError: a value is not finite, not whole where it has to be, or outside of the domain.
    """
    if value.numel() == 0:
        return value
    seen = value.detach()
    whole = kind.kind != "real"
    if seen.is_floating_point():
        odd = ~torch.isfinite(seen)
        odd = odd | (seen != seen.round()) if whole else odd
        if bool(odd.any()):
            wanted = "a whole number" if whole else "a finite number"
            raise ActionError(f"{name} is {seen[odd][0].item():g}, which is not {wanted}")
    _check_ends(seen, kind, name)
    if not whole:
        return value
    return value.bool() if kind.kind == "bool" else value.long()


def _check_ends(seen: Tensor, kind: Type, name: str) -> None:
    if kind.periodic and kind.kind == "real":
        return  # a position on a circle is any number
    low, high = _ends(seen, kind)
    outside = torch.zeros_like(seen, dtype=torch.bool)
    if low is not None:
        outside |= seen < low
    if high is not None:
        outside |= seen > high
    if kind.ball is not None:
        far = torch.linalg.vector_norm(seen, dim=-1, keepdim=True) > kind.ball * (1 + ROUNDING)
        outside |= far.expand_as(outside)
    if bool(outside.any()):
        raise ActionError(f"{name} is {seen[outside][0].item():g}, outside of {_domain(kind)}")


def _domain(kind: Type) -> str:
    if kind.ball is not None:
        return f"the ball of radius {kind.ball:g}"
    if kind.box is not None:
        return " x ".join(f"[{low:g}, {high:g}]" for low, high in kind.box)
    low, high = ("" if end is None else f"{end:g}" for end in (kind.lo, kind.hi))
    return f"[{low}, {high}]" if kind.kind == "real" else f"{low}..{high}"


def _ends(seen: Tensor, kind: Type) -> tuple[Tensor | float | None, Tensor | float | None]:
    """The lowest and the highest value that are taken, with room for rounding of reals."""
    if kind.box is not None:
        ends = torch.tensor(kind.box, dtype=seen.dtype, device=seen.device)
        room = ROUNDING * (ends[:, 1] - ends[:, 0])
        return ends[:, 0] - room, ends[:, 1] + room
    if kind.kind != "real" or kind.lo is None or kind.hi is None:
        return kind.lo, kind.hi
    margin = ROUNDING * (kind.hi - kind.lo)
    return kind.lo - margin, kind.hi + margin
