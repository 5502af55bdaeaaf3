"""Claimed maps walked along simulated games: those that hold, and modules that break them."""

from pathlib import Path

import pytest

from mfdsl.game import load
from mfdsl.validating.claimed_maps import claimed_maps
from mfdsl.validating.invariances import invariance_row, walked
from mfdsl.validating.outcome import Trial
from mfdsl.validating.trial import trial_of
from mfdsl.validating.validate import validate
from tests.validating.injected import with_agents

RING = """\
model ring
objective nash
horizon 4
population walker as mu {
  state  x : int mod 6 ~ uniform
  action a : int in -1..1
  noise  e : int in -1..1 ~ uniform
  x' = x + a + e
  reward crowd = -mu[x] - 0.1 * mu[x + 1] - 0.1 * mu[x - 1]
  cost   walk  = 0.2 * abs(a)
  agents 100
  require invariant(x = x + 1)
  require invariant(x = -x, a = -a)
  require reward in [-5, 5]
}
"""

LINE = """\
model line
objective nash
horizon 4
population bird as mu {
  state  x : real ~ normal(0, std = 1)
  action v : real in [-1, 1]
  noise  e : real ~ normal(0, std = 0.5)
  x' = x + v + e
  let middle = mean(q.x for q in bird)
  cost far  = (x - middle)^2
  cost move = v^2
  agents 50
  require invariant(x = -x, v = -v)
}
"""


def trial(text: str) -> Trial:
    return trial_of(load(text=text), agents=(10, 20), seconds=2)


def test_the_images_are_those_of_the_claims() -> None:
    first, second = claimed_maps(load(text=RING))
    assert first.text == "invariant(x = x + 1)" and set(first.images) == {"x"}
    assert second.text == "invariant(x = -x, a = -a)" and set(second.images) == {"x", "a"}
    assert first.proved and second.proved and first.population == "walker"
    assert claimed_maps(load("specs/sis.mfg")) == ()


@pytest.mark.parametrize("text", [RING, LINE])
def test_proved_maps_hold_in_the_simulator(text: str) -> None:
    row, exceeded = invariance_row(trial(text))
    assert row.verdict == "passed" and not exceeded, row.detail
    assert row.figures["stages_with_next_states"] >= 4  # mirrored noise shows the reflections


def test_a_game_without_claims_has_nothing_to_walk() -> None:
    assert invariance_row(trial_of("specs/sis.mfg"))[0].verdict == "not applicable"


def test_a_module_that_pays_more_in_one_place_breaks_a_proved_map(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    game = load(text=RING)
    spoiled = with_agents(RING, lambda text: text.replace("0.2 * ", "(0.2 + 0.01 * s.walker.x) * "))
    claimed = claimed_maps(game)
    broken, _ = walked(spoiled.agents, claimed[0], 0)
    assert broken is not None and "reward" in broken.quantity
    found = validate(trial_of(spoiled, agents=(10, 20), seconds=2))
    row = next(r for r in found.rows if r.name == "invariances")
    assert row.verdict == "failed" and row.detail.startswith("MFG904")
    assert [e.claim for e in found.exceeded] == ["invariant(x = x + 1)"]
    assert found.reproduction is not None and found.reproduction.parent == tmp_path
