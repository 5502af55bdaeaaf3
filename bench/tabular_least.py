"""How far below 1e-9 our solvers bring the games of MFGLib and OpenSpiel, and how soon.

`python bench/tabular_least.py` runs `policy_iteration`, then `mf_omo`, then `omd`, all with their
defaults, one after the other on each game, each for `--seconds` of computing time, until one has an
exploitability of at most 1e-9; a process a game, one thread. It prints the last one that ran, what
the ones before it left, and the seconds after the uniform policy is scored.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from peer_pairs import MFGLIB_GAMES
from tabular_solved import FOREVER, OURS

SOLVERS = ("policy_iteration", "mf_omo", "omd")
OPENSPIEL = (
    "crowd_1d crowd_2d four_rooms openspiel_predator_prey crowd_avoidance lq_ring "
    "periodic_aversion garnet dynamic_routing nfg_coop nfg_dom nfg_biased_rps"
).split()
SPECS = (*MFGLIB_GAMES.values(), *OPENSPIEL)


@dataclass(frozen=True)
class Reached:
    """The least exploitability, and the iterations and seconds until there."""

    least: float
    iterations: int
    seconds: float


def run(spec: str, solver: str, seconds: float) -> Reached:
    """One solver on one game until 1e-9, the end of its time, or no progress."""
    from mfdsl.game import load
    from mfdsl.runtime.solvers.loop import solve

    program = load(Path(__file__).parents[1] / "specs" / f"{spec}.mfg").program
    seen: list[Reached] = []
    began = 0.0

    def note(record: Any) -> None:
        nonlocal began
        began = began if seen else time.process_time()
        spent = time.process_time() - began
        seen.append(Reached(record.exploitability, record.iteration, spent))

    def late() -> bool:
        return time.process_time() - began > seconds

    solve(program, None, solver, iterations=FOREVER, tolerance=OURS, on_progress=note, stop=late)
    return min(seen, key=lambda one: one.least)


def runs(spec: str, seconds: float) -> dict[str, Reached]:
    """The solvers that ran, up to the first that got there."""
    found: dict[str, Reached] = {}
    for solver in SOLVERS:
        found[solver] = run(spec, solver, seconds)
        if found[solver].least <= OURS:
            break
    return found


def line(spec: str, found: dict[str, Any]) -> str:
    """A row of the table."""
    *before, last = found
    there = found[last]
    left = ", ".join(f"{name} {found[name]['least']:.0e}" for name in before) or "-"
    count, spent = there["iterations"], there["seconds"]
    return f"| {spec} | {last} | {there['least']:.1e} | {count} | {spent:.2g} | {left} |"


def main() -> None:
    """Run the games that are asked for and print their rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="computing time of a run")
    parser.add_argument("--games", nargs="*", default=SPECS, choices=SPECS)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.here:
        found = runs(given.games[0], given.seconds)
        print(json.dumps({name: asdict(one) for name, one in found.items()}))
        return
    print("| game | solver | least | iterations | s | before |\n|---|---|---|---|---|---|")
    for spec in given.games:
        command = [sys.executable, __file__, "--here", "--games", spec]
        done = subprocess.run(
            [*command, "--seconds", str(given.seconds)],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        )
        print(line(spec, json.loads(done.stdout.splitlines()[-1])), flush=True)


if __name__ == "__main__":
    main()
