"""Policy mirror descent from games of N agents: its values, its baseline, and what it reaches."""

from collections import defaultdict
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import mfdsl
from mfdsl.batches import Batch
from mfdsl.compiler.tabular.reduce import reduced
from mfdsl.errors import UsageError
from mfdsl.game import Game
from mfdsl.runtime.evaluate import Evaluation, build_view
from mfdsl.runtime.solvers.base import make_solver
from mfdsl.runtime.solvers.episodes import Crowd, Episodes, play
from mfdsl.runtime.solvers.followed import alone, shared
from mfdsl.runtime.solvers.independent_mirror_descent import mean_agent
from mfdsl.runtime.solvers.sampled_values import (
    averaged_by_loops,
    averaged_by_tensors,
    averaged_values,
    online_values,
)
from mfdsl.runtime.solvers.soft import entropy, entropy_q_values
from mfdsl.runtime.tabled import drawn
from mfdsl.settings import resolve
from mfdsl.solving import prepare

STAKES = """
model stakes
## what rock loses to paper, wins against scissors, and what paper loses to scissors
param low : real in [0, 1] = 0.2
param middle : real in [0, 1] = 0.4
param high : real in [0, 1] = 0.6
enum Move { rock, paper, scissors }
objective nash
horizon 6
population player as mu {
  trait luck : real in [-0.1, 0.1] ~ uniform
  state s : Move = rock
  action a : Move
  s' = a
  reward game = 0.5 + luck + match s {
    rock -> middle * mu[s = scissors] - low * mu[s = paper],
    paper -> low * mu[s = rock] - high * mu[s = scissors],
    scissors -> high * mu[s = paper] - middle * mu[s = rock]
  }
  observe s, t
  agents 500
}
"""
EQUILIBRIUM = [0.6 / 1.2, 0.4 / 1.2, 0.2 / 1.2]


def crowd_of(game: Game, seed: int = 0, dtype: torch.dtype = torch.float64) -> Crowd:
    return Crowd(
        game.agents,
        game.agents.params(dtype=dtype),
        game.reduced or reduced(game.model, game.bins),
        game.program.state_axes(),
        game.program.action_axes(),
        seed,
    )


def some_episodes(generator: torch.Generator, sizes: tuple[int, int, int]) -> Episodes:
    """Random places and rewards of 4 games of 3 agents."""
    stages, states, actions = sizes

    def whole(count: int) -> Tensor:
        return torch.randint(count, (stages, 4, 3), generator=generator)

    rewards = torch.rand((stages + 1, 4, 3), generator=generator, dtype=torch.float64)
    return Episodes(whole(states), whole(actions), rewards[:-1], rewards[-1])


def random_policies(generator: torch.Generator, shape: tuple[int, ...]) -> Tensor:
    return torch.rand(shape, generator=generator, dtype=torch.float64).softmax(-1)


@pytest.mark.parametrize("groups", [[0, 0, 0], [0, 1, 2], [1, 0, 1]])
def test_averages_are_means_over_visits(groups: list[int]) -> None:
    """The obvious statement: lists of targets, one for each group, stage, state and action."""
    source = torch.Generator().manual_seed(1)
    stages, states, actions, price, discount = 3, 2, 2, 0.3, 0.9
    episodes = some_episodes(source, (stages, states, actions))
    shape = (max(groups) + 1, stages, states, actions)
    policies, before = random_policies(source, shape), torch.rand(shape, dtype=torch.float64)
    found = averaged_values(
        episodes, policies, torch.tensor(groups), before, temperature=price, discount=discount
    )
    q, visits = before.clone(), torch.zeros_like(before)
    paid = policies.log().mul(policies).sum(-1).mul(-price)
    for t in reversed(range(stages)):
        targets: dict[tuple[int, int, int], list[float]] = defaultdict(list)
        for game in range(4):
            for agent, group in enumerate(groups):
                ahead = discount * episodes.final[game, agent]
                if t + 1 < stages:
                    s = episodes.places[t + 1, game, agent]
                    row = policies[group, t + 1, s]
                    ahead = discount * (row @ q[group, t + 1, s] + paid[group, t + 1, s])
                key = (
                    group,
                    *(int(x[t, game, agent]) for x in (episodes.places, episodes.actions)),
                )
                targets[key].append(float(episodes.rewards[t, game, agent] + ahead))
        for (group, s, a), values in targets.items():
            q[group, t, s, a] = sum(values) / len(values)
            visits[group, t, s, a] = len(values)
    torch.testing.assert_close(found.q, q, rtol=0, atol=1e-12)
    assert torch.equal(found.visits, visits)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("groups", [[0, 0, 0], [0, 1, 2], [1, 0, 1]])
def test_compiled_loops_average_as_tensors_do(groups: list[int], dtype: torch.dtype) -> None:
    source = torch.Generator().manual_seed(5)
    sizes = (4, 3, 2)
    games = some_episodes(source, sizes)
    episodes = Episodes(games.places, games.actions, games.rewards.to(dtype), games.final.to(dtype))
    shape = (max(groups) + 1, *sizes)
    policies = random_policies(source, shape).to(dtype)
    # as a table that is read in another order than it is stored
    before = random_policies(source, shape).to(dtype).mT.contiguous().mT
    given = (episodes, policies, torch.tensor(groups), before, 0.3, 0.9)
    held = before.clone()
    found, wanted = averaged_by_loops(*given), averaged_by_tensors(*given)
    close = 1e-14 if dtype == torch.float64 else 1e-6
    torch.testing.assert_close(found.q, wanted.q, rtol=0, atol=close)
    assert torch.equal(found.visits, wanted.visits) and found.q.dtype == dtype
    assert torch.equal(before, held) and torch.equal(episodes.final, games.final.to(dtype))


def test_everybody_follows_the_own_policy() -> None:
    """Actions are those that rows of single agents draw, also where all share one policy."""
    source = torch.Generator().manual_seed(6)
    probs = random_policies(source, (5, 3, 4, 6))
    places = torch.randint(4, (7, 5), generator=source)
    u = torch.rand((7, 5), generator=source, dtype=torch.float64)
    for t in range(3):
        each = torch.stack([probs[i, t, places[:, i]] for i in range(5)], 1)
        assert torch.equal(alone(probs).drawn(t, places, u), drawn(each, u))
        together = drawn(probs[0, t, places], u)
        assert torch.equal(shared(probs[0]).drawn(t, places, u), together)


def test_temporal_differences_are_those_of_algorithm_1() -> None:
    source = torch.Generator().manual_seed(2)
    stages, states, actions, price, agent, discount = 3, 2, 2, 0.3, 1, 0.9
    episodes = some_episodes(source, (stages, states, actions))
    policies = random_policies(source, (1, stages, states, actions))
    start = torch.zeros_like(policies)
    found = online_values(
        episodes,
        policies,
        torch.zeros(3, dtype=torch.int64),
        start,
        temperature=price,
        discount=discount,
        agent=agent,
    )
    paid = price * entropy(policies)[0, ..., 0]
    q = paid[..., None].expand(policies[0].shape).clone()  # values with the own entropy
    times = torch.zeros_like(q)
    for game in range(4):
        old = q.clone()
        steps = [
            (t, int(episodes.places[t, game, agent]), int(episodes.actions[t, game, agent]))
            for t in range(stages)
        ]
        for t, s, a in steps:
            ahead = old[steps[t + 1]] if t + 1 < stages else episodes.final[game, agent]
            target = episodes.rewards[t, game, agent] + paid[t, s] + discount * ahead
            q[t, s, a] += 2 / (times[t, s, a] + 2) * (target - old[t, s, a])
            times[t, s, a] += 1
    torch.testing.assert_close(found.q[0], q - paid[..., None], rtol=0, atol=1e-12)


def test_many_games_estimate_the_values_of_the_induced_game() -> None:
    """With 300 games of 500 agents, up to noise and the N agents' own weight."""
    game = mfdsl.load(text=STAKES)
    view, crowd = build_view(game.program), crowd_of(game)
    source = torch.Generator().manual_seed(3)
    probs = random_policies(source, tuple(view.uniform().probs.shape))
    policy = view.policy(probs)
    exact = entropy_q_values(view, view.flow(policy), policy, 0.1)
    episodes = play(crowd, crowd.simulator(300), shared(probs[0]), 0)
    groups = torch.zeros(500, dtype=torch.int64)
    found = averaged_values(episodes, probs, groups, torch.zeros_like(probs), temperature=0.1)
    error = (found.q - exact).abs()[found.visits > 1000]
    assert error.numel() > 30 and float(error.max()) < 0.01


def test_what_is_paid_at_the_end_is_discounted_like_all_else() -> None:
    """Values of a game without chance are exact, one of both estimates at a time."""
    text = STAKES.replace("horizon 6", "horizon 3\ndiscount 0.5").replace("[-0.1, 0.1]", "[0, 0]")
    text = text.replace("  observe", "  final reward late = if s == paper then 8 else 0\n  observe")
    game = mfdsl.load(text=text)
    view, crowd = build_view(game.program), crowd_of(game)
    probs = torch.zeros_like(view.uniform().probs)
    probs[..., 1] = 1.0  # everybody plays paper, from rock on
    policy = view.policy(probs)
    exact = view.q_values(view.flow(policy), policy)
    episodes = play(crowd, crowd.simulator(3), shared(probs[0]), 0)
    groups = torch.zeros(500, dtype=torch.int64)
    for estimate in (averaged_values, online_values):
        found = estimate(episodes, probs, groups, torch.zeros_like(probs), discount=0.5)
        if estimate is averaged_values:
            assert int((found.visits > 0).sum()) == 3
            torch.testing.assert_close(
                found.q[found.visits > 0], exact[found.visits > 0], rtol=0, atol=1e-12
            )
        last = found.q[0, 2, 1, 1] - exact[0, 2, 1, 1]
        assert abs(float(last)) < 1e-12


def test_steps_in_single_precision_stay_finite() -> None:
    game = mfdsl.load(text=STAKES)
    view = build_view(game.program, game.program.params(dtype=torch.float32))
    solver = make_solver(
        "symm_pmd",
        {
            "games": 1,
            "exploration": 0,
            "floor": 0,
            "learning_rate": 1000,  # forgets all of a policy with zeros
            "decay": 0,
            "temperature": 0.001,
        },
        crowd_of(game, dtype=torch.float32),
    )
    state = solver.init(view)
    for _ in range(3):
        state = solver.step(Evaluation(view, view.policy(state.probs)), state)
        assert bool(torch.isfinite(state.probs).all())


def test_the_mean_agent_is_distributed_as_all_are() -> None:
    """Laws and values of single agents, pushed along the flow of the mean agent, have its mean."""
    game = mfdsl.load("sis", params={"T": 5})
    view = build_view(game.program)
    source = torch.Generator().manual_seed(4)
    every = (3 * torch.rand((5, 6, 2, 2), generator=source, dtype=torch.float64)).softmax(-1)
    mean = view.policy(mean_agent(view, every))
    flow = view.flow(mean)
    infected = flow.laws[0, :, game_state(game, "I")]
    laws, joint = torch.zeros((5, 2), dtype=torch.float64), []
    laws[:] = flow.laws[0, 0]
    kernel = flow.problem.kernels if flow.problem is not None else ()
    for t in range(6):
        one = laws.T[None] * every[:, t].permute(2, 1, 0)  # [actions, states, agents]
        joint.append(one.mean(-1))
        after = torch.zeros((2, 5), dtype=torch.float64)
        kernel[t].push(one.reshape(-1, 5), after)
        laws = after.T
        assert float(laws.mean(0)[game_state(game, "I")]) == pytest.approx(float(infected[t + 1]))
    expected = torch.stack(joint).permute(0, 2, 1)
    torch.testing.assert_close(flow.joint[0], expected, rtol=0, atol=1e-12)


def game_state(game: Game, value: str) -> int:
    return game.program.state_axes()[0].labels.index(value)


def solved(solver: str, text: str = STAKES, **more: Any) -> Any:
    options = {"games": 4, "learning_rate": 8.0, "temperature": 0.02} | more.pop("options", {})
    return mfdsl.solve(mfdsl.load(text=text), solver, options=options, **more)


def test_one_policy_for_all_learns_a_mixed_equilibrium() -> None:
    found = solved("symm_pmd", iterations=40, tolerance=0)
    assert found.history[0].exploitability > 0.3
    assert found.exploitability.value < 0.1
    middle = found.policy.probs[0, 2].mean(0)
    assert middle.tolist() == pytest.approx(EQUILIBRIUM, abs=0.08)


def test_many_policies_learn_less_from_the_same_games() -> None:
    options = {"games": 4, "learning_rate": 8.0, "decay": 0.25, "temperature": 0.02}
    shared, alone = (
        mfdsl.solve("asymmetric_sis", solver, iterations=30, tolerance=0, options=options)
        for solver in ("symm_pmd", "independent_pmd")
    )
    assert shared.exploitability.value < 0.3 < 4 * shared.exploitability.value
    assert alone.exploitability.value > 4 * shared.exploitability.value


@pytest.mark.parametrize(
    "options",
    [
        {"seen": "one", "games": 200, "agents": 200},
        {"seen": "one", "values": "online", "games": 200, "agents": 200},
        {"output": "average"},
    ],
)
def test_what_the_paper_writes_learns_too(options: dict[str, Any]) -> None:
    """One agent's trajectories, temporal differences, and the mean of all policies."""
    found = solved("symm_pmd", iterations=30, tolerance=0, options=options)
    assert found.exploitability.value < 0.7 * found.history[0].exploitability


@pytest.mark.parametrize("solver", ["symm_pmd", "independent_pmd"])
def test_a_run_goes_on_as_if_it_had_not_stopped(solver: str) -> None:
    game = mfdsl.load(text=STAKES)
    view, crowd = build_view(game.program), crowd_of(game)

    def step(state: Any) -> Any:
        made = make_solver(solver, {"games": 2, "agents": 30}, crowd)
        return made.step(Evaluation(view, view.policy(state.probs)), state)

    state = make_solver(solver, {"games": 2, "agents": 30}, crowd).init(view)
    for _ in range(3):
        state = step(state)
    again = mfdsl.solve(game, solver, iterations=3, tolerance=0, options={"games": 2, "agents": 30})
    assert torch.equal(again.policy.probs, state.probs)


@pytest.mark.parametrize("solver", ["symm_pmd", "independent_pmd"])
@pytest.mark.parametrize(("unvisited", "value"), [("kept", 7.0), ("zero", 0.0)])
def test_values_of_what_nobody_did(solver: str, unvisited: str, value: float) -> None:
    """They are those of before, or the 0 at which Algorithm 1 begins; and they are read, too."""
    game = mfdsl.load(text=STAKES)
    view, crowd = build_view(game.program), crowd_of(game)
    made = make_solver(solver, {"games": 1, "agents": 2, "unvisited": unvisited}, crowd)
    start = made.init(view)
    start = replace(start, q=torch.full_like(start.q, 7.0))
    after = made.step(Evaluation(view, view.policy(start.probs)), start)
    first, last = after.q[:, 0, 1:], after.q[:, -1]
    assert bool((first == value).all())  # everybody starts from rock
    done = last[last != value]
    assert 1 <= done.numel() <= 2 and float(done.max()) < 2  # two agents, one reward is left
    # from rock one goes on with values of the next stage, of which most were not visited
    gone = after.q[:, 0, 0][after.q[:, 0, 0] != value]
    assert bool((gone > 4).all()) == (unvisited == "kept")


@pytest.mark.parametrize("solver", ["symm_pmd", "independent_pmd"])
def test_the_mean_begins_where_it_is_asked_to(solver: str) -> None:
    """What is returned after 5 iterations is the mean of policies 2 to 5, of each agent by itself;
    those that play are the same as without a mean.
    """
    game = mfdsl.load(text=STAKES)
    view, crowd = build_view(game.program), crowd_of(game)
    given = {"games": 2, "agents": 30}
    plain = make_solver(solver, given, crowd)
    mixed = make_solver(solver, given | {"output": "average", "since": 2}, crowd)
    one, other = plain.init(view), mixed.init(view)
    played: list[Tensor] = [one.played]
    for k in range(5):
        one = plain.step(Evaluation(view, view.policy(one.probs)), one)
        other = mixed.step(Evaluation(view, view.policy(other.probs)), other)
        assert torch.equal(one.played, other.played)
        played.append(one.played)
        if k + 1 <= 2:
            assert torch.equal(one.probs, other.probs)
    mean = torch.stack(played[2:]).mean(0)
    expected = mean if solver == "symm_pmd" else mean_agent(view, mean)
    torch.testing.assert_close(other.probs, expected, rtol=0, atol=1e-12)


def test_a_mean_since_some_iteration_leaves_less_than_the_last_policy() -> None:
    """A-SIS: mirror descent cycles around the mean of its policies."""
    options = {"games": 2, "learning_rate": 4.0, "decay": 0.25, "temperature": 0.02}
    options |= {"exploration": 0.0, "floor": 0.001}
    last, mean = (
        mfdsl.solve("asymmetric_sis", "symm_pmd", iterations=30, tolerance=0, options=options | o)
        for o in ({}, {"output": "average", "since": 8})
    )
    assert mean.exploitability.value < 0.14 < last.exploitability.value


def test_what_is_compiled_serves_every_solve_of_a_game() -> None:
    game = mfdsl.load(text=STAKES)
    for seed in range(2):
        job = prepare(game, resolve(game.model, "symm_pmd"), sweep=Batch({}), seed=seed)
        assert job.game.program is game.program and job.game.agents is game.agents


def test_seeds_change_what_is_learned() -> None:
    one, same, other = (solved("symm_pmd", iterations=2, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one.policy.probs, same.policy.probs)
    assert not torch.equal(one.policy.probs, other.policy.probs)


def test_what_cannot_be_played_to_its_end_is_refused() -> None:
    with pytest.raises(UsageError, match="stationary horizon"):
        mfdsl.solve("stationary_sis", "symm_pmd", iterations=1)
    with pytest.raises(UsageError, match="one game"):
        mfdsl.solve("sis", "symm_pmd", iterations=1, sweep={"infection": [0.1, 0.2]})
    with pytest.raises(UsageError, match="one population"):
        mfdsl.solve("predator_prey", "independent_pmd", iterations=1)
    with pytest.raises(UsageError, match="take output=average, too"):
        mfdsl.solve("sis", "symm_pmd", options={"since": 3})
    with pytest.raises(UsageError, match="learning_rate"):
        mfdsl.solve("sis", "symm_pmd", options={"learning_rate": 3.0, "temperature": 0.5})
