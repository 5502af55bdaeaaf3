"""The canonical layout: what it changes, what it keeps, and that once is enough."""

import dataclasses
import random
from pathlib import Path

import pytest

from mfdsl.compiler.diagnostics import CompileError, Sink
from mfdsl.compiler.source import SourceFile
from mfdsl.compiler.syntax import format as formatting
from mfdsl.compiler.syntax.format import FormatError, format_source
from mfdsl.compiler.syntax.parse import parse
from mfdsl.compiler.syntax.tokens import CLOSERS, OPENERS, scan

ROOT = Path(__file__).parents[2]
SPECS = sorted([*(ROOT / "specs").rglob("*.mfg"), *(ROOT / "tests/golden/language").rglob("*.mfg")])
PLACES = ("span", "row_spans", "file")
TEMPLATE = "model m\n\nobjective nash\nhorizon 10\n\n"


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def body(text: str) -> str:
    """The members of a population after formatting, given as they are typed."""
    formatted = format_source(f"{TEMPLATE}population p as mu {{\n{text}\n}}\n")
    return formatted.split("population p as mu {\n")[1].removesuffix("}\n")


def top(text: str) -> str:
    return format_source(TEMPLATE + text + "\n").removeprefix(TEMPLATE)


@pytest.mark.parametrize("path", SPECS, ids=named)
def test_formatting_twice_is_formatting_once(path: Path) -> None:
    once = format_source(path.read_text(encoding="utf-8"), path.name)
    assert format_source(once, path.name) == once


@pytest.mark.parametrize("path", SPECS, ids=named)
def test_tokens_and_comments_are_kept(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    formatted = format_source(text, path.name)

    def kept(source: str) -> list[str]:
        return [" ".join(token.text.split()) for token in scan(source)]

    assert kept(formatted) == kept(text)


@pytest.mark.parametrize("path", SPECS, ids=named)
def test_blanks_in_the_source_do_not_matter(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    choose = random.Random(7)
    shaken = ""
    end = 0
    for token in scan(text):
        loose = token.start > end or token.text in OPENERS or token.text in CLOSERS
        blanks = choose.choice([" ", "   ", "\t"]) if loose else ""
        shaken += "\n" * token.newlines + blanks + token.text
        end = token.end
    assert format_source(shaken) == format_source(text)


def without_places(node: object) -> object:
    """The tree as nested tuples, without spans."""
    if dataclasses.is_dataclass(node):
        fields = (f.name for f in dataclasses.fields(node) if f.name not in PLACES)
        return type(node).__name__, *(without_places(getattr(node, name)) for name in fields)
    return tuple(map(without_places, node)) if isinstance(node, tuple) else node


def tree(text: str) -> object:
    return without_places(parse(SourceFile("spec.mfg", text), Sink()))


@pytest.mark.parametrize("path", SPECS, ids=named)
def test_line_breaks_in_odd_places_keep_the_tree_and_settle_at_once(path: Path) -> None:
    tokens = scan(path.read_text(encoding="utf-8"))
    choose = random.Random(path.name)
    for _ in range(3):
        pieces = []
        for token in tokens:
            breaks = token.newlines
            if token.kind not in ("comment", "doc") and choose.random() < 0.05:
                breaks += choose.choice([1, 2])
            own = "\n# own\n" if choose.random() < 0.01 else ""
            pieces.append(own + ("\n" * breaks or " ") + token.text)
        shaken = "".join(pieces)
        formatted = format_source(shaken)
        assert tree(formatted) == tree(shaken)
        assert format_source(formatted) == formatted


def test_declarations_in_a_run_are_aligned() -> None:
    assert (
        top("param n:int in 1..9=4\nparam p_still:real in [0,1]=0.5\n\nparam q:real in [0,1]=0.5")
        == "param n       : int in 1..9 = 4\nparam p_still : real in [0, 1] = 0.5\n\n"
        "param q : real in [0, 1] = 0.5\n"
    )


def test_members_are_aligned_by_kind() -> None:
    source = """state x:int in 0..n-1~uniform
action move:int in -1..1
noise e:bool~bernoulli(0.5)
let m=mean(q.x for q in p)
let gap=m-x
x'=clip(x+move)
load'~mix{0.5->0,else->1}
reward a=-mu[x]
cost long_name=2*x^-1
final reward b=x"""
    assert (
        body(source)
        == """\
  state  x    : int in 0..n - 1 ~ uniform
  action move : int in -1..1
  noise  e    : bool ~ bernoulli(0.5)
  let m   = mean(q.x for q in p)
  let gap = m - x
  x'    = clip(x + move)
  load' ~ mix { 0.5 -> 0, else -> 1 }
  reward a         = -mu[x]
  cost   long_name = 2 * x^-1
  final reward b = x
"""
    )


def test_a_reward_without_a_name_is_aligned_with_those_that_have_one() -> None:
    assert body("reward=1\ncost b=2") == "  reward   = 1\n  cost   b = 2\n"
    assert body("reward=1\ncost=2") == "  reward = 1\n  cost   = 2\n"


def test_comments_keep_their_place_and_are_aligned() -> None:
    source = """# first
## what x is
state x : int in 0..1 ~ uniform # end
action along : int in 0..1   ## of line
# last"""
    assert (
        body(source)
        == """\
  # first
  ## what x is
  state  x     : int in 0..1 ~ uniform  # end
  action along : int in 0..1            ## of line
  # last
"""
    )


def test_a_comment_inside_an_expression_keeps_its_line_breaks() -> None:
    source = "x' = min(1, # cap\n# of the next\nx)"
    assert (
        body(source)
        == """\
  x' = min(1,  # cap
           # of the next
           x)
"""
    )


def test_a_comment_too_long_to_share_the_column_does_not_push_the_others() -> None:
    wide = "let b = " + " + ".join(["mean_of_x"] * 7)
    source = f"let a = 1 # short\n{wide} # {'long ' * 5}\nlet c = 1 # {'word ' * 10}"
    first, second, third = body(source).splitlines()
    assert first.index("#") == third.index("#")
    assert second.index("#") == len(wide) + 4


def test_a_broken_declaration_that_fits_is_joined() -> None:
    assert body("x' = x\n   + a\n   + e") == "  x' = x + a + e\n"
    assert body("let\nlocal\n= 1") == "  let local = 1\n"


def test_a_long_declaration_stays_broken_and_is_indented_by_its_brackets() -> None:
    term = "some_long_name_of_a_term"
    source = f"let z = {term} * {term}\n+ max({term}, {term},\n{term},\n{term}) * (\n{term}\n)"
    assert (
        body(source)
        == f"""\
  let z = {term} * {term}
            + max({term}, {term},
                  {term},
                  {term}) * (
              {term}
            )
"""
    )


def test_broken_arms_stay_broken_and_their_arrows_are_aligned() -> None:
    source = "h' = match h {\nS->a,\nlong->if x\nthen b\nelse c,\nelse->match g {\nA->1\n}\n}"
    assert (
        body(source)
        == """\
  h' = match h {
    S    -> a,
    long -> if x
      then b
      else c,
    else -> match g {
      A -> 1
    }
  }
"""
    )


def test_arms_on_one_line_stay_on_one_line() -> None:
    assert body("h' ~ mix{0.5->a,else->b}") == "  h' ~ mix { 0.5 -> a, else -> b }\n"


def test_map_rows_are_shifted_as_a_block() -> None:
    source = 'grid rooms {\nmap """\n      ###\n      #.#\n      ###\n"""\nmoves von_neumann\n}'
    assert (
        top(source)
        == '''\
grid rooms {
  map """
    ###
    #.#
    ###
  """
  moves von_neumann
}
'''
    )


def test_settings_on_one_line_are_two_blanks_apart() -> None:
    assert top("solver{method=omd iterations=9}") == "solver { method = omd  iterations = 9 }\n"
    assert top("grid g{size 3,3 periodic moves moore}") == (
        "grid g { size 3, 3  periodic  moves moore }\n"
    )


def test_settings_on_lines_of_their_own_are_aligned() -> None:
    assert top("solver {\nmethod = omd\niterations = 9\n}") == (
        "solver {\n  method     = omd\n  iterations = 9\n}\n"
    )


def test_blank_lines_are_reduced_to_one_and_left_out_at_the_ends_of_a_block() -> None:
    assert body("\n\nstate x : bool = true\n\n\n\nx' = x\n\n") == (
        "  state x : bool = true\n\n  x' = x\n"
    )


def test_a_block_on_one_line_is_opened() -> None:
    assert top("environment market { noise z : bool ~ bernoulli(0.5) }") == (
        "environment market {\n  noise z : bool ~ bernoulli(0.5)\n}\n"
    )


def test_operators_become_ascii() -> None:
    assert body("x′ = if x≤1 and y ≠ 2 then x·y else 0") == (
        "  x' = if x <= 1 and y != 2 then x * y else 0\n"
    )


def test_signs_and_differences_are_told_apart() -> None:
    assert body("let z = - x - -y*(-1) - - -[ -1 , 2 ][ 0 ]") == (
        "  let z = -x - -y * (-1) - - -[-1, 2][0]\n"
    )


def test_windows_line_ends_become_plain_ones() -> None:
    assert format_source("model m\r\n\r\n# c\r\nhorizon 3\r\n") == "model m\n\n# c\nhorizon 3\n"


def test_syntax_errors_are_reported_and_nothing_is_formatted() -> None:
    with pytest.raises(CompileError) as caught:
        format_source("model m\n\nlet x = 2 y\n", "broken.mfg")
    assert caught.value.diagnostics[0].code == "MFG002"
    assert "broken.mfg:3" in str(caught.value)


def test_a_loss_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formatting, "_layout", lambda tokens, unit: "model m\n")
    with pytest.raises(FormatError, match=r"spec\.mfg would change more than blanks"):
        format_source("model m\n\n# lost\nhorizon 3\n")


def test_a_broken_head_of_a_block_is_joined() -> None:
    assert (
        top("population\nwalker as\nmu\n{\nx' = x\n}") == "population walker as mu {\n  x' = x\n}\n"
    )
