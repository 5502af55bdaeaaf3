"""Programs in, solutions out. Nothing in this package imports lark; names load on first use."""

import importlib
from typing import Any

_HOMES = {
    "Program": "program",
    "load_program": "program",
    "TabularPolicy": "policy",
    "Flow": "flow",
    "Solution": "solution",
    "Status": "status",
    "build_view": "evaluate",
    "solve": "solvers.loop",
    "simulate": "views.particles",
    "RunFolder": "runs",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
