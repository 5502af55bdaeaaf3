"""One policy for all against one for each: A-RPS and A-SIS of Yardim and He 2025 (2408.15173).

`python -m bench.papers.approximate_symmetry [--seeds 3]` learns both games with `symm_pmd` and
`independent_pmd` from the same number of episodes, and writes exploitability by iteration and
computing time. The paper's perturbations and stakes are not published: figures beside ours are read
off its Figure 1, with rewards in [0, 1].
"""

import argparse
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import mfdsl
from bench.papers.committed import commit

SOLVERS = ("symm_pmd", "independent_pmd")
COLOURS = {"symm_pmd": "C0", "independent_pmd": "C1"}


@dataclass(frozen=True)
class Case:
    """A game with options for both solvers; `scale` divides exploitability (rewards in [0, 1]),
    `paper` has the last figures of the paper by solver.
    """

    spec: str
    iterations: int
    params: Mapping[str, float]
    options: Mapping[str, Any]
    scale: float
    paper: Mapping[str, str]


RPS = Case(
    "a_rps",
    25,
    {"rock_scissors": 0.4, "paper_rock": 0.34, "scissors_paper": 0.37},
    {"games": 1, "learning_rate": 4.0, "temperature": 0.02, "floor": 0.001},
    1.0,
    {"symm_pmd": ".02-.03", "independent_pmd": ".19"},
)
CASES = {
    "A-RPS": RPS,
    "A-RPS, 8 episodes": replace(RPS, options={**RPS.options, "games": 8}),
    "A-SIS": Case(
        "asymmetric_sis",
        40,
        {},
        {"games": 4, "learning_rate": 8.0, "decay": 0.25, "temperature": 0.02},
        1.6,
        {"symm_pmd": ".07-.08", "independent_pmd": ".51"},
    ),
}


def run(case: Case, solver: str, seed: int) -> dict[str, Any]:
    """Exploitability after each iteration, on the scale of rewards in [0, 1], and CPU seconds."""
    game = mfdsl.load(case.spec, params=case.params)
    _ = game.program, game.agents  # compiled beforehand
    began = time.process_time()
    found = mfdsl.solve(
        game, solver, iterations=case.iterations, tolerance=0, options=case.options, seed=seed
    )
    seconds = time.process_time() - began
    return {"gaps": [r.exploitability / case.scale for r in found.history], "seconds": seconds}


def main() -> None:
    """Run all cases and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="runs of each solver")
    seeds = range(parser.parse_args().seeds)
    numbers = {
        name: {solver: [run(case, solver, seed) for seed in seeds] for solver in SOLVERS}
        for name, case in CASES.items()
    }
    head = ["game", "solver", "start", "end, by seed", "least", "CPU s", "paper, end"]
    rows = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name, case in CASES.items():
        for solver in SOLVERS:
            runs = numbers[name][solver]
            ends = " ".join(f"{r['gaps'][-1]:.3f}" for r in runs)
            least = median(min(r["gaps"]) for r in runs)
            seconds = median(r["seconds"] for r in runs)
            start = runs[0]["gaps"][0]
            cells = [name, solver, f"{start:.2f}", ends, f"{least:.3f}", f"{seconds:.2f}"]
            rows.append(f"| {' | '.join([*cells, case.paper[solver]])} |")
    print("\n".join(rows))

    def draw(axes: Any) -> None:
        for name, style in zip(CASES, ("-", ":", "--"), strict=True):
            for solver in SOLVERS:
                for seed, result in enumerate(numbers[name][solver]):
                    label = f"{name}, {solver}" if seed == 0 else None
                    axes.plot(result["gaps"], style, color=COLOURS[solver], label=label)
        axes.set(xlabel="iteration", ylabel="exploitability", yscale="log")
        axes.legend(fontsize=7)

    commit(
        "approximate_symmetry",
        "One policy for all against one for each",
        "python -m bench.papers.approximate_symmetry",
        [
            "Exploitability in the induced mean-field game with rewards in [0, 1]; for"
            " `independent_pmd` the mean of what single agents gain. Both play the same number of"
            " episodes. The games of the paper have other perturbations and stakes, which are not"
            " published, and start at .17 and .7.",
            "\n".join(rows),
        ],
        {"cases": numbers},
        draw,
    )


if __name__ == "__main__":
    main()
