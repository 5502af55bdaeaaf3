"""Batches in blocks of iterations: each game is what it is alone, and what it is by steps."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

import mfdsl
from mfdsl.runtime.program import Params, Program
from mfdsl.runtime.solution import Record, Solution
from mfdsl.runtime.solvers import abreast, loop
from mfdsl.runtime.solvers.base import make_solver
from mfdsl.runtime.solvers.blocks import blocks_for
from mfdsl.runtime.solvers.course import Games, view_for
from mfdsl.runtime.solvers.loop import solve
from mfdsl.runtime.solvers.varied import Varied
from mfdsl.runtime.status import Status

pytest.importorskip("numba")

SPECS = Path(__file__).parents[3] / "specs"
# One shot; moves that read law and parameter; three states of a street; masks; final rewards.
SHIPPED = {
    "sis": {"infection": (0.7, 0.8, 0.9), "c_ill": (1.0, 1.0, 0.5)},
    "crowd_1d": {"eps": (1e-6, 1e-3, 0.1)},
    "mfglib_beach_bar": {"p_still": (0.3, 0.5, 0.6)},
}
SOLVERS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("omd", {}),
    ("omd", {"learning_rate": 0.3, "temperature": 2.0}),
    ("fictitious_play", {}),
    ("fixed_point", {"damping": 0.7}),
    ("policy_iteration", {"temperature": 0.5, "damping": 0.3}),
    ("munchausen_omd", {}),
    ("prior_descent", {}),
)
OWN = """model doors

param toll  : real in [0, 100] = 1
param drift : real in [0, 1] = 0.2
param worth : real in [-10, 10] = 1

objective nash
{horizon}

population walker as mu {{
  state  x : int in 0..3 = 1
  action a : int in -1..1 where x > 0 or a >= 0
  noise  e : bool ~ bernoulli(drift * (1 - mu[x]))
  x' = clip(x + a - (if e then 1 else 0))
  reward place = worth * x / 3
  cost crowd = toll * mu[x]
  cost move = 0.1 * abs(a)
  {final}
}}
"""
HORIZONS = {"finite": "horizon 4", "infinite": "discount 0.8\nhorizon infinite"}
COSTS = (9.0, 0.3, 3.0, 0.0, 5.0)
FOREVER: dict[str, Any] = {"tolerance": -1.0, "patience": None}


@cache
def shipped(name: str) -> Program:
    return mfdsl.load(SPECS / f"{name}.mfg").program


@cache
def doors(kind: str = "finite") -> Program:
    final = "final reward out = worth * x - toll * mu[x]" if kind == "finite" else ""
    return mfdsl.load(text=OWN.format(horizon=HORIZONS[kind], final=final)).program


def cut(program: Program, params: Params, place: int) -> Params:
    names = program.batched(params)
    own = {name: getattr(params, name)[place : place + 1].clone() for name in names}
    return params._replace(**own)


def in_blocks(program: Program, params: Params, solver_name: str) -> bool:
    view, solver = view_for(program, params, solver_name), make_solver(solver_name, None)
    return blocks_for(Games(program, params, solver_name, solver, Varied(), view)) is not None


def by_steps(monkeypatch: pytest.MonkeyPatch, *given: Any, **flags: Any) -> Solution:
    with monkeypatch.context() as patch:
        patch.setattr(loop, "blocks_for", lambda games: None)
        return solve(*given, **flags)


def assert_near(one: Solution, other: Solution, near: float) -> None:
    assert [r.iteration for r in one.history] == [r.iteration for r in other.history]
    assert one.endings == other.endings
    gaps = [torch.tensor([r.exploitability for r in run.history]) for run in (one, other)]
    torch.testing.assert_close(*gaps, rtol=near, atol=near, equal_nan=True)
    for name, table in one.state.items():
        torch.testing.assert_close(table, other.state[name], rtol=near, atol=near, msg=name)


@pytest.mark.parametrize("case", SOLVERS, ids=str)
@pytest.mark.parametrize("name", SHIPPED)
def test_games_of_a_batch_are_what_they_are_alone(
    name: str, case: tuple[str, dict[str, Any]]
) -> None:
    program = shipped(name)
    for kind, near in ((torch.float64, 1e-10), (torch.float32, 1e-3)):
        params = program.params({n: list(v) for n, v in SHIPPED[name].items()}, dtype=kind)
        assert in_blocks(program, params, case[0])
        batch = solve(program, params, *case, iterations=11, **FOREVER)
        for place in range(3):
            alone = solve(program, cut(program, params, place), *case, iterations=11, **FOREVER)
            probs = batch.policy.probs[place : place + 1]
            torch.testing.assert_close(probs, alone.policy.probs, rtol=near, atol=near)
            assert batch.value[place] == pytest.approx(alone.value[0], rel=near, abs=near)


@pytest.mark.parametrize("kind", HORIZONS)
@pytest.mark.parametrize("case", SOLVERS, ids=str)
def test_games_of_a_batch_go_as_by_steps(
    kind: str, case: tuple[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    program = doors(kind)
    params = program.params({"toll": list(COSTS), "drift": [0.0, 0.1, 0.2, 0.9, 1.0], "worth": 2})
    flags = {"iterations": 13, "tolerance": 1e-2, "evaluate_every": 2, "patience": 4}
    assert in_blocks(program, params, case[0])
    found = solve(program, params, *case, **flags)
    assert_near(found, by_steps(monkeypatch, program, params, *case, **flags), 1e-9)


def test_each_game_of_a_batch_has_its_own_end(monkeypatch: pytest.MonkeyPatch) -> None:
    program = doors()
    params = program.params({"toll": [*COSTS, 90.0]})
    flags = {"iterations": 60, "tolerance": 1e-2, "patience": 5}
    found = solve(program, params, "omd", **flags)
    assert len({ending.status for ending in found.endings}) > 1
    assert len({ending.iterations for ending in found.endings}) > 2
    assert_near(found, by_steps(monkeypatch, program, params, "omd", **flags), 1e-6)
    for place, ending in enumerate(found.endings):
        alone = solve(program, cut(program, params, place), "omd", **flags)
        assert (ending.status, ending.iterations) == (alone.status, alone.iterations)


@pytest.mark.parametrize("named", [True, False])
def test_options_that_differ_do_so_in_blocks(named: bool) -> None:
    program, rates, warmth = doors(), (0.1, 0.2, 0.5), (0.3, 1.0, 2.0)
    params = program.params({"toll": [1.0, 2.0, 3.0]}) if named else program.params()
    varied = {"learning_rate": rates, "temperature": warmth}
    batch = solve(program, params, "omd", iterations=21, varied=varied, **FOREVER)
    for place, (rate, warm) in enumerate(zip(rates, warmth, strict=True)):
        own = cut(program, params, place)
        config = {"learning_rate": rate, "temperature": warm}
        alone = solve(program, own, "omd", config, iterations=21, **FOREVER)
        probs = batch.policy.probs[place : place + 1]
        torch.testing.assert_close(probs, alone.policy.probs, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("asked", [1, 5, 9, 20])
def test_who_stops_a_batch_gets_all_games_at_that_iteration(asked: int) -> None:
    program = doors()
    params = program.params({"toll": list(COSTS)})
    seen: list[Record] = []
    found = solve(
        program, params, "omd", on_progress=seen.append, stop=lambda: len(seen) > asked, **FOREVER
    )
    wanted = solve(program, params, "omd", iterations=asked, **FOREVER)
    assert {(e.status, e.iterations) for e in found.endings} == {(Status.interrupted, asked)}
    for name, table in wanted.state.items():
        assert torch.equal(found.state[name], table), name
    assert found.exploitability == wanted.exploitability


def test_an_exception_leaves_a_batch_at_the_iteration_that_was_reported() -> None:
    program = doors()
    params = program.params({"toll": list(COSTS)})

    def press(record: Record) -> None:
        if record.iteration == 11:
            raise KeyboardInterrupt

    found = solve(program, params, "fictitious_play", on_progress=press, **FOREVER)
    wanted = solve(program, params, "fictitious_play", iterations=11, **FOREVER)
    assert {(e.status, e.iterations) for e in found.endings} == {(Status.interrupted, 11)}
    assert torch.equal(found.policy.probs, wanted.policy.probs)


@pytest.mark.parametrize("seconds", [0.0, 100.0])
def test_a_batch_goes_on_from_games_at_several_iterations(
    seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(abreast, "SECONDS", seconds)
    program = doors()
    params = program.params({"toll": list(COSTS)})
    whole = solve(program, params, "fictitious_play", iterations=60, tolerance=0.1)
    half = solve(program, params, "fictitious_play", iterations=40, tolerance=0.3)
    assert len({ending.iterations for ending in half.endings}) > 2
    rest = solve(
        program,
        params,
        "fictitious_play",
        iterations=60,
        tolerance=0.1,
        state=half.state,
        history=half.history,
    )
    assert rest.endings == whole.endings
    torch.testing.assert_close(rest.policy.probs, whole.policy.probs, rtol=1e-11, atol=1e-12)


def test_values_that_are_no_numbers_end_their_game_only() -> None:
    program = doors()
    found = solve(
        program, None, "omd", varied={"learning_rate": (0.1, 1e308)}, iterations=20, **FOREVER
    )
    assert [e.status for e in found.endings] == [Status.max_iterations, Status.not_finite]
    broken = found.endings[1]
    assert f"at iteration {broken.iterations}, first in" in broken.message
    assert bool(torch.isfinite(found.policy.probs[0]).all())


def test_games_whose_legal_actions_differ_go_step_by_step() -> None:
    text = OWN.format(horizon="horizon 4", final="").replace("x > 0 or", "x > 3 * drift or")
    program = mfdsl.load(text=text).program
    params = program.params({"drift": [0.1, 0.9]})
    assert not in_blocks(program, params, "omd")
    assert in_blocks(program, program.params({"toll": [1.0, 2.0]}), "omd")
    batch = solve(program, params, "omd", iterations=5, **FOREVER)
    alone = solve(program, cut(program, params, 1), "omd", iterations=5, **FOREVER)
    torch.testing.assert_close(batch.policy.probs[1:], alone.policy.probs, rtol=1e-9, atol=1e-10)
