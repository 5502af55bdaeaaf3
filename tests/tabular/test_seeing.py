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
