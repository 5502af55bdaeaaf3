"""Compiled games as folders: `build/<name>-<key>/`, equal bytes for equal inputs.

The folder is written beside its place and renamed, so that it is complete or not there. It holds
no times and no absolute paths.
"""

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mfdsl
from mfdsl.bundle import MAIN, bundle_of
from mfdsl.compiler.diagnostics import Diagnostic
from mfdsl.compiler.driver import Compilation, Options, ParameterValue, compile_file
from mfdsl.compiler.ir.model import ABI, Model
from mfdsl.compiler.source import SourceFile, Span
from mfdsl.compiler.tabular.listed import as_large_tables
from mfdsl.files import write_folder
from mfdsl.report import Report
from mfdsl.summary import model_card

SHOWN_KEY = 8


@dataclass(frozen=True)
class Artifact:
    """A compiled game on disk: its folder, the names of its files and its key."""

    spec: str
    path: Path
    files: tuple[str, ...]
    key: str

    def to_json(self) -> dict[str, Any]:
        """The JSON contract of `mfdsl compile`."""
        return {
            "spec": self.spec,
            "artifact": str(self.path),
            "files": list(self.files),
            "key": self.key,
        }


def artifact_key(compilation: Compilation) -> str:
    """SHA-256 over the formatted sources, the data, the values that were bound, ABI and version.

    Bound values are those of structural parameters and of overrides; a default is part of the
    source already.
    """
    contents = {name: hashlib.sha256(b).hexdigest() for name, b in bundle_of(compilation).items()}
    bound = {
        p.name: p.value
        for p in compilation.require_model().parameters
        if p.structural or p.value != p.default
    }
    return _digest([mfdsl.__version__, ABI, contents, bound])


def code_key(model: Model) -> str:
    """SHA-256 over what decides the generated code: no documentation, places, values, solver."""
    data = _without_docs(model.model_dump(exclude={"places", "solver", "doc", "assumes"}))
    for parameter in data["parameters"]:
        if not parameter["structural"]:
            del parameter["value"], parameter["default"]
    return _digest([mfdsl.__version__, ABI, data])


def write_artifact(
    compilation: Compilation, parameters: Mapping[str, ParameterValue], out: Path
) -> Artifact:
    """Write the folder of a compiled spec under `out`; `parameters` are the values it was given.

    What is written is compiled from the formatted text, so that places in the model and in the
    module point into the `spec.mfg` beside them.

    Raises:
        UsageError: `out` cannot be written to, or the disk is full; nothing is left behind.
    """
    key = artifact_key(compilation)
    files = _contents(compilation, parameters, key)
    target = out / f"{compilation.require_model().name}-{key[:SHOWN_KEY]}"
    write_folder(target, files)
    return Artifact(compilation.name, target, tuple(files), key)


def _contents(
    compilation: Compilation, parameters: Mapping[str, ParameterValue], key: str
) -> dict[str, bytes]:
    """Content of each file by its name inside the folder."""
    from mfdsl.compiler.backend.particles.emit import emit_particles
    from mfdsl.compiler.backend.torch_emit import emit_torch

    bundle = bundle_of(compilation)
    kept = _compiled_inside(bundle, parameters)
    model = kept.require_model()
    named = {"source_name": Path(compilation.name).name, "digest": key[:SHOWN_KEY]}
    agents = emit_particles(model, **named, line_of=kept.line_of)
    head = {"schema": 1, "key": key, "code_key": code_key(model)}
    report = json.dumps(head | Report(kept).to_json(timed=False), indent=1)
    texts = {
        "model.json": model.model_dump_json(indent=1) + "\n",
        "agents.py": agents,
        "report.json": report + "\n",
        "report.md": model_card(model, kept.certificates),
    }
    tables = _with_tables(model)
    if tables is not None:
        texts["simulator.py"] = emit_torch(tables, **named, line_of=kept.line_of)
    return {name: text.encode() for name, text in texts.items()} | bundle


def _with_tables(model: Model) -> Model | None:
    """The model that has tables, None when there is none without grids."""
    if model.tabular and not model.computes_arrays:
        return as_large_tables(model)
    from mfdsl.compiler.tabular.frames import NoTables
    from mfdsl.compiler.tabular.grids import Bins
    from mfdsl.compiler.tabular.reduce import reduced

    try:
        return reduced(model, Bins()).model
    except NoTables:
        return None


def _compiled_inside(
    bundle: Mapping[str, bytes], parameters: Mapping[str, ParameterValue]
) -> Compilation:
    """The bundle compiled in a folder of its own, its files named as inside the bundle."""
    with tempfile.TemporaryDirectory(prefix="mfdsl-") as scratch:
        root = Path(scratch).resolve()
        for name, content in bundle.items():
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).write_bytes(content)
        found = compile_file(root / MAIN, Options(parameters=parameters, root=root))
        return _renamed(found, f"{root.as_posix()}/")


def _renamed(compilation: Compilation, prefix: str) -> Compilation:
    """The compilation with `prefix` taken off the names of its files."""
    model = compilation.require_model()
    places = tuple(
        place and place.model_copy(update={"file": place.file.removeprefix(prefix)})
        for place in model.places
    )
    sources = {
        name.removeprefix(prefix): SourceFile(name.removeprefix(prefix), source.text)
        for name, source in compilation.sources.items()
    }
    return replace(
        compilation,
        name=compilation.name.removeprefix(prefix),
        sources=sources,
        model=model.model_copy(update={"places": places}),
        diagnostics=tuple(_moved(d, prefix) for d in compilation.diagnostics),
    )


def _moved(diagnostic: Diagnostic, prefix: str) -> Diagnostic:
    def inside(span: Span) -> Span:
        return replace(span, file=span.file.removeprefix(prefix))

    labels = tuple(replace(label, span=inside(label.span)) for label in diagnostic.labels)
    helps = tuple(
        replace(h, edits=tuple(replace(e, span=inside(e.span)) for e in h.edits))
        for h in diagnostic.helps
    )
    return replace(diagnostic, labels=labels, helps=helps)


def _digest(data: Any) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def _without_docs(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _without_docs(value) for key, value in data.items() if key != "doc"}
    if isinstance(data, list | tuple):
        return [_without_docs(value) for value in data]
    return data
