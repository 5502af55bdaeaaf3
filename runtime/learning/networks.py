"""Plain networks."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

Activation = Literal["tanh", "relu", "silu"]
FEW = 16  # inputs of a layer
SHORT = 16  # numbers in a vector of a processor


class Tanh(nn.Module):
    """The hyperbolic tangent, in the place of its inputs, which nobody else may read."""

    def forward(self, values: Tensor) -> Tensor:
        """Tangents of all entries."""
        return values.tanh_()


ACTIVATIONS: dict[Activation, Callable[[], nn.Module]] = {
    "tanh": Tanh,
    "relu": partial(nn.ReLU, inplace=True),
    "silu": nn.SiLU,
}
"""Bends of what a layer puts out: in its place where slopes can be had from the results."""


class Linear(nn.Linear):
    """An affine layer; weights of few inputs are turned around first.

    Their gradient is up to twice as fast like this, that of many inputs slower.
    """

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs [..., out_features]."""
        if self.in_features > FEW or self.in_features >= self.out_features:
            return super().forward(inputs)
        flat = torch.addmm(self.bias, inputs.reshape(-1, self.in_features), turned(self.weight))
        return flat if inputs.ndim == 2 else flat.view(*inputs.shape[:-1], self.out_features)


def turned(weight: Tensor) -> Tensor:
    """Weights [outputs, inputs] in memory as [inputs, outputs]."""
    return weight.T.contiguous()


class Mlp(nn.Module):
    """Fully connected layers; weights orthogonal, the last layer times `last`."""

    def __init__(
        self,
        inputs: int,
        hidden: Sequence[int],
        outputs: int,
        activation: Activation = "tanh",
        last: float = 1.0,
    ) -> None:
        super().__init__()
        sizes = [inputs, *hidden]
        layers: list[nn.Module] = []
        for before, after in pairwise(sizes):
            layers += [_linear(before, after, 2**0.5), ACTIVATIONS[activation]()]
        layers.append(_linear(sizes[-1], outputs, last))
        self.layers = nn.Sequential(*layers)

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs [..., outputs]."""
        return chained(self.layers, inputs)


def chained(layers: Iterable[nn.Module], inputs: Tensor) -> Tensor:
    """Outputs [..., o] of layers one after another, affine ones first.

    All leading axes are one on the way, so that what a layer puts out is no view and can be bent in
    its place.
    """
    values = inputs.reshape(-1, inputs.shape[-1])
    for layer in layers:
        values = layer(values)
    return values.view(*inputs.shape[:-1], values.shape[-1])


def _linear(inputs: int, outputs: int, gain: float) -> nn.Linear:
    layer = Linear(inputs, outputs)
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer


def softmax(numbers: Tensor) -> Tensor:
    """Softmax over the last axis [..., c]."""
    return _by_columns(torch.softmax, numbers)


def log_softmax(numbers: Tensor) -> Tensor:
    """Log-softmax over the last axis [..., c]."""
    return _by_columns(torch.log_softmax, numbers)


def _by_columns(rule: Callable[[Tensor, int], Tensor], numbers: Tensor) -> Tensor:
    """A rule over the last axis, short rows as columns.

    Torch takes rows that are shorter than a vector of the processor one number after another, and
    columns side by side.
    """
    if numbers.shape[-1] >= SHORT or numbers.device.type != "cpu":
        return rule(numbers, -1)
    return rule(numbers.movedim(-1, 0).contiguous(), 0).movedim(0, -1)


def parameter_count(module: nn.Module) -> int:
    """How many numbers are trained."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def gradient_norm(parameters: Sequence[Tensor]) -> float:
    """Euclidean norm of all gradients together."""
    norms = [p.grad.norm() for p in parameters if p.grad is not None]
    return torch.stack(norms).norm().item() if norms else 0.0
