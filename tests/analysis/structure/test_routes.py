"""Costs of routes by the flows of their links: what is proved is monotone, what is off is not."""

import random
from typing import Any

import pytest

from mfdsl.compiler.ir import meaning
from tests.analysis.structure.games import certificate, certificates, model_of

ROADS = """model roads

enum Route {{ upper, lower, bridge, bus }}

objective nash
horizon 1

population driver as mu {{
  state  x : int in 0..0 = 0
  action r : Route
  x' = x
  let one = mu[r = upper] + mu[r = bridge]
  let two = mu[r = lower] + mu[r = bridge]
  cost time = {cost}
}}
"""
ONE, TWO = "ind(r == upper or r == bridge)", "ind(r == lower or r == bridge)"
BPR = f"{ONE} * 2 * (1 + 0.15 * (4 * one / 3)^4) + {TWO} * (1 + 0.15 * (4 * two)^4)"
PROVED = [
    BPR,
    f"{BPR} + ind(r == bus) * 5 + {ONE} * one",
    f"{ONE} * exp(one) + {TWO} * two^3",
    f"{ONE} * 3 * one^4 - ind(r == lower or r == bus) * one^4",
]
ENEMIES = [
    f"{ONE} * (one)^4 - {TWO} * two^4",  # a sign
    f"ind(r == upper) * one^4 + {TWO} * two^4",  # not all who use it pay
    f"{ONE} * (one - 0.5)^4 + {TWO} * two^4",  # a cost that falls at first
    f"({ONE} + ind(r == bridge)) * one^4 + {TWO} * two^4",  # weights of cost and flow differ
    f"{ONE} * two^4 + {TWO} * one^4",  # the flow of the other link
    f"{ONE} * (one^4 + two^4) + {TWO} * two^4",  # one cost, two flows
]
OTHER = """model two

enum Route {{ upper, lower, bridge }}

objective nash
horizon 1

{players}
"""
PLAYER = """population {name} as {law} {{
  state  x : int in 0..0 = 0
  action r : Route
  x' = x
  cost time = ind(r != lower) * ({flow})^4
}}
"""


@pytest.mark.parametrize("cost", PROVED)
def test_costs_that_rise_with_the_flow_are_proved_and_hold_at_random_laws(cost: str) -> None:
    model = model_of(ROADS.format(cost=cost))
    found = certificates(model, "monotone", 2.0)
    assert {found[c].verdict for c in ("monotone", "potential", "concave_potential")} == {"proved"}
    rng = random.Random(0)
    for _ in range(40):
        one, other = ([rng.expovariate(1) ** 3 for _ in range(4)] for _ in range(2))
        laws: list[Any] = [
            {((0,), (a,)): v / sum(w) for a, v in enumerate(w)} for w in (one, other)
        ]
        pays = [[meaning.reward(model, 0, law, (0,), (a,)) for a in range(4)] for law in laws]
        masses = [list(law.values()) for law in laws]
        inner = sum((pays[0][a] - pays[1][a]) * (masses[0][a] - masses[1][a]) for a in range(4))
        assert inner <= 1e-12


@pytest.mark.parametrize("cost", ENEMIES)
def test_what_is_off_by_one_thing_is_not_proved(cost: str) -> None:
    model = model_of(ROADS.format(cost=cost))
    assert certificate(model, "monotone", 2.0).verdict != "proved"


@pytest.mark.parametrize(
    ("first", "second", "proved"),
    [
        ("{own} + {other}", "{own} + {other}", True),
        ("{own} + 0.5 * {other}", "{own} + 0.5 * {other}", False),  # weights of cost and flow
        ("{own}", "{other}", False),  # of the other population only
    ],
)
def test_populations_that_share_a_link_count_alike(first: str, second: str, proved: bool) -> None:
    cars, vans = "(mu[r = upper] + mu[r = bridge])", "(nu[r = upper] + nu[r = bridge])"
    players = [
        PLAYER.format(name="cars", law="mu", flow=first.format(own=cars, other=vans)),
        PLAYER.format(name="vans", law="nu", flow=second.format(own=vans, other=cars)),
    ]
    model = model_of(OTHER.format(players="\n".join(players)))
    assert (certificate(model, "monotone", 2.0).verdict == "proved") is proved
