"""The shipped games have the equilibria, and the exploitabilities of peers, that are known."""

import functools
from pathlib import Path
from typing import Any

import pytest
import torch

from mfdsl.compiler.backend.torch_emit import emit_torch
from mfdsl.compiler.driver import Options, compile_file
from mfdsl.runtime.program import Program, load_program
from mfdsl.runtime.solution import Solution
from mfdsl.runtime.solvers.loop import solve
from tests import shipped
from tests.shipped import model_of

CHECKOUT = Path(__file__).parents[1]
SLOW = {"stationary_sis"}  # solved by a test of its own
NAMES = sorted({n for n in shipped.NAMES if model_of(n).tabular and model_of(n).solver} - SLOW)


@functools.cache
def program_of(spec: str, **parameters: float) -> Program:
    model = compile_file(CHECKOUT / spec, Options(parameters=parameters)).require_model()
    return load_program(emit_torch(model, source_name=spec, digest=""), model, model.name)


def block_of(program: Program) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """The solver block of a spec: method, its own options, and when to stop."""
    assert program.model is not None
    options: dict[str, Any] = dict(program.model.solver)
    stopping = {key: options.pop(key) for key in ("iterations", "tolerance") if key in options}
    return str(options.pop("method")), options, stopping


def solved(spec: str, tolerance: float | None = None, **parameters: float) -> Solution:
    program = program_of(spec, **parameters)
    method, options, stopping = block_of(program)
    if tolerance is not None:
        stopping["tolerance"] = tolerance
    return solve(program, None, method, options, **stopping)


def test_two_thirds_go_left() -> None:
    solution = solve(program_of("specs/left_right.mfg"), None, "omd", tolerance=1e-14)
    assert solution.flow.laws[0, 1].tolist() == pytest.approx([0, 2 / 3, 1 / 3], abs=1e-6)


def test_standard_rock_paper_scissors_becomes_uniform_from_a_lopsided_start() -> None:
    program = program_of("specs/rps_standard.mfg")
    lopsided = torch.tensor([0.0, 0.7, 0.2, 0.1], dtype=torch.float64).expand(1, 2, 4, 4).clone()
    start = {"iteration": torch.tensor(0), "probs": lopsided}
    options = {"temperature": 0.5, "damping": 0.5}
    solution = solve(program, None, "policy_iteration", options, tolerance=1e-9, state=start)
    assert solution.history[0].exploitability > 0.1
    assert solution.flow.laws[0, 1].tolist() == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3], abs=1e-6)


@pytest.mark.parametrize(
    ("infected", "out", "share"),
    [
        (0.6, [0, 1, 1, 1], [0.6, 0.42, 0.491316, 0.546360116397]),
        (0.2, [1, 1, 1, 1], [0.2, 0.2696, 0.3482218304, 0.427595624939]),
    ],
)
def test_the_short_epidemic_has_its_closed_form(
    infected: float, out: list[float], share: list[float]
) -> None:
    solution = solved("specs/sis.mfg", tolerance=1e-14, T=3, mu0=infected)
    assert solution.status.name == "converged"
    assert solution.flow.laws[0, :4, 1].tolist() == pytest.approx(share, abs=1e-8)
    plays_out = [float(solution.policy.at(t, h="S")[0, 0]) for t in range(4)]
    assert plays_out == pytest.approx(out, abs=1e-8)


def test_the_endemic_infection_has_its_closed_form() -> None:
    solution = solved("specs/stationary_sis.mfg", tolerance=1e-3)
    assert solution.status.name == "converged"
    assert float(solution.flow.laws[0, 0, 1]) == pytest.approx(0.19 / 0.72, rel=1e-3)
    levels = torch.arange(5, dtype=torch.float64) / 4
    healthy = float((solution.policy.at(0, h="S")[0] * levels).sum())
    assert healthy == pytest.approx(0.1 / (0.8 * (1 - 0.19 / 0.72)), rel=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_every_game_is_solved_by_its_own_block(name: str) -> None:
    solution = solved(f"specs/{name}.mfg")
    assert solution.status.name == "converged"


MFGLIB = [
    ("left_right", "fictitious_play", {}, {0: 0.25, 10: 0.0309917, 30: 0.005463}),
    ("left_right", "omd", {"learning_rate": 1.0}, {1: 0.0500702, 3: 0.00446749}),
    ("left_right", "fixed_point", {}, {3: 1.0, 10: 2.0}),
    ("rock_paper_scissors", "fictitious_play", {}, {0: 0.333333, 1: 0.75, 10: 0.275482}),
    ("mfglib_beach_bar", "fictitious_play", {}, {0: 1.22126, 3: 0.179557, 10: 0.0580193}),
    ("mfglib_beach_bar", "omd", {"learning_rate": 1.0}, {1: 0.531685, 10: 0.0760938}),
    ("conservative_treasure_hunting", "omd", {"learning_rate": 1.0}, {0: 1.85185, 3: 0.820672}),
    ("equilibrium_price", "omd", {"learning_rate": 1.0}, {0: 22.2152, 1: 5.64529, 3: 0.457862}),
    ("random_linear", "omd", {"learning_rate": 1.0}, {0: 34.5603, 1: 6.24018}),
    ("sis", "fixed_point", {}, {0: 5.46687, 1: 4.89203, 3: 5.0373}),
    ("crowd_motion", "omd", {"learning_rate": 1.0}, {0: 1.46747, 1: 0.816280, 3: 0.321709}),
    ("linear_quadratic", "omd", {"learning_rate": 1.0}, {0: 2.13812, 1: 0.499725, 3: 0.173508}),
    ("building_evacuation", "fictitious_play", {}, {0: 0.321265, 1: 0.90972}),
]


@pytest.mark.parametrize(("name", "solver", "options", "figures"), MFGLIB)
def test_mfglib_has_the_same_exploitabilities(
    name: str, solver: str, options: dict[str, Any], figures: dict[int, float]
) -> None:
    program = program_of(f"specs/{name}.mfg")
    solution = solve(program, None, solver, options, iterations=max(figures), tolerance=-1)
    values = {record.iteration: record.exploitability for record in solution.history}
    for iteration, figure in figures.items():
        assert values[iteration] == pytest.approx(figure, rel=1e-4, abs=1e-6)


FIRST = {"ties": "first"}
OPENSPIEL = [
    ("crowd_1d", "fictitious_play", FIRST, {3: 2.636771310386802, 10: 0.9908032626911343}),
    ("crowd_1d", "fixed_point", FIRST, {1: 42.96707044965176, 3: 45.33189143015679}),
    ("crowd_1d", "policy_iteration", {"temperature": 100.0}, {3: 2.7542841979071717}),
    ("crowd_1d", "omd", {"learning_rate": 0.01}, {10: 2.2736633463512455}),
    ("crowd_2d", "omd", {"learning_rate": 0.01}, {0: 5.4428533232640035, 10: 4.33521332404365}),
]


@pytest.mark.parametrize(("name", "solver", "options", "figures"), OPENSPIEL)
def test_openspiel_has_the_same_nashconv_to_nine_digits(
    name: str, solver: str, options: dict[str, Any], figures: dict[int, float]
) -> None:
    program = program_of(f"bench/openspiel/{name}.mfg")
    solution = solve(program, None, solver, options, iterations=max(figures), tolerance=-1)
    values = {record.iteration: record.exploitability for record in solution.history}
    for iteration, figure in figures.items():
        assert values[iteration] == pytest.approx(figure, rel=1e-9, abs=1e-9)
