"""Pathwise policy gradients: the return is differentiated through the emitted simulator.

Backpropagation through time over the differentiable view, with draws held fixed (Mohamed et al.
2020, arXiv:1906.10652, section 5). Exact where the spec is smooth; `CUTS` of the module says which
terms cut the gradient. Finite choices have no path: they stay with the score function.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from mfdsl.runtime.behaviours import Scene
from mfdsl.runtime.learning.engine import Engine, team_reward


@dataclass(frozen=True, eq=False)
class Move:
    """What everybody does, with gradients; the log-chance [B] of all finite choices together (None
    without one), and the mean entropy.
    """

    action: Any
    score: Tensor | None
    entropy: Tensor


class Moving(Protocol):
    """Whoever plays along the path."""

    def move(self, scene: Scene, number: int, *, noisy: bool) -> Move:
        """A move with the numbers of a step; without `noisy` real actions are their means."""


@dataclass(frozen=True, eq=False)
class Path:
    """One differentiable episode: discounted team return [B], and the score of finite choices.

    `surplus` [B] has the value of the return and the gradient of return and score together.
    """

    returns: Tensor
    surplus: Tensor
    entropy: Tensor


def unrolled(engine: Engine, players: Moving, episode: int, *, noisy: bool = True) -> Path:
    """Play one episode with gradients in the parameters of the players.

    Finite choices add the score of their draw times the return to come, less its mean over the
    games (Williams 1992).
    """
    scores: list[Tensor] = []
    entropies: list[Tensor] = []

    def act(scene: Scene, number: int) -> Any:
        move = players.move(scene, number, noisy=noisy)
        entropies.append(move.entropy)
        if move.score is not None:
            scores.append(move.score)
        return move.action

    due: list[Tensor] = []
    weight = 1.0
    for turn in engine.turns(episode, act):
        paid = engine.paid(turn)
        if paid is not None:
            due.append(weight * team_reward(paid, engine.batch))
        weight *= engine.discount
    returns = torch.stack(due).sum(0)
    surplus = returns
    if scores:
        later = torch.stack(due).detach().flip(0).cumsum(0).flip(0)[: len(scores)]
        score = (torch.stack(scores) * (later - later.mean(1, keepdim=True))).sum(0)
        surplus = returns + score - score.detach()
    return Path(returns, surplus, torch.stack(entropies).mean())
