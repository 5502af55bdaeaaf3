"""Rows of the goals table beside Bench-MFG: policies scored and games solved, with the start."""

import json
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.goal import MINE, RECORDED, SPECS, Goal, Peers, as_users, seconds, theirs

# A spec, the peer's name of it, that of the recorded figure, learning rate and temperature of omd.
ROOMS = (MINE / "four_rooms_obstacles.mfg", "four_rooms_obstacles", "four_rooms ms", (0.5, 0.8))
CHAIN = (SPECS / "lasry_lions_chain.mfg", "lasry_lions_chain", "lasry ms", (0.05, 0.8))
JAM = (SPECS / "kinetic_congestion.mfg", "kinetic_congestion", "kinetic ms", (0.5, 0.2))


def batches(peers: Peers) -> Iterator[Goal]:
    """Rows 1 to 3: many policies of one stationary game scored together."""
    import torch

    from mfdsl.game import load
    from mfdsl.runtime.evaluate import build_view

    key = "microseconds_a_policy"
    cases = (
        ("1", ROOMS[0], {}, ROOMS[1], "four_rooms µs", 200, 130),
        ("2", SPECS / "stationary_sis.mfg", {"c_ill": 10}, "sis_epidemic", "sis µs", 200, 30),
        ("2", SPECS / "kinetic_congestion.mfg", {}, "kinetic_congestion", "kinetic µs", 200, 60),
        ("3", SPECS / "lasry_lions_chain.mfg", {}, "lasry_lions_chain", "lasry µs", 2000, 4),
    )
    for row, path, values, game, recorded, count, goal in cases:
        program = load(path, params=values).program
        figure, source = theirs(peers, game, key, recorded)
        for dtype in (torch.float32, torch.float64):
            view = build_view(program, program.params(dtype=dtype))
            shape = (count, *view.uniform().probs.shape[1:])
            generator = torch.Generator().manual_seed(0)
            drawn = torch.empty(shape, dtype=dtype).exponential_(generator=generator)
            policy = view.policy(drawn / drawn.sum(-1, keepdim=True))
            with torch.no_grad():
                cost = seconds(lambda: view.exploitability(policy), 3) / count * 1e6  # noqa: B023
            name = f"{program.name}: an exploitability, {count} policies, {str(dtype)[6:]}"
            note = "ours: the law settled, theirs: 50 pushes"
            yield Goal(row, name, "µs", cost, "Bench-MFG", figure, source, goal, note)


COLD = """
import sys, time
import torch
torch.set_num_threads(1)
from mfdsl.game import load
from mfdsl.runtime.solvers.loop import solve
import mfdsl.runtime.solvers.{module}
import mfdsl.runtime.views.native_chains, mfdsl.runtime.views.native_endless  # and numba
began = time.process_time()
program = load({path!r}, params={values!r}).program
found = solve(program, None, {solver!r}, {options!r}, iterations=150, tolerance=-1.0, patience=None)
assert found.iterations == 150, f"it ended after {{found.iterations}} iterations"
print(time.process_time() - began)
"""


def cold(path: Path, values: dict[str, Any], solver: str, module: str, **options: Any) -> float:
    """Median computing time of a spec compiled and solved by 150 iterations, imports excluded."""
    code = COLD.format(
        path=path, values=values, solver=solver, module=module, options=options
    ).replace("PosixPath", "__import__('pathlib').Path")
    samples = []
    for _ in range(4):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=as_users(),
            capture_output=True,
            text=True,
            check=True,
        )
        samples.append(float(done.stdout.split()[-1]))
    return statistics.median(samples[1:])


def started(peers: Peers) -> Iterator[Goal]:
    """Rows 4 and 7: from the text of a spec to the end of 150 iterations, each scored."""
    figure, source = theirs(peers, "four_rooms_obstacles", "cold_seconds", "four_rooms cold")
    cost = cold(ROOMS[0], {}, "omd", "mirror_descent", learning_rate=0.5, temperature=0.8)
    what = "four_rooms_obstacles: 150 iterations of omd, cold"
    yield Goal("4", what, "s", cost, "Bench-MFG", figure, source, 0.6)
    cost = cold(SPECS / "rock_paper_scissors.mfg", {}, "fictitious_play", "fictitious_play")
    what = "rock-paper-scissors: 150 iterations of fictitious play, cold"
    note = "ours: MFGLib's game of a few stages, theirs: stationary"
    yield Goal(
        "7", what, "s", cost, "Bench-MFG", RECORDED["fictitious play"], "recorded", 0.3, note
    )


def iterations(peers: Peers) -> Iterator[Goal]:
    """Row 5: mirror descent, an exploitability each iteration."""
    yield _iteration(peers, *ROOMS, count=150, goal=1.0)
    yield _iteration(peers, *CHAIN, count=150, goal=0.2)


def iterations_in_law(peers: Peers) -> Iterator[Goal]:
    """Row 5 for a game whose moves read the law."""
    yield _iteration(peers, *JAM, count=24, goal=0.5)


def _iteration(
    peers: Peers,
    path: Path,
    game: str,
    recorded: str,
    rates: tuple[float, float],
    *,
    count: int,
    goal: float,
) -> Goal:
    from mfdsl.game import load
    from mfdsl.runtime.solvers.loop import solve, view_for

    program = load(path).program
    options = {"learning_rate": rates[0], "temperature": rates[1]}
    view = view_for(program, program.params(), "omd")  # before, as the peer's environment is
    limits = {"iterations": count, "tolerance": -1.0, "patience": None}
    made = []

    def run() -> None:
        found = solve(program, None, "omd", options, view=view, **limits)
        made.append(found.iterations)

    cost = seconds(run, 3) / made[-1] * 1e3  # some end early, at a gap of 0 or below
    figure, source = theirs(peers, game, "milliseconds_an_iteration", recorded)
    what = f"{game}: an iteration of omd, float64, of the first {count}"
    return Goal("5", what, "ms", cost, "Bench-MFG", figure, source, goal)


def sweeps(peers: Peers) -> Iterator[Goal]:
    """Row 6: 36 settings of a solver as one batch, from the command line to the files of the run.

    The peer's sweep is nine settings with four seeds each; ours has 36 settings, as nothing is
    drawn. The game as it stands begins in its equilibrium and would end there: one corner is paid.
    """
    text = (MINE / "four_rooms_obstacles.mfg").read_text()
    paid = text.replace("\n  agents", "\n  reward corner = 0.1 * ind(x == rooms[0, 0])\n\n  agents")
    assert paid != text, "the spec has no line of agents"
    command = ["--solver", "omd", "--iterations", "150", "--tol", "0", "--quiet", "--json"]
    command += ["--sweep", "opt.learning_rate=0.1,0.2,0.3,0.5,0.7,1"]
    command += ["--sweep", "opt.temperature=0.3,0.5,0.8,1,1.5,2"]
    samples = []
    for _ in range(4):
        with tempfile.TemporaryDirectory() as place:
            spec = Path(place) / "rooms.mfg"
            spec.write_text(paid)
            solve = [sys.executable, "-m", "mfdsl", "solve", str(spec)]
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            done = subprocess.run(
                [*solve, *command, "--out", place], env=as_users(), capture_output=True, check=True
            )
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            samples.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        made = {game["iterations"] for game in json.loads(done.stdout)["games"]}
        assert made == {150}, f"games ended after {made} iterations"
    cost = statistics.median(samples[1:])
    note = "all of the process: start, imports, files; ours: with a paid corner"
    what = "four_rooms_obstacles: 36 rates and temperatures, 150 iterations of omd, end to end"
    yield Goal("6", what, "s", cost, "Bench-MFG", RECORDED["sweep of 36"], "recorded", 3.0, note)
