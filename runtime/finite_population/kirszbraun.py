"""Kirszbraun's extension on a finite grid: the l2 modulus of a vector function is kept.

The formula of Azagra, Le Gruyer and Mudarra, "Kirszbraun's theorem via an explicit formula"
(2018, arXiv:1810.10288), dualised for a finite set: the value is the mean of the grid values under
the weights lambda on the simplex that maximise

    -(M/2) |ubar - x|^2 - (M/4) Var(u) + (1/4M) Var(f),

which is concave, since the second moments are linear in lambda. A mean of probability vectors is
one, so no projection is needed. For grids of some hundred points.
"""

import numpy as np

from mfdsl.runtime.finite_population.grid import FloatArray

TOLERANCE = 1e-11


def l2_modulus(values: FloatArray, points: FloatArray) -> float:
    """Largest ratio of l2 distances between values [points, outputs] and points [points, cells]."""
    far = np.linalg.norm(points[:, None] - points, axis=-1)
    apart = np.linalg.norm(values[:, None] - values, axis=-1)
    return float((apart[far > 0] / far[far > 0]).max(initial=0.0))


def kirszbraun(
    values: FloatArray, points: FloatArray, laws: FloatArray, modulus: float | None = None
) -> FloatArray:
    """The extension [queries, outputs] of values [points, outputs] to laws [queries, cells].

    `modulus` is the l2 modulus of the values, computed when not given.

    Raises:
        ValueError: the values do not have the modulus.
    """
    own = l2_modulus(values, points)
    bound = own if modulus is None else modulus
    if own > bound * (1 + 1e-12):
        raise ValueError(f"the values on the grid have the l2 modulus {own:g}, not {bound:g}")
    if bound == 0:
        return np.repeat(values[:1], len(laws), axis=0)
    features = np.concatenate([np.sqrt(bound / 2) * points, values / np.sqrt(2 * bound)], axis=-1)
    level = (values**2).sum(-1) / (4 * bound) - bound / 4 * (points**2).sum(-1)
    weights = [simplex_program(features, level + bound * points @ law) for law in laws]
    return np.array(weights) @ values


def simplex_program(features: FloatArray, linear: FloatArray) -> FloatArray:
    """Weights on the simplex that minimise |sum of weight * feature|^2 / 2 - linear . weight.

    Active sets: solve on the points in use, step back to the border when a weight turns negative,
    and take in the point with the steepest descent. Every round lowers the objective, so no set
    comes back. Source: Wolfe, "Finding the nearest point in a polytope" (1976).

    Raises:
        RuntimeError: rounding kept it from the optimum, whose slopes are checked.
    """
    count = len(linear)
    start = int(np.argmin(0.5 * (features**2).sum(-1) - linear))
    weights = np.zeros(count)
    weights[start] = 1.0
    used = [start]
    scale = 1 + float(np.abs(linear).max()) + float((features**2).sum(-1).max())
    for _ in range(20 * count):
        slope = features @ (weights @ features) - linear
        best = int(slope.argmin())
        if slope[best] >= weights @ slope - TOLERANCE * scale:
            return weights
        if best not in used:
            used.append(best)
        weights, used = _settle(features, linear, weights, used)
    raise RuntimeError(f"no optimum on a grid of {count} points: the slopes do not settle")


def _settle(
    features: FloatArray, linear: FloatArray, weights: FloatArray, used: list[int]
) -> tuple[FloatArray, list[int]]:
    """Minimise over the points in use, dropping those whose weight would turn negative."""
    while True:
        step = _descent(features[used], linear[used], weights[used])
        now = weights[used]
        falling = now + step < 0
        reach = np.full(len(used), np.inf)
        reach[falling] = now[falling] / -step[falling]
        out = int(reach.argmin())
        moved = np.maximum(now + min(1.0, float(reach[out])) * step, 0.0)
        if falling.any():
            moved[out] = 0.0
        keep = [k for k in range(len(used)) if moved[k] > 0]
        weights = np.zeros_like(weights)
        weights[[used[k] for k in keep]] = moved[keep] / moved[keep].sum()
        used = [used[k] for k in keep]
        if not falling.any():
            return weights, used


def _descent(features: FloatArray, linear: FloatArray, now: FloatArray) -> FloatArray:
    """The step to the minimum over weights of any sign with sum 1, from `now`.

    Where the features are affinely dependent the objective is linear along some directions; if it
    falls along one, there is no minimum, and the step is a long one that way.
    """
    frame = np.column_stack([features, np.ones(len(features))])
    left, sizes, _ = np.linalg.svd(frame)
    rank = int((sizes > 1e-10 * sizes[0]).sum())
    flat = left[:, rank:] @ (left[:, rank:].T @ linear)
    if np.abs(flat).max(initial=0.0) > TOLERANCE * (1 + np.abs(linear).max()):
        step: FloatArray = flat * (2 / np.abs(flat[flat < 0]).max())
        return step
    size = len(linear)
    system = np.ones((size + 1, size + 1))
    system[:size, :size] = features @ features.T
    system[size, size] = 0.0
    target = np.linalg.lstsq(system, np.append(linear, 1.0), rcond=None)[0][:size]
    return np.asarray(target - now)
