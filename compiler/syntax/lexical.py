"""Faults of single tokens: reports them and repairs the tokens, so that parsing can go on."""

import re
import unicodedata
from collections.abc import Iterator
from decimal import Decimal

from mfdsl.compiler.diagnostics import Edit, Help, Sink
from mfdsl.compiler.source import SourceFile, Span
from mfdsl.compiler.syntax.build_expressions import normalised
from mfdsl.compiler.syntax.limits import (
    MAX_LITERAL_DIGITS,
    MAX_LITERAL_EXPONENT,
    MAX_NAME_LENGTH,
)
from mfdsl.compiler.syntax.mathematical import sign_of_a_paper, without_bars
from mfdsl.compiler.syntax.tokens import ALTERNATES, Token

# Foreign spelling: what is meant by it, how that is written here, and the text of the edit
# (None when no plain replacement exists).
_FOREIGN: dict[str, tuple[str, str, str | None]] = {
    "**": ("powers are", "^", "^"),
    "&&": ("logical and is", "and", "and"),
    "&": ("logical and is", "and", "and"),
    "∧": ("logical and is", "and", "and"),
    "||": ("logical or is", "or", "or"),
    "|": ("logical or is", "or", "or"),
    "∨": ("logical or is", "or", "or"),
    "!": ("negation is", "not", "not "),
    "¬": ("negation is", "not", "not "),
    "!==": ("inequality is", "!=", "!="),
    "<>": ("inequality is", "!=", "!="),
    "===": ("equality is", "==", "=="),
    "//": ("integer division is", "floor(a / b)", None),
    "%": ("remainders are", "rem(a, b)", None),
    "=>": ("arms are", "->", "->"),
    "⇒": ("arms are", "->", "->"),
    "→": ("arms are", "->", "->"),
    ":=": ("definitions are", "=", "="),
    "≔": ("definitions are", "=", "="),
    "+=": ("the next value is", "x' = x + ...", None),
    "-=": ("the next value is", "x' = x - ...", None),
    "*=": ("the next value is", "x' = x * ...", None),
    "/=": ("the next value is", "x' = x / ...", None),
    "?": ("a choice is", "if c then a else b", None),
    "−": ("subtraction is", "-", "-"),
    "–": ("subtraction is", "-", "-"),
    "—": ("subtraction is", "-", "-"),
    "×": ("multiplication is", "*", "*"),
    "∗": ("multiplication is", "*", "*"),
    "⋅": ("multiplication is", "*", "*"),
    "∙": ("multiplication is", "*", "*"),
    "÷": ("division is", "/", "/"),
    "“": ("strings are", '"..."', '"'),
    "”": ("strings are", '"..."', '"'),
    "„": ("strings are", '"..."', '"'),
    "‘": ("next values are", "x'", "'"),
    "’": ("next values are", "x'", "'"),
}
_REPAIRS = {"//": "/", "%": "*", "+=": "=", "-=": "=", "*=": "=", "/=": "="}
_WORDS = frozenset({"and", "or", "not"})
# Characters that reorder or hide text, in comments too.
_HIDDEN = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


def repair(source: SourceFile, tokens: list[Token], sink: Sink) -> tuple[list[Token], set[int]]:
    """The tokens without comments and faults, and the starts of those that stand for nothing.

    Operators come in ASCII. A token that has no repair is left out, and the start of the next
    token is in the second result: what it belongs to cannot be parsed.
    """
    _hidden_characters(source, sink)
    kept: list[Token] = []
    broken: set[int] = set()
    lost = False
    lines = 0
    for token in _uncommented(source, without_bars(source, tokens, sink), sink):
        fixed = _repaired(source, token, sink)
        lines = max(lines, token.newlines)
        if fixed is None:
            if kept:
                broken.add(kept[-1].start)
            lost = lost or token.newlines > 0 or not kept
            continue
        if lost:
            broken.add(token.start)
        kept.append(fixed._replace(newlines=max(lines, fixed.newlines)))
        lost, lines = False, 0
    return kept, broken


def _uncommented(source: SourceFile, tokens: list[Token], sink: Sink) -> Iterator[Token]:
    """Tokens without comments; a line that starts with `//` is taken for one and reported.

    The line breaks before a comment count for the token behind it.
    """
    skip_to = -1
    lines = 0
    for position, token in enumerate(tokens):
        lines += token.newlines
        if token.start < skip_to or token.kind in ("comment", "doc"):
            continue
        if token.text == "//" and (token.newlines or position == 0):
            skip_to = source.text.find("\n", token.start) % (len(source.text) + 1)
            where = _span(source, token)
            sink.report(
                "MFG007",
                "comments are written `#`, not `//`",
                where,
                "not a comment here",
                helps=[Help("write `#`", (Edit(where, "#"),), applicable=True)],
            )
            continue
        if token.text == "%" and _is_percent(source, tokens, position):
            _percent(source, tokens[position - 1], token, sink)
            continue
        yield token._replace(newlines=lines)
        lines = 0


def _is_percent(source: SourceFile, tokens: list[Token], position: int) -> bool:
    """Whether the sign stands right behind a number, and no value follows on its line."""
    before, token = tokens[position - 1], tokens[position]
    if position == 0 or before.kind != "number" or before.end != token.start:
        return False
    rest = source.text[token.end :].partition("\n")[0].lstrip()
    return not rest or not (rest[0].isalnum() or rest[0] in "(_")


def _percent(source: SourceFile, number: Token, sign: Token, sink: Sink) -> None:
    """`95%` is `0.95`."""
    where = Span(source.name, number.start, sign.end)
    helps: list[Help | str] = []
    if len(number.text) <= MAX_LITERAL_DIGITS and number.text.replace(".", "", 1).isdecimal():
        share = f"{Decimal(number.text) / 100:f}"
        helps = [Help(f"write `{share}`", (Edit(where, share),), applicable=True)]
    sink.report("MFG007", "there are no percents", where, "a share of 1", helps=helps)


def _repaired(source: SourceFile, token: Token, sink: Sink) -> Token | None:
    match token.kind:
        case "keyword" | "string" | "map":
            return token
        case "operator":
            return token._replace(text=ALTERNATES.get(token.text, token.text))
        case "name":
            return _name(source, token, sink)
        case "number":
            return _number(source, token, sink)
        case "point":
            return _point(source, token, sink)
        case "foreign":
            return _foreign(source, token, sink)
        case "unclosed":
            _unclosed(source, token, sink)
            return None
        case _:
            return _bad(source, token, sink)


def _span(source: SourceFile, token: Token) -> Span:
    return Span(source.name, token.start, token.end)


def _name(source: SourceFile, token: Token, sink: Sink) -> Token:
    if len(token.text) > MAX_NAME_LENGTH:
        sink.report(
            "MFG703",
            f"this name has {len(token.text)} characters, more than {MAX_NAME_LENGTH}",
            _span(source, token),
        )
    if token.text.isascii():
        return token
    for offset, character in enumerate(token.text):
        if not character.isascii() and not _allowed(character):
            at = token.start + offset
            _letter(Span(source.name, at, at + 1), character, sink)
            break
    return token


def _allowed(character: str) -> bool:
    """True for a Latin or Greek letter, alone or in its normal form, and for an accent."""
    if unicodedata.category(character) == "Mn":
        return True
    if unicodedata.category(character)[0] != "L":
        return False
    plain = normalised(character)
    return all(c.isascii() or unicodedata.name(c, "").startswith(("LATIN", "GREEK")) for c in plain)


def _letter(where: Span, character: str, sink: Sink) -> None:
    named = unicodedata.name(character, f"U+{ord(character):04X}")
    helps: list[Help | str] = []
    plain = normalised(character)
    if unicodedata.category(character)[0] == "N" and plain.isdigit():
        helps.append(Help(f"powers are written `^{plain}`", (Edit(where, f"^{plain}"),), True))
    elif twin := _LOOK_ALIKES.get(character):
        helps.append(Help(f"write the Latin letter `{twin}`", (Edit(where, twin),), True))
    sink.report(
        "MFG008",
        f"`{character}` is {named}; names use Latin or Greek letters",
        where,
        "not a Latin or Greek letter",
        helps=helps,
    )


_LOOK_ALIKES = dict(zip("аеорсухіјѕԁԛԝАВЕКМНОРСТУХ", "aeopcyxijsdqwABEKMHOPCTYX", strict=True))


def _number(source: SourceFile, token: Token, sink: Sink) -> Token:
    mantissa, _, exponent = token.text.lower().partition("e")
    digits = sum(c.isdigit() for c in mantissa)
    if digits > MAX_LITERAL_DIGITS:
        sink.report(
            "MFG703",
            f"this number has {digits} digits, more than {MAX_LITERAL_DIGITS}",
            _span(source, token),
        )
        return token._replace(text="1")
    if exponent and (len(exponent) > 5 or abs(int(exponent)) > MAX_LITERAL_EXPONENT):
        sink.report(
            "MFG703",
            f"the exponent of this number is beyond {MAX_LITERAL_EXPONENT}",
            _span(source, token),
        )
        return token._replace(text="1")
    return token


def _point(source: SourceFile, token: Token, sink: Sink) -> Token:
    leading = token.text.startswith(".")
    good = f"0{token.text}" if leading else f"{token.text}0"
    where = _span(source, token)
    sink.report(
        "MFG009",
        f"numbers need a digit {'before' if leading else 'behind'} the point: `{good[:40]}`",
        where,
        "no digit on one side of the point",
        helps=[Help(f"write `{good[:40]}`", (Edit(where, good),), applicable=True)],
    )
    return _number(source, token._replace(text=good, kind="number"), sink)


def _foreign(source: SourceFile, token: Token, sink: Sink) -> Token | None:
    where = _span(source, token)
    if token.text == ";":
        help = Help("leave it out", (Edit(where, ""),), applicable=True)
        sink.report("MFG007", "declarations end without `;`", where, "not needed", helps=[help])
        return None
    plain = normalised(token.text)
    if token.text not in _FOREIGN:
        return _look_alike(source, token, plain, sink)
    meaning, written, edit = _FOREIGN[token.text]
    helps: list[Help | str] = [f"write `{written}`"]
    if edit is not None:
        around = f" {edit} " if edit in ("and", "or") else edit
        helps = [Help(f"write `{written}`", (Edit(where, around),), applicable=True)]
    sink.report(
        "MFG007",
        f"{meaning} written `{written}`, not `{token.text}`",
        where,
        "not an operator of this language",
        helps=helps,
    )
    text = _REPAIRS.get(token.text, (edit or "").strip())
    if not text or text == '"':
        return None
    return token._replace(kind="keyword" if text in _WORDS else "operator", text=text)


def _look_alike(source: SourceFile, token: Token, plain: str, sink: Sink) -> Token | None:
    """A wide or non-breaking character that stands for an ASCII one, or a stray sign."""
    if plain == token.text or not plain.isascii():
        return _bad(source, token, sink)
    where = _span(source, token)
    named = unicodedata.name(token.text, f"U+{ord(token.text):04X}")
    good = "a plain space" if plain == " " else f"`{plain}`"
    sink.report(
        "MFG008",
        f"this character is {named}, not {good}",
        where,
        "looks right, but is another character",
        helps=[Help(f"write {good}", (Edit(where, plain),), applicable=True)],
    )
    if plain in " ;":
        return None
    return token._replace(kind="operator", text=plain)


def _unclosed(source: SourceFile, token: Token, sink: Sink) -> None:
    quotes = '"""' if token.text.startswith('"""') else '"'
    what = "map" if quotes == '"""' else "string"
    sink.report(
        "MFG003",
        f"this {what} is never closed",
        Span(source.name, token.start, token.start + len(quotes)),
        "opened here",
        helps=[f"close it with `{quotes}`" + (" on the same line" if what == "string" else "")],
    )


def _bad(source: SourceFile, token: Token, sink: Sink) -> Token | None:
    where = _span(source, token)
    character = token.text[0]
    if token.text.startswith("_"):
        sink.report(
            "MFG008",
            f"`{token.text[:40]}` starts with an underscore; names start with a letter",
            where,
            "not a name",
            helps=sign_of_a_paper(source, token),
        )
        return token._replace(kind="name", text=f"x{token.text}") if len(token.text) > 1 else None
    if _HIDDEN.match(character):
        return None  # reported with all others of its kind
    named = unicodedata.name(character, f"U+{ord(character):04X}")
    control = unicodedata.category(character) in ("Cc", "Cf", "Cn", "Co", "Cs")
    if control or character.isspace():
        message = f"{named} cannot be used in a spec"
    elif character.isascii():
        message = f"`{character}` has no meaning in this language"
    else:
        message = f"`{character}` ({named}) has no meaning in this language"
    helps = sign_of_a_paper(source, token)
    sink.report("MFG008", message, where, "unknown character", helps=helps)
    return None


def _hidden_characters(source: SourceFile, sink: Sink) -> None:
    """Report invisible and direction-changing characters, which make text read as it is not."""
    for match in _HIDDEN.finditer(source.text):
        if match.start() == 0 and match.group() == "\ufeff":
            continue
        where = Span(source.name, match.start(), match.end())
        named = unicodedata.name(match.group(), f"U+{ord(match.group()):04X}")
        sink.report(
            "MFG008",
            f"{named} is invisible and can hide what a spec says",
            where,
            "an invisible character is here",
            helps=[Help("delete it", (Edit(where, ""),), applicable=True)],
        )
