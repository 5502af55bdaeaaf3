"""Messages about where declarations start: words that declare nothing, wrong places, mid-line."""

from mfdsl.compiler.diagnostics import Edit, Help, Sink
from mfdsl.compiler.source import SourceFile, Span
from mfdsl.compiler.syntax.foreign_words import foreign_word
from mfdsl.compiler.syntax.tokens import SOFT_KEYWORDS, Token
from mfdsl.compiler.syntax.words import EVERYWHERE, HEADERS, MEMBERS, TOP_LEVEL

MAX_SHOWN = 72  # characters of the author's text in a help


def _span(source: SourceFile, token: Token) -> Span:
    return Span(source.name, token.start, token.end)


def _shown(token: Token) -> str:
    """The keyword, or the primed name that a line starts with."""
    return f"{token.text}'" if token.kind == "name" else token.text


def report_mid_line(source: SourceFile, token: Token, in_block: bool, sink: Sink) -> None:
    """A declaration or member behind another one on the same line (MFG004)."""
    where = _span(source, token)
    gap = Edit(Span(source.name, token.start, token.start), "\n  " if in_block else "\n")
    sink.report(
        "MFG004",
        f"`{_shown(token)}` must start on its own line",
        where,
        "starts in the middle of a line",
        helps=[Help("break the line before it", (gap,), applicable=True)],
    )


def report_unknown(
    source: SourceFile, token: Token, keyword: str | None, in_block: bool, sink: Sink
) -> None:
    """A word that declares nothing, with the keyword it misspells if there is one (MFG006)."""
    where = _span(source, token)
    word = source.slice(where)
    helps: list[Help | str]
    if keyword is not None:
        helps = [Help(f"did you mean `{keyword}`?", (Edit(where, keyword),), applicable=True)]
    else:
        helps = _other_helps(source, token, word, in_block)
    what = "a member of a block" if in_block else "a declaration"
    sink.report("MFG006", f"`{word[:64]}` is not {what}", where, "unknown word", helps=helps)


def _other_helps(source: SourceFile, token: Token, word: str, in_block: bool) -> list[Help | str]:
    rest = source.text[token.end : token.end + 20].lstrip()
    known = foreign_word(word, _span(source, token), in_block)
    if known and not rest.startswith("="):  # `profit = ...` may as well name a value
        return known
    if rest.startswith("=") and not rest.startswith("=="):
        let = Edit(Span(source.name, token.start, token.start), "let ")
        value = source.line(source.line_of(token.start)).partition(word)[2].strip()[:MAX_SHOWN]
        naming = Help(
            f"write `let {word} {value}` to name a value", (let,), applicable=not in_block
        )
        return [Help(f"write `{word}' {value}` for a next value"), naming] if in_block else [naming]
    if in_block and rest.startswith("~"):
        return [_primed(word, _span(source, token))]
    if word in SOFT_KEYWORDS:
        return [Help(f"`{word}` belongs in the braces of a `grid` or `graph`")]
    pool = (MEMBERS | EVERYWHERE) if in_block else (TOP_LEVEL | EVERYWHERE) - HEADERS
    return [Help("one of " + ", ".join(f"`{w}`" for w in sorted(pool)))]


def _primed(word: str, where: Span) -> Help:
    """`h_next ~ law`: a next value has a prime."""
    state = word.removeprefix("next_").removesuffix("_next")
    state = state.removeprefix("new_").removesuffix("_new") or word
    words = f"a next value is written `{state}' ~ ...`"
    return Help(words, (Edit(where, f"{state}'"),), applicable=state != word)


def report_nothing_starts(source: SourceFile, token: Token, in_block: bool, sink: Sink) -> None:
    """A sign or word that starts nothing, where something must start (MFG001)."""
    what = "member of the block" if in_block else "declaration"
    message = f"expected a {what}, found `{token.text.partition(chr(10))[0][:40]}`"
    sink.report("MFG001", message, _span(source, token), "this starts nothing")


def report_outside(source: SourceFile, token: Token, block_end: int, sink: Sink) -> None:
    """A member outside of all players; `block_end` is the end of the one just above, or 0."""
    closer = Span(source.name, block_end - 1, block_end)
    sink.report(
        "MFG006",
        f"`{_shown(token)}` belongs in a `population`, `major` or `environment` block",
        _span(source, token),
        "stands at the top level",
        also=[(closer, "the block above ends here")] if block_end else [],
    )


def report_inside(source: SourceFile, token: Token, sink: Sink) -> None:
    """A declaration of the top level inside of a player (MFG006)."""
    sink.report(
        "MFG006",
        f"`{_shown(token)}` belongs at the top level of the file",
        _span(source, token),
        "stands inside of a player",
    )


def report_no_block(source: SourceFile, head: Token, last: Token, sink: Sink) -> None:
    """A player without its `{` (MFG001)."""
    message = f"expected `{{` to open the block of this `{head.text}`"
    sink.report("MFG001", message, _span(source, last), "nothing follows here")
