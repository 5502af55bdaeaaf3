"""Verbs on text answer at once: torch stays out of the process, and nothing is printed twice."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

from mfdsl.templates import fill

PROBE = """
import json, sys
from mfdsl.cli import run
for arguments in json.loads(sys.argv[1]):
    code = run(arguments)
    heavy = {"torch", "matplotlib", "pytest"} & set(sys.modules)
    assert not (code or heavy), f"{arguments}: exit code {code}, imported {heavy}"
"""
ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}
VERBS = (
    ["--help"],
    ["--version"],
    ["solve", "--help"],
    ["check", "beach_bar"],
    ["fmt", "game.mfg"],
    ["fix", "game.mfg"],
    ["compile", "game.mfg"],
    ["explain", "MFG301"],
    ["new", "game2"],
    ["solvers"],
    ["specs"],
)


def test_verbs_on_text_do_not_import_torch(tmp_path: Path) -> None:
    (tmp_path / "game.mfg").write_text(fill("matrix", "game"))
    done = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps(VERBS)],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_importing_the_package_loads_nothing_of_it() -> None:
    code = "import sys, mfdsl; print([m for m in sys.modules if m.startswith('mfdsl.')])"
    done = subprocess.run(
        [sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_checking_a_spec_takes_less_than_two_seconds_of_processor_time(tmp_path: Path) -> None:
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-m", "mfdsl", "check", str(ROOT / "specs" / "beach_bar.mfg")],
            cwd=tmp_path,
            env=ENVIRONMENT,
            check=True,
            capture_output=True,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
        if seconds < 2.0:  # about 1 on a quiet machine, more where others use its caches
            return
    raise AssertionError(f"{seconds:.1f} s")
