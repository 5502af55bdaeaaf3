"""Pieces of emitted text: an expression with its precedence and its trailing axes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

OR, XOR, AND, SHIFT, ADD, MUL, UNARY, POWER, ATOM = range(2, 11)
COMPARE = 1


@dataclass(frozen=True)
class Text:
    """Emitted expression `code` of precedence `level`.

    `axes` are the leaves that have trailing axes of their own, in the order of the function.
    `batch` is true when the leading axes (batch, agents or own variables) are there; without it the
    tensor has trailing axes only. `literal` is the value of a plain number. `minus` is the operand
    of a negation, so that sums can subtract.
    """

    code: str
    level: int = ATOM
    axes: tuple[int, ...] = ()
    batch: bool = True
    literal: int | float | bool | None = None
    minus: "Text | None" = None

    def at(self, level: int) -> str:
        """The code, in parentheses when it binds weaker than `level`."""
        return self.code if self.level >= level else f"({self.code})"


def number(value: int | float, kind: str) -> Text:
    """A literal of a scalar kind."""
    if kind == "bool":
        return Text(str(bool(value)), ATOM, (), False, bool(value))
    kept = float(value) if kind == "real" else int(value)
    code = repr(kept)
    if kept < 0 or code.startswith("-"):
        return Text(code, UNARY, (), False, kept, Text(code[1:], ATOM, (), False, -kept))
    return Text(code, ATOM, (), False, kept)


def lift(text: Text, axes: Sequence[int]) -> Text:
    """The text with an axis of size 1 for each of `axes` that it lacks."""
    if text.literal is not None or text.axes == tuple(axes):
        return text
    pattern = [":" if axis in text.axes else "None" for axis in axes]
    if text.batch:
        while pattern and pattern[0] == ":":
            pattern = pattern[1:]
        pattern = ["...", *pattern]
    else:
        while pattern and pattern[0] == "None":
            pattern = pattern[1:]
    if "None" not in pattern:
        return replace(text, axes=tuple(axes))
    code = f"{text.at(ATOM)}[{', '.join(pattern)}]"
    return Text(code, ATOM, tuple(axes), text.batch)


def quoted(text: str) -> str:
    """A string literal in double quotes."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def call(function: str, *arguments: str) -> str:
    """A call."""
    return f"{function}({', '.join(arguments)})"


def words(lines: Sequence[str]) -> set[str]:
    """Variables that occur in some statements: no attributes, no strings, no comments."""
    text = re.sub(r'"[^"]*"|#.*|\.\w+', "", "\n".join(lines))
    return set(re.findall(r"\b[A-Za-z_]\w*\b", text))


def signature(name: str, arguments: Sequence[str], result: str) -> str:
    """The first lines of a function, broken as black does when they are too long."""
    flat = f"def {name}({', '.join(arguments)}) -> {result}:"
    if len(flat) <= 100:
        return flat
    inner = f"    {', '.join(arguments)}"
    if len(inner) <= 100:
        return f"def {name}(\n{inner}\n) -> {result}:"
    broken = "".join(f"    {argument},\n" for argument in arguments)
    return f"def {name}(\n{broken}) -> {result}:"


def wrapped(items: Sequence[str], indent: str, width: int = 100) -> str:
    """Items with commas, filled into lines of at most `width`."""
    lines: list[str] = []
    line = indent
    for item in items:
        piece = f"{item}, "
        if len(line) + len(piece.rstrip()) > width and line != indent:
            lines.append(line.rstrip())
            line = indent
        line += piece
    return "\n".join([*lines, line.rstrip()])
