"""Tapes calculate what the functions do that were written down; other functions have none."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from mfdsl.runtime.views.tape import CODES, OPERATIONS, Tape, record

native_tape = pytest.importorskip("mfdsl.runtime.views.native_tape", exc_type=ImportError)

Function = Callable[[Tensor, Tensor], Tensor]
WEIGHTS = torch.tensor([[0.5, -1.0, 2.0]], dtype=torch.float64)
FUNCTIONS: dict[str, Function] = {
    "arithmetic": lambda t, x: 2.0 - x * WEIGHTS + 3 / (1.5 + x) - (-x).add(x, alpha=0.25),
    "powers": lambda t, x: x**2 + x.abs() ** 1.5 + x.abs().sqrt() + 2 * x**3,
    "of one": lambda t, x: x.exp() + x.sin() * x.cos() + x.tanh() + softplus(x) + (x + 3).log(),
    "logistic": lambda t, x: logsigmoid(x) + logsigmoid(60 * x) - logsigmoid(-800 * x),
    "rounding": lambda t, x: (3 * x).floor() + (5 * x).ceil() + (7 * x).round() + (9 * x).long(),
    "comparisons": lambda t, x: (
        ((x > 0.2) | (x <= -0.5)).to(x) + (~(x == 0) & (x < 0.7)).double() + (x.ne(0)).long()
    ),
    "choices": lambda t, x: torch.where(t == 1, x, 0.5 * x) + torch.where(x >= 0, 1.0, x),
    "known choices": lambda t, x: torch.where(
        torch.arange(3) < 2, x, torch.where(WEIGHTS > 0, 7, t)
    ),
    "extrema": lambda t, x: x.clamp(-0.3, 0.4) + torch.minimum(x, WEIGHTS) + x.clamp(min=WEIGHTS),
    "remainders": lambda t, x: torch.atan2(x, WEIGHTS) + ((4 * x).long() - 3) % 3,
    "sums": lambda t, x: x.sum((0, 2))[:, None] + x.amax(1, keepdim=True) - x.amin() + x.sum(),
    "any": lambda t, x: (x > 0.1).any(-1).to(x) + (x > -0.9).all().to(x),
    "products": lambda t, x: torch.einsum("ij,bsj->bis", WEIGHTS.expand(2, 3), x),
    "turned": lambda t, x: torch.einsum("bsa->bas", x) + torch.einsum("bsa->ba", x)[..., None],
    "shapes": lambda t, x: (
        torch.stack([x, 2 * x], -1).reshape(1, -1).flip(1)[:, 2:] + x.new_ones(1)
    ),
    "joined": lambda t, x: torch.cat([x, WEIGHTS.expand(1, 1, 3)], 1).permute(2, 0, 1)[1:],
    "alike": lambda t, x: WEIGHTS.expand_as(x) * x + x[:, :1].expand_as(x),
    "scattered": lambda t, x: x.new_zeros(1, 4).scatter_add(
        1, torch.tensor([[3, 0, 3]]), x[:, 0].clone()
    ),
    "at a time": lambda t, x: x * WEIGHTS[(torch.arange(1), (t - 1).clamp_(min=0).reshape(1))],
    "known places": lambda t, x: (
        x[..., torch.tensor([2, 0])]
        - x.gather(2, torch.tensor([[[1, 1]], [[0, 2]]]).transpose(0, 1))
    ),
}


def arguments(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    numbers = 2 * torch.rand(1, 3, 2, generator=generator, dtype=torch.float64) - 1
    return torch.tensor(seed), numbers.transpose(1, 2)  # as views take joint laws


def played(tape: Tape, *inputs: Tensor) -> np.ndarray:
    memory = tape.line.memory.copy()
    for start, given in zip(tape.inputs, inputs, strict=True):
        stored = given.detach().as_strided((given.numel(),), (1,)).double().numpy()
        memory[start : start + len(stored)] = stored
    native_tape.play(tape.line, memory)
    return memory[tape.results[0].numpy()]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_tape_gives_what_its_function_does_at_other_arguments(name: str) -> None:
    function = FUNCTIONS[name]
    tape = record(lambda t, x: [function(t, x)], *arguments(0))
    assert tape is not None
    for seed in range(4):
        wanted = function(*arguments(seed)).numpy()
        np.testing.assert_allclose(played(tape, *arguments(seed)), wanted, rtol=1e-14, atol=1e-15)


def test_every_operation_is_among_those_tried() -> None:
    tapes = [record(lambda t, x, f=f: [f(t, x)], *arguments(0)) for f in FUNCTIONS.values()]
    used = {code for tape in tapes if tape is not None for code in tape.line.code[:, 0]}
    assert {OPERATIONS[code] for code in used} == set(CODES)


def test_a_choice_that_is_known_is_no_instruction() -> None:
    tape = record(lambda t, x: [FUNCTIONS["known choices"](t, x)], *arguments(0))
    assert tape is not None
    assert not len(tape.line.code)


def test_equal_calculations_are_done_once() -> None:
    def twice(x: Tensor) -> list[Tensor]:
        wide = x[:, :1].expand(1, 5).exp()
        return [wide + x[:, :1].exp()]

    tape = record(twice, torch.ones(1, 2, dtype=torch.float64))
    assert tape is not None
    assert tape.line.code[:, 2].tolist() == [1, 1]  # one exponential, one sum


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.cumsum(1),
        lambda x: x * float(x.sum()),
        lambda x: x if x.sum() > 0 else -x,
        lambda x: x[x > 0],
        lambda x: x.new_zeros(3).index_add_(0, torch.arange(3), x[0]),
        lambda x: WEIGHTS[:, x.long()[0]],
        lambda x: x.float(),
        lambda x: (x[0], x.clone().clamp_(max=0.1))[0] + x.clamp_(max=0.1),
    ],
)
def test_other_functions_have_no_tape(function: Callable[[Tensor], Tensor]) -> None:
    example = torch.full((1, 3), 0.5, dtype=torch.float64)
    assert record(lambda x: [function(x)], example) is None
