"""Which of the games of M3FC (Cui et al. 2024) are Lipschitz, and what spoils those that are not.

2G, Formation and Beach are; Foraging jumps where drones reach the depot or a deposit is used up;
the push of Potential jumps where a drone passes through the body, but for a floor of 1e-10 in the
released code, which makes it Lipschitz with a constant of 1e9.
"""

import math

import pytest

import mfdsl
from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.analysis.questions import answers

LIPSCHITZ = {
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
}


def ask(name: str, question: str, seconds: float = 2.0) -> Certificate:
    (found,) = answers(mfdsl.load(name).model, question, seconds=seconds)
    return found


def guilty(name: str, found: Certificate) -> str:
    """The text of the part of the spec that is blamed."""
    assert found.culprit is not None
    source = mfdsl.load(name).compilation.sources[found.culprit.file]
    return source.text[found.culprit.start : found.culprit.end]


@pytest.mark.parametrize("name, question", LIPSCHITZ)
def test_three_games_are_lipschitz(name: str, question: str) -> None:
    found = ask(name, question)
    most = LIPSCHITZ[name, question]
    assert found.verdict == "proved" and found.upper is not None
    assert found.upper <= most * (1 + 1e-6)


@pytest.mark.parametrize("name, question", JUMPS)
def test_foraging_jumps_at_the_depot(name: str, question: str) -> None:
    found = ask(name, question)
    assert found.verdict == "refuted"
    assert found.detail is not None and found.detail.startswith("jumps by")
    assert JUMPS[name, question] in guilty(name, found)


@pytest.mark.parametrize("source", ["drone", "y"])
def test_the_push_of_potential_is_as_steep_as_its_floor_is_low(source: str) -> None:
    found = ask("m3fc_potential", f"body: lipschitz(dynamics, {source})", 4.0)
    assert found.lower is not None and found.lower >= 0.9e9
    assert found.upper is not None and found.upper <= 1.000001e9 + 2
    assert found.verdict == "proved" and found.detail is not None
    assert "as steep as a jump" in found.detail
    assert "1e-10" in guilty("m3fc_potential", found)


@pytest.mark.parametrize("source, gap", [("drone", 0.2), ("y", 0.2)])
def test_the_push_without_a_floor_jumps(source: str, gap: float) -> None:
    model = mfdsl.load("m3fc_potential")
    (text,) = (s.text for s in model.compilation.sources.values())
    start = text.index("  let force")
    end = text.index("  y' =")
    push = (
        "  let force = mean(max(0, 1 - abs(displacement(q.x, y)))"
        " * (if displacement(q.x, y) > 0 then 1 else -1) for q in drone)\n"
    )
    jumping = mfdsl.load(text=text[:start] + push + text[end:])
    (found,) = answers(jumping.model, f"body: lipschitz(dynamics, {source})", seconds=2.0)
    assert found.verdict == "refuted" and found.upper is None
    assert found.witness is not None
    assert found.witness["change"] == pytest.approx(gap, rel=1e-3)  # push times 2
    assert found.culprit is not None
    blamed = (text[:start] + push + text[end:])[found.culprit.start : found.culprit.end]
    assert "displacement(q.x, y) > 0" in blamed
