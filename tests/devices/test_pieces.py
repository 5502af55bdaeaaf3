"""Draws, transport, neighbours and behaviours on a GPU, shown on one that is pretended."""

from typing import Any

import pytest
import torch

import mfdsl
from mfdsl.errors import UsageError
from mfdsl.runtime.behaviours import uniform
from mfdsl.runtime.simulator import Rollout
from mfdsl.runtime.streams import ON_CPU, draw
from mfdsl.runtime.transport import sinkhorn_surrogate, smooth_transport, w2
from tests.devices.pretended import pretended, without_waiting

LAWS = {"gamma": ("gamma", 2.0), "beta": ("beta", 1.0, 2.0), "disc": ("disc", 0.1, 0.0, 1.0)}
ELSEWHERE = {"gamma", "beta", "disc"}  # these are numpy's, and sent there


@pytest.mark.parametrize("name", [*ON_CPU, "disc"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_draws_lie_there(name: str, dtype: torch.dtype) -> None:
    law, shape = LAWS.get(name, (name,)), (3, 4, 2)
    with pretended(), without_waiting():
        found = draw(law, shape, (0, 1, "x"), dtype=dtype, device="cuda")
        assert found.is_cuda and found.dtype == dtype and found.shape == shape
    if name in ELSEWHERE:
        assert torch.equal(found.cpu(), draw(law, shape, (0, 1, "x"), dtype=dtype))


@pytest.mark.parametrize(("points", "others", "axes"), [(4, 4, 1), (3, 6, 2), (4, 5, 2)])
def test_transport_comes_back_with_its_slopes(points: int, others: int, axes: int) -> None:
    """Plans are found on the CPU; values and slopes lie where the points do."""
    stream = torch.Generator().manual_seed(1)
    x, y = (torch.rand(2, n, axes, generator=stream).double() for n in (points, others))
    here = [v.clone().requires_grad_() for v in (x, y)]
    expected = w2(*here)
    expected.sum().backward()
    with pretended():
        there = [v.to("cuda").requires_grad_() for v in (x, y)]
        found = w2(*there)
        found.sum().backward()
        assert found.is_cuda
        torch.testing.assert_close(found.detach().cpu(), expected.detach())
        for mine, own in zip(there, here, strict=True):
            assert mine.grad is not None and mine.grad.is_cuda
            torch.testing.assert_close(mine.grad.cpu(), own.grad)


def test_the_surrogate_of_transport_waits_for_nothing() -> None:
    with pretended(), without_waiting(), smooth_transport():
        x = torch.linspace(0, 1, 8, device="cuda").reshape(1, 4, 2)
        assert torch.ops.mfdsl.w2(x, x + 0.1).is_cuda
        assert sinkhorn_surrogate(x, x + 0.1, iterations=3).is_cuda


@pytest.mark.parametrize(
    ("spec", "policy", "more"),
    [
        ("m3fg_sis", "uniform", {"steps": 3, "record": True}),
        ("push", "uniform", {"steps": 2}),
        ("lq_game", "still", {"steps": 2, "dtype": "float32"}),
    ],
)
def test_simulations_stay_there(spec: str, policy: str, more: dict[str, Any]) -> None:
    with pretended():
        found = mfdsl.simulate(spec, policy, agents=8, batch=2, device="cuda", **more)
        assert isinstance(found, Rollout)
        assert all(value.is_cuda for value in found.record.values())
        assert all(value.is_cuda for player in found.state for value in player)


@pytest.mark.parametrize("spec", ["m3fc_beach", "m3fg_sis", "navigation"])
def test_a_gpu_is_not_waited_for_between_steps(spec: str) -> None:
    """Neither is anything read there, terms of rewards included, nor sent, the time included."""
    seen = set()
    with pretended() as machine:
        for steps in (2, 5):
            machine.waited = machine.sent = 0
            mfdsl.simulate(spec, "uniform", agents=6, batch=2, steps=steps, device="cuda")
            seen.add((machine.waited, machine.sent))
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("spec", "device", "mode"),
    [
        ("m3fc_potential", "cuda", "reduce-overhead"),
        ("m3fc_potential", "cpu", None),
        ("m3fc_2g", "cuda", None),  # plans of transport are found on the CPU
    ],
)
def test_compiled_steps_are_graphs_there(
    spec: str, device: Any, mode: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a replay returns is not what the next one overwrites."""
    modes, kept = [], []

    def compile(step: Any, *, fullgraph: bool, mode: str | None = None) -> Any:
        modes.append(mode)

        def replayed(*given: Any) -> Any:
            kept[:] = step(*given)
            return tuple(kept)

        return replayed

    monkeypatch.setattr(torch, "compile", compile)
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", lambda: None)
    with pretended():
        game = mfdsl.load(spec)
        ours, eager = (
            game.simulator(agents=5, device=device, compile=compiled) for compiled in (True, False)
        )
        scene = eager.scene(0, eager.reset())
        found, _ = ours.step(0, scene.state, uniform(scene))
        expected, _ = eager.step(0, scene.state, uniform(scene))
        assert modes == [mode]
        assert torch.equal(found.drone[0].cpu(), expected.drone[0].cpu())
        assert (found.drone[0] is kept[0].drone[0]) is (mode is None)


def test_counts_of_agents_are_numpys() -> None:
    """They cost the same for any number of agents, and nothing of their size is on a device."""
    with pretended():
        found = mfdsl.simulate("m3fg_sis", "uniform", agents=8, steps=3, by="counts", device="cuda")
        assert isinstance(found, Rollout) and found.by == "counts"


@pytest.mark.parametrize(
    "ask",
    [
        lambda: mfdsl.solve("sis", "omd", iterations=1, device="cuda"),
        lambda: mfdsl.solve("m3fc_beach", "mf_ppo", iterations=1, device="cuda"),
        lambda: mfdsl.simulate("sis", agents=5, device="cuda"),
        lambda: mfdsl.simulate("m3fc_2g", "uniform", agents=5, device="cuda"),
        lambda: mfdsl.load("sis").simulator(agents=5, device="cuda"),
    ],
)
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_named(ask: Any) -> None:
    with pytest.raises(UsageError, match="there is no CUDA device here"):
        ask()


def test_what_computes_on_the_cpu_says_so() -> None:
    with pretended(), pytest.raises(UsageError, match="riccati computes on the CPU"):
        mfdsl.solve("lq_game", "riccati", device="cuda")
