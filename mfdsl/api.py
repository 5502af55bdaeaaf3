"""The verbs as typed functions: they return values and print nothing.

Torch is imported by the verbs that compute, not by those that check and compile.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mfdsl.artifact import Artifact, artifact_key, write_artifact
from mfdsl.compiler.backend.torch_emit import emit_torch
from mfdsl.compiler.driver import (
    Compilation,
    Options,
    ParameterValue,
    compile_file,
    compile_text,
)
from mfdsl.compiler.ir.model import Model
from mfdsl.compiler.syntax.format import format_source
from mfdsl.report import Report
from mfdsl.shipped import find_spec
from mfdsl.summary import model_card

if TYPE_CHECKING:
    from mfdsl.runtime.program import Program

__all__ = ["Artifact", "Game", "Report", "check", "compile", "load"]

Accept = Literal["proved", "tested"]
Parameters = Mapping[str, ParameterValue]


@dataclass(frozen=True, eq=False)
class Game:
    """A spec that compiled: its model, its module text and, once asked for, its program."""

    compilation: Compilation

    @property
    def model(self) -> Model:
        """The checked model: plain data."""
        return self.compilation.require_model()

    @property
    def name(self) -> str:
        """The name that the spec gives itself."""
        return self.model.name

    def check(self) -> Report:
        """Diagnostics and certificates."""
        return Report(self.compilation)

    def emit(self, target: Literal["torch", "json", "mfg"] = "torch") -> str:
        """The game as a standalone torch module, as JSON, or as a formatted spec.

        Raises:
            ValueError: `target` is something else.
        """
        match target:
            case "torch":
                name = Path(self.compilation.name).name
                key = artifact_key(self.compilation)
                return emit_torch(self.model, source_name=name, digest=key[:8])
            case "json":
                return self.model.model_dump_json(indent=1) + "\n"
            case "mfg":
                source = self.compilation.sources[self.compilation.name]
                return format_source(source.text, source.name)
        raise ValueError(f"a game is emitted as torch, json or mfg, not as {target!r}")

    @cached_property
    def program(self) -> "Program":
        """The module loaded as pure tensor functions; imports torch."""
        from mfdsl.runtime.program import load_program

        return load_program(self.emit("torch"), self.model, self.name)

    def _repr_markdown_(self) -> str:
        return model_card(self.model, self.compilation.certificates)


def load(
    path: str | Path | None = None, *, text: str | None = None, params: Parameters | None = None
) -> Game:
    """The game of a file, of a shipped game's name, or of a text.

    Raises:
        CompileError: the spec has errors; printing it shows them with their places.
        UsageError: a name that is neither a file nor a shipped game.
        TypeError: not exactly one of `path` and `text` is given.
    """
    if (path is None) == (text is None):
        raise TypeError("load takes a path or a text, one of the two")
    options = Options(parameters=dict(params or {}))
    if text is not None:
        compilation = compile_text(text, options=options)
    else:
        assert path is not None
        compilation = compile_file(find_spec(path), options)
    compilation.require_model()
    return Game(compilation)


def check(
    path: str | Path, *, params: Parameters | None = None, accept: Accept = "tested"
) -> Report:
    """Check a spec; what is wrong with it is in the report.

    Raises:
        UsageError: a name that is neither a file nor a shipped game.
    """
    options = Options(parameters=dict(params or {}), accept=accept)
    return Report(compile_file(find_spec(path), options))


def compile(
    path: str | Path, *, out: str | Path = "build", params: Parameters | None = None
) -> Artifact:
    """Compile a spec into `out/<name>-<key>/`; equal inputs give equal bytes.

    Raises:
        CompileError: the spec has errors.
        UsageError: the folder cannot be written.
    """
    game = load(path, params=params)
    return write_artifact(game.compilation, dict(params or {}), Path(out))
