"""Arrays and continuous variables of players: draws, means of vectors, transport, observations."""

import pytest

from mfdsl.compiler.driver import compile_text
from tests.sema.resolved import formula, next_value, resolved, reward

COVER = """model cover

param sites : real[3, 2] in [0, 1] = [[0, 0], [0.5, 0.5], [1, 1]]
enum Kind {{ cars, vans }}

objective team
horizon 3

environment market {{
  state user   : real[4, 2] in [0, 1] ~ uniform
  state demand : real[Kind] in [0, 1] = [0.5, 0.5]
  noise eps    : real[4, 2] ~ normal(0, std = 0.1)
  user'   = clip(user + eps)
  demand' = demand
}}

population drone {{
  trait  skill : real in [0, 1] ~ uniform
  state  pos   : real[2] in [0, 1] ~ uniform
  state  home  : real[2] in [0, 1] = pos
  action u     : real[2] in ball(1)
  noise  gust  : real[2] ~ normal(0, std = skill)
  let drift = 2 * gust
  pos'  = clip(pos + u + drift)
  home' = home
  {body}
  reward r = {reward}
}}
"""


def cover(reward: str = "-skill", body: str = "") -> str:
    return COVER.format(reward=reward, body=body)


def term(text: str) -> str:
    return reward(resolved(cover(text)), "drone", "r")


def test_transport_reads_the_law_of_a_vector() -> None:
    assert term("-w2(drone.pos, market.user)") == "neg(w2[drone](q0.pos, market.user))"
    assert term("w2(drone.pos, sites)") == "w2[drone](q0.pos, sites)"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("w2(drone.skill, market.user)", "MFG201"),
        ("w2(drone.pos, market.demand)", "MFG201"),
        ("w2(drone.pos)", "MFG206"),
        ("w2(pos, market.user)", "MFG206"),
        ("w2(market.user, sites)", "MFG404"),
        ("w2(drone.poss, market.user)", "MFG107"),
        ("prob(q.gust[0] > 0 for q in drone)", "MFG105"),
        ("mean(q.pos for q in drone)", "MFG201"),
        ("market.user[4, 0]", "MFG212"),
        ("market.demand[0]", "MFG201"),
        ("market.user[0, 0, 0]", "MFG202"),
    ],
)
def test_one_fault_gives_one_error(text: str, code: str) -> None:
    assert [d.code for d in compile_text(cover(text)).diagnostics] == [code]


def test_a_mean_of_a_vector_is_a_vector() -> None:
    text = "norm(mean(q.pos for q in drone) - pos)"
    assert term(text) == "norm(add(mean[drone](q0.pos), neg(pos)))"
    model = resolved(cover(text))
    (mean,) = [i for i, node in enumerate(model.nodes) if node.op == "mean"]
    assert model.node_type(mean).dims == (2,)


def test_arrays_are_indexed_by_position_or_by_enum() -> None:
    assert term("market.demand[vans]") == "element(market.demand, 1)"
    assert term("market.user[3, 1]") == "element(market.user, 3, 1)"
    assert term("mean(q.pos[1] for q in drone)") == "mean[drone](element(q0.pos, 1))"
    assert term("norm(market.user[2])") == "norm(element(market.user, 2))"


def test_a_noise_that_is_no_table_is_a_function_of_standard_draws() -> None:
    model = resolved(cover())
    (noise,) = model.player("drone").noises
    assert (noise.name, noise.law) == ("gust", ("normal",))
    assert "mul(2, mul(skill, gust))" in next_value(model, "drone", "pos")


def test_the_noise_of_a_member_scales_with_its_own_trait() -> None:
    assert term("mean(q.drift[0] for q in drone)") == (
        "mean[drone](element(mul(2, mul(q0.skill, q0.gust)), 0))"
    )


def test_traits_are_drawn_before_states_and_states_in_order() -> None:
    model = resolved(cover())
    drone = model.player("drone")
    assert [(d.name, d.law) for d in drone.draws] == [
        ("skill", ("uniform",)),
        ("pos", ("uniform",)),
    ]
    assert formula(model, drone.states[1].start) == "pos"


def test_arrays_can_be_observed() -> None:
    model = resolved(cover(body="observe pos, market.user, market.demand[cars]"))
    observed = model.player("drone").observe
    assert [o.name for o in observed] == ["pos", "market.user", "market.demand[cars]"]
    assert [model.node_type(o.node).dims for o in observed] == [(2,), (4, 2), ()]


def test_a_noise_without_randomness_is_its_value() -> None:
    text = cover("still - skill", body="noise still : real ~ 0.5")
    model = resolved(text)
    assert reward(model, "drone", "r") == "add(0.5, neg(skill))"
    assert [n.name for n in model.player("drone").noises] == ["gust"]
