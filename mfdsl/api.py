"""The verbs as typed functions: they return values and print nothing.

Torch is imported by the verbs that compute, not by those that check and compile.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

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
from mfdsl.parameters import Sweep
from mfdsl.report import Report
from mfdsl.settings import resolve, with_settings_checked
from mfdsl.shipped import find_spec
from mfdsl.summary import model_card

if TYPE_CHECKING:
    from mfdsl.runtime.policy import TabularPolicy
    from mfdsl.runtime.program import Program
    from mfdsl.runtime.solution import Record, Solution
    from mfdsl.runtime.views.particles import Simulation

__all__ = ["Artifact", "Game", "Report", "check", "compile", "load", "resume", "simulate", "solve"]

Accept = Literal["proved", "tested"]
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


def check(
    path: str | Path, *, params: Parameters | None = None, accept: Accept = "tested"
) -> Report:
    """Check a spec; what is wrong with it is in the report.

    Raises:
        UsageError: a name that is neither a file nor a shipped game.
    """
    options = Options(parameters=dict(params or {}), accept=accept)
    return Report(with_settings_checked(compile_file(find_spec(path), options)))


def compile(
    path: str | Path, *, out: str | Path = "build", params: Parameters | None = None
) -> Artifact:
    """Compile a spec into `out/<name>-<key>/`; equal inputs give equal bytes.

    Raises:
        CompileError: the spec has errors.
        UsageError: the folder cannot be written.
    """
    game = load(path, params=params)
    return write_artifact(game.compilation, game.parameters, Path(out))


def solve(
    game: Game | str | Path,
    solver: str = "auto",
    *,
    iterations: int | None = None,
    tolerance: float | None = None,
    options: Mapping[str, Any] | None = None,
    params: Parameters | None = None,
    sweep: Sweep | None = None,
    seed: int = 0,
    device: Device = "cpu",
    dtype: Dtype = "float64",
    out: str | Path | None = None,
    on_progress: "Callable[[Record], None] | None" = None,
) -> "Solution":
    """An approximate equilibrium and its exploitability, by a named solver or a fitting one.

    What is not given is taken from the spec's `solver` block. A `sweep` of parameter values makes
    a batch of games, one for each combination. With `out` a run folder is written under it.

    Raises:
        CompileError: the spec has errors.
        UsageError: an unknown solver, option or parameter, or a folder that cannot be written.
        TypeError: `params` for a game that is loaded already.
    """
    from mfdsl.records import explained, start_run
    from mfdsl.solving import prepare, run

    game = _loaded(game, params)
    settings = resolve(
        game.model, solver, iterations=iterations, tolerance=tolerance, options=options
    )
    swept = dict(sweep or {})
    job = prepare(game, settings, sweep=swept, seed=seed, device=device, dtype=dtype)
    folder = start_run(job, swept, Path(out)) if out is not None else None
    solution = run(job, on_progress=on_progress)
    if folder is not None:
        with explained():
            folder.save(solution)
    return solution


def resume(
    run: str | Path,
    game: Game | str | Path | None = None,
    *,
    iterations: int | None = None,
    tolerance: float | None = None,
    device: Device = "cpu",
    on_progress: "Callable[[Record], None] | None" = None,
) -> "Solution":
    """Continue the run in a folder, as if it had not stopped, and save it there.

    Raises:
        UsageError: the folder is not a run, is damaged, or belongs to another game.
    """
    from mfdsl import records, solving

    folder = records.open_run(Path(run))
    options = records.read_options(folder)
    source = folder.path / "spec.mfg" if game is None else game
    game = _loaded(source, None if isinstance(source, Game) else options.parameters)
    job = records.job_of_run(game, folder, options, device=device)
    job = records.continued(job, folder, iterations=iterations, tolerance=tolerance)
    solution = solving.run(job, on_progress=on_progress)
    with records.explained():
        folder.save(solution)
    return solution


def simulate(
    game: Game | str | Path,
    policy: "TabularPolicy | None" = None,
    *,
    agents: int | None = None,
    batch: int = 1,
    steps: int | None = None,
    params: Parameters | None = None,
    seed: int = 0,
    device: Device = "cpu",
    dtype: Dtype = "float64",
    record_laws: bool = False,
) -> "Simulation":
    """Let N agents follow a policy, the uniform one if none is given, and measure their returns.

    `agents` defaults to what the spec says, or 1,000.

    Raises:
        CompileError: the spec has errors.
        UsageError: a size is out of range.
    """
    from mfdsl.simulating import Setting, run_agents, uniform_setting

    setting = uniform_setting(_loaded(game, params), device=device, dtype=dtype)
    if policy is not None:
        setting = Setting(setting.game, setting.params, policy)
    return run_agents(
        setting, agents=agents, batch=batch, steps=steps, seed=seed, record_laws=record_laws
    )


def _loaded(game: Game | str | Path, params: Parameters | None) -> Game:
    if not isinstance(game, Game):
        return load(game, params=params)
    if params:
        raise TypeError("the game is loaded already: give params to `load`")
    return game
