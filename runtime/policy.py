"""Tabular policies: a probability of each action at each stage and state, with named access."""

from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mfdsl.runtime.layout import inner, outer

Ties = Literal["share", "first"]
TIE_MARGIN = 1e-12
LISTED = 12  # labels in a message
ROUNDED = 64  # times the unit of rounding: what sums of chances may be off by
TRUTH = ("false", "true")  # of the labels of a truth value


@dataclass(frozen=True)
class Axis:
    """A finite variable: its values are `first`, `first + 1`, ..., or labels: `false` and
    `true`, those of an enum, the nodes or links of a graph, the moves of a grid. Numbers are taken
    as places among labels, too.

    With a `step` it is a grid: its values are `low`, `low + step`, ...
    """

    name: str
    size: int
    first: int = 0
    labels: tuple[str, ...] = ()
    low: float = 0.0
    step: float | None = None

    def position(self, value: float | str | bool) -> int:
        """Place of the value on the axis; on a grid that of the nearest point.

        Raises:
            ValueError: it is not one of the values.
        """
        if isinstance(value, str):
            if value not in self.labels:
                known = ", ".join(self.labels[:LISTED]) or f"numbers, {self.size} from {self.first}"
                known += f", ... ({self.size})" if len(self.labels) > LISTED else ""
                raise ValueError(f"{self.name} has no value {value}; it has {known}")
            return self.labels.index(value)
        if self.step is not None:
            return self._nearest(float(value))
        place = int(value) - self.first
        if not 0 <= place < self.size:
            last = self.first + self.size - 1
            raise ValueError(f"{self.name} lies in {self.first}..{last}, not {value}")
        return place

    def value(self, position: int) -> float | int | str:
        """The value at a place on the axis, as `position` takes it."""
        if self.labels:
            return self.labels[position]
        return self.first + position if self.step is None else self.low + position * self.step

    def _nearest(self, value: float) -> int:
        assert self.step is not None
        place = round((value - self.low) / self.step)
        if not 0 <= place < self.size:
            high = self.low + (self.size - 1) * self.step
            raise ValueError(f"{self.name} lies in [{self.low:g}, {high:g}], not {value:g}")
        return place


@dataclass(frozen=True, eq=False)
class TabularPolicy:
    """`probs` [B, T, S, A]: probability of each action; T = 1 for a stationary policy.

    States and actions are flat, row-major over the axes.
    """

    probs: Float[Tensor, "batch stages states actions"]
    states: tuple[Axis, ...] = field(default=())
    actions: tuple[Axis, ...] = field(default=())

    @property
    def stages(self) -> int:
        """Number of decision stages T, 1 for a stationary policy."""
        return self.probs.shape[1]

    def at(self, t: int, **values: float | str | bool) -> Tensor:
        """Probabilities of the actions at stage t in the state with these values, named.

        The result is [B, *A], one axis for each action variable. A stationary policy ignores t.

        Raises:
            ValueError: a state variable is missing or unknown, a value is out of range, or t
                is not a stage.
        """
        names = {axis.name for axis in self.states}
        if set(values) != names:
            raise ValueError(f"give each of {sorted(names)} once, not {sorted(values)}")
        if self.stages > 1 and not 0 <= t < self.stages:
            raise ValueError(f"stages are 0..{self.stages - 1}, not {t}")
        state = 0
        for axis in self.states:
            state = state * axis.size + axis.position(values[axis.name])
        row = self.probs[:, min(t, self.stages - 1), state]
        return row.reshape(len(row), *(axis.size for axis in self.actions))


def uniform_probs(
    legal: Bool[Tensor, "batch stages states actions"], dtype: torch.dtype = torch.float64
) -> Float[Tensor, "batch stages states actions"]:
    """Equal probability on the legal actions."""
    mask = legal.to(dtype)
    return mask / mask.sum(-1, keepdim=True)


def softmax_probs(
    scores: Float[Tensor, "batch stages states actions"], temperature: float | Tensor = 1.0
) -> Float[Tensor, "batch stages states actions"]:
    """Probabilities proportional to exp(score / temperature); minus infinity marks illegal ones.

    Temperatures [B] are one for each game.
    """
    return outer(torch.softmax(_scaled(inner(scores), temperature), 1))


def greedy_probs(
    scores: Float[Tensor, "batch stages states actions"], ties: Ties = "share"
) -> Float[Tensor, "batch stages states actions"]:
    """All probability on a best action; minus infinity marks illegal ones.

    "share" splits equally among scores within 1e-12 of the best, "first" takes the lowest.
    """
    table = inner(scores)
    best = table >= table.amax(1, keepdim=True) - TIE_MARGIN
    if ties == "first":
        best &= best.cumsum(1) == 1
    mask = best.to(table.dtype)
    return outer(mask / mask.sum(1, keepdim=True))


def adding_up(
    probs: Float[Tensor, "batch stages states actions"],
) -> Float[Tensor, "batch stages states actions"]:
    """The probabilities with rows that add up to 1 in their precision.

    Those that were rounded to a lower one lose or make mass at each step, so that there is no law
    that moves keep: the exploitability of a stationary game was off by a tenth.
    """
    sums = probs.sum(-1, keepdim=True)
    off = (sums - 1).abs() > ROUNDED * torch.finfo(probs.dtype).eps
    return torch.where(off, probs / sums, probs) if bool(off.any()) else probs


def _scaled(scores: Float[Tensor, "... batch"], temperature: float | Tensor) -> Tensor:
    if not isinstance(temperature, Tensor) and temperature == 1:
        return scores
    return scores / temperature
