"""Which parameters are values of the run, and which are fixed before it."""

from mfdsl.compiler.driver import compile_text


def test_a_parameter_in_the_bounds_of_a_real_variable_is_fixed_before_the_run() -> None:
    text = """model m
param c : real in [1, 2] = 1
objective nash
horizon 2
population p {
  state x : real in [-c, c] ~ uniform
  action a : real in [-1, 1]
  x' = clip(x + a)
  reward r = -x^2
}
"""
    (parameter,) = compile_text(text).require_model().parameters
    assert parameter.structural
