"""Extra blanks that put names, `:`, `=` and `->` of neighbouring lines under each other."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from mfdsl.compiler.syntax import ast
from mfdsl.compiler.syntax.rows import Item, Row
from mfdsl.compiler.syntax.spacing import spaces
from mfdsl.compiler.syntax.tokens import CLOSERS, OPENERS, Token

MAX_GUARD = 24

Pads = dict[int, int]
"""Extra blanks before a token, by the token's index in its item."""


def head_length(tree: ast.Tree | None) -> int:
    """Number of tokens up to and with the first `:`, `=` or `~` of an aligned declaration."""
    match tree:
        case ast.Param() | ast.State() | ast.Trait() | ast.Noise() | ast.Action():
            return 3
        case ast.Let() | ast.Next():
            return 3
        case ast.Reward(name=name, final=final):
            return 2 + (name is not None) + final
        case _:
            return 0


def head_pads(items: Sequence[Item]) -> list[Pads]:
    """Pads in the heads of runs of like declarations; a blank line ends a run."""
    pads: list[Pads] = [{} for _ in items]
    for run in _runs(items):
        heads = {i: _head(items[i]) for i in run}
        keyword_width = max(len(keyword) for keyword, _ in heads.values())
        name_width = max(len(name) for _, name in heads.values())
        for i, (keyword, name) in heads.items():
            separator = head_length(items[i].tree) - 1
            first, second = keyword_width - len(keyword), name_width - len(name)
            if not name:
                pads[i] = {separator: first + second + bool(second)}
            elif isinstance(items[i].tree, ast.Next):
                pads[i] = {separator: second}
            else:
                pads[i] = {separator - 1: first, separator: second}
    return pads


def _runs(items: Sequence[Item]) -> Iterator[list[int]]:
    """Indices of the members of each run; comments between them do not break it."""
    run: list[int] = []
    key: tuple[str, int] | None = None
    for i, item in enumerate(items):
        if run and (item.rows[0].blank or (item.tokens and _group(item) != key)):
            yield run
            run = []
        if item.tokens:
            key = _group(item)
            if key is not None:
                run.append(i)
    if run:
        yield run


def _group(item: Item) -> tuple[str, int] | None:
    size = head_length(item.tree)
    if not size or len(item.rows[0].tokens) < size:
        return None
    match item.tree:
        case ast.State() | ast.Trait() | ast.Noise() | ast.Action():
            return "variable", item.depth
        case ast.Reward(final=final):
            return "final" if final else "reward", item.depth
        case tree:
            return type(tree).__name__, item.depth


def _head(item: Item) -> tuple[str, str]:
    """Keyword part and name part of a head; the prime belongs to the name."""
    texts = [token.text for token in item.tokens]
    match item.tree:
        case ast.Next():
            return "", texts[0] + "'"
        case ast.Reward(name=name, final=final):
            cut = 2 if final else 1
            return " ".join(texts[:cut]), texts[cut] if name is not None else ""
        case _:
            return texts[0], texts[1]


def arm_pads(item: Item) -> Pads:
    """Pads that align the arrows of a `match` or `mix`, or the settings of a solver, over lines."""
    mark = "=" if isinstance(item.tree, ast.Solver) else "->"
    if isinstance(item.tree, ast.Graph):
        return {}
    pads: Pads = {}
    found = list(_marks(item, mark))
    for _, group in groupby(sorted(found), key=lambda entry: entry[0]):
        entries = list(group)
        width = max(width for _, _, width in entries)
        if width <= MAX_GUARD:
            pads |= {index: width - own for _, index, own in entries}
    return pads


def _marks(item: Item, mark: str) -> Iterator[tuple[int, int, int]]:
    """For each line that begins an entry: its brace, the index of its mark, the width before it.

    Only braces that end their line count.
    """
    blanks = spaces(item.tokens)
    stack: list[int] = []
    hanging: set[int | None] = set()
    index = 0
    previous: Token | None = None
    for row in item.rows:
        brace = stack[-1] if stack else None
        fresh = previous is not None and (previous.text in ("{", ",") or mark == "=")
        base, width = len(stack), 0
        pending = brace in hanging and fresh
        for position, token in enumerate(row.tokens):
            if pending and token.text == mark and len(stack) == base and brace is not None:
                if mark == "->" or _one_setting(row):
                    yield brace, index, width
                pending = False
            width += len(token.text) + (blanks[index] if position else 0)
            _track(stack, token, index)
            previous = token
            index += 1
        if row.tokens and row.tokens[-1].text == "{":
            hanging.add(index - 1)


def _one_setting(row: Row) -> bool:
    return sum(token.text == "=" for token in row.tokens) == 1


def _track(stack: list[int], token: Token, index: int) -> None:
    if token.kind != "operator":
        return
    if token.text in OPENERS:
        stack.append(index)
    elif token.text in CLOSERS and stack:
        stack.pop()
