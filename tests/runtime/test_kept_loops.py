"""Compiled loops are read from where numba keeps them, and made anew when their text changes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("numba")

WAIT = "compiling loops, once for each installation: some ten seconds"

LOOPS = """
import math
from typing import NamedTuple
import numpy as np
from mfdsl.runtime.kept_loops import njit

class Moves(NamedTuple):
    places: np.ndarray
    chances: np.ndarray

@njit(cache=True)
def inner(moves, law):
    found = np.empty_like(law)
    found[:] = 0
    for k in range(len(law)):
        found[moves.places[k]] += moves.chances[k] * law[k]
    return found

@njit(cache=True, fastmath={"nsz", "reassoc", "contract"})
def outer(moves, law, often):
    for _ in range(often):
        law = inner(moves, law)
    return law

@njit(cache=True)
def symbols(x):
    total = math.exp(x) + np.exp(x) + np.log1p(x) + np.log(x) + math.atan2(x, 2) + math.tanh(x)
    total += math.sin(x) + np.floor(x) + x**2.5 + math.sqrt(x)
    return total + np.argsort(np.array([x, 0]))[1]
"""
USE = """
import json, sys
import numpy as np
import loops
moves = loops.Moves(np.array([1, 2, 0]), np.array([1.0, 0.5, 0.25]))
law = loops.outer(moves, np.array([1.0, 2.0, 4.0]), 2)
made = loops.outer.stats
print(json.dumps({
    "law": law.tolist(),
    "read": sum(made.cache_hits.values()),
    "made": sum(made.cache_misses.values()),
    "all of numba": "numba.np.arraymath" in sys.modules,
    "symbols": loops.symbols(1.5) - loops.symbols.py_func(1.5),
    "plain": loops.outer.py_func(moves, np.array([1.0, 2.0, 4.0]), 2).tolist(),
}))
"""


def used(folder: Path) -> dict[str, Any]:
    """What a fresh process makes of the loops in a folder."""
    here = os.pathsep.join([str(folder), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", USE],
        env={**os.environ, "PYTHONPATH": here, "NUMBA_CACHE_DIR": str(folder / "kept")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_kept_loops_are_read_alone_until_their_text_changes(tmp_path: Path) -> None:
    file = tmp_path / "loops.py"
    file.write_text(LOOPS)
    first, second = used(tmp_path), used(tmp_path)
    assert first["law"] == second["law"] == first["plain"] == [0.25, 1.0, 0.5]
    assert (first["read"], first["made"], first["all of numba"]) == (0, 1, True)
    assert (second["read"], second["made"], second["all of numba"]) == (1, 0, False)
    assert abs(first["symbols"]) < 1e-12
    assert first["symbols"] == second["symbols"]

    file.write_text(LOOPS.replace("+= moves.chances[k] *", "+= 2 * moves.chances[k] *"))
    third = used(tmp_path)
    assert (third["read"], third["made"]) == (0, 1)
    assert third["law"] == third["plain"] == [1.0, 4.0, 2.0]


PARTS = """
import numpy as np
from mfdsl.runtime.kept_loops import njit
FACTOR = 2
SINGLE = np.int64(1)
SEVERAL = np.array([1.0, 1.0])

@njit(cache=True)
def part(x):
    return x + 1
"""
WHOLE = """
import parts
from mfdsl.runtime.kept_loops import njit
from parts import SEVERAL, SINGLE, part

@njit(cache=True)
def whole(x):
    return parts.FACTOR * SINGLE * SEVERAL[1] * part(x)
"""
USE_WHOLE = "import loops; s = loops.whole.stats; print(loops.whole(1.0), len(s.cache_hits))"


def whole_of(folder: Path, before: str = "") -> str:
    """The value of the whole at 1, and how many loops were read to find it; what was logged."""
    here = os.pathsep.join([str(folder), *sys.path])
    # Bytecode of a file that changes within a second, and keeps its size, is taken for its own.
    plain = {"PYTHONPATH": here, "PYTHONDONTWRITEBYTECODE": "1"}
    kept = plain | {"NUMBA_CACHE_DIR": str(folder / "kept")}
    command = [sys.executable, "-c", before + USE_WHOLE]
    done = subprocess.run(command, env=os.environ | kept, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return (done.stdout + done.stderr).strip()


def test_loops_of_other_files_and_damaged_ones_are_made_anew(tmp_path: Path) -> None:
    (tmp_path / "parts.py").write_text(PARTS)
    (tmp_path / "loops.py").write_text(WHOLE)
    heard = "import logging; logging.basicConfig(level=logging.INFO, format='%(message)s'); "
    assert whole_of(tmp_path, heard) == f"4.0 0\n{WAIT}"  # said once
    (tmp_path / "parts.py").write_text(PARTS.replace("x + 1", "x + 2"))
    assert whole_of(tmp_path) == "6.0 0"
    changed = PARTS.replace("x + 1", "x + 2").replace("int64(1)", "int64(5)")
    (tmp_path / "parts.py").write_text(changed)
    assert whole_of(tmp_path) == "30.0 0"
    (tmp_path / "parts.py").write_text(changed.replace("[1.0, 1.0]", "[1.0, 0.2]"))
    assert whole_of(tmp_path) == "6.0 0"
    kept = [path for path in (tmp_path / "kept").rglob("*.nb*") if "whole" in path.name]
    assert kept
    for path in kept:
        path.write_bytes(b"" if path.suffix == ".nbi" else b"no loop")
    assert whole_of(tmp_path) == "6.0 0"
    assert whole_of(tmp_path, heard) == "6.0 1"
