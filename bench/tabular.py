"""Times one iteration of mirror descent and one exploitability, beside MFGLib and OpenSpiel.

`python bench/tabular.py --peers PYTHON` measures each case in its own process, one thread, peers
right after us by that interpreter, in which `mfglib==0.3.0` and `open-spiel==2.0.2` are installed;
those that are missing are left out. Seconds are computing time, medians. `--json` prints one
object. Peak memory is the growth of the process over the same process before the game is built.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tabular_cases import CASES, SETTING, Case

PATIENCE_SECONDS = 300
ADDRESS_SPACE = 14 << 30


@dataclass(frozen=True)
class Timing:
    """Median seconds; bytes of growth at the peak.

    `step` is one update of the policy (flow, values, softmax), `evaluation` one exploitability,
    `scored` an iteration as a user runs it, with its score: of ours a part of a whole solve, its
    loop and its history included, of theirs the sum of the two.
    """

    states: int
    step: float
    evaluation: float
    scored: float
    build: float
    memory: int


def median_seconds(work: Callable[[], object], budget: float = 0.5) -> float:
    """Median computing time of 3 to 1,000 calls within a budget of seconds, once warm."""
    began = time.process_time()
    work()
    first = time.process_time() - began
    if first > budget:
        return first
    began, calls = time.process_time(), 0
    while calls < 1 or (calls < 50 and time.process_time() - began < budget / 4):
        work()
        calls += 1
    each = (time.process_time() - began) / calls
    samples = []
    for _ in range(max(3, min(1000, int(budget / max(each, 1e-6))))):
        start = time.process_time()
        work()
        samples.append(time.process_time() - start)
    return statistics.median(samples)


def solved_seconds(view: Any, program: Any, budget: float = 0.5) -> float:
    """Median computing time of an iteration, from solves that score each one."""
    from mfdsl.runtime.solvers.loop import solve

    def run(iterations: int) -> float:
        began = time.process_time()
        rest: dict[str, Any] = {"tolerance": -1.0, "patience": None, "view": view}
        solve(program, None, "omd", {"learning_rate": 0.1}, iterations=iterations, **rest)
        return (time.process_time() - began) / iterations

    run(1)
    each = run(max(3, min(1000, int(budget / 5 / run(3)))))
    count = max(3, min(10_000, int(budget / 5 / each)))
    return statistics.median(run(count) for _ in range(5))


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
    spec = Path(__file__).parents[1] / f"{case.spec}.mfg"
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

        scored = solved_seconds(view, program)
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
    from open_spiel.python.mfg.games import (
        factory,
        normal_form_game,  # noqa: F401  (so does this)
    )

    before, began = peak_bytes(), time.perf_counter()
    setting = case.peer_parameters.get(SETTING)
    if setting is None:
        game = pyspiel.load_game(case.peer_game, case.peer_parameters)
    else:
        game = factory.create_game_with_setting(case.peer_game, setting)
    solver = mirror_descent.MirrorDescent(game)
    build = time.perf_counter() - began
    step = median_seconds(solver.iteration)
    policy = solver.get_policy()
    evaluation = median_seconds(lambda: nash_conv.NashConv(game, policy).nash_conv())
    memory = peak_bytes() - before
    return Timing(case.states, step, evaluation, step + evaluation, build, memory)


RUNNERS = {"ours": time_ours, "mfglib": time_mfglib, "openspiel": time_openspiel}


def run_apart(case: Case, who: str, python: str = sys.executable) -> dict[str, Any]:
    """The timing as a plain object, from a fresh process with one thread and bounded memory."""
    command = [python, __file__, "--case", str(CASES.index(case)), "--who", who]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
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


def measure(cases: list[Case], python: str) -> list[dict[str, Any]]:
    """All timings, a case at a time, ours and then the peer's."""
    table = []
    for case in cases:
        row: dict[str, Any] = {"case": asdict(case), "ours": run_apart(case, "ours")}
        if case.peer and _installed(case.peer, python):
            row[case.peer] = run_apart(case, case.peer, python)
        table.append(row)
        print(line(row), file=sys.stderr, flush=True)
    return table


@cache
def _installed(peer: str, python: str) -> bool:
    module = "mfglib" if peer == "mfglib" else "pyspiel"
    return subprocess.run([python, "-c", f"import {module}"], capture_output=True).returncode == 0


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
    cells += [f"{theirs[key] / ours[key]:,.0f}" if both else "-" for key in COLUMNS]
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
    parser.add_argument("--smallest", type=int, default=0, help="skip games with fewer states")
    parser.add_argument("--named", nargs="*", help="only games with one of these in their names")
    parser.add_argument("--peers", default=sys.executable, help="interpreter that has the peers")
    parser.add_argument("--case", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--who", choices=RUNNERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case is not None:
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
        print(json.dumps(asdict(RUNNERS[arguments.who](CASES[arguments.case]))))
        return
    sizes = range(arguments.smallest, arguments.largest + 1)
    cases = [case for case in CASES if case.states in sizes]
    if arguments.named:
        cases = [case for case in cases if any(part in case.name for part in arguments.named)]
    table = measure(cases, arguments.peers)
    print(json.dumps({"rows": table}) if arguments.json else "\n".join([HEAD, *map(line, table)]))


if __name__ == "__main__":
    main()
