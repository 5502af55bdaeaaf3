"""Networks beside tables: mirror descent and fictitious play at equal iterations.

`python -m bench.papers.munchausen [--seeds 2] [--iterations 50]` solves beach bar, four rooms and
the two-dimensional crowd with `munchausen_omd` and `fictitious_play` and with their deep versions
(Laurière et al. 2022, arXiv 2203.11973), and writes exact exploitability by iteration and computing
time. Temperatures are those with which the table does well after as many iterations; networks have
the same, 100 steps in each iteration and the defaults for all else.
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import torch

import mfdsl
from bench.papers.committed import commit
from mfdsl.runtime.solvers.loop import solve

TEMPERATURES = {"beach_bar": 3.0, "four_rooms": 10.0, "crowd_2d": 1.0}
DEEP = {"munchausen_omd": "deep_munchausen", "fictitious_play": "average_fp"}
UPDATES = 100  # steps of Adam in each iteration, for all networks
COLOURS = {"munchausen_omd": "C0", "fictitious_play": "C1"}


def run(spec: str, solver: str, options: Mapping[str, Any], iterations: int) -> dict[str, Any]:
    """Exploitability after each iteration, and seconds of computing time."""
    program = mfdsl.load(spec).program
    began = time.process_time()
    found = solve(program, None, solver, options, iterations=iterations, tolerance=0, patience=None)
    seconds = time.process_time() - began
    return {"gaps": [r.exploitability for r in found.history], "seconds": seconds}


def measured(seeds: Sequence[int], iterations: int) -> dict[str, Any]:
    """All runs, by game and solver; tables draw nothing and have one."""
    found: dict[str, Any] = {}
    for spec, temperature in TEMPERATURES.items():
        for table, deep in DEEP.items():
            options = {"temperature": temperature} if table == "munchausen_omd" else {}
            runs = {table: [run(spec, table, options, iterations)]}
            own = {**options, "updates": UPDATES}
            runs[deep] = [run(spec, deep, {**own, "seed": s}, iterations) for s in seeds]
            found[f"{spec}, {table}"] = runs
    return found


def table(numbers: Mapping[str, Any]) -> str:
    """The page's table."""
    head = ["game", "solver", "start", "end", "of networks, by seed", "times the table", "CPU s"]
    rows = []
    for name, runs in numbers.items():
        spec, exact = name.split(", ")
        (known,), deep = runs[exact], runs[DEEP[exact]]
        ends = [one["gaps"][-1] for one in deep]
        last = known["gaps"][-1]
        rows.append(
            [
                spec,
                DEEP[exact],
                f"{known['gaps'][0]:.3g}",
                f"{last:.3g}",
                ", ".join(f"{end:.3g}" for end in ends),
                f"{median(ends) / last:.2f} ({max(ends) / last:.2f})",
                f"{median(one['seconds'] for one in deep):.0f}",
            ]
        )
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    """Run everything and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2, help="networks of each solver")
    parser.add_argument("--iterations", type=int, default=50)
    given = parser.parse_args()
    torch.set_num_threads(1)
    write(measured(range(given.seeds), given.iterations), given.iterations)


def write(numbers: Mapping[str, Any], iterations: int) -> None:
    """The page, the numbers and the plot."""

    def draw(axes: Any) -> None:
        for name, runs in numbers.items():
            spec, exact = name.split(", ")
            if spec == "four_rooms":
                axes.plot(runs[exact][0]["gaps"], color=COLOURS[exact], label=exact)
                for one in runs[DEEP[exact]]:
                    axes.plot(one["gaps"], color=COLOURS[exact], linestyle=":")
        axes.set(yscale="log", xlabel="iteration", ylabel="exploitability", title="four rooms")
        axes.legend(title="dotted: networks")

    commit(
        "munchausen",
        "Networks beside tables (Laurière et al. 2022)",
        "python -m bench.papers.munchausen",
        [
            f"Exact exploitability after {iterations} iterations, two hidden layers of 64 units, "
            f"{UPDATES} steps in each iteration. `times the table` is the median over the seeds"
            " (the worst in brackets).",
            table(numbers),
        ],
        numbers,
        draw,
    )


if __name__ == "__main__":
    main()
