"""Moves that read time: what is kept for a stage gives the same as its plain table."""

import pytest
import torch

from mfdsl.compiler.backend.torch_emit import emit_torch
from mfdsl.compiler.driver import compile_text
from mfdsl.runtime.program import Program, load_program
from mfdsl.runtime.views import native, stage_kernels
from mfdsl.runtime.views.finite import FiniteView
from mfdsl.runtime.views.kernels import ScatteredKernel
from mfdsl.runtime.views.stage_kernels import FOLDED_ENTRIES, stretches

TIDE = """model tide

objective nash
horizon 12

param wet : real in [0, 1] = 0.3

population crab as mu {
  state  x : int in 0..89 ~ uniform(0..44)
  action a : int in -2..2 where x + a >= 0 and x + a <= 89
  noise  e : int in -1..1 ~ mix { wet -> -1, 0.5 -> 0, else -> 1 }
  noise  f : bool ~ bernoulli(0.25)

  x' = clip(x + a + (if t < 4 then e else if t == 7 then -e else 2 * e))

  reward food = -abs(x - 60) / 10 - mu[x] * 20 + 0.3 * ind(f) * e
  final reward home = -ind(x < 10)
}
"""


def tide() -> Program:
    model = compile_text(TIDE).require_model()
    return load_program(emit_torch(model, source_name="tide", digest=""), model, "tide")


PROGRAM = tide()


def plain(monkeypatch: pytest.MonkeyPatch, params: object = None) -> FiniteView:
    """The view that evaluates the table of every stage and works entry by entry."""
    monkeypatch.setattr(stage_kernels, "stage_table", lambda tables, t: None)
    return FiniteView.build(PROGRAM, params)  # type: ignore[arg-type]


def compared(ready: FiniteView, slow: FiniteView, games: int) -> None:
    uniform = slow.uniform().probs
    drawn = torch.rand(games, *uniform.shape[1:], generator=torch.Generator().manual_seed(3))
    probs = drawn.to(uniform) * (uniform > 0)
    policy = slow.policy(probs / probs.sum(-1, keepdim=True))
    flows = ready.flow(policy), slow.flow(policy)
    assert torch.allclose(flows[0].laws, flows[1].laws, rtol=0, atol=1e-14)
    for against in (policy, None):
        q = [v.q_values(f, against) for v, f in zip((ready, slow), flows, strict=True)]
        assert torch.equal(q[0].isfinite(), q[1].isfinite())
        assert torch.allclose(q[0].nan_to_num(), q[1].nan_to_num(), rtol=0, atol=1e-12)
    gaps = ready.exploitability(policy), slow.exploitability(policy)
    assert torch.allclose(*gaps, rtol=0, atol=1e-12)
    assert (gaps[1] > 0.1).all()


@pytest.mark.parametrize("games", [1, 3])
@pytest.mark.parametrize("loops", [True, False])
def test_stages_that_are_kept_are_the_plain_ones(
    games: int, loops: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if loops:
        pytest.importorskip("numba")
    states, actions = PROGRAM.state_count, PROGRAM.action_count
    assert 12 * actions * states**2 > FOLDED_ENTRIES
    monkeypatch.setattr(native, "available", lambda: loops)
    ready = FiniteView.build(PROGRAM)
    ready.flow(ready.uniform())
    kept = ready.kept.by_stage
    assert len({id(kernel) for kernel in kept.values()}) == 4  # t < 4, 4..6, 7, and the rest
    runs = stretches([kept[t] for t in range(12)], 1)
    assert [run[:2] for run in runs or ()] == ([(0, 4), (4, 7), (7, 8), (8, 12)] if loops else [])
    slow = plain(monkeypatch)
    compared(ready, slow, games)
    assert all(not isinstance(kernel, ScatteredKernel) for kernel in kept.values())
    assert all(isinstance(kernel, ScatteredKernel) for kernel in slow.kept.by_stage.values())


@pytest.mark.parametrize("stages", [1.2, 1.5])
def test_stages_are_kept_by_what_they_hold(stages: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The 12 tables over all noises are more than memory may hold; what differs of them is less."""
    entries = PROGRAM.noise_count * PROGRAM.state_count * PROGRAM.action_count
    monkeypatch.setattr(stage_kernels, "KEPT_WEIGHTS", int(stages * entries))
    ready = FiniteView.build(PROGRAM)
    ready.flow(ready.uniform())
    assert ready.kept.full == (stages == 1.2)
    assert (len(ready.kept.by_stage) == 12) == (stages == 1.5)
    assert ready.kept.weights <= stages * entries
    slow = plain(monkeypatch)
    compared(ready, slow, 1)


def test_games_with_moves_of_their_own_keep_their_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    params = PROGRAM.params({"wet": [0.1, 0.4]})
    ready, slow = FiniteView.build(PROGRAM, params), plain(monkeypatch, params)
    compared(ready, slow, 2)
    monkeypatch.undo()
    single = [FiniteView.build(PROGRAM, PROGRAM.params({"wet": w})) for w in (0.1, 0.4)]
    both = ready.exploitability(ready.uniform())
    alone = [view.exploitability(view.uniform()).item() for view in single]
    assert both.tolist() == pytest.approx(alone, abs=1e-12)


def test_rewards_are_averaged_over_the_noises_that_they_read() -> None:
    module, params = PROGRAM.module, PROGRAM.params()
    joint = torch.full((1, 90, 5), 1 / 450, dtype=torch.float64)
    time = torch.tensor(2)
    x, e = (
        torch.arange(90.0, dtype=torch.float64),
        torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64),
    )
    chance = torch.tensor([0.3, 0.5, 0.2], dtype=torch.float64)
    expected = -(x - 60).abs() / 10 - 20 / 90 + 0.3 * 0.25 * (e * chance).sum()
    found = module.rewards(params, time, joint)
    assert found.shape == (1, 90, 5)
    assert torch.allclose(found[0], expected[:, None].expand(90, 5), rtol=0, atol=1e-12)
    terms = module.reward_terms(params, time, joint)
    assert torch.allclose(sum(terms.values()), found, rtol=0, atol=1e-12)
