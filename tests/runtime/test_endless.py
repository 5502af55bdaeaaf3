"""Small games without end by compiled calls agree with the tensor code, or leave it to that."""

from pathlib import Path

import pytest
import torch

from mfdsl.game import load
from mfdsl.runtime.evaluate import Evaluation
from mfdsl.runtime.program import Program
from mfdsl.runtime.solvers.loop import solve
from mfdsl.runtime.views import endless as compiled, native
from mfdsl.runtime.views.stationary import StationaryView

SPECS = Path(__file__).parents[2] / "specs"
TEXTS = {
    "two_kinds": """
model two_kinds

population buyer as m {
  state x : int in 0..2 ~ uniform
  action a : int in -1..1
  x' = clip(x + a)
  reward = -0.1 * abs(a) - m[x] + x * n[x]
}

population seller as n {
  state x : int in 0..2 ~ uniform
  action a : int in -1..1
  x' = clip(x + a)
  reward = m[x] - n[x]
}

objective nash
horizon stationary
discount 0.9
""",
    "walls": """
model walls

population walker as m {
  state x : int in 0..4 ~ uniform
  action a : int in -1..1 where x + a >= 0 and x + a <= 4
  noise slips : bool ~ bernoulli(0.1)
  x' = if slips then x else x + a
  reward = -0.2 * abs(a) - m[x]^2 - abs(x - 3)
}

objective nash
horizon stationary
discount 0.9
""",
}


def program_of(name: str) -> Program:
    if name in TEXTS:
        return load(text=TEXTS[name]).program
    return load(SPECS / f"{name}.mfg").program


def drawn(view: StationaryView, games: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    probs = view.uniform().probs.expand(games, -1, -1, -1)
    mass = probs * torch.empty_like(probs).exponential_(generator=generator)
    return mass / mass.sum(-1, keepdim=True)


@pytest.mark.parametrize(
    "name", ["lasry_lions_chain", "two_bars", "no_interaction", "walls", "two_kinds"]
)
def test_compiled_calls_agree_with_the_tensor_code(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = program_of(name)
    view = StationaryView.build(program)
    policy = view.policy(drawn(view))
    with torch.no_grad():
        found = Evaluation(view, policy)
        assert found.flow.known is not None
        monkeypatch.setattr(compiled, "record", lambda *rest: None)
        monkeypatch.setattr(native, "banded", lambda kernel: None)
        wanted = Evaluation(StationaryView.build(program), policy)
        assert wanted.flow.known is None
    torch.testing.assert_close(found.flow.laws, wanted.flow.laws, rtol=0, atol=1e-12)
    assert found.flow.problem is not None
    assert wanted.flow.problem is not None
    for mine, other in (
        (found.flow.problem.rewards, wanted.flow.problem.rewards),
        (found.q, wanted.q),
        (found.best_q, wanted.best_q),
        (found.values, wanted.values),
        (found.best_value, wanted.best_value),
    ):
        torch.testing.assert_close(mine, other, rtol=1e-10, atol=1e-10)
    assert found.exploitability.kind == "exact"
    gap = wanted.exploitability.per_population
    assert found.exploitability.per_population == pytest.approx(gap, abs=1e-9)


@pytest.mark.parametrize("games", [1, 2])
@pytest.mark.parametrize("name", ["walls", "two_kinds"])
def test_the_gain_at_a_law_that_is_kept_counts_all_populations(name: str, games: int) -> None:
    """Values of a policy there are mean rewards; an evaluation sweeps for them."""
    view = StationaryView.build(program_of(name))
    policy = view.policy(drawn(view, games))
    with torch.no_grad():
        found = view.exploitability(policy)
        each = Evaluation(view, policy).exploitability.per_game
    assert found.tolist() == pytest.approx(each, abs=1e-9)


def test_batches_gradients_and_single_precision_are_left_to_the_tensor_code() -> None:
    program = program_of("lasry_lions_chain")
    view = StationaryView.build(program)
    assert view.flow(view.policy(drawn(view))).known is None
    with torch.no_grad():
        assert view.flow(view.policy(drawn(view, 2))).known is None
    single = StationaryView.build(program, program.params(dtype=torch.float32))
    assert compiled.endless(single.tables, single.discount) is None


def test_mirror_descent_takes_the_same_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def history() -> list[float]:
        found = solve(
            program_of("lasry_lions_chain"), None, "omd", {"learning_rate": 0.05}, iterations=30
        )
        return [record.exploitability for record in found.history]

    own = history()
    monkeypatch.setattr(native, "banded", lambda kernel: None)
    assert own == pytest.approx(history(), rel=1e-8)
