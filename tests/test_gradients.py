"""Steps of smooth games carry gradients to states, actions, parameters and draws."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mfdsl.compiler.backend.particles.emit import emit_particles
from mfdsl.compiler.driver import compile_text
from mfdsl.game import load
from mfdsl.runtime.agents import load_agents
from mfdsl.runtime.behaviours import still

SPECS = Path(__file__).parents[1] / "specs"
SMOOTH: dict[str, dict[str, float]] = {
    "lq_game": {},
    "lq_control": {"common": 0.2},
    "lq_common_noise": {},
    "lq_major": {},
    "flocking": {"beta": 0.7},
    "rotating_target": {},
    "price_formation": {},
    "double_well": {},
    "m3fc_potential": {},
    "navigation": {"n": 4, "half": 1.5},
    "m3fc_formation": {"points": 6},
}


def leaves(group: Any) -> list[Tensor]:
    """Real tensors of nested tuples."""
    if isinstance(group, Tensor):
        return [group] if group.is_floating_point() else []
    return [leaf for part in group for leaf in leaves(part)]


def moved(group: Any, by: list[Tensor]) -> Any:
    """Nested tuples with something added to each real tensor."""
    if isinstance(group, Tensor):
        return group + by.pop(0) if group.is_floating_point() else group
    return type(group)(*(moved(part, by) for part in group))


@pytest.mark.parametrize("name", SMOOTH)
def test_slopes_agree_with_central_differences(name: str) -> None:
    game = load(SPECS / f"{name}.mfg", params=SMOOTH[name])
    agents = int(SMOOTH[name].get("n", 5))
    simulator = game.simulator(agents=agents, batch=2, seed=4)
    module, stream = game.agents.module, torch.Generator().manual_seed(1)
    state = simulator.reset()
    action = moved(
        still(simulator.scene(0, state)),
        [
            0.3 * torch.randn(v.shape, generator=stream, dtype=v.dtype)
            for v in leaves(still(simulator.scene(0, state)))
        ],
    )
    params = simulator.params._replace(unit=simulator.params.unit)
    given = [params, state, action, simulator.noise(1)]
    point = [leaf for group in given for leaf in leaves(group)]
    weights: list[Tensor] = []

    def value(distance: float, direction: list[Tensor]) -> Tensor:
        shift = [distance * d for d in direction]
        groups = [moved(group, shift) for group in given]
        after = module.step(groups[0], simulator.time(1), *groups[1:])
        found = leaves(after)
        if not weights:
            weights.extend(torch.randn(v.shape, generator=stream, dtype=v.dtype) for v in found)
        return torch.stack([(w * v).sum() for w, v in zip(weights, found, strict=True)]).sum()

    direction = [torch.randn(v.shape, generator=stream, dtype=v.dtype) for v in point]
    direction[0] = torch.zeros_like(direction[0])  # the unit is no parameter
    exact = slope(value, direction)
    step = 1e-5
    close = (
        8 * (value(step, direction) - value(-step, direction))
        - value(2 * step, direction)
        + value(-2 * step, direction)
    ) / (12 * step)
    assert exact.abs() > 1e-3
    assert exact.item() == pytest.approx(close.item(), rel=1e-6)


def slope(value: Callable[[Any, list[Tensor]], Tensor], direction: list[Tensor]) -> Tensor:
    """The directional derivative by automatic differentiation."""
    distance = torch.zeros((), dtype=torch.float64, requires_grad=True)
    (found,) = torch.autograd.grad(value(distance, direction), distance)
    return found


GUARDED = [
    "if x > 0 then log(x) * u else 0",
    "if x > 0 then u * (1 / x) else 0",
    "if x > 0 then x^1.5 else 0",
    "if x > 0 then x^(-1.5) * u else 0",
    "if x > 0 then rem(u, x) else 0",
    "if k > 0.1 then u * log(k) else 0",
    "if prob(q.h for q in a) > 0.1 then mean(q.x for q in a if q.h) * u else 0",
    "if prob(q.h for q in a) > 0.1 then prob(q.h for q in a)^(-0.5) * u else 0",
    "abs(x)^0.5 * u",
]


def test_branches_that_are_not_taken_leave_slopes_finite() -> None:
    rewards = "\n".join(f"  reward r{i} = {rule}" for i, rule in enumerate(GUARDED))
    text = f"""model guarded
objective nash
horizon 2
param k : real in [0, 1] = 0
population a {{
  state  x : real in [-1, 1] ~ uniform
  state  h : bool ~ uniform
  action u : real in [-1, 1]
  x' = x
  h' = h
{rewards}
}}
"""
    model = compile_text(text).require_model()
    module = load_agents(
        emit_particles(model, source_name="guarded", digest="0"), model, "g"
    ).module
    x = torch.tensor([[-0.5, 0.0, 0.4]], dtype=torch.float64, requires_grad=True)
    u = torch.tensor([[0.1, 0.7, -0.3]], dtype=torch.float64, requires_grad=True)
    state = module.State(module.A(x, torch.zeros(1, 3, dtype=torch.bool)))
    action = module.Action(module.Action.__annotations__["a"](u))
    params, noise = module.default_params(), module.draw_noise(1, {"a": 3})
    terms = module.reward_terms(params, torch.tensor(0), state, action, noise)["a"]
    slopes = {
        name: torch.autograd.grad(value.sum(), (x, u), retain_graph=True, allow_unused=True)
        for name, value in terms.items()
    }
    broken = [
        GUARDED[int(name[1:])]
        for name, parts in slopes.items()
        if any(part is not None and not part.isfinite().all() for part in parts)
    ]
    assert broken == []
    found = slopes["r0"]
    assert found[0][0].tolist() == pytest.approx([0, 0, -0.3 / 0.4])
    assert found[1][0].tolist() == pytest.approx([0, 0, math.log(0.4)])


def test_where_gradients_are_cut_is_said() -> None:
    cuts = load(SPECS / "m3fc_foraging.mfg").agents.module.CUTS
    assert any("comparison" in cut for cut in cuts)
    assert load(SPECS / "lq_game.mfg").agents.module.CUTS == ()
    assert any("finite draw" in cut for cut in load(SPECS / "sis.mfg").agents.module.CUTS)
