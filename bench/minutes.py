"""How near to an equilibrium a solve is after some minutes of computing time.

`python -m bench.minutes sioux_falls 5 10` solves a spec without an end, by the solver that `mfdsl
solve` takes (trials included) or by `--solver`, and prints after these minutes of one thread, start
and compilation included, the least exploitability so far, relative to that of the uniform policy.
"""

import argparse
import time
from collections.abc import Sequence

import torch

import mfdsl
from mfdsl.runtime.solution import Record
from mfdsl.runtime.solvers.loop import solve
from mfdsl.settings import resolve
from mfdsl.solving import prepare


def told(spec: str, minutes: Sequence[float], solver: str | None) -> None:
    """Print a line at each of the marks."""
    game = mfdsl.load(spec)
    job = prepare(game, resolve(game.model, solver), sweep={})
    settings = job.settings
    marks, gaps = sorted(minutes), []

    def passed() -> float:
        return time.process_time() / 60

    def note(record: Record) -> None:
        gaps.append(record.exploitability)
        while marks and passed() >= marks[0]:
            best = min(gaps)
            print(
                f"{marks.pop(0):g} min: {best / gaps[0]:.3g} of the start, {best:.6g} of"
                f" {gaps[0]:.6g}, {record.iteration} iterations of {settings.solver}",
                flush=True,
            )

    solve(
        job.game.program,
        job.params,
        settings.solver,
        settings.config,
        iterations=10**9,
        tolerance=0.0,
        patience=None,
        on_progress=note,
        stop=lambda: not marks,
    )


def main() -> None:
    """Read the command line and solve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("spec", help="a file or a shipped game")
    parser.add_argument("minutes", type=float, nargs="+", help="of computing time")
    parser.add_argument("--solver", help="by default what `mfdsl solve` takes")
    given = parser.parse_args()
    torch.set_num_threads(1)
    told(given.spec, given.minutes, given.solver)


if __name__ == "__main__":
    main()
