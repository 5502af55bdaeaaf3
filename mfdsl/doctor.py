"""What is installed here: versions, devices, optional parts. First thing in a bug report."""

import platform
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from typing import Any

import mfdsl

CORE = (
    "torch",
    "numpy",
    "sympy",
    "networkx",
    "lark",
    "pydantic",
    "typer",
    "rich",
    "jinja2",
    "safetensors",
    "jaxtyping",
    "pot",
    "scipy",
)


def diagnose() -> dict[str, Any]:
    """Versions of mfdsl, Python and the dependencies, what torch can use, and the extras.

    Imports torch.
    """
    return {
        "mfdsl": mfdsl.__version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "prefix": sys.prefix != sys.base_prefix,
        "packages": {name: _version(name) for name in CORE},
        "torch": _torch(),
        "extras": _extras(),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _torch() -> dict[str, Any] | None:
    if find_spec("torch") is None:
        return None
    import torch

    cuda = torch.cuda.is_available()
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {"threads": torch.get_num_threads(), "cuda": cuda, "devices": ["cpu", *names]}


def _extras() -> dict[str, bool]:
    """For each optional group of the installed package, whether all of it is there."""
    found: dict[str, bool] = {}
    for requirement in _requirements():
        package, marker, extra = requirement.partition("extra ==")
        if marker:
            name = package.split(";")[0].split(">")[0].split("=")[0].strip()
            group = extra.strip().strip("\"'")
            found[group] = found.get(group, True) and _version(name) is not None
    return found


def _requirements() -> list[str]:
    """What the installed package asks for; nothing when it runs from a checkout."""
    try:
        return requires("mfdsl") or []
    except PackageNotFoundError:
        return []
