"""Which of the games of M3FC (Cui et al. 2024) are Lipschitz, and what spoils those that are not.

2G, Formation and Beach are; Foraging jumps where drones reach the depot or a deposit is used up,
Potential where a drone passes through the body it pushes. The released code writes the sign of that
push with a floor of 1e-10, which is Lipschitz with a constant of 1e9.
"""

import functools
import math

import pytest

import mfdsl
from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.analysis.questions import answers
from mfdsl.game import Game

LIPSCHITZ = {
    # squared transport on a square of side 4: twice its diagonal, in Wasserstein-1
    ("m3fc_2g", "lipschitz(reward, drone)"): 2 * math.hypot(4, 4),
    ("m3fc_2g", "drone: lipschitz(dynamics, x)"): 1.0,
    ("m3fc_formation", "drone: lipschitz(reward, drone)"): 2 * math.hypot(4, 4),
    ("m3fc_formation", "drone: lipschitz(dynamics, x)"): 1.0,
    ("m3fc_formation", "leader: lipschitz(dynamics, y)"): 1.0,
    ("m3fc_formation", "leader: lipschitz(reward, y)"): math.sqrt(2),
    ("m3fc_beach", "bather: lipschitz(reward, mu)"): 3.0,
    ("m3fc_beach", "bather: lipschitz(reward, x)"): 4.0,
    ("m3fc_beach", "bather: lipschitz(dynamics, x)"): 2.0,
    ("m3fc_beach", "bather: lipschitz(dynamics, a)"): 2.0,
    ("m3fc_beach", "weather: lipschitz(dynamics, spot)"): 2.0,
}

JUMPS = {
    ("m3fc_foraging", "drone: lipschitz(dynamics, x)"): "reach",
    ("m3fc_foraging", "drone: lipschitz(reward, x)"): "reach",
    ("m3fc_foraging", "drone: lipschitz(dynamics, depot)"): "reach",
    ("m3fc_foraging", "field: lipschitz(dynamics, drone)"): "rest[k] <= 0",
    ("m3fc_foraging", "field: lipschitz(dynamics, left)"): "rest[k] <= 0",
    ("m3fc_potential", "body: lipschitz(dynamics, drone)"): "sign(displacement(q.x, y))",
    ("m3fc_potential", "body: lipschitz(dynamics, y)"): "sign(displacement(q.x, y))",
}
MEAN = "the mean of the next state "


@functools.cache
def game_of(name: str) -> Game:
    return mfdsl.load(name)


def ask(name: str, question: str, seconds: float = 0.3) -> Certificate:
    (found,) = answers(game_of(name).model, question, seconds=seconds)
    return found


def guilty(name: str, found: Certificate) -> str:
    """The text of the part of the spec that is blamed."""
    assert found.culprit is not None
    source = game_of(name).compilation.sources[found.culprit.file]
    return source.text[found.culprit.start : found.culprit.end]


@pytest.mark.parametrize("name, question", LIPSCHITZ)
def test_three_games_are_lipschitz(name: str, question: str) -> None:
    found = ask(name, question)
    most = LIPSCHITZ[name, question]
    assert found.verdict == "proved" and found.upper is not None
    assert found.upper <= most * (1 + 1e-6)
    assert found.lower is not None and found.lower <= most * (1 + 1e-9)
    if name == "m3fc_beach" and question.endswith("(reward, mu)"):
        assert found.lower >= 1.4  # of at most 3


@pytest.mark.parametrize("name, question", JUMPS)
def test_two_games_jump(name: str, question: str) -> None:
    found = ask(name, question, seconds=0.5)  # counted: they are found everywhere or nowhere
    assert found.verdict == "refuted" and found.upper is None
    assert found.detail is not None and found.detail.removeprefix(MEAN).startswith("jumps by")
    assert found.witness is not None and float(found.witness["distance"]) < 1e-9
    assert JUMPS[name, question] in guilty(name, found)


def pushing(factor: str) -> str:
    """Potential with another factor in the place of the sign."""
    (text,) = (s.text for s in game_of("m3fc_potential").compilation.sources.values())
    sign = "sign(displacement(q.x, y))"
    assert text.count(sign) == 1
    return text.replace(sign, factor)


@pytest.mark.parametrize("source", ["drone", "y"])
def test_the_floor_of_the_released_code_is_as_steep_as_it_is_low(source: str) -> None:
    text = pushing("displacement(q.x, y) / (abs(displacement(q.x, y)) + 1e-10)")
    model = mfdsl.load(text=text).model
    (found,) = answers(model, f"body: lipschitz(dynamics, {source})", seconds=1.0)
    assert found.lower is not None and found.lower >= 0.9e9
    assert found.upper is not None and found.upper <= 1.000001e9 + 2
    assert found.verdict == "proved" and found.detail is not None
    assert "as steep as a jump" in found.detail
    assert found.culprit is not None
    assert "1e-10" in text[found.culprit.start : found.culprit.end]


@pytest.mark.parametrize("source", ["drone", "y"])
def test_a_push_to_one_side_jumps_by_twice_its_size(source: str) -> None:
    text = pushing("(if displacement(q.x, y) > 0 then 1 else -1)")
    model = mfdsl.load(text=text).model
    (found,) = answers(model, f"body: lipschitz(dynamics, {source})", seconds=0.5)
    assert found.verdict == "refuted" and found.upper is None
    assert found.witness is not None
    assert found.witness["change"] == pytest.approx(0.2, rel=1e-3)
    assert found.culprit is not None
    assert "displacement(q.x, y) > 0" in text[found.culprit.start : found.culprit.end]
