"""Random worlds for random expressions: pairs that are close, far apart, or differ by one move."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from tests.analysis.slopes.random_expressions import NUMPY, Member, Shape, World

UNIT = 2.0**-30


def members_of(shape: Shape) -> list[dict[str, int]]:
    """The kinds of members."""
    return [{"x": x} for x in range(shape.kinds)]


def dyadic(weights: np.ndarray) -> np.ndarray:
    """Laws whose masses are multiples of one power of two, so that they add up to 1 exactly."""
    whole = np.floor(weights / UNIT)
    whole[np.arange(len(whole)), whole.argmax(1)] += 1 / UNIT - whole.sum(1)
    return whole * UNIT


def random_laws(random: np.random.Generator, count: int, kinds: int) -> np.ndarray:
    """Laws inside, close to edges, and at vertices, [count, kinds]."""
    spread = random.choice([0.1, 0.5, 1.0, 3.0], count)
    drawn = random.standard_gamma(np.repeat(spread[:, None], kinds, 1)) + 1e-300
    laws = drawn / drawn.sum(1, keepdims=True)
    corners = np.eye(kinds)[random.integers(kinds, size=count)]
    return dyadic(np.where(random.random(count)[:, None] < 0.2, corners, laws))


def law_pairs(
    random: np.random.Generator, count: int, kinds: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of laws and their l1 distances: far, close, and one move apart."""
    one, other = (random_laws(random, count, kinds) for _ in range(2))
    near = dyadic(one + 2.0**-8 * (other - one))
    to, off = random.integers(kinds, size=(2, count))
    step = np.minimum(2.0**-10, one[np.arange(count), off])
    moved = one.copy()
    moved[np.arange(count), off] -= step
    moved[np.arange(count), to] += step
    choice = random.integers(3, size=count)[:, None]
    second = np.where(choice == 0, other, np.where(choice == 1, near, moved))
    return one, second, np.abs(one - second).sum(1)


def listed(law: np.ndarray, members: Sequence[Member]) -> list[tuple[Member, Any]]:
    """A law over kinds as members with weights."""
    return [(member, law[..., k]) for k, member in enumerate(members)]


def finite_world(
    shape: Shape, own: dict[str, Any], law: np.ndarray, other: np.ndarray, time: int
) -> World:
    """A world whose populations have finitely many kinds of members."""
    members = members_of(shape)
    laws = {"mu": listed(law, members), "nu": listed(other, members)}
    return World(NUMPY, own, laws, time=time)


def placed_world(
    shape: Shape,
    own: dict[str, Any],
    kinds: np.ndarray,
    places: np.ndarray,
    other: tuple[np.ndarray, np.ndarray],
    time: int,
) -> World:
    """A world of equal masses on members [samples, members] that have a kind and a place."""

    def law(x: np.ndarray, s: np.ndarray) -> list[tuple[Member, Any]]:
        return [({"x": x[:, k], "s": s[:, k]}, 1 / x.shape[1]) for k in range(x.shape[1])]

    return World(NUMPY, own, {"mu": law(kinds, places), "nu": law(*other)}, time=time)


def own_values(random: np.random.Generator, shape: Shape, count: int) -> dict[str, np.ndarray]:
    """Own values of each sample."""
    place = random.uniform(-1, 1, count)
    place = np.where(random.random(count) < 0.2, np.sign(place), place)
    return {"z": np.round(place * 1024) / 1024, "y": random.integers(shape.kinds, size=count)}


def all_kinds(shape: Shape) -> list[tuple[int, ...]]:
    """The combinations of kinds."""
    return list(product(range(shape.kinds)))
