"""How much one gains who knows the past of a common noise and not its future: between two figures.

The best response to a flow is a table of own states and of everything that has happened, too many
things for tables. Values ahead are fitted instead, at each stage and own state as quadratic
functions of what all see, backwards over some paths, where the mean over what may come next is over
drawn futures of one step (Tsitsiklis and Van Roy 2001, doi 10.1109/72.935083).
Both figures are means over other paths than those of the fit:

- `least`: what one gains by acting greedily on the fitted values. Nothing ahead is known to it.
- `most`: the gain of one who knows the whole path and pays, after each stage, the fitted value of
  what then happened less its mean at the stage before. This costs nothing in the mean to those who
  do not know what comes, whatever was fitted, so that their best is no better (Rogers 2002, doi
  10.1111/1467-9965.02010; Brown, Smith and Sun 2010, doi 10.1287/opre.1090.0796). The mean is over
  drawn futures, whose error is as unknown to them as what comes.
"""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from mfdsl.runtime.solvers.networks.along import (
    PathGame,
    Paths,
    Walk,
    best,
    final_value,
    observed,
    walk,
)
from mfdsl.runtime.solvers.networks.path_gradient import PathPolicy

RIDGE = 1e-3  # of squared slopes, of features with variance one


@dataclass(frozen=True)
class CausalGap:
    """Means over paths with standard errors; `foreseen` is the gain of who knows the whole path."""

    least: float
    least_error: float
    most: float
    most_error: float
    foreseen: float
    paths: int


@dataclass(frozen=True, eq=False)
class Fit:
    """Coefficients [T, F, S] of values at each stage, of one, what is seen about its mean there,
    and products of two of these.
    """

    centre: Float[Tensor, "stages seen"] = field(repr=False)
    scale: Float[Tensor, "stages seen"] = field(repr=False)
    slopes: Float[Tensor, "stages features states"] = field(repr=False)

    def value(self, t: int, seen: Float[Tensor, "paths seen"]) -> Float[Tensor, "paths states"]:
        """The fitted values."""
        return self.features(t, seen) @ self.slopes[t]

    def features(self, t: int, seen: Float[Tensor, "paths seen"]) -> Tensor:
        """The features [B, F] at a stage."""
        scaled = (seen - self.centre[t]) / self.scale[t]
        first, second = torch.triu_indices(scaled.shape[1], scaled.shape[1])
        return torch.cat(
            [torch.ones_like(seen[:, :1]), scaled, scaled[:, first] * scaled[:, second]], 1
        )


def causal_gap(
    game: PathGame,
    policy: PathPolicy,
    *,
    paths: int = 16,
    futures: int = 16,
    number: int = 1 << 20,
) -> CausalGap:
    """Bounds of the gain, from as many paths for the fit as for the figures.

    `number` is that of the first paths; training has lower ones.
    """
    known = _seen_ahead(game, policy, game.drawn(number, paths), futures)
    fit = _fitted(*known)
    del known
    flow, ahead = _seen_ahead(game, policy, game.drawn(number + 1, paths), futures)
    own = flow.first(flow.sweep(flow.of_policy))

    def greedy(t: int, q: Tensor) -> Tensor:
        seen_as = _expected(fit, flow, ahead, t)
        return q.gather(-1, seen_as.argmax(-1, keepdim=True))[..., 0]

    def charged(t: int, value: Tensor) -> Tensor:
        return value - (fit.value(t + 1, flow.seen[t + 1]) - _mean_ahead(fit, ahead, t))

    least = flow.first(flow.sweep(greedy)) - own
    most = flow.first(flow.sweep(best, charged)) - own
    foreseen = flow.first(flow.sweep(best)) - own
    return CausalGap(*_estimate(least), *_estimate(most), float(foreseen.mean()), paths)


def _seen_ahead(
    game: PathGame, policy: PathPolicy, paths: Paths, futures: int
) -> tuple[Walk, list[Tensor]]:
    """The flow, and for each stage but the last what could be seen next, [futures, B, seen]."""
    flow = walk(game, game.params(paths.values), policy.along(game, paths))
    ahead = []
    for t in range(game.stages - 1):
        others = game.futures(paths, t, futures)
        drawn = [observed(game, other, t + 1, flow.laws[t + 1]) for other in others]
        ahead.append(torch.stack(drawn))
    return flow, ahead


def _fitted(flow: Walk, ahead: list[Tensor]) -> Fit:
    """Values of the best response that knows no future, backwards over the stages."""
    seen = torch.stack(flow.seen)
    scale = seen.std(1)
    scale = scale.where(scale > 0, 1)
    states, read = flow.laws[0].shape[1], seen.shape[-1]
    features = 1 + read + read * (read + 1) // 2
    fit = Fit(seen.mean(1), scale, seen.new_zeros(len(seen), features, states))
    penalty = RIDGE * torch.eye(features, dtype=seen.dtype)
    penalty[0, 0] = 0

    def mean_ahead(t: int, value: Tensor) -> Tensor:
        return _mean_ahead(fit, ahead, t)

    for t, _, value in flow.sweep(best, mean_ahead):
        rows = fit.features(t, seen[t])
        gram = rows.t() @ rows / len(rows) + penalty
        fit.slopes[t] = torch.linalg.solve(gram, rows.t() @ value / len(rows))
    return fit


def _mean_ahead(fit: Fit, ahead: list[Tensor], t: int) -> Float[Tensor, "paths states"]:
    """The fitted value of the next stage as it is expected at this one."""
    drawn = ahead[t]
    rows = fit.features(t + 1, drawn.flatten(0, 1)).view(*drawn.shape[:2], -1)
    return rows.mean(0) @ fit.slopes[t + 1]


def _expected(fit: Fit, flow: Walk, ahead: list[Tensor], t: int) -> Tensor:
    """What actions are worth to who goes by the fitted values, [B, S, A]."""
    last = t + 1 >= flow.game.stages
    return flow.q_at(t, final_value(flow) if last else _mean_ahead(fit, ahead, t))


def _estimate(gains: Tensor) -> tuple[float, float]:
    return float(gains.mean()), float(gains.std() / len(gains) ** 0.5)
