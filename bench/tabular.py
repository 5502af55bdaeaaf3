"""Times one iteration of mirror descent and one exploitability, beside MFGLib and OpenSpiel.

`python bench/tabular.py` measures each case in its own process, one thread, peers right after us;
peers that are not installed are left out. `--json` prints one object. Peak memory is the growth of
the process over the same process before the game is built.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tabular_cases import CASES, Case

MIB = 1 << 20
PATIENCE_SECONDS = 300
ADDRESS_SPACE = 14 << 30


@dataclass(frozen=True)
class Timing:
    """Median seconds; bytes of growth at the peak.

    `step` is one update of the policy (flow, values, softmax), `evaluation` one exploitability,
    `scored` an iteration as a user runs it: the update and the exploitability of what it starts
    from, with all that the two share.
    """

    states: int
    step: float
    evaluation: float
    scored: float
    build: float
    memory: int


def median_seconds(work: Callable[[], object], budget: float = 6.0) -> float:
    """Median of up to 30 repeats, after one call to warm up, within a budget of seconds."""
    began = time.perf_counter()
    work()
    first = time.perf_counter() - began
    if first > budget:
        return first
    repeats = max(3, min(30, int(budget / max(first, 1e-6))))
    samples = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        samples.append(time.perf_counter() - start)
    return statistics.median(samples)


def peak_bytes() -> int:
    """Largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def time_ours(case: Case) -> Timing:
    """Our mirror descent on the spec of the case."""
    import torch

    from mfdsl.game import load
    from mfdsl.runtime.evaluate import Evaluation, build_view
    from mfdsl.runtime.solvers.base import make_solver

    torch.set_num_threads(1)
    spec = Path(__file__).parents[1] / "specs" / f"{case.spec}.mfg"
    program = load(spec, params=case.parameters).program
    before, began = peak_bytes(), time.perf_counter()
    with torch.no_grad():
        view = build_view(program)
        build = time.perf_counter() - began
        solver = make_solver("omd", {"learning_rate": 0.1})
        state = solver.init(view)
        state = solver.step(Evaluation(view, view.policy(state.probs)), state)
        policy = view.policy(state.probs)
        step = median_seconds(lambda: solver.step(Evaluation(view, policy), state))
        evaluation = median_seconds(lambda: Evaluation(view, policy).exploitability.value)

        def iteration() -> object:
            known = Evaluation(view, policy)
            return known.exploitability.value, solver.step(known, state)

        scored = median_seconds(iteration)
    return Timing(program.state_count, step, evaluation, scored, build, peak_bytes() - before)


def time_mfglib(case: Case) -> Timing:
    """MFGLib's mirror descent: its update without its scoring, then its scoring."""
    import torch
    from mfglib.alg import OnlineMirrorDescent
    from mfglib.env import Environment
    from mfglib.scoring import exploitability_score

    torch.set_num_threads(1)
    before, began = peak_bytes(), time.perf_counter()
    game = getattr(Environment, case.peer_game)(**case.peer_parameters)
    build = time.perf_counter() - began
    policy = torch.ones((game.T + 1, *game.S, *game.A)) / game.n_actions
    algorithm = OnlineMirrorDescent()
    state = algorithm.init_state(game, policy)
    step = median_seconds(lambda: algorithm.step_next_state(state, None, None))
    evaluation = median_seconds(lambda: exploitability_score(game, policy))
    memory = peak_bytes() - before
    return Timing(game.n_states, step, evaluation, step + evaluation, build, memory)


def time_openspiel(case: Case) -> Timing:
    """OpenSpiel's mirror descent and NashConv."""
    import pyspiel
    from open_spiel.python.mfg import games  # noqa: F401  (registers the Python games)
    from open_spiel.python.mfg.algorithms import mirror_descent, nash_conv

    before, began = peak_bytes(), time.perf_counter()
    game = pyspiel.load_game(case.peer_game, case.peer_parameters)
    solver = mirror_descent.MirrorDescent(game)
    build = time.perf_counter() - began
    step = median_seconds(solver.iteration)
    policy = solver.get_policy()
    evaluation = median_seconds(lambda: nash_conv.NashConv(game, policy).nash_conv())
    memory = peak_bytes() - before
    return Timing(case.states, step, evaluation, step + evaluation, build, memory)


RUNNERS = {"ours": time_ours, "mfglib": time_mfglib, "openspiel": time_openspiel}


def run_apart(case: Case, who: str) -> dict[str, Any]:
    """The timing as a plain object, from a fresh process with one thread and bounded memory."""
    command = [sys.executable, __file__, "--case", str(CASES.index(case)), "--who", who]
    environment = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONPATH": _paths()}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, env=environment
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"more than {PATIENCE_SECONDS} s"}
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or ["killed"])[-1][:120]}
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _paths() -> str:
    return ":".join(entry for entry in sys.path if entry)


def measure(cases: list[Case]) -> list[dict[str, Any]]:
    """All timings, a case at a time, ours and then the peer's."""
    table = []
    for case in cases:
        row: dict[str, Any] = {"case": asdict(case), "ours": run_apart(case, "ours")}
        if case.peer and _installed(case.peer):
            row[case.peer] = run_apart(case, case.peer)
        table.append(row)
        print(line(row), file=sys.stderr, flush=True)
    return table


def _installed(peer: str) -> bool:
    from importlib.util import find_spec

    return find_spec("mfglib" if peer == "mfglib" else "pyspiel") is not None


def line(row: dict[str, Any]) -> str:
    """One row of the table in Markdown."""
    case, ours = row["case"], row["ours"]
    theirs = row.get(case["peer"] or "", {})
    cells = [f"{case['name']}", str(case["states"]), *_cells(ours)]
    if "step" in ours:
        cells.append(f"{ours['memory'] / case['states']:,.0f}")
    else:
        cells.append("-")
    cells += [case["peer"] or "-", *_cells(theirs)]
    both = "step" in ours and "step" in theirs
    cells += [f"{theirs[key] / ours[key]:,.0f}" if both else "-" for key in ("step", "evaluation")]
    return "| " + " | ".join(cells) + " |"


def _cells(timing: dict[str, Any]) -> list[str]:
    if "failed" in timing:
        return [timing["failed"], "-", "-"]
    return [f"{timing[k] * 1e3:.3g}" if timing else "-" for k in COLUMNS]


COLUMNS = ("step", "evaluation", "scored")
HEAD = """| game | states | omd ms | exploitability ms | both ms | bytes per state | peer | omd ms \
| exploitability ms | both ms | times faster: omd | exploitability | both |
|---|---|---|---|---|---|---|---|---|---|---|---|---|"""


def main() -> None:
    """Run the cases that are asked for and print their rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--largest", type=int, default=10**9, help="skip games with more states")
    parser.add_argument("--case", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--who", choices=RUNNERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case is not None:
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
        print(json.dumps(asdict(RUNNERS[arguments.who](CASES[arguments.case]))))
        return
    table = measure([case for case in CASES if case.states <= arguments.largest])
    print(json.dumps({"rows": table}) if arguments.json else "\n".join([HEAD, *map(line, table)]))


if __name__ == "__main__":
    main()
