"""Stationary games whose moves read a few numbers of the law, or jump with it."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from mfdsl.game import load
from mfdsl.runtime.program import Program
from mfdsl.runtime.views import settling
from mfdsl.runtime.views.slopes import Reader, reader_of
from mfdsl.runtime.views.stationary import StationaryView

UNIT = torch.float64
SAVINGS = """
model savings

param n : int in 2..100 = 5

let capital = max(0.1, mean(q.k for q in household))
let working = mean(if q.y then 1.4 else 0.6 for q in household)
let rent    = 0.3 * working / capital
let wage    = 0.4 * capital^0.5

objective nash
horizon stationary
discount 0.9

population household {
  state  k : int in 0..n - 1 ~ uniform
  state  y : bool ~ uniform
  action share : int in 0..n - 1

  let wealth = (1 + rent) * k + wage * (if y then 1.4 else 0.6)
  NEXT
  y' ~ mix { 0.7 -> y, else -> not y }

  reward consumption = log(max(0.01, wealth * (1 - share / n)))
}
"""
SMOOTH = SAVINGS.replace("NEXT", "k' ~ dither(clip(share / n * wealth, 0, n - 1))")
JUMPY = SAVINGS.replace(
    "NEXT",
    "noise late : bool ~ bernoulli(0.2 + 0.01 * capital)\n"
    "  k' = if late then k else clip(floor(share / n * wealth), 0, n - 1)",
)


def game(text: str, n: int = 5) -> tuple[Program, StationaryView, Reader]:
    program = load(text=text, params={"n": n}).program
    view = StationaryView.build(program)
    reader = reader_of(view.tables)
    assert reader is not None
    return program, view, reader


def drawn(view: StationaryView, count: int) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    shape = (count, *view.uniform().probs.shape[1:])
    return torch.softmax(torch.randn(shape, generator=generator, dtype=UNIT), -1)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("text", [SMOOTH, JUMPY])
def test_slopes_are_those_of_small_differences(text: str, compiled: bool) -> None:
    program, view, reader = game(text)
    assert reader.numbers < view.program.state_count
    assert (reader.moves is None) == (text == JUMPY)
    assert reader.moves is None or len(reader.moves.read) == reader.numbers
    reader = reader if compiled else replace(reader, moves=None)
    states, actions = program.state_count, program.action_count
    shares = drawn(view, 1)[0, 0]
    law = torch.rand(states, generator=torch.Generator().manual_seed(2), dtype=UNIT) + 0.1
    law = law / law.sum()

    def push(law: Tensor) -> Tensor:
        joint = (law[:, None] * shares).view(1, *program.states.values(), actions)
        after: Tensor = program.module.push(view.tables.params, torch.tensor(0), joint)
        return after.reshape(-1)

    with torch.no_grad():
        point, apart = reader.at(law, shares), 1e-6 * torch.eye(states, dtype=UNIT)
        columns = [(push(law + one) - push(law - one)) / 2e-6 for one in apart]
        ahead, _ = reader._moves(law[:, None] * shares)
        ways = reader._by_numbers, reader._by_states
        few, all_states = (way(law[:, None] * shares, shares, ahead) for way in ways)
    wanted = torch.stack(columns, 1) - torch.eye(states, dtype=UNIT)
    torch.testing.assert_close(point.slope, wanted, rtol=0, atol=1e-8)
    torch.testing.assert_close(point.change, push(law) - law, rtol=0, atol=1e-14)
    torch.testing.assert_close(few, all_states, rtol=0, atol=1e-13)


@pytest.mark.parametrize("text", [SMOOTH, JUMPY])
def test_laws_and_worths_are_those_of_pushes(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One policy alone and ten together, by implicit steps, and by pushes one after another."""
    _, view, _ = game(text)
    monkeypatch.setattr(settling, "FEW_PUSHES", 8)  # too few for jumps, so that steps are taken
    policy, slow = view.policy(drawn(view, 10)), replace(view)
    slow.__dict__["_reader"] = None
    with torch.no_grad():
        laws, gaps = view.laws(policy), view.exploitability(policy)
        one = view.exploitability(view.policy(policy.probs[:1]))
        probs = policy.probs[:, 0].permute(2, 1, 0).contiguous()
        stretch = settling._half_steps(view.tables, probs)
        ahead = view.tables.initial.expand(-1, 10)
        for _ in range(40):
            ahead = stretch(ahead, 20)[-1]
        wanted = slow.exploitability(policy)
    torch.testing.assert_close(laws[:, 0].t(), ahead, rtol=0, atol=1e-10)
    torch.testing.assert_close(gaps, wanted, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(one, wanted[:1], rtol=1e-9, atol=1e-9)


def test_jumps_end_where_steps_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Implicit steps alone find what pushes find, where places read the law."""
    _, view, reader = game(JUMPY)
    probs = drawn(view, 1)[:, 0].permute(2, 1, 0).contiguous()
    law, (stretch, shares) = view.tables.initial, (settling._half_steps(view.tables, probs), probs)
    with torch.no_grad():
        found = settling._ended(
            stretch, lambda at: reader.at(at, shares[..., 0].t()), law, 1e-12, 1
        )
        for _ in range(40):
            law = stretch(law, 20)[-1]
    assert found is not None
    torch.testing.assert_close(found[0], law, rtol=0, atol=1e-10)


def test_large_tables_are_carried_in_as_many_columns_as_numbers_are_read() -> None:
    """Twenty-five shares of fifty states: columns for all states would be too many."""
    _, _, reader = game(SMOOTH, n=25)
    assert reader.moves is not None
    assert len(reader.moves.read) == 2
