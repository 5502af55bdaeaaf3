"""When each algorithm of MFGLib brings each of its games to an equilibrium, beside ours.

`python bench/tabular_solved.py --peers PYTHON` runs MFGLib with that interpreter (0.3.0 in it), and
ours right after it, one process a game and one thread each. A cell has the first iteration and the
seconds of computing time after the uniform policy is scored (as MFGLib counts), scoring of every
iteration included, at an exploitability of a thousandth of the uniform policy's, and at 1e-6. Each
run has `--seconds`; ours goes on to 1e-9. MF-OMI projects to 1e-3 at MFGLib (more takes longer),
all else has MFGLib's defaults; our `omd` has its learning rate 1, our `mf_omo` and `mf_omi` have
our defaults. `--json FILE` keeps the figures.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from peer_pairs import MFGLIB_GAMES

ALGORITHMS: Mapping[str, tuple[str, dict[str, float], str, dict[str, float]]] = {
    "fp": ("FictitiousPlay", {}, "fictitious_play", {}),
    "omd": ("OnlineMirrorDescent", {}, "omd", {"learning_rate": 1.0}),
    "mfomo": ("MFOMO", {}, "mf_omo", {}),
    "mfomi": ("OccupationMeasureInclusion", {"osqp_atol": 1e-3, "osqp_rtol": 1e-3}, "mf_omi", {}),
}
RELATIVE, ABSOLUTE, OURS = 1e-3, 1e-6, 1e-9
FOREVER = 10**9
PATIENCE_SECONDS = 600


@dataclass(frozen=True)
class Run:
    """First (iteration, seconds) at the goals, None where not reached; least exploitability."""

    relative: tuple[int, float] | None
    absolute: tuple[int, float] | None
    least: float
    iterations: int
    failed: str = ""


class Enough(Exception):
    """The run has reached its last goal, or has had its seconds."""


class Watch:
    """Takes down when goals are reached."""

    def __init__(self, seconds: float, last: float) -> None:
        self._seconds, self._last = seconds, last
        self._began = 0.0
        self._goals: list[tuple[int, float] | None] = [None, None]
        self._first, self._least, self._count = 0.0, float("inf"), 0

    def see(self, gap: float) -> None:
        """Note the exploitability of the next iteration, from 0.

        Raises:
            Enough: nothing is left to see.
        """
        if self._count == 0:
            self._first, self._began = gap, time.process_time()
        spent = time.process_time() - self._began
        for place, goal in enumerate((RELATIVE * self._first, ABSOLUTE)):
            if gap <= goal and self._goals[place] is None:
                self._goals[place] = (self._count, spent)
        self._least = min(self._least, gap)
        self._count += 1
        if spent > self._seconds or gap <= self._last:
            raise Enough

    def run(self, failed: str = "") -> Run:
        """What was seen."""
        return Run(*self._goals, self._least, self._count - 1, failed)


def run_theirs(game: str, algorithm: str, seconds: float) -> Run:
    """MFGLib's algorithm; its scores are read as it takes them."""
    import torch
    from mfglib import alg
    from mfglib.alg import abc, mf_omo
    from mfglib.env import Environment
    from mfglib.scoring import exploitability_score

    torch.set_num_threads(1)
    environment = getattr(Environment, game)()
    name, options, _, _ = ALGORITHMS[algorithm]
    solver = getattr(alg, name)(**options)
    watch = Watch(seconds, ABSOLUTE)

    def scored(env: Any, policy: Any) -> float:
        gap = exploitability_score(env, policy)
        watch.see(gap)
        return gap

    abc.expl_score = mf_omo.exploitability_score = scored
    failed = ""
    try:
        solver.solve(environment, max_iter=FOREVER, atol=None, rtol=None)
    except Enough:
        pass
    except (RuntimeError, ValueError, ZeroDivisionError) as error:
        failed = type(error).__name__
    return watch.run(failed)


def run_ours(game: str, algorithm: str, seconds: float) -> Run:
    """Our solver by the same name, from reading the spec on not counted."""
    from mfdsl.game import load
    from mfdsl.runtime.solvers.loop import solve

    _, _, solver, options = ALGORITHMS[algorithm]
    spec = Path(__file__).parents[1] / "specs" / f"{MFGLIB_GAMES[game]}.mfg"
    program = load(spec).program
    watch = Watch(seconds, OURS)
    failed = ""

    def seen(record: Any) -> None:
        watch.see(record.exploitability)

    try:
        solve(
            program,
            None,
            solver,
            options,
            iterations=FOREVER,
            tolerance=-1.0,
            patience=None,
            on_progress=seen,
        )
    except Enough:
        pass
    except ValueError as error:  # the solver is not defined there
        failed = type(error).__name__
    return watch.run(failed)


SIDES: Mapping[str, Callable[[str, str, float], Run]] = {"theirs": run_theirs, "ours": run_ours}


def apart(
    python: str, side: str, game: str, algorithms: Sequence[str], seconds: float
) -> list[dict[str, Any]]:
    """Runs on one game, one after the other, in a process of their own."""
    command = [python, __file__, "--side", side, "--games", game, "--algorithms", *algorithms]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "--seconds", str(seconds)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=PATIENCE_SECONDS,
    )
    if done.returncode:
        reason = (done.stderr.splitlines() or ["killed"])[-1]
        return [asdict(Run(None, None, float("nan"), 0, reason)) for _ in algorithms]
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


def line(row: Mapping[str, Any]) -> str:
    """A row of the table."""
    ours, theirs = row["ours"], row["theirs"]
    cells = [row["game"], row["algorithm"]]
    for goal in ("relative", "absolute"):
        cells += [_cell(theirs, goal), _cell(ours, goal), _verdict(ours[goal], theirs[goal])]
    cells += [f"{theirs['least']:.0e}", f"{ours['least']:.0e}"]
    return "| " + " | ".join(cells) + " |"


def _cell(run: Mapping[str, Any], goal: str) -> str:
    if run[goal] is not None:
        return f"{run[goal][0]} it, {run[goal][1]:.2g} s"
    return run["failed"] or f"no ({run['iterations']} it)"


def _verdict(ours: Any, theirs: Any) -> str:
    """How many times less time ours takes; `ahead` and `behind` where one side is not there."""
    if ours is None or theirs is None:
        return "-" if ours is theirs else ("behind" if ours is None else "ahead")
    return f"{theirs[1] / max(ours[1], 1e-6):.2g}"


HEAD = """| game | algorithm | MFGLib to 1e-3 | ours | times | MFGLib to 1e-6 | ours | times \
| MFGLib least | ours least |
|---|---|---|---|---|---|---|---|---|---|"""


def main() -> None:
    """Run the games that are asked for and print their rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", default=sys.executable, help="interpreter with mfglib")
    parser.add_argument("--seconds", type=float, default=4.0, help="computing time of a run")
    parser.add_argument(
        "--games", nargs="*", default=list(MFGLIB_GAMES), choices=list(MFGLIB_GAMES)
    )
    parser.add_argument("--algorithms", nargs="*", default=list(ALGORITHMS))
    parser.add_argument("--json", type=Path, help="where to keep the figures")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        runs = [SIDES[given.side](given.games[0], a, given.seconds) for a in given.algorithms]
        print(json.dumps([asdict(run) for run in runs]))
        return
    rows: list[dict[str, Any]] = []
    print(HEAD)
    for game in given.games:
        theirs = apart(given.peers, "theirs", game, given.algorithms, given.seconds)
        ours = apart(sys.executable, "ours", game, given.algorithms, given.seconds)
        for algorithm, peer, own in zip(given.algorithms, theirs, ours, strict=True):
            rows.append({"game": game, "algorithm": algorithm, "theirs": peer, "ours": own})
            print(line(rows[-1]), flush=True)
    if given.json:
        given.json.write_text(json.dumps({"torch": metadata.version("torch"), "rows": rows}))


if __name__ == "__main__":
    main()
