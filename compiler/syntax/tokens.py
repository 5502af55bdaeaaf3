"""Text to tokens, in linear time and for every input: comments are kept, nothing is reported."""

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

Kind = Literal[
    "name", "keyword", "number", "string", "map", "operator", "comment", "doc", "foreign",
    "point", "unclosed", "bad",
]  # fmt: skip


class Token(NamedTuple):
    """One token: `text` is `source[start:end]`, `newlines` counts line breaks just before it.

    Kinds: `name` (the words of `SOFT_KEYWORDS` too), `keyword`, `number`, `string` (with its
    quotes), `map` (a triple-quoted text with its quotes), `operator` (brackets and punctuation
    too), `comment` (`# ...`), `doc` (`## ...`). Faulty text: `foreign` (an operator of another
    language), `point` (a number without a digit on one side of the point), `unclosed` (a string
    without its end), `bad` (a character without meaning).
    """

    kind: Kind
    text: str
    start: int
    end: int
    newlines: int


KEYWORDS = frozenset(
    "model library import from param let fn enum grid graph environment major population as "
    "state trait noise weights action where reward cost final observe agents require assume "
    "objective horizon discount solver if then else match mix for in mod and or not real int bool "
    "true false".split()
)
SOFT_KEYWORDS = frozenset("map size moves periodic node link file".split())

OPENERS = {"(": ")", "[": "]", "{": "}"}
CLOSERS = {")": "(", "]": "[", "}": "{"}

# Alternate spellings and what they stand for.
ALTERNATES = {"≤": "<=", "≥": ">=", "≠": "!=", "·": "*", "′": "'"}

_PATTERN = re.compile(
    r"""
    (?P<blank>(?:[ \t\r\n]|\A\ufeff)+)
  | (?P<doc>\#\#[^\r\n]*)
  | (?P<comment>\#[^\r\n]*)
  | (?P<map>\"\"\"[\s\S]*?\"\"\")
  | (?P<unclosed_map>\"\"\"[^\n]*(?:\n(?![ \t]*(?:\}|[a-z]+(?:[ \t]|$)))[^\n]*)*)
  | (?P<string>"[^"\r\n]*")
  | (?P<unclosed>"[^"\r\n]*)
  | (?P<point>(?<![\w)\]'.])\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+\.(?![\w.]))
  | (?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)
  | (?P<name>[^\W\d_][\w\u0300-\u036f]*)
  | (?P<foreign>\*\*|&&?|\|\|?|===|!==|!(?!=)|;|[+*/]=|-=|//|%|=>|:=|<>|[?@$\\`]
        |[−–—×÷∗⋅∙→⇒∈∧∨¬≔“”„‘’\u00a0\u2007\u202f\u3000，；：（）＝])
  | (?P<operator>\.\.|->|--|<=|>=|==|!=|[-+*/^=<>~,:.()\[\]{}'≤≥≠·′])
  | (?P<bad>_\w*|.)
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)


def iterate(text: str) -> Iterator[Token]:
    """The tokens of `text` in order; the texts between them are blanks."""
    newlines = 0
    for match in _PATTERN.finditer(text):
        group = match.lastgroup
        value = match.group()
        if group == "blank":
            newlines += value.count("\n")
            continue
        kind: Kind
        match group:
            case "name" if value in KEYWORDS:
                kind = "keyword"
            case "unclosed_map":
                kind = "unclosed"
            case _:
                kind = group  # type: ignore[assignment]  # the other groups are named like kinds
        yield Token(kind, value, match.start(), match.end(), newlines)
        newlines = 0


def scan(text: str) -> list[Token]:
    """All tokens of `text`, comments included; never raises."""
    return list(iterate(text))
