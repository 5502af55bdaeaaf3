"""Renaming: every place that means the same name, or a reason why that would change the game."""

from pathlib import Path

from mfdsl.compiler.diagnostics import Edit
from mfdsl.compiler.fix import apply_edits
from mfdsl.compiler.sema.names import BUILTIN_NAMES, RESERVED_NAMES
from mfdsl.compiler.syntax.tokens import KEYWORDS, scan
from mfdsl.lsp.documents import Document, Read, compiled, document_of, saved, uses_everywhere
from mfdsl.lsp.symbols import Symbol, Use


class CannotRename(Exception):
    """The name stays; the text says why."""


def renamable(document: Document, offset: int) -> tuple[Use, Symbol]:
    """The name at an offset and what it means.

    Raises:
        CannotRename: there is no name, or one of the language, or one with several meanings.
    """
    use = document.index.use_at(offset)
    if use is None:
        raise CannotRename("there is no name here that the spec declares")
    if len(use.symbols) > 1:
        owners = " and ".join(f"`{s.owner}`" for s in use.symbols)
        raise CannotRename(f"`{use.symbols[0].name}` belongs to {owners}: write which one is meant")
    return use, use.symbols[0]


def renaming(
    document: Document, offset: int, new: str, read: Read = saved
) -> list[tuple[Document, list[Edit]]]:
    """The edits by file that give the name at an offset a new one.

    Raises:
        CannotRename: the new name is none, is taken, or would make another game.
    """
    _, symbol = renamable(document, offset)
    _check_name(new)
    changes = []
    for other, uses in uses_everywhere(document, symbol, read):
        torn = next((u for u in uses if len(u.symbols) > 1), None)
        if torn is not None:
            owners = " and ".join(f"`{s.owner}`" for s in torn.symbols)
            raise CannotRename(f"`{symbol.name}` belongs to {owners} in `{other.name}`")
        changes.append((other, [Edit(use.span, new) for use in uses]))
    if new == symbol.name:
        return changes
    (home, edits), *others = changes
    _check_meaning(home, edits, new)
    for other, _ in others:
        if any(token.text == new for token in scan(other.text)):
            raise CannotRename(f"`{new}` stands in `{other.name}` already, which imports this")
    if not others:
        _check_compiles(home, edits, new)
    return changes


def _check_name(new: str) -> None:
    tokens = scan(new)
    plain = len(tokens) == 1 and tokens[0].kind == "name" and tokens[0].text == new
    if new in KEYWORDS or new in RESERVED_NAMES | BUILTIN_NAMES:
        raise CannotRename(f"`{new}` is a word of the language")
    if not plain:
        raise CannotRename(f"`{new}` is no name: letters, digits and `_`, a letter first")


def _check_meaning(document: Document, edits: list[Edit], new: str) -> None:
    """Every name must mean what it meant: nothing else may be called `new` where it is read."""
    text = apply_edits(document.text, edits)
    after = document_of(text, document.path, document.name)
    old = _meanings(document, edits)
    now = _meanings(after, [])
    if old != now:
        raise CannotRename(f"`{new}` is taken: some name in `{document.name}` would mean another")


def _meanings(
    document: Document, edits: list[Edit]
) -> set[tuple[int, tuple[tuple[str, int], ...]]]:
    """The places of names with the places of what they mean, moved as the edits will move them."""

    def moved(file: str, at: int) -> tuple[str, int]:
        if file != document.name:
            return Path(file).name, at
        shift = sum(len(e.text) - (e.span.end - e.span.start) for e in edits if e.span.start < at)
        return "", at + shift

    return {
        (
            moved(use.span.file, use.span.start)[1],
            tuple(sorted(moved(s.span.file, s.span.start) for s in use.symbols)),
        )
        for use in document.index.uses
    }


def _check_compiles(document: Document, edits: list[Edit], new: str) -> None:
    """A spec without errors must have none afterwards: files may call their columns by the name."""
    if document.library or not compiled(document).ok:
        return
    text = apply_edits(document.text, edits)
    after = compiled(document_of(text, document.path, document.name))
    error = next((d for d in after.diagnostics if d.severity == "error"), None)
    if error is not None:
        raise CannotRename(f"with `{new}` the spec would be wrong: {error.message}")
