"""Games of several populations: one inner product over all of them, each with the same weight."""

import numpy as np
import pytest

from mfdsl.compiler.ir.model import Model
from tests.analysis.structure.games import certificate, certificates, model_of

TWO = """model two

objective nash
horizon 3

population car as mu {{
  state  x : int in 0..{last} ~ uniform
  action a : int in 0..1
  x' = if a == 1 then {last} - x else x
  reward r = {car}
}}

population bus as nu {{
  state  x : int in 0..{last} ~ uniform
  action a : int in 0..1
  x' = if a == 1 then {last} - x else x
  reward r = {bus}
}}
"""
PLACES = [("mu", 0), ("mu", 1), ("nu", 0), ("nu", 1)]


def game(car: str, bus: str, last: int = 2) -> Model:
    return model_of(TWO.format(car=car, bus=bus, last=last))


TABLE = [
    ("-mu[x]", "-nu[x]", 2, "proved", "proved"),
    ("-mu[x] - nu[x]", "-mu[x] - nu[x]", 2, "proved", "proved"),
    ("-mu[x] - 2 * nu[x]", "-nu[x]", 2, "proved", "refuted"),
    ("-mu[x] - 3 * nu[x]", "-nu[x]", 2, "refuted", "refuted"),
    ("nu[x]", "-mu[x]", 2, "proved", "refuted"),
    ("nu[x]", "mu[x]", 2, "refuted", "proved"),
    ("-nu[x]", "-mu[x]", 2, "refuted", "proved"),
    ("-mu[x]", "nu[x]", 4, "refuted", "proved"),
    ("-2 * mu[x] - nu[x]^2", "-nu[x]", 2, "proved", "refuted"),
    ("-log(mu[x] + nu[x] + 0.1)", "-log(mu[x] + nu[x] + 0.1)", 4, "proved", "proved"),
    ("-log(mu[x] + nu[x] + 0.1)", "-2 * log(mu[x] + nu[x] + 0.1)", 1, "refuted", "refuted"),
    ("-(mu[x] + nu[x])^2", "-(mu[x] + nu[x])^2", 4, "proved", "proved"),
    ("-mu[x] - x", "-exp(nu[x]) + 2 * x", 3, "proved", "proved"),
    ("-mu[x] + nu[0]", "-nu[x] + mu[1]", 3, "proved", "proved"),
]


@pytest.mark.parametrize(("car", "bus", "last", "monotone", "potential"), TABLE)
def test_known_games(car: str, bus: str, last: int, monotone: str, potential: str) -> None:
    model = game(car, bus, last)
    found = certificates(model, "monotone")
    weak = found["monotone"]
    assert weak.verdict == monotone, weak.detail
    if monotone == "refuted":
        assert weak.witness is not None and float(weak.witness["inner product"]) > 0
    assert found["potential"].verdict == potential
    if monotone == "proved":
        assert found["monotone_on_flows"].verdict == "proved"


def test_flows_of_two_populations() -> None:
    """Nobody moves in one of them, so that only the other counts."""
    text = TWO.format(car="-mu[x] - 9 * nu[x]", bus="nu[x]", last=2)
    moves = "x' = if a == 1 then 2 - x else x\n  reward r = nu"
    still = text.replace(moves, "x' = x\n  reward r = nu")
    assert still != text
    found = certificates(model_of(still), "monotone")
    assert found["monotone"].verdict == "refuted"
    assert found["monotone_on_flows"].verdict == "proved"
    assert certificate(model_of(text), "monotone_on_flows").verdict == "refuted"


@pytest.mark.parametrize("seed", range(16))
def test_random_linear_games_agree_with_eigenvalues(seed: int) -> None:
    rng = np.random.default_rng(seed)
    blocks = rng.integers(-3, 4, (4, 4)).astype(float)  # [place and population, the same]
    if seed % 2:
        blocks = -(blocks @ blocks.T) / 4 + (blocks - blocks.T)
    texts = []
    for p in range(2):
        arms = []
        for x in range(2):
            row = blocks[2 * p + x]
            sums = [f"({v}) * {law}[{y}]" for v, (law, y) in zip(row, PLACES, strict=True)]
            arms.append(" + ".join(sums))
        texts.append(f"if x == 0 then {arms[0]} else {arms[1]}")
    model = game(*texts, last=1)
    basis = np.array([[1, -1, 0, 0], [0, 0, 1, -1]]).T
    small = basis.T @ blocks @ basis
    top = float(np.linalg.eigvalsh(small + small.T)[-1])
    expected = "refuted" if top > 1e-9 else "proved"
    found = certificates(model, "monotone")
    assert found["monotone"].verdict == expected
    symmetric = abs(small[0, 1] - small[1, 0]) < 1e-12
    assert found["potential"].verdict == ("proved" if symmetric else "refuted")


def test_a_mask_that_reads_time_leaves_the_search_without_members() -> None:
    """Which members of `late` are legal is open, so no two laws are tried."""
    text = """model masked
objective nash
horizon 2
population early as me {
  state s : int in 0..1 ~ uniform
  action a : int in 0..1
  s' = a
  reward herd = me[s = s]
}
population late as ml {
  state s : int in 0..1 ~ uniform
  action a : int in 0..1 where t == 0 or a == 0
  s' = a
  reward space = -ml[s = s]
}
"""
    assert certificate(model_of(text), "monotone").verdict != "proved"
