"""Games with a major player as tables, against every path of the common state."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch

import mfdsl
from mfdsl.game import Game
from mfdsl.runtime.behaviours import uniform
from mfdsl.runtime.evaluate import Evaluation, View, build_view
from mfdsl.runtime.tabled import Tabled

STEPS = 3
TEXT = """
model guarded
horizon 3
objective nash
enum Health { S, I }
enum Rule { lax, strict }

major guard {
  state  alarm : bool ~ bernoulli(0.3)
  action rule  : Rule
  let sick = prob(q.h == I for q in person)
  alarm' ~ bernoulli(if rule == strict then 0.1 else 0.2 + 0.6 * sick)
  cost illness = 2 * sick
  cost closing = 0.3 * ind(rule == strict)
}

population person as mu {
  state  h : Health ~ mix { 0.4 -> I, else -> S }
  action a : bool
  h' ~ match h {
    S -> if a then mix { 0.9 * mu[h = I] * (if guard.rule == lax then 1 else 0.5) -> I, else -> S }
         else S,
    I -> mix { 0.3 -> S, else -> I }
  }
  reward fun  = (0.6 + 0.2 * ind(guard.alarm)) * ind(a)
  cost   ache = ind(h == I) + 0.5 * ind(guard.rule == strict) * ind(a)
}
"""


@pytest.fixture(scope="module")
def game() -> Game:
    return mfdsl.load(text=TEXT)


def random_policy(view: View, seed: int) -> torch.Tensor:
    """Random probabilities on the legal actions."""
    probs = view.uniform().probs
    weights = torch.rand(probs.shape, generator=torch.Generator().manual_seed(seed)).double()
    return probs * weights / (probs * weights).sum(-1, keepdim=True)


Path = tuple[tuple[bool, ...], tuple[int, ...]]  # alarms so far, rules so far


def pasts(game: Game) -> list[dict[Path, int]]:
    """The number of every path. Rules are told apart since members read them."""
    small, program = game.reduced, game.program
    assert small is not None and small.past is not None and not small.past.told
    module, params = program.module, program.params()
    sizes = (*program.states.values(), *program.actions.values())
    joint = torch.full((1, *sizes), 1 / int(np.prod(sizes)), dtype=torch.float64)
    found: list[dict[Path, int]] = [{((bool(s[0]),), ()): h for s, h in small.past.starts.items()}]
    names = list(program.states)
    for t in range(STEPS):
        field = module.field(params, torch.tensor(t), joint)
        table = module.successors(params, torch.tensor(t), field)
        table = table.reshape(*sizes, *program.noises.values())
        row = {}
        for (alarms, rules), h in found[-1].items():
            for alarm, rule in itertools.product((False, True), (0, 1)):
                turn = 2 * int(alarm) + rule
                at = [0] * len(sizes)
                at[names.index("past")] = h
                place = table[tuple(at)].reshape(-1, 4, 2)[0, turn, 0]
                past = np.unravel_index(int(place), tuple(program.states.values()))
                row[(*alarms, alarm), (*rules, rule)] = int(past[names.index("past")])
        found.append(row)
    return found


Rule = Callable[[int, int], np.ndarray]


def by_paths(paths: list[dict[Path, int]], guard: Rule, person: Rule, deviant: Rule) -> list[float]:
    """Returns of the guard, of a person, and of one person who follows `deviant`.

    Rules give [rules] for the guard and [states, actions] for a person at (t, past).
    """

    def on(path: Path, law: np.ndarray, one: np.ndarray, chance: float) -> np.ndarray:
        alarms, rules = path
        t = len(rules)
        if t == STEPS:
            return np.zeros(3)
        h = paths[t][path]
        joint = law[:, None] * person(t, h)
        own = one[:, None] * deviant(t, h)
        sick = law[1]
        total = np.zeros(3)
        for rule, alarm in itertools.product((0, 1), (False, True)):
            p_alarm = 0.1 if rule else 0.2 + 0.6 * sick
            weight = chance * guard(t, h)[rule] * (p_alarm if alarm else 1 - p_alarm)
            if weight == 0:
                continue
            fun = np.array([0.0, 0.6 + 0.2 * alarms[-1] - 0.5 * rule])
            total[0] -= weight * (2 * sick + 0.3 * rule)
            total[1] += weight * ((joint @ fun).sum() - law[1])
            total[2] += weight * ((own @ fun).sum() - one[1])
            risk = 0.9 * sick * (0.5 if rule else 1.0)
            after, next_one = (
                np.array(
                    [
                        m[0, 0] + m[0, 1] * (1 - risk) + 0.3 * m[1].sum(),
                        m[0, 1] * risk + 0.7 * m[1].sum(),
                    ]
                )
                for m in (joint, own)
            )
            total += on(((*alarms, alarm), (*rules, rule)), after, next_one, weight)
        return total

    start = np.array([0.6, 0.4])
    parts = [on(((alarm,), ()), start, start, 0.3 if alarm else 0.7) for alarm in (False, True)]
    return list(parts[0] + parts[1])


def rules_of(game: Game, probs: torch.Tensor) -> tuple[Rule, Rule]:
    """The guard's and the persons' part of a table."""
    sizes = (*game.program.states.values(), *game.program.actions.values())
    table = probs[0].numpy().reshape(STEPS, *sizes)  # t, population, past, h, action

    def guard(t: int, h: int) -> np.ndarray:
        return np.asarray(table[t, 0, h, 0])

    def person(t: int, h: int) -> np.ndarray:
        return np.asarray(table[t, 1, h])

    return guard, person


@pytest.mark.parametrize("seed", range(3))
def test_values_are_those_of_all_paths(game: Game, seed: int) -> None:
    view = build_view(game.program)
    probs = random_policy(view, seed)
    found = Evaluation(view, view.policy(probs))
    guard, person = rules_of(game, probs)
    expected = by_paths(pasts(game), guard, person, person)
    assert found.values[0].tolist() == pytest.approx(expected[:2], abs=1e-12)


@pytest.mark.parametrize("seed", range(2))
def test_best_responses_are_the_best_of_many_and_the_guard_may_leave_its_path(
    game: Game, seed: int
) -> None:
    view = build_view(game.program)
    probs = random_policy(view, seed)
    places = torch.arange(probs.shape[2]) < probs.shape[2] // 2
    probs[:, :, places] = torch.tensor([1.0, 0.0], dtype=torch.float64)  # a guard always lax
    found = Evaluation(view, view.policy(probs))
    best = view.values(found.flow, found.best_q)[0].tolist()
    paths = pasts(game)
    guard, person = rules_of(game, probs)
    answer = torch.zeros_like(probs)
    answer.scatter_(-1, found.best_q.argmax(-1, keepdim=True), 1.0)
    best_guard, best_person = rules_of(game, answer)
    reached = by_paths(paths, best_guard, person, person)[0]
    assert reached == pytest.approx(best[0], abs=1e-12)
    assert by_paths(paths, guard, person, best_person)[2] == pytest.approx(best[1], abs=1e-12)
    rng = np.random.default_rng(seed)
    for _ in range(200):
        pure = torch.zeros_like(probs)
        pure.scatter_(-1, torch.from_numpy(rng.integers(0, 2, probs.shape[:-1]))[..., None], 1.0)
        other_guard, other_person = rules_of(game, pure)
        assert by_paths(paths, other_guard, person, person)[0] <= best[0] + 1e-12
        assert by_paths(paths, guard, person, other_person)[2] <= best[1] + 1e-12


def test_agents_and_their_major_get_what_the_tables_say(game: Game) -> None:
    view = build_view(game.program)
    found = Evaluation(view, view.uniform())
    rollout = game.simulator(agents=300, batch=20_000, seed=4).rollout(uniform)
    for place, name in enumerate(("guard", "person")):
        measured = rollout.returns[name]
        assert abs(measured.mean - found.values[0, place].item()) < 4 * measured.std_error + 0.005


def test_a_policy_on_pasts_that_cannot_be_told_apart_is_not_played(game: Game) -> None:
    view = build_view(game.program)
    small = game.reduced
    assert small is not None
    with pytest.raises(ValueError, match="the past cannot be told"):
        Tabled(view.uniform(), small, game.model)


def test_a_shipped_game_is_solved_and_played() -> None:
    text = TEXT.replace("guard.rule == lax then 1 else 0.5", "guard.alarm then 1 else 0.5").replace(
        " + 0.5 * ind(guard.rule == strict) * ind(a)", ""
    )
    played = mfdsl.load(text=text)
    solution = mfdsl.solve(played, "omd", iterations=200)
    assert solution.exploitability.value < 1e-4
    assert set(solution.exploitability.per_population) == {"guard", "person"}
    small = played.reduced
    assert small is not None and small.past is not None and small.past.told
    rollout = played.simulator(agents=300, batch=5_000, seed=1).rollout(
        Tabled(solution.policy, small, played.model)
    )
    total = sum(found.mean for found in rollout.returns.values())
    error = sum(found.std_error for found in rollout.returns.values())
    assert abs(total - solution.value[0]) < 4 * error + 0.02


def test_a_law_that_sets_a_common_state_is_refused_with_the_way_out() -> None:
    text = TEXT.replace(
        "alarm' ~ bernoulli(if rule == strict then 0.1 else 0.2 + 0.6 * sick)",
        "alarm' = sick > 0.5",
    )
    with pytest.raises(mfdsl.UsageError, match="the law sets a common state"):
        assert mfdsl.load(text=text).program
