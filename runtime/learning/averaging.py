"""Means over the members of laws of a bent affine layer, with slopes by compiled loops.

Every member has the slope of its mean, which tensor operations write out for all of them before
they bend it back; here it never leaves the cache. Their code in `encoders.py` stays the reference
and runs on other devices. Slopes that are differentiated again are made of tensor operations.
"""

import torch
from torch import Tensor, nn

from mfdsl.runtime.views.native import available


def compiled(members: Tensor, layer: nn.Linear) -> bool:
    """Whether compiled loops apply: they have no gradients in the members [B, M, d]."""
    alike = members.dtype == layer.weight.dtype and members.ndim == 3
    return alike and members.device.type == "cpu" and not members.requires_grad and available()


def mean_tangents(members: Tensor, layer: nn.Linear) -> Tensor:
    """Means of the tangents of an affine layer over members [B, M, d], [B, h]."""
    found: Tensor = _MeanTangents.apply(members, layer.weight, layer.bias)  # type: ignore[no-untyped-call]
    return found


class _MeanTangents(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx, members: Tensor, weight: Tensor, bias: Tensor
    ) -> Tensor:
        # the bias is the weight of a further entry, which is not written out for all rows before
        numbers = torch.cat([members, members.new_ones(*members.shape[:2], 1)], -1)
        whole = torch.cat([weight, bias[:, None]], -1).T.contiguous()
        tangents = torch.mm(numbers.flatten(0, 1), whole).tanh_().view(*members.shape[:2], -1)
        ctx.save_for_backward(numbers, tangents, weight, bias)
        return tangents.sum(-2).div_(members.shape[1])

    @staticmethod
    def backward(
        ctx: torch.autograd.function.FunctionCtx, slope: Tensor
    ) -> tuple[None, Tensor, Tensor]:
        numbers, tangents, weight, bias = ctx.saved_tensors  # type: ignore[attr-defined]
        each = slope / tangents.shape[1]
        if torch.is_grad_enabled():  # within `create_graph`
            return None, *_slopes(numbers[..., :-1], each, weight, bias)
        from mfdsl.runtime.learning.averaging_native import slopes  # needs numba

        found = torch.zeros(numbers.shape[2], tangents.shape[2], dtype=torch.float64)
        slopes(*(v.numpy() for v in (numbers, tangents, each.contiguous(), found)))
        found = found.to(slope.dtype)
        return None, found[:-1].T, found[-1]


def _slopes(members: Tensor, each: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Slopes in `weight` [h, d] and `bias` [h] that have slopes themselves: `each` [B, h] is that
    of every tangent of a game.
    """
    tangents = torch.tanh(nn.functional.linear(members, weight, bias))
    before = each[:, None] * (1 - tangents**2)
    return torch.einsum("bmh,bmd->hd", before, members), before.sum((0, 1))
