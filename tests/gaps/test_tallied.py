"""Best responses by counts of what choices lead to, and what they find that networks do not."""

import math
from collections import defaultdict
from dataclasses import replace

import pytest
import torch

import mfdsl
from mfdsl.playing import by_table
from mfdsl.runtime.behaviours import uniform
from mfdsl.runtime.evaluate import Evaluation
from mfdsl.runtime.learning.answers import Answer, Deviating
from mfdsl.runtime.learning.branching import Branching
from mfdsl.runtime.learning.deviators import arena_of
from mfdsl.runtime.learning.gaps import Budget, gain_in_tables, responses_to
from mfdsl.runtime.learning.heads import Drawn
from mfdsl.runtime.learning.replayed import tried
from mfdsl.runtime.learning.sight import model_of, sights_of
from mfdsl.runtime.learning.tallied import Tally, count, few, following, nothing, values_of
from tests.gaps.lessons import lesson_of, tables_in

ROUND = """
model round
enum Way { left, right }
objective nash
horizon 6
population walker as mu {
  state s : int in 0..8 ~ uniform
  action a : Way
  s' = if s == 8 then 0 else s + 1
  reward place = 5 * sin(3 * s * s)
  reward way = match a { left -> 0, right -> if cos(2 * s) > 0 then 0.01 else -0.01 }
  observe s, t
  agents 30
}
"""


def deviating_in(name: str, budget: Budget, agents: int = 30) -> Deviating:
    lesson = lesson_of(mfdsl.load(name))
    sight = sights_of(lesson.program)[0]
    place = arena_of(
        lesson.program,
        lesson.weighted,
        lesson.params,
        uniform,
        sight,
        agents=agents,
        games=3,
        deviators=10,
        steps=lesson.program.horizon or 5,
        seed=4,
    )
    answer = Answer(model_of(place.program), sight, budget)
    return Deviating(place, answer.to(lesson.params.unit))


def test_values_are_means_over_tries_backwards() -> None:
    """The obvious statement: lists of what was paid and of the best value that came after."""
    source = torch.Generator().manual_seed(1)
    steps, views, choices, discount = 3, 4, 2, 0.9
    tally = Tally(
        torch.zeros(steps, views, choices),
        torch.zeros(steps, views, choices),
        torch.zeros(steps, views * choices * views),
        torch.zeros(steps, views, 1),
        torch.zeros(steps, views, 1),
    )
    met: dict[tuple[int, int, int], list[tuple[float, int]]] = defaultdict(list)
    for _ in range(30):
        t, v, a, after = (int(torch.randint(k, (), generator=source)) for k in (3, 4, 2, 4))
        v = 0 if t == 1 and v == 3 else v  # nobody was there
        paid = float(torch.rand((), generator=source))
        met[t, v, a].append((paid, after))
        tally.often[t, v, a] += 1
        tally.paid[t, v, a] += paid
        tally.led[t, (v * choices + a) * views + after] += 1
    found = values_of(tally, discount)
    best = dict.fromkeys(range(views), 0.0)
    for t in reversed(range(steps)):
        now: dict[int, float] = {}
        for v in range(views):
            for a in range(choices):
                values = [paid + discount * best[after] for paid, after in met[t, v, a]]
                mean = sum(values) / len(values) if values else -math.inf
                assert float(found[t, v, a]) == pytest.approx(mean)
                if values:
                    now[v] = max(now.get(v, mean), mean)
        best = {v: now.get(v, min(now.values())) for v in range(views)}
    assert math.isinf(float(found[1, 3].max()))


@pytest.mark.parametrize("name", ["predator_prey", "two_bars", "sis"])
def test_every_choice_leads_where_it_would_lead_alone(name: str) -> None:
    """Beside games in which all deviators make one choice, from the same place and draws."""
    deviating = deviating_in(name, Budget(hidden=8))
    arena, head = deviating.arena, deviating.answer.actor.head
    assert arena.shadows is not None
    branches, plain = Branching(arena.shadows, head.choices), arena.shadows
    (steps,) = torch.randint(head.choices, (1, 3, 10), generator=torch.manual_seed(0))
    scene, wide = plain.scene(0, plain.reset(1)), branches.scene(0, branches.reset(1))
    field, first = arena.sight.field, plain.others
    engine = replace(arena.engine, simulator=branches)
    both = replace(arena, engine=engine, count=branches.shadows)
    every = torch.arange(head.choices).repeat_interleave(10).expand(3, -1)
    for t in range(3):
        states, paid = [], []
        usual = arena.followed(scene, t)
        for choice in (*range(head.choices), steps):
            index = torch.as_tensor(choice).expand(3, 10)
            action = arena.acted(usual, head.values(Drawn(None, index), plain.params.unit))
            state, rewards = plain.step(t, scene.state, action)
            states.append(state)
            paid.append(arena.paid(rewards))
        action = both.acted(usual, head.values(Drawn(None, every), plain.params.unit))
        state, rewards = branches.step(t, wide.state, action)
        torch.testing.assert_close(both.paid(rewards), torch.cat(paid[:-1], 1))
        for k, value in enumerate(getattr(state, field)):
            alone = [getattr(each, field)[k][:, first:] for each in states[:-1]]
            torch.testing.assert_close(value[:, first:], torch.cat(alone, 1))
        gone = branches.gone_on(state, steps)
        ends = zip(getattr(gone, field), getattr(states[-1], field), strict=True)
        for value, alone in list(ends)[:-1]:  # without weights, which differ by the numbers
            copies = alone[:, first:].repeat(1, head.choices, *[1] * (alone.ndim - 2))
            torch.testing.assert_close(value, torch.cat([alone[:, :first], copies], 1))
        scene = plain.scene(t + 1, states[-1])
        wide = branches.scene(t + 1, gone)


def test_all_choices_are_counted_wherever_somebody_is() -> None:
    """One try of each choice for each deviator, which leads somewhere."""
    budget = Budget(hidden=8, replays=6)
    deviating = deviating_in("predator_prey", budget)
    assert few(deviating.arena, deviating.answer, replace(budget, replays=17))
    assert not few(deviating.arena, deviating.answer, replace(budget, replays=16))  # 20 of 25 views
    assert deviating.arena.shadows is not None
    tally = nothing(deviating)
    branches = Branching(deviating.arena.shadows, 5)
    for episode in (1, 2):
        count(tally, deviating, branches, episode)
    assert bool((tally.often == tally.often[..., :1]).all())
    assert tally.often[..., 0].sum(1).tolist() == [2 * 3 * 10.0] * len(tally.often)
    assert torch.equal(tally.led.view(-1, 25, 5, 25).sum(-1), tally.often.float())
    values = values_of(tally, 1.0)
    assert torch.equal(values.isfinite(), tally.often > 0)


def test_what_agents_do_is_drawn_anew_where_it_is_illegal() -> None:
    """For deviators no longer stand where the agents do whom they copy."""
    deviating = deviating_in("sis", Budget(hidden=8))
    scene = deviating.arena.simulator.scene(0, deviating.arena.simulator.reset(1))
    own = torch.ones(3, 10, dtype=torch.int64)
    mask = torch.ones(3, 10, 2, dtype=torch.bool)
    mask[:, :5, 1] = False
    index = tried(deviating, scene, 0, mask, own)
    assert not index[:, :5].any() and 0 < int(index[:, 5:].sum()) < 15
    with_all = tried(deviating, scene, 0, None, own)
    assert 0 < int(with_all[:, :5].sum())


@pytest.mark.parametrize("also", ["", ", near"], ids=["places", "means beside them"])
def test_small_gains_are_found_where_places_differ_by_much_more(also: str) -> None:
    """A thousandth of it: a network of values, fitted to the same episodes, finds less than 0.9.

    Means that follow from the place and the time are left out.
    """
    near = "  let near = prob(abs(q.s - s) <= 1 for q in walker)\n"
    game = mfdsl.load(text=ROUND.replace("  observe s, t", f"{near}  observe s, t{also}"))
    lesson = lesson_of(game)
    tables = tables_in(lesson)
    policy = tables.view.uniform()
    exact = Evaluation(tables.view, policy).exploitability.value
    assert exact == pytest.approx(0.005 * 6)
    budget = Budget(restarts=0, replays=10, hidden=16, test_games=8)
    ((found, _),) = responses_to(lesson, by_table(game, policy), agents=30, games=4, budget=budget)
    assert gain_in_tables(tables, policy, found) == pytest.approx(exact)


@pytest.mark.parametrize("name, left", [("crowd", ["x"]), ("sis", ["h"]), ("m3fc_beach", None)])
def test_means_that_follow_from_ones_place_and_the_time_are_left_out(
    name: str, left: list[str] | None
) -> None:
    """Not beside a major, whose draws move the law."""
    arena = deviating_in(name, Budget(hidden=8)).arena
    found = following(arena)
    if left is None:
        assert found is arena
    else:
        assert [f.name for f in found.sight.own] == left
        assert [f.name for f in found.sight.common] == ["t"]
        assert not found.sight.crowds and not found.sight.points
