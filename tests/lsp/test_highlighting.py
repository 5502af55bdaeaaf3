"""Colours in documents: the lexer keeps every character and knows the words of the language."""

import tomllib
from importlib import import_module
from pathlib import Path

from pygments.token import Error, Keyword, Name, String

from mfdsl.compiler.syntax.tokens import KEYWORDS
from mfdsl.highlighting import SpecLexer
from mfdsl.shipped import shipped_specs

ROOT = Path(__file__).parents[2]


def test_every_shipped_game_comes_back_whole_and_without_faults() -> None:
    lexer = SpecLexer(stripnl=False)
    for path in shipped_specs().values():
        text = path.read_text()
        found = list(lexer.get_tokens(text))
        assert "".join(part for _, part in found) == text
        assert not any(kind in Error for kind, _ in found)


def test_words_have_their_colours() -> None:
    found = {part: kind for kind, part in SpecLexer().get_tokens('let x = mean("a") $ ' + "t")}
    (real,) = (kind for kind, part in SpecLexer().get_tokens("real") if part == "real")
    assert real in Keyword.Type
    assert found["let"] in Keyword and found["mean"] in Name.Builtin
    assert found['"a"'] in String and found["$"] in Error and found["x"] is Name
    words = list(SpecLexer().get_tokens(" ".join(sorted(KEYWORDS))))
    assert not any(kind in Name for kind, _ in words)


def test_the_entry_point_names_the_lexer() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (entry,) = project["entry-points"]["pygments.lexers"].values()
    module, _, name = entry.partition(":")
    assert getattr(import_module(module), name) is SpecLexer
