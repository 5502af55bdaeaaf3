"""Particle physics of cooperative navigation and push by double loops over the agents.

Velocities lose a share each step and gain force over mass; two bodies push each other apart with
a force that grows softly from where they touch (the multi-agent particle environments of
arXiv:1706.02275, in the variants of their descendants).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """Constants of the physics and weights of the reward."""

    near: float
    dt: float = 0.1
    damping: float = 0.25
    thrust: float = 5.0
    stiff: float = 100.0
    margin: float = 1e-3
    hard: bool = False
    move_first: bool = False
    own_hit: bool = False
    c_cover: float = 1.0
    c_hit: float = 1.0


def bump(world: World, x: Array, y: Array, near: float) -> Array:
    """Force on a body at x from one at y."""
    gap = x - y
    distance = math.sqrt(gap[0] ** 2 + gap[1] ** 2)
    if world.hard and distance > near:
        return np.zeros(2)
    depth = (near - distance) / world.margin
    soft = world.margin * (max(depth, 0.0) + math.log1p(math.exp(-abs(depth))))
    return world.stiff * soft * gap / max(distance, 1e-9)


def forces(world: World, x: Array, actions: Array, solid: Sequence[bool] | None = None) -> Array:
    """Own thrust of each agent, and contacts of those that are solid (all of them by default)."""
    found = np.zeros_like(x)
    for i in range(len(x)):
        found[i] = world.thrust * np.array(
            [actions[i, 1] - actions[i, 2], actions[i, 3] - actions[i, 4]]
        )
        for j in range(len(x)):
            if i != j and (solid is None or (solid[i] and solid[j])):
                found[i] += bump(world, x[i], x[j], world.near)
    return found


def moved(world: World, x: Array, v: Array, force: Array) -> tuple[Array, Array]:
    """Places and velocities after one step."""
    after = (1 - world.damping) * v + world.dt * force
    return x + world.dt * (v if world.move_first else after), after


def navigation_cost(world: World, x: Array, landmarks: Array) -> float:
    """Distances of landmarks to their nearest agent, and collisions of ordered pairs."""
    cover = sum(min(math.dist(mark, y) for y in x) for mark in landmarks)
    hits = sum(
        (i != j and math.dist(x[i], x[j]) < world.near) or (i == j and world.own_hit)
        for i in range(len(x))
        for j in range(len(x))
    )
    return world.c_cover * cover + world.c_hit * hits


def chosen(spots: Array, ball: Array, gap: float) -> Array:
    """The first place that is farther than the gap from the ball, or the last one."""
    for spot in spots:
        if math.dist(spot, ball) > gap:
            return np.array(spot)
    return np.array(spots[-1])
