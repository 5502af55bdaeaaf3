"""What solvers with networks share: a state, the network of a game, and the fit of a policy."""

import math
from collections.abc import Hashable
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mfdsl.runtime.evaluate import View
from mfdsl.runtime.solvers.base import SolverError, State
from mfdsl.runtime.solvers.networks.dense import Shape, Weights, descended, outputs, unpacked
from mfdsl.runtime.solvers.networks.history import history_of, past_axis
from mfdsl.runtime.solvers.networks.options import NetworkConfig
from mfdsl.runtime.solvers.networks.reading import reading_of, seen_pasts
from mfdsl.runtime.solvers.networks.replay import drawn_rows
from mfdsl.runtime.views.finite import FiniteView

BLOCK = 1 << 14  # rows of a forward pass: what lies between layers stays in the cache


@dataclass(frozen=True, eq=False)
class Networks(State):
    """The policy of networks with `weights` [games, P]; `mean` and `square` are those of Adam."""

    weights: Float[Tensor, "games weights"]
    mean: Float[Tensor, "games weights"]
    square: Float[Tensor, "games weights"]


def shape_of(view: View, config: NetworkConfig, *, law: int = 0, memory: int = 0) -> Shape:
    """The network of a game; `law` numbers of the law and a memory of its past are read besides.

    Raises:
        SolverError: a memory is asked for, and the game has no common state with a past.
    """
    return _shape(cast(Hashable, view), config, law, memory)


@lru_cache(maxsize=4)  # by identity: features are worked out once for all steps
def _shape(key: Hashable, config: NetworkConfig, law: int, memory: int) -> Shape:
    view = cast(View, key)
    reading, history = reading_of(view), None
    if memory:
        axis = past_axis(view.program)
        if axis is None or not isinstance(view, FiniteView):
            raise SolverError(
                f"`memory` is of a random common state, and {view.program.name} has none: "
                "leave it out"
            )
        history = history_of(view, axis, seen_pasts(view, axis))
    actions = view.program.action_count
    return Shape(reading, actions, config.hidden, config.layers, law, memory, history)


def weights_in(config: NetworkConfig, state: Networks) -> Weights:
    """The weights of a state, in single precision."""
    values, mean, square = state.weights.float(), state.mean.float(), state.square.float()
    return Weights(values, mean, square, state.iteration * config.updates)


def step_of(config: NetworkConfig, iteration: int) -> float:
    """The step of Adam in an iteration."""
    return config.learning_rate * math.pow(iteration + 1, -config.decay)


def legal_actions(view: View) -> Bool[Tensor, "batch stages states actions"]:
    """Which actions may be taken."""
    return view.uniform().probs > 0


def scores_of(
    shape: Shape, weights: Tensor, legal: Tensor, law: Tensor | None = None
) -> Float[Tensor, "batch stages states actions"]:
    """Outputs of networks in double precision, -inf at illegal actions."""
    leaves = [leaf.detach() for leaf in unpacked(shape, weights)]
    rows = shape.reading.count // shape.reading.stages
    step = max(1, BLOCK // rows)
    parts = [
        outputs(shape, leaves, law=law, stages=slice(t, t + step))
        for t in range(0, shape.reading.stages, step)
    ]
    found = torch.cat(parts, 1)
    scores = found.view(-1, *legal.shape[1:]).to(torch.float64)
    return scores.masked_fill(~legal, -torch.inf)


def log_policy(
    shape: Shape, weights: Tensor, legal: Tensor
) -> Float[Tensor, "batch stages states actions"]:
    """Logarithms of the softmax of networks, in double precision, -inf at illegal actions."""
    return torch.log_softmax(scores_of(shape, weights, legal), -1)


def fitted(
    shape: Shape,
    weights: Weights,
    goal: Float[Tensor, "batch stages states actions"],
    counts: Float[Tensor, "batch rows"],
    config: NetworkConfig,
    iteration: int,
    *,
    legal: Bool[Tensor, "batch stages states actions"],
    law: Float[Tensor, "batch stages numbers"] | None = None,
) -> Weights:
    """Weights whose policy is near the goal: the cross-entropy at rows that count so much.

    It is the divergence of the two policies up to a constant; actions that are hardly ever taken
    have no part in it, and what is added to all values of a row neither.
    """
    goal32, counts32, open_ = goal.flatten(1, 2).float(), counts.float(), legal.flatten(1, 2)

    def loss(leaves: list[Tensor], step: int) -> Tensor:
        rows, want, mask, count = None, goal32, open_, counts32
        if config.batch:
            number = iteration * config.updates + step
            rows = drawn_rows(counts, config.batch, (config.seed, number, "replay"))
            want, mask = goal32[:, rows], open_[:, rows]
            count = counts32.new_full((1, 1), 1 / config.batch)
        found = outputs(shape, leaves, rows, law).masked_fill(~mask, -torch.inf)
        logs = torch.log_softmax(found, -1).where(mask, 0)
        return -(count * (want * logs).sum(-1)).sum(-1)

    rate = step_of(config, iteration)
    return descended(shape, weights, loss, steps=config.updates, rate=rate)
