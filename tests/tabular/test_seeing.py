"""What tables show to policies, and what `observe` lets them see."""

import pytest

from mfdsl.errors import UsageError
from mfdsl.game import load
from mfdsl.runtime.evaluate import Evaluation, build_view


def kind_of(text: str) -> str:
    view = build_view(load(text=text).program)
    return Evaluation(view, view.uniform()).exploitability.kind


@pytest.mark.parametrize(
    ("start", "step", "kind"),
    [
        ("= 0", "= a", "exact"),
        ("= 0", "= if e then a else x", "exact"),
        ("= 0", "= k", "estimate"),
        ("= 0", "= if f then a else x", "estimate"),
        ("= k", "= a", "estimate"),
    ],
)
def test_hidden_traits_that_move_states_make_another_game(start: str, step: str, kind: str) -> None:
    """Where x says what k was, one who plays a = x is paid 1 a stage, and fresh traits know nothing
    of it.
    """
    text = f"""
model veiled
horizon 3
objective nash
population p as mu {{
  trait  k : int in 0..1 ~ uniform
  state  x : int in 0..1 {start}
  action a : int in 0..1
  noise  e : bool ~ bernoulli(0.25)
  noise  f : bool ~ bernoulli(0.25 + 0.5 * k)
  x' {step}
  reward r = ind(a == k) + ind(f)
  observe x, t
}}
"""
    assert kind_of(text) == kind


@pytest.mark.parametrize(
    ("observe", "kind"),
    [
        ("t", None),
        ("law(p)", None),
        ("t, law(p)", None),
        ("x", "estimate"),
        ("x, t", "exact"),
        ("", "exact"),
    ],
)
def test_tables_show_no_more_than_policies_may_see(observe: str, kind: str | None) -> None:
    text = f"""
model veiled
horizon 3
objective nash
population p as mu {{
  state  x : int in 0..1 ~ uniform
  action a : int in 0..1
  x' = a
  reward r = ind(a == x) - mu[a = a]
  {"observe " + observe if observe else ""}
}}
"""
    if kind is not None:
        assert kind_of(text) == kind
        return
    with pytest.raises(UsageError, match="policies of `p` do not see `x`"):
        _ = load(text=text).program


@pytest.mark.parametrize(
    ("start", "observe", "kind"),
    [
        ("= 0", "law(p)", "estimate"),  # s alternates: nobody knows it who does not know t
        ("= 0", "s", "estimate"),
        ("= 0", "s, law(p)", "estimate"),
        ("= 0", "s, t", "estimate"),  # pasts tell what m did, too
        ("= 0", "s, t, law(p)", "exact"),
        ("= 0", "", "exact"),
        ("~ uniform", "t", None),
        ("~ uniform", "law(p)", None),
        ("~ uniform", "s, t, law(p)", "exact"),
    ],
)
def test_tables_show_majors_no_more_than_they_may_see(
    start: str, observe: str, kind: str | None
) -> None:
    text = f"""
model veiled
horizon 3
objective nash
major m {{
  state  s : int in 0..1 {start}
  action c : int in 0..1
  s' = 1 - s
  reward hit = ind(c == s)
  {"observe " + observe if observe else ""}
}}
population p as mu {{
  state  x : int in 0..1 ~ uniform
  action a : int in 0..1
  x' = a
  reward r = ind(a == m.c) - mu[x]
}}
"""
    if kind is not None:
        assert kind_of(text) == kind
        return
    with pytest.raises(UsageError, match="policies of `m` do not see `s`"):
        _ = load(text=text).program


@pytest.mark.parametrize(
    ("observe", "kind"),
    [("x, t", "estimate"), ("x, t, sky.w", "estimate"), ("x, t, law(p)", "exact"), ("", "exact")],
)
def test_tables_show_noises_that_leave_no_trace_but_in_the_law(observe: str, kind: str) -> None:
    text = f"""
model veiled
horizon 3
objective nash
environment sky {{
  state  w : int in 0..1 = 0
  noise  z : bool ~ bernoulli(0.5)
  w' = w
}}
population p as mu {{
  state  x : int in 0..2 = 0
  action a : int in 0..2
  x' = if sky.z then a else 0
  reward r = 0.3 * ind(x == 0) - mu[x]
  {"observe " + observe if observe else ""}
}}
"""
    assert kind_of(text) == kind


@pytest.mark.parametrize(
    ("observe", "kind"),
    [
        ("x, t", "estimate"),
        ("x, t, law(other)", "estimate"),  # it stays as it is
        ("x, t, law(p)", "estimate"),  # what others did may show in the other law only
        ("x, t, law(p), law(other)", "exact"),
    ],
)
def test_noises_leave_their_trace_in_the_laws_of_all_populations(observe: str, kind: str) -> None:
    text = f"""
model veiled
horizon 3
objective nash
environment sky {{
  state  w : int in 0..1 = 0
  noise  z : bool ~ bernoulli(0.5)
  w' = w
}}
population other {{
  state  y : int in 0..1 = 0
  action b : int in 0..1
  y' = b
  reward r = 0.1 * ind(b == 0)
}}
population p as mu {{
  state  x : int in 0..2 = 0
  action a : int in 0..2
  x' = if sky.z then a else 0
  reward r = 0.3 * ind(x == 0) - mu[x] - prob(q.y == 0 for q in other)
  observe {observe}
}}
"""
    assert kind_of(text) == kind


@pytest.mark.parametrize(("observe", "kind"), [("x, t, sky.w", "exact"), ("x, t", None)])
def test_policies_remember_the_common_states_that_they_see(observe: str, kind: str | None) -> None:
    """The weather of today says nothing of the crowd that the weather of yesterday has made."""
    text = f"""
model remembered
horizon 3
objective nash
environment sky {{
  state  w : bool = false
  w' ~ bernoulli(0.5)
}}
population p as mu {{
  state  x : int in 0..1 = 0
  action a : int in 0..1
  x' = if sky.w then a else 0
  reward r = 0.3 * ind(x == 1) - mu[x]
  observe {observe}
}}
"""
    if kind is None:
        with pytest.raises(UsageError, match=r"policies of `p` do not see `sky\.w`"):
            _ = load(text=text).program
        return
    assert kind_of(text) == kind
    program = load(text=text).program
    assert program.state_count == 2 * 8, "two places in each of the eight pasts of t = 3"
