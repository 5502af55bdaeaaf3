"""Terms in words for people: leaves by their names, the rest as the author could have written it.

What would be longer than a line gets a letter of its own, with its meaning beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from mfdsl.compiler.analysis.symbolic.terms import Terms
from mfdsl.compiler.ir.walk import MEANS
from mfdsl.compiler.typeset.escape import escape_latex, plain
from mfdsl.compiler.typeset.symbols import symbol

MAX_LENGTH = 48
MAX_DEPTH = 12

_INFIX = {"mul": "*", "div": "/", "pow": "^", "eq": "==", "lt": "<", "and": "and", "or": "or"}


@dataclass(frozen=True, slots=True)
class Name:
    """A symbol in text and LaTeX; `meaning` says what it stands for where it is only a letter."""

    text: str
    latex: str
    meaning: str | None = None


def names(terms: Terms, symbols: Sequence[int]) -> list[Name]:
    """A name for each of the terms `symbols`, no two alike."""
    found: list[Name] = []
    taken: set[str] = set()
    for index in symbols:
        text = _text(terms, index, 0)
        if text is not None and terms.nodes[index].op in (*_INFIX, "add", "neg"):
            text = f"({text})"
        if text is None or len(text) > MAX_LENGTH or text in taken:
            letter = f"u{len(found) + 1}"
            found.append(Name(letter, f"u_{{{len(found) + 1}}}", _shortened(text)))
        else:
            found.append(Name(text, _latex(terms, index, text)))
        taken.add(found[-1].text)
    return found


def _shortened(text: str | None) -> str:
    if text is None:
        return "a long expression"
    return text if len(text) <= 4 * MAX_LENGTH else text[: 4 * MAX_LENGTH] + "…"


def _latex(terms: Terms, index: int, text: str) -> str:
    name = _leaf(terms, index)
    if name is not None and name.replace("_", "").isalnum():
        return symbol(name)
    return rf"\mathtt{{{escape_latex(text)}}}"


def _leaf(terms: Terms, index: int) -> str | None:
    """The name of a leaf; `q` is any member."""
    node = terms.nodes[index]
    if node.args or node.op in ("const", "array"):
        return None
    if node.op == "time":
        return "t"
    if node.op == "index":
        return f"k{node.attr}"
    if node.op.startswith("peer_"):
        assert isinstance(node.attr, tuple)
        return f"q.{node.attr[1]}"
    return plain(".".join(map(str, node.attr)) if isinstance(node.attr, tuple) else str(node.attr))


def _text(terms: Terms, index: int, depth: int) -> str | None:
    """The term in the words of the language, None where it is nested too deeply."""
    node, exact = terms.nodes[index], terms.builder.exact(index)
    if exact is not None:
        return _number(exact)
    leaf = _leaf(terms, index)
    if leaf is not None:
        return leaf
    if node.op in ("const", "array"):
        return f"{node.attr}" if node.op == "const" else "table"
    if depth > MAX_DEPTH or len(node.args) > MAX_LENGTH:
        return None
    parts: list[str] = []
    for argument in node.args:
        text = _text(terms, argument, depth + 1)
        if text is None or len(text) > 4 * MAX_LENGTH:
            return None
        parts.append(text)
    if node.op in _INFIX or node.op == "neg":
        loose = [terms.nodes[a].op in (*_INFIX, "add", "neg") for a in node.args]
        parts = [f"({p})" if at else p for p, at in zip(parts, loose, strict=True)]
    return _joined(node.op, parts)


def _joined(op: str, parts: Sequence[str]) -> str:
    """An operator between or before its operands, which have their brackets."""
    if op in MEANS:
        rest = f" if {parts[1]}" if len(parts) > 1 else ""
        return f"mean({parts[0]}{rest})"
    if op == "neg":
        return f"-{parts[0]}"
    if op == "if":
        return f"(if {parts[0]} then {parts[1]} else {parts[2]})"
    if op == "element":
        return f"{parts[0]}[{', '.join(parts[1:])}]"
    if op == "vector":
        return f"[{', '.join(parts)}]"
    if op == "add":
        return " + ".join(parts).replace(" + -", " - ")
    sign = _INFIX.get(op)
    if sign is not None:
        return f" {sign} ".join(parts)
    return f"{op}({', '.join(parts)})"


def _number(exact: Fraction) -> str:
    if exact.denominator == 1:
        return str(exact.numerator)
    short = f"{float(exact):.12g}"
    return short if Fraction(short) == exact else str(exact)
