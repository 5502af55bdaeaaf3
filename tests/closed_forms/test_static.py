"""Solvers against the closed forms of static games and of the epidemic: exact ones to 1e-8.

The figures are those of `closed_forms.json`, the reference file of the project's design notes.
"""

from collections.abc import Mapping
from typing import Any

import pytest
import torch

import mfdsl
from mfdsl.runtime.evaluate import Evaluation, build_view
from mfdsl.runtime.program import Program
from mfdsl.runtime.solution import Solution
from mfdsl.runtime.solvers.loop import solve

EXACT = 1e-8
REGULARISED = 1e-6


def run(program: Program, solver: str, options: Mapping[str, Any], tolerance: float) -> Solution:
    return solve(program, None, solver, options, iterations=1500, tolerance=tolerance)


# Law of the last stage with a choice behind it (states of `side`, `hand`), and the value.
STATIC = [
    ("left_right", [0, 2 / 3, 1 / 3], -2 / 3, 1e-6),
    ("rps_standard", [0, 1 / 3, 1 / 3, 1 / 3], 0.0, 1e-9),
]


@pytest.mark.parametrize(("name", "law", "value", "near"), STATIC)
@pytest.mark.parametrize("solver", ["omd", "frank_wolfe"])
def test_static_equilibria(
    name: str, law: list[float], value: float, near: float, solver: str
) -> None:
    solution = run(mfdsl.load(name).program, solver, {}, EXACT)
    assert solution.exploitability.value <= EXACT
    assert solution.value[0] == pytest.approx(value, abs=EXACT)
    assert solution.flow.laws[0, 1].tolist() == pytest.approx(law, abs=near)


@pytest.mark.parametrize("solver", ["omd", "frank_wolfe", "fixed_point", "policy_iteration"])
def test_pigou(solver: str) -> None:
    solution = run(mfdsl.load("pigou").program, solver, {}, EXACT)
    assert solution.exploitability.value <= EXACT
    assert solution.policy.probs[0, 0, 0, 1] == pytest.approx(1, abs=2e-4)
    assert solution.value[0] == pytest.approx(-1, abs=2e-4)


@pytest.mark.parametrize(
    ("solver", "options"), [("omd", {}), ("policy_iteration", {"temperature": 0.7})]
)
def test_congestion_with_logarithms(solver: str, options: dict[str, float]) -> None:
    solution = run(mfdsl.load("congestion_log").program, solver, options, EXACT)
    law = [0.166133771946, 0.0813294024268, 0.0398141306348, 0.0194906755848, 0.693232019408]
    assert solution.exploitability.value <= EXACT
    assert solution.policy.probs[0, 0, 0].tolist() == pytest.approx(law, abs=1e-7)
    assert solution.value[0] == pytest.approx(2.25647337204, abs=EXACT)


# Of each equilibrium the share of infected at t = 1, 2, ... and the value; T is the last stage.
EPIDEMICS = {
    (3, 0.6): [([0.42, 0.491316, 0.546360116397], -2.2576761164)],
    (3, 0.2): [([0.2696, 0.3482218304, 0.427595624939], -1.24541745534)],
    (5, 0.6): [
        ([0.42, 0.294, 0.37392684, 0.451374290245, 0.516546790856], -3.1458479211),
        ([0.42, 0.445589572598, 0.486695689817, 0.543043609089, 0.581129797013], -3.37873880252),
    ],
    (5, 0.2): [
        ([0.2696, 0.3482218304, 0.427595624939, 0.299316937457, 0.379400166031], -2.21033674636),
        ([0.2696, 0.3482218304, 0.427595624939, 0.497570598699, 0.550794638477], -2.29378269252),
        ([0.2696, 0.3482218304, 0.427595624939, 0.316523269334, 0.39679868287], -2.22010225646),
    ],
    (7, 0.6): [
        (
            [0.42, 0.294, 0.37392684, 0.261748788, 0.339745603184, 0.419519930153, 0.490917547377],
            -4.00289528871,
        ),
        (
            [0.42, 0.294, 0.37392684, 0.451374290245, 0.315962003172, 0.396238714956, 0.4711463130],
            -4.08696101626,
        ),
        (
            [0.42, 0.294, 0.37392684, 0.421178946005, 0.294825262204, 0.374779378389, 0.4521445996],
            -4.06011247344,
        ),
        (
            [0.42, 0.294, 0.37392684, 0.324435623067, 0.404638427284, 0.478380897163, 0.5369880457],
            -4.13192205993,
        ),
        (
            [0.42, 0.294, 0.37392684, 0.375472036378, 0.294825262204, 0.374779378388, 0.4521445996],
            -4.06011247344,
        ),
    ],
}


@pytest.mark.parametrize(("last", "start"), EPIDEMICS)
@pytest.mark.parametrize(
    ("solver", "options"),
    [
        ("policy_iteration", {"damping": 0.5}),
        ("policy_iteration", {}),
        ("fixed_point", {"damping": 0.5}),
        ("omd", {}),
    ],
)
def test_epidemics_end_at_a_known_equilibrium(
    last: int, start: float, solver: str, options: dict[str, float]
) -> None:
    if solver == "omd" and last == 7:
        pytest.skip("mirror descent cycles there")
    program = mfdsl.load("sis", params={"T": last, "mu0": start}).program
    solution = run(program, solver, options, EXACT)
    assert solution.exploitability.value <= EXACT
    infected = solution.flow.laws[0, 1 : last + 1, 1].tolist()
    distances = [
        max(abs(a - b) for a, b in zip(infected, law, strict=True)) + abs(solution.value[0] - value)
        for law, value in EPIDEMICS[last, start]
    ]
    assert min(distances) <= 1e-6


QUANTAL = {  # temperature -> share on the left
    1.0: 0.571150753283,
    0.1: 0.64653811661,
    0.01: 0.664390264201,
}


@pytest.mark.parametrize("temperature", QUANTAL)
@pytest.mark.parametrize("solver", ["soft_fixed_point", "pmd"])
def test_quantal_responses_of_left_right(temperature: float, solver: str) -> None:
    damping = {1.0: 0.5, 0.1: 0.9, 0.01: 0.99}[temperature]
    options = {"damping": damping} if solver == "soft_fixed_point" else {"learning_rate": 0.5}
    program = mfdsl.load("left_right").program
    solution = run(program, solver, options | {"temperature": temperature}, -1)
    assert solution.flow.laws[0, 1, 1] == pytest.approx(QUANTAL[temperature], abs=REGULARISED)


INFECTED = {
    0.5: {
        1: 0.472967169575,
        2: 0.40166087891,
        5: 0.312766499569,
        10: 0.275340681439,
        25: 0.264064783624,
        40: 0.264124871626,
        49: 0.288561223778,
        50: 0.306766373953,
    },
    0.2: {
        1: 0.438441299349,
        2: 0.357128253393,
        5: 0.295617323295,
        10: 0.285834384549,
        25: 0.285265613897,
        40: 0.285809687692,
        49: 0.333131046969,
        50: 0.369889111808,
    },
}
OUT = {
    0.5: {0: 0.272464864071, 2: 0.398715698903, 25: 0.502957846761, 49: 0.630073191282},
    0.2: {0: 0.0948626509731, 2: 0.383191945042, 25: 0.518194255113, 49: 0.759660526277},
}


@pytest.mark.parametrize("temperature", INFECTED)
@pytest.mark.parametrize(
    ("solver", "options"), [("soft_fixed_point", {"damping": 0.8}), ("pmd", {"learning_rate": 0.5})]
)
def test_quantal_responses_of_the_long_epidemic(
    temperature: float, solver: str, options: dict[str, float]
) -> None:
    program = mfdsl.load("sis").program
    found = solve(
        program,
        None,
        solver,
        options | {"temperature": temperature},
        iterations=160,
        tolerance=-1,
        evaluate_every=160,
    )
    for t, share in INFECTED[temperature].items():
        assert found.flow.laws[0, t, 1] == pytest.approx(share, abs=REGULARISED)
    for t, share in OUT[temperature].items():
        assert found.policy.probs[0, t, 0, 0] == pytest.approx(share, abs=REGULARISED)


def test_the_stationary_epidemic_has_its_interior_equilibrium() -> None:
    """Susceptible people are indifferent and go out by 0.1288; the infected always go out."""
    program = mfdsl.load("stationary_sis", params={"levels": 1, "c_ill": 10}).program
    view = build_view(program)
    activity = 0.128775834658
    probs = torch.tensor([[1 - activity, activity], [0.0, 1.0]], dtype=torch.float64)
    evaluation = Evaluation(view, view.policy(probs[None, None]))
    # 10,000 pushes leave the law 8e-9 from its limit, as the chain mixes slowly
    assert evaluation.flow.laws[0, 0, 1] == pytest.approx(0.0293209876543, abs=2e-8)
    assert -1e-9 <= evaluation.exploitability.value <= 1e-5
    values = (probs * evaluation.q[0, 0]).sum(-1)
    assert values.tolist() == pytest.approx([0.0, -47.3684210526], abs=1e-5)
