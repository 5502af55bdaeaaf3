"""A text in an editor with what it imports from disk: trees and names, also where it is wrong."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mfdsl.compiler.diagnostics import Sink
from mfdsl.compiler.driver import Compilation, Options, compile_file, compile_text
from mfdsl.compiler.imports import Files, Loaded, import_target, load_imports, project_root
from mfdsl.compiler.source import SourceFile
from mfdsl.compiler.syntax import ast
from mfdsl.compiler.syntax.parse import parse
from mfdsl.compiler.syntax.read import read_source
from mfdsl.lsp.names import index_of
from mfdsl.lsp.symbols import Index, Symbol, Use

MAX_SPECS = 500  # of a project that are looked through for other uses of a name
SKIPPED = frozenset({"build", "node_modules", "__pycache__", "site-packages"})


@dataclass(frozen=True)
class Document:
    """One text: its name in messages, its tree, and the names of it and of what it imports.

    `path` is None for a text that was never saved; it imports nothing.
    """

    name: str
    text: str
    path: Path | None
    unit: ast.Unit
    index: Index
    files: dict[str, Index]

    @property
    def library(self) -> bool:
        """Whether it is a file of functions, which is no game by itself."""
        return self.unit.header is not None and self.unit.header.kind == "library"

    def source(self, file: str) -> SourceFile | None:
        """The text of this file or of one that it imports."""
        found = self.files.get(file)
        return found.source if found is not None else None


def document_of(text: str, path: Path | None = None, name: str = "spec.mfg") -> Document:
    """Read a text; faults in it or in its imports leave names out and are reported elsewhere."""
    name = path.as_posix() if path is not None else name
    loaded = Loaded()
    loaded.sources[name] = SourceFile(name, text)
    loaded.units[name] = parse(loaded.sources[name], Sink())
    files = Files(None if path is None else project_root(path))
    if path is not None:
        loaded.folders[name] = path.resolve().parent
    load_imports(loaded, name, files, Sink())
    found: dict[str, Index] = {}
    _index(name, loaded, files, found, ())
    return Document(name, text, path, loaded.units[name], found[name], found)


def _index(
    name: str, loaded: Loaded, files: Files, found: dict[str, Index], chain: tuple[str, ...]
) -> None:
    """The index of a file, after those that it imports; a cycle is cut where it closes."""
    unit, targets = loaded.units[name], {}
    for node in unit.declarations:
        if isinstance(node, ast.Import):
            target = import_target(loaded, name, node.path, files, Sink())
            if target in loaded.units and target not in (*chain, name) and target is not None:
                targets[node.path.value] = target
                if target not in found:
                    _index(target, loaded, files, found, (*chain, name))
    found[name] = index_of(unit, loaded.sources[name], targets, found)


def compiled(document: Document, options: Options | None = None) -> Compilation:
    """What the compiler says of the text, with imports and data from disk."""
    if document.path is None:
        return compile_text(document.text, name=document.name, options=options)
    return compile_file(document.path, options, text=document.text)


Read = Callable[[Path], str | None]


def saved(path: Path) -> str | None:
    """The text of a file on disk; None where it cannot be read."""
    source = read_source(path, path.name, Sink())
    return source.text if source is not None else None


def importers(document: Document, read: Read = saved) -> Iterator[Document]:
    """Other specs of the project that import this file; `read` may know newer texts."""
    if document.path is None:
        return
    here = document.path.resolve()
    for count, path in enumerate(_specs(project_root(document.path))):
        if count >= MAX_SPECS:
            return
        text = read(path) if path.resolve() != here else None
        if text is not None and "import" in text and here.name in text:
            other = document_of(text, path)
            if any(Path(file).resolve() == here for file in other.index.imports.values()):
                yield other


def _specs(folder: Path) -> Iterator[Path]:
    """The specs below a folder in order, without hidden folders and those of tools."""
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    for entry in entries:
        if entry.is_file() and entry.suffix == ".mfg":
            yield entry
        elif entry.is_dir() and not entry.is_symlink():
            if entry.name not in SKIPPED and not entry.name.startswith("."):
                yield from _specs(entry)


def uses_everywhere(
    document: Document, symbol: Symbol, read: Read = saved
) -> Iterator[tuple[Document, list[Use]]]:
    """The uses of a symbol by file: where it is declared, here, and in what imports that file."""
    home = document
    if symbol.span.file != document.name:
        path = Path(symbol.span.file)
        text = read(path)
        if text is None:
            yield document, document.index.uses_of(symbol)
            return
        home = document_of(text, path)
    yield home, _same(home, symbol)
    for other in importers(home, read):
        found = _same(other, symbol)
        if found:
            yield other, found


def _same(document: Document, symbol: Symbol) -> list[Use]:
    """The uses of a symbol in a document that was read apart: files may be named otherwise."""
    file, at = Path(symbol.span.file).name, (symbol.span.start, symbol.span.end)

    def means(other: Symbol) -> bool:
        place = (other.span.start, other.span.end)
        return other.name == symbol.name and place == at and Path(other.span.file).name == file

    found = [u for u in document.index.uses if any(means(s) for s in u.symbols)]
    return sorted(found, key=lambda u: u.span)
