"""The social optimum: exact gradients, ascent, closed forms, and bounds that hold."""

from functools import cache
from itertools import pairwise, product

import pytest
import torch
from torch import Tensor

import mfdsl
from mfdsl.runtime.evaluate import Evaluation, build_view
from mfdsl.runtime.program import Params, Program
from mfdsl.runtime.solution import Solution
from mfdsl.runtime.solvers.base import SolverError, make_solver
from mfdsl.runtime.solvers.loop import solve
from mfdsl.runtime.solvers.social.view import SocialView
from mfdsl.runtime.status import Status
from tests.runtime.solvers.games import RING, program

# Moves and rewards that read the law, a mask, a discount, and a price that shakes everybody.
SHAKEN = """
model shaken
enum Price { low, high }
objective nash
discount 0.9
horizon 3
environment market {
  state price : Price ~ mix { 0.3 -> high, else -> low }
  noise turns : bool ~ bernoulli(0.4)
  price' = if turns then (if price == low then high else low) else price
}
population seller as mu {
  state  x : int in 0..2 ~ mix { 0.5 -> 0, 0.2 -> 1, else -> 2 }
  action a : int in -1..1 where not (x == 1 and a == 0)
  x' ~ mix { 0.3 + 0.5 * mu[x] -> x, else -> clip(x + a) }
  reward trade = (if market.price == high then 2 else 1) * mu[x] * (1 - mu[x]) - 0.1 * abs(a)
  final cost last = mu[x] ^ 2
}
"""

TWO = """
model two
objective nash
horizon 3
population cat as cats {
  state  x : int in 0..1 = 0
  action a : bool
  x' = if a then 1 - x else x
  reward hunt = mouse[x = x] - cats[x]^2
}
population mouse as mice {
  state  x : int in 0..2 ~ uniform
  action a : int in -1..1
  x' = clip(x + a)
  cost fear = 2 * cat[x = x] + mice[x]
}
"""


@cache
def named(name: str) -> Program:
    texts = {"shaken": SHAKEN, "two": TWO.replace("mouse[", "mice[").replace("cat[", "cats[")}
    if name in texts:
        return mfdsl.load(text=texts[name]).program
    return program(name)


def social_value(game: Program, params: Params, probs: Tensor) -> Tensor:
    """J by pushing laws forward with the functions of the module, differentiably."""
    module = game.module
    joint_shape = (*game.states.values(), *game.actions.values())
    law = module.initial_law(params).reshape(-1, game.state_count)
    total = law.new_zeros(())
    for t in range(probs.shape[0]):
        time = torch.tensor(t)
        joint = law[0][:, None] * probs[t]
        public = joint.reshape(1, *joint_shape)
        rewards = module.rewards(params, time, public).reshape(joint.shape)
        total = total + game.discount**t * (joint * rewards).sum()
        law = module.push(params, time, public).reshape(1, -1)
    last = torch.tensor(probs.shape[0])
    final = module.final_rewards(params, last, law.reshape(-1, *game.states.values()))
    total = total + game.discount ** probs.shape[0] * (law[0] * final.reshape(-1)).sum()
    whole: Tensor = len(game.populations) * total
    return whole


# A mean over those at 1, where nobody is at first; the branch that is not taken has no slope there.
EMPTY = """
model empty
objective nash
horizon 2
population agent {
  state  x : int mod 2 = 0
  action a : int in 0..2
  let there = prob(q.x == 1 for q in agent)
  x' ~ mix { 0.4 * (if there > 0 then prob(q.a == 1 for q in agent if q.x == 1) else 0.5) -> 1,
             else -> 0 }
  reward company = (if not (there <= 0 or x > 1) then log(there) / there else 0.5) * ind(a == 0)
}
"""


def some_policy(view: SocialView, seed: int) -> Tensor:
    uniform = view.uniform().probs
    drawn = uniform * torch.rand(
        uniform.shape, generator=torch.Generator().manual_seed(seed), dtype=uniform.dtype
    )
    return drawn / drawn.sum(-1, keepdim=True)


@pytest.mark.parametrize("name", ["ring", "sis", "shaken", "two"])
def test_the_gradient_is_that_of_the_social_value(name: str) -> None:
    game = named(name)
    view = SocialView.build(game)
    probs = some_policy(view, 3)
    evaluation = Evaluation(view, view.policy(probs))
    leaf = probs[0].clone().requires_grad_()
    value = social_value(game, game.params(), leaf)
    (slope,) = torch.autograd.grad(value, leaf)
    weights = game.discount ** torch.arange(view.game.stages, dtype=leaf.dtype)
    found = weights[:, None, None] * evaluation.flow.laws[0, :-1, :, None] * evaluation.q[0]
    legal = view.uniform().probs[0] > 0
    found = len(game.populations) * found
    torch.testing.assert_close(found[legal], slope[legal], rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(evaluation.value[0], value.detach(), rtol=1e-12, atol=1e-12)


def test_branches_that_are_not_taken_leave_slopes_alone() -> None:
    """Central differences along the flow, and a run that ends."""
    view = SocialView.build(mfdsl.load(text=EMPTY).program)
    probs = some_policy(view, 3)
    evaluation = Evaluation(view, view.policy(probs))
    change = torch.zeros_like(probs)
    change[0, 0, 0], change[0, 1, 0] = (torch.tensor([1.0, -0.5, -0.5]) for _ in range(2))
    up, down = (
        Evaluation(view, view.policy(probs + sign * 1e-6 * change)).value for sign in (1, -1)
    )
    found = evaluation.flow.laws[0, :-1, :, None] * evaluation.q[0] * change[0]
    assert float(found.sum()) == pytest.approx(float(up - down) / 2e-6, rel=1e-6)


@pytest.mark.parametrize("name", ["ring", "sis", "shaken", "two", "beach_bar"])
def test_the_social_value_is_that_of_all_players(name: str) -> None:
    game = named(name)
    view = SocialView.build(game)
    probs = some_policy(view, 5)
    plain = Evaluation(build_view(game), view.policy(probs))
    evaluation = Evaluation(view, view.policy(probs))
    torch.testing.assert_close(evaluation.values, plain.values, rtol=1e-11, atol=1e-11)
    assert evaluation.exploitability.value >= -1e-9


def best(name: str, tolerance: float = 1e-9, iterations: int = 3000, seed: int = 0) -> Solution:
    return solve(
        named(name),
        None,
        "social_gradient",
        {"seed": seed},
        iterations=iterations,
        tolerance=tolerance,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [("pigou", -0.75), ("left_right", -2 / 3), ("congestion_log", 2.25647337204)],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_closed_forms_are_reached(name: str, value: float, seed: int) -> None:
    solution = best(name, seed=seed)
    assert solution.status is Status.converged
    assert solution.value[0] == pytest.approx(value, abs=1e-8)
    assert value <= solution.value[0] + solution.exploitability.value + 1e-10


def test_marginal_prices_make_the_optimum_an_equilibrium() -> None:
    """Twice the slopes of `ring` are its marginal rewards."""
    priced = mfdsl.load(text=RING.replace("2 * mu[x]", "4 * mu[x]").replace("= mu[x]", "= 2*mu[x]"))
    planned = best("ring")
    assert planned.status is Status.converged
    own = Evaluation(build_view(priced.program), planned.policy)
    assert own.exploitability.value == pytest.approx(planned.exploitability.value, abs=1e-9)


def test_nothing_pure_beats_the_optimum_of_a_small_epidemic() -> None:
    game = mfdsl.load("sis", params={"T": 2}).program
    view = build_view(game)
    values = []
    for plan in product((0.0, 1.0), repeat=3):
        probs = view.uniform().probs.clone()
        out = torch.tensor(plan, dtype=probs.dtype)
        probs[0, :, 0, :] = torch.stack([out, 1 - out], -1)
        probs[0, :, 1, :] = torch.tensor([1.0, 0.0], dtype=probs.dtype)
        values.append(float(Evaluation(view, view.policy(probs)).value))
    found = [solve(game, None, "social_gradient", {"seed": s}, tolerance=1e-9) for s in range(4)]
    assert max(s.value[0] for s in found) >= max(values) - 1e-9


def test_the_value_never_falls_and_the_history_shows_it() -> None:
    solution = best("ring", tolerance=-1, iterations=30)
    values = [record.value[0] for record in solution.history if record.value is not None]
    assert len(values) == 31 and values[-1] == solution.value[0]
    assert all(after >= before - 1e-9 for before, after in pairwise(values))
    assert solution.to_json()["history"][0]["value"] == [values[0]]


def test_a_run_goes_on_as_if_it_had_not_stopped() -> None:
    whole = best("ring", tolerance=-1, iterations=8)
    half = best("ring", tolerance=-1, iterations=3)
    rest = solve(
        named("ring"),
        None,
        "social_gradient",
        {"seed": 0},
        iterations=8,
        tolerance=-1,
        state=half.state,
        history=half.history,
    )
    assert torch.equal(rest.policy.probs, whole.policy.probs)
    assert [r.value for r in rest.history] == [r.value for r in whole.history]


def test_a_batch_is_its_games_one_by_one() -> None:
    game = mfdsl.load("crowd_1d").program
    floors = [1e-25, 1e-2, 1e-1]

    def run(eps: float | list[float]) -> Solution:
        params = game.params({"eps": eps})
        return solve(game, params, "social_gradient", iterations=12, tolerance=-1)

    batch = run(floors)
    for k, eps in enumerate(floors):
        alone = run(eps)
        assert alone.value[0] == pytest.approx(batch.value[k], abs=1e-10)


def test_single_precision_comes_as_near_as_it_can() -> None:
    game = named("left_right")
    params = game.params(dtype=torch.float32)
    solution = solve(game, params, "social_gradient", tolerance=1e-4)
    assert solution.status is Status.converged and solution.policy.probs.dtype is torch.float32
    assert solution.value[0] == pytest.approx(-2 / 3, abs=1e-5)


def test_a_horizon_without_end_is_cut_where_nothing_is_left() -> None:
    solution = best("mfppo_toy", tolerance=1e-4, iterations=60)
    assert solution.status is Status.converged
    plain = Evaluation(build_view(named("mfppo_toy")), solution.policy)
    assert float(plain.value) == pytest.approx(solution.value[0], abs=1e-11)


def test_pasts_of_a_common_state_are_planned_for() -> None:
    """No policy of a sample, pure or not, does better where everybody sees the price."""
    solution = best("shaken", tolerance=1e-7)
    assert solution.status is Status.converged
    view = SocialView.build(named("shaken"))
    for seed in range(40):
        probs = some_policy(view, seed)
        pure = torch.nn.functional.one_hot(probs.argmax(-1), probs.shape[-1]).to(probs)
        for other in (probs, pure):
            assert float(Evaluation(view, view.policy(other)).value) <= solution.value[0] + 1e-9


def test_stationary_horizons_and_players_views_are_refused() -> None:
    with pytest.raises(SolverError, match="stationary horizon"):
        best("stationary_sis")
    with pytest.raises(SolverError, match="planner"):
        make_solver("social_gradient").init(build_view(named("ring")))
