"""Helps repeat what the author wrote, on one line and short enough to read."""

import re

import pytest

from mfdsl.compiler.diagnostics import Edit, Sink
from mfdsl.compiler.driver import compile_text
from mfdsl.compiler.ir.build import Builder
from mfdsl.compiler.sema.context import MAX_WRITTEN, Context, closing
from mfdsl.compiler.source import SourceFile, Span

GAME = """\
model walk
objective nash
horizon 2
population walker as mu {
  state x : int in 0..2 ~ uniform
  action a : int in -1..1
  x' = clip(x + a)
  reward gain = VALUE
}
population other {
  state y : int in 0..2 ~ uniform
  action b : int in 0..1
  y' = y
  reward gain = y
}
"""


def context(text: str) -> tuple[Context, Span]:
    source = SourceFile("spec.mfg", text)
    return Context(Builder(), Sink(), sources={source.name: source}), Span(
        source.name, 0, len(text)
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a + b", "a + b"),
        ("(a + b)", "a + b"),
        ("(a) + (b)", "(a) + (b)"),
        ("max(a,   # the first\n    b)", "max(a, b)"),
    ],
)
def test_the_text_is_on_one_line_without_comments_and_brackets_around(
    text: str, shown: str
) -> None:
    ctx, span = context(text)
    assert ctx.written(span) == shown


def test_edits_are_made_and_long_texts_are_cut() -> None:
    ctx, span = context("prob(h == I)")
    assert ctx.written(span, [Edit(Span("spec.mfg", 5, 5), "q.")]) == "prob(q.h == I)"
    ctx, span = context("a + " * 40 + "a")
    assert len(ctx.written(span)) <= MAX_WRITTEN and ctx.written(span).endswith("...")


def test_an_operand_has_brackets_where_an_operator_would_tear_it() -> None:
    for text, shown in (("a + b", "(a + b)"), ("mu[x]", "mu[x]"), ("(a + b)", "(a + b)")):
        ctx, span = context(text)
        assert ctx.operand(span) == shown
    assert closing("(a", 0) == -1


@pytest.mark.parametrize(
    ("value", "helps"),
    [
        ("1 / (x - 1)", ["max(x - 1, 0.01)", "if (x - 1) > 0"]),
        ("exp(1000 * x)", ["exp(min(1000 * x, 100))"]),
        ("log(x)", ["log(x + 1e-6)", "log(max(x, 1e-6))"]),
        ("mean(q.x for q in walker if q.x > 1)", ["if prob(q.x > 1 for q in walker) > 0"]),
        ("mean(k for k in 0..3)", ["sum(k for k in 0..3) / 4"]),
        ("prob(k > 1 for k in 0..3)", ["sum(ind(k > 1) for k in 0..3) / 4"]),
        ("min(k for k in 0..3 if k > x)", ["min(if k > x then k else 1e9 for k in 0..3)"]),
        ("max(q.x for q in walker if q.a > 0)", ["max(if q.a > 0 then q.x else -1e9 for q in wal"]),
        ("normal(x, std = 1)", ["~ normal(x, std = 1)`"]),
        ("mean(x)", ["mean(q.x for q in walker)", "mean(x for q in other)"]),
        ("y", ["mean(q.y for q in other)"]),
        ("walker[1]", ["mean(q.x for q in walker)"]),
        ("match { x > 1 -> 3 * a }", ["else -> 3 * a"]),
        ("1 + if x > 1 then a else 2", ["+ (if x > 1 then a else 2)"]),
        ("x + x'", ["`let next_x`"]),
    ],
)
def test_helps_name_what_stands_there(value: str, helps: list[str]) -> None:
    found = compile_text(GAME.replace("VALUE", value)).diagnostics
    said = "\n".join(help.text for d in found for help in d.helps)
    for text in helps:
        assert text in said
    assert not re.search(r"`[^`\n]*\.\.\.[^`\n]*`", said)
