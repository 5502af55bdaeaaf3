"""Which parameters are values of the run, and which are fixed before it."""

import math

from mfdsl.compiler.driver import Options, compile_text


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


def test_functions_make_numbers_of_parameters_before_the_run() -> None:
    text = """model m
param r : real in [0, 1] = 0.5
param dt : real in [0, 1] = 0.1
objective nash
horizon 2
discount exp(-r * dt)
population p {
  state x : real in [-sqrt(2), max(1, 2 * tanh(r))] ~ uniform
  action a : real in [-1, 1]
  x' = clip(x + a)
  reward r = -x^2
}
"""
    for values in ({}, {"r": 0.25}):
        model = compile_text(text, options=Options(parameters=values)).require_model()
        rate = values.get("r", 0.5)
        domain = model.types[model.populations[0].states[0].type]
        assert model.discount == math.exp(-rate * 0.1)
        assert (domain.lo, domain.hi) == (-math.sqrt(2), max(1, 2 * math.tanh(rate)))
        assert [p.structural for p in model.parameters] == [True, True]
