"""Signs of papers that are no signs of a spec: bars around a value, integrals, indicators."""

from mfdsl.compiler.diagnostics import Edit, Help, Sink
from mfdsl.compiler.source import SourceFile, Span
from mfdsl.compiler.syntax.fault import Fault, Parses
from mfdsl.compiler.syntax.lexeme import Lexeme
from mfdsl.compiler.syntax.tokens import Token

_MEAN = "a mean over a population is written `mean(q.x for q in p)`"
_INDICATOR = "an indicator is written `ind(c)`, 1 where the condition `c` holds and 0 elsewhere"
_SIGNS = {
    "∫": _MEAN,
    "𝔼": _MEAN,
    "ℙ": "a share of a population is written `prob(q.x == 1 for q in p)`",
    "∑": "a sum is written `sum(f(k) for k in 0..9)`",
    "∏": "a product is written `prod(f(k) for k in 0..9)`",
    "√": "a root is written `sqrt(x)`",
    "∞": "a horizon without end is written `horizon infinite`",
    "𝟙": _INDICATOR,
    "𝟏": _INDICATOR,
}
_BARS = {"|": "abs", "||": "norm", "‖": "norm"}
_AVERAGES = frozenset({"prob", "mean", "P", "Pr", "E"})
_CONDITIONS = frozenset({"CMP", "IN", "AND", "OR", "NOT", "EQUAL"})
MAX_APART = 200  # tokens between a bar and what belongs to it
_SHUTS = {"RPAR": "LPAR", "RSQB": "LSQB", "RBRACE": "LBRACE"}


def sign_of_a_paper(source: SourceFile, token: Token) -> list[Help | str]:
    """How what the sign stands for is written, if it is one of mathematics."""
    if token.text == "_" and source.text[token.start - 1 : token.start] == "1":
        return [_INDICATOR]
    return [_SIGNS[token.text]] if token.text in _SIGNS else []


def without_bars(source: SourceFile, tokens: list[Token], sink: Sink) -> list[Token]:
    """The tokens with brackets for bars around values, and `or` for the bar of "given".

    Reports both; a bar between two conditions stays, and is taken for an `or`.
    """
    if not any(token.text in _BARS for token in tokens):
        return tokens
    plain = list(tokens)
    for position, token in enumerate(tokens):
        if plain[position].text not in _BARS:
            continue
        closer = _closing_bar(plain, position)
        if closer is not None:
            _report_bars(source, token, tokens[closer], sink)
            plain[position] = token._replace(kind="operator", text="(")
            plain[closer] = tokens[closer]._replace(kind="operator", text=")")
        elif _is_given(plain, position):
            _report_given(source, token, sink)
            plain[position] = token._replace(kind="keyword", text="or")
    return plain


def _closing_bar(tokens: list[Token], position: int) -> int | None:
    """The place of the bar that closes the one at `position`, where a value starts with it."""
    if not position:
        return None
    before = tokens[position - 1]
    ends_value = before.kind in ("name", "number", "string") or before.text in (")", "]", "}", "'")
    if ends_value or before.text in ("true", "false"):
        return None
    for at in range(position + 1, min(position + MAX_APART, len(tokens))):
        if tokens[at].newlines:
            return None
        if tokens[at].text == tokens[position].text:
            return at if at > position + 1 else None
    return None


def _report_bars(source: SourceFile, opener: Token, closer: Token, sink: Sink) -> None:
    """`|x|` and `||v||`, read as a value in brackets (MFG007)."""
    function = _BARS[opener.text]
    first, last = (Span(source.name, bar.start, bar.end) for bar in (opener, closer))
    edits = (Edit(first, f"{function}("), Edit(last, ")"))
    inner = source.text[opener.end : closer.start].strip()
    helps: list[Help | str] = [
        Help(f"write `{function}({inner[:60]})`", edits, applicable=True),
    ]
    if function == "abs":
        helps.append("the length of an array is `norm(...)`")
    what = "an absolute value" if function == "abs" else "a norm"
    sink.report(
        "MFG007",
        f"{what} is written `{function}(...)`, not between bars",
        first.to(last),
        "not a value of this language",
        helps=helps,
    )


def _is_given(tokens: list[Token], position: int) -> bool:
    """Whether the bar stands for "given", as in `prob(a | b)`."""
    depth = 0
    for at in range(position - 1, max(0, position - MAX_APART), -1):
        text = tokens[at].text
        depth += (text in ")]") - (text in "([")
        if depth < 0:
            return tokens[at - 1].text in _AVERAGES
    return False


def _report_given(source: SourceFile, token: Token, sink: Sink) -> None:
    """`prob(a | b)` (MFG007)."""
    sink.report(
        "MFG007",
        "a condition of an average is written with `if`, not `|`",
        Span(source.name, token.start, token.end),
        "not an operator of this language",
        helps=["write `prob(a for q in p if b)`, where somebody has `b`"],
    )


def indicator(fault: Fault, sink: Sink, parses: Parses) -> bool:
    """`1(x > 0)`, `1{x > 0}`, `1[x > 0]`."""
    one, words, at = fault.before, fault.words, fault.at
    if one is None or one.text != "1" or one.type != "NUMBER":
        return False
    closer = _closer(words, at)
    if closer is None or not any(w.type in _CONDITIONS for w in words[at + 1 : closer]):
        return False
    opener, end = words[at], words[closer]
    called = [Lexeme("NAME", "ind", one.span), Lexeme("LPAR", "(", opener.span)]
    shut = Lexeme("RPAR", ")", end.span)
    mended = [*words[: at - 1], *called, *words[at + 1 : closer], shut, *words[closer + 1 :]]
    edits = (Edit(one.span.to(opener.span), "ind("), Edit(end.span, ")"))
    shown = " ".join(word.text for word in words[at + 1 : closer])
    sink.report(
        "MFG007",
        "an indicator is written `ind(c)`",
        one.span.to(end.span),
        "not a value of this language",
        helps=[
            Help(f"write `ind({shown[:60]})`", edits, applicable=parses(fault.kind, mended)),
        ],
    )
    return True


def _closer(words: list[Lexeme], at: int) -> int | None:
    """The place of the bracket that closes the one at `at`."""
    if words[at].type not in _SHUTS.values():
        return None
    depth = 0
    for k in range(at, len(words)):
        depth += (words[k].type in _SHUTS.values()) - (words[k].type in _SHUTS)
        if not depth:
            return k if _SHUTS.get(words[k].type) == words[at].type else None
    return None
