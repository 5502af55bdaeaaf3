"""What passes the checks is a game: laws add up, values stay in their domain, numbers stay finite.

Each case here was once accepted and meant something else, or refused without need.
"""

import math
from pathlib import Path

import pytest

from mfdsl.compiler.driver import Compilation, Options, compile_file, compile_text
from mfdsl.compiler.ir import meaning

SPEC = """model small
{top}
objective nash
horizon 3
population people as mu {{
  {state}
  action a : int in 0..1
  {body}
  {step}
  reward total = mu[{first}] + a + ({reward})
}}
"""


def compiled(
    *,
    top: str = "",
    state: str = "state x : int in 0..3 ~ uniform",
    body: str = "",
    step: str = "x' = x",
    reward: str = "0",
    first: str = "x = x",
    imports: dict[str, str] | None = None,
) -> Compilation:
    text = SPEC.format(top=top, state=state, body=body, step=step, reward=reward, first=first)
    return compile_text(text, imports=imports or {})


def codes(compilation: Compilation) -> list[str]:
    return [d.code for d in compilation.diagnostics if d.severity == "error"]


def uniform_law(compilation: Compilation) -> dict[tuple[tuple[int, ...], tuple[int, ...]], float]:
    model = compilation.require_model()
    keys = [(s, a) for s in meaning.joint_states(model) for a in meaning.joint_actions(model)]
    return dict.fromkeys(keys, 1 / len(keys))


def rows(compilation: Compilation) -> list[dict[tuple[int, ...], float]]:
    """The next law of every state and action."""
    model, law = compilation.require_model(), uniform_law(compilation)
    return [meaning.kernel_row(model, 0, law, s, a) for s, a in law]


@pytest.mark.parametrize(
    "law",
    [
        "choose(y in 0..9, weight = 1 / 10)",
        "choose(y in 1..4, weight = 1 / 4)",
        "normalize(y in 2..7, weight = 1 + y)",
        "softmax(y in -1..2, score = y)",
    ],
)
def test_a_choice_outside_the_domain_is_refused(law: str) -> None:
    assert codes(compiled(step=f"x' ~ {law}")) == ["MFG303"]


@pytest.mark.parametrize(
    "law", ["choose(y in 1..2, weight = y / 3)", "softmax(y in 1..3, score = y * mu[x = y])"]
)
def test_a_choice_inside_the_domain_adds_up(law: str) -> None:
    for row in rows(compiled(step=f"x' ~ {law}")):
        assert math.isclose(sum(row.values()), 1.0)


def test_a_listed_set_whose_elements_may_coincide_is_refused() -> None:
    assert codes(compiled(step="x' ~ uniform({x, 0})")) == ["MFG301"]


def test_a_listed_set_that_leaves_the_domain_is_refused() -> None:
    assert codes(compiled(step="x' ~ uniform({x, x + 1})")) == ["MFG303"]


def test_a_listed_set_on_a_ring_is_drawn_evenly() -> None:
    found = compiled(
        state="state x : int mod 1..12 ~ uniform", step="x' ~ uniform({x - 1, x, x + 1})"
    )
    for row in rows(found):
        assert sorted(row.values()) == pytest.approx([1 / 3] * 3)


RINGS = "state x : int mod 4 ~ uniform\n  state y : int mod 10 ~ uniform"


@pytest.mark.parametrize("value", ["if a == 0 then x else y", "match a { 0 -> x, else -> 17 }"])
def test_a_choice_between_a_ring_and_another_number_is_wrapped(value: str) -> None:
    found = compiled(state=RINGS, step=f"x' = {value}\n  y' = y")
    assert all(0 <= x < 4 and 0 <= y < 10 for row in rows(found) for x, y in row)


def test_a_choice_between_a_position_and_a_position_by_number_stays_on_the_ring() -> None:
    found = compiled(
        state="state x : int mod 4 ~ uniform",
        body="let y = if a == 0 then x else 3",
        reward="y + 1",
    )
    law = uniform_law(found)
    assert meaning.reward(found.require_model(), 0, law, (0,), (1,)) == 0.25 + 1 + 0


def test_dither_on_a_ring_of_one_adds_up() -> None:
    found = compiled(
        state="state x : int mod 1 ~ uniform", step="x' ~ dither(mean(q.a for q in people))"
    )
    assert all(row == {(0,): 1.0} for row in rows(found))


def test_a_whole_remainder_is_taken_in_the_branch_that_its_divisor_is_not_0_in() -> None:
    assert codes(compiled(reward="rem(5, x)")) == ["MFG304"]
    assert codes(compiled(reward="if x >= 0 then rem(5, x) else 0")) == ["MFG304"]
    assert codes(compiled(reward="if x > 0 then rem(5.5, x) else 0")) == []
    found = compiled(reward="if x > 0 then rem(5, 2 * x) else 7")
    assert codes(found) == []
    law = uniform_law(found)
    assert meaning.reward(found.require_model(), 0, law, (0,), (0,)) == 7.25
    assert meaning.reward(found.require_model(), 0, law, (1,), (0,)) == 1.25


@pytest.mark.parametrize(
    "reward",
    ["exp(1000 * mu[x = 0])", "x^60", "floor(exp(60 * x))", "x * 100000000000000000000000"],
)
def test_what_overflows_is_refused(reward: str) -> None:
    assert codes(compiled(reward=reward)) in (["MFG304"], ["MFG201"])


def test_a_score_that_may_be_infinite_is_refused() -> None:
    law = "softmax(y in 0..3, score = if mu[x = y] > 0 then 1 / mu[x = y] else 0)"
    assert "MFG304" in codes(compiled(step=f"x' ~ {law}"))


@pytest.mark.parametrize(
    "reward",
    [
        "if mu[x = 0] > 0 and mu[x = 0] < 0.5 then 1 / mu[x = 0] else 0",
        "if mu[x = 0] == 0 then 0 else 1 / mu[x = 0]",
        "if mu[x = 0] != 0 then 1 / mu[x = 0] else 0",
        "if mu[x = 0] <= 0 or x == 0 then 0 else 1 / mu[x = 0]",
        "if not (mu[x = 0] <= 0 or x == 0) then 1 / mu[x = 0] else 0",
        "match { mu[x = 0] < 0.1 -> 0, mu[x = 0] > 0.5 -> 1, else -> 1 / mu[x = 0] }",
    ],
)
def test_conditions_of_any_shape_guard(reward: str) -> None:
    assert codes(compiled(reward=reward)) == []


@pytest.mark.parametrize(
    "reward",
    [
        "if mu[x = 0] > 0 or x == 0 then 1 / mu[x = 0] else 0",
        "if mu[x = 0] != 1 then 1 / mu[x = 0] else 0",
        "if not (mu[x = 0] > 0 and x == 0) then 1 / mu[x = 0] else 0",
    ],
)
def test_conditions_that_leave_a_way_do_not_guard(reward: str) -> None:
    assert codes(compiled(reward=reward)) == ["MFG304"]


def test_a_condition_on_an_index_says_nothing_about_the_index_of_another_sum() -> None:
    top = "fn over(v) = sum(if k > 20 then 1 / v else 0 for k in 0..40)"
    assert codes(compiled(top=top, reward="over(sum(j - 20 for j in 0..40))")) == ["MFG304"]


def test_an_array_given_to_a_function_keeps_its_own_index() -> None:
    found = compiled(
        top="fn total(A) = sum(A[k] for k in 0..9)",
        reward="total([sum(i * j for j in 0..9) for i in 0..9])",
    )
    law = uniform_law(found)
    assert meaning.reward(found.require_model(), 0, law, (0,), (0,)) == 0.25 + 45 * 45


def test_time_is_the_horizon_in_a_final_reward() -> None:
    final = "let w = A[t]\n  final reward end = w"
    short = compiled(top="param A : real[3] = [1, 2, 3]", body=final)
    assert codes(short) == ["MFG212"]
    long = compiled(top="param A : real[4] = [1, 2, 3, 4]", body=final).require_model()
    assert meaning.final_reward(long, 3, {(0,): 1.0}, (0,)) == 4


def test_a_remainder_of_reals_reaches_up_to_its_divisor() -> None:
    assert codes(compiled(top="require total in [0, 1.5]", reward="rem(mu[x = x], 1)")) == [
        "MFG511"
    ]


def test_time_modulo_a_period_is_an_index() -> None:
    text = SPEC.format(
        top="param A : real[4] = [1, 2, 3, 4]\ndiscount 0.9",
        state="state x : int in 0..3 ~ uniform",
        body="",
        step="x' = x",
        reward="A[rem(t, 4)]",
        first="x = x",
    )
    assert codes(compile_text(text.replace("horizon 3", "horizon infinite"))) == []


def test_a_power_with_a_counting_parameter_takes_any_base() -> None:
    top = "param k : int in 0..4 = 2"
    assert codes(compiled(top=top, reward="mu[x = 0]^k + (x - 1)^k")) == []
    top = "param k : int in -1..4 = 2"
    assert codes(compiled(top=top, reward="mu[x = 0]^k")) == ["MFG304"]


@pytest.mark.parametrize(
    ("least", "reward", "found"),
    [
        ("0.1", "mu[x = 0]^p + mu[x = 0]^(1 - p)", []),
        ("0.1", "mu[x = 0]^(p - 1)", ["MFG304"]),
        ("0.1", "(mu[x = 0] - 0.5)^p", ["MFG304"]),
        ("0", "mu[x = 0]^p", ["MFG304"]),
    ],
)
def test_nothing_has_a_power_whose_exponent_is_above_0_in_all_of_its_range(
    least: str, reward: str, found: list[str]
) -> None:
    top = f"param p : real in [{least}, 0.9] = 0.3"
    assert codes(compiled(top=top, reward=reward)) == found


def test_arrays_of_truth_values_are_refused_where_they_are_declared() -> None:
    assert codes(compiled(top="param B : bool[2] = [true, false]")) == ["MFG201"]


def test_an_infinite_number_in_an_array_is_refused() -> None:
    text = SPEC.format(
        top="param A : real[2] = [1, 2]",
        state="state x : int in 0..3 ~ uniform",
        body="",
        step="x' = x",
        reward="A[a]",
        first="x = x",
    )
    options = Options(parameters={"A": (math.inf, 1.0)})
    assert codes(compile_text(text, options=options)) == ["MFG307"]


def test_two_files_cannot_declare_a_type_of_the_same_name() -> None:
    library = "library lib\nenum Health { S, I }\nfn sick(h) = ind(h == I)\n"
    top = 'import sick from "lib.mfg"\nenum Health { R, Q, S, I }'
    assert codes(compiled(top=top, imports={"lib.mfg": library})) == ["MFG102"]


def test_a_library_may_import_a_grid_of_a_library_that_is_read_later() -> None:
    imports = {
        "far.mfg": 'library l1\nimport rooms from "rooms.mfg"\nfn far(c) = path_dist(c, rooms.E)',
        "rooms.mfg": 'library l2\ngrid rooms { map """\n..E\n.#.\n""" }\n',
    }
    found = compiled(
        top='import far from "far.mfg"\nimport rooms from "rooms.mfg"',
        state="state x : rooms.cell ~ uniform",
        reward="far(x)",
        imports=imports,
    )
    assert codes(found) == []


@pytest.mark.parametrize("path", [f"{'a' * 4000}.mfg", "loop.mfg", "plain.mfg/other.mfg"])
def test_a_path_that_no_file_can_have_is_a_message(tmp_path: Path, path: str) -> None:
    (tmp_path / "loop.mfg").symlink_to(tmp_path / "loop.mfg")
    (tmp_path / "plain.mfg").write_text("library plain\n")
    model = tmp_path / "model.mfg"
    model.write_text(f'model small\nimport f from "{path}"\n')
    assert "MFG011" in codes(compile_file(model))


def test_whether_an_action_is_legal_at_every_time_of_an_infinite_horizon_may_stay_open() -> None:
    text = SPEC.format(
        top="discount 0.9",
        state="state x : int in 0..3 ~ uniform",
        body="",
        step="x' = x",
        reward="floor(1.5 * t)",
        first="x = x",
    ).replace("horizon 3", "horizon infinite")
    assert codes(compile_text(text)) == []
    masked = text.replace("int in 0..1", "int in 0..1 where rem(t, 2) == a")
    message = next(d for d in compile_text(masked).diagnostics if d.code == "MFG306").message
    assert message.startswith("it is not certain")
