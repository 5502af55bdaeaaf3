"""The shipped games, each compiled once for all tests of a process."""

import functools
from pathlib import Path

from mfdsl.compiler.driver import compile_file
from mfdsl.compiler.ir.model import Model

SPECS = Path(__file__).parents[1] / "specs"
NAMES = sorted(path.stem for path in SPECS.glob("*.mfg"))


@functools.cache
def model_of(name: str) -> Model:
    """A game at its default parameters."""
    return compile_file(SPECS / f"{name}.mfg").require_model()
