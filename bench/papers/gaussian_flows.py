"""Exact Gaussian flows of two linear-quadratic games, coordinate by coordinate, with no simulator.

The equilibria of `specs/rotating_target.mfg` and of `specs/flocking.mfg` with beta = 0: backward
Riccati recursions by hand, and means by iteration to a fixed point. Figures that are known are in
`tests/generated/test_gaussian_flows.py`.
"""

from math import cos, pi, sin

import torch
from torch import Tensor


def rotating_target(
    axes: int, steps: int = 20, dt: float = 0.1, kappa: float = 1.0, chase: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Means [T + 1, d] and variances [T + 1] of each coordinate, at sigma = 1/2 and radius 2."""
    centres = torch.zeros(steps, axes, dtype=torch.float64)
    for t in range(steps):
        turn = 2 * pi * t / steps
        circle = torch.tensor([2 * cos(turn), 2 * sin(turn)], dtype=torch.float64)
        centres[t, : min(2, axes)] = circle[: min(2, axes)]
    curves = [0.0]
    for _ in range(steps):
        ahead = curves[0]
        curves.insert(0, dt * (kappa + chase) + ahead - (dt * ahead) ** 2 / (dt + dt**2 * ahead))
    means = torch.zeros(steps + 1, axes, dtype=torch.float64)
    for _ in range(300):
        slope, pulls = torch.zeros(axes, dtype=torch.float64), []
        for t in range(steps - 1, -1, -1):
            share = 1 / (1 + dt * curves[t + 1])
            pulls.insert(0, slope * share)
            slope = -dt * (kappa * means[t] + chase * centres[t]) + share * slope
        found = [torch.zeros(axes, dtype=torch.float64)]
        for t in range(steps):
            found.append(found[-1] / (1 + dt * curves[t + 1]) - dt * pulls[t])
        means = (means + torch.stack(found)) / 2
    variances = [1.0]
    for t in range(steps):
        variances.append(variances[-1] / (1 + dt * curves[t + 1]) ** 2 + 0.25 * dt)
    return means, torch.tensor(variances, dtype=torch.float64)


def flocking(steps: int = 50, dt: float = 0.1, sigma: float = 0.2) -> Tensor:
    """Covariances [T + 1, 2, 2] of position and velocity on one axis; means stay 0."""
    move = torch.tensor([[1.0, dt], [0.0, 1.0]], dtype=torch.float64)
    push = torch.tensor([[0.0], [dt]], dtype=torch.float64)
    paid = dt * torch.diag(torch.tensor([0.1, 1.0], dtype=torch.float64))
    value, gains = torch.diag(torch.tensor([0.0, 1.0], dtype=torch.float64)), []
    for _ in range(steps):
        gain = torch.linalg.solve(dt + push.T @ value @ push, push.T @ value @ move)
        value = paid + move.T @ value @ (move - push @ gain)
        gains.insert(0, gain)
    found = [torch.diag(torch.tensor([1.0, 0.25], dtype=torch.float64))]
    for gain in gains:
        closed = move - push @ gain
        noise = torch.diag(torch.tensor([0.0, sigma**2 * dt], dtype=torch.float64))
        found.append(closed @ found[-1] @ closed.T + noise)
    return torch.stack(found)
