"""Policies side by side agree with the same policies one after another."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from mfdsl.game import load
from mfdsl.runtime.evaluate import Evaluation
from mfdsl.runtime.program import Program
from mfdsl.runtime.views import slopes
from mfdsl.runtime.views.native_lane_steps import solved_lanes
from mfdsl.runtime.views.native_lane_tape import play_lanes
from mfdsl.runtime.views.native_slopes import play_slopes
from mfdsl.runtime.views.native_tape import play
from mfdsl.runtime.views.stationary import StationaryView
from mfdsl.runtime.views.tape import CODES, record
from tests.runtime.test_reading import GAMES, program_of

SPECS = Path(__file__).parents[2] / "specs"
UNIT = torch.float64
POLICIES = 11  # more than lanes, which are 8, and no multiple


def drawn(view: StationaryView, sharpness: float) -> Tensor:
    """From even policies to sharp ones."""
    legal = view.uniform().probs.expand(POLICIES, -1, -1, -1) > 0
    scores = torch.randn(legal.shape, generator=torch.Generator().manual_seed(1), dtype=UNIT)
    sharper = torch.linspace(0, sharpness, POLICIES, dtype=UNIT)[:, None, None, None]
    return torch.softmax((sharper * scores).masked_fill(~legal, -torch.inf), -1)


def agree(program: Program, sharpness: float, monkeypatch: pytest.MonkeyPatch, atol: float) -> None:
    view, sides = StationaryView.build(program), []
    policy = view.policy(drawn(view, sharpness))
    with torch.no_grad():
        for lanes in (8, 0):
            monkeypatch.setattr(slopes, "MOST_LANES", lanes)
            found = Evaluation(view, policy)
            assert found.flow.known is not None
            assert found.flow.problem is not None
            answers = found.q, found.best_q, found.values, found.best_value
            sides.append((found.flow.laws, found.flow.problem.rewards, *answers))
            assert found.flow.residual <= 1e-12
    for mine, other in zip(*sides, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-10, atol=atol)


@pytest.mark.parametrize("name", GAMES)
def test_policies_side_by_side_are_worth_what_each_is(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    agree(program_of(name), 1.5, monkeypatch, 1e-11)


def test_laws_at_the_edge_of_a_jam_are_found_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sharp policies need refused steps, and steps solved to the end; their laws are known less."""
    agree(load(SPECS / "kinetic_congestion.mfg").program, 4.0, monkeypatch, 1e-8)


def test_laws_that_do_not_end_are_marked_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tolerance that none reaches."""
    view = StationaryView.build(program_of("drift"))
    reader = slopes.reader_of(view.tables)
    assert reader is not None
    assert reader.moves is not None
    shares = reader.shares(drawn(view, 1.0)[:, 0])
    residuals = reader.laws(reader.moves, shares, -1.0)[1]
    assert slopes.lanes_of(len(shares)) == 8
    assert (residuals == -1).all()


def every_operation(x: Tensor) -> list[Tensor]:
    """Each kind of instruction, at two numbers and at sums of three."""
    a, b, table = x[:2], x[2:4], x[:6].view(2, 3)
    found = [a + b, a - b, a * b, a / b, a**b, torch.minimum(a, b), torch.maximum(a, b)]
    found += [torch.remainder(a, b), torch.atan2(a, b), torch.where(a < b, a * b, b), -a]
    found += [a.abs(), a.exp(), a.log(), a.sqrt(), a.sin(), a.cos(), a.tanh()]
    found += [torch.nn.functional.softplus(a), a.floor(), a.ceil(), a.round()]
    found += [(a == b).double(), (a != b).double(), (a <= b).double(), (a * 2).long().double()]
    found += [table.sum(1), table.amax(1), table.amin(1), torch.einsum("ij,ij->i", table, table)]
    found += [(2 * b).scatter_add(0, torch.tensor([1, 1]), a), table[:, 0]]
    found += [x[(a > b).long()]]
    return [torch.stack(found)]


@pytest.mark.parametrize("colours", [0, 3])
def test_lines_and_their_slopes_are_those_of_each_lane(colours: int) -> None:
    tape = record(every_operation, torch.ones(6, dtype=UNIT))
    assert tape is not None
    assert set(tape.line.code[:, 0].tolist()) == set(CODES.values())
    generator, where = np.random.default_rng(0), tape.inputs[0] + np.arange(6)
    inputs = generator.uniform(0.1, 3, size=(6, 8))
    gains = generator.normal(size=(6, colours, 8))
    memory = np.repeat(tape.line.memory[:, None], 8, 1)
    found = np.zeros((len(memory), colours, 8))
    memory[where], found[where] = inputs, gains
    play_lanes(tape.line, memory, found)
    for b in range(8):
        one, slope = tape.line.memory.copy(), np.zeros((len(memory), max(colours, 1)))
        one[where], slope[where, :colours] = inputs[:, b], gains[:, :, b]
        play(tape.line, one)
        play_slopes(tape.line, one, slope)
        np.testing.assert_allclose(memory[:, b], one, rtol=1e-14, atol=1e-15)
        np.testing.assert_allclose(found[:, :, b], slope[:, :colours], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("band", [(1, 2), (3, 0), (6, 6)])
def test_bands_side_by_side_are_solved_with_the_signs_of_their_determinants(
    band: tuple[int, int],
) -> None:
    (lower, upper), states, lanes = band, 7, 16
    wide = 2 * lower + upper + 1
    generator = np.random.default_rng(0)
    whole = generator.normal(size=(lanes, states, states))
    whole = np.tril(np.triu(whole, -lower), upper)
    right, bands = generator.normal(size=(lanes, states)), np.zeros((states, wide, lanes))
    for i in range(states):
        for j in range(max(0, i - lower), min(states, i + upper + 1)):
            bands[i, j - i + lower] = whole[:, i, j]
    found, positive = right.T.copy(), np.empty(lanes)
    room = np.empty(lanes, np.int64), np.empty(lanes), positive
    solved_lanes(bands.reshape(-1, lanes), lower, upper, found, *room)
    wanted = np.linalg.solve(whole, right[..., None])[..., 0]
    np.testing.assert_allclose(found.T, wanted, rtol=1e-9, atol=1e-11)
    signs = np.sign(np.linalg.det(whole))
    assert set(signs) == {-1, 1}
    assert (np.sign(positive) == signs).all()
