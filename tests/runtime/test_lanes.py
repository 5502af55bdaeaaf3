"""Games that share their moves, eliminated side by side, agree with games one by one."""

import pytest
import torch
from torch import Tensor

from mfdsl.runtime.views import dense, lanes, native
from mfdsl.runtime.views.chains import limit_laws
from mfdsl.runtime.views.kernels import Kernel, matrix_kernel
from mfdsl.runtime.views.stationary import StationaryView
from tests.runtime.test_endless import drawn, program_of

UNIT = torch.float64
DISCOUNT = 0.9


def some_moves(states: int, actions: int = 2, noises: int = 3) -> Kernel:
    """Moves to random places with random chances, also twice to the same place."""
    generator = torch.Generator().manual_seed(0)
    places = torch.randint(states, (noises, actions, states), generator=generator)
    chances = torch.rand(noises, actions, states, generator=generator, dtype=UNIT)
    return matrix_kernel(places, chances / chances.sum(0), games=6)


def some_policies(states: int, actions: int = 2, games: int = 6) -> Tensor:
    """Mixed ones, and the last one pure."""
    generator = torch.Generator().manual_seed(1)
    probs = torch.rand(actions, states, games, generator=generator, dtype=UNIT)
    probs[..., -1] = (probs[..., -1] == probs[..., -1].amax(0)).to(UNIT)
    return probs / probs.sum(0)


def chains(kernel: Kernel, probs: Tensor) -> Tensor:
    table = dense.dense_table(kernel, *probs.shape[:2])
    assert table is not None
    return dense.chains_of(table, probs)


@pytest.mark.parametrize("states", [1, 2, 17])
def test_laws_and_values_are_those_of_dense_chains(states: int) -> None:
    kernel, probs = some_moves(states), some_policies(states)
    banded = native.banded(kernel)
    plan = lanes.plan_of(banded, 6)
    assert banded is not None
    assert plan is not None
    start = torch.rand(states, 6, generator=torch.Generator().manual_seed(2), dtype=UNIT)
    start = start / start.sum(0)
    laws, residual = lanes.limit_laws(plan, banded, probs, start)
    assert residual <= 1e-14
    wanted = limit_laws(chains(kernel, probs), start.t().contiguous()).t()
    torch.testing.assert_close(laws, wanted, rtol=0, atol=1e-13)
    paid = torch.randn(states, 6, generator=torch.Generator().manual_seed(3), dtype=UNIT)
    values = lanes.policy_values(plan, banded, probs, paid, DISCOUNT)
    system = torch.eye(states, dtype=UNIT) - DISCOUNT * chains(kernel, probs)
    torch.testing.assert_close(values, torch.linalg.solve(system, paid.t()).t(), rtol=1e-12, atol=0)


def test_best_responses_are_those_of_many_sweeps() -> None:
    kernel, states, games = some_moves(17), 17, 70  # more than one block
    banded = native.banded(kernel)
    plan = lanes.plan_of(banded, games)
    assert banded is not None
    assert plan is not None
    rewards = torch.randn(2, states, games, generator=torch.Generator().manual_seed(4), dtype=UNIT)
    rewards[1, ::3] = -torch.inf
    q = lanes.best_values(plan, banded, rewards, DISCOUNT, 50, 1e-12)
    table = dense.dense_table(kernel, 2, states)
    assert table is not None
    pure = torch.eye(2, dtype=UNIT)[:, :, None].expand(2, 2, states)
    moves = torch.stack([dense.chains_of(table, one[..., None].contiguous())[0] for one in pure])
    value = torch.zeros(states, games, dtype=UNIT)
    for _ in range(400):
        wanted = rewards + DISCOUNT * moves @ value
        value = wanted.amax(0)
    assert q is not None
    torch.testing.assert_close(q, wanted, rtol=1e-11, atol=1e-11)
    assert lanes.best_values(plan, banded, rewards, DISCOUNT, 0, 1e-12) is None


@pytest.mark.parametrize("name", ["lasry_lions_chain", "walls", "two_kinds"])
def test_games_side_by_side_agree_with_games_alone(name: str) -> None:
    view = StationaryView.build(program_of(name))
    probs = drawn(view, 5)
    probs[-1] = (probs[-1] == probs[-1].amax(-1, keepdim=True)).to(UNIT)
    policy = view.policy(probs)
    with torch.no_grad():
        flow, gaps = view.flow(policy), view.exploitability(policy)
        q, best = view.q_values(flow, policy), view.q_values(flow)
        for b, one in enumerate(probs):
            alone = view.policy(one[None])
            wanted = view.flow(alone)
            pairs = (
                (flow.laws[b], wanted.laws[0]),
                (q[b], view.q_values(wanted, alone)[0]),
                (best[b], view.q_values(wanted)[0]),
                (gaps[b], view.exploitability(alone)[0]),
            )
            for mine, other in pairs:
                torch.testing.assert_close(mine, other, rtol=1e-10, atol=1e-10)


def test_few_games_and_many_states_have_no_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    banded = native.banded(some_moves(17))
    assert lanes.plan_of(banded, lanes.FEW_GAMES - 1) is None
    assert lanes.plan_of(None, 100) is None
    monkeypatch.setattr(lanes, "MOST_STATES", 16)
    assert lanes.plan_of(banded, 100) is None
