"""Players of every kind as they are lowered: what they read of each other, and in which order."""

import pytest

from mfdsl.compiler.driver import compile_text
from tests.sema.resolved import formula, next_value, resolved, reward

HAUL = """model haul

enum Kind {{ cars, vans }}

objective {objective}
horizon 10

environment market {{
  state mood : int in 0..2 = 1
  noise shock : bool ~ bernoulli(0.3)
  let price = 2 * mood + ind(shock)
  mood' = if shock then 2 else mood
  {market}
}}

major truck[m in 0..1] {{
  state  y : int in 0..3 = market.mood + m - 1
  action w : int in -1..1 where y + w >= 0 and y + w <= 3
  let load = prob(q.x == y for q in flow[cars])
  y' = clip(y + w)
  {truck}
  reward fuel = -abs(w)
}}

population flow[f in Kind] as mu {{
  trait  kind : int in 0..1 ~ uniform
  state  x : int in 0..3 ~ mix {{ 0.5 -> truck[0].y, else -> kind }}
  action a : int in 0..3
  noise  e : bool ~ bernoulli(0.5)
  let moved = if e then a else x
  x' = moved
  {flow}
  reward r = {reward}
  agents if f == cars then 7 else 3
}}
"""


def haul(
    market: str = "",
    truck: str = "",
    flow: str = "",
    reward: str = "mu[x]",
    objective: str = "nash",
) -> str:
    return HAUL.format(market=market, truck=truck, flow=flow, reward=reward, objective=objective)


def term(reward_text: str, player: str = "flow[cars]") -> str:
    return reward(resolved(haul(reward=reward_text)), player, "r")


def test_families_become_players_in_the_order_of_declaration() -> None:
    model = resolved(haul())
    found = [(p.kind, p.name, p.family, p.index, p.agents) for p in model.players]
    assert found == [
        ("environment", "market", None, None, None),
        ("major", "truck[0]", "truck", "0", None),
        ("major", "truck[1]", "truck", "1", None),
        ("population", "flow[cars]", "flow", "cars", 7),
        ("population", "flow[vans]", "flow", "vans", 3),
    ]


def test_the_features_are_listed_in_order() -> None:
    words = ("environment", "finite", "horizon_finite", "major", "populations", "traits")
    assert resolved(haul()).features == words
    assert resolved(haul(objective="team")).features == tuple(sorted((*words, "team")))


def test_players_are_drawn_after_those_that_their_initial_values_read() -> None:
    text = """model late
objective nash
horizon 3
population bird as mu {
  state  x : int in 0..3 = nest.y
  action a : int in 0..1
  x' = x
  reward r = mu[x] + a
}
environment nest {
  state y : int in 0..3 = wind.z
  y' = y
}
environment wind {
  state z : int in 0..3 ~ uniform
  z' = z
}
"""
    order = {p.name: p.order for p in resolved(text).players}
    assert order == {"wind": 0, "nest": 1, "bird": 2}


def test_the_index_of_a_family_is_a_constant_inside() -> None:
    model = resolved(haul())
    starts = [formula(model, model.player(f"truck[{m}]").states[0].initial) for m in (0, 1)]
    assert starts == [
        "eq(truck[0].y, add(market.mood, -1))",
        "eq(truck[1].y, market.mood)",
    ]


def test_members_of_populations_read_their_own_variables_and_common_ones() -> None:
    model = resolved(haul(flow="let toll = market.price * a + truck[1].w", reward="toll + kind"))
    assert reward(model, "flow[vans]", "r") == (
        "add(add(mul(add(mul(2, market.mood), market.shock), a), truck[1].w), kind)"
    )
    assert next_value(model, "flow[cars]", "x") == "if(e, a, x)"


def test_majors_and_environments_read_themselves_as_common() -> None:
    model = resolved(haul())
    assert next_value(model, "market", "mood") == "if(market.shock, 2, market.mood)"
    legal = formula(model, model.player("truck[1]").legal)
    assert legal == "and(le(0, add(truck[1].y, truck[1].w)), le(add(truck[1].y, truck[1].w), 3))"
    assert reward(model, "truck[0]", "fuel") == "neg(abs(truck[0].w))"


def test_a_let_of_another_player_is_about_that_player() -> None:
    assert term("truck[1].load") == "mean[flow[cars]](eq(q0.x, truck[1].y))"


def test_a_let_of_a_member_is_about_that_member_with_its_own_noise() -> None:
    assert term("prob(q.moved == x for q in flow[vans])") == (
        "mean[flow[vans]](eq(if(q0.e, q0.a, q0.x), x))"
    )


def test_traits_of_members_can_be_averaged() -> None:
    assert term("mean(q.kind for q in flow[vans])") == "mean[flow[vans]](q0.kind)"


def test_the_handle_of_a_family_is_the_own_law() -> None:
    model = resolved(haul())
    for name in ("flow[cars]", "flow[vans]"):
        assert reward(model, name, "r") == f"mean[{name}](eq(q0.x, x))"


def test_others_leaves_oneself_out() -> None:
    assert term("prob(q.x == x for q in others(flow[f]))", "flow[vans]") == (
        "mean_others[flow[vans]](eq(q0.x, x))"
    )


def test_a_conditional_mean_over_others_needs_mass() -> None:
    assert term("mean(q.a for q in others(flow[f]) if q.x == x)") == (
        "mean_others_if[flow[cars]](q0.a, eq(q0.x, x))"
    )


@pytest.mark.parametrize("word", ["min", "max"])
def test_extremes_over_members_are_numbers_of_the_support(word: str) -> None:
    assert term(f"{word}(q.x + a for q in flow[cars])") == (
        f"{word}_members[flow[cars]](add(q0.x, a))"
    )
    assert term(f"{word}(q.x for q in others(flow[f]))") == f"{word}_others[flow[cars]](q0.x)"


def test_a_sum_over_a_family_is_written_out() -> None:
    assert term("sum(prob(q.x == x for q in flow[g]) for g in Kind)") == (
        "add(mean[flow[cars]](eq(q0.x, x)), mean[flow[vans]](eq(q0.x, x)))"
    )
    assert term("max(truck[m].y - x for m in 0..1)") == (
        "max(add(truck[0].y, neg(x)), add(truck[1].y, neg(x)))"
    )


def test_a_long_family_is_written_out_when_the_body_names_its_members() -> None:
    text = haul(reward="sum(deposit[k].z for k in 0..9) + mu[x]") + (
        "environment deposit[k in 0..9] {\n  state z : int in 0..1 = 0\n  z' = z\n}\n"
    )
    written = reward(resolved(text), "flow[cars]", "r")
    assert all(f"deposit[{k}].z" in written for k in range(10))
    assert "index" not in written


def test_a_computed_index_picks_among_the_members() -> None:
    assert term("truck[kind].y") == "if(eq(kind, 0), truck[0].y, truck[1].y)"


def test_what_is_observed_keeps_the_name_it_is_written_with() -> None:
    model = resolved(haul(flow="observe x, t, truck[1].y, market.mood, law(flow[vans])"))
    player = model.player("flow[cars]")
    assert [o.name for o in player.observe] == ["x", "t", "truck[1].y", "market.mood"]
    assert player.observes_law == ("flow[vans]",)


def test_the_law_of_a_family_is_the_law_of_each() -> None:
    model = resolved(haul(flow="observe x, law(flow)"))
    assert model.player("flow[cars]").observes_law == ("flow[cars]", "flow[vans]")


def test_without_observe_everything_is_seen() -> None:
    assert resolved(haul()).player("flow[cars]").observe == ()


def test_a_team_pays_environments_and_needs_no_reward_of_a_population() -> None:
    text = haul(market="reward calm = -mood", objective="team").replace("reward r = mu[x]", "")
    model = resolved(text)
    assert model.objective == "team"
    assert reward(model, "market", "calm") == "neg(market.mood)"
    assert model.player("flow[cars]").rewards == ()


def codes(text: str) -> list[str]:
    return [d.code for d in compile_text(text).diagnostics if d.severity == "error"]


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ({"reward": "market.cheap"}, "MFG107"),
        ({"reward": "truck[0].e"}, "MFG107"),
        ({"reward": "flow[cars].x"}, "MFG401"),
        ({"reward": "flow[cars].e"}, "MFG105"),
        ({"reward": "prob(q.e for q in flow[cars])"}, "MFG105"),
        ({"reward": "sum(q.x for q in flow[cars])"}, "MFG402"),
        ({"reward": "mean(q.x for q in flow)"}, "MFG404"),
        ({"reward": "truck[cars].y"}, "MFG201"),
        ({"reward": "truck[0, 1].y"}, "MFG202"),
        ({"reward": "flow.x"}, "MFG404"),
        ({"reward": "truck"}, "MFG201"),
        ({"reward": "prob(q.x == 0 for q in others(flow[vans]))"}, "MFG105"),
        ({"reward": "min(q.x for q in flow[cars] if q.x > 1)"}, "MFG206"),
        ({"truck": "let a = truck[1 - m].b\n  let b = truck[1 - m].a"}, "MFG601"),
        ({"market": "let up = truck[0].down", "truck": "let down = market.up"}, "MFG601"),
        ({"flow": "observe flow[cars].x"}, "MFG406"),
        ({"flow": "observe market.price"}, "MFG105"),
        ({"flow": "observe truck[0].w"}, "MFG105"),
        ({"market": "observe mood"}, "MFG113"),
        ({"truck": "agents 2"}, "MFG113"),
    ],
)
def test_one_fault_gives_one_error(parts: dict[str, str], code: str) -> None:
    assert codes(haul(**parts)) == [code]


def test_a_declared_noise_may_not_take_the_name_of_a_draw() -> None:
    text = haul(flow="noise x_next : bool ~ bernoulli(0.5)").replace(
        "x' = moved", "x' ~ mix { 0.5 -> moved, else -> 0 }"
    )
    assert codes(text) == ["MFG102"]


def test_two_families_may_not_share_spelling_with_another_player() -> None:
    text = haul() + "environment truck_0 {\n  state z : int in 0..1 = 0\n  z' = z\n}\n"
    assert codes(text) == ["MFG102"]
