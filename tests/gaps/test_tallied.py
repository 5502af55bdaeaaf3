"""Best responses by means over visits: their values, and what they find that networks do not."""

from collections import defaultdict

import pytest
import torch

import mfdsl
from mfdsl.playing import by_table
from mfdsl.runtime.evaluate import Evaluation
from mfdsl.runtime.learning.eyes import View
from mfdsl.runtime.learning.gaps import Budget, gain_in_tables, responses_to
from mfdsl.runtime.learning.replayed import Memory
from mfdsl.runtime.learning.tallied import OFTEN, Views, values_of, views_of
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


def test_values_are_means_over_visits_backwards() -> None:
    """The obvious statement: lists of what was paid and of the best value that came after."""
    source = torch.Generator().manual_seed(1)
    steps, scenes, agents, kinds, choices, discount = 3, 5, 4, 3, 2, 0.9
    number = torch.randint(kinds, (steps, scenes, agents), generator=source)
    index = torch.randint(choices, (steps, scenes, agents), generator=source)
    rewards = torch.rand((steps, scenes, agents), generator=source)
    found = values_of(Views(number, (kinds,) * steps, ()), index, rewards, choices, discount)
    best: dict[int, float] = defaultdict(float)
    for t in reversed(range(steps)):
        met: dict[tuple[int, int], list[float]] = defaultdict(list)
        for s in range(scenes):
            for k in range(agents):
                ahead = best[int(number[t + 1, s, k])] if t + 1 < steps else 0.0
                key = int(number[t, s, k]), int(index[t, s, k])
                met[key].append(float(rewards[t, s, k]) + discount * ahead)
        best = defaultdict(float)
        for v in range(kinds):
            for a in range(choices):
                if values := met.get((v, a)):
                    assert float(found[t][v, a]) == pytest.approx(sum(values) / len(values))
                    best[v] = max(best.get(v, -9.0), sum(values) / len(values))
                else:
                    assert float(found[t][v, a]) == -torch.inf


def test_views_are_told_apart_at_each_time() -> None:
    """By what agents see of themselves and in common; not where there are too few visits."""
    own = torch.tensor([0.0, 1.0]).repeat(2, 3, 100)[..., None]  # two kinds, in turn
    common = torch.tensor([[0.0], [1.0], [1.0]]).expand(2, 3, 1)  # of two games alike
    index = torch.zeros(2, 3, 200, dtype=torch.int64)
    memory = Memory(View(own, common, (), ()), None, index, index.float())
    views = views_of(memory, 2)
    assert views is not None and views.counts == (4, 4)
    number = views.number[0]
    assert len({int(number[s, k]) for s in (0, 1) for k in (0, 1)}) == 4
    assert torch.equal(number[1], number[2]) and torch.equal(
        number[0, 0::2], number[0, :1].expand(100)
    )
    for t, (times, scenes, who) in enumerate(views.first):
        assert bool((times == t).all())
        assert views.number[t, scenes, who].tolist() == list(range(4))
    assert views_of(memory, 600 // (4 * OFTEN) + 1) is None


def test_small_gains_are_found_where_places_differ_by_much_more() -> None:
    """A thousandth of it: a network of values, fitted to the same episodes, finds less than 0.9."""
    game = mfdsl.load(text=ROUND)
    lesson = lesson_of(game)
    tables = tables_in(lesson)
    policy = tables.view.uniform()
    exact = Evaluation(tables.view, policy).exploitability.value
    assert exact == pytest.approx(0.005 * 6)
    budget = Budget(restarts=0, replays=10, hidden=16, test_games=8)
    ((found, _),) = responses_to(lesson, by_table(game, policy), agents=30, games=4, budget=budget)
    assert gain_in_tables(tables, policy, found) == pytest.approx(exact)
