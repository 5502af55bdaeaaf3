"""How a declaration that lacks a part goes on: its type, its law at the start, its values."""

from collections.abc import Callable

from mfdsl.compiler.diagnostics import Edit, Help, Sink
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax.fault import Fault, Parses
from mfdsl.compiler.syntax.lexeme import END, Lexeme
from mfdsl.compiler.syntax.places import of_places

MAX_VALUES = 8  # of the author that a help repeats
MAX_SHOWN = 72  # characters of the author


def open_end(fault: Fault, sink: Sink, parses: Parses) -> bool:
    """`real in (0, 1]`: the ends of intervals belong to them."""
    opener = fault.innermost()
    if fault.found.type != "COMMA" or opener is None or opener.type != "LPAR":
        return False
    at = next(k for k, word in enumerate(fault.words) if word is opener)
    closers = [k for k in range(fault.at, len(fault.words)) if fault.words[k].type == "RPAR"]
    if not at or fault.words[at - 1].type != "IN" or not closers:
        return False
    closer = fault.words[closers[0]]
    lo, hi = (_text(fault.words[a + 1 : b]) for a, b in ((at, fault.at), (fault.at, closers[0])))
    edits = Edit(opener.span, "["), Edit(closer.span, "]")
    sink.report(
        "MFG001",
        "an interval has square brackets, and its ends belong to it",
        opener.span.to(closer.span),
        "not an interval of this language",
        helps=[
            Help(f"write `[{lo}, {hi}]`", edits, applicable=True),
            "for an end that is left out, take a number next to it, as `[1e-6, 1]`",
        ],
    )
    return True


def turned_round(fault: Fault, parses: Parses) -> Help | None:
    """`a if c else b` of Python as `if c then a else b`, where it is all that is defined."""
    words, at = fault.words, fault.at
    defined = [k for k in range(at) if words[k].type in ("EQUAL", "TILDE")]
    others = [k for k in range(at, len(words)) if words[k].type == "ELSE"]
    if len(defined) != 1 or len(others) != 1 or others[0] == at + 1:
        return None
    first, other = defined[0] + 1, others[0]
    then = Lexeme("THEN", "then", words[at].span)
    condition, value = words[at + 1 : other], words[first:at]
    mended = [*words[:first], words[at], *condition, then, *value, *words[other:]]
    if not parses(fault.kind, mended):
        return None
    file, start = words[at].span.file, words[first].span.start
    edits = (
        Edit(Span(file, start, start), f"if {_text(condition)} then "),
        Edit(Span(file, words[at].span.start, words[other].span.start), ""),
    )
    text = f"if {_text(condition)} then {_text(value)} else {_text(words[other + 1 : -1])}"
    said = f"write `{text}`" if len(text) <= MAX_SHOWN else "the condition comes first"
    return Help(said, edits, applicable=True)


def how_it_goes_on(fault: Fault) -> list[Help | str]:
    """What the declaration needs where it breaks off, if that is sure."""
    return next((helps for look in _LOOKS if (helps := look(fault))), [])


def _type(fault: Fault) -> list[Help | str]:
    """`param beta = 0.8`, `action a in {0, 1}`."""
    if fault.at != 2 or fault.accepts != {"COLON"} or fault.words[1].type != "NAME":
        return []
    name = fault.words[1].text
    if fault.head == "param":
        value = _text(fault.words[3:-1]) if fault.found.type == "EQUAL" else "value"
        whole = value.isdigit()
        kind = "int in lo..hi" if whole else "real in [lo, hi]"
        return [f"say its type and range: `param {name} : {kind} = {value}`"]
    if fault.head in ("state", "action", "noise", "trait"):
        return [f"say its type: `{fault.head} {name} : int in lo..hi`, or the name of an `enum`"]
    return []


def _values(fault: Fault) -> list[Help | str]:
    """`action a : {home, out}`."""
    if fault.found.type != "LBRACE" or fault.before is None or fault.before.type != "COLON":
        return []
    listed = [word for word in fault.words[fault.at + 1 :] if word.type not in ("COMMA", "RBRACE")]
    names = [word.text for word in listed if word.type == "NAME"]
    if not names or len(names) < len(listed) - 1 or len(names) > MAX_VALUES:
        return ["a range of integers is written `int in lo..hi`"]
    return [f"list the values at the top level: `enum Kind {{ {', '.join(names)} }}`, type `Kind`"]


def _start(fault: Fault) -> list[Help | str]:
    """`state h : Health` without its law."""
    if not {"EQUAL", "TILDE"} & fault.accepts or fault.wants_value:
        return []
    if fault.head == "state":
        return ["say what it is at t = 0: `= value`, or a law such as `~ uniform`"]
    if fault.head in ("noise", "trait"):
        return ["say how it is drawn, for example `~ uniform`"]
    return []


def _law(fault: Fault) -> list[Help | str]:
    """`~ {S: 0.6, I: 0.4}`."""
    if fault.found.type != "LBRACE" or fault.before is None or fault.before.type != "TILDE":
        return []
    return ["a law of single values is written `mix { 0.4 -> this, else -> that }`"]


def _horizon(fault: Fault) -> list[Help | str]:
    """`horizon 0..T`."""
    if fault.head != "horizon" or fault.found.type != "RANGE":
        return []
    last = _text(fault.words[fault.at + 1 : -1])
    return [f"say how many decisions there are, from t = 0 on: `horizon {last}`"] if last else []


def _members(fault: Fault) -> list[Help | str]:
    """`prob(e == U for worker)`."""
    if "IN" not in fault.accepts or fault.at < 2 or fault.words[fault.at - 2].type != "FOR":
        return []
    name = fault.words[fault.at - 1].text
    return [f"name a member: `for q in {name}`, and what it has: `q.x`"]


def _range(fault: Fault) -> list[Help | str]:
    """`action a : int 0..2`."""
    before = fault.before
    if before is None or before.text not in ("int", "real") or "IN" not in fault.accepts:
        return []
    if fault.found.type not in ("NUMBER", "NAME", "LSQB", "MINUS"):
        return []
    edit = Edit(fault.found.span, f"in {fault.found.text}")
    known = "in lo..hi" if before.text == "int" else "in [lo, hi]"
    return [Help(f"the range stands behind `in`: `{before.text} {known}`", (edit,), True)]


def _unnamed(fault: Fault) -> list[Help | str]:
    """`cost 0.1 * a`."""
    if fault.head not in ("cost", "reward") or fault.at != 1 or "EQUAL" not in fault.accepts:
        return []
    edit = Edit(fault.found.span, f"= {fault.found.text}")
    return [Help(f"write `{fault.head} = ...`, or give it a name", (edit,), True)]


def _one_item(fault: Fault) -> list[Help | str]:
    """`node A, B` in a `graph`."""
    if fault.head != "graph" or fault.found.type != "COMMA" or "NODE" not in fault.accepts:
        return []
    gap = Edit(fault.found.span, " node")
    return [Help("each has a word of its own: `node A node B`", (gap,), True)]


def _comma_at_the_end(fault: Fault) -> list[Help | str]:
    """`state x : T = value,`."""
    if fault.found.type != "COMMA" or fault.words[fault.at + 1].type != END:
        return []
    if END not in fault.accepts:
        return []
    return [Help("lines end without `,`", (Edit(fault.found.span, ""),), True)]


_LOOKS: tuple[Callable[[Fault], list[Help | str]], ...] = (
    _type,
    _values,
    _start,
    _law,
    _horizon,
    _members,
    _range,
    _unnamed,
    _one_item,
    _comma_at_the_end,
    of_places,
)


def _text(words: list[Lexeme]) -> str:
    """The words as they stand, on one line."""
    shown, end = "", 0
    for word in words:
        if word.type != END:
            shown += f"{' ' * bool(shown and word.span.start > end)}{word.text}"
            end = word.span.end
    return shown
