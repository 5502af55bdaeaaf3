"""structural_pg: its gradient beside automatic differentiation, and its memory of the past."""

import pytest
import torch
from torch import Tensor

import mfdsl
from mfdsl.runtime.evaluate import Evaluation, build_view
from mfdsl.runtime.program import Program
from mfdsl.runtime.solvers.loop import solve
from mfdsl.runtime.solvers.networks.fitting import shape_of
from mfdsl.runtime.solvers.networks.options import StructuralConfig
from mfdsl.runtime.solvers.networks.policy_gradient import return_slopes
from tests.runtime import oracle

WALK = """\
model walk

objective nash
horizon 4

environment weather {
  state wet : int in 0..2 = 1
  noise turn : int in -1..1 ~ mix { 0.5 -> -1, else -> 1 }
  wet' = clip(wet + turn, 0, 2)
}

population person as mu {
  state  x : int in 0..3 ~ uniform
  action a : int in -1..1
  x' = clip(x + a)
  reward shelter = x * weather.wet
  cost   crowd   = mu[x]
  observe x, t, weather.wet
}
"""


def held_return(program: Program, probs: Tensor, own: Tensor) -> Tensor:
    """The return of one agent that follows `own` [T, S, A] in the flow of `probs`, by dense tables.

    The slow statement: push the agent's law forward and add up what it is paid.
    """
    module, params = program.module, program.params()
    sizes = (1, *program.states.values(), *program.actions.values())
    crowd = module.initial_law(params).reshape(-1)
    agent, total = crowd, torch.zeros((), dtype=probs.dtype)
    for t in range(len(probs)):
        joint = (crowd[:, None] * probs[t]).reshape(sizes)
        time = torch.tensor(t)
        kernel = module.kernel(params, time, joint).reshape(*probs[t].shape, -1)
        rewards = module.rewards(params, time, joint).reshape(-1, probs.shape[-1])
        acts = agent[:, None] * own[t]
        total = total + program.discount**t * (acts * rewards.where(acts > 0, 0)).sum()
        agent = torch.einsum("sa,sap->p", acts, kernel)
        crowd = torch.einsum("sa,sap->p", crowd[:, None] * probs[t], kernel)
    if module.HAS_FINAL:
        last = module.final_rewards(
            params, torch.tensor(len(probs)), crowd.reshape(1, *program.states.values())
        )
        total = total + program.discount ** len(probs) * (agent * last.reshape(-1)).sum()
    return total


@pytest.mark.parametrize(
    "name", ["left_right", "beach_bar", "masked_queue", "susceptible_infected"]
)
def test_slopes_are_those_of_the_return_with_the_population_held(name: str) -> None:
    program = oracle.load(name)
    view = build_view(program)
    source = torch.Generator().manual_seed(3)
    uniform = view.uniform().probs
    scores = torch.randn(uniform.shape, generator=source, dtype=uniform.dtype)
    scores = scores.masked_fill(uniform == 0, -torch.inf).requires_grad_()
    probs = torch.softmax(scores, -1)
    value = held_return(program, probs[0].detach(), probs[0])
    (expected,) = torch.autograd.grad(value, scores, retain_graph=True)
    evaluation = Evaluation(view, view.policy(probs.detach()))
    gains, counts = return_slopes(evaluation)
    assert float(value.detach()) == pytest.approx(float(evaluation.value))
    (found,) = torch.autograd.grad((counts[..., None] * gains * probs).sum(), scores)
    legal = uniform > 0
    torch.testing.assert_close(found[legal], expected[legal], rtol=0, atol=1e-10)
    assert float(expected[legal].abs().max()) > 1e-4


def test_entropy_is_paid_for() -> None:
    """With nothing else at stake the slope leads to the uniform policy."""
    view = build_view(mfdsl.load("sis").program)
    probs = torch.full_like(view.uniform().probs, 0.5)
    probs[..., 0], probs[..., 1] = 0.8, 0.2
    policy = Evaluation(view, view.policy(probs))
    free, paid = (return_slopes(policy, price)[0] for price in (0.0, 100.0))
    assert bool((paid[..., 1] > paid[..., 0]).all())
    assert not bool((free[..., 1] > free[..., 0]).all())


def test_pasts_come_from_the_pasts_that_agree_with_them() -> None:
    game = mfdsl.load(text=WALK)
    reduced, view = game.reduced, build_view(game.program)
    assert reduced is not None and reduced.past is not None
    shape = shape_of(view, StructuralConfig(memory=3), memory=3)
    assert shape.history is not None
    for t, children in enumerate(reduced.past.children):
        for (parent, _), child in children.items():
            if t + 1 < view.stages:
                assert int(shape.history.before[t + 1, child]) == parent
    assert len({tuple(row) for row in shape.history.seen[:, :, 1].tolist()}) > 1


def test_policies_with_memory_tell_pasts_apart_and_those_without_do_not() -> None:
    """Two ways of the weather to the same place: 1 2 1 and 1 0 1."""
    game = mfdsl.load(text=WALK)
    assert game.reduced is not None and game.reduced.past is not None
    children = game.reduced.past.children
    ways = [children[1][children[0][0, (w,)], (1,)] for w in (0, 2)]
    assert ways[0] != ways[1]
    place = list(game.program.states).index(game.reduced.past.axis)
    found = {}
    for memory in (0, 6):
        options = {"memory": memory, "hidden": 16}
        solution = solve(game.program, None, "structural_pg", options, iterations=8, tolerance=0)
        table = solution.policy.probs[0, 2].reshape(*game.program.states.values(), -1)
        table = table.movedim(place, 0)
        found[memory] = float((table[ways[0]] - table[ways[1]]).abs().max())
        assert solution.exploitability.value < 0.5 * solution.history[0].exploitability
    assert found[0] == 0 and found[6] > 1e-4


def test_common_noise_of_mfax_is_reached_in_a_few_steps() -> None:
    """MFAX's SPG ends at 143 after 200 updates; the bound is on the exact causal exploitability."""
    found = mfdsl.solve("mfax_linear_quadratic", "structural_pg", iterations=60, tolerance=0)
    assert found.exploitability.value < 143
