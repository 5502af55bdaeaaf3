"""Iterations in blocks are those of the steps, and a run in blocks ends where one in steps does."""

import math
import os
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import mfdsl
from mfdsl.runtime.evaluate import Evaluation, build_view
from mfdsl.runtime.program import Program
from mfdsl.runtime.solution import Record, Solution
from mfdsl.runtime.solvers import blocks
from mfdsl.runtime.solvers.base import make_solver, save_state
from mfdsl.runtime.solvers.loop import solve
from mfdsl.runtime.status import Status

pytest.importorskip("numba")

SPECS = Path(__file__).parents[3] / "specs"
CASES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("omd", {}),
    ("omd", {"learning_rate": 0.1}),
    ("omd", {"learning_rate": 0.3, "temperature": 2.0}),
    ("fictitious_play", {}),
    ("fictitious_play", {"weight": 0.3, "ties": "first"}),
    ("fixed_point", {}),
    ("fixed_point", {"temperature": 0.5, "damping": 0.3}),
    ("fixed_point", {"damping": 0.7, "ties": "first"}),
    ("policy_iteration", {"temperature": 0.5, "damping": 0.3}),
    ("munchausen_omd", {}),
    ("prior_descent", {}),
    ("prior_descent", {"inner": 2, "temperature": 0.0}),
)
# One shot; moves that read the law; three populations; no end; masks.
GAMES = (
    "nfg_biased_rps",
    "random_linear",
    "openspiel_predator_prey",
    "mfppo_toy",
    "dynamic_routing",
)
COUNT = 21  # from the first block into the second
COUNTS = {"dynamic_routing": 10, "openspiel_predator_prey": 10}
FOREVER: dict[str, Any] = {"tolerance": -1.0, "patience": None}


def program_of(name: str) -> Program:
    return mfdsl.load(SPECS / f"{name}.mfg").program


def by_steps(
    program: Program, solver_name: str, options: Mapping[str, Any], kind: torch.dtype, count: int
) -> tuple[dict[str, Tensor], list[float]]:
    """The state after so many steps of the solver, and the exploitability before each and after."""
    view = build_view(program, program.params(dtype=kind))
    solver = make_solver(solver_name, options)
    with torch.no_grad():
        state, gaps = solver.init(view), []
        for left in reversed(range(count + 1)):
            evaluation = Evaluation(view, view.policy(state.probs))
            gaps.append(evaluation.exploitability.value)
            state = solver.step(evaluation, state) if left else state
    return save_state(state), gaps


def assert_as_by_steps(
    program: Program, case: tuple[str, dict[str, Any]], kind: torch.dtype, count: int, near: float
) -> None:
    state, gaps = by_steps(program, *case, kind, count)
    found = solve(program, program.params(dtype=kind), *case, iterations=count, **FOREVER)
    assert [record.iteration for record in found.history] == list(range(count + 1))
    wanted = torch.tensor(gaps, dtype=torch.float64)
    met = torch.tensor([record.exploitability for record in found.history], dtype=torch.float64)
    torch.testing.assert_close(met, wanted, rtol=near, atol=near)
    assert found.exploitability.value == pytest.approx(gaps[-1], rel=near, abs=near)
    assert set(found.state) == set(state)
    for name, table in state.items():
        assert found.state[name].dtype == table.dtype, name
        torch.testing.assert_close(found.state[name], table, rtol=near, atol=near, msg=name)


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("name", GAMES)
def test_blocks_make_the_iterations_of_the_steps(
    name: str, case: tuple[str, dict[str, Any]]
) -> None:
    assert_as_by_steps(program_of(name), case, torch.float64, COUNTS.get(name, COUNT), 1e-11)


@pytest.mark.parametrize("case", CASES[1:], ids=str)
def test_blocks_round_where_steps_in_single_precision_do(case: tuple[str, dict[str, Any]]) -> None:
    assert_as_by_steps(program_of("nfg_biased_rps"), case, torch.float32, COUNT, 2e-6)
    assert_as_by_steps(program_of("random_linear"), case, torch.float32, 5, 2e-4)


def test_every_rule_is_among_those_tried() -> None:
    assert set(blocks.RULES) == {name for name, _ in CASES}


def assert_same(one: Solution, other: Solution) -> None:
    """Two runs are equal to the bit, but for their seconds."""
    rows = [[(r.iteration, r.exploitability) for r in run.history] for run in (one, other)]
    assert rows[0] == rows[1]
    assert (one.status, one.message, one.iterations) == (
        other.status,
        other.message,
        other.iterations,
    )
    assert one.exploitability == other.exploitability and one.value == other.value
    for name, table in one.state.items():
        assert torch.equal(table, other.state[name]), name
    assert torch.equal(one.flow.laws, other.flow.laws)


@pytest.mark.parametrize("kind", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_where_blocks_end_makes_no_difference(
    case: tuple[str, dict[str, Any]], kind: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = program_of("sis")
    params = program.params(dtype=kind)
    monkeypatch.setattr(blocks, "SECONDS", 100.0)
    whole = solve(program, params, *case, iterations=40, **FOREVER)
    half = solve(program, params, *case, iterations=17, **FOREVER)
    history = half.history
    monkeypatch.setattr(blocks, "SECONDS", 0.0)
    rest = solve(
        program, params, *case, iterations=40, state=half.state, history=history, **FOREVER
    )
    assert_same(rest, whole)
    watched = solve(program, params, *case, iterations=40, watch=lambda course: False, **FOREVER)
    assert_same(watched, whole)


@pytest.mark.parametrize(("every", "place"), [(1, 11), (4, 11), (1, 60)])
def test_a_goal_that_is_met_within_a_block_ends_it_there(every: int, place: int) -> None:
    program = program_of("mfglib_beach_bar")
    options = {"learning_rate": 0.1}
    _, gaps = by_steps(program, "omd", options, torch.float64, 70)
    goal = gaps[place] * (1 + 1e-9)
    first = next(k for k, gap in enumerate(gaps) if gap <= goal and k % every == 0)
    assert first > blocks.FIRST_ROWS
    rest: dict[str, Any] = {"tolerance": goal, "evaluate_every": every}
    found = solve(program, None, "omd", options, iterations=500, **rest)
    assert (found.status, found.iterations) == (Status.converged, first)
    assert [record.iteration for record in found.history] == list(range(0, first + 1, every))
    assert found.exploitability.value == found.history[-1].exploitability


def test_patience_ends_a_run_within_a_block() -> None:
    program, case = program_of("nfg_biased_rps"), ("fixed_point", {})
    _, gaps = by_steps(program, *case, torch.float64, 60)
    best = min(range(61), key=lambda k: gaps[k])
    found = solve(program, None, *case, iterations=1000, tolerance=-1.0, patience=13)
    assert (found.status, found.iterations) == (Status.stalled, best + 13)
    assert len(found.history) == best + 14


@pytest.mark.parametrize("asked", [1, 5, 9, 20])
def test_who_stops_a_run_gets_that_very_iteration(asked: int) -> None:
    program, case = program_of("nfg_biased_rps"), ("omd", {"learning_rate": 0.2})
    seen: list[Record] = []
    found = solve(program, None, *case, on_progress=seen.append, stop=lambda: len(seen) > asked)
    wanted = solve(program, None, *case, iterations=asked)
    assert (found.status, found.iterations) == (Status.interrupted, asked)
    for name, table in wanted.state.items():
        assert torch.equal(found.state[name], table), name
    assert found.exploitability == wanted.exploitability


def test_an_exception_within_a_block_leaves_the_iteration_that_was_reported() -> None:
    program = program_of("nfg_biased_rps")

    def press(record: Record) -> None:
        if record.iteration == 11:
            raise KeyboardInterrupt

    found = solve(program, None, "fictitious_play", on_progress=press, tolerance=-1.0)
    wanted = solve(program, None, "fictitious_play", iterations=11, tolerance=-1.0)
    assert (found.status, found.iterations) == (Status.interrupted, 11)
    assert torch.equal(found.policy.probs, wanted.policy.probs)


def test_values_that_are_no_numbers_end_a_block() -> None:
    program = program_of("nfg_coop")
    found = solve(program, None, "omd", {"learning_rate": 1e308}, iterations=50, tolerance=-1.0)
    assert found.status is Status.not_finite
    assert f"at iteration {found.iterations}, first in" in found.message
    assert not math.isfinite(found.history[-1].exploitability)
    assert len(found.history) == found.iterations + 1


def test_seconds_of_the_history_rise_within_blocks() -> None:
    began = time.perf_counter()
    found = solve(program_of("left_right"), None, "fictitious_play", iterations=300, tolerance=-1.0)
    seconds = [record.seconds for record in found.history]
    assert seconds == sorted(seconds) and len(set(seconds)) > 290
    assert seconds[-1] <= time.perf_counter() - began


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_is_heard_while_blocks_are_made() -> None:
    program = program_of("openspiel_predator_prey")
    solve(program, None, "omd", iterations=20, tolerance=-1.0)  # what is compiled is read now
    pressed: list[float] = []

    def press() -> None:
        pressed.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(0.3, press)
    # Who starts the tests in the background may have them ignore Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        timer.start()
        found = solve(program, None, "omd", iterations=10**8, **FOREVER)
    finally:
        signal.signal(signal.SIGINT, before)
    late = time.perf_counter() - pressed[0]
    assert found.status is Status.interrupted
    assert found.iterations == found.history[-1].iteration > blocks.FIRST_ROWS
    assert late < 1.0  # a block, and the sluggishness of a busy machine
