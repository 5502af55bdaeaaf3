"""`sign(x)` is -1, 0 or 1, of a number or of each entry of an array."""

import numpy as np
import pytest

import mfdsl
from mfdsl.compiler.analysis.questions import answers
from mfdsl.compiler.diagnostics import CompileError
from mfdsl.compiler.ir.interpret import Environment, evaluate
from mfdsl.compiler.ir.walk import given

SPEC = """model signs
objective nash
horizon 2
population p as mu {{
  state x : {type} ~ uniform
  action a : bool
  {let}
  x' = {next}
  reward r = -mean(1 for q in p)
}}
"""


def next_of(type: str, expression: str, x: object, let: str = "") -> object:
    model = mfdsl.load(text=SPEC.format(type=type, next=expression, let=let)).model
    environment = Environment(own={("state", "x"): x, ("action", "a"): 0})
    return evaluate(model, given(model.populations[0].states[0].next), environment)


@pytest.mark.parametrize("x, sign", [(-1.5, -1), (-1e-300, -1), (0.0, 0), (1e-300, 1), (2.0, 1)])
def test_the_sign_of_a_real(x: float, sign: int) -> None:
    assert next_of("real in [-2, 2]", "sign(x)", x) == sign


@pytest.mark.parametrize("x, sign", [(-3, -1), (0, 0), (2, 1)])
def test_the_sign_of_an_integer_is_one(x: int, sign: int) -> None:
    assert next_of("int in -3..3", "sign(x)", x) == sign


def test_each_entry_of_an_array_has_its_sign() -> None:
    found = next_of("real[3] in [-2, 2]", "sign(x)", np.array([-0.5, 0.0, 1.5]))
    np.testing.assert_array_equal(np.asarray(found), [-1, 0, 1])


def test_positions_on_a_ring_have_no_sign_but_ways_have() -> None:
    with pytest.raises(CompileError, match="no sign"):
        next_of("real mod [-1, 1]", "x + 0 * sign(x)", 0.5)
    turned = next_of("real mod [-1, 1]", "x + 0.25 * sign(displacement(x, 0))", 0.5)
    assert turned == pytest.approx(0.25)


@pytest.mark.parametrize(
    "expression, message",
    [
        ("sign()", "takes 1 argument, got 0"),
        ("sign(x, 1)", "takes 1 argument, got 2"),
        ("sign(a)", "expected a number, found a truth value"),
        ("sign(mu)", "expected a number, found the law"),
    ],
)
def test_what_has_no_sign_is_refused(expression: str, message: str) -> None:
    with pytest.raises(CompileError, match=message):
        next_of("int in -3..3", expression, 1)


def test_a_spec_may_have_a_sign_of_its_own() -> None:
    assert next_of("int in -3..3", "sign", 2, let="let sign = clip(x - 1, -3, 3)") == 1


def test_a_sign_that_depends_on_the_law_is_a_jump() -> None:
    text = """model leaning
objective nash
horizon 2
population p as mu {
  state x : real in [-1, 1] ~ uniform
  action a : bool
  let lean = mean(q.x for q in p)
  x' = clip(0.5 * x + 0.1 * sign(lean))
  reward r = -lean^2
}
"""
    (found,) = answers(mfdsl.load(text=text).model, "lipschitz(dynamics, p)")
    assert found.verdict == "refuted" and found.witness is not None
    assert float(found.witness["change"]) >= 0.0999


def test_agents_take_the_sign_by_one_call() -> None:
    program = mfdsl.load("m3fc_potential").agents
    assert ".sign()" in program.text
    assert "body.next y: sign jumps at 0" in program.module.CUTS
