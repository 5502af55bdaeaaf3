"""Diagrams: arrows are what the model reads, dashed through a law."""

import pytest

from mfdsl.compiler.driver import compile_text
from mfdsl.compiler.typeset.diagram import diagram, print_dot, print_mermaid

TEXT = """model m
objective nash
horizon 3
population p {
  state x : int in 0..2 ~ uniform
  state y : int in 0..2 ~ uniform
  action a : int in -1..1
  noise e : bool ~ bernoulli(0.5)
  let crowd = prob(q.x == x for q in p)
  x' = clip(x + (if e then a else 0))
  y' = y
  reward calm = -crowd
}
"""


def pairs(focus: str | None = None) -> set[tuple[str, str, bool]]:
    found = diagram(compile_text(TEXT).require_model(), focus)
    return {(a.source.name, a.target.name, a.law) for a in found.arrows}


def test_arrows_follow_what_is_read() -> None:
    assert pairs() == {
        ("x", "x", False),
        ("a", "x", False),
        ("e", "x", False),
        ("y", "y", False),
        ("x", "crowd", False),
        ("x", "crowd", True),
        ("crowd", "calm", False),
    }


def test_focus_keeps_what_leads_there() -> None:
    assert {name for pair in pairs("reward") for name in pair[:2]} == {
        "x",
        "a",
        "e",
        "crowd",
        "calm",
    }
    with pytest.raises(KeyError):
        pairs("nothing")


def test_both_printers_show_every_box_and_dash_laws() -> None:
    model = compile_text(TEXT).require_model()
    shown = diagram(model)
    mermaid, dot = print_mermaid(model, shown), print_dot(model, shown)
    for box in shown.boxes:
        assert f'"{box.name}"' in mermaid
        assert f'label="{box.name}"' in dot
    assert mermaid.count("-.->") == dot.count("dashed") == 1
