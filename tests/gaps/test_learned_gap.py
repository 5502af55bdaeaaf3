"""Learned best responses: what deviators do to a game, and what they gain beside what is exact."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

import mfdsl
from mfdsl.playing import by_table
from mfdsl.runtime.behaviours import still, uniform
from mfdsl.runtime.evaluate import Evaluation
from mfdsl.runtime.exploitability import Exploitability, Response, lower_bound
from mfdsl.runtime.learning import best_response, judges, tallied
from mfdsl.runtime.learning.answers import Answer, Deviating, Found
from mfdsl.runtime.learning.best_response import CURIOUS, imitate, learned_response
from mfdsl.runtime.learning.chances import answer_chances
from mfdsl.runtime.learning.deviators import Arena, Shadowed, arena_of, steep, weighs
from mfdsl.runtime.learning.gaps import Budget, gain_in_tables, learned_gap, responses_to
from mfdsl.runtime.learning.judges import preferred
from mfdsl.runtime.learning.placed import followed_by
from mfdsl.runtime.learning.replayed import SWEEPS, fits
from mfdsl.runtime.learning.sight import model_of, sights_of
from mfdsl.runtime.own_policies import OwnPolicy
from mfdsl.runtime.solution import Solution
from tests.gaps.lessons import lesson_of, tables_in

SMALL = Budget(
    iterations=12, deviators=32, test_games=16, hidden=16, layers=1, steps=25, restarts=1
)


def arena(name: str, behaviour: Any, agents: int = 30) -> Arena:
    lesson = lesson_of(mfdsl.load(name))
    return arena_of(
        lesson.program,
        lesson.weighted,
        lesson.params,
        behaviour,
        sights_of(lesson.program)[0],
        agents=agents,
        games=3,
        deviators=10,
        steps=lesson.program.horizon or 5,
        seed=4,
    )


@pytest.mark.parametrize("name", ["sis", "left_right", "predator_prey", "crowd_1d"])
def test_shadows_leave_the_crowd_as_it_is_and_meet_what_it_meets(name: str) -> None:
    """A shadow that does what its agent does is where it is and is paid what it is paid."""
    place = arena(name, uniform)
    shadowed = place.shadows
    assert isinstance(shadowed, Shadowed)
    plain, field = shadowed.crowd, shadowed.field
    alone, state = plain.reset(1), shadowed.reset(1)
    for t in range(min(4, place.engine.steps)):
        scene = shadowed.scene(t, state)
        usual = place.followed(scene, t)
        mine = [value[:, :10] for value in getattr(usual, field)]
        noise = shadowed.noise(t)
        time = scene.time
        step = shadowed.program.module.step
        state, paid = step(shadowed.params, time, state, place.acted(usual, mine), noise)
        alone, own = plain.program.module.step(plain.params, time, alone, usual, plain.noise(t))
        torch.testing.assert_close(place.paid(paid), place.usually_paid(paid))
        whole = getattr(own, field)
        torch.testing.assert_close(place.usually_paid(paid), whole.expand(3, -1)[:, :10])
        crowd = shadowed.scene_of_crowd(shadowed.scene(t + 1, state)).state
        for group, other in zip(crowd, alone, strict=True):
            for one, two in zip(group, other, strict=True):
                torch.testing.assert_close(one, two.expand_as(one))


def test_one_of_n_counts_as_everybody_does() -> None:
    """The one who leaves the place where all are meets a tenth, and is paid log 10 for it."""
    game = mfdsl.load(text=TWO_PLACES)
    lesson = lesson_of(game)
    assert steep(model_of(game.agents))
    here = OwnPolicy(lambda t, seen: {"a": torch.zeros_like(seen["person"]["x"])})
    found = learned_gap(lesson, here, agents=10, games=8, budget=SMALL)
    assert found.gain == pytest.approx(math.log(10), rel=1e-9)
    assert found.value == pytest.approx(math.log(10), rel=1e-9)
    assert found.std_error == 0


PAID = "-log(1e-12 + prob(p.x == x for p in person))"
TWO_PLACES = f"""
model two_places
objective nash
horizon 2
population person {{
  state  x : int in 0..1 = 0
  action a : int in 0..1
  x' = a
  reward room = {PAID}
}}
"""


@pytest.mark.parametrize(
    ("name", "steps"), [("left_right", 0), ("rock_paper_scissors", 2), ("stationary_sis", 0)]
)
def test_learned_gains_are_below_the_exact_ones_and_near_them(name: str, steps: int) -> None:
    game = mfdsl.load(name)
    lesson = lesson_of(game)
    tables = tables_in(lesson)
    policy = tables.view.uniform()
    if steps:
        solution = mfdsl.solve(game, iterations=steps)
        assert isinstance(solution, Solution)
        policy = solution.policy
    exact = Evaluation(tables.view, policy).exploitability.value
    ((found, response),) = responses_to(
        lesson, by_table(game, policy), agents=200, games=4, budget=SMALL
    )
    limit = gain_in_tables(tables, policy, found)
    assert 0.8 * exact <= limit <= exact + 1e-9
    assert lower_bound([response]).value <= exact
    assert abs(response.gain - limit) <= 4 * response.limit[1] + 0.1 * exact


def test_an_equilibrium_has_no_gain() -> None:
    """Against the uniform policy of rock, paper and scissors nobody gains more than chance."""
    found = learned_gap(
        lesson_of(mfdsl.load("rps_standard")), uniform, agents=100, games=8, budget=SMALL
    )
    assert found.value == 0
    assert abs(found.gain) <= 4 * (found.std_error or 0) + 0.02


def test_real_actions_are_learned_through_the_simulator() -> None:
    """-(x + a - 1)^2 - a^2 is best at a = (1 - x) / 2, where it is half of what a = 0 pays."""
    game = mfdsl.load(text=PULLED)
    budget = Budget(
        iterations=100, deviators=64, test_games=32, hidden=16, learning_rate=0.01, restarts=1
    )
    found = learned_gap(lesson_of(game), still, agents=64, games=8, budget=budget)
    (response,) = found.responses
    assert response.gradient == "path"
    assert response.gain == pytest.approx(1.0, abs=4 * response.std_error + 0.02)
    assert found.kind == "lower_bound"
    assert found.value < response.gain


PULLED = """
model pulled
objective nash
horizon 1
population person {
  state  x : real ~ normal(0, std = 1)
  action a : real
  x' = x + a
  reward aim = -(x + a - 1)^2 - a^2 + 0 * mean(p.x for p in person)
}
"""


def test_majors_deviate_one_by_one() -> None:
    """The leader gains 2 in each of 3 steps by its own choice, and so does every follower 1."""
    game = mfdsl.load(text=LEADER)
    found = learned_gap(lesson_of(game), still, agents=20, games=16, budget=SMALL)
    assert [r.player for r in found.responses] == ["leader", "person"]
    assert found.per_population == pytest.approx({"leader": 6.0, "person": 3.0})
    assert found.value == pytest.approx(9.0)


LEADER = """
model led
objective nash
horizon 3
major leader {
  state  y : int in 0..1 = 0
  action w : int in 0..1
  y' = w
  reward up = 2 * w + mean(p.x for p in person)
}
population person {
  state  x : int in 0..1 = 0
  action a : int in 0..1
  x' = a
  reward up = a - mean(p.x for p in person) - leader.y
}
"""


def test_games_whose_members_have_no_weights_have_one_deviator_each() -> None:
    lesson = lesson_of(
        mfdsl.load(text=TWO_PLACES.replace(PAID, "max(ind(p.x == x) for p in person)"))
    )
    assert not weighs(model_of(lesson.program), sights_of(lesson.program)[0])
    found = learned_gap(lesson, still, agents=5, games=8, budget=SMALL)
    assert found.responses[0].half is None
    # the maximum of whether somebody stands where oneself does is 1 wherever one is
    assert found.value == 0


def test_lower_bounds_take_off_what_is_not_certain() -> None:
    one = Response("a", 2.0, 0.1, 64, 100, 5, "score", (1.0, 2.0), half=2.5, half_error=0.1)
    two = Response("b", 1.0, 0.2, 64, 100, 5, "score", (1.0, 1.0))
    found = lower_bound([one, two])
    assert one.limit == pytest.approx((1.5, 0.05**0.5))
    assert two.limit == (1.0, 0.2)
    assert found.std_error == pytest.approx(0.05**0.5)
    assert found.value == pytest.approx(2.5 - 1.959964 * 0.3, rel=1e-6)
    assert found.per_population["a"] == pytest.approx(1.5 - 1.959964 * 0.05**0.5, rel=1e-6)
    assert found.per_population["b"] == pytest.approx(1.0 - 1.959964 * 0.2, rel=1e-6)
    assert found.gain == 3.0
    more = Response("a", 2.0, 0.1, 64, 100, 5, "score", (1.0,), half=1.0, half_error=0.1)
    assert lower_bound([more]).value == pytest.approx(2.0 - 0.1959964, rel=1e-6)
    entries = found.to_json()
    assert entries["kind"] == "lower_bound"
    assert entries["std_error"] == found.std_error
    assert entries["responses"][0]["quarters"] == [1.0, 2.0]
    nothing = lower_bound([Response("a", -1.0, 0.1, 64, 100, 5, "path", (0.0,))])
    assert nothing.value == 0
    assert "std_error" not in Exploitability(1.0, "exact", {"a": 1.0}, (1.0,)).to_json()


def test_a_seed_fixes_a_gap() -> None:
    lesson = lesson_of(mfdsl.load("left_right"))
    budget = Budget(iterations=3, deviators=8, test_games=8, hidden=8)  # with both kinds of starts

    def once(seed: int) -> Exploitability:
        return learned_gap(lesson, uniform, agents=20, games=4, seed=seed, budget=budget)

    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    assert once(3) == once(3)
    assert once(3) != once(4)
    assert torch.equal(before, torch.random.get_rng_state())


def test_deviators_may_know_traits_that_the_policy_does_not_see() -> None:
    """Who knows k gains 1 where k is -1 or 1; who does not gains nothing."""
    lesson = lesson_of(mfdsl.load(text=HIDDEN))

    def gain(knows: bool) -> float:
        ((_, response),) = responses_to(
            lesson, still, agents=200, games=4, budget=SMALL, knows=knows
        )
        assert abs(response.gain) <= 4 * response.std_error + 2 / 3 + 1e-6
        return response.gain

    assert gain(knows=True) == pytest.approx(2 / 3, abs=0.05)
    assert gain(knows=False) == pytest.approx(0.0, abs=0.05)


HIDDEN = """
model hidden
objective nash
horizon 1
population person {
  state  x : int in 0..1 = 0
  trait  k : int in -1..1 ~ uniform
  action a : int in -1..1
  x' = x
  reward right = k * a + 0 * mean(p.x for p in person)
  observe x, t
}
"""


def test_stationary_games_start_from_the_law_that_the_policy_keeps() -> None:
    place = arena("stationary_sis", uniform, agents=4000)
    assert place.shadows is not None
    tables = tables_in(lesson_of(mfdsl.load("stationary_sis")))
    wanted = tables.view.laws(tables.view.uniform())[0, 0]
    found = []
    for epoch in (1, 2):
        scene = place.simulator.scene(0, place.simulator.reset(epoch))
        (values,) = place.shadows.scene_of_crowd(scene).state.person
        shares = torch.stack([(values == k).double().mean() for k in range(2)])
        torch.testing.assert_close(shares, wanted, atol=0.02, rtol=0)
        found.append(values)
    assert not torch.equal(*found)


def test_imitation_ends_at_the_policy() -> None:
    """Chances of the network are those of the policy, with a part of all other actions."""
    game = mfdsl.load("sis")
    lesson = lesson_of(game)
    tables = tables_in(lesson)
    solution = mfdsl.solve(game, iterations=3)
    assert isinstance(solution, Solution)
    place = arena("sis", by_table(game, solution.policy), agents=100)
    budget = Budget(imitation=30, learning_rate=0.02, hidden=32)
    torch.manual_seed(0)
    answer = Answer(model_of(place.program), place.sight, budget).double()
    imitate(Deviating(place, answer), budget, 1)
    chances = answer_chances(Found(answer, False), tables)
    flow = tables.view.flow(solution.policy)
    found = followed_by(tables, solution.policy, flow, chances).probs
    wanted = (1 - CURIOUS) * solution.policy.probs + CURIOUS / found.shape[-1]
    weight = flow.laws[:, : found.shape[1], :, None]
    assert float((weight * (found - wanted).abs()).sum(-1).sum(-1).mean()) < 0.1


def test_noise_of_single_players_does_not_choose() -> None:
    """Those who are told apart by the judge alone are taken as it says; others by many games."""
    answer = Answer(model_of(arena("sis", uniform).program), arena("sis", uniform).sight, Budget())
    lucky = Found(answer, True, gain=0.5, error=0.2, learned=0.1)
    better = Found(answer, True, gain=0.2, error=0.2, learned=0.3)
    worse = Found(answer, True, gain=-3.0, error=0.2, learned=9.0)
    assert preferred([lucky, better, worse]) is better
    alone = Found(answer, True, gain=0.1, error=math.nan, learned=0.1)
    assert preferred([alone]) is alone


def test_both_who_choose_see_as_many_games(monkeypatch: pytest.MonkeyPatch) -> None:
    """One player tells less than many, so there are four times the games, of either kind."""
    place = arena("sis", uniform)
    alone = replace(place, engine=replace(place.engine, simulator=place.shadows.crowd))  # type: ignore[union-attr]
    seen: list[tuple[bool, int]] = []

    def gains(judge: Arena, found: Found, episode: int) -> torch.Tensor:
        seen.append((judge is place, episode))
        return torch.full((3,), 1.0 + len(seen))

    monkeypatch.setattr(judges, "gains_of", gains)
    found = judges.chosen(torch.nn.Identity(), place, alone, 2, (True,))  # type: ignore[arg-type]
    assert [kind for kind, _ in seen] == [False] * 4 + [True] * 4
    assert [k for _, k in seen[:4]] == [k for _, k in seen[4:]] and len({k for _, k in seen}) == 4
    assert found.gain == 3.5 and found.learned == 7.5


def test_the_last_of_answers_to_counts_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever noise says of it; of all other courses the best."""
    place = arena("sis", uniform)
    answer = Answer(model_of(place.program), place.sight, Budget(hidden=8))
    gains = iter((0.5, 0.3, 0.5, 0.3))
    monkeypatch.setattr(
        best_response, "chosen", lambda *_: Found(answer, True, gain=next(gains), error=0.01)
    )
    for last, wanted in ((True, 0.3), (False, 0.5)):
        found = best_response.course_of(iter([answer] * 2), place, place, 0, (True,), last=last)
        assert found.gain == wanted and found.quarters == (0.5, 0.3)


@pytest.mark.parametrize("few", [True, False], ids=["counted", "fitted"])
def test_values_of_what_was_ever_met_answer_a_policy(
    few: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a few episodes, in which all that there is to gain can be told, both by counts of
    what choices lead to and by a network of values, where there are too many views for counts.
    """
    if not few:
        monkeypatch.setattr(tallied, "MOST", 0)
    game = mfdsl.load("rock_paper_scissors")
    lesson = lesson_of(game)
    tables = tables_in(lesson)
    policy = tables.view.uniform()
    place = arena("rock_paper_scissors", by_table(game, policy), agents=1000)
    exact = Evaluation(tables.view, policy).exploitability.value
    budget = Budget(restarts=0, replays=10, hidden=16)
    found = learned_response(place, place, budget, seed=1)
    assert found.mode and len(found.quarters) == SWEEPS
    assert 0.9 * exact < gain_in_tables(tables, policy, found) <= exact * (1 + 1e-9)


def test_values_are_fitted_where_choices_and_times_are_few() -> None:
    assert fits(arena("sis", uniform))
    assert not fits(arena("double_well", still))
    assert not fits(arena("stationary_sis", uniform))
