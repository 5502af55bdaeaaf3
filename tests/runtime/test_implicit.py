"""Implicit steps end where pushes end, and nowhere else."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mfdsl.game import load
from mfdsl.runtime.layout import inner
from mfdsl.runtime.views import settling, slopes
from mfdsl.runtime.views.implicit import implicit_law
from mfdsl.runtime.views.slopes import Point, reader_of
from mfdsl.runtime.views.stationary import StationaryView

SPECS = Path(__file__).parents[2] / "specs"
UNIT = torch.float64
Push = Callable[[Tensor], Tensor]


def meeting(push: Push) -> Callable[[Tensor], Point]:
    def at(law: Tensor) -> Point:
        slope = torch.autograd.functional.jacobian(push, law) - torch.eye(len(law), dtype=UNIT)
        return Point(law, push(law) - law, slope)

    return at


def contagion(rate: float, recovery: float = 0.1) -> Push:
    """Of [healthy, ill], where each meets one other."""

    def push(law: Tensor) -> Tensor:
        fallen, well = rate * law[0] * law[1], recovery * law[1]
        return torch.stack([law[0] - fallen + well, law[1] + fallen - well])

    return push


def trap(leak: float, jam: float = 0.3) -> Push:
    """Three cells in a row; the last one lets nobody in where it is full, and leaks."""

    def push(law: Tensor) -> Tensor:
        on, enter = 0.4 * law[0], 0.5 * law[1] * (1 - (law[2] / jam).clamp(max=1))
        back, out = 0.2 * law[1], leak * law[2]
        return torch.stack(
            [law[0] - on + back, law[1] + on - back - enter + out, law[2] + enter - out]
        )

    return push


def jammed(size: int = 3) -> tuple[StationaryView, Tensor]:
    """The game of jams, and a policy that nearly always goes to the far corner."""
    view = StationaryView.build(load(SPECS / "kinetic_congestion.mfg", params={"n": size}).program)
    generator = torch.Generator().manual_seed(1)
    scores = torch.randn(view.uniform().probs.shape, generator=generator, dtype=UNIT)
    return view, torch.softmax(6 * scores, -1)


def pushed(law: Tensor, push: Push, count: int) -> Tensor:
    for _ in range(count):
        law = (law + push(law)) / 2
    return law


@pytest.mark.parametrize("rate", [0.101, 0.11, 0.5])
@pytest.mark.parametrize("ill", [0.5, 1e-9])
def test_an_epidemic_that_lasts_is_reached_though_the_healthy_law_stands_still(
    rate: float, ill: float
) -> None:
    law = torch.tensor([1 - ill, ill], dtype=UNIT)
    found = implicit_law(meeting(contagion(rate)), law, law, 5e-13)
    assert found is not None
    assert found[0][1].item() == pytest.approx(1 - 0.1 / rate, abs=1e-9)


def test_an_epidemic_that_dies_out_leaves_nobody_ill() -> None:
    law = torch.tensor([0.5, 0.5], dtype=UNIT)
    found = implicit_law(meeting(contagion(0.05)), law, law, 5e-13)
    assert found is not None
    assert found[0][1].item() == pytest.approx(0, abs=1e-10)


@pytest.mark.parametrize("leak", [1e-3, 1e-6, 1e-9])
def test_a_full_cell_that_leaks_slowly_is_settled_from_either_side(leak: float) -> None:
    """With inflow 0.5 m (1 - c / jam) = leak c, where m is what waits before it: l = m / 2."""
    push = trap(leak)
    found = []
    for law in ([0.5, 0.4, 0.1], [0.1, 0.1, 0.8]):
        start = torch.tensor(law, dtype=UNIT)
        ended = implicit_law(meeting(push), start, start, 5e-13)
        assert ended is not None
        waiting, cell = ended[0][1].item(), ended[0][2].item()
        assert 0.5 * waiting * (1 - cell / 0.3) == pytest.approx(leak * cell, abs=1e-14)
        assert ended[0][0].item() == pytest.approx(waiting / 2, rel=1e-6)
        found.append(cell)
    assert found[0] == pytest.approx(found[1], abs=1e-9)


def test_a_full_cell_that_never_leaks_is_filled_to_its_edge_and_no_further() -> None:
    """Any law with more in the cell stands still; pushes from below end at the edge."""
    start = torch.tensor([0.5, 0.4, 0.1], dtype=UNIT)
    ended = implicit_law(meeting(trap(0.0)), start, start, 5e-13)
    assert ended is not None
    wanted = pushed(start, trap(0.0), 1_000)
    torch.testing.assert_close(ended[0], wanted, rtol=0, atol=1e-9)


def test_one_law_of_many_that_stand_still_is_not_taken() -> None:
    """From above the edge nothing draws back what is pushed off towards the start."""
    law, start = (torch.tensor(x, dtype=UNIT) for x in ([0.1, 0.1, 0.8], [0.3, 0.3, 0.4]))
    assert implicit_law(meeting(trap(0.0)), law, start, 5e-13) is None


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("size", [3, 4])
def test_slopes_are_those_of_the_push(compiled: bool, size: int) -> None:
    view, probs = jammed(size)
    reader = reader_of(view.tables)
    assert reader is not None
    assert reader.moves is not None
    reader = reader if compiled else replace(reader, moves=None)
    states = size**2
    shares = probs[0, 0]
    law = torch.rand(states, generator=torch.Generator().manual_seed(2), dtype=UNIT)
    law = law / law.sum()
    with torch.no_grad():
        point = reader.at(law, shares)

    def push(law: Tensor) -> Tensor:
        joint = (law[:, None] * shares).view(1, states, 5)
        module, params = view.program.module, view.tables.params
        after: Tensor = module.push(params, torch.tensor(0), joint)
        return after.reshape(-1)

    torch.testing.assert_close(point.change, push(law) - law, rtol=0, atol=1e-15)
    wanted = torch.autograd.functional.jacobian(push, law) - torch.eye(states, dtype=UNIT)
    torch.testing.assert_close(point.slope, wanted, rtol=0, atol=1e-13)


def test_a_jam_settles_where_many_pushes_end() -> None:
    view, probs = jammed()
    policy, inside = view.policy(probs), inner(probs)[0]
    with torch.no_grad():
        law, residual = settling.stationary_law(view.tables, inside, reader_of(view.tables))
        stretch = settling._half_steps(view.tables, inside)
        ahead = view.tables.initial
        for _ in range(10):
            ahead = stretch(ahead, 200)[-1]
        flow = view.flow(policy)
    assert residual <= 1e-12
    torch.testing.assert_close(flow.laws[0, 0], law[:, 0], rtol=0, atol=1e-12)
    torch.testing.assert_close(law, ahead, rtol=0, atol=1e-9)


@pytest.mark.parametrize("few", [8, 1_000])
def test_a_batch_settles_as_its_games_do(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch in tensors, its games in compiled loops."""
    monkeypatch.setattr(settling, "FEW_PUSHES", few)
    view, probs = jammed()
    both = torch.cat([probs, view.uniform().probs])
    with torch.no_grad():
        alone = [view.laws(view.policy(part[None])) for part in both]
        monkeypatch.setattr(slopes, "moves_of", lambda tables: None)
        laws = StationaryView.build(view.program).laws(view.policy(both))
    torch.testing.assert_close(laws, torch.cat(alone), rtol=0, atol=1e-9)


def test_games_whose_moves_do_not_read_the_law_have_no_reader() -> None:
    program = load(SPECS / "lasry_lions_chain.mfg").program
    assert reader_of(StationaryView.build(program).tables) is None
