"""A game that compiled: what a spec becomes for Python, before anything is run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mfdsl.artifact import artifact_key
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
from mfdsl.settings import with_settings_checked
from mfdsl.shipped import find_spec
from mfdsl.summary import model_card

if TYPE_CHECKING:
    from mfdsl.runtime.program import Program

Parameters = Mapping[str, ParameterValue]
Device = Literal["cpu", "cuda", "auto"]
Dtype = Literal["float32", "float64"]


@dataclass(frozen=True, eq=False)
class Game:
    """A spec that compiled: its model, its module text and, once asked for, its program.

    `parameters` are the values it was compiled with in place of defaults.
    """

    compilation: Compilation
    parameters: Parameters = field(default_factory=dict)

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
                line_of = self.compilation.line_of
                return emit_torch(self.model, source_name=name, digest=key[:8], line_of=line_of)
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
    options = Options(parameters=dict(params or {}))
    if text is not None and path is None:
        compilation = compile_text(text, options=options)
    elif path is not None and text is None:
        compilation = compile_file(find_spec(path), options)
    else:
        raise TypeError("load takes a path or a text, one of the two")
    compilation = with_settings_checked(compilation)
    compilation.require_model()
    return Game(compilation, options.parameters)
