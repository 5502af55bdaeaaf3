"""What the lowering accepts and refuses beyond the golden specs: no false alarm, no hole."""

import pytest

from mfdsl.compiler.driver import Compilation, compile_text
from mfdsl.compiler.ir import meaning
from mfdsl.compiler.render import render_text

SPEC = """model small
{top}
enum Health {{ S, I }}
param nu : real in [0, 1] = 0.3
objective nash
horizon 5
population people as mu {{
  state h : Health ~ mix {{ 0.2 -> I, else -> S }}
  state x : int in 0..2 ~ uniform
  action a : int in 0..2 {where}
  {body}
  x' = {step}
  h' ~ {law}
  cost crowd = nu * mu[h = S] + a + {cost}
}}
"""


def compiled(
    *,
    top: str = "",
    where: str = "",
    body: str = "",
    step: str = "a",
    law: str = "mix { nu -> S, else -> I }",
    cost: str = "0",
) -> Compilation:
    return compile_text(SPEC.format(top=top, where=where, body=body, step=step, law=law, cost=cost))


def codes(compilation: Compilation) -> list[str]:
    assert compilation.ok == (compilation.model is not None)
    return [diagnostic.code for diagnostic in compilation.diagnostics]


@pytest.mark.parametrize(
    "parts",
    [
        {"cost": "(if mu[h = I] > 0 then mean(q.x for q in people if q.h == I) else 0)"},
        {"cost": "(if prob(q.h == I for q in people) > 0 then mean(q.x for q in people"
         " if q.h == I) else 0)"},
        {"law": "mix { nu -> S, 1 - nu -> I }"},
        {"law": "mix { nu / 3 -> S, 2 * nu / 3 -> I, 1 - nu -> S }"},
        {"step": "floor(a / 2)"},
        {"step": "floor(a / 0.5) - floor(3 * a / 3)"},
        {"step": "x - a", "where": "where a <= x"},
        {"top": "fn f(g) = g + 1\nfn g(y) = f(y)", "cost": "g(x)"},
        {"top": "fn f(d : real) = d * 2", "cost": "f(x)"},
        {"cost": "sum(k for k in 0..1000000000)"},
    ],
)  # fmt: skip
def test_sound_specs_pass(parts: dict[str, str]) -> None:
    compilation = compiled(**parts)
    assert compilation.ok, render_text(compilation.diagnostics, compilation.sources)


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ({"law": "mix { 0.2 -> S, else -> I, else -> S }"}, "MFG204"),
        ({"step": "match x { else -> 1, 0 -> 2 }"}, "MFG204"),
        ({"top": "fn f(d : Health) = d", "cost": "ind(f(x) == 0)"}, "MFG201"),
        ({"step": "x - a"}, "MFG303"),
        ({"step": "x - a", "where": "where a <= x + 1"}, "MFG303"),
        ({"where": "where mu[x = a] < 0.5"}, "MFG105"),
        ({"where": "where a > x"}, "MFG306"),
        ({"cost": "crowd"}, "MFG105"),
        ({"cost": "1 / (x - 1)"}, "MFG304"),
        ({"body": "state y : real in [0, 1] ~ uniform\n  y' = y", "cost": "mu[y = y]"}, "MFG403"),
        ({"body": "noise e : int in 0..1 ~ f\n  noise f : int in 0..1 ~ e", "step": "e"}, "MFG105"),
    ],
)
def test_one_fault_gives_one_error(parts: dict[str, str], code: str) -> None:
    assert codes(compiled(**parts)) == [code]


def test_next_values_of_illegal_actions_stay_inside_so_that_every_row_is_a_law() -> None:
    model = compiled(step="x - a", where="where a <= x").require_model()
    states = meaning.joint_states(model)
    law = {(states[0], (0,)): 1.0}
    for state in states:
        for action in meaning.joint_actions(model):
            row = meaning.kernel_row(model, 0, law, state, action)
            assert set(row) <= set(states)
            assert sum(row.values()) == pytest.approx(1, abs=1e-12)


def test_a_claim_about_a_cost_is_about_the_cost_as_it_is_written() -> None:
    assert codes(compiled(body="cost walk = x\n  require walk in [0, 2]")) == []
    assert codes(compiled(body="cost walk = x\n  require walk in [-2, -1]")) == ["MFG511"]


def test_definitions_that_need_each_other_deeply_are_an_error_and_no_model() -> None:
    functions = "fn f0(y) = y\n" + "\n".join(f"fn f{i}(y) = f{i - 1}(y) + 1" for i in range(1, 90))
    lets = "let l0 = 1\n" + "\n".join(f"let l{i} = l{i - 1} + 1" for i in range(1, 300))
    wide = "fn w0(y) = y\n" + "\n".join(
        f"fn w{i}(y) = {'(' * 50}w{i - 1}(y){')' * 50}" for i in range(1, 60)
    )
    assert codes(compiled(top=functions, cost="f89(x)")) == ["MFG702"]
    assert codes(compiled(top=lets, cost="l299")) == ["MFG702"]
    assert codes(compiled(top=wide, cost="w59(x)")) == ["MFG702"]


def test_functions_that_double_the_work_are_stopped() -> None:
    doubling = "fn d0(y) = y\n" + "\n".join(
        f"fn d{i}(y) = d{i - 1}(y) + d{i - 1}(y + 1)" for i in range(1, 30)
    )
    compilation = compiled(top=doubling, cost="d29(x)")
    assert codes(compilation) == ["MFG703"]
    assert compilation.seconds < 5


def test_an_example_of_a_failure_names_no_member_inside_a_mean() -> None:
    compilation = compiled(law="mix { 0.5 + prob(q.x == x for q in people) -> S, else -> I }")
    (diagnostic,) = compilation.diagnostics
    assert diagnostic.code == "MFG301"
    assert all("q." not in note for note in diagnostic.notes)


def test_a_condition_that_is_true_for_one_value_of_an_index_is_no_constant() -> None:
    assert codes(compiled(cost="sum(mu[x = i] * ind(i <= x) for i in 0..2)")) == []
    assert codes(compiled(cost="sum(mu[x = i] * ind(x < i + 3) for i in 0..2)")) == ["MFG802"]
