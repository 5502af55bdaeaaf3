"""What the parser is fed: a token with the name of its terminal in the grammar and its span."""

from dataclasses import dataclass

from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax.tokens import SOFT_KEYWORDS, Token

OPERATORS = {
    "'": "PRIME",
    "<": "CMP",
    "<=": "CMP",
    ">": "CMP",
    ">=": "CMP",
    "==": "CMP",
    "!=": "CMP",
    "+": "PLUS",
    "-": "MINUS",
    "*": "TIMES",
    "/": "SLASH",
    "^": "CIRCUMFLEX",
    "->": "ARROW",
    "--": "DASHES",
    "..": "RANGE",
    "=": "EQUAL",
    "~": "TILDE",
    ",": "COMMA",
    ":": "COLON",
    ".": "DOT",
    "(": "LPAR",
    ")": "RPAR",
    "[": "LSQB",
    "]": "RSQB",
    "{": "LBRACE",
    "}": "RBRACE",
}
_KINDS = {"name": "NAME", "number": "NUMBER", "string": "STRING", "map": "MAP_TEXT"}
_ITEM_ENDS = frozenset({"NAME", "NUMBER", "STRING", "MAP_TEXT", "RPAR", "RSQB", "RBRACE"})

END = "$END"


@dataclass(slots=True)
class Lexeme:
    """One input of the parser: `type` is the terminal, `text` the token as the grammar reads it."""

    type: str
    text: str
    span: Span


def lexemes(tokens: list[Token], file: str) -> list[Lexeme]:
    """The tokens of one declaration or member for the parser.

    Words that start an item of a grid or graph become keywords, a claim may speak of the `reward`
    and of what is `final` as of names, and `--` outside of a graph is two minus signs.
    """
    first = tokens[0].text if tokens else ""
    result = [Lexeme(_terminal(t), t.text, Span(file, t.start, t.end)) for t in tokens]
    if first in ("grid", "graph"):
        _mark_items(result)
    if first == "require":
        for lexeme in result:
            lexeme.type = "NAME" if lexeme.type in ("REWARD", "FINAL") else lexeme.type
    if first != "graph" and any(lexeme.type == "DASHES" for lexeme in result):
        result = [part for lexeme in result for part in _undashed(lexeme)]
    return result


def _terminal(token: Token) -> str:
    if token.kind == "keyword":
        return token.text.upper()
    if token.kind == "operator":
        return OPERATORS[token.text]
    return _KINDS[token.kind]


def _mark_items(tokens: list[Lexeme]) -> None:
    """Turn soft keywords into keywords where an item can start: after the end of another one."""
    depth = 0
    can_start = False
    for lexeme in tokens:
        if depth == 1 and can_start and lexeme.text in SOFT_KEYWORDS:
            lexeme.type = lexeme.text.upper()
            can_start = lexeme.text == "periodic"
            continue
        if lexeme.type == "LBRACE":
            depth += 1
            can_start = True
            continue
        depth -= lexeme.type == "RBRACE"
        can_start = lexeme.type in _ITEM_ENDS


def _undashed(lexeme: Lexeme) -> list[Lexeme]:
    if lexeme.type != "DASHES":
        return [lexeme]
    at = lexeme.span
    middle = at.start + 1
    return [
        Lexeme("MINUS", "-", Span(at.file, at.start, middle)),
        Lexeme("MINUS", "-", Span(at.file, middle, at.end)),
    ]
