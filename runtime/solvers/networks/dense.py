"""Plain networks over rows of a table, one for each game of a batch, and Adam on their weights.

All weights of a network lie in one row of a matrix [games, P], so that a solver keeps them as a
tensor of its state. Arithmetic is in single precision.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mfdsl.runtime.solvers.networks.history import GATES, History
from mfdsl.runtime.solvers.networks.reading import Reading

FIRST_MOMENT, SECOND_MOMENT, LEAST = 0.9, 0.999, 1e-8


@dataclass(frozen=True, eq=False)
class Shape:
    """`layers` hidden layers of `hidden` units between a reading and one number for each action.

    `law` is how many numbers of the law are read beside the rows; `memory` units of a gated unit
    are what is read of the `history` of a common state.
    """

    reading: Reading
    actions: int
    hidden: int
    layers: int
    law: int = 0
    memory: int = 0
    history: History | None = None

    @property
    def first(self) -> list[int]:
        """Widths of what enters the first layer."""
        widths = [part.width for part in self.reading.parts]
        return [*widths, *(n for n in (self.law, self.memory) if n)]

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Rows and columns of all matrices; biases are matrices of one row."""
        first = [(width, self.hidden) for width in self.first]
        inner = [(self.hidden, self.hidden), (1, self.hidden)] * (self.layers - 1)
        last = [(self.hidden, self.actions), (1, self.actions)]
        return [*first, (1, self.hidden), *inner, *last, *self.gates]

    @property
    def gates(self) -> list[tuple[int, int]]:
        """Sizes of the matrices of the memory."""
        if self.history is None:
            return []
        width = GATES * self.memory
        return [(self.history.seen.shape[-1], width), (self.memory, width), (1, width)]


def fresh(shape: Shape, games: int, seed: int, device: torch.device) -> Tensor:
    """Random weights [games, P], the same in each game; the outputs are zero everywhere."""
    source = torch.Generator().manual_seed(seed)
    sizes, inputs = shape.sizes, len(shape.first)
    last = len(sizes) - len(shape.gates) - 2
    flat = []
    for place, (rows, columns) in enumerate(sizes):
        parts = shape.reading.parts
        named = place < len(parts) and parts[place].values is None
        # a name is one and other features are about one, so that all parts count alike
        share = inputs * (1 if named else rows) if place < inputs else rows
        bias = rows == 1 and place >= inputs
        scale = 0 if bias or place in (last, last + 1) else math.sqrt(2 / share)
        drawn = torch.randn(rows, columns, generator=source, dtype=torch.float32)
        flat.append((drawn * scale).flatten())
    return torch.cat(flat).to(device).expand(games, -1).contiguous()


def unpacked(shape: Shape, weights: Tensor) -> list[Tensor]:
    """The matrices [games, rows, columns] of flat weights, as leaves of gradients."""
    parts = torch.split(weights, [rows * columns for rows, columns in shape.sizes], -1)
    found = zip(parts, shape.sizes, strict=True)
    return [part.reshape(-1, *size).detach().requires_grad_() for part, size in found]


def outputs(
    shape: Shape,
    leaves: Sequence[Tensor],
    rows: Tensor | None = None,
    law: Tensor | None = None,
    stages: slice | None = None,
) -> Tensor:
    """Numbers [B, N, A] at rows [N] of the reading, at all of them (of some stages) without.

    B is the number of networks; with laws [B, T, law], what is read of them at each stage, one
    network serves all.
    """
    parts, axes = shape.reading.parts, len(shape.reading.states)
    projected = [part.projected(w) for part, w in zip(parts, leaves, strict=False)]
    place, end = len(parts), len(leaves) - len(shape.gates)
    if law is not None:
        read = law @ leaves[place]
        projected.append(read.reshape(len(law), -1, *[1] * axes, shape.hidden))
        place += 1
    if shape.history is not None:
        kept = shape.history.remembered(*leaves[end:]) @ leaves[place][:, None]
        lead, after = [1] * shape.history.axis, [1] * (axes - shape.history.axis - 1)
        size = kept.shape[2]
        projected.append(kept.reshape(*kept.shape[:2], *lead, size, *after, shape.hidden))
        place += 1
    units = shape.reading.summed(projected, rows, stages) + leaves[place]
    batch = units.shape[:2]
    if len(units) > len(leaves[place]):
        units = units.flatten(0, 1)[None]
    return deepened(shape, leaves, units).view(*batch, -1)


def deepened(shape: Shape, leaves: Sequence[Tensor], units: Tensor) -> Tensor:
    """What the layers after the first make of its sums [B, N, hidden]: [B, N, A]."""
    place, end = len(shape.first), len(leaves) - len(shape.gates)
    units = torch.relu(units)
    for layer in range(place + 1, end - 2, 2):
        units = torch.relu(torch.baddbmm(leaves[layer + 1], units, leaves[layer]))
    return torch.baddbmm(leaves[end - 1], units, leaves[end - 2])


@dataclass(frozen=True, eq=False)
class Weights:
    """Weights [games, P] with the two averages of Adam, after `steps` steps."""

    values: Tensor
    mean: Tensor
    square: Tensor
    steps: int


def descended(
    shape: Shape,
    weights: Weights,
    loss: Callable[[list[Tensor], int], Tensor],
    *,
    steps: int,
    rate: float,
) -> Weights:
    """Steps of Adam on losses [games], each clipped to gradients of norm 1.

    Kingma and Ba 2015, arXiv 1412.6980. `loss` gets the matrices and the number of the step.
    """
    for step in range(steps):
        with torch.enable_grad():
            leaves = unpacked(shape, weights.values)
            slopes = torch.autograd.grad(loss(leaves, step).sum(), leaves)
        weights = adam(weights, torch.cat([s.flatten(1) for s in slopes], 1), rate)
    return weights


def adam(weights: Weights, slope: Tensor, rate: float) -> Weights:
    """One step against slopes [games, P], each clipped to norm 1."""
    slope = slope * (1 / slope.norm(dim=-1, keepdim=True).clamp(min=1.0))
    steps = weights.steps + 1
    mean = torch.lerp(weights.mean, slope, 1 - FIRST_MOMENT)
    square = torch.lerp(weights.square, slope * slope, 1 - SECOND_MOMENT)
    size = rate * math.sqrt(1 - SECOND_MOMENT**steps) / (1 - FIRST_MOMENT**steps)
    moved = torch.addcdiv(weights.values, mean, square.sqrt().add_(LEAST), value=-size)
    return Weights(moved, mean, square, steps)
