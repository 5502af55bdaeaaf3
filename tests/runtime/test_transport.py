"""Exact transport against independent solvers, its slopes, its place in compiled graphs."""

from itertools import permutations

import numpy as np
import pytest
import torch

import mfdsl
from mfdsl.compiler.ir.transport import squared_distance
from mfdsl.runtime import transport
from mfdsl.runtime.behaviours import still
from mfdsl.runtime.simulator import SimulationError
from mfdsl.runtime.transport import sinkhorn_surrogate, smooth_transport, w2


def clouds(
    n: int, m: int, dim: int, seed: int = 0, batch: int = 2
) -> tuple[torch.Tensor, torch.Tensor]:
    stream = torch.Generator().manual_seed(seed)
    made = (torch.randn(batch, k, dim, generator=stream, dtype=torch.float64) for k in (n, m))
    x, y = made
    return x, y + 0.5


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_all_orders_of_few_points(dim: int) -> None:
    x, y = clouds(5, 5, dim)
    for b in range(2):
        cost = ((x[b, :, None] - y[b]) ** 2).sum(-1)
        best = min(sum(cost[i, j] for i, j in enumerate(p)) for p in permutations(range(5)))
        assert w2(x, y)[b].item() == pytest.approx(best.item() / 5, rel=1e-12)


@pytest.mark.parametrize(("n", "m"), [(6, 4), (1, 7), (30, 20), (9, 9), (12, 1), (7, 5)])
@pytest.mark.parametrize("dim", [1, 2])
def test_clouds_of_different_sizes(n: int, m: int, dim: int) -> None:
    x, y = clouds(n, m, dim, seed=n + m)
    for b in range(2):
        exact = squared_distance(x[b].numpy(), y[b].numpy())
        assert w2(x, y)[b].item() == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize(("unit", "place"), [(1e-7, 0.0), (1.0, 1e8)])
def test_clouds_of_any_unit_and_place(unit: float, place: float) -> None:
    x, y = (unit * v + place for v in clouds(15, 14, 3))  # left to the network simplex
    for b in range(2):
        best = squared_distance(x[b].numpy(), y[b].numpy())
        assert w2(x, y)[b].item() == pytest.approx(best, rel=1e-12, abs=0)


def test_equal_clouds_and_repeated_points() -> None:
    x, _ = clouds(8, 8, 2)
    assert w2(x, x[:, torch.randperm(8)]).abs().max() < 1e-12
    same = torch.zeros(1, 4, 2, dtype=torch.float64)
    assert w2(same, same + torch.tensor([3.0, 4.0])).item() == pytest.approx(25.0)


@pytest.mark.parametrize(("n", "m", "dim"), [(5, 5, 2), (6, 4, 2), (5, 3, 1)])
def test_slopes_against_central_differences(n: int, m: int, dim: int) -> None:
    x, y = clouds(n, m, dim)
    x.requires_grad_(), y.requires_grad_()
    assert torch.autograd.gradcheck(w2, (x, y), eps=1e-6, atol=1e-7, rtol=1e-6)


def test_one_graph_when_compiled_with_slopes() -> None:
    x, y = clouds(6, 4, 2)
    x.requires_grad_()

    def twice(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return 2 * torch.ops.mfdsl.w2(a, b)

    compiled = torch.compile(twice, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(x, y), twice(x, y))
    (slope,) = torch.autograd.grad(compiled(x, y).sum(), x)
    (plain,) = torch.autograd.grad(twice(x, y).sum(), x)
    assert torch.equal(slope, plain)


def test_single_precision_and_shared_batch() -> None:
    x, y = clouds(20, 10, 2)
    exact = w2(x, y[:1])
    found = w2(x.float(), y[:1].float())
    assert found.dtype == torch.float32
    assert torch.allclose(found.double(), exact, rtol=1e-5)
    assert exact[1].item() == pytest.approx(squared_distance(x[1].numpy(), y[0].numpy()))


def drawn(kind: str, n: int, m: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pairs of clouds in the plane, or in space, that put different starts to the test."""
    x, y = clouds(n, m, 3 if kind == "space" else 2, seed=n * m, batch=3)
    turned = torch.tensor([[1.0, 0.8], [0.0, 0.3]], dtype=torch.float64)
    made = {
        "normal": (x, y),
        "space": (x, y),
        "skewed": (x, y @ turned if kind == "skewed" else y),
        "close": (x, x[:, torch.arange(m) % n] + 0.01 * y[..., : x.shape[2]]),
        "lattice": (x.round(), y.round()),  # repeated points, and many best plans
        "far": (1e6 * x, y),
        "clusters": (x + 8 * x[:, :1].round().sign(), y - 8 * (y > 0.5)),
    }
    return made[kind]


SIZES = [(60, 20), (20, 60), (40, 40), (100, 30), (17, 1), (45, 40), (130, 130), (224, 112)]


@pytest.mark.parametrize("kind", "normal space skewed close lattice far clusters".split())
@pytest.mark.parametrize(("n", "m"), SIZES)
def test_compiled_loops_and_the_network_simplex_agree(kind: str, n: int, m: int) -> None:
    native = pytest.importorskip("mfdsl.runtime.transport_native", exc_type=ImportError)
    x, y = (v.numpy() for v in drawn(kind, n, m))
    large, small = (x, y) if n >= m else (y, x)
    value, in_large, in_small = np.empty(3), np.empty_like(large), np.empty_like(small)
    native.transport(large, small, value, in_large, in_small)
    for b in range(3):
        exact, slope_large, slope_small = transport._by_simplex(large[b], small[b])
        assert value[b] == pytest.approx(exact, rel=1e-9)
        # A function of degree 2: whatever the plan is, its slopes give back its value (Euler).
        back = (in_large[b] * large[b]).sum() + (in_small[b] * small[b]).sum()
        assert back / 2 == pytest.approx(exact, rel=1e-9)
        if kind not in ("lattice", "clusters"):  # where the best plan is unique
            size = np.abs(slope_large).max()
            assert np.allclose(in_large[b], slope_large, rtol=0, atol=1e-9 * size)
            assert np.allclose(in_small[b], slope_small, rtol=0, atol=1e-9 * size * n * m)


@pytest.mark.parametrize(("n", "m"), [(300, 300), (300, 100), (70, 35), (13, 39)])
def test_prices_prove_that_a_plan_is_of_least_cost(n: int, m: int) -> None:
    native = pytest.importorskip("mfdsl.runtime.transport_native", exc_type=ImportError)
    made = clouds(max(n, m), min(n, m), 2, seed=n + m, batch=3)
    x, y = (v.clamp(-1, 1).numpy() for v in made)  # some meet in the corners
    for points, sites in zip(x, y, strict=True):
        cost = native._costs(points, sites)
        price = native._prices(points, sites, cost)
        wanted, paid, _ = native.wanted_sites(cost, price, len(sites))
        plan = native.settled(cost, wanted, len(sites))
        native.place_the_rest(cost, price, paid, plan)
        flow = np.zeros((len(points), len(sites)))
        for k, held in enumerate(plan.held):
            np.add.at(flow[:, k], plan.point[k, :held], plan.units[k, :held])
        whole = flow.sum()
        assert np.all(flow.sum(1) * len(points) == whole)
        assert np.all(flow.sum(0) * len(sites) == whole)
        spent = (flow * cost[:, : len(sites)]).sum() / whole
        bound = native.wanted_sites(cost, price, len(sites))[2]  # of any plan (duality)
        assert spent == pytest.approx(bound, rel=1e-13)


@pytest.mark.parametrize(("n", "m"), [(30, 10), (10, 30), (12, 12), (30, 29)])
def test_with_and_without_the_compiled_loops(
    n: int, m: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = clouds(n, m, 2)
    found = transport.w2_plan(x, y)
    monkeypatch.setattr(transport, "available", lambda: False)
    for a, b in zip(found, transport.w2_plan(x, y), strict=True):
        assert torch.allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("n", "m"), [(30, 10), (7, 5), (30, 29)])
def test_games_of_a_batch_do_not_touch_each_other(n: int, m: int) -> None:
    x, y = clouds(n, m, 2, batch=5)
    whole = transport.w2_plan(x, y)
    for b in (4, 0, 2):
        alone = transport.w2_plan(x[b : b + 1], y[b : b + 1])
        assert all(torch.equal(a[b], c[0]) for a, c in zip(whole, alone, strict=True))


def test_the_clouds_may_change_sides() -> None:
    x, y = clouds(30, 20, 2)
    assert torch.allclose(w2(x, y), w2(y, x), rtol=1e-12)


@pytest.mark.parametrize("dim", [1, 2])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, 1e200])
def test_a_point_that_is_nowhere_spoils_its_own_game_only(dim: int, bad: float) -> None:
    x, y = clouds(6, 3, dim, batch=3)
    exact = w2(x, y)
    x[1, 2, 0] = bad
    found = w2(x, y)
    assert found[1].isnan()
    assert torch.equal(found[[0, 2]], exact[[0, 2]])


def test_nothing_to_move_is_refused() -> None:
    with pytest.raises(ValueError, match="no transport"):
        w2(torch.zeros(1, 0, 2), torch.zeros(1, 3, 2))
    with pytest.raises(ValueError, match="no transport"):
        w2(torch.zeros(1, 2, 2), torch.zeros(1, 3, 1))


def test_the_surrogate_is_near_smooth_and_0_for_equal_clouds() -> None:
    x, y = clouds(40, 40, 2)
    assert sinkhorn_surrogate(x, x).abs().max() < 1e-9
    exact = w2(x, y)
    found = sinkhorn_surrogate(x, y, epsilon=0.02, iterations=400)
    assert np.allclose(found, exact, rtol=0.05)
    x.requires_grad_()
    (slope,) = torch.autograd.grad(sinkhorn_surrogate(x, y, epsilon=0.2, iterations=2000).sum(), x)
    step = torch.zeros_like(x)
    step[0, 0, 0] = 1e-5
    up, down = (
        sinkhorn_surrogate(x + s * step, y, epsilon=0.2, iterations=2000).sum() for s in (1, -1)
    )
    assert slope[0, 0, 0].item() == pytest.approx(((up - down) / 2e-5).item(), rel=1e-3)


def test_the_operator_is_smooth_only_inside_the_context() -> None:
    x, y = clouds(12, 12, 2)
    exact = torch.ops.mfdsl.w2(x, y)
    with smooth_transport(epsilon=0.1, iterations=300):
        smooth = torch.ops.mfdsl.w2(x, y)
    assert torch.equal(smooth, sinkhorn_surrogate(x, y, epsilon=0.1, iterations=300))
    assert not torch.equal(smooth, exact)
    assert torch.equal(torch.ops.mfdsl.w2(x, y), exact)


def test_a_simulation_says_when_its_rewards_are_of_the_surrogate() -> None:
    game = mfdsl.load("m3fc_2g")
    exact = game.simulator(agents=20, seed=1).rollout(still, steps=3)
    assert exact.transport == "exact"
    with smooth_transport(epsilon=0.05):
        smooth = game.simulator(agents=20, seed=1).rollout(still, steps=3)
        with pytest.raises(SimulationError, match="keeps the transport"):
            game.simulator(agents=20, compile=True)
    assert smooth.transport == "surrogate"
    assert smooth.returns["drone"].mean != exact.returns["drone"].mean
