"""Remedies of solvers that do not arrive are options that they have, and help."""

import re

import pytest

import mfdsl
from mfdsl.runtime.solvers.loop import solve
from mfdsl.runtime.solvers.table import SOLVERS
from mfdsl.runtime.status import Status


def test_what_a_remedy_names_is_there() -> None:
    for name, row in SOLVERS.items():
        for option in re.findall(r"--opt (\w+)=", row.remedy):
            assert option in row.config.model_fields, name
        others = set(re.findall(r"[a-z]+_[a-z]+|omd", row.remedy))
        assert others - set(row.config.model_fields) <= SOLVERS.keys(), name


@pytest.mark.parametrize("solver", ["policy_iteration", "fixed_point"])
@pytest.mark.parametrize("game", ["garnet", "crowd_2d"])
def test_whole_answers_go_round_and_damping_helps(game: str, solver: str) -> None:
    """With whole steps the uniform policy stays the best one, and the message says what to do."""
    program = mfdsl.load(game).program
    settings = {"iterations": 100, "tolerance": 0, "patience": 50}
    whole = solve(program, program.params(), solver, {}, **settings)
    start = whole.history[0].exploitability
    assert whole.status is Status.stalled
    assert "--opt damping=0.95" in whole.message
    damped = solve(program, program.params(), solver, {"damping": 0.95}, **settings)
    assert damped.exploitability.value < 0.1 * start < 0.2 * whole.exploitability.value
