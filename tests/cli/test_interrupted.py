"""Ctrl-C in the middle of every learner of games and every solver with networks, by real signals.

Each case is a process of its own that is stopped after its second iteration. Its run is resumed and
must end, to the bit, where a run that nobody stopped ends; then it is scored by `validate`.
"""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mfdsl.cli import run
from mfdsl.cli.failure import FINE, INTERRUPTED
from mfdsl.runtime.runs import RunFolder
from tests.cli.conftest import mfdsl as mfdsl

WAIT = 300.0  # seconds after which a process is taken for stuck
STOPPED_AT = "\n          2  "  # the row after which Ctrl-C is pressed
ENDLESS = 100_000
UNLIKE = ("run", "spec", "seconds", "history")

# Rates that fall by the length of a course would differ by it.
OFTEN = ("evaluate_every=2", "evaluate_games=2", "final_rate=1")
PLAYERS = ("hidden=8", "games=2", "agents=6", *OFTEN)
VALUES = (*PLAYERS, "updates=2", "temperature=1", "first_temperature=1")
FIELD = ("crowd=64", "paths=128", "fit_steps=4", "width=8", "answers=2", "learners=16", *OFTEN)
DEEP = ("hidden=8", "updates=2")
GRID = ("bins=7", "low.x=-4", "high.x=4", "low.a=-2", "high.a=2")
KINDS = {  # of networks, each with what else keeps its run: finite games, real states
    "symmetric": ("left_right", "lq_game", "crowd_1d"),
    "one_hot": ("lq_game",),
    "integer": ("crowd_1d",),
    "individual": ("left_right",),
}
SMALL = {  # parameters that make games short: `validate` learns responses in each of them
    "a_rps": ("T=2",),
    "asymmetric_sis": ("T=2",),
    "beach_bar": ("T=5", "n=10"),
    "crowd_1d": ("H=2", "n=5"),
    "double_well": ("T=2",),
    "lq_game": ("T=2",),
    "mfax_endogenous": ("T=4", "wealths=6", "incomes=2", "shares=3"),
    "mfax_linear_quadratic": ("T=4", "half=5"),
    "predator_prey": ("T=2", "n=3"),
    "rotating_target": ("T=2", "d=1"),
    "sis": ("T=3",),
}
GAMES: dict[str, dict[str, tuple[str, ...]]] = {
    **{
        f"ppo_nash {kind}": {spec: (*PLAYERS, f"network={kind}") for spec in specs}
        for kind, specs in KINDS.items()
    },
    "mf_q": dict.fromkeys(("a_rps", "asymmetric_sis", "nfg_coop"), VALUES),
    "mf_ac": dict.fromkeys(("a_rps", "asymmetric_sis", "nfg_coop"), VALUES),
    "gd_mfrl": {
        "rotating_target": FIELD,
        "crowd_1d": FIELD,
        "double_well": (*FIELD, "response=path", "gap=none"),
    },
    "deep_munchausen": {
        "sis": (*DEEP, "batch=20"),
        "predator_prey": DEEP,
        "lq_game": (*DEEP, *GRID),
    },
    "average_fp": {"sis": (*DEEP, "reservoir=100"), "beach_bar": DEEP, "two_bars": DEEP},
    "structural_pg": {
        "sis": DEEP,
        "mfax_linear_quadratic": (*DEEP, "memory=4"),
        "two_bars": (*DEEP, "batch=20"),
        "mfax_endogenous": (*DEEP, "paths=2", "evaluate_paths=2", "futures=2", "batch=50"),
    },
    "master": {
        "sis": (*DEEP, "number=4"),
        "crowd_1d": (*DEEP, "number=3"),
        "lq_game": (*DEEP, *GRID, "number=2", "laws=spec"),
    },
}
LATE = (  # modules that the command line loads when it needs them
    "mfdsl.cli.solve",
    "mfdsl.api",
    "mfdsl.learning",
    "mfdsl.compiler.backend.particles.module",
    "mfdsl.compiler.analysis.lipschitz",
    "mfdsl.runtime.learning.generated.learner",
    "mfdsl.runtime.solvers.networks.path_course",
    "torch._dynamo",
)
CASES = [(solver, spec) for solver, games in GAMES.items() for spec in games]


def flags_of(solver: str, spec: str) -> list[str]:
    options = [part for option in GAMES[solver][spec] for part in ("--opt", option)]
    values = [part for value in SMALL.get(spec, ()) for part in ("--set", value)]
    return ["solve", spec, "--solver", solver.split()[0], "--seed", "3", *options, *values]


def command(arguments: list[str], threads: int) -> None:
    """A command line in a process of its own, which hears Ctrl-C whoever started the tests."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    torch.set_num_threads(threads)
    sys.stdout = Path("screen.txt").open("w")
    sys.stderr = Path("errors.txt").open("w")
    code = run(arguments)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


@pytest.fixture(scope="module")
def processes() -> Any:
    """Where processes come from: one that has imported all there is to import, and done nothing."""
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload([__name__, *LATE])
    return found


def until(condition: Callable[[], bool], alive: Callable[[], bool]) -> bool:
    """Whether the condition came true while the process was alive."""
    end = time.monotonic() + WAIT
    while time.monotonic() < end and alive():
        if condition():
            return True
        time.sleep(0.005)
    return False


def state_of(folder: str | Path) -> dict[str, Tensor]:
    return RunFolder.open(Path(folder)).state()


@pytest.mark.parametrize(("solver", "spec"), CASES)
def test_a_run_that_was_stopped_by_a_signal_goes_on_to_the_same_end(
    mfdsl: Any, processes: Any, solver: str, spec: str
) -> None:
    flags, screen = flags_of(solver, spec), Path("screen.txt")
    arguments = [*flags, "--iterations", str(ENDLESS)]
    process = processes.Process(target=command, args=(arguments, torch.get_num_threads()))
    process.start()
    there = until(lambda: screen.exists() and STOPPED_AT in screen.read_text(), process.is_alive)
    assert there, Path("errors.txt").read_text() if screen.exists() else "it never began"
    os.kill(process.pid, signal.SIGINT)
    process.join(WAIT)
    assert process.exitcode == INTERRUPTED, Path("errors.txt").read_text()
    assert "Traceback" not in Path("errors.txt").read_text()
    folder = screen.read_text().split("--resume ")[-1].strip()
    kept = state_of(folder)
    made = int(kept["made"] if "made" in kept else kept["iteration"])
    assert 2 <= made < ENDLESS

    whole = mfdsl(*flags, "--iterations", made + 2, "--json")
    assert whole.code == FINE, whole.err
    rest = mfdsl("solve", "--resume", folder, "--iterations", made + 2, "--json")
    assert rest.code == FINE, rest.err
    one, other = state_of(whole.json["run"]), state_of(folder)
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name
    for row, expected in zip(timeless(rest.json), timeless(whole.json), strict=True):
        assert row == expected
    found = mfdsl("validate", folder, "--seconds", 0.2, "--games", 2, "--agents", "6", "--json")
    assert found.code == FINE, found.err + found.out


def timeless(found: dict[str, Any]) -> list[tuple[str, Any]]:
    """What a run says of itself, but for its folder and its times."""
    rows = [(k, v) for k, v in found.items() if k not in UNLIKE]
    history = [{k: v for k, v in row.items() if k != "seconds"} for row in found["history"]]
    return [*rows, *((f"record {row['iteration']}", row) for row in history)]
