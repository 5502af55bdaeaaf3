"""The compiler on one page: text in, model, certificates and diagnostics out."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.diagnostics import CompileError, Diagnostic, Sink
from mfdsl.compiler.ir.model import Model
from mfdsl.compiler.source import SourceFile
from mfdsl.compiler.syntax import ast

ParameterValue = int | float | str | tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Options:
    """What a caller may choose: parameter values and how strict `require` is.

    `root` bounds imports and data files; None takes the folder of the spec, or the nearest
    folder above it that holds a `pyproject.toml`, `mfdsl.toml` or `.git`.
    """

    parameters: Mapping[str, ParameterValue] = field(default_factory=dict)
    accept: Literal["proved", "tested"] = "tested"
    root: Path | None = None


@dataclass(frozen=True, slots=True)
class Compilation:
    """Everything one run of the compiler found; `model` is None when there are errors."""

    name: str
    sources: Mapping[str, SourceFile]
    unit: ast.Unit | None
    model: Model | None
    diagnostics: tuple[Diagnostic, ...]
    certificates: tuple[Certificate, ...]
    seconds: float

    @property
    def ok(self) -> bool:
        """True when no diagnostic is an error."""
        return not any(d.severity == "error" for d in self.diagnostics)

    def require_model(self) -> Model:
        """The model, or `CompileError` with the diagnostics."""
        if self.model is None or not self.ok:
            raise CompileError(self.diagnostics, self.sources)
        return self.model
