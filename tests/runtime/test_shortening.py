"""Shorter tapes, and games by rank of their legal actions, say the same to the bit."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import mfdsl
from mfdsl.runtime.evaluate import build_view
from mfdsl.runtime.views.finite import FiniteView
from mfdsl.runtime.views.legal_ranks import ranked, ranks_of
from mfdsl.runtime.views.shortening import shortened
from mfdsl.runtime.views.tape import OPERATIONS, Tape, record
from mfdsl.runtime.views.walk import written
from tests.runtime.test_tape import FUNCTIONS, arguments

native_tape = pytest.importorskip("mfdsl.runtime.views.native_tape", exc_type=ImportError)

SPECS = Path(__file__).parents[2] / "specs"
# Legal actions change with the time, and from state to state.
GATES = """model gates

objective nash
horizon 4

population walker {
  state  x : int in 0..3 = 1
  action a : int in 0..5 where if t < 2 then a <= x else a == x or a == 5

  let here = prob(q.x == x for q in walker)

  x' = if a == 5 then 0 else if here > 0.5 then a else clip(a + 1)

  reward pay = a * (1 - here) - 0.1 * x
}
"""


def inputs_of(tape: Tape, *examples: Tensor) -> list[np.ndarray]:
    sizes = [example.numel() for example in examples]
    return [start + np.arange(n) for start, n in zip(tape.inputs, sizes, strict=True)]


def same_numbers(
    tape: Tape, examples: Sequence[Tensor], zeros: np.ndarray, read: np.ndarray
) -> int:
    """The number of terms that the shorter line needs, once it is known to say the same."""
    places = np.concatenate(inputs_of(tape, *examples))
    line, to = shortened(tape.line, places, zeros, read)
    source = np.random.default_rng(3)
    for _ in range(3):
        memory, short = tape.line.memory.copy(), line.memory.copy()
        for place in places:
            number = 0.0 if place in zeros else source.uniform(-1, 1)
            memory[place] = number
            if to[place] >= 0:
                short[to[place]] = number
        native_tape.play(tape.line, memory)
        native_tape.play(line, short)
        np.testing.assert_array_equal(short[to[read]], memory[read])
    return int((line.code[:, 2] * line.code[:, 3]).sum())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_shorter_line_gives_the_same_numbers(name: str) -> None:
    function = FUNCTIONS[name]
    tape = record(lambda t, x: [function(t, x)], *arguments(0))
    assert tape is not None
    examples = arguments(0)
    read = np.unique(tape.results[0].reshape(-1).numpy())
    none = np.zeros(0, dtype=np.int64)
    assert same_numbers(tape, examples, none, read) <= tape.work
    zeros = inputs_of(tape, *examples)[1][::2]
    same_numbers(tape, examples, zeros, read[: len(read) // 2 + 1])


def operations(function: Callable[[Tensor], Tensor]) -> list[tuple[str, int]]:
    """What is left of a function of three numbers: operations and how many results of each."""
    example = torch.arange(3, dtype=torch.float64)
    tape = record(lambda x: [function(x)], example)
    assert tape is not None
    places, none = inputs_of(tape, example)[0], np.zeros(0, dtype=np.int64)
    line, _ = shortened(tape.line, places, none, tape.results[0].reshape(-1).numpy())
    return [(OPERATIONS[row[0]], int(row[2])) for row in line.code]


def test_what_is_not_needed_is_gone() -> None:
    ones, rows = torch.ones(4, 1), torch.tensor([[1.0], [0.0]], dtype=torch.float64)
    assert operations(lambda x: (x.exp() + x * x.sin())[:1]) == [
        ("exp", 1),
        ("sin", 1),
        ("mul", 1),
        ("add", 1),
    ]
    assert operations(lambda x: (x * torch.tensor([2.0, 3.0, 4.0]).double()).sum()) == [("dot", 1)]
    assert operations(lambda x: ones.double() * x[:1] + ones.double()) == [("mul", 1), ("add", 1)]
    assert operations(lambda x: torch.where(rows > 0, x, 2 * x)[0]) == []


def views() -> dict[str, FiniteView]:
    """Games with masks: rewards and moves that read the law or not, and a mask that moves."""
    names = ("dynamic_routing", "routing", "crowd_avoidance", "crowd_2d", "building_evacuation")
    games = {name: mfdsl.load(SPECS / f"{name}.mfg") for name in names}
    games["gates"] = mfdsl.load(text=GATES)
    found = {name: build_view(game.program) for name, game in games.items()}
    return {name: view for name, view in found.items() if isinstance(view, FiniteView)}


def test_a_game_by_rank_is_the_same_game() -> None:
    narrower = 0
    for name, view in views().items():
        walk = written(view.tables, endless=view.truncation is not None)
        assert walk is not None, name
        ranks = ranks_of(walk.legal)
        narrower += len(ranks.action) < ranks.actions
        source = np.random.default_rng(1)
        even = view.uniform().probs.numpy()[0].transpose(0, 2, 1)
        weights = np.ascontiguousarray(even * source.uniform(size=even.shape))
        probs = weights / weights.sum(1, keepdims=True)
        wanted = native_tape.along(walk, probs, 1, view.discount)
        found = native_tape.along(ranked(walk, ranks), ranks.narrow(probs), 1, view.discount)
        rests = (None, 0.0, 0.0, None, -np.inf, -np.inf, None)
        for one, other, rest in zip(found, wanted, rests, strict=True):
            whole = one if rest is None else ranks.wide(one, rest)
            np.testing.assert_array_equal(whole, other, err_msg=name)
    assert narrower >= 2
