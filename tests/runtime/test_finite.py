"""The finite view against dense enumeration."""

import numpy as np
import pytest
import torch

import mfdsl
from mfdsl.runtime.evaluate import Evaluation, build_view
from mfdsl.runtime.program import Program
from mfdsl.runtime.solvers.base import SolverError
from mfdsl.runtime.solvers.loop import solve
from mfdsl.runtime.views.finite import FiniteView
from mfdsl.runtime.views.kernels import (
    MatrixKernel,
    RowsKernel,
    ScatteredKernel,
    WeightedKernel,
    incidence,
    matrix_kernel,
)
from tests.runtime import oracle

GAMES = ("left_right", "beach_bar", "susceptible_infected", "masked_queue")


def random_probs(view: FiniteView, games: int, seed: int = 0) -> torch.Tensor:
    legal = view.uniform().probs[:1] > 0
    generator = torch.Generator().manual_seed(seed)
    mass = torch.rand(games, *legal.shape[1:], generator=generator, dtype=torch.float64) * legal
    return mass / mass.sum(-1, keepdim=True)


def assert_agrees(program: Program, view: FiniteView, probs: torch.Tensor, games: range) -> None:
    policy = view.policy(probs)
    flow = view.flow(policy)
    own, best = view.q_values(flow, policy), view.q_values(flow)
    gaps = view.exploitability(policy)
    for g in games:
        game = oracle.dense_game(program, program.params())
        table = probs[g].numpy()
        joints, last = oracle.flow(game, table)
        np.testing.assert_allclose(flow.joint[g].numpy(), np.stack(joints), atol=1e-14)
        np.testing.assert_allclose(flow.laws[g, -1].numpy(), last, atol=1e-14)
        for mine, policy_table in ((own, table), (best, None)):
            theirs = oracle.q_values(game, joints, last, policy_table)
            np.testing.assert_allclose(mine[g].numpy(), theirs, atol=1e-12)
        assert gaps[g].item() == pytest.approx(oracle.exploitability(game, table), abs=1e-12)


@pytest.mark.parametrize("name", GAMES)
@pytest.mark.parametrize("games", [1, 3])
def test_flow_values_and_exploitability_agree_with_enumeration(name: str, games: int) -> None:
    program = oracle.load(name)
    view = FiniteView.build(program)
    assert_agrees(program, view, random_probs(view, games), range(games))


@pytest.mark.parametrize("name", GAMES)
def test_laws_stay_laws(name: str) -> None:
    view = FiniteView.build(oracle.load(name))
    laws = view.laws(view.policy(random_probs(view, 2)))
    assert laws.min() >= 0
    torch.testing.assert_close(laws.sum(-1), torch.ones_like(laws[..., 0]), atol=1e-9, rtol=0)


@pytest.mark.parametrize(
    ("program", "game"),
    [
        (oracle.load("left_right"), oracle.left_right()),
        (oracle.load("beach_bar"), oracle.beach_bar()),
        (oracle.beach_bar_program(30, 11), oracle.beach_bar(30, 11)),
        (oracle.load("susceptible_infected"), oracle.susceptible_infected()),
    ],
    ids=["left_right", "beach_bar", "beach_bar_30", "susceptible_infected"],
)
def test_exploitability_agrees_with_the_games_as_the_peers_define_them(
    program: Program, game: oracle.Game
) -> None:
    view = FiniteView.build(program)
    probs = random_probs(view, 2)
    for g, gap in enumerate(view.exploitability(view.policy(probs))):
        assert gap.item() == pytest.approx(oracle.exploitability(game, probs[g].numpy()), abs=1e-11)


def test_illegal_actions_have_no_probability_and_no_value() -> None:
    program = oracle.load("masked_queue")
    view = FiniteView.build(program)
    policy = view.uniform()
    legal = torch.stack([program.module.legal(program.params(), torch.tensor(t)) for t in range(4)])
    assert torch.equal(policy.probs[0] > 0, legal[:, 0])
    flow = view.flow(policy)
    for q in (view.q_values(flow), view.q_values(flow, policy)):
        assert torch.equal(q[0].isfinite(), legal[:, 0])


@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        ("beach_bar", {"bar": [2.0, 0.0, 1.0]}),
        ("beach_bar", {"p_still": [0.5, 0.1, 0.9], "bar": 1.0}),
        ("susceptible_infected", {"infection": [0.81, 0.2, 0.5]}),
        ("masked_queue", {"slip": [0.2, 0.0, 0.7]}),
        ("masked_queue", {"price": [[0.5, 1.0, 0.25], [0.1, 0.2, 0.3], [1.0, 0.0, 2.0]]}),
    ],
)
def test_a_batch_of_parameters_is_as_many_games(
    name: str, overrides: dict[str, float | list[float]]
) -> None:
    program = oracle.load(name)
    together = FiniteView.build(program, program.params(overrides))
    probs = random_probs(together, 1)
    gaps = together.exploitability(together.policy(probs))
    assert gaps.shape == (3,)
    for g in range(3):
        alone = {
            key: value[g] if isinstance(value, list) else value for key, value in overrides.items()
        }
        view = FiniteView.build(program, program.params(alone))
        assert gaps[g].item() == pytest.approx(
            view.exploitability(view.policy(probs)).item(), abs=1e-12
        )


@pytest.mark.parametrize("games", [1, 4])
def test_dense_sparse_weighted_and_scattered_kernels_are_one_map(games: int) -> None:
    generator = torch.Generator().manual_seed(1)
    shape, states = (3, 2, 17), 17
    successors = torch.randint(states, shape, generator=generator)
    weights = torch.rand(shape, generator=generator, dtype=torch.float64)
    kernels = [
        matrix_kernel(successors, weights, dense=True),
        matrix_kernel(successors, weights, dense=False),
        WeightedKernel(
            successors.reshape(-1),
            incidence(successors.reshape(-1), states, torch.float64),
            weights[..., None],
            shape,
        ),
        ScatteredKernel(
            (successors[..., None] * games + torch.arange(games)).contiguous(), weights[..., None]
        ),
    ]
    tail = () if games == 1 else (games,)
    joint = torch.rand(2 * states, *tail, generator=generator, dtype=torch.float64)
    values = torch.rand(states, *tail, generator=generator, dtype=torch.float64)
    pushed, expected = [], []
    for kernel in kernels:
        law, q = torch.full_like(values, torch.nan), torch.full_like(joint, torch.nan)
        kernel.push(joint, law)
        kernel.expect(values, joint, 0.9, q)
        pushed.append(law)
        expected.append(q)
    for law, q in zip(pushed[1:], expected[1:], strict=True):
        torch.testing.assert_close(law, pushed[0])
        torch.testing.assert_close(q, expected[0])


def test_successors_that_differ_over_games_are_followed() -> None:
    program = oracle.load("beach_bar")
    text = program.text.replace("(x + a + e)", "(x + a + e + p.bar.long().reshape(-1, 1, 1, 1))")
    text = text.replace(".clamp(0, 3)[None]", ".clamp(0, 3).reshape(-1, 4, 3, 3)")
    text = text.replace(
        "SUCCESSORS_READ: frozenset[str] = frozenset()", 'SUCCESSORS_READ = frozenset({"params"})'
    )
    shifted = oracle.load_program(text)
    view = FiniteView.build(shifted, shifted.params({"bar": [0.0, 1.0]}))
    assert isinstance(view.tables.kernel, ScatteredKernel)
    gaps = view.exploitability(view.uniform())
    for g, bar in enumerate((0.0, 1.0)):
        alone = FiniteView.build(shifted, shifted.params({"bar": bar}))
        assert isinstance(alone.tables.kernel, MatrixKernel)
        assert gaps[g].item() == pytest.approx(alone.exploitability(alone.uniform()).item())


def test_large_games_keep_landings_and_spreads() -> None:
    view = FiniteView.build(oracle.beach_bar_program(2000, 3))
    kernel = view.tables.kernel
    assert isinstance(kernel, RowsKernel)
    assert kernel.rows.places.shape == (3, 2002)  # x + a lies in -1..2000


def test_an_infinite_horizon_is_cut_where_the_rest_is_negligible() -> None:
    program = oracle.load("beach_bar", HORIZON="None", HORIZON_KIND='"infinite"', DISCOUNT="0.8")
    view = build_view(program)
    assert isinstance(view, FiniteView)
    assert view.truncation is not None
    assert view.truncation.bound <= 1e-9
    longer = oracle.load("beach_bar", HORIZON=str(view.stages + 50), DISCOUNT="0.8")
    game = oracle.dense_game(longer, longer.params())
    expected = oracle.exploitability(game, oracle.uniform(game), 0.8)
    gap = view.exploitability(view.uniform())
    assert gap.item() == pytest.approx(expected, abs=1e-8)


ENDLESS = """model endless
horizon infinite
discount 0.9
objective nash
param c : real in [0, 9] = 1
population p as mu {{
  state  x : int in 0..1 = 0
  action a : int in 0..1
  x' = {next}
  reward r = c * {reward}
}}
"""


@pytest.mark.parametrize(
    ("next", "reward", "played", "gain"),
    [
        ("x", "(if t >= 3 then a else 0)", 0, 0.9**3 / 0.1),
        ("a", "(1 - x) * max(mu[x = 1] - 0.6, 0)", 1, 0.4 * 0.9 / 0.1),
        ("a", "x", 0, 0.9 / 0.1),
    ],
)
def test_rewards_that_come_late_or_at_other_laws_are_not_cut_off(
    next: str, reward: str, played: int, gain: float
) -> None:
    """Nothing is paid at t = 0, nor at the first law or the uniform one."""
    program = mfdsl.load(text=ENDLESS.format(next=next, reward=reward)).program
    view = build_view(program)
    probs = torch.zeros_like(view.uniform().probs)
    probs[..., played] = 1
    found = Evaluation(view, view.policy(probs)).exploitability
    assert (found.kind, found.value) == ("exact", pytest.approx(gain, abs=1e-7))
    other = build_view(program, program.params({"c": [9.0, 2.0]}))
    probs = torch.zeros_like(other.uniform().probs)
    probs[..., played] = 1
    found = Evaluation(other, other.policy(probs)).exploitability
    assert found.kind == "exact"
    assert found.per_game == pytest.approx((9 * gain, 2 * gain), abs=1e-6)


@pytest.mark.parametrize(
    ("reward", "swept", "most"),
    [
        ("c * v[x] * mu[x = 1]", {"c": [1.0, 4.0], "v": [[1.0, 2.0], [0.0, -3.0]]}, 12.0),
        ("mu[x = 1] / c", {"c": [-0.5, 2.0]}, 2.0),  # between them it has no bound
        ("mu[x = 1] / c", {"c": [-1 - k / 50 for k in range(33)] + [1.0] * 33}, 1.0),
        ("mu[x = 1] / c", {"c": [(k - 32.5) / 50 for k in range(66)]}, None),
        ("mu[x = 1] * t", {"c": [1.0, 2.0]}, None),
    ],
)
def test_rewards_of_a_batch_are_bounded_over_all_its_games(
    reward: str, swept: dict[str, list[float]], most: float | None
) -> None:
    text = ENDLESS.format(next="a", reward=reward).replace("r = c * ", "r = ")
    text = text.replace("in [0, 9]", "in [-9, 9]").replace(
        "population", "param v : real[2] = [1, 1]\npopulation"
    )
    program = mfdsl.load(text=text).program
    view = build_view(program, program.params(swept))
    assert isinstance(view, FiniteView) and view.truncation is not None
    assert view.truncation.known == (most is not None)
    if most is not None:
        assert view.truncation.scale == pytest.approx(most)


def test_rewards_next_to_nothing_are_cut_at_once() -> None:
    program = mfdsl.load(text=ENDLESS.format(next="a", reward="mu[x = 1]")).program
    view = build_view(program, program.params({"c": [1e-320]}))
    assert isinstance(view, FiniteView) and view.truncation is not None
    assert view.stages == 1 and view.truncation.negligible


def test_a_state_that_was_cut_elsewhere_is_refused_with_both_cuts() -> None:
    program = mfdsl.load(text=ENDLESS.format(next="a", reward="x")).program
    found = solve(program, iterations=1, tolerance=0.0)
    longer = {
        name: value[:, :-3] if value.ndim == 4 else value for name, value in found.state.items()
    }
    stages = found.policy.probs.shape[1]
    with pytest.raises(SolverError, match=f"cut after {stages} stages here, and .* {stages - 3} "):
        solve(program, iterations=2, tolerance=0.0, state=longer)
