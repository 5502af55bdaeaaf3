"""A counterexample as a table: what goes in and what comes out, before and after agents swap."""

from collections.abc import Sequence

from torch import Tensor

from mfdsl.compiler.ir.types import Type
from mfdsl.validating.counterexample import Counterexample, leaves, variable_type
from mfdsl.validating.situations import Key, reordered

MOST_COLUMNS = 6
WORDS = {"state": "", "action": "", "noise": "draw of ", "initial": "draw of "}


def before_after(found: Counterexample) -> str:
    """The table, ending in a line break.

    Columns are agents before and after the swap and, for what comes out wrong, what it should be.
    Values of other players stand below.
    """
    agents = _columns(found)
    hidden = len(found.order) - len(agents)
    head = [f"agent {i}" for i in agents]
    rows: list[Sequence[str]] = [["", *head, "|", *head, "|", *head]]
    shared = []
    swapped = reordered(found.situation, found.field, found.order[None])
    for group, field, index, name in leaves(found.program, found.situation):
        kind = variable_type(found.program, group, field, name)
        before, after = (
            s.groups[group]._asdict()[field][index][0] for s in (found.situation, swapped)
        )
        label = f"{WORDS[group]}{name}"
        if field == found.field:
            cells = [[_shown(found, v[i], kind) for i in agents] for v in (before, after)]
            rows.append([label, *cells[0], "|", *cells[1], "|", *[""] * len(agents)])
        else:
            shared.append(f"{found.program.names[field]}.{label} = {_shown(found, before, kind)}")
    rows += [_result(found, key, agents) for key in found.names if key[0] == found.field]
    others = [key for key in found.names if key[0] != found.field]
    title = [f"{found.sentence}:", ""]
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    blocks = [" " * widths[0], *("before", "after", "expected")]
    lines = [_banner(blocks, widths, len(agents)), *(_line(row, widths) for row in rows)]
    if hidden:
        shared.insert(0, f"{hidden} more agents are not shown")
    shared += [_elsewhere(found, key) for key in others]
    return "\n".join([*title, *lines, *([""] if shared else []), *shared]) + "\n"


def _columns(found: Counterexample) -> list[int]:
    """The agents to show: all of a few, else those that move and those with wrong values."""
    if len(found.order) <= MOST_COLUMNS:
        return list(range(len(found.order)))
    wrong = [
        i
        for key in found.names
        if key[0] == found.field
        for i in range(len(found.order))
        if not _alike(found, key, i)
    ]
    return list(dict.fromkeys([*found.moved, *wrong]))[:MOST_COLUMNS]


def _alike(found: Counterexample, key: Key, agent: int) -> bool:
    after = found.after[key].expand_as(found.expected[key])
    return bool((after[0, agent] == found.expected[key][0, agent]).all())


def _result(found: Counterexample, key: Key, agents: Sequence[int]) -> list[str]:
    """A wrong quantity before, after, and as it should be."""
    expected = found.expected[key][0]
    parts = (found.before[key], found.after[key])
    before, after = (v.expand(1, *expected.shape)[0] for v in parts)
    kind = _result_type(found, key)
    cells = [[_shown(found, v[i], kind) for i in agents] for v in (before, after, expected)]
    return [key[1], *cells[0], "|", *cells[1], "|", *cells[2]]


def _result_type(found: Counterexample, key: Key) -> Type | None:
    """The type of a next state, None for every other quantity."""
    if not key[1].startswith("next "):
        return None
    fields = type(found.situation.groups["state"]._asdict()[key[0]])._fields
    names = dict(zip(fields, found.program.variables(key[0], "state"), strict=True))
    return variable_type(found.program, "state", key[0], names[key[1].removeprefix("next ")])


def _elsewhere(found: Counterexample, key: Key) -> str:
    """A quantity of another player, which the swap should have left alone."""
    before, after = (_shown(found, v[key][0], None) for v in (found.before, found.after))
    return f"{found.program.names[key[0]]}.{key[1]}: {before} before, {after} after"


def _shown(found: Counterexample, value: Tensor, kind: Type | None) -> str:
    """A number, an array in brackets, or the name of a value of an enumeration."""
    if value.ndim:
        return f"[{', '.join(_shown(found, v, kind) for v in value)}]"
    number = value.item()
    model = found.program.model
    if kind is not None and kind.kind == "enum" and model is not None:
        return next(e.values[int(number)] for e in model.enums if e.name == kind.name)
    return f"{number + 0.0:.12g}" if isinstance(number, float) else str(number).lower()


def _banner(blocks: Sequence[str], widths: Sequence[int], agents: int) -> str:
    """The line above the columns that says what each third of them is."""
    width = sum(widths[1 : agents + 1]) + 2 * (agents - 1)
    first, *rest = blocks
    return "  ".join([first, "  |  ".join(word.ljust(width) for word in rest)]).rstrip()


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
    return "  ".join([first, *rest]).rstrip()
