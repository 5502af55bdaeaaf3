"""Rewards of several means of oneself: prices of weighted sums, seasons, coupled means."""

import numpy as np
import pytest

from mfdsl.compiler.analysis.counted import counted
from mfdsl.compiler.analysis.structure.feature_signs import sign_at_all_laws
from mfdsl.compiler.analysis.structure.features import features
from mfdsl.compiler.analysis.structure.matrices import proved_negative
from mfdsl.compiler.analysis.structure.stages import law_stages, total_of
from mfdsl.compiler.ir import meaning
from mfdsl.compiler.ir.model import Model
from tests.analysis.structure.games import certificate, copies_of, laws, model_of

GAME = """model seasons
objective nash
horizon 4
population person as mu {{
  state  x : int in 0..{last} ~ uniform
  action a : int in 0..1
  let one = x / 10
  let two = (x - 4)^2 / 20
  let m = mean(q.one for q in person)
  let n = mean(q.two for q in person)
  x' = if a == 1 then {last} - x else x
  reward r = {reward}
}}
"""
STATES = 11

TABLE = [
    # a price that falls with a weighted sum of two means
    ("(one + 3 * two) * exp(-(m + 3 * n))", True),
    ("(one + 3 * two) / (1 + m + 3 * n)", True),
    ("-(one + 3 * two) * exp(-(m + 3 * n))", False),
    ("(one + 3 * two) * exp(-(3 * m + n))", False),
    # weights that go with the seasons
    ("-(t * one + 3 * two) * (t * m + 3 * n)", True),
    ("-(t * one - 3 * two) * (t * m - 3 * n) * (4 - t)", True),
    ("-(t * one + 3 * two) * (t * m + 3 * n) * (2 - t)", False),
    ("-(t * one + two) * (m + t * n)", False),
    ("-(one + t * two) * exp(m + t * n)", True),
    # means that hold each other back a little
    ("-one * (m + m^3 + 0.2 * n) - two * (n + n^3 + 0.2 * m)", True),
    ("-one * (m^3 + 4 * n) - two * (n^3 + 4 * m)", False),
    # no coupling
    ("-one * m^3 - two * exp(n)", True),
    ("-one * m^3 + two * exp(-n) * t", True),
    ("-one * m^3 - two * exp(n) * (t - 1)", False),
]


def game_of(reward: str, states: int = STATES) -> Model:
    return model_of(GAME.format(last=states - 1, reward=reward))


def worst_of(model: Model, states: int, rng: np.random.Generator, count: int = 20) -> float:
    """The largest sum of differences of rewards times those of laws, at any time."""
    worst = -np.inf
    for one, other in zip(*(laws(rng, states, count) for _ in range(2)), strict=True):
        joints = [{((s,), (0,)): float(p) for s, p in enumerate(law)} for law in (one, other)]
        for t in range(4):
            gains = [
                meaning.reward(model, t, joints[0], (s,), (0,))
                - meaning.reward(model, t, joints[1], (s,), (0,))
                for s in range(states)
            ]
            worst = max(worst, float(np.dot(gains, one - other)))
    return worst


def sign_of(model: Model, seconds: float = 3.0) -> str | None:
    """The sign of the matrix of the features of the only reward."""
    copies = copies_of(model)
    (stage,) = law_stages(model, copies)
    (player,) = model.populations
    found = features(copies, player, total_of(copies, [p.node for p in stage.parts]))
    return sign_at_all_laws(found, counted() + seconds)


@pytest.mark.parametrize(("reward", "falls"), TABLE)
def test_coupled_means_have_their_sign(reward: str, falls: bool) -> None:
    assert (sign_of(game_of(reward, 40)) in ("negative", "definite")) == falls


@pytest.mark.parametrize(("reward", "falls"), TABLE[:2] + TABLE[4:5])
def test_their_sign_proves_that_games_are_monotone(reward: str, falls: bool) -> None:
    assert falls
    found = certificate(game_of(reward, 40), "monotone", 4.0)
    assert found.verdict == "proved", found.detail


@pytest.mark.parametrize("seed", range(60))
def test_what_is_proved_of_random_prices_holds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b, c, d = rng.integers(-2, 4, 4)
    a, c = a or 1, c or 1
    if seed % 2:
        c, d = a, b
    price = ("exp(-({}))", "1 / (90 + {})", "-({})^3", "(1 - t) * ({})", "-({}) - 0.1 * m^3")
    fallen = price[seed % 5].format(f"{c} * m + {d} * n")
    model = game_of(f"({a} * one + {b} * two) * {fallen}")
    worst = worst_of(model, STATES, rng)
    if sign_of(model) is not None:
        assert worst <= 1e-12
    elif seed % 2 and seed % 5 in (0, 1):
        raise AssertionError("a price that falls with what is sold")


@pytest.mark.parametrize("seed", range(40))
def test_diagonals_that_outweigh_what_is_beside_them_are_definite(seed: int) -> None:
    """No symmetric matrix within the radius of one that is called definite has a rising vector."""
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 5))
    middle = rng.normal(size=(size, size)) - 4 * np.diag(rng.uniform(0, 2, size))
    middle = (middle + middle.T) / 2
    radius = rng.uniform(0, 1, (size, size)) * rng.choice([0.1, 1.0])
    radius = (radius + radius.T) / 2
    ends = middle + radius * np.sign(rng.normal(size=(400, size, size)))
    ends = np.tril(ends) + np.tril(ends, -1).transpose(0, 2, 1)
    if proved_negative(middle, radius):
        assert np.linalg.eigvalsh(ends).max() < 0
    wide = np.diag([1.0, 1e6])
    assert proved_negative(np.array([[-2.0, 0.1], [0.1, -2e6]]), 0.9 * wide)
    assert not proved_negative(np.array([[-0.9, 0.1], [0.1, -2e6]]), 0.9 * wide)
