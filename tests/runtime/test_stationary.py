"""Stationary games: the law a policy keeps, and values without end."""

import functools

import numpy as np
import pytest
import torch

import mfdsl
from mfdsl.runtime.evaluate import Evaluation, build_view
from mfdsl.runtime.program import Program
from mfdsl.runtime.solvers.loop import solve
from mfdsl.runtime.views import dense, native, settling, slopes
from mfdsl.runtime.views.stationary import StationaryView
from tests.runtime import oracle

DISCOUNT = 0.9


def stationary_game(name: str) -> Program:
    return oracle.load(name, HORIZON="None", HORIZON_KIND='"stationary"', DISCOUNT=str(DISCOUNT))


def random_policy(view: StationaryView, games: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    shape = (games, 1, view.program.state_count, view.program.action_count)
    mass = torch.rand(shape, generator=generator, dtype=torch.float64)
    return mass / mass.sum(-1, keepdim=True)


@functools.cache
def expected_gap(name: str, entries: bytes) -> tuple[np.ndarray, float]:
    """Law by long iteration, values by long sweeps; `entries` are the chances [S, A]."""
    program = stationary_game(name)
    game = oracle.dense_game(program, program.params())
    probs = np.frombuffer(entries).reshape(program.state_count, program.action_count)
    law = game.initial
    for _ in range(5000):
        joint = law[:, None] * probs
        law, before = (law + np.einsum("sa,sax->x", joint, game.kernel(0, joint))) / 2, law
        if (law == before).all():
            break
    joint = law[:, None] * probs
    kernel, reward = game.kernel(0, joint), game.reward(0, joint)
    own = best = np.zeros(len(law))
    for _ in range(1000):
        own = (probs * (reward + DISCOUNT * kernel @ own)).sum(1)
        best = (reward + DISCOUNT * kernel @ best).max(1)
    return law, float(law @ (best - own))


WAYS = ("eliminated", "dense", "pushed")


def only(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take one of the ways to laws and values: compiled elimination, dense tables, or passes."""
    if way != "eliminated":
        monkeypatch.setattr(native, "banded", lambda kernel: None)
        monkeypatch.setattr(native, "compiled_loops", lambda kernel, games: None)
    if way == "pushed":
        monkeypatch.setattr(dense, "DENSE_STATES", 0)


@pytest.mark.parametrize("name", ["beach_bar", "susceptible_infected"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("games", [1, 2])
def test_law_and_exploitability_agree_with_long_iteration(
    name: str, way: str, games: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(way, monkeypatch)
    program = stationary_game(name)
    view = StationaryView.build(program)
    policy = view.policy(random_policy(view, games))
    flow, gaps = view.flow(policy), view.exploitability(policy)
    assert flow.laws.shape == (games, 1, program.state_count)
    own = view.value(flow, view.q_values(flow, policy), policy)
    best = view.value(flow, view.q_values(flow))
    for g in range(games):
        law, gap = expected_gap(name, policy.probs[g, 0].numpy().tobytes())
        np.testing.assert_allclose(flow.laws[g, 0].numpy(), law, atol=1e-11)
        assert gaps[g].item() == pytest.approx(gap, abs=1e-10)
        assert (best - own)[g].item() == pytest.approx(gap, abs=1e-10)


def test_the_law_of_a_chain_with_two_classes_depends_on_the_start() -> None:
    text = stationary_game("beach_bar").text
    text = text.replace("(x + a + e).clamp(0, 3)", "(x // 2 * 2 + (x + 1) % 2 + 0 * (a + e))")
    text = text.replace(
        "return p.unit.expand(1, 4) / 4",
        "return p.unit * torch.tensor([[0.6, 0.1, 0.3, 0.0]]).double()",
    )
    view = StationaryView.build(oracle.load_program(text))
    law = view.laws(view.uniform())[0, 0]
    assert law.tolist() == pytest.approx([0.35, 0.35, 0.15, 0.15])


def test_mirror_descent_solves_a_stationary_game() -> None:
    solution = solve(
        stationary_game("beach_bar"), None, "omd", {"learning_rate": 0.2}, tolerance=0.05
    )
    assert solution.status.name == "converged"
    assert solution.policy.stages == 1


def test_a_finite_game_has_no_stationary_view() -> None:
    with pytest.raises(ValueError, match="finite horizon: use FiniteView"):
        StationaryView.build(oracle.load("beach_bar"))


def test_pushes_stop_at_their_limit_and_the_result_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "MOST_PUSHES", 1)
    monkeypatch.setattr(settling, "STRETCH", 1)
    monkeypatch.setattr(settling, "implicit_law", lambda *rest: None)
    monkeypatch.setattr(slopes, "moves_of", lambda tables: None)
    view = StationaryView.build(stationary_game("susceptible_infected"))
    evaluation = Evaluation(view, view.uniform())
    law = evaluation.flow.laws[0, 0]
    assert law.sum().item() == pytest.approx(1)
    ill = 0.6 * 0.7 + 0.4 * 0.5 * 0.81 * 0.6
    assert law[1].item() == pytest.approx((0.6 + ill) / 2)
    assert evaluation.flow.residual == pytest.approx(2 * abs(ill - 0.6))
    assert evaluation.exploitability.kind == "estimate"


@pytest.mark.parametrize("way", WAYS)
def test_slow_and_broken_chains_keep_the_law_of_half_steps(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against 2^60 half steps by squaring, in batches cut into parts."""
    view = StationaryView.build(stationary_game("beach_bar"))
    generator = torch.Generator().manual_seed(5)
    draw = torch.empty(7, 1, 4, 3, dtype=torch.float64).exponential_(generator=generator)
    draw[1:3] = draw[1:3] ** (4 if way == "pushed" else 12)  # nearly pure: slow chains
    draw[3] = (draw[3] == draw[3].amax(-1, keepdim=True)).double()  # several classes
    policy = view.policy(draw / draw.sum(-1, keepdim=True))
    probs = policy.probs[:, 0].permute(2, 1, 0)
    table = dense.dense_table(view.tables.kernel, *probs.shape[:2])
    assert table is not None
    chain = (dense.chains_of(table, probs) + torch.eye(4, dtype=torch.float64)) / 2
    for _ in range(60):
        chain = chain @ chain
        chain = chain / chain.sum(-1, keepdim=True)
    wanted = view.tables.initial.t() @ chain
    only(way, monkeypatch)
    monkeypatch.setattr(settling, "CHAINS", 48)
    torch.testing.assert_close(view.laws(policy), wanted, rtol=0, atol=1e-10)


MARGINAL = """
model marginal
objective nash
horizon stationary
discount 0.5
population person {
  state  x : int in 0..2 = 0
  state  y : int in 0..1 = 0
  action a : int in 0..2
  x' ~ mix { 0.2 + 0.4 * prob(q.y == 1 for q in person) -> a, else -> 0 }
  y' = ind(a == 1)
  reward r = ind(x == 1)
}
"""


def test_chances_that_read_one_of_two_variables_have_slopes_without_compiled_loops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Their gradients do not lie in order. A third is at y = 1."""
    program = mfdsl.load(text=MARGINAL).program
    monkeypatch.setattr(native, "available", lambda: False)
    view = build_view(program)
    law = view.laws(view.uniform())[0, 0].view(3, 2)
    moved = (0.2 + 0.4 / 3) / 3
    torch.testing.assert_close(law.sum(0), torch.tensor([2 / 3, 1 / 3], dtype=law.dtype))
    torch.testing.assert_close(law.sum(1)[1:], torch.full((2,), moved, dtype=law.dtype))
