"""Measures the rows of the goals table: our figure, that of a peer, the ratio, and the goal.

`python -m bench goals` prints the table; `--rows 1,8` takes some, `--benchmfg PYTHON` also measures
Bench-MFG with that interpreter, beside us and in the same run. Other figures of peers are those
recorded (`goal.py`). Seconds are computing time of one thread, medians of at least three calls,
unless a row says otherwise.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence

from bench.benchmfg_rows import batches, iterations, iterations_in_law, started, sweeps
from bench.goal import HERE, MINE, RECORDED, SPECS, Goal, Peers, seconds
from bench.grid_rows import grids
from bench.mfax_rows import paths, trees


def counts(peers: Peers) -> Iterator[Goal]:
    """Row 13: a step of N agents by counts, 121 states, 5 actions and 5 noises."""
    import torch

    from mfdsl.counting import counted
    from mfdsl.game import load
    from mfdsl.runtime.behaviours import uniform
    from mfdsl.runtime.counted.chances import chances_of
    from mfdsl.runtime.counted.simulate import CountedSimulator

    torch.set_num_threads(1)
    game = load(MINE / "four_rooms_obstacles.mfg")
    program, chances = counted(game), chances_of(uniform, game.model)
    assert chances is not None
    for number in (10**6, 10**9, 10**12):
        simulator = CountedSimulator(program, agents=number)
        steps = 200
        cost = seconds(lambda: simulator.rollout(chances, steps=steps)) / steps * 1e3  # noqa: B023
        what = f"four_rooms_obstacles: a step of 10^{len(str(number)) - 1} agents by counts"
        yield Goal(
            "13", what, "ms", cost, "", None, "", 0.5, "rewards, returns and errors included"
        )


COMPILE = """
import time, statistics, pathlib
from mfdsl.game import load
import mfdsl.runtime.evaluate
load(pathlib.Path({first!r})).program
times = []
for path in sorted(pathlib.Path({folder!r}).glob("*.mfg")):
    began = time.process_time()
    try:
        load(path).program
    except Exception:
        continue
    times.append(time.process_time() - began)
print(statistics.median(times), max(times), len(times))
"""


def compiling(peers: Peers) -> Iterator[Goal]:
    """Row 20: from the text of a spec to a program that runs, a process that has its imports."""
    code = COMPILE.format(first=str(SPECS / "left_right.mfg"), folder=str(SPECS))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    middle, most, count = done.stdout.split()[-3:]
    note = f"slowest {float(most):.2f} s"
    what = f"a spec to a program, median of {count} shipped specs"
    yield Goal("20", what, "s", float(middle), "JAX", RECORDED["compile"], "recorded", 0.2, note)


ROWS: dict[str, Callable[[Peers], Iterator[Goal]]] = {
    "1-3": batches,
    "4-7": started,
    "5": iterations,
    "5-law": iterations_in_law,
    "6": sweeps,
    "8-9": grids,
    "10-11": trees,
    "11-law": paths,
    "13": counts,
    "20": compiling,
}


def peer_figures(python: str | None) -> Peers:
    """Bench-MFG's figures by game, empty without its interpreter."""
    if python is None:
        return {}
    done = subprocess.run(
        [python, str(HERE / "peer_benchmfg.py")], capture_output=True, text=True, check=True
    )
    games: Peers = json.loads(done.stdout.splitlines()[-1])["games"]
    return games


def measure(rows: Sequence[str], peers: Peers) -> list[Goal]:
    """The goals of these rows, printed to standard error as they come."""
    found = []
    for name in rows or ROWS:
        for goal in ROWS[name](peers):
            print(line(goal), file=sys.stderr, flush=True)
            found.append(goal)
    return found


def line(goal: Goal) -> str:
    """One row of the table in Markdown."""
    ratio = "-" if goal.ratio is None else f"{goal.ratio:,.3g}"
    other = "-" if goal.theirs is None else f"{goal.theirs:,.4g} ({goal.source})"
    wanted = "-" if goal.goal is None else f"{goal.goal:g}"
    reached = {True: "yes", False: "no", None: "-"}[goal.reached]
    cells = (goal.row, goal.what, f"{goal.ours:,.4g} {goal.unit}", goal.peer or "-", other, ratio)
    return "| " + " | ".join((*cells, wanted, reached, goal.note or "")) + " |"


HEAD = """| row | what | ours | peer | theirs | times | goal | reached | note |
|---|---|---|---|---|---|---|---|---|"""
