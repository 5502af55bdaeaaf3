"""Games in which every choice of a deviator is tried from where it stands."""

from typing import Any

import torch
from torch import Tensor

from mfdsl.runtime.learning.deviators import Shadowed


class Branching(Shadowed):
    """Games with shadows in groups, one group for each of so many choices.

    Before each step all groups stand where the first one does, and they have the same draws, so
    that they differ by what their choice leads to.
    """

    def __init__(self, plain: Shadowed, choices: int) -> None:
        self.each, self.choices = plain.shadows, choices
        super().__init__(plain.program, plain.crowd, plain.field, plain.shadows * choices)

    def gone_on(self, state: Any, index: Tensor) -> Any:
        """The state in which the shadows of all groups are where those went who chose `index`
        [B, each]; of a state with all games.
        """
        values = getattr(state, self.field)
        return state._replace(**{self.field: type(values)(*(self._led(v, index) for v in values))})

    def _led(self, value: Tensor, index: Tensor) -> Tensor:
        shape = (len(value), self.choices, self.each, *value.shape[2:])
        groups = value[:, self.others :].reshape(shape)
        place = index[:, None].reshape(len(index), 1, self.each, *[1] * (value.ndim - 2))
        led = groups.take_along_dim(place.expand(-1, -1, -1, *value.shape[2:]), 1)
        return torch.cat([value[:, : self.others], led.expand_as(groups).flatten(1, 2)], 1)

    def _copied(self, value: Tensor) -> Tensor:
        copies = value[:, : self.each].repeat(1, self.choices, *[1] * (value.ndim - 2))
        return torch.cat([value, copies], 1)
