"""The scan keeps every character, and the grammar has the same words and signs."""

import logging
from importlib.resources import files
from pathlib import Path

import pytest
from lark import Lark

import mfdsl.compiler.syntax
from mfdsl.compiler.syntax.grammar import grammar
from mfdsl.compiler.syntax.lexeme import OPERATORS
from mfdsl.compiler.syntax.nearest import distance, nearest
from mfdsl.compiler.syntax.tokens import KEYWORDS, SOFT_KEYWORDS, scan

SPECS = Path(__file__).parents[1] / "golden" / "language"


def kinds(text: str) -> list[tuple[str, str]]:
    return [(token.kind, token.text) for token in scan(text)]


@pytest.mark.parametrize("path", sorted(SPECS.rglob("*.mfg")), ids=lambda p: p.stem)
def test_tokens_and_blanks_give_the_text_back(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    rebuilt, end = "", 0
    for token in scan(text):
        blank = text[end : token.start]
        assert blank.strip() == "" and blank.count("\n") == token.newlines
        rebuilt, end = rebuilt + blank + token.text, token.end
    assert rebuilt + text[end:] == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0..4", [("number", "0"), ("operator", ".."), ("number", "4")]),
        ("1e-6", [("number", "1e-6")]),
        (".5 1.", [("point", ".5"), ("point", "1.")]),
        ("x.y", [("name", "x"), ("operator", "."), ("name", "y")]),
        ("x'", [("name", "x"), ("operator", "'")]),
        ("## d\n# c", [("doc", "## d"), ("comment", "# c")]),
        ('"""a\n"""', [("map", '"""a\n"""')]),
        ('"abc', [("unclosed", '"abc')]),
        ("a ** b", [("name", "a"), ("foreign", "**"), ("name", "b")]),
        ("if iff", [("keyword", "if"), ("name", "iff")]),
    ],
)
def test_kinds_of_tokens(text: str, expected: list[tuple[str, str]]) -> None:
    assert kinds(text) == expected


def test_an_unclosed_map_leaves_the_declarations_below_alone() -> None:
    found = kinds('grid g { map """\n ##\n moves m }\nhorizon 5')
    assert ("keyword", "horizon") in found


def test_there_are_47_keywords_and_seven_soft_ones() -> None:
    assert len(KEYWORDS) == 47
    assert len(SOFT_KEYWORDS) == 7


def test_the_scan_and_the_grammar_know_the_same_words_and_signs() -> None:
    terminals = {t.name for t in grammar().terminals} - {"COMMENT"}
    words = {word.upper() for word in KEYWORDS | SOFT_KEYWORDS}
    ours = words | set(OPERATORS.values()) | {"NAME", "NUMBER", "STRING", "MAP_TEXT"}
    assert {t for t in terminals if not t.startswith("__IGNORE")} == ours


def test_the_grammar_of_a_whole_file_has_no_conflicts(caplog: pytest.LogCaptureFixture) -> None:
    text = files(mfdsl.compiler.syntax).joinpath("grammar.lark").read_text(encoding="utf-8")
    with caplog.at_level(logging.DEBUG, logger="lark"):
        Lark(text, parser="lalr", lexer="contextual", debug=True)
    assert [r.message for r in caplog.records if "conflict" in r.message.lower()] == []


@pytest.mark.parametrize(
    ("left", "right", "edits"),
    [("ab", "ba", 1), ("kitten", "sitting", 3), ("", "abc", 3), ("same", "same", 0)],
)
def test_distance_counts_swaps_of_neighbours_once(left: str, right: str, edits: int) -> None:
    assert distance(left, right) == distance(right, left) == edits


def test_nearest_is_close_or_nothing() -> None:
    assert nearest("popluation", ["major", "population"]) == "population"
    assert nearest("exposur", ["exposure"]) == "exposure"
    assert nearest("x", ["y"]) is None
    assert nearest("same", ["same"]) is None
    assert nearest("abcdefgh", ["stuvwxyz"]) is None
