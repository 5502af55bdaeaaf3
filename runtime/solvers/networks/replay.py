"""Which rows networks are fitted on: the laws of an exact flow, and some of every state."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mfdsl.runtime.streams import draw


def replay(
    laws: Float[Tensor, "batch stages states"], spread: float
) -> Float[Tensor, "batch rows"]:
    """How much each pair (stage, state) counts, adding up to one in each game.

    `spread` of it is even: where nobody goes today somebody may go tomorrow.
    """
    _, stages, states = laws.shape
    return ((1 - spread) * laws + spread / states).flatten(1) / stages


def drawn_rows(
    weights: Float[Tensor, "batch rows"], count: int, key: tuple[int, int, str]
) -> Int[Tensor, " count"]:
    """Rows drawn by the mean of the weights over the games, a function of (seed, number, what for).

    So a resumed run draws what it would have drawn.
    """
    chances = weights.mean(0).double().cumsum(0)
    places = draw(("uniform",), (count,), key, device=weights.device) * chances[-1]
    return torch.searchsorted(chances, places, right=True).clamp(max=len(chances) - 1)
