"""Options of a solver that differ over the games of a batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mfdsl.runtime.solvers.config import Config

Number = int | float


@dataclass(frozen=True, eq=False)
class Varied:
    """By option a number for each game; what is not named here is one for all, in the config."""

    values: Mapping[str, tuple[Number, ...]] = field(default_factory=dict)

    @property
    def games(self) -> int:
        """How many games the values are for, 1 without any."""
        return len(next(iter(self.values.values()), (0,)))

    def of(self, config: Config, name: str, like: Tensor) -> float | Tensor:
        """The option as a number, or as numbers [B] in the dtype and on the device of `like`."""
        if name not in self.values:
            return float(getattr(config, name))
        return torch.tensor(self.values[name], dtype=like.dtype, device=like.device)

    def seeds(self, config: Config) -> tuple[int, ...]:
        """The option `seed` of each game; one number where all have the same."""
        found = self.values.get("seed", (getattr(config, "seed"),))  # noqa: B009  not of all configs
        return tuple(int(seed) for seed in found)

    def taken(self, places: Sequence[int]) -> "Varied":
        """The values of some of the games."""
        return Varied({name: tuple(v[p] for p in places) for name, v in self.values.items()})


def tall(values: Tensor) -> Tensor:
    """Numbers [B] in the shape [B, 1, 1, 1], to go with tables."""
    return values[:, None, None, None]
