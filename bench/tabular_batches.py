"""Sweeps of small games: blocks of iterations beside one iteration of all games at a time.

`python bench/tabular_batches.py` prints a table, in seconds of computing time on one thread after
one run of each. Without blocks a batch goes step by step, as those of large games do, and all that
lack the extra `native`.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import torch

import mfdsl
from mfdsl.runtime.solution import Solution
from mfdsl.runtime.solvers import loop

SPECS = Path(__file__).parents[1] / "specs"


@dataclass(frozen=True)
class Sweep:
    """A game, and a parameter between two values or, without one, the learning rate of `omd`."""

    spec: str
    what: str
    parameter: str
    low: float
    high: float


SWEEPS = (
    Sweep("nfg_biased_rps", "one shot", "", 0.1, 1.0),
    Sweep("congestion_log", "one shot", "c", 0.5, 1.0),
    Sweep("mfglib_beach_bar", "3 stages", "p_still", 0.3, 0.7),
    Sweep("crowd_1d", "10 stages", "eps", 1e-6, 1e-2),
    Sweep("sis", "51 stages, moves read the law", "infection", 0.3, 0.9),
)


def run(sweep: Sweep, games: int, iterations: int) -> tuple[float, Solution]:
    """The seconds of a sweep that makes all iterations, and where it ends."""
    program = mfdsl.load(SPECS / f"{sweep.spec}.mfg").program
    values = torch.linspace(sweep.low, sweep.high, games, dtype=torch.float64).tolist()
    if sweep.parameter:
        params, varied = program.params({sweep.parameter: values}), None
    else:
        params, varied = program.params(), {"learning_rate": values}
    began = time.process_time()
    found = loop.solve(
        program,
        params,
        "omd",
        {} if varied else {"learning_rate": 0.1},
        iterations=iterations,
        tolerance=-1.0,
        patience=None,
        varied=varied,
    )
    return time.process_time() - began, found


def main() -> None:
    """Run all sweeps, and print what they took and how far apart their policies are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--iterations", type=int, default=200)
    parser.add_argument("--games", type=int, nargs="*", default=(36, 200))
    given = parser.parse_args()
    torch.set_num_threads(1)
    print("| game | | games | blocks, s | steps, s | times | policies apart |")
    print("|---|---|---|---|---|---|---|")
    for sweep in SWEEPS:
        run(sweep, 2, 3)
        for games in given.games:
            fast, blocks = run(sweep, games, given.iterations)
            with patch.object(loop, "blocks_for", lambda _: None):
                slow, steps = run(sweep, games, given.iterations)
            apart = (blocks.policy.probs - steps.policy.probs).abs().max().item()
            row = (sweep.spec, sweep.what, games, f"{fast:.3g}", f"{slow:.3g}")
            print(
                "| " + " | ".join(map(str, (*row, f"{slow / fast:.1f}", f"{apart:.0e}"))) + " |",
                flush=True,
            )


if __name__ == "__main__":
    main()
