"""Loading module text: what is accepted, what is refused, and parameters."""

import subprocess
import sys
import traceback
from pathlib import Path

import pytest
import torch

from mfdsl.runtime.program import Program, ProgramError, load_program
from tests.runtime import oracle


@pytest.fixture
def program() -> Program:
    return oracle.load("masked_queue")


def test_a_program_knows_its_sizes(program: Program) -> None:
    assert (program.state_count, program.action_count, program.noise_count) == (6, 3, 4)
    assert (program.kind, program.horizon, program.discount) == ("finite", 4, 1.0)
    assert program.states == {"line": 3, "busy": 2}


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("import os", "imports only torch, not `os`"),
        ("from pathlib import Path", "imports only torch, not `pathlib`"),
        ("from . import secrets", "imports only torch"),
        ("secret = ().__class__", "has no `.__class__`"),
        ("secret = eval('1')", "does not use `eval`"),
        ("secret = open('x')", "does not use `open`"),
        ("secret = getattr(torch, 'load')", "does not use `getattr`"),
        ("secret = __builtins__", "does not use `__builtins__`"),
        ("secret = torch.load", "does not use `torch.load`"),
        ("def (", "is not Python"),
        ("secret = 1 / 0", "does not run"),
    ],
)
def test_text_that_no_compiler_wrote_is_refused(
    program: Program, line: str, complaint: str
) -> None:
    with pytest.raises(ProgramError, match=complaint.replace(".", r"\.")):
        load_program(program.text + line + "\n")


def test_another_abi_is_refused_with_the_remedy(program: Program) -> None:
    with pytest.raises(ProgramError, match=r"compiled for ABI 99.*compile the spec again"):
        load_program(program.text.replace("ABI = 1", "ABI = 99"))


def test_a_module_without_part_of_the_contract_is_refused(program: Program) -> None:
    with pytest.raises(ProgramError, match="lacks rewards"):
        load_program(program.text.replace("def rewards(", "def prizes("))


def test_an_endless_horizon_without_discount_is_refused() -> None:
    with pytest.raises(ProgramError, match="discount below 1"):
        oracle.load("beach_bar", HORIZON="None", HORIZON_KIND='"stationary"')


def test_tracebacks_show_the_generated_line(program: Program) -> None:
    try:
        program.module.field(program.params(), torch.tensor(0), None)
    except AttributeError:
        assert "return Field(m.sum((2, 3))" in traceback.format_exc()
    else:
        pytest.fail("no error")


def test_lists_make_a_batch_of_parameters(program: Program) -> None:
    params = program.params({"slip": [0.1, 0.2], "price": [[1, 2, 3], [4, 5, 6]]})
    assert params.slip.shape == (2,)
    assert params.price.shape == (2, 3)
    assert program.batch_of(params) == 2
    assert program.batch_of(program.params({"price": [1, 2, 3]})) == 1


@pytest.mark.parametrize(
    ("overrides", "complaint"),
    [
        ({"slap": 0.1}, "has no parameter slap; it has slip, price"),
        ({"unit": 2.0}, "has no parameter unit"),
        ({"price": [1.0, 2.0]}, r"shape \[3\]"),
        ({"slip": []}, r"shape \[\]"),
        ({"slip": "much"}, "is not a number"),
        ({"slip": [0.1, 0.2], "price": [[1, 2, 3]] * 3}, "one length, here slip: 2, price: 3"),
    ],
)
def test_wrong_parameters_are_named(
    program: Program, overrides: dict[str, object], complaint: str
) -> None:
    with pytest.raises(ProgramError, match=complaint):
        program.params(overrides)


def test_parameters_have_the_dtype_asked_for(program: Program) -> None:
    assert program.params({"slip": 0.5}, dtype=torch.float32).slip.dtype == torch.float32


def test_the_table_of_solvers_needs_no_torch() -> None:
    code = (
        "import sys, mfdsl.runtime, mfdsl.runtime.solvers.table as table\n"
        "assert table.choose('finite')[0] in table.SOLVERS\n"
        "assert 'torch' not in sys.modules"
    )
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True)
