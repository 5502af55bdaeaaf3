"""What affine policies read and cost: beside simulations, and where players see little."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from mfdsl.errors import UsageError
from mfdsl.exact import run_exact, solution_behaviour
from mfdsl.runtime.solvers.riccati.flow import costs, moments
from mfdsl.runtime.solvers.riccati.plan import played, rows_at
from mfdsl.runtime.solvers.riccati.solution import ExactSolution
from mfdsl.shipped import find_spec
from mfdsl.validating.closed_forms import first_steps
from tests.riccati.specs import ENDLESS, LQ1, LQ1B, TEXTS, job, solution

SIGMAS = 4.0
BLIND = find_spec("lq_game").read_text().replace("observe x, t, m", "observe x, t")

UNIFORM = """\
model uniform_draws
objective nash
horizon 6
population fish {
  state  x : real ~ uniform([-1, 2])
  action a : real
  noise  e : real ~ uniform([-1, 1])
  noise  g : real ~ exponential(rate = 2)
  let m = mean(f.x for f in fish)
  let after = 0.9 * x + 0.6 * a + e + 0.2 * g
  x' = after
  cost track = (after - 0.3 * m)^2 + e * x
  cost work = a^2
  observe x, t, m
}
"""

# The mean of q and the sun move together, so who sees the sun knows the mean.
TIED = """\
model tied
objective nash
horizon 8
environment sky {
  state s : real = 0
  noise c : real ~ normal(0, std = 0.4)
  s' = 0.9 * s + c
}
population home {
  state  q : real ~ normal(1, std = 0.3)
  action a : real
  noise  z : real ~ normal(0, std = 0.2)
  q' = 0.9 * q - sky.c + z
  cost bill = a * mean(h.q + h.a for h in home) + a^2 + (q + a)^2
  observe q, t, sky.s
}
"""


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Tensors are small here: on a busy machine threads wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def simulated(spec: str, agents: Any, batch: int, steps: int | None = None) -> None:
    """Compare the exact costs of every player among so many agents with simulated ones."""
    game = job(spec).game
    found = solution(spec)
    rollout = game.simulator(agents=agents, batch=batch, seed=3).rollout(
        solution_behaviour(game, found), steps=steps
    )
    played = first_steps(found.game, rollout.steps, ended=steps is None)
    exact = costs(played, found.policy, rollout.agents)
    assert set(exact) == set(rollout.returns)
    for player, paid in rollout.returns.items():
        assert paid.std_error < 0.03 * abs(exact[player])
        assert abs(-paid.mean - exact[player]) <= SIGMAS * paid.std_error


@pytest.mark.parametrize("spec", TEXTS)
def test_costs_of_several_crowds_are_those_of_simulations(spec: str) -> None:
    """With a major, an environment, common noise, traits, means of actions and time."""
    steps = 30 if spec.startswith("endless") else None
    simulated(spec, {"fish": 4, "bird": 2}, 3000, steps)


@pytest.mark.parametrize("spec", ["rotating_target", "flocking", TIED, UNIFORM])
def test_costs_of_who_does_not_see_the_mean_are_those_of_simulations(spec: str) -> None:
    simulated(spec, 3, 1500)


def test_who_does_not_see_the_mean_counts_on_it() -> None:
    seeing, blind = solution("lq_game", **LQ1), solution(BLIND, **LQ1)
    assert blind.costs["agent"] == pytest.approx(seeing.costs["agent"], rel=1e-12)
    assert abs(blind.exploitability.value) < 1e-12
    assert not blind.policy.common[0][:, 0, 0].any()
    offsets = seeing.policy.common[0][:, 0, 0] * seeing.flow.means[:-1, 0]
    assert blind.policy.common[0][:, 0, 1] == pytest.approx(offsets, rel=1e-12)
    assert blind.among is not None and seeing.among is not None
    assert blind.among.costs["agent"] != pytest.approx(seeing.among.costs["agent"], rel=1e-9)


def test_what_is_tied_to_what_is_seen_is_known() -> None:
    found = solution(TIED)
    reads = found.game.common
    rows = found.policy.common[0][:, 0]
    assert not np.abs(rows[:, reads.index("home.q")]).max() > 1e-12
    assert np.abs(rows[:, reads.index("sky.s")]).max() > 0.01
    assert abs(found.exploitability.value) < 1e-12


def test_other_views_that_are_enough() -> None:
    gap = find_spec("lq_common_noise").read_text().replace("observe x, m, t", "observe gap, t")
    whole, alone = solution("lq_common_noise"), solution(gap)
    assert alone.policy.own[0] == pytest.approx(whole.policy.own[0])
    law = find_spec("lq_game").read_text().replace("observe x, t, m", "observe x, t, law(agent)")
    assert solution(law, common=0.2).costs == pytest.approx(solution("lq_game", common=0.2).costs)


@pytest.mark.parametrize(
    ("text", "params", "why"),
    [
        (BLIND, {"common": 0.2}, "agent has to see the mean of `x` over agent"),
        (
            find_spec("lq_major")
            .read_text()
            .replace("observe x, t, leader.y, m", "observe x, t, m"),
            {},
            "follower has to see `leader.y`",
        ),
        (
            find_spec("lq_major").read_text().replace("observe y, t, m", "observe y, t"),
            {"s0": 0},
            "leader has to see the mean of `x` over follower",
        ),
        (BLIND.replace("observe x, t", "observe t"), {}, "agent has to see `x`"),
        (BLIND.replace("observe x, t", "observe x"), {}, "agent has to see `t`"),
        (BLIND.replace("observe x, t", "observe law(agent)"), {}, "agent has to see `x`"),
    ],
)
def test_who_sees_too_little_is_told(text: str, params: dict[str, float], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        run_exact(job(text, params))


def test_a_start_that_is_no_affine_function_of_draws_is_refused() -> None:
    text = BLIND.replace(
        "  state  x : real ~ normal(m0, std = sqrt(v0))",
        "  state  h : real ~ normal(m0, std = sqrt(v0))\n  state  x : real = h^2",
    ).replace("  x' =", "  h' = h\n  x' =")
    with pytest.raises(UsageError, match="agent at t = 0 are no affine function of their draws"):
        job(text)


@pytest.mark.parametrize("rule", ["0.1 * t", "(if t == 3 then 5 else 0)"])
def test_what_depends_on_time_needs_an_end(rule: str) -> None:
    with pytest.raises(UsageError, match="reads t, and without an end matrices stay as they are"):
        job(ENDLESS.replace("1.2 * a^2", f"(1.2 + {rule}) * a^2"))


def test_means_of_the_others_are_those_of_all_in_the_limit() -> None:
    text = find_spec("lq_game").read_text()
    others = text.replace("mean(q.x for q in agent)", "mean(q.x for q in others(agent))")
    found = solution(others, **LQ1)
    assert found.costs == pytest.approx(solution("lq_game", **LQ1).costs, rel=1e-13)
    assert found.among is None


def unended(head: str) -> str:
    """`lq_game` without final costs, over another horizon."""
    text = find_spec("lq_game").read_text()
    text = text[: text.index("  final cost end ")] + text[text.index("\n  observe") :]
    return text.replace("horizon T", head)


def test_the_end_of_a_long_discounted_game_does_not_matter() -> None:
    endless = solution(unended("horizon infinite\ndiscount 0.9"), **_untimed())
    long = solution(unended("horizon T\ndiscount 0.9"), **_untimed(), T=400)
    assert endless.costs["agent"] == pytest.approx(long.costs["agent"], rel=1e-12)
    assert endless.policy.own[0][0] == pytest.approx(long.policy.own[0][0], rel=1e-12)
    assert np.ptp(endless.policy.own[0], axis=0).max() == 0
    assert abs(endless.exploitability.value) < 1e-12


def test_values_without_a_limit_are_refused_and_slow_ones_summed() -> None:
    slow = solution(unended("horizon infinite\ndiscount 0.999"), **_untimed())
    long = solution(unended("horizon T\ndiscount 0.999"), **_untimed(), T=400)
    assert slow.policy.stages == 500
    assert slow.policy.common[0][0] == pytest.approx(long.policy.common[0][0], rel=1e-12)
    begun = costs(first_steps(slow.game, 400, ended=False), slow.policy)["agent"]
    later = 0.999**400 * flow_of_noise(slow)
    assert slow.costs["agent"] == pytest.approx(begun + later, rel=1e-11)
    text = unended("horizon infinite\ndiscount 0.9")
    with pytest.raises(UsageError, match="the values have no limit as the horizon grows"):
        run_exact(job(text, _untimed() | {"S": 1.5}))


def flow_of_noise(found: ExactSolution) -> float:
    """What a long game costs from when the law moves no more: a step's cost for ever."""
    game, stages = found.game, found.policy.stages
    path = list(moments(game, found.policy, 0, {}))[-1]
    rows = rows_at(found.policy, stages)
    z = played(game.crowds[0], rows.own[0], rows.common[0], rows.controls)
    step = float((z.T @ game.crowds[0].cost[0] @ z * path).sum())
    return step / (1 - game.discount)


def _untimed() -> dict[str, float]:
    return {k: v for k, v in LQ1B.items() if k not in ("T", "QT", "QTb", "ST")}


@pytest.mark.parametrize("rho", [0.0, 0.2])
def test_banks_lend_as_in_closed_form(rho: float) -> None:
    """Perrin et al. 2020 (arXiv 2007.03458), on the line: a = G_t (m - x), common noise or not,
    by P = kappa dt + (1 - K dt)^2 P+ - dt (q + (1 - K dt) P+)^2 / (1 + dt P+).
    """
    steps, dt, pull, q, kappa, c = 30, 0.1, 1.0, 0.01, 0.5, 1.0
    params = {"T": steps, "dt": dt, "k": pull, "q": q, "eps": kappa, "c": c, "rho": rho, "sigma": 1}
    found = solution("lq_common_noise", **params)
    value, gains = c, []
    for _ in range(steps):
        lent = q + (1 - pull * dt) * value
        gains.append(lent / (1 + dt * value))
        value = kappa * dt + (1 - pull * dt) ** 2 * value - dt * lent**2 / (1 + dt * value)
    assert -found.policy.own[0][:, 0, 0] == pytest.approx(gains[::-1], rel=1e-12)
    assert found.policy.common[0][:, 0, 0] == pytest.approx(gains[::-1], rel=1e-10)
    assert found.flow.spread[-1, 0, 0] == pytest.approx(steps * dt * rho**2, rel=1e-12)


def test_time_beyond_what_is_read_is_refused() -> None:
    text = BLIND.replace("in 1..1000 = 20", "in 1..9000 = 20").replace("Q / 2 *", "(Q + t) / 2 *")
    assert run_exact(job(text)).costs["agent"] > 8
    with pytest.raises(UsageError, match="are read for 2,000 stages, and lq_game has 3,000"):
        job(text, {"T": 3000})


def test_margins_tell_of_critical_games() -> None:
    """1 + B^2 Pi / D by hand at the last stage, and a game beyond a critical one."""
    found = solution("lq_game", **LQ1B)
    pi, p = -LQ1B["QTb"] * LQ1B["ST"], LQ1B["QT"] + LQ1B["QTb"]
    last = 1 + LQ1B["B"] ** 2 * pi / (LQ1B["R"] + LQ1B["B"] ** 2 * p)
    assert found.policy.margins[-1] == pytest.approx(last, rel=1e-12)
    assert found.message == "" and found.to_json()["margin"]["negative"] is False
    beyond = solution("lq_game", **(LQ1B | {"S": 1.3, "ST": 1.3}))
    assert beyond.policy.margins.min() < 0 and "have turned round" in beyond.message
    assert beyond.to_json()["margin"]["negative"] is True
    assert abs(beyond.exploitability.value) < 1e-12  # an equilibrium all the same
    near = solution("lq_game", **(LQ1B | {"S": 1.99, "ST": 1.99, "T": 1}))
    assert 0 < near.policy.margins[0] < 0.05 and "near a critical horizon" in near.message
