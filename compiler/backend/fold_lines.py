"""Long lines of emitted code broken at brackets and operators, much as black does."""

import re
from collections.abc import Iterator

WIDTH = 100
_ASSIGNED = re.compile(r'\s*(\w+ = |return |"[^"]*": )')
_OPEN, _CLOSE = "([{", ")]}"
_OPERATORS = (" | ", " & ", " + ", " - ", " * ", " / ")


def folded(text: str) -> str:
    """The text of a definition with its long statements broken; strings over lines stay."""
    lines: list[str] = []
    inside = False
    for line in text.split("\n"):
        quotes = line.count('"""')
        lines += [line] if inside or quotes or len(line) <= WIDTH else _statement(line)
        inside ^= quotes % 2 == 1
    return "\n".join(lines)


def _statement(line: str) -> list[str]:
    """One statement, its comment moved to the last line."""
    code, mark, comment = line.partition("  # ")
    if len(code) <= WIDTH and mark:
        return [line]
    broken = _broken(code)
    return [*broken[:-1], f"{broken[-1]}{mark}{comment}"]


def _broken(line: str) -> list[str]:
    """Lines for a piece of code: the largest bracket opens, then commas, then operators."""
    if len(line) <= WIDTH:
        return [line]
    prefix = _ASSIGNED.match(line)
    if prefix and any(len(_split(line[prefix.end() :], o)) > 1 for o in _OPERATORS):
        outer = " " * (len(line) - len(line.lstrip()))
        mark = "," if line.endswith(",") else ""
        body = line[prefix.end() : len(line) - len(mark)]
        return [f"{prefix.group()}(", *_body(body, f"{outer}    "), f"{outer}){mark}"]
    pairs = list(_pairs(line))
    if not pairs:
        return [line]
    start, end = max(pairs, key=lambda pair: pair[1] - pair[0])
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    body = line[start + 1 : end]
    outer = indent[4:]
    return [line[: start + 1], *_body(body, indent), *_broken(f"{outer}{line[end:]}")]


def _body(body: str, indent: str) -> list[str]:
    """The inside of a bracket on lines of its own."""
    parts = _split(body, ", ")
    if len(parts) > 1 and " for " not in body:
        flat = f"{indent}{body}"
        if len(flat) <= WIDTH:
            return [flat]
        return [line for part in parts for line in _broken(f"{indent}{part.rstrip(',')},")]
    if len(indent) + len(body) <= WIDTH:
        return [f"{indent}{body}"]
    for operator in _OPERATORS:
        terms = _split(body, operator)
        if len(terms) > 1:
            joined = [terms[0], *(f"{operator[1:]}{term}" for term in terms[1:])]
            return [line for term in joined for line in _broken(f"{indent}{term}")]
    return _broken(f"{indent}{body}")


def _split(text: str, separator: str) -> list[str]:
    """Parts between separators that lie outside brackets and strings."""
    parts, start = [], 0
    for place, depth in _depths(text):
        if depth == 0 and place >= start and text.startswith(separator, place):
            parts.append(text[start:place])
            start = place + len(separator)
    return [*parts, text[start:]]


def _pairs(line: str) -> Iterator[tuple[int, int]]:
    """Outermost brackets, opening and closing place."""
    opened = 0
    previous = 0
    for place, depth in [*_depths(line), (len(line), 0)]:
        if previous == 0 and depth == 1:
            opened = place - 1
        if previous == 1 and depth == 0 and place - 1 > opened + 1:
            yield opened, place - 1
        previous = depth


def _depths(text: str) -> Iterator[tuple[int, int]]:
    """Every place outside strings with the number of brackets that are open before it."""
    depth, quoted = 0, False
    for place, letter in enumerate(text):
        if not quoted:
            yield place, depth
        if letter == '"':
            quoted = not quoted
        elif not quoted and letter in _OPEN:
            depth += 1
        elif not quoted and letter in _CLOSE:
            depth -= 1
