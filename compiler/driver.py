"""The compiler on one page: text in, model, certificates and diagnostics out."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.backend.cost import report_cost
from mfdsl.compiler.confirm import confirm_helps
from mfdsl.compiler.diagnostics import CompileError, Diagnostic, Sink
from mfdsl.compiler.imports import Files, Loaded, load_imports, project_root
from mfdsl.compiler.ir.build import TooManyNodes
from mfdsl.compiler.ir.model import Model, Place
from mfdsl.compiler.sema.lower import Lowered, lower_unit
from mfdsl.compiler.source import SourceFile, Span
from mfdsl.compiler.syntax import ast
from mfdsl.compiler.syntax.parse import parse
from mfdsl.compiler.syntax.read import read_source

ParameterValue = int | float | str | tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Options:
    """What a caller may choose: parameter values and how strict `require` is.

    `accept` makes no difference yet: every claim of this release is proved, refuted or unknown.

    `spread` has the ends of real parameters for all values of which ranges are checked: domains,
    weights, divisions and the like. What the spec assumes or requires is not.

    `root` bounds imports and data files; None takes the folder of the spec, or the nearest
    folder above it that holds a `pyproject.toml`, `mfdsl.toml` or `.git`.
    """

    parameters: Mapping[str, ParameterValue] = field(default_factory=dict)
    accept: Literal["proved", "tested"] = "tested"
    root: Path | None = None
    spread: Mapping[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Compilation:
    """Everything one run of the compiler found; `model` is None when there are errors."""

    name: str
    sources: Mapping[str, SourceFile]
    unit: ast.Unit | None
    model: Model | None
    diagnostics: tuple[Diagnostic, ...]
    certificates: tuple[Certificate, ...]
    solver_places: Mapping[str, Span]
    seconds: float

    @property
    def ok(self) -> bool:
        """True when no diagnostic is an error."""
        return not any(d.severity == "error" for d in self.diagnostics)

    def line_of(self, place: Place) -> int | None:
        """One-based line of a place in the spec itself, None for one in an imported file."""
        return self.sources[self.name].line_of(place.start) if place.file == self.name else None

    def require_model(self) -> Model:
        """The model, or `CompileError` with the diagnostics."""
        if self.model is None or not self.ok:
            raise CompileError(self.diagnostics, self.sources)
        return self.model


def compile_file(
    path: str | Path, options: Options | None = None, *, text: str | None = None
) -> Compilation:
    """Compile the spec at `path`, or a newer `text` of it that is not saved yet.

    Never raises on a bad spec or a missing file.
    """
    options = options or Options()
    started = time.perf_counter()
    path, sink, loaded = Path(path), Sink(), Loaded()
    name = path.as_posix()
    source = read_source(path, name, sink) if text is None else SourceFile(name, text)
    if source is None:
        return _finished(name, loaded, None, sink, started)
    root = options.root.resolve() if options.root is not None else project_root(path)
    loaded.folders[name] = path.resolve().parent
    return _compile(source, loaded, Files(root), options, sink, started)


def compile_text(
    text: str,
    *,
    name: str = "spec.mfg",
    options: Options | None = None,
    imports: Mapping[str, str] | None = None,
) -> Compilation:
    """Compile `text`; `imports` maps the paths it may import to their texts."""
    files = Files(None, dict(imports or {}))
    return _compile(
        SourceFile(name, text), Loaded(), files, options or Options(), Sink(), time.perf_counter()
    )


def _compile(
    source: SourceFile,
    loaded: Loaded,
    files: Files,
    options: Options,
    sink: Sink,
    started: float,
) -> Compilation:
    """The passes. Syntax errors of all files come together; meaning needs trees without holes."""
    folders = dict(loaded.folders)
    lowered = _lower(source, loaded, files, options, sink)
    finished = _finished(source.name, loaded, lowered, sink, started)
    if finished.ok:
        return finished

    def again(text: str) -> tuple[Diagnostic, ...]:
        trial, found = Loaded(folders=dict(folders)), Sink()
        _lower(SourceFile(source.name, text), trial, files, options, found)
        return found.sorted()

    diagnostics = confirm_helps(source.text, source.name, finished.diagnostics, again)
    return replace(finished, diagnostics=diagnostics)


def _lower(
    source: SourceFile, loaded: Loaded, files: Files, options: Options, sink: Sink
) -> Lowered | None:
    loaded.sources[source.name] = source
    loaded.units[source.name] = parse(source, sink)
    load_imports(loaded, source.name, files, sink)
    if sink.failed:
        return None
    try:
        lowered = lower_unit(source.name, loaded, files, options.parameters, sink, options.spread)
        if lowered is not None and not sink.failed:
            report_cost(lowered.model, sink)
    except RecursionError:
        _report_depth(loaded.units[source.name], sink)
        return None
    except TooManyNodes as error:
        _report_size(loaded.units[source.name], str(error), sink)
        return None
    return lowered


def _report_depth(unit: ast.Unit, sink: Sink) -> None:
    sink.report(
        "MFG702",
        "definitions nest in each other too deeply",
        unit.header.span if unit.header is not None else None,
        "somewhere in this file",
        helps=["write functions out, or name their parts with `let`"],
    )


def _report_size(unit: ast.Unit, what: str, sink: Sink) -> None:
    sink.report(
        "MFG703",
        f"written out, the formulas have {what}",
        unit.header.span if unit.header is not None else None,
        "somewhere in this file",
        helps=["sum over ranges of more than 4 values, and call long functions less often"],
    )


def _finished(
    name: str, loaded: Loaded, lowered: Lowered | None, sink: Sink, started: float
) -> Compilation:
    return Compilation(
        name=name,
        sources=loaded.sources,
        unit=loaded.units.get(name),
        model=None if lowered is None or sink.failed else lowered.model,
        diagnostics=sink.sorted(),
        certificates=() if lowered is None else lowered.certificates,
        solver_places={} if lowered is None else lowered.solver_places,
        seconds=time.perf_counter() - started,
    )
