"""Compiled games as folders: `build/<name>-<key>/`, equal bytes for equal inputs.

The folder is written beside its place and renamed, so that it is complete or not there. It holds
no times and no absolute paths.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mfdsl
from mfdsl.compiler.backend.torch_emit import emit_torch
from mfdsl.compiler.driver import Compilation, Options, ParameterValue, compile_text
from mfdsl.compiler.ir.model import ABI, Model
from mfdsl.compiler.syntax.format import format_source
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
    """SHA-256 over the formatted sources, the values that were bound, ABI and version.

    Bound values are those of structural parameters, of data files and of overrides; a default is
    part of the source already.
    """
    main = compilation.sources[compilation.name]
    libraries = [s for s in compilation.sources.values() if s.name != compilation.name]
    texts = [format_source(main.text, main.name)]
    texts += sorted(format_source(library.text, library.name) for library in libraries)
    bound = {
        p.name: p.value
        for p in compilation.require_model().parameters
        if p.structural or p.value != p.default
    }
    return _digest([mfdsl.__version__, ABI, [_digest(text) for text in texts], bound])


def code_key(model: Model) -> str:
    """SHA-256 over what decides the generated code: no documentation, places, values, solver."""
    data = _without_docs(model.model_dump(exclude={"places", "solver", "doc"}))
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
    files = _contents(compilation, parameters)
    key = artifact_key(compilation)
    target = out / f"{compilation.require_model().name}-{key[:SHOWN_KEY]}"
    write_folder(target, {name: text.encode() for name, text in files.items()})
    return Artifact(compilation.name, target, tuple(files), key)


def _contents(compilation: Compilation, parameters: Mapping[str, ParameterValue]) -> dict[str, str]:
    """Text of each file by its name inside the folder."""
    folder = Path(compilation.name).parent
    imports = {
        Path(os.path.relpath(s.name, folder)).as_posix(): format_source(s.text, s.name)
        for s in compilation.sources.values()
        if s.name != compilation.name
    }
    main = compilation.sources[compilation.name]
    spec = format_source(main.text, main.name)
    canonical = compile_text(
        spec, name="spec.mfg", options=Options(parameters=parameters), imports=imports
    )
    model = canonical.require_model()
    key = artifact_key(compilation)
    source_name = Path(compilation.name).name
    report = {"schema": 1, "key": key, "code_key": code_key(model)}
    return {
        "model.json": model.model_dump_json(indent=1) + "\n",
        "simulator.py": emit_torch(model, source_name=source_name, digest=key[:SHOWN_KEY]),
        "report.json": json.dumps(report | Report(canonical).to_json(timed=False), indent=1) + "\n",
        "report.md": model_card(model, canonical.certificates),
        "spec.mfg": spec,
        **imports,
    }


def _digest(data: Any) -> str:
    text = data if isinstance(data, str) else json.dumps(data, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _without_docs(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _without_docs(value) for key, value in data.items() if key != "doc"}
    if isinstance(data, list | tuple):
        return [_without_docs(value) for value in data]
    return data
