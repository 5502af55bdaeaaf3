"""How much one gains who knows the past of a common noise and not its future: between two figures.

The best response to a flow is a table of own states and of everything that has happened, too many
things for tables. Values ahead are fitted instead, at each stage and own state as quadratic
functions of what all see, backwards over some paths, where the mean over what may come next is over
drawn futures of one step (Tsitsiklis and Van Roy 2001, doi 10.1109/72.935083).
Both figures are means over other paths than those of the fit:

- `least`: what one gains by acting greedily on the fitted values. Nothing ahead is known to it.
- `most`: the gain of one who knows the whole path and pays, for each action, what it is worth by
  the fitted values after what then happened, less the mean of this over what might have. This costs
  nothing in the mean to those who do not know what comes, whatever was fitted, so that their best
  is no better (Rogers 2002, doi 10.1111/1467-9965.02010; Brown, Smith and Sun 2010, doi
  10.1287/opre.1090.0796). The mean is over drawn futures, whose error is as unknown to them as what
  comes.
"""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from mfdsl.runtime.exploitability import CausalGap
from mfdsl.runtime.solvers.networks.along import (
    PathGame,
    Paths,
    Walk,
    best,
    final_at,
    final_value,
    observed,
    stage_tables,
    walk,
)
from mfdsl.runtime.solvers.networks.path_gradient import PathPolicy

RIDGE = 1e-3  # of squared slopes, of features with variance one


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
        ones = seen.new_ones(len(seen), 1)
        return torch.cat([ones, scaled, scaled[:, first] * scaled[:, second]], 1)


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
    fit = _fitted(Ahead.of(game, policy, game.drawn(number, paths), futures))
    last = Ahead.of(game, policy, game.drawn(number + 1, paths), futures)
    flow, expected = last.flow, [last.expected(fit, t) for t in range(game.stages)]
    own = flow.first(flow.sweep(flow.of_policy))

    def greedy(t: int, q: Tensor) -> Tensor:
        return q.gather(-1, expected[t].argmax(-1, keepdim=True))[..., 0]

    def charged(t: int, q: Tensor) -> Tensor:
        surprise = last.fitted(fit, t) - expected[t]
        return best(t, q - surprise.where(expected[t] > -torch.inf, 0))

    least = flow.first(flow.sweep(greedy)) - own
    most = flow.first(flow.sweep(charged)) - own
    foreseen = flow.first(flow.sweep(best)) - own
    return CausalGap(*_estimate(least), *_estimate(most), *_estimate(foreseen), paths)


@dataclass(frozen=True, eq=False)
class Ahead:
    """The flow along some paths, and what else may come after each stage: `seen` [futures, B, seen]
    at the next one, where draws move nobody but the common states; else it is found anew.
    """

    flow: Walk
    paths: Paths
    futures: int
    seen: list[Tensor] = field(repr=False)

    @classmethod
    def of(cls, game: PathGame, policy: PathPolicy, paths: Paths, futures: int) -> "Ahead":
        """What is ahead when all follow a policy."""
        flow = walk(game, game.params(paths.values), policy.along(game, paths))
        ahead = []
        for t in range(game.stages - 1 if not game.noises else 0):
            others = game.futures(paths, t, futures)
            drawn = [observed(game, other, t + 1, flow.laws[t + 1]) for other in others]
            ahead.append(torch.stack(drawn))
        return cls(flow, paths, futures, ahead)

    def fitted(self, fit: Fit, t: int) -> Float[Tensor, "paths states actions"]:
        """What actions are worth by the fitted values after what happened."""
        flow = self.flow
        last = t + 1 >= flow.game.stages
        return flow.q_at(t, final_value(flow) if last else fit.value(t + 1, flow.seen[t + 1]))

    def expected(self, fit: Fit, t: int) -> Float[Tensor, "paths states actions"]:
        """The mean of that over what might have happened, which is known beforehand."""
        flow, game = self.flow, self.flow.game
        last = t + 1 >= game.stages
        if not game.noises:
            return flow.q_at(t, final_value(flow) if last else self._mean_value(fit, t))
        mass = flow.laws[t][..., None] * flow.probs[t]
        moves, total = flow.moves[t], torch.zeros_like(mass)
        space = (mass.clone(), moves.places.clone(), moves.chances.clone())
        for other in game.futures(self.paths, t, self.futures):
            rewards, moves = stage_tables(game, other, t, mass, space)
            law = moves.push(mass.flatten(1), mass.shape[1])
            value = final_at(game, other, law)
            if not last:
                value = fit.value(t + 1, observed(game, other, t + 1, law))
            worth = rewards.flatten(1)
            if value is not None:
                worth = moves.expect(value, worth, game.program.discount)
            total += worth.view_as(total)
        return total / self.futures

    def _mean_value(self, fit: Fit, t: int) -> Float[Tensor, "paths states"]:
        """The fitted value of the next stage as it is expected at this one."""
        drawn = self.seen[t]
        rows = fit.features(t + 1, drawn.flatten(0, 1)).view(*drawn.shape[:2], -1)
        return rows.mean(0) @ fit.slopes[t + 1]


def _fitted(ahead: Ahead) -> Fit:
    """Values of the best response that knows no future, backwards over the stages."""
    flow = ahead.flow
    seen = torch.stack(flow.seen)
    scale = seen.std(1) if seen.numel() else seen[:, 0]
    scale = scale.where(scale > 0, 1)
    states, read = flow.laws[0].shape[1], seen.shape[-1]
    features = 1 + read + read * (read + 1) // 2
    fit = Fit(seen.mean(1), scale, seen.new_zeros(len(seen), features, states))
    penalty = RIDGE * torch.eye(features, dtype=seen.dtype)
    penalty[0, 0] = 0
    for t in range(flow.game.stages - 1, -1, -1):
        value = best(t, ahead.expected(fit, t))
        rows = fit.features(t, seen[t])
        gram = rows.t() @ rows / len(rows) + penalty
        fit.slopes[t] = torch.linalg.solve(gram, rows.t() @ value / len(rows))
    return fit


def _estimate(gains: Tensor) -> tuple[float, float]:
    return float(gains.mean()), float(gains.std() / len(gains) ** 0.5)
