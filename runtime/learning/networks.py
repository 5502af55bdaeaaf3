"""Plain networks."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

Activation = Literal["tanh", "relu", "silu"]
ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU, "silu": nn.SiLU}


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
        found: Tensor = self.layers(inputs)
        return found


def _linear(inputs: int, outputs: int, gain: float) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer


def parameter_count(module: nn.Module) -> int:
    """How many numbers are trained."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def gradient_norm(parameters: Sequence[Tensor]) -> float:
    """Euclidean norm of all gradients together."""
    norms = [p.grad.norm() for p in parameters if p.grad is not None]
    return torch.stack(norms).norm().item() if norms else 0.0
