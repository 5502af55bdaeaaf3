"""Exact optimal transport between two clouds of points with equal masses, as the operator
`torch.ops.mfdsl.w2` of emitted modules; and a smooth surrogate for training.

Exact values come from the compiled loops of `transport_native.py` (extra `native`), without them
from the network simplex of POT (Flamary and others, JMLR 2021; Bonneel and others, 2011), on a
line from sorting. Gradients go through the optimal plan (Danskin 1967): the value is a minimum over
plans, so its slope is that of the cost at the best one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import gcd

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from mfdsl.runtime.views.native import available

Array = NDArray[np.float64]
MOST_PIVOTS = 10_000_000
# Masses cut into more parts than this take the compiled loops longer than the network simplex.
MOST_PARTS = 8
LARGEST = 1e150  # the squares of larger coordinates overflow
# Temperature and iterations of the surrogate where it stands for exact transport.
_SMOOTH: ContextVar[tuple[float, int] | None] = ContextVar("smooth_transport", default=None)


def w2(x: Float[Tensor, "batch n dim"], y: Float[Tensor, "batch m dim"]) -> Float[Tensor, " batch"]:
    """Squared 2-Wasserstein distance between equal masses on the rows of x and of y.

    The batch axes are equal or 1. Differentiable once, in both arguments, where the optimal plan
    is unique. The value is nan where a coordinate is not finite, or beyond 1e150.

    Raises:
        ValueError: a cloud is empty, or the points have different numbers of coordinates.
    """
    if x.shape[-1] != y.shape[-1] or not (x.numel() and y.numel()):
        raise ValueError(f"no transport between points {list(x.shape)} and {list(y.shape)}")
    batch = max(len(x), len(y))
    x, y = (v.expand(batch, *v.shape[1:]) for v in (x, y))
    smooth = _SMOOTH.get()
    if smooth is not None:
        return sinkhorn_surrogate(x, y, epsilon=smooth[0], iterations=smooth[1])
    value: Tensor = torch.ops.mfdsl.w2_plan(x, y)[0]
    return value


@contextmanager
def smooth_transport(epsilon: float = 0.02, iterations: int = 100) -> Iterator[None]:
    """Within, `w2` is its surrogate: to train on, never to report.

    For eager calls: a graph compiled outside stays as it was traced.
    """
    token = _SMOOTH.set((epsilon, iterations))
    try:
        yield
    finally:
        _SMOOTH.reset(token)


def surrogate_in_use() -> bool:
    """Whether `w2` stands for its surrogate here."""
    return _SMOOTH.get() is not None


@torch.library.custom_op("mfdsl::w2_plan", mutates_args=())
def w2_plan(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Values [B], and their slopes in x [B, N, d] and in y [B, M, d]."""
    clouds = [np.ascontiguousarray(v.detach().cpu().double().numpy()) for v in (x, y)]
    sound = np.all([np.abs(v).max((1, 2)) < LARGEST for v in clouds], axis=0)  # nan is not
    found = _transported(*(v[sound] for v in clouds))
    value, in_x, in_y = (np.full((len(sound), *part.shape[1:]), np.nan) for part in found)
    for whole, part in zip((value, in_x, in_y), found, strict=True):
        whole[sound] = part
    here, first, second = (torch.from_numpy(whole).to(x) for whole in (value, in_x, in_y))
    return here, first, second


@w2_plan.register_fake
def _(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return x.new_empty(len(x)), torch.empty_like(x), torch.empty_like(y)


def _keep(
    ctx: torch.autograd.function.FunctionCtx, inputs: object, output: tuple[Tensor, ...]
) -> None:
    ctx.save_for_backward(output[1], output[2])


def _slope(ctx: torch.autograd.function.FunctionCtx, *above: Tensor) -> tuple[Tensor, Tensor]:
    in_x, in_y = ctx.saved_tensors  # type: ignore[attr-defined]
    return above[0][:, None, None] * in_x, above[0][:, None, None] * in_y


w2_plan.register_autograd(_slope, setup_context=_keep)

_LIBRARY = torch.library.Library("mfdsl", "FRAGMENT")  # type: ignore[no-untyped-call]
_LIBRARY.define("w2(Tensor x, Tensor y) -> Tensor")  # type: ignore[no-untyped-call]
_LIBRARY.impl("w2", w2, "CompositeImplicitAutograd")  # type: ignore[no-untyped-call]


def _transported(x: Array, y: Array) -> tuple[Array, Array, Array]:
    """Values, and slopes: twice what each mass moves, from its partners' mean."""
    n, m = x.shape[1], y.shape[1]
    found = np.empty(len(x)), np.empty_like(x), np.empty_like(y)
    if x.shape[2] > 1 and min(n, m) // gcd(n, m) <= MOST_PARTS and available():
        from mfdsl.runtime.transport_native import transport  # needs numba

        if n < m:
            transport(y, x, found[0], found[2], found[1])
        else:
            transport(x, y, *found)
        return found
    solve = _on_a_line if x.shape[2] == 1 else _by_simplex
    for b in range(len(x)):
        found[0][b], found[1][b], found[2][b] = solve(x[b], y[b])
    return found


def _by_simplex(x: Array, y: Array) -> tuple[float, Array, Array]:
    from ot import emd  # only here, since it takes a quarter of a second to load

    # The simplex stops at reduced costs of some 1e-15, so it gets numbers of the size of 1.
    here, there = _standard(x), _standard(y)
    cost = (here**2).sum(1)[:, None] + (there**2).sum(1) - 2 * here @ there.T
    n, m = cost.shape
    plan = emd(
        np.full(n, 1 / n),
        np.full(m, 1 / m),
        np.maximum(cost, 0.0),
        numItermax=MOST_PIVOTS,
        check_marginals=False,
    )
    rows, columns = plan.nonzero()  # at most n + m - 1 of them
    moved = (plan[rows, columns] * ((x[rows] - y[columns]) ** 2).sum(1)).sum()
    return float(moved), 2 * (x / n - plan @ y), 2 * (y / m - plan.T @ x)


def _standard(cloud: Array) -> Array:
    """The cloud around 0 with coordinates of size 1: best plans are those of the cloud.

    They have the largest sum of masses times x . y, whatever place and unit either cloud has.
    """
    around = cloud - cloud.mean(0)
    return np.asarray(around / max(float(np.abs(around).max()), np.finfo(np.float64).tiny))


def _on_a_line(x: Array, y: Array) -> tuple[float, Array, Array]:
    """Points of a line keep their order; masses are cut where one of the two ends."""
    n, m = len(x), len(y)
    order_x, order_y = x[:, 0].argsort(kind="stable"), y[:, 0].argsort(kind="stable")
    cuts = np.unique(np.concatenate([np.arange(n + 1) * m, np.arange(m + 1) * n]))
    width = np.diff(cuts) / (n * m)
    rows, columns = order_x[cuts[:-1] // m], order_y[cuts[:-1] // n]
    gap = x[rows, 0] - y[columns, 0]
    in_x, in_y = np.zeros_like(x), np.zeros_like(y)
    np.add.at(in_x[:, 0], rows, 2 * width * gap)
    np.add.at(in_y[:, 0], columns, -2 * width * gap)
    return float((width * gap**2).sum()), in_x, in_y


def sinkhorn_surrogate(
    x: Float[Tensor, "batch n dim"],
    y: Float[Tensor, "batch m dim"],
    *,
    epsilon: float = 0.02,
    iterations: int = 100,
) -> Float[Tensor, " batch"]:
    """A smooth stand-in for `w2` to train on, never to report: the debiased Sinkhorn divergence.

    Entropic transport at temperature `epsilon` between the clouds, less half of that of each with
    itself (Feydy and others, AISTATS 2019, arXiv:1810.08278), by iterations on log masses.
    """
    across = _entropic(x, y, epsilon, iterations)
    own = _entropic(x, x, epsilon, iterations) + _entropic(y, y, epsilon, iterations)
    return across - own / 2


def _entropic(x: Tensor, y: Tensor, epsilon: float, iterations: int) -> Tensor:
    cost = ((x[:, :, None] - y[:, None]) ** 2).sum(-1)
    n, m = cost.shape[1:]
    f, g = cost.new_zeros(cost.shape[:2]), cost.new_zeros(len(cost), m)
    log_n, log_m = float(np.log(n)), float(np.log(m))
    with torch.no_grad():
        for _ in range(iterations):
            f = -epsilon * (((g[:, None] - cost) / epsilon).logsumexp(2) - log_m)
            g = -epsilon * (((f[:, :, None] - cost) / epsilon).logsumexp(1) - log_n)
        plan = ((f[:, :, None] + g[:, None] - cost) / epsilon - log_n - log_m).exp()
        value = f.mean(1) + g.mean(1)
    through = (plan * cost).sum((1, 2))  # the slope at the optimum is that of the cost (Danskin)
    return value + through - through.detach()
