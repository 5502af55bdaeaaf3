"""Small games whose moves read the law by compiled calls agree with the tensor code."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from mfdsl.game import load
from mfdsl.runtime.evaluate import Evaluation
from mfdsl.runtime.program import Program
from mfdsl.runtime.views import slopes
from mfdsl.runtime.views.colours import coloured, dependence, straight
from mfdsl.runtime.views.native_implicit import solved
from mfdsl.runtime.views.stationary import StationaryView
from mfdsl.runtime.views.tape import record

SPECS = Path(__file__).parents[2] / "specs"
UNIT = torch.float64
TEXTS = {
    "drift": """
model drift

population walker as m {
  state x : int in 0..4 ~ uniform
  action a : int in -1..1 where x + a >= 0 and x + a <= 4
  noise slips : bool ~ bernoulli(0.1 + 0.1 * mean(q.x for q in walker) + 0.2 * m[x])
  x' = if slips then x else x + a
  reward = -0.2 * abs(a) - m[x]^2 - abs(x - 3)
}

objective nash
horizon stationary
discount 0.9
""",
    "two_kinds": """
model two_kinds

population buyer as m {
  state x : int in 0..2 ~ uniform
  action a : int in -1..1
  noise late : bool ~ bernoulli(0.2 + 0.6 * n[x])
  x' = if late then x else clip(x + a)
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
}
GAMES: dict[str, dict[str, float]] = {
    "stationary_sis": {"c_ill": 10},
    "kinetic_congestion": {"n": 3, "jam": 0.9},  # laws at the edge of a jam are known to 1e-6 only
    "drift": {},
    "two_kinds": {},
}


def program_of(name: str) -> Program:
    if name in TEXTS:
        return load(text=TEXTS[name]).program
    return load(SPECS / f"{name}.mfg", params=GAMES[name]).program


def drawn(view: StationaryView, games: int) -> Tensor:
    """Even and mixed policies, and last the best response where all mix evenly."""
    generator = torch.Generator().manual_seed(1)
    legal = view.uniform().probs.expand(games, -1, -1, -1) > 0
    scores = torch.randn(legal.shape, generator=generator, dtype=UNIT)
    sharper = torch.linspace(0, 1.5, games, dtype=UNIT)[:, None, None, None]
    probs = torch.softmax((sharper * scores).masked_fill(~legal, -torch.inf), -1)
    best = Evaluation(view, view.uniform()).best_q
    probs[-1] = (best == best.amax(-1, keepdim=True)).to(UNIT)[0]
    return probs / probs.sum(-1, keepdim=True)


def alone(view: StationaryView) -> StationaryView:
    """The same game without compiled calls."""
    plain = replace(view)
    reader = slopes.reader_of(view.tables)
    assert reader is not None
    plain.__dict__["_reader"] = replace(reader, moves=None)
    assert plain._reading is None
    return plain


@pytest.mark.parametrize("name", GAMES)
def test_compiled_calls_agree_with_the_tensor_code(name: str) -> None:
    view = StationaryView.build(program_of(name))
    policy, plain = view.policy(drawn(view, 4)), alone(view)
    with torch.no_grad():
        found, gaps = Evaluation(view, policy), view.exploitability(policy)
        assert found.flow.known is not None
        assert found.flow.problem is not None
        for b, probs in enumerate(policy.probs):
            wanted = Evaluation(plain, plain.policy(probs[None]))
            assert wanted.flow.known is None
            assert wanted.flow.problem is not None
            for mine, other in (
                (found.flow.laws[b], wanted.flow.laws[0]),
                (found.flow.problem.rewards[..., b], wanted.flow.problem.rewards[..., 0]),
                (found.q[b], wanted.q[0]),
                (found.best_q[b], wanted.best_q[0]),
                (found.values[b], wanted.values[0]),
                (found.best_value[b], wanted.best_value[0]),
                (gaps[b], wanted.best_value[0] - wanted.value[0]),
            ):
                torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-9)
            one = Evaluation(view, view.policy(probs[None]))
            assert torch.equal(one.q[0], found.q[b])
    assert found.exploitability.kind == "exact"


def test_transitions_of_a_compiled_flow_are_those_at_its_laws() -> None:
    """Q of another policy, for which the flow has no answer, uses them."""
    view = StationaryView.build(program_of("kinetic_congestion"))
    policy, other = view.policy(drawn(view, 3)), view.policy(drawn(view, 3).flip(0))
    with torch.no_grad():
        found = view.q_values(view.flow(policy), other)
        wanted = alone(view).q_values(alone(view).flow(policy), other)
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)


def test_single_precision_is_that_of_the_policies_only() -> None:
    program = program_of("kinetic_congestion")
    view = StationaryView.build(program, program.params(dtype=torch.float32))
    policy = view.policy(drawn(view, 3).float())
    exact = StationaryView.build(program)
    with torch.no_grad():
        flow = view.flow(policy)
        wanted = exact.exploitability(exact.policy(policy.probs.double()))
        gaps = view.exploitability(policy)
    assert flow.laws.dtype == gaps.dtype == torch.float32
    assert flow.residual <= 1e-12
    torch.testing.assert_close(gaps.double(), wanted, rtol=1e-5, atol=1e-5)


def test_laws_that_implicit_steps_do_not_reach_are_pushed(monkeypatch: pytest.MonkeyPatch) -> None:
    view = StationaryView.build(program_of("drift"))
    policy = view.policy(drawn(view, 3))

    def ended_nowhere(
        reader: slopes.Reader, moves: slopes.Moves, shares: Tensor, _: float
    ) -> object:
        return shares.new_zeros(shares.shape[:2]), shares.new_full((len(shares),), -1.0)

    with torch.no_grad():
        wanted = view.laws(policy)
        monkeypatch.setattr(slopes.Reader, "laws", ended_nowhere)
        flow = view.flow(policy)
    assert flow.known is not None
    torch.testing.assert_close(flow.laws, wanted, rtol=0, atol=1e-10)


@pytest.mark.parametrize("band", [(1, 2), (3, 0), (6, 6)])
def test_banded_elimination_solves_and_knows_the_sign_of_the_determinant(
    band: tuple[int, int],
) -> None:
    generator = np.random.default_rng(0)
    signs = set()
    for _ in range(12):
        system = np.tril(np.triu(generator.normal(size=(7, 7)), -band[0]), band[1])
        right = generator.normal(size=7)
        wanted, found = np.linalg.solve(system, right), right.copy()
        positive = np.linalg.det(system) > 0
        assert solved(system.copy(), *band, found) == positive
        signs.add(bool(positive))
        if positive:
            np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-11)
    assert signs == {True, False}


def test_columns_that_meet_in_no_row_share_a_colour() -> None:
    rows = np.array([[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 1]], dtype=bool)
    found = coloured(rows)
    assert found.of_column.tolist() == [0, 0, 0, 1]
    assert found.starts.tolist() == [0, 2, 3, 5]
    assert found.columns.tolist() == [0, 3, 1, 2, 3]


def test_slopes_are_the_same_until_a_line_bends() -> None:
    """Sums, and what is multiplied by constants; of two instructions more one is a product."""

    def function(x: Tensor) -> list[Tensor]:
        line = (1 - x.sum() * 0.3) / 0.7
        return [torch.stack([line + x[1], line * x[0], x[2].exp()])]

    tape = record(function, torch.ones(4, dtype=UNIT))
    assert tape is not None
    inputs = np.zeros(len(tape.line.memory), dtype=bool)
    inputs[tape.inputs[0] + np.arange(4)] = True
    assert straight(tape.line, inputs) == len(tape.line.code) - 2
    assert straight(tape.line, inputs & False) == len(tape.line.code) - 1


def test_dependence_follows_a_line() -> None:
    """Sums, products and choices of four numbers; what only decides a choice has no slope."""

    def function(x: Tensor) -> list[Tensor]:
        chosen = torch.where(x[3] > 0, x[0] * x[1], x[1])
        return [torch.stack([chosen, x.sum(), x[2] / 2, (x[:2] * x[2:]).sum().exp()])]

    tape = record(function, torch.ones(4, dtype=UNIT))
    assert tape is not None
    inputs = np.zeros((len(tape.line.memory), 4), dtype=bool)
    inputs[tape.inputs[0] + np.arange(4), np.arange(4)] = True
    found = dependence(tape.line, inputs)[tape.results[0].numpy()]
    wanted = [[1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 1, 0], [1, 1, 1, 1]]
    assert found.astype(int).tolist() == wanted
