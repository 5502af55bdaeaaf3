"""Which parameters are values of the run, and which are fixed before it."""

import math
from pathlib import Path

import pytest

from mfdsl.compiler.driver import Options, compile_file, compile_text
from mfdsl.compiler.ir.meaning import joint_actions, joint_states, reward


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


@pytest.mark.parametrize(
    "largest, fixed", [("3", ["k"]), ("sky.n", ["k", "z"]), ("half", ["k", "z"])]
)
def test_a_let_is_the_one_of_its_block(largest: str, fixed: list[str]) -> None:
    """The horizon reads `top` outside of the block, whose own `top` is another."""
    text = f"""model m
param k : int in 1..9 = 3
param z : int in 1..9 = 2
let base = k
let top = base + 1
fn top_of(x) = x + base
objective nash
horizon top
environment sky {{
  let n = z
  state w : int in 0..1 = 0
  w' = w
}}
population p {{
  let base = z
  let top = base * 0.5
  let half = z + 1
  state x : int in 0..{largest} ~ uniform
  action a : int in 0..1
  x' = x
  reward r = -x * top * z * half
}}
"""
    model = compile_text(text).require_model()
    assert [p.name for p in model.parameters if p.structural] == fixed


ARRAY = """model m
param T : int in 1..9 = 4
param rule : real[T, 2] in [0, 1] = {default}
objective nash
horizon T
population p {{
  state x : int in 0..1 ~ uniform
  action a : int in 0..1
  x' = a
  reward r = rule[t, x]
}}
"""


@pytest.mark.parametrize(
    ("default", "entries"),
    [
        ("0.5", (0.5,) * 8),
        ("[[0.25 * k, 1] for k in 0..T - 1]", (0, 1, 0.25, 1, 0.5, 1, 0.75, 1)),
        ("[[j / (k + 1) for j in 0..1] for k in 0..3]", (0, 1, 0, 1 / 2, 0, 1 / 3, 0, 1 / 4)),
    ],
)
def test_an_array_is_one_number_for_all_or_made_by_a_rule(
    default: str, entries: tuple[float, ...]
) -> None:
    model = compile_text(ARRAY.format(default=default)).require_model()
    (rule,) = (p for p in model.parameters if p.name == "rule")
    assert rule.value == pytest.approx(entries)


def test_one_number_is_given_for_all_entries() -> None:
    options = Options(parameters={"rule": 0.25, "T": 2})
    model = compile_text(ARRAY.format(default="1"), options=options).require_model()
    (rule,) = (p for p in model.parameters if p.name == "rule")
    assert rule.value == (0.25,) * 4


@pytest.mark.parametrize(
    ("default", "given", "told"),
    [
        ("2", {}, "`rule = 2` is outside its range"),
        ("[[0.5, 1] for k in 0..2]", {}, "`rule` has shape [4, 2], found 3 values"),
        ("[0.5 for k in 0..3]", {}, "`rule` has shape [4, 2], found a real"),
        ("[[1 / k, 1] for k in 0..3]", {}, "divides by 0"),
        ("1", {"rule": "much"}, "8 numbers, got `much`"),
        ("1", {"rule": 3}, "`rule = 3` is outside its range"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    default: str, given: dict[str, float | str], told: str
) -> None:
    found = compile_text(ARRAY.format(default=default), options=Options(parameters=given))
    assert any(told in each.message for each in found.diagnostics)


TABLES = """model m
enum Age {{ young, old }}
enum Kind {{ one }}
param met : real[Age, Age] in [0, 9] = [[1, 2], [3, 4]]
param flat : real[Kind, Age] in [0, 9] from "row.csv"
param tall : real[Age, Kind] in [0, 9] from "column.csv"
objective nash
horizon 2
population p {{
  state x : Age = young
  action a : Age
  x' = a
  reward r = 100 * {entry} + 10 * flat[one, a] + tall[x, one]
}}
"""


def test_a_row_of_a_row_is_indexed_by_its_own_values(tmp_path: Path) -> None:
    """`met[x][a]` is `met[x, a]`; files of one row or one column are tables all the same."""
    (tmp_path / "row.csv").write_text("5,6\n")
    (tmp_path / "column.csv").write_text("7\n8\n")
    for entry in ("met[x, a]", "met[x][a]"):
        path = tmp_path / "spec.mfg"
        path.write_text(TABLES.format(entry=entry))
        model = compile_file(path, Options(root=tmp_path)).require_model()
        parameters = {p.name: p.value for p in model.parameters}
        found = [
            reward(model, 0, {}, x, a, parameters)
            for x in joint_states(model)
            for a in joint_actions(model)
        ]
        assert found == [157, 267, 358, 468]
