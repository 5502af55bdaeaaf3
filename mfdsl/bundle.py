"""A spec with everything it reads, as files that can be kept together anywhere.

The bundle of a bundle is itself, so that a kept spec is recognised as the game it came from.
"""

from dataclasses import dataclass, field
from pathlib import Path

from mfdsl.compiler.diagnostics import Edit, Sink
from mfdsl.compiler.driver import Compilation
from mfdsl.compiler.fix import apply_edits
from mfdsl.compiler.source import SourceFile
from mfdsl.compiler.syntax import ast
from mfdsl.compiler.syntax.format import format_source
from mfdsl.compiler.syntax.parse import parse

MAIN = "spec.mfg"
FOLDER = "files"


@dataclass(slots=True)
class _Bundle:
    """`names` has the name inside the bundle of each file on disk, `pending` those to read."""

    files: dict[str, bytes] = field(default_factory=dict)
    names: dict[Path, str] = field(default_factory=dict)
    pending: list[Path] = field(default_factory=list)


def bundle_of(compilation: Compilation) -> dict[str, bytes]:
    """Contents by name: `spec.mfg` formatted, its imports and data under `files/`.

    Paths inside the specs are those of the bundle. The compilation must have no syntax errors.
    """
    result = _Bundle()
    main = compilation.sources[compilation.name]
    result.files[MAIN] = _moved(result, main, Path(main.name).parent, f"{FOLDER}/")
    while result.pending:
        path = result.pending.pop(0)
        content = path.read_bytes()
        if path.suffix == ".mfg":
            source = SourceFile(path.name, content.decode("utf-8-sig"))
            content = _moved(result, source, path.parent, "")
        result.files[f"{FOLDER}/{result.names[path]}"] = content
    return result.files


def _moved(bundle: _Bundle, source: SourceFile, folder: Path, prefix: str) -> bytes:
    """The formatted text, reading from the bundle what it read from `folder`."""
    edits = []
    for place in _paths(parse(source, Sink())):
        path = (folder / place.value).resolve()
        if path.is_file():
            edits.append(Edit(place.span, f'"{prefix}{_name(bundle, path)}"'))
    return format_source(apply_edits(source.text, edits), source.name).encode()


def _paths(unit: ast.Unit) -> list[ast.Text]:
    imports = [d.path for d in unit.declarations if isinstance(d, ast.Import)]
    data = [d.data for d in unit.declarations if isinstance(d, ast.Param) and d.data is not None]
    players = [d for d in unit.declarations if isinstance(d, ast.Player)]
    members = [m for player in players for m in player.members]
    agents = [m.data for m in members if isinstance(m, ast.Trait | ast.Weights)]
    spaces = [d for d in unit.declarations if isinstance(d, ast.Grid | ast.Graph)]
    items = [item for space in spaces for item in space.items]
    links = [item.path for item in items if isinstance(item, ast.GridFile | ast.GraphFile)]
    return imports + data + links + [path for path in agents if path is not None]


def _name(bundle: _Bundle, path: Path) -> str:
    """The name of a file in the bundle; a second file of one name is numbered."""
    if path not in bundle.names:
        taken = set(bundle.names.values())
        name, count = path.name, 1
        while name in taken:
            count += 1
            name = f"{path.stem}-{count}{path.suffix}"
        bundle.names[path] = name
        bundle.pending.append(path)
    return bundle.names[path]
