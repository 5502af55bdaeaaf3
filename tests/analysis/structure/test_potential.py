"""Potentials: line integrals around triangles of laws vanish just where one is proved."""

import numpy as np
import pytest

from mfdsl.compiler.ir.model import Model
from tests.analysis.structure.games import certificate, laws, line, reward_at, table

NODES, WEIGHTS = np.polynomial.legendre.leggauss(8)


def around(model: Model, corners: np.ndarray) -> float:
    """The integral of the rewards along the sides of a triangle of laws."""
    whole = 0.0
    for k in range(3):
        start, end = corners[k], corners[(k + 1) % 3]
        for node, weight in zip(NODES, WEIGHTS, strict=True):
            law = start + (node + 1) / 2 * (end - start)
            values = [reward_at(model, law, s) for s in range(len(law))]
            whole += weight / 2 * float(np.dot(values, end - start))
    return whole


KNOWN = [
    ("-log(mu[x] + 0.1)", 5, "proved"),
    ("mu[x]^2", 5, "proved"),
    ("-x * mean(y.x for y in person)^3", 6, "proved"),
    ("mean(abs(x - y.x) for y in person)", 4, "proved"),
    ("mu[x] * mean(y.x for y in person)", 3, "refuted"),
    ("x * mean(y.x^2 for y in person)", 4, "refuted"),
    (table([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]), 3, "refuted"),
    ("mean(y.x for y in person)^2", 4, "proved"),
]


@pytest.mark.parametrize(("reward", "states", "verdict"), KNOWN)
def test_known_rewards_have_their_verdicts(reward: str, states: int, verdict: str) -> None:
    model = line(reward, states)
    found = certificate(model, "potential")
    assert found.verdict == verdict, found.detail
    corners = laws(np.random.default_rng(0), states, 3)
    assert (abs(around(model, corners)) < 1e-6) == (verdict == "proved")


@pytest.mark.parametrize("seed", range(20))
def test_random_games_agree_with_integrals(seed: int) -> None:
    rng = np.random.default_rng(seed)
    entries = rng.integers(-4, 5, (3, 3)).astype(float)
    if seed % 2:
        entries = entries + entries.T + rng.integers(-3, 4, 3)[None]  # b(mu) changes nothing
    model = line(table(entries.tolist()))
    found = certificate(model, "potential")
    whole = max(abs(around(model, laws(rng, 3, 3))) for _ in range(5))
    assert found.verdict == ("proved" if whole < 1e-9 else "refuted")


def test_concave_means_potential_and_monotone() -> None:
    assert certificate(line("-mu[x]"), "concave_potential").verdict == "proved"
    assert certificate(line("mu[x]"), "concave_potential").verdict == "refuted"
    assert certificate(line("-mu[x]"), "skew_affine").verdict == "refuted"


def test_means_of_whole_numbers_that_are_coupled_one_way() -> None:
    """a E[x] moves the reward at an action with the states of others, but not the other way."""
    one_way = line("a * mean(y.x for y in person)", 4)
    assert certificate(one_way, "potential").verdict == "refuted"
    both = line("a * mean(y.x for y in person) + x * mean(y.a for y in person)", 4)
    assert certificate(both, "potential").verdict == "proved"
    curved = line("a * mean(y.x for y in person)^2", 4)
    assert certificate(curved, "potential").verdict == "refuted"
    bits = line("x * mean(y.x * y.x for y in person) + x * mean(y.x for y in person)", 2)
    assert certificate(bits, "potential").verdict == "proved"  # x = x^2 on 0 and 1


def test_a_game_that_falls_is_not_skew() -> None:
    found = certificate(line("-mu[x]^1.5", 4), "skew_affine")
    assert found.verdict == "refuted" and found.witness is not None
    assert float(found.witness["inner product"]) < 0
