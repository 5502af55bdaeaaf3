"""mfdsl: a modelling language for mean-field games, and the tools that solve what it says.

The public verbs are loaded on first use, so that importing this package costs nothing and
`mfdsl check` never loads torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mfdsl.api import (
        calibrate,
        check,
        clear,
        compile,
        evaluate,
        recheck,
        resume,
        simulate,
        solve,
        stackelberg,
        validate,
    )
    from mfdsl.artifact import Artifact
    from mfdsl.compiler.diagnostics import CompileError
    from mfdsl.errors import UsageError
    from mfdsl.game import Game, load
    from mfdsl.report import Report
    from mfdsl.reporting.papers import cite
    from mfdsl.reporting.report import write_report
    from mfdsl.runtime.solution import Solution
    from mfdsl.runtime.views.particles import Simulation

__version__ = "0.1.0"

_HOMES = {
    "Artifact": "mfdsl.artifact",
    "CompileError": "mfdsl.compiler.diagnostics",
    "Game": "mfdsl.game",
    "Report": "mfdsl.report",
    "Simulation": "mfdsl.runtime.views.particles",
    "Solution": "mfdsl.runtime.solution",
    "UsageError": "mfdsl.errors",
    "calibrate": "mfdsl.api",
    "check": "mfdsl.api",
    "cite": "mfdsl.reporting.papers",
    "clear": "mfdsl.api",
    "compile": "mfdsl.api",
    "evaluate": "mfdsl.api",
    "load": "mfdsl.game",
    "recheck": "mfdsl.api",
    "resume": "mfdsl.api",
    "simulate": "mfdsl.api",
    "solve": "mfdsl.api",
    "stackelberg": "mfdsl.api",
    "validate": "mfdsl.api",
    "write_report": "mfdsl.reporting.report",
}

__all__ = [
    "Artifact",
    "CompileError",
    "Game",
    "Report",
    "Simulation",
    "Solution",
    "UsageError",
    "calibrate",
    "check",
    "cite",
    "clear",
    "compile",
    "evaluate",
    "load",
    "recheck",
    "resume",
    "simulate",
    "solve",
    "stackelberg",
    "validate",
    "write_report",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'mfdsl' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
