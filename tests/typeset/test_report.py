"""Reports and formulas: what the author wrote, in LaTeX that is balanced and escaped."""

import re
from pathlib import Path

import pytest

from mfdsl.compiler.driver import compile_file, compile_text
from mfdsl.compiler.typeset.blocks import Formulas, print_latex, print_markdown
from mfdsl.compiler.typeset.report import report_blocks

SPECS = sorted(Path("specs").glob("*.mfg"))

WALK = """## Costs 5 % & more_or_less.
model walk
param beta_1 : real in [0, 1] = 0.5
fn near(d) = max(0, 1 - d / beta_1)
objective nash
horizon 3
population p as mu {
  state x : int in 0..2 ~ uniform
  action a : int in -1..1
  let crowd = prob(q.x == x for q in p)
  x' = clip(x + a)
  reward calm = -(beta_1 * crowd) ^ 2 + 0 * near(1) + 0 * mu[x]
}
"""


def formulas(text: str) -> list[str]:
    done = compile_text(text)
    assert done.unit is not None
    blocks = report_blocks(done.unit, done.require_model(), done.certificates)
    return [row for block in blocks if isinstance(block, Formulas) for row in block.rows]


def test_formulas_are_in_the_order_of_the_author() -> None:
    rows = formulas(WALK)
    crowd = r"\mathbb{P}_{q \sim \mu_{t}}\left[x^{q} = x_{t}\right]"
    assert rf"\mathit{{crowd}}_{{t}} &= {crowd}" in rows
    assert r"x_{t+1} &= \operatorname{\mathit{clip}}\left(x_{t} + a_{t}\right)" in rows
    assert any(r"-{\left(\beta_{1} \, \mathit{crowd}_{t}\right)}^{2}" in row for row in rows)
    near = r"\mathit{near}\left(d\right) &= \max\left(0, 1 - \frac{d}{\beta_{1}}\right)"
    assert near in rows


def test_words_are_escaped_for_their_target() -> None:
    done = compile_text(WALK)
    assert done.unit is not None
    blocks = report_blocks(done.unit, done.require_model())
    assert r"Costs 5 \% \& more\_or\_less." in print_latex(blocks)
    assert r"more\_or\_less" in print_markdown(blocks)


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_every_shipped_game_has_a_balanced_report(path: Path) -> None:
    done = compile_file(path)
    assert done.unit is not None
    blocks = report_blocks(done.unit, done.require_model(), done.certificates)
    for block in blocks:
        for row in block.rows if isinstance(block, Formulas) else ():
            bare = re.sub(r"\\[{}]", "", row)
            assert bare.count("{") == bare.count("}"), row
            assert row.count(r"\left") == row.count(r"\right"), row
            assert row.count(r"\begin") == row.count(r"\end"), row
            assert row.count("&") >= 1, row
    names = {player.name for player in done.require_model().players}
    assert all(any(name.split("[")[0] in str(b) for b in blocks) for name in names)
