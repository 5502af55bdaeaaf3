"""Imports and data files: found under the project's root, read once, never outside it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mfdsl.compiler.diagnostics import Help, Sink
from mfdsl.compiler.source import SourceFile
from mfdsl.compiler.syntax import ast
from mfdsl.compiler.syntax.limits import MAX_IMPORTS
from mfdsl.compiler.syntax.nearest import nearest
from mfdsl.compiler.syntax.parse import parse
from mfdsl.compiler.syntax.read import read_source

MAX_DEPTH = 8
MAX_SHOWN = 80
MAX_PATH = 4096
ROOT_MARKS = ("pyproject.toml", "mfdsl.toml", ".git")
DATA_ENDINGS = (".json", ".csv", ".npz")
MAP_ENDINGS = (".txt",)


@dataclass(frozen=True, slots=True)
class Files:
    """Where files come from: a folder on disk (`root`, real path) or texts in memory."""

    root: Path | None
    texts: Mapping[str, str] = field(default_factory=dict)


def project_root(path: Path) -> Path:
    """The nearest folder at or above the spec that marks a project, else the spec's folder."""
    folder = path.resolve().parent
    for candidate in (folder, *folder.parents):
        if any((candidate / mark).exists() for mark in ROOT_MARKS):
            return candidate
    return folder


@dataclass(slots=True)
class Loaded:
    """All files of one compilation: sources and units by the name that messages print."""

    sources: dict[str, SourceFile] = field(default_factory=dict)
    units: dict[str, ast.Unit] = field(default_factory=dict)
    folders: dict[str, Path] = field(default_factory=dict)


def load_imports(loaded: Loaded, main: str, files: Files, sink: Sink) -> None:
    """Read and parse everything that `main` imports, directly or not."""
    _follow(loaded, main, files, sink, (main,))


def _follow(loaded: Loaded, name: str, files: Files, sink: Sink, chain: tuple[str, ...]) -> None:
    for declaration in loaded.units[name].declarations:
        if not isinstance(declaration, ast.Import):
            continue
        target = import_target(loaded, name, declaration.path, files, sink)
        if target is None:
            continue
        if target in chain:
            shown = " -> ".join((*chain[chain.index(target) :], target))
            sink.report(
                "MFG011", f"import cycle {shown}", declaration.path.span, "closes the cycle"
            )
            continue
        if target in loaded.units:
            continue
        if len(chain) > MAX_DEPTH or len(loaded.units) > MAX_IMPORTS:
            sink.report(
                "MFG703",
                f"more than {MAX_IMPORTS} imports, or nested more than {MAX_DEPTH} deep",
                declaration.path.span,
                "too many files",
            )
            return
        source = _read(loaded, target, files, sink)
        if source is None:
            continue
        loaded.sources[target] = source
        loaded.units[target] = parse(source, sink)
        _follow(loaded, target, files, sink, (*chain, target))


def import_target(
    loaded: Loaded, name: str, path: ast.Text, files: Files, sink: Sink
) -> str | None:
    """The name of the file that `path` in the file `name` means, or None after a report."""
    if not path.value.endswith(".mfg"):
        sink.report(
            "MFG011", f"cannot import `{_short(path.value)}`: not a `.mfg` file", path.span, ""
        )
        return None
    if files.root is None:
        if path.value in files.texts:
            return path.value
        guess = nearest(path.value, files.texts)
        sink.report(
            "MFG011",
            f"cannot import `{_short(path.value)}`: no such text was given",
            path.span,
            "not found",
            helps=[f"did you mean `{guess}`?"] if guess else [],
        )
        return None
    found = locate(loaded.folders[name], path, files.root, sink, "MFG011", "import")
    if found is None:
        return None
    target = _shown(Path(name), path.value, found, files.root)
    loaded.folders[target] = found.parent
    return target


def _shown(importer: Path, written: str, found: Path, root: Path) -> str:
    """The imported file named as its importer is: beside it, or from the root."""
    if importer.is_absolute():
        return str(found)
    beside = importer.parent / written
    return beside.as_posix() if ".." not in beside.parts else found.relative_to(root).as_posix()


def locate(
    folder: Path, path: ast.Text, root: Path, sink: Sink, code: str, verb: str
) -> Path | None:
    """The real path of a relative file under `root`, or None after a report."""
    written = path.value
    problem, helps = None, []
    if not written or Path(written).is_absolute() or "\\" in written or "://" in written:
        problem = "paths are relative, with `/` between folders"
    else:
        found = _resolved(folder / written)
        if found is not None and not found.is_relative_to(root.resolve()):
            problem = "it lies outside the project"
        elif found is None:
            problem = "no file has such a path"
        elif not found.is_file():
            problem = "no such file under the project"
            helps = _similar(found)
        else:
            return found
    message = f"cannot {verb} `{_short(written)}`: {problem}"
    sink.report(code, message, path.span, "not found", helps=helps)
    return None


def _short(path: str) -> str:
    return path if len(path) <= MAX_SHOWN else f"{path[:MAX_SHOWN]}..."


def _resolved(path: Path) -> Path | None:
    """The real path, or None where the system takes none: too long, or links in a circle."""
    if len(str(path)) > MAX_PATH:  # refused before the system looks at every part of it
        return None
    try:
        path = path.resolve()
        path.is_file()
    except (OSError, RuntimeError, ValueError):
        return None
    return path


def _similar(missing: Path) -> list[Help | str]:
    try:
        names = [p.name for p in missing.parent.iterdir() if p.suffix == missing.suffix]
    except OSError:
        return []
    guess = nearest(missing.name, sorted(names))
    return [f"did you mean `{guess}`, in the same folder?"] if guess else []


def _read(loaded: Loaded, target: str, files: Files, sink: Sink) -> SourceFile | None:
    if files.root is None:
        return SourceFile(target, files.texts[target])
    return read_source(loaded.folders[target] / Path(target).name, target, sink)


def data_file(
    loaded: Loaded,
    name: str,
    path: ast.Text,
    files: Files,
    sink: Sink,
    endings: tuple[str, ...] = DATA_ENDINGS,
) -> Path | None:
    """The real path of a data file, or None after a report."""
    if not path.value.endswith(endings):
        what = "maps" if endings == MAP_ENDINGS else "data files"
        sink.report(
            "MFG705",
            f"cannot read data from `{_short(path.value)}`",
            path.span,
            f"{what} end in " + ", ".join(f"`{e}`" for e in endings),
        )
        return None
    if files.root is None:
        sink.report(
            "MFG705",
            "a spec given as text has no data files",
            path.span,
            "where is this file?",
            helps=["load the spec from a path, or give the values as a parameter"],
        )
        return None
    return locate(loaded.folders[name], path, files.root, sink, "MFG705", "read data from")
