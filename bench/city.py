"""Solves the crowd game of 10^6 states and 100 stages to 1 % of its first exploitability.

`python -m bench.city` writes `bench/data/city.json`: exploitability and computing time,
the largest memory, and the last exploitability again in double precision. `--side` and `--stages`
take other sizes.
"""

import argparse
import json
import resource
import time
from pathlib import Path

import torch

from mfdsl.game import load
from mfdsl.runtime.evaluate import build_view
from mfdsl.runtime.solution import Record
from mfdsl.runtime.solvers.loop import solve
from mfdsl.runtime.views.finite import FiniteView
from mfdsl.runtime.views.streamed import Streamed

HERE = Path(__file__).parent
SHARE = 0.01


def double_score(view: FiniteView, probs: torch.Tensor) -> float:
    """The exploitability of a policy [1, T, S, A] in a view of double precision."""
    exact = probs.double()
    exact = exact / exact.sum(-1, keepdim=True)
    passes = Streamed(view, exact.permute(1, 3, 2, 0).contiguous())
    own, best = passes.returns()
    return float((passes.laws[0] * (best - own)).sum())


def main() -> None:
    """Solve, then score again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=1000)
    parser.add_argument("--stages", type=int, default=100)
    parser.add_argument("--rate", type=float, default=0.3)
    parser.add_argument("--iterations", type=int, default=60)
    parser.add_argument("--out", type=Path, default=HERE / "data" / "city.json")
    given = parser.parse_args()
    torch.set_num_threads(1)
    began = time.process_time()
    sizes = {"n": given.side, "H": given.stages}
    program = load(HERE / "specs" / "city.mfg", params=sizes).program
    curve: list[tuple[int, float, float]] = []

    def note(record: Record) -> None:
        curve.append((record.iteration, record.exploitability, time.process_time() - began))
        print(*curve[-1], flush=True)

    found = solve(
        program,
        program.params(dtype=torch.float32),
        "omd",
        {"learning_rate": given.rate},
        iterations=given.iterations,
        tolerance=0,
        on_progress=note,
        stop=lambda: curve[-1][1] <= SHARE * curve[0][1],
    )
    spent = time.process_time() - began
    probs = found.policy.probs
    del found
    again = double_score(_double(program), probs)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    last = curve[-1]
    text = (
        f"`bench/specs/city.mfg`: {program.state_count:,} states, {program.action_count} actions, "
        f"{given.stages} stages, `omd` at rate {given.rate:g} in float32, one thread. From "
        f"{curve[0][1]:.4g} to {last[1]:.4g} ({last[1] / curve[0][1]:.2%}) after {last[0]} "
        f"iterations and {last[2]:,.0f} s of computing time, an exploitability each iteration; "
        f"{spent:,.0f} s with the compilation of the spec and the solution. Scored again in "
        f"float64, the last policy has {again:.4g}. Peak memory {peak:.1f} GiB."
    )
    given.out.write_text(json.dumps({"text": text, "history": curve}, indent=1) + "\n")
    print(text)


def _double(program: object) -> FiniteView:
    from mfdsl.runtime.program import Program

    assert isinstance(program, Program)
    view = build_view(program)
    assert isinstance(view, FiniteView)
    return view


if __name__ == "__main__":
    main()
