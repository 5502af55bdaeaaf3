"""Games by counts against single agents, against all profiles of a few, and against the limit."""

import itertools
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mfdsl.counting import counted
from mfdsl.errors import UsageError
from mfdsl.game import Game, load
from mfdsl.playing import Wanted, behaviour_named, by_table, play
from mfdsl.runtime.counted.simulate import CountedSimulator
from mfdsl.runtime.counted.splits import NoChance, Odds, landings
from mfdsl.runtime.evaluate import build_view
from mfdsl.runtime.policy import TabularPolicy
from mfdsl.runtime.simulator import Rollout, SimulationError
from mfdsl.runtime.streams import generator

SPECS = Path(__file__).parents[2] / "specs"

QUEUE = """model queue

objective nash
horizon 3

population guest as mu {
  state  x : int in 0..2 ~ mix { 0.5 -> 0, 0.3 -> 1, else -> 2 }
  action a : bool where x < 2 or not a

  noise e : int in 0..2 ~ mix { 0.6 * mu[x] -> 0, 0.25 -> 1, else -> 2 }

  x' = if e == 2 then x else if a then min(2, x + e) else max(0, x - 1)

  reward crowd = -mu[x] * (1 + t)
}
"""

TOWN = """model town

objective nash
horizon 4
discount 0.9

environment sky {
  state z : int in 0..1 = 0
  noise flip : bool ~ bernoulli(0.4)
  z' = if flip then 1 - z else z
}

major mayor {
  state  rule : bool ~ bernoulli(0.5)
  action next : bool
  rule' = next
  reward calm = -prob(q.x == 2 for q in person)
}

population person {
  trait  slow : bool ~ bernoulli(0.3)
  state  x : int in 0..2 ~ mix { 0.7 -> 0, else -> 1 }
  action go : int in -1..1

  noise e : bool ~ bernoulli(if slow then 0.2 else 0.9 - 0.5 * prob(q.x == x for q in person))

  x' = if e then clip(x + go) else (if sky.z == 1 and not mayor.rule then 0 else x)

  reward gain = (if e then 0.5 else -0.1) * go + prob(q.at == 1 for q in taxi) - 0.2 * sky.z
  reward tip = ind(slow)
  final reward end = x * prob(q.x == x for q in person)
}

population taxi {
  state  at : int in 0..1 = 1
  action move : bool
  at' = if move and prob(q.x > 0 for q in person) > 0.4 then 1 - at else at
  reward fare = prob(q.x == at for q in person)
}
"""


@pytest.fixture(scope="module")
def queue() -> Game:
    return load(text=QUEUE)


@pytest.fixture(scope="module")
def town() -> Game:
    return load(text=TOWN)


def by_counts(game: Game, **wanted: Any) -> Rollout:
    return play(game, behaviour_named("uniform"), Wanted(by="counts", **wanted))


def by_agents(game: Game, **wanted: Any) -> Rollout:
    return play(game, behaviour_named("uniform"), Wanted(by="agents", **wanted))


def skewed(game: Game, seed: int = 0) -> TabularPolicy:
    view = build_view(game.program)
    probs = view.uniform().probs
    drawn = torch.rand(probs.shape, generator=torch.Generator().manual_seed(seed)).to(probs)
    drawn = drawn * (probs > 0)
    return view.policy(drawn / drawn.sum(-1, keepdim=True))


def exact_law(game: Game, policy: TabularPolicy, agents: int, steps: int) -> dict[Any, float]:
    """The law of the counts after some steps, from all profiles of states and of actions."""
    module, params = game.program.module, game.program.params()
    rows = policy.probs[0].numpy()
    states, actions = game.program.state_count, game.program.action_count
    first = module.initial_law(params).reshape(-1).numpy()
    law = {
        p: float(np.prod(first[list(p)])) for p in itertools.product(range(states), repeat=agents)
    }
    for t in range(steps):
        after: dict[Any, float] = Counter()
        for profile, mass in law.items():
            choices = [np.flatnonzero(rows[t, s]) for s in profile]
            for acts in itertools.product(*choices):
                chance = mass * float(
                    np.prod([rows[t, s, a] for s, a in zip(profile, acts, strict=True)])
                )
                joint = torch.zeros(1, states, actions, dtype=torch.float64)
                for s, a in zip(profile, acts, strict=True):
                    joint[0, s, a] += 1 / agents
                kernel = module.kernel(params, torch.tensor(t), joint)[0]
                each = [kernel[s, a].numpy() for s, a in zip(profile, acts, strict=True)]
                for ahead in itertools.product(range(states), repeat=agents):
                    after[ahead] += chance * float(
                        np.prod([e[x] for e, x in zip(each, ahead, strict=True)])
                    )
        law = {p: m for p, m in after.items() if m > 0}
    found: dict[Any, float] = Counter()
    for profile, mass in law.items():
        found[tuple(np.bincount(profile, minlength=states))] += mass
    return found


def chi_square(seen: Counter[Any], law: dict[Any, float], total: int) -> tuple[float, int]:
    """The statistic and its degrees of freedom; cells that are expected rarely are one."""
    rare = {k for k, p in law.items() if p * total < 8}
    groups = [(seen[k], law[k] * total) for k in law if k not in rare]
    if rare:
        groups.append((sum(seen[k] for k in rare), sum(law[k] for k in rare) * total))
    assert sum(o for o, _ in groups) == total  # nothing that cannot happen
    return sum((o - e) ** 2 / e for o, e in groups if e > 0), len(groups) - 1


@pytest.mark.parametrize("agents", [2, 3])
def test_the_counts_of_a_few_have_the_law_of_all_profiles(queue: Game, agents: int) -> None:
    policy, games = skewed(queue), 20_000
    law = exact_law(queue, policy, agents, 2)
    assert sum(law.values()) == pytest.approx(1)
    wanted = Wanted(agents=agents, batch=games, steps=2, record=True, by="counts", seed=3)
    counts = play(queue, by_table(queue, policy), wanted).record["guest.count"][2]
    seen = Counter(map(tuple, counts.tolist()))
    statistic, freedom = chi_square(seen, law, games)
    assert freedom >= 5
    assert statistic < freedom + 4.5 * math.sqrt(2 * freedom)  # about one in 10^5
    other = exact_law(queue, skewed(queue, 1), agents, 2)
    assert chi_square(seen, other, games)[0] > 10 * statistic  # the test tells policies apart


def test_everything_that_is_counted_has_the_law_of_single_agents(town: Game) -> None:
    wanted = {"agents": {"person": 6, "taxi": 3}, "batch": 6000, "record": True}
    one, two = by_counts(town, seed=1, **wanted), by_agents(town, seed=2, **wanted)
    for t in (1, 4):
        persons = two.record["person.slow"][t].long() * 3 + two.record["person.x"][t]
        alone = torch.stack([(persons == k).sum(1) for k in range(6)], 1)
        taxis = (two.record["taxi.at"][t] == 1).sum(1, keepdim=True)
        z = two.record["sky.z"][t][:, None]
        counts = one.record["person.count"][t]  # [B, x, slow]
        together = counts.transpose(1, 2).flatten(1)
        other = one.record["taxi.count"][t][:, 1:]
        z_other = one.record["sky.z"][t][:, None]
        a = torch.cat([alone, taxis, z], 1).double()
        b = torch.cat([together, other, z_other], 1).double()
        assert_same_moments(a, b)
    for name in ("person", "taxi", "mayor"):
        a, b = (r.returns[name].values[:, None] for r in (two, one))
        assert_same_moments(a, b)
    assert one.terms.keys() == two.terms.keys()
    for name, terms in one.terms.items():
        for term, value in terms.items():
            assert value == pytest.approx(two.terms[name][term], abs=0.03), term


def assert_same_moments(a: torch.Tensor, b: torch.Tensor) -> None:
    """Means and products of the columns of two samples agree within 5 standard errors."""
    for power in (1, 2):
        x, y = (v if power == 1 else (v[:, :, None] * v[:, None, :]).flatten(1) for v in (a, b))
        error = (x.var(0) / len(x) + y.var(0) / len(y)).sqrt()
        gap = (x.mean(0) - y.mean(0)).abs()
        assert (gap <= 5 * error + 1e-12).all(), (gap / error.clamp(min=1e-12)).max()


def test_majors_and_environments_follow_the_streams_of_the_simulator(town: Game) -> None:
    one, two = by_counts(town, seed=4, record=True), by_agents(town, seed=4, record=True)
    for name in ("sky.z", "mayor.rule", "mayor.next"):
        assert torch.equal(one.record[name], two.record[name]), name


def test_the_error_of_a_single_game_is_that_of_its_agents(town: Game) -> None:
    wanted = {"agents": 40_000, "steps": 3, "seed": 5}
    one, two = by_counts(town, **wanted), by_agents(town, **wanted)
    for name in ("person", "taxi"):
        expected = two.returns[name].std_error
        assert one.returns[name].std_error == pytest.approx(expected, rel=0.05)
    assert math.isnan(one.returns["mayor"].std_error)


@pytest.mark.parametrize("name", ["sis", "four_rooms", "crowd_avoidance"])
def test_the_flow_nears_its_limit_like_one_over_root_n(name: str) -> None:
    game = load(SPECS / f"{name}.mfg")
    policy = build_view(game.program).uniform()
    exact = build_view(game.program).laws(policy)[0]
    numbers, errors = (10**3, 10**5, 10**7, 10**9), []
    for number in numbers:
        wanted = Wanted(agents=number, batch=4, record=True, by="counts", steps=10)
        found = play(game, by_table(game, policy), wanted)
        parts = [found.record[f"{n}.count"].flatten(2) / number for n in found.agents]
        laws = torch.stack(parts, 2).mean(1) if len(parts) > 1 else parts[0].mean(1)
        limit = exact[:11].reshape(laws.shape) * len(parts)
        errors.append((laws - limit).abs().mean().item())
    slope = np.polyfit(np.log(numbers), np.log(errors), 1)[0]
    assert slope == pytest.approx(-0.5, abs=0.06)


def test_a_seed_fixes_everything_and_a_batch_changes_no_game(town: Game) -> None:
    wanted = {"agents": 10**9, "record": True, "seed": 7}
    one, three = by_counts(town, batch=1, **wanted), by_counts(town, batch=3, **wanted)
    again, other = by_counts(town, batch=3, **wanted), by_counts(town, **{**wanted, "seed": 8})
    for name in one.record:
        assert torch.equal(one.record[name], three.record[name][:, :1]), name
        assert torch.equal(three.record[name], again.record[name]), name
    assert not torch.equal(one.record["person.count"], other.record["person.count"])


def test_agents_who_are_followed_are_the_agents_who_are_counted(town: Game) -> None:
    numbers = {"person": 5, "taxi": 2}
    trace = [f"{name}[{k}]" for name, n in numbers.items() for k in range(n)]
    found = by_counts(town, agents=numbers, trace=trace, seed=2)
    record, steps = found.record, found.steps
    assert found.by == "counts"
    for t in range(steps):
        paths = [
            (int(record[f"person[{k}].x"][t, 0]), int(record[f"person[{k}].slow"][t, 0]))
            for k in range(5)
        ]
        tally = torch.zeros(3, 2, dtype=torch.int64)
        for x, slow in paths:
            tally[x, slow] += 1
        assert torch.equal(tally, record["person.count"][t, 0])
        paid = sum(record[f"person[{k}].reward"][t, 0] for k in range(5)) / 5
        assert paid == pytest.approx(record["person.reward"][t, 0].item())
        acting = sum(int(record[f"person[{k}].go"][t, 0] == 1) for k in range(5))
        assert acting == record["person.acting"][t, 0, ..., 2].sum()
    slow = [len(record[f"person[{k}].slow"].unique()) for k in range(5)]
    assert slow == [1] * 5  # traits stay


def test_following_changes_no_count(town: Game) -> None:
    one = by_counts(town, agents=50, trace=["person[3]", "mayor"], seed=1)
    two = by_counts(town, agents=50, record=True, seed=1)
    assert torch.equal(one.record["person.count"], two.record["person.count"])


def test_numbers_stay_whole_and_add_up_at_ten_trillion(queue: Game) -> None:
    number = 10**13
    counts = by_counts(queue, agents=number, record=True).record["guest.count"]
    assert counts.dtype == torch.int64
    assert (counts.sum(-1) == number).all()
    with pytest.raises(UsageError, match="more than counts of this kind tell apart"):
        by_counts(queue, agents=number + 1)


def test_illegal_actions_and_impossible_outcomes_are_never_taken(queue: Game) -> None:
    acting = by_counts(queue, agents=10**12, batch=50, record=True).record["guest.acting"]
    assert (acting[:, :, 2, 1] == 0).all() and (acting[:, :, 2, 0] > 0).all()
    third = np.array([[[1 / 3, 1 / 3, 1 / 3, 0.0], [0.0, 0.1, 0.2, 0.7]]])
    parts = Odds.of(third).split(generator((1, 1, "x")), np.full((2000, 2), 10**13))
    assert (parts[:, 0, 3] == 0).all() and (parts[:, 1, 0] == 0).all()
    assert (parts.sum(-1) == 10**13).all()
    mean = parts[:, 1].mean(0) / 10**13
    assert mean == pytest.approx([0, 0.1, 0.2, 0.7], abs=1e-7)


def test_who_has_no_probabilities_is_named() -> None:
    odds = Odds.of(np.array([[[0.5, 0.5], [0.0, 0.0], [np.nan, 1.0]]]))
    stream = generator((0, 0, "x"))
    assert odds.split(stream, np.array([[4, 0, 0]])).sum() == 4
    for place in (1, 2):
        counts = np.zeros((1, 3), dtype=np.int64)
        counts[0, place] = 2
        with pytest.raises(NoChance) as caught:
            odds.split(stream, counts)
        assert caught.value.place == (0, place)


def test_cells_that_share_a_landing_have_equal_outcomes() -> None:
    target = np.array([[[0, 1, 1], [1, 0, 1], [1, 0, 0], [2, 2, 2]]])
    chances = np.array([[[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.25, 0.5, 0.25], [0.2, 0.3, 0.5]]])
    ways = landings(target, chances, merge=True, ordered=False)
    assert ways.of is not None and len(set(ways.of.tolist())) == 3
    assert ways.of[0] == ways.of[1] != ways.of[2]

    def law(target: Any, chance: Any) -> list[float]:
        return np.bincount(target, chance, 3).tolist()  # type: ignore[no-any-return]

    for cell, landing in enumerate(ways.of):
        expected = law(target[0, cell], chances[0, cell])
        assert law(ways.target[0, landing], ways.chances[0, landing]) == pytest.approx(expected)


REFUSED = {
    "`y` of `p` is continuous": ("state y : real in [0, 1] = 0\n  y' = y", "0"),
    "`v` of `p` is an array": ("state v : int[2] in 0..1 = [0, 1]\n  v' = v", "0"),
    "a mean over the other agents": ("", "mean(q.x for q in others(p))"),
    "an extreme over agents": ("", "max(q.x for q in p)"),
}


@pytest.mark.parametrize("words", REFUSED)
def test_who_can_be_told_apart_is_not_counted(words: str) -> None:
    more, reward = REFUSED[words]
    game = load(
        text=f"""model small
objective nash
horizon 2
population p {{
  state x : int in 0..1 = 0
  action a : bool
  x' = if a then 1 else 0
  {more}
  reward r = {reward} + x
}}
"""
    )
    with pytest.raises(UsageError, match=f"`small` cannot be counted: .*{words}"):
        by_counts(game)
    assert by_agents(game, agents=3).by == "agents"


def test_weights_and_files_are_not_counted() -> None:
    with pytest.raises(UsageError, match="cannot be counted: files give the agents of `player`"):
        by_counts(load(SPECS / "weighted_rps.mfg"))


def test_a_function_has_no_probabilities(queue: Game) -> None:
    never = behaviour_named(lambda t, seen: {"a": torch.zeros(1, 4, dtype=torch.bool)})
    with pytest.raises(UsageError, match="its policy draws for single agents"):
        play(queue, never, Wanted(agents=4, by="counts"))


def test_a_device_and_a_dtype_give_the_same_counts(queue: Game) -> None:
    one = by_counts(queue, agents=10**6, record=True)
    two = by_counts(queue, agents=10**6, record=True, dtype="float32")
    gap = (one.record["guest.count"] - two.record["guest.count"]).abs().max()
    assert gap <= 1000  # chances that read the law differ by rounding
    assert two.returns["guest"].mean == pytest.approx(one.returns["guest"].mean, rel=1e-3)


def test_too_many_cells_are_refused_before_anything_is_made() -> None:
    game = load(SPECS / "crowd_2d.mfg", params={"n": 1000})
    with pytest.raises(UsageError, match="25,000,000 states with actions and noises"):
        by_counts(game)


def test_memory_is_asked_for_before_it_is_taken(queue: Game) -> None:
    with pytest.raises(SimulationError, match="GiB"):
        CountedSimulator(counted(queue), agents=10, batch=10**11)
