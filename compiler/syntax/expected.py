"""What a parse error means: the message for a token that the grammar does not allow there."""

from collections.abc import Sequence

from mfdsl.compiler.diagnostics import Edit, Help, Sink
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax.fault import CLOSED_BY, OPENS, SHUTS, Fault, Parses, short
from mfdsl.compiler.syntax.foreign_words import CASE_WORDS, START_WORDS, WORDS_BETWEEN
from mfdsl.compiler.syntax.incomplete import how_it_goes_on, open_end, turned_round
from mfdsl.compiler.syntax.lexeme import END, OPERATORS, Lexeme
from mfdsl.compiler.syntax.mathematical import indicator
from mfdsl.compiler.syntax.nearest import nearest
from mfdsl.compiler.syntax.places import of_places
from mfdsl.compiler.syntax.tokens import KEYWORDS, SOFT_KEYWORDS
from mfdsl.compiler.syntax.words import DECLARES, INFIX

MAX_WORDS = 16  # of the author that a help repeats

_OPERAND_STARTS = frozenset({"NAME", "NUMBER", "STRING", "LPAR", "LSQB", "MATCH", "MIX", "TRUE",
                             "FALSE", "NOT", "IF"})  # fmt: skip
_ENDS = frozenset({"NAME", "NUMBER", "STRING", "RPAR", "RSQB", "RBRACE", "TRUE", "FALSE"})
_WORDS = {word.upper(): f"`{word}`" for word in KEYWORDS | SOFT_KEYWORDS}
_SIGNS = {name: f"`{sign}`" for sign, name in OPERATORS.items()} | {"CMP": "a comparison"}
_KINDS = {
    "NAME": "a name",
    "NUMBER": "a number",
    "STRING": "a text in double quotes",
    "MAP_TEXT": 'a map in `"""` quotes',
}
FRIENDLY = _WORDS | _SIGNS | _KINDS
# Signs that continue an operand; they are allowed nearly everywhere, so naming them says little.
_CONTINUE = frozenset({"PLUS", "MINUS", "TIMES", "SLASH", "CIRCUMFLEX", "DOT", "LSQB", "LPAR",
                       "CMP", "AND", "OR", "IN", "RANGE"})  # fmt: skip
_RENAMED = {"cost": "price", "state": "status", "action": "choice", "noise": "shock",
            "trait": "type_of", "weights": "links", "model": "name", "final": "last",
            "grid": "mesh", "in": "inside", "graph": "network", "agents": "people",
            "horizon": "steps", "reward": "gain", "population": "crowd", "major": "leader",
            "param": "value", "if": "when"}  # fmt: skip


def report_fault(fault: Fault, sink: Sink, parses: Parses) -> Lexeme | None:
    """Report the fault; the lexeme to go on with when there is a sure one, else None."""
    if _keyword_as_name(fault):
        return _report_keyword(fault, sink)
    for report in (
        _elif,
        _word_between,
        _misspelled,
        _equals_sign,
        _primed,
        _bracketless,
        _prefixed,
        _missing_comma,
        open_end,
        _not_in,
        _unit,
        indicator,
        _missing_operator,
    ):
        if report(fault, sink, parses):
            return None
    _expectation(fault, sink)
    return None


# A keyword where a name belongs.


def _keyword_as_name(fault: Fault) -> bool:
    if fault.found.text not in KEYWORDS or "NAME" not in fault.accepts:
        return False
    declares = fault.before is not None and fault.before.text in DECLARES and not fault.wants_value
    return declares or fault.found.text not in INFIX | {"if", "not"}


def _report_keyword(fault: Fault, sink: Sink) -> Lexeme:
    word, span = fault.found.text, fault.found.span
    before = fault.before.text if fault.before is not None else ""
    if before in DECLARES and not fault.wants_value:
        message = f"`{word}` is a keyword and cannot name {DECLARES[before]}"
    elif fault.wants_value:
        message = f"`{word}` is a keyword and cannot be used as a value"
    else:
        message = f"`{word}` is a keyword and cannot be used as a name"
    other = _RENAMED.get(word, f"{word}_value")
    sink.report("MFG005", message, span, "a keyword", helps=[f"rename it, for example `{other}`"])
    return Lexeme("NAME", word, span)


# Faults with a likely cause.


def _misspelled(fault: Fault, sink: Sink, parses: Parses) -> bool:
    """A name that is nearly a keyword which would be right here, or just before."""
    candidates = [(fault.at, sorted(t.lower() for t in fault.accepts if t in _WORDS))]
    if fault.at:
        candidates.append((fault.at - 1, ["if", "match", "mix", "not", "periodic"]))
    for at, pool in candidates:
        word = fault.words[at]
        if word.text in START_WORDS:
            continue
        keyword = nearest(word.text, pool) if word.type == "NAME" and len(word.text) > 2 else None
        if keyword is None:
            continue
        mended = Lexeme(keyword.upper(), keyword, word.span)
        if at != fault.at and not parses(fault.kind, _replaced(fault.words, at, [mended])):
            continue
        edit = Edit(word.span, keyword)
        sink.report(
            "MFG001",
            f"expected {_one_of(fault.accepts)}, found `{word.text}`"
            if at == fault.at and len(fault.accepts) < 4
            else f"`{word.text}` does not fit here",
            word.span,
            "perhaps misspelled",
            helps=[Help(f"did you mean `{keyword}`?", (edit,), applicable=True)],
        )
        return True
    return False


def _equals_sign(fault: Fault, sink: Sink, parses: Parses) -> bool:
    """`=` where two values are compared."""
    if fault.found.type != "EQUAL" or "CMP" not in fault.accepts:
        return False
    span = fault.found.span
    sink.report(
        "MFG007",
        "equality is written `==`, not `=`",
        span,
        "defines a name, does not compare",
        helps=[Help("write `==`", (Edit(span, "=="),), applicable=True)],
    )
    return True


def _primed(fault: Fault, sink: Sink, parses: Parses) -> bool:
    """The next value of a state read on the right."""
    if fault.found.type != "PRIME" or not fault.after_value or fault.before is None:
        return False
    name = fault.before.text
    sink.report(
        "MFG001",
        f"`{name}'` is a next value and cannot be read within the step",
        fault.before.span.to(fault.found.span),
        "read here",
        helps=[f"name the value with `let next_{name}`, and use it here and as `{name}'`"],
    )
    return True


def _bracketless(fault: Fault, sink: Sink, parses: Parses) -> bool:
    """`1 + if a then b else c`, `2 * not x`."""
    if fault.found.type not in ("IF", "NOT") or not fault.wants_value or fault.before is None:
        return False
    word = fault.found.text
    sink.report(
        "MFG001",
        f"`{word}` inside of a formula needs brackets around it",
        fault.found.span,
        f"follows `{fault.before.text}`",
        helps=[f"write `{fault.before.text} ({_rest(fault)})`"],
    )
    return True


def _rest(fault: Fault) -> str:
    """The words from the one that does not fit to the end of the declaration, cut if many."""
    words = [word.text for word in fault.words[fault.at :] if word.text]
    shown = " ".join(words[:MAX_WORDS])
    return shown if len(words) <= MAX_WORDS else f"{shown} ..."


def _elif(fault: Fault, sink: Sink, parses: Parses) -> bool:
    """`elif` of Python."""
    if fault.found.text not in ("elif", "elseif", "elsif"):
        return False
    sink.report(
        "MFG007",
        f"`{fault.found.text}` is written `else if`",
        fault.found.span,
        "a word of another language",
        helps=[Help("write `else if`", (Edit(fault.found.span, "else if"),), applicable=True)],
    )
    return True


def _word_between(fault: Fault, sink: Sink, parses: Parses) -> bool:
    """`a mod b` of textbooks, between two values."""
    after = fault.words[fault.at + 1 : fault.at + 2]
    written = WORDS_BETWEEN.get(fault.found.text)
    if (
        written is None
        or not fault.after_value
        or not after
        or after[0].type not in _OPERAND_STARTS
    ):
        return False
    what, ours = written
    sink.report(
        "MFG007",
        f"{what} written `{ours}`, not `{fault.found.text}`",
        fault.found.span,
        "not an operator of this language",
        helps=[f"write `{ours}`"],
    )
    return True


def _prefixed(fault: Fault, sink: Sink, parses: Parses) -> bool:
    """`np.abs(a)`: functions have no module in front of them."""
    if fault.found.type != "LPAR" or fault.at < 3:
        return False
    module, point, name = fault.words[fault.at - 3 : fault.at]
    if (module.type, point.type, name.type) != ("NAME", "DOT", "NAME"):
        return False
    edit = Edit(Span(name.span.file, module.span.start, name.span.start), "")
    sink.report(
        "MFG007",
        f"functions stand alone: `{name.text}`, not `{module.text}.{name.text}`",
        module.span.to(name.span),
        "a part of something cannot be called",
        helps=[Help(f"write `{name.text}`", (edit,), applicable=True)],
    )
    return True


def _missing_comma(fault: Fault, sink: Sink, parses: Parses) -> bool:
    """The next arm of a `match` or a `mix` after one without a comma."""
    opener, before = fault.innermost(), fault.before
    if not fault.after_value or before is None or opener is None or opener.type != "LBRACE":
        return False
    if not _begins_arm(fault.words[fault.at :]):
        return False
    gap = Span(before.span.file, before.span.end, before.span.end)
    whole = parses(
        fault.kind, _replaced(fault.words, fault.at, [Lexeme("COMMA", ",", gap), fault.found])
    )
    sink.report(
        "MFG001",
        f"missing `,` between two arms, before `{short(fault.found)}`",
        fault.found.span,
        "the next arm starts here",
        also=[(before.span, "an arm ends here")],
        helps=[Help("put commas between arms", (Edit(gap, ","),), applicable=whole)],
    )
    return True


def _begins_arm(words: Sequence[Lexeme]) -> bool:
    """Whether an arrow comes before the end of what stands here."""
    depth = 0
    for word in words:
        depth += (word.type in OPENS) - (word.type in SHUTS)
        if depth < 0 or (not depth and word.type in ("COMMA", END)):
            return False
        if not depth and word.type == "ARROW":
            return True
    return False


def _not_in(fault: Fault, sink: Sink, parses: Parses) -> bool:
    """`x not in S` of Python."""
    left, after = fault.before, fault.words[fault.at + 1 : fault.at + 2]
    if fault.found.type != "NOT" or left is None or [w.type for w in after] != ["IN"]:
        return False
    span = fault.found.span
    edits = (
        Edit(Span(left.span.file, left.span.start, left.span.start), "not "),
        Edit(Span(span.file, span.start, after[0].span.start), ""),
    )
    front = [Lexeme("NOT", "not", left.span), left, after[0]]
    mended = [*fault.words[: fault.at - 1], *front, *fault.words[fault.at + 2 :]]
    alone = fault.at >= 2 and fault.words[fault.at - 2].type in ("LPAR", "IF", "AND", "OR", "WHERE")
    name = short(left)
    sink.report(
        "MFG007",
        f"`{name} not in` is written `not {name} in`",
        span.to(after[0].span),
        "`not` stands before the whole comparison",
        helps=[
            Help(f"write `not {name} in`", edits, applicable=alone and parses(fault.kind, mended))
        ],
    )
    return True


def _unit(fault: Fault, sink: Sink, parses: Parses) -> bool:
    """`real<m/s>`: types have no units."""
    before = fault.before
    if fault.found.text != "<" or before is None or before.text not in ("real", "int"):
        return False
    end = next((k for k in range(fault.at, len(fault.words)) if fault.words[k].text == ">"), None)
    helps: list[Help | str] = ["say the unit in a comment, `## metres`"]
    span = fault.found.span
    if end is not None:
        span = span.to(fault.words[end].span)
        mended = [*fault.words[: fault.at], *fault.words[end + 1 :]]
        sure = parses(fault.kind, mended)
        helps.insert(0, Help(f"write `{before.text}`", (Edit(span, ""),), applicable=sure))
    sink.report("MFG007", "types have no units", span, "not part of the language", helps=helps)
    return True


def _missing_operator(fault: Fault, sink: Sink, parses: Parses) -> bool:
    """Two values side by side."""
    left, right = fault.before, fault.found
    if not fault.after_value or left is None or left.type not in _ENDS:
        return False
    if right.type not in _OPERAND_STARTS:
        return False
    gap = Span(left.span.file, left.span.end, left.span.end)
    star = Lexeme("TIMES", "*", gap)
    helps: list[Help | str] = []
    if right.type != "STRING" and parses(
        fault.kind, _replaced(fault.words, fault.at, [star, right])
    ):
        product = f"write `{short(left)} * {short(right)}`"
        helps.append(Help(product, (Edit(gap, " *"),), applicable=True))
    helps = of_places(fault) or helps
    if left.text in CASE_WORDS:
        helps = ["a choice by value is written `match x { A -> 1, else -> 2 }`"]
    if right.type == "IF":
        turned = turned_round(fault, parses)
        helps.append(turned or "a choice between two values is written `if c then a else b`")
    sink.report(
        "MFG002",
        f"missing operator between `{short(left)}` and `{short(right)}`",
        right.span,
        "another value starts here",
        also=[(left.span, "a value ends here")],
        helps=helps,
    )
    return True


# All other faults: what could stand here.


def _expectation(fault: Fault, sink: Sink) -> None:
    before, found = fault.before, fault.found
    ended = found.type == END
    also: list[tuple[Span, str]] = []
    helps = how_it_goes_on(fault)
    if fault.wants_value:
        wanted = "a value" + (f" after `{short(before)}`" if before else "")
    elif fault.after_value and (opener := fault.innermost()) is not None:
        wanted = CLOSED_BY[opener.type][1]
        also = [(opener.span, "opened here" if "these" in wanted else "this one")]
        if opener.type == "THEN":
            helps.append("every `if` has a value, so both branches are needed")
    elif END in fault.accepts:
        wanted = ("an operator or " if fault.after_value else "") + "the next declaration"
    else:
        allowed = fault.accepts - _CONTINUE if fault.accepts - _CONTINUE else fault.accepts
        wanted = _one_of(allowed) + (f" after `{short(before)}`" if before and not ended else "")
    message = f"expected {wanted}"
    message += f" to finish this `{fault.head}`" if ended and "finish" not in message else ""
    message += "" if ended else f", found {fault.named()}"
    label = "nothing follows here" if ended else "not allowed here"
    sink.report("MFG001", message, fault.where(), label, also=also, helps=helps)


def _one_of(terminals: frozenset[str]) -> str:
    names = sorted(FRIENDLY[t] for t in terminals if t in FRIENDLY)
    if len(names) > 5:
        names = names[:5]
    if len(names) == 1:
        return names[0]
    return ", ".join(names[:-1]) + f" or {names[-1]}"


def _replaced(words: list[Lexeme], at: int, by: list[Lexeme]) -> list[Lexeme]:
    return [*words[:at], *by, *words[at + 1 :]]
