"""One agent beside a frozen flow: gymnasium's checks pass, and returns are those of `evaluate`."""

import pickle
from typing import Any

import numpy as np
import pytest
import torch

import mfdsl

pytest.importorskip("gymnasium", reason="needs the extra `rl`")

from gymnasium import spaces
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

from mfdsl.export.exact_flow import ExactFlow
from mfdsl.export.gymnasium import RepresentativeEnv, SingleAgentEnv
from mfdsl.export.sampled_flow import SampledFlow

TWO = """model chase
objective nash
horizon 3
population hare as mu {
  state x : int in 0..1 ~ uniform
  action a : int in 0..1
  x' = a
  reward safe = -nu[y = 1] * x
}
population fox as nu {
  state y : int in 0..1 = 0
  action b : int in 0..1
  y' = b
  reward prey = mu[x = y] + y * b
}
"""
STAIRS = """model stairs
objective nash
horizon 3
population rider as mu {
  state floor : int in 0..2 ~ uniform
  action a : int in -1..1 where 0 <= floor + a and floor + a <= 2
  floor' = floor + a
  reward high = floor - mu[floor] - mu[a = 1]
  final reward top = 10 * floor - mu[floor]
}
"""


VOTES = """model votes
objective nash
horizon 3
population voter as mu {
  state x : int in 0..3 = 0
  action a : int in 0..1
  x' = min(x + ind(mu[a = 1] > 0.01), 3)
  reward share = mu[a = 0] + 10 * mu[a = 1]
}
"""


@pytest.mark.parametrize("name", ["sis", "foraging"])
def test_the_check_of_gymnasium_passes(name: str) -> None:
    """Finite states beside an exact flow; continuous ones beside a sampled one, with majors, and
    actions in a ball.
    """
    env = SingleAgentEnv(name, agents=None if name == "sis" else 3, steps=5)
    check_env(env, skip_render_check=True)
    many = RepresentativeEnv(name, agents=None if name == "sis" else 3, steps=5, num_envs=4)
    views, _ = many.reset(seed=1)
    assert many.observation_space.contains(views)
    views, rewards, *_ = many.step(many.action_space.sample())
    assert many.observation_space.contains(views) and rewards.shape == (4,)
    assert type(many.flow) is (ExactFlow if name == "sis" else SampledFlow)
    kinds = {type(space) for space in env.observation_space.spaces.values()}  # type: ignore[attr-defined]
    assert kinds == ({spaces.Discrete} if name == "sis" else {spaces.Box})


def played(env: RepresentativeEnv, probs: Any, seed: int) -> Any:
    """The return of each copy when all follow a table [T, S, A] over one state."""
    draw = np.random.default_rng(seed)
    views, _ = env.reset(seed=seed)
    (name,) = views.keys() - {"t"}
    total, over = np.zeros(env.num_envs), False
    for _ in range(env.flow.steps):
        chances = probs[int(views["t"][0])][views[name]]
        actions = (draw.random((env.num_envs, 1)) > chances.cumsum(-1)).sum(-1)
        views, rewards, ended, cut, _ = env.step(actions)
        total += rewards
        over = bool((ended | cut).all())
    assert over
    return total


def test_returns_are_the_exact_ones_of_a_policy_and_of_a_best_response() -> None:
    """Illegal actions, rewards that read the law of actions, and final rewards that read a law."""
    game = mfdsl.load(text=STAIRS)
    solution = mfdsl.solve(game, "omd", iterations=0)
    scored = mfdsl.evaluate(game, solution.policy)
    best = torch.nn.functional.one_hot(scored.best_q[0].argmax(-1), 3).numpy()
    env = RepresentativeEnv(game, solution, num_envs=4000)
    for probs, value in (
        (scored.policy.probs[0].numpy(), scored.value),
        (best, scored.best_value),
    ):
        returns = played(env, probs, seed=3)
        error = returns.std() / np.sqrt(len(returns))
        assert abs(returns.mean() - value.item()) < 4 * error
    assert scored.best_value.item() - scored.value.item() > 10 * error  # they can be told apart


def test_a_sampled_crowd_of_one_population_among_several_has_its_returns() -> None:
    game = mfdsl.load(text=TWO)
    solution = mfdsl.solve(game, "omd", iterations=1)
    scored = mfdsl.evaluate(game, solution.policy)
    for place, name in enumerate(("hare", "fox")):
        env = RepresentativeEnv(game, solution, population=name, num_envs=4000, agents=4000)
        own = scored.policy.probs[0].reshape(3, 2, 2, 2)[:, place].numpy()  # [T, S, A]
        returns = played(env, own, seed=place)
        error = returns.std() / np.sqrt(len(returns)) + 1 / np.sqrt(4000)  # the crowd is drawn, too
        assert abs(returns.mean() - scored.values[0, place].item()) < 3 * error
    with pytest.raises(mfdsl.UsageError, match="which population"):
        RepresentativeEnv(game, solution)


def test_rewards_are_those_beside_the_law_of_each_stage() -> None:
    game = mfdsl.load(text=STAIRS)
    solution = mfdsl.solve(game, "omd", iterations=5)
    laws, rising = solution.flow.laws[0].numpy(), solution.flow.joint[0, :, :, 2].sum(-1).numpy()
    env = RepresentativeEnv(game, solution, num_envs=20)
    floor = env.reset(seed=4)[0]["floor"]
    for t in range(3):
        _, rewards, ended, _, _ = env.step(np.ones(20, dtype=np.int64))  # stay
        expected = floor - laws[t][floor] - rising[t]
        if t == 2:
            assert ended.all()
            expected += 10 * floor - laws[3][floor]
        assert rewards == pytest.approx(expected, abs=1e-12)
    assert abs(laws[0] - laws[2]).max() > 0.1


def test_the_crowd_does_not_feel_the_agent_and_is_the_same_in_every_episode() -> None:
    """Fifty copies move, ten members rest: means are those of the members alone."""
    env = RepresentativeEnv(mfdsl.load(text=VOTES), "still", num_envs=50, agents=10)
    env.reset()
    for _ in range(3):
        views, rewards, *_ = env.step(np.ones(50, dtype=np.int64))
        assert rewards == pytest.approx(np.ones(50)) and not views["x"].any()
    env = RepresentativeEnv("sis", "uniform", num_envs=50, agents=10, steps=4)
    crowds = []
    for seed, action in ((0, 0), (0, 1), (7, 1)):
        env.reset(seed=seed)
        for _ in range(3):
            env.step(np.full(50, action))
        crowds.append(env.flow._state.person.h[0, :10].tolist())  # type: ignore[attr-defined]
    assert crowds[0] == crowds[1] == crowds[2]


def test_all_copies_end_together_and_begin_anew() -> None:
    env = RepresentativeEnv("sis", num_envs=3, steps=2, seed=5)
    first, _ = env.reset()
    still = np.zeros(3, dtype=np.int64)
    assert env.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    env.step(still)
    views, _, ended, cut, _ = env.step(still)
    assert cut.all() and not ended.any() and (views["t"] == 2).all()
    views, rewards, ended, cut, _ = env.step(still)
    assert not rewards.any() and not (ended | cut).any() and (views["t"] == 0).all()
    again, _ = env.reset(seed=5)
    assert all((first[name] == again[name]).all() for name in first)


def test_masks_are_given_and_what_they_forbid_is_refused() -> None:
    for agents in (None, 4):
        env = RepresentativeEnv(mfdsl.load(text=STAIRS), num_envs=6, agents=agents)
        views, infos = env.reset(seed=2)
        expected = [[x > 0, True, x < 2] for x in views["floor"]]
        assert infos["action_mask"].tolist() == expected
        up = np.where(views["floor"] == 2, 2, 1)
        with pytest.raises(ValueError, match="`where` forbids"):
            env.step(up)
        with pytest.raises(ValueError, match=r"is 3, outside of 0\.\.2"):
            env.step(np.full(6, 3))


def test_one_copy_is_the_first_of_a_vector_and_masks_last_until_the_next_episode() -> None:
    game = mfdsl.load(text=STAIRS)
    alone, env = SingleAgentEnv(game), RepresentativeEnv(game, num_envs=1)
    (view, info), (views, infos) = alone.reset(seed=3), env.reset(seed=3)
    for t in range(4):
        assert view == {name: value[0] for name, value in views.items()}
        assert info["action_mask"].tolist() == infos["action_mask"][0].tolist()
        action = alone.action_space.sample(mask=info["action_mask"])
        views, rewards, *_, infos = env.step([action])
        if t == 3:
            with pytest.raises(ValueError, match="the episode is over: call `reset`"):
                alone.step(action)
            break
        view, reward, ended, cut, info = alone.step(torch.tensor(action))
        assert reward == rewards[0] and ended == (t == 2) and not cut
    assert views["t"] == 0 and rewards == 0


def test_a_crowd_plays_by_rules_for_linear_games() -> None:
    """Their rows are over the states of the game, without weights of members."""
    game = mfdsl.load("lq_game", params={"T": 3})
    env = RepresentativeEnv(game, mfdsl.solve(game, "riccati"), num_envs=2, agents=3)
    views, _ = env.reset(seed=1)
    assert views.keys() == {"x", "m", "t"} and views["x"].dtype == np.float32
    views, rewards, *_ = env.step(np.zeros(2, dtype=np.float32))
    assert np.isfinite(rewards).all() and np.isfinite(views["x"]).all()


def test_actions_are_arrays_or_tensors_and_else_named() -> None:
    env, same = (RepresentativeEnv("sis", num_envs=3, seed=1) for _ in range(2))
    env.reset()
    same.reset()
    for given in (torch.tensor([0.0, 1.0, 1.0], requires_grad=True), [False, True, True]):
        assert (env.step(given)[1] == same.step(np.array([0, 1, 1]))[1]).all()
    for odd, message in (
        ([0, 1], r"shape \[2\], expected \[3\]"),
        ([0.5, 1, 1], "is 0.5, which is not a whole number"),
        ([0, np.nan, 1], "is nan, which is not"),
        ([None, 0, 1], "no number and no array"),
        ([[0], [1, 2], 3], "is no array"),
    ):
        with pytest.raises(ValueError, match=message):
            env.step(odd)
    env = RepresentativeEnv(mfdsl.load("foraging"), agents=3, steps=2)
    env.reset()
    with pytest.raises(ValueError, match=r"is 2, outside of \[-1, 1\]"):
        env.step(np.array([[0.0, 2.0]]))  # and double precision is taken
    with pytest.raises(ValueError, match="is inf, which is not a finite number"):
        env.step([[0.0, np.inf]])


def test_an_environment_goes_through_pickle_in_the_middle_of_an_episode() -> None:
    for agents in (None, 4):
        env = RepresentativeEnv("sis", num_envs=3, agents=agents, steps=3)
        env.reset(seed=2)
        env.step([0, 1, 1])
        again = pickle.loads(pickle.dumps(env))
        (views, rewards), (seen, paid) = (e.step([1, 0, 1])[:2] for e in (env, again))
        assert (rewards == paid).all() and (views["h"] == seen["h"]).all()


def test_tables_are_policies_as_arrays_and_as_tensors() -> None:
    game, table = mfdsl.load("sis", params={"T": 2}), np.full((3, 2, 2), 0.5)
    laws = [RepresentativeEnv(game, p).flow._laws for p in (table, torch.tensor(table))]  # type: ignore[attr-defined]
    assert torch.equal(*laws)


def test_what_cannot_be_a_crowd_is_refused() -> None:
    with pytest.raises(mfdsl.UsageError, match="did you mean `uniform`"):
        RepresentativeEnv("sis", "unifrom")
    with pytest.raises(mfdsl.UsageError, match="unknown population `men`"):
        RepresentativeEnv("sis", population="men")
    with pytest.raises(mfdsl.UsageError, match="copies from 1, not 0"):
        RepresentativeEnv("sis", num_envs=0)
    with pytest.raises(ValueError, match="begin together"):
        RepresentativeEnv("sis").reset(options={"reset_mask": [True]})
