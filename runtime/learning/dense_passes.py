"""Passes through fully connected networks whose slopes are worked out here.

Where the slope of a loss in the outputs of a network is known, its gradient is two products of
matrices a layer: nothing is recorded on the way, and bends are undone in the place of slopes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mfdsl.runtime.learning.networks import Mlp, Tanh


@dataclass(frozen=True, eq=False)
class Pass:
    """What went into each affine layer, and what came out of the last."""

    inputs: Sequence[Float[Tensor, "rows width"]]
    outputs: Float[Tensor, "rows outputs"]


@torch.no_grad()
def passed(network: Mlp, values: Float[Tensor, "rows inputs"]) -> Pass:
    """The pass of some rows."""
    inputs: list[Tensor] = []
    for layer in network.layers:
        if isinstance(layer, nn.Linear):
            inputs.append(values)
            # a bias added later is not written out for all rows before the product
            values = torch.mm(values, layer.weight.T).add_(layer.bias)
        else:
            values = layer(values)  # in the place of what came out of an affine layer
    return Pass(inputs, values)


@torch.no_grad()
def descend(network: Mlp, found: Pass, slopes: Float[Tensor, "rows outputs"]) -> None:
    """Set the gradients of all parameters from the slopes of a loss in the outputs.

    Raises:
        TypeError: a bend's slope cannot be told from what it put out.
    """
    layers = list(network.layers)
    affine = [layer for layer in layers if isinstance(layer, nn.Linear)]
    bend = layers[1] if len(layers) > 1 else None
    for place in reversed(range(len(affine))):
        layer, before = affine[place], found.inputs[place]
        layer.weight.grad = slopes.T @ before
        layer.bias.grad = slopes.sum(0)
        if place:
            slopes = _unbent(bend, slopes @ layer.weight, before)


def _unbent(bend: nn.Module | None, slopes: Tensor, bent: Tensor) -> Tensor:
    """Slopes in what went into a bend, from those in what came out, which is `bent`."""
    found: Tensor
    if isinstance(bend, nn.ReLU):
        found = torch.ops.aten.threshold_backward(slopes, bent, 0)
    elif isinstance(bend, Tanh):
        found = torch.ops.aten.tanh_backward(slopes, bent)
    else:
        raise TypeError(f"slopes of {type(bend).__name__} need what went in")
    return found
