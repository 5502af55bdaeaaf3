"""Structural policy gradients on the games of MFAX, at its number of updates.

`python -m bench.papers.mfax [--seeds 2] [--updates 200]` follows `structural_pg` on MFAX's
`linear_quadratic` and `beach_bar_1d` (Wibault et al. 2026, arXiv 2602.20141) and on `endogenous`
without shocks (with them the pasts of its productivity have no tables), and writes the exact
exploitability, causal and undiscounted (`endogenous`: as discounted in the spec), by update and
computing time. Figures of MFAX are those of its released code (commit e22ab469, structural policy
gradient, 8 environments, learning rate 0.001, seed 0, one core): `theirs` is its own
exploitability, discounted by 0.99 against deviations that know the noise to come; `its policy here`
is that of its last policy played in our game, by our measure.
"""

import argparse
import time
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch

import mfdsl
from bench.papers.committed import commit
from mfdsl.runtime.solvers.loop import solve
from mfdsl.settings import resolve


@dataclass(frozen=True)
class Theirs:
    """MFAX after its updates: its exploitability, ours of its policy, CPU s without compiling."""

    updates: int
    start: float
    own: float
    here: float | None
    seconds: float


@dataclass(frozen=True)
class Case:
    """One row: `updates` is how often ours steps, None as often as asked."""

    spec: str
    options: Mapping[str, Any]
    theirs: Theirs
    params: Mapping[str, Any]
    updates: int | None = None


LQ = Theirs(200, 2245.7, 143.22, 141.09, 21.3)
BEACH = Theirs(200, 425.17, 193.18, 211.53, 26.7)
CASES = {
    "linear_quadratic": Case("mfax_linear_quadratic", {}, LQ, {}),
    "linear_quadratic, memory": Case("mfax_linear_quadratic", {"memory": 8}, LQ, {}),
    "beach_bar": Case("mfax_beach_bar", {"batch": 8192}, BEACH, {}, 50),
    "endogenous, no shocks": Case(
        "endogenous",
        {"bins": 20, "bins.k": 60, "bins.log_z": 3},
        Theirs(2, 89.109, 79.486, None, 25.4),
        {"sigma": 0.0},
        20,
    ),
}


def run(case: Case, seed: int, updates: int) -> dict[str, Any]:
    """Exploitability after each update and computing time, reports included."""
    game = mfdsl.load(case.spec, params=case.params)
    settings = resolve(game.model, "structural_pg", options={**case.options, "seed": seed})
    program = type(game)(game.compilation, game.parameters, settings.bins).program
    began = time.process_time()
    found = solve(
        program,
        None,
        "structural_pg",
        settings.config,
        iterations=case.updates or updates,
        tolerance=0,
        patience=None,
    )
    seconds = time.process_time() - began
    return {"gaps": [r.exploitability for r in found.history], "seconds": seconds}


def table(numbers: Mapping[str, Any]) -> str:
    """The page's table."""
    head = ["game", "updates", "start", "end, by seed", "CPU s", "reaches theirs after"]
    head += ["MFAX: updates", "start", "theirs", "its policy here", "CPU s"]
    rows = []
    for name, runs in numbers.items():
        theirs, gaps = CASES[name].theirs, [one["gaps"] for one in runs]
        goal = theirs.own if theirs.here is None else min(theirs.own, theirs.here)
        when = [next((k for k, gap in enumerate(g) if gap <= goal), None) for g in gaps]
        rows.append(
            [
                name,
                str(len(gaps[0]) - 1),
                f"{gaps[0][0]:.4g}",
                ", ".join(f"{g[-1]:.4g}" for g in gaps),
                f"{median(one['seconds'] for one in runs):.1f}",
                ", ".join("never" if k is None else str(k) for k in when),
                str(theirs.updates),
                f"{theirs.start:.4g}",
                f"{theirs.own:.4g}",
                "" if theirs.here is None else f"{theirs.here:.4g}",
                f"{theirs.seconds:.1f}",
            ]
        )
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    """Run everything and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2, help="networks of each game")
    parser.add_argument("--updates", type=int, default=200)
    given = parser.parse_args()
    torch.set_num_threads(1)
    numbers = {
        name: [run(case, seed, given.updates) for seed in range(given.seeds)]
        for name, case in CASES.items()
    }

    def draw(axes: Any) -> None:
        for place, (name, runs) in enumerate(numbers.items()):
            for one in runs:
                axes.plot(one["gaps"], color=f"C{place}", label=name if one is runs[0] else None)
        axes.set(yscale="log", xlabel="update", ylabel="exploitability")
        axes.legend()

    commit(
        "mfax",
        "Structural policy gradients on the games of MFAX (Wibault et al. 2026)",
        "python -m bench.papers.mfax",
        [
            "Ours is exact, undiscounted and causal: nobody knows what common noise is to come. Our"
            " policies see the time and the common state; those of MFAX the mean of the law, and"
            " of beach_bar the bar as well, but no time, which bounds how good they can get.",
            table(numbers),
            "`endogenous` is smaller than MFAX's (60 points of wealth for 200, no shocks), with"
            " discount 0.96 for 0.95: a row that shows that it runs, not a comparison.",
        ],
        numbers,
        draw,
    )


if __name__ == "__main__":
    main()
