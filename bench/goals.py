"""Measures the rows of the goals table: our figure, that of a peer, the ratio, and the goal.

`python -m bench goals` prints the table; `--rows 1,8` takes some, `--benchmfg PYTHON` also measures
Bench-MFG with that interpreter, beside us and in the same run. Other figures of peers are those
recorded on one core of the same kind of machine (`RECORDED`). Seconds are computing time of one
thread, medians of at least three calls, unless a row says otherwise.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SPECS = HERE.parent / "specs"
MINE = HERE / "specs"
# Bench-MFG 0.1.3 and JAX 0.10.2, MFAX at commit e22ab469: one pinned core of an AMD EPYC (2 vCPU)
RECORDED = {
    "four_rooms µs": 1065.0,
    "sis µs": 324.0,
    "kinetic µs": 6735.0,
    "lasry µs": 22.0,
    "four_rooms cold": 1.86,
    "four_rooms ms": 1.65,
    "lasry ms": 0.23,
    "kinetic ms": 5.8,
    "sweep of 36": 67.0,
    "fictitious play": 48.0,
    "400 x 400": 30.6,
    "1000 x 1000": 193.0,
    "64 games": 77.0,
    "beach": 0.65,
    "endogenous": 3.8,
    "compile": 0.6,
}


@dataclass(frozen=True)
class Goal:
    """One figure; `source` says how the peer's was had, `goal` is what ours should be at most."""

    row: str
    what: str
    unit: str
    ours: float
    peer: str
    theirs: float | None
    source: str
    goal: float | None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times less than the peer."""
        return None if self.theirs is None else self.theirs / self.ours

    @property
    def reached(self) -> bool | None:
        """Whether the goal is."""
        return None if self.goal is None else self.ours <= self.goal


Peers = dict[str, Any]


def seconds(work: Callable[[], object], repeats: int = 5) -> float:
    """Median computing time of a call, after one to warm up."""
    work()
    samples = []
    for _ in range(repeats):
        began = time.process_time()
        work()
        samples.append(time.process_time() - began)
    return statistics.median(samples)


def theirs(peers: Peers, game: str, key: str, recorded: str) -> tuple[float, str]:
    """A figure of Bench-MFG: of this run, or recorded."""
    if game in peers:
        return float(peers[game][key]), "this run"
    return RECORDED[recorded], "recorded"


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


def as_users() -> dict[str, str]:
    """The environment of processes that may keep compiled code, as Python does unless told not to.

    What is kept is there from the second process on, so the first one is not counted.
    """
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


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


ROOMS = (MINE / "four_rooms_obstacles.mfg", "four_rooms_obstacles", "four_rooms ms", (0.5, 0.8))
CHAIN = (SPECS / "lasry_lions_chain.mfg", "lasry_lions_chain", "lasry ms", (0.05, 0.8))
JAM = (SPECS / "kinetic_congestion.mfg", "kinetic_congestion", "kinetic ms", (0.5, 0.2))


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
    import resource
    import tempfile

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
    cost, note = (
        statistics.median(samples[1:]),
        "all of the process: start, imports, files; ours: with a paid corner",
    )
    what = "four_rooms_obstacles: 36 rates and temperatures, 150 iterations of omd, end to end"
    yield Goal("6", what, "s", cost, "Bench-MFG", RECORDED["sweep of 36"], "recorded", 3.0, note)


def grids(peers: Peers) -> Iterator[Goal]:
    """Rows 8 and 9: a push of the population and a sweep of the best response, a stage each."""
    import torch

    for row, side, games, recorded, goal in (
        ("8", 400, 1, "400 x 400", 2.0),
        ("8", 1000, 1, "1000 x 1000", 15.0),
        ("9", 100, 64, "64 games", 5.0),
    ):
        cost = 1e3 * pass_seconds(side, games, torch.float32)
        what = f"{side} x {side} torus, {games} game{'s' * (games > 1)}: a stage there and back"
        yield Goal(row, what, "ms", cost, "JAX", RECORDED[recorded], "recorded", goal, "float32")
    one, many = pass_seconds(100, 1, torch.float64), pass_seconds(100, 64, torch.float64)
    plain = pass_seconds(100, 1, torch.float64, compiled=False)
    what = "100 x 100 torus: 64 games in one batch, in single games"
    least = reading_seconds(100, 64, torch.float64) / one
    note = f"singles in compiled loops; to read 64 policies and rewards takes {least:.0f} singles"
    yield Goal("shows 6", what, "times", many / one, "", None, "", 8.0, note)
    what = "100 x 100 torus: 64 games in one batch, in single games of tensor operations"
    yield Goal("shows 6", what, "times", many / plain, "", None, "", 8.0)


def pass_seconds(side: int, games: int, dtype: Any, *, compiled: bool = True) -> float:
    """Computing time of one stage of `crowd_2d`, forward under a policy and back for the best."""
    import torch

    from mfdsl.game import load
    from mfdsl.runtime.views import native
    from mfdsl.runtime.views.finite import FiniteView, sweep
    from mfdsl.runtime.views.kernels import matrix_kernel
    from mfdsl.runtime.views.tables import Problem

    stages = 4 if side > 100 else 10
    program = load(SPECS / "crowd_2d.mfg", params={"n": side, "H": stages}).program
    view = FiniteView.build(program, program.params(dtype=dtype))
    shape = (stages, program.action_count, program.state_count, games)
    generator = torch.Generator().manual_seed(0)
    probs = torch.softmax(torch.randn(shape, dtype=dtype, generator=generator), 1)
    rewards = torch.randn(shape, dtype=dtype, generator=generator)
    if not compiled:
        flat, _ = view.tables.successors or (None, None)
        assert flat is not None
        weights = torch.full((len(flat), 1, 1), 1 / len(flat), dtype=dtype)
        kernel = matrix_kernel(flat, weights, dense=False)
        plain = Problem(
            rewards, [type(kernel)(kernel.forward, kernel.backward)] * stages, None, None
        )
        law, after = torch.rand(shape[2], dtype=dtype), torch.empty(shape[2], dtype=dtype)

        def tensors() -> None:
            for t in range(stages):
                plain.kernels[t].push((law * probs[t, :, :, 0]).view(-1), after)
            sweep(plain, None, 1.0)

        return seconds(tensors) / stages
    loops = native.compiled_loops(view.tables.kernel, games)
    assert loops is not None, "the extra `native` is not installed"
    laws = torch.empty(stages + 1, shape[2], games, dtype=dtype)
    laws[0] = view.tables.initial
    value = torch.zeros(shape[2], games, dtype=dtype)

    def both() -> None:
        native.push_forward(loops, probs, laws)
        native.sweep(loops, rewards, None, value.zero_(), 1.0)

    return seconds(both) / stages


def reading_seconds(side: int, games: int, dtype: Any) -> float:
    """Computing time of reading once what is each game's own in a stage of `pass_seconds`.

    That is a policy and a table of rewards, with five actions; they are added up.
    """
    import torch

    stages = 10
    tables = torch.ones(stages, 2, 5, side * side, games, dtype=dtype)
    return seconds(tables.sum) / stages


def trees(peers: Peers) -> Iterator[Goal]:
    """Rows 10 and 11: games with common noise, solved over the tree of its values."""
    import torch

    from mfdsl.game import load
    from mfdsl.runtime.evaluate import Evaluation, build_view
    from mfdsl.runtime.solvers.loop import solve

    torch.set_num_threads(1)
    cases = (
        ("mfax_beach_bar", "policy_iteration", {}, 31.0, 2.0),
        ("mfax_linear_quadratic", "omd", {"learning_rate": 0.05}, 23.0, 2.0),
    )
    for name, solver, options, theirs_seconds, goal in cases:
        program = load(SPECS / f"{name}.mfg").program
        view = build_view(program)
        policy = view.uniform()
        start = view.exploitability(policy).item()

        def run(program: Any = program, solver: Any = solver, options: Any = options) -> object:
            return solve(program, None, solver, options, iterations=400, tolerance=0.01 * start)  # noqa: B023

        began = time.process_time()
        found = run()
        cost = time.process_time() - began
        what = f"{name}: {solver} to 1 % of the start, causal ({found.iterations} iterations)"
        note = f"one run; theirs, SPG, does not get there; ours: {found.status.name}"
        yield Goal("10", what, "s", cost, "MFAX", theirs_seconds, "recorded", goal, note)
        if name == "mfax_beach_bar":
            score = seconds(lambda: Evaluation(view, policy).exploitability.value, 3)  # noqa: B023
            what = "mfax_beach_bar: an exploitability over the whole tree"
            note = "ours: all 51 bars and both ends, theirs: 128 samples"
            yield Goal("11", what, "s", score, "MFAX", RECORDED["beach"], "recorded", 0.2, note)


def paths(peers: Peers) -> Iterator[Goal]:
    """Row 11: MFAX's `endogenous`, whose moves read the law, along 8 paths of productivity."""
    from dataclasses import replace

    import torch

    from mfdsl.compiler.tabular.grids import Bins
    from mfdsl.game import load
    from mfdsl.runtime.evaluate import Evaluation, build_view

    torch.set_num_threads(1)
    game = replace(load(MINE / "endogenous_paths.mfg"), bins=Bins(20, {"k": 200}))
    program, cost = game.program, 0.0
    for start in range(8):
        params = program.params({"start": 0.1 * (start - 3.5) / 3.5}, dtype=torch.float32)
        view = build_view(program, params)
        policy = view.uniform()
        began = time.process_time()
        _ = Evaluation(view, policy).exploitability.value
        cost += time.process_time() - began
    what = "endogenous: an exploitability along 8 paths, 1,000 states, 128 stages"
    note = "one run, paths one after another; wealth on even points, theirs geometric"
    theirs_seconds = RECORDED["endogenous"]
    yield Goal("11", what, "s", cost, "MFAX", theirs_seconds, "recorded", 1.0, note)


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
