"""How grids and graphs are written, where they are written in another way."""

from mfdsl.compiler.diagnostics import Edit, Help
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax.fault import Fault

_DRAWN = frozenset(
    "exit exits goal goals obstacle obstacles region regions room rooms start target wall walls"
    " blocked".split()
)
_BY = frozenset({"x", "by"})


def of_places(fault: Fault) -> list[Help | str]:
    """What a `grid` or a `graph` needs at a fault; nothing elsewhere."""
    if fault.head == "grid":
        return _grid(fault)
    if fault.head == "graph" and fault.found.type in ("NAME", "EQUAL", "LPAR", "LSQB"):
        return ["nodes and links have a word each: `graph city { node A  node B  link A -> B }`"]
    return []


def _grid(fault: Fault) -> list[Help | str]:
    before, found = fault.before, fault.found
    if found.text in _DRAWN:
        return [
            "obstacles and regions are drawn: `map` and lines in three quotes, `#` for an obstacle"
            " and a letter for a region, as in `x in room.E`"
        ]
    after = fault.words[fault.at + 1].text
    if before is not None and before.text == "size" and found.type == "EQUAL":
        gone = Span(found.span.file, before.span.end, found.span.end)
        return [Help(f"write `size {after}, ...`", (Edit(gone, ""),), applicable=True)]
    if before is not None and before.type in ("NAME", "NUMBER") and found.text in _BY:
        comma = Span(found.span.file, before.span.end, found.span.end)
        return [Help(f"write `{before.text}, {after}`", (Edit(comma, ","),), applicable=True)]
    return ["a grid is written `grid NAME { size ROWS, COLUMNS  moves von_neumann }`, or drawn"]
