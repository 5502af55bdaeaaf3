"""Every linear-quadratic figure of `closed_forms.json`, the reference file of the design notes.

`figures.json` holds these rows to their twelve digits. A figure of the file is `K[3]` of a row, and
what it is compared with is read off a solution of the spec.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mfdsl.runtime.solvers.riccati.equilibrium import Values, equilibrium_step, final_values
from mfdsl.runtime.solvers.riccati.flow import costs
from mfdsl.runtime.solvers.riccati.solution import ExactSolution
from mfdsl.runtime.solvers.riccati.solve import among
from mfdsl.runtime.solvers.riccati.team import TeamValues, final_team_values, team_step
from tests.riccati.specs import FIGURES, LQ1, LQ1B, solution

REL, ABS = 1e-10, 1e-12  # twelve digits

Read = Callable[[ExactSolution], Any]


def cost(found: ExactSolution) -> float:
    return sum(found.costs.values())


def own(k: int = 0) -> Read:
    """Gains K on the own state, where actions are -K x."""
    return lambda found: -found.policy.own[0][:, 0, k]


def common(name: str) -> Read:
    return lambda found: -found.policy.common[0][:, 0, found.game.common.index(name)]


def planned(found: ExactSolution) -> Any:
    """Gains L on the mean, where actions are -K (x - m) - L m."""
    return common("agent.x")(found) + own()(found)


def mean(found: ExactSolution) -> Any:
    return found.flow.means[:, 0]


def variance(found: ExactSolution) -> Any:
    return found.flow.members[0][:, 0, 0]


def first_values(found: ExactSolution) -> Values:
    values = final_values(found.game)
    for t in reversed(range(found.policy.stages)):
        values = equilibrium_step(found.game, t, values)[1]
    return values


def first_team_values(found: ExactSolution) -> TeamValues:
    values = final_team_values(found.game)
    for t in reversed(range(found.policy.stages)):
        values = team_step(found.game, t, values)[1]
    return values


def among_each(numbers: list[str]) -> Read:
    def read(found: ExactSolution) -> Any:
        each = [among(found.game, found.policy, {"agent": int(n)}) for n in numbers]
        assert [sum(a.costs.values()) for a in each] == pytest.approx([a.least for a in each])
        return [a.least for a in each]

    return read


def anarchy(found: ExactSolution) -> Any:
    return found.social.price_of_anarchy


def table(figures: dict[str, Any]) -> list[Any]:
    return list(figures.values())


GAME, TEAM = FIGURES["lq1_mfg"], FIGURES["lq1_mfc"]
KEEPING, AGENTS = FIGURES["lq1b_keeping_up"], FIGURES["lq1b_mfc_N"]
NASH, COOP = FIGURES["lq5_major_minor_nash"], FIGURES["lq5_major_minor_coop"]
FLOCK, SWARM = FIGURES["lq3_flocking_beta0_per_axis"], FIGURES["lq4_rotating_target"]


def flock_gain(t: int) -> Read:
    """Gains of the first axis on position and velocity."""
    return lambda found: -found.policy.own[0][t, 0, [0, 3]]


def flock_spread(t: int) -> Read:
    return lambda found: found.flow.members[0][t][np.ix_([0, 3], [0, 3])]


def major_row(t: int) -> Read:
    return lambda found: -found.policy.controls[t, 0]


def minor_row(t: int) -> Read:
    def read(found: ExactSolution) -> Any:
        return -np.concatenate([found.policy.own[0][t, 0], found.policy.common[0][t, 0]])

    return read


ROWS: list[tuple[str, str, dict[str, float], Read, Any]] = [
    ("lq1_mfg J", "lq_game", LQ1, cost, GAME["J"]),
    ("lq1_mfg K", "lq_game", LQ1, own(), GAME["K"]),
    ("lq1_mfg k", "lq_game", LQ1, common("agent.x"), GAME["k"]),
    ("lq1_mfg m", "lq_game", LQ1, mean, GAME["m"]),
    ("lq1_mfg v", "lq_game", LQ1, variance, GAME["v"]),
    ("lq1_mfg P0", "lq_game", LQ1, lambda f: 2 * first_values(f).members[0][0, 0], GAME["P0"]),
    ("lq1_mfg Pi0", "lq_game", LQ1, lambda f: 2 * first_values(f).members[0][0, 1], GAME["Pi0"]),
    ("lq1_mfc J", "lq_control", LQ1, cost, TEAM["J"]),
    ("lq1_mfc K", "lq_control", LQ1, own(), TEAM["K"]),
    ("lq1_mfc L", "lq_control", LQ1, planned, TEAM["L"]),
    ("lq1_mfc m", "lq_control", LQ1, mean, TEAM["m"]),
    ("lq1_mfc v", "lq_control", LQ1, variance, TEAM["v"]),
    (
        "lq1_mfc P0",
        "lq_control",
        LQ1,
        lambda f: 2 * first_team_values(f).apart[0][0, 0],
        TEAM["P0"],
    ),
    (
        "lq1_mfc Lambda0",
        "lq_control",
        LQ1,
        lambda f: 2 * first_team_values(f).whole[0, 0],
        TEAM["Lambda0"],
    ),
    ("lq1_mfc price of anarchy", "lq_control", LQ1, anarchy, TEAM["price_of_anarchy"]),
    ("lq1_mfc J_N", "lq_control", LQ1, among_each(list(TEAM["J_N"])), table(TEAM["J_N"])),
    (
        "lq1_mfc J with common noise",
        "lq_control",
        LQ1 | {"common": 0.2},
        cost,
        TEAM["J_common_noise_s0_0p2"],
    ),
    ("lq1b J_mfg", "lq_game", LQ1B, cost, KEEPING["J_mfg"]),
    ("lq1b J_mfc", "lq_control", LQ1B, cost, KEEPING["J_mfc"]),
    ("lq1b price of anarchy", "lq_game", LQ1B, anarchy, KEEPING["price_of_anarchy"]),
    ("lq1b price of anarchy, team", "lq_control", LQ1B, anarchy, KEEPING["price_of_anarchy"]),
    ("lq1b m_mfg", "lq_game", LQ1B, mean, KEEPING["m_mfg"]),
    ("lq1b m_mfc", "lq_control", LQ1B, mean, KEEPING["m_mfc"]),
    ("lq1b v", "lq_game", LQ1B, variance, KEEPING["v"]),
    ("lq1b v, team", "lq_control", LQ1B, variance, KEEPING["v"]),
    ("lq1b K0", "lq_game", LQ1B, lambda f: own()(f)[0], KEEPING["K0"]),
    ("lq1b k0", "lq_game", LQ1B, lambda f: common("agent.x")(f)[0], KEEPING["k0"]),
    ("lq1b L0", "lq_control", LQ1B, lambda f: planned(f)[0], KEEPING["L0"]),
    ("lq1b J_N", "lq_control", LQ1B, among_each(list(AGENTS["J_N"])), table(AGENTS["J_N"])),
    ("lq1b J_inf", "lq_control", LQ1B, cost, AGENTS["J_inf"]),
    ("lq3 J of an axis", "flocking", {"d": 1}, cost, FLOCK["J_cost_per_axis"]),
    ("lq3 J of three axes", "flocking", {}, cost, FLOCK["J_cost_3d"]),
    *(
        (f"lq3 gain at {t}", "flocking", {}, flock_gain(int(t)), row)
        for t, row in FLOCK["gain_t"].items()
    ),
    *(
        (f"lq3 covariance at {t}", "flocking", {}, flock_spread(int(t)), row)
        for t, row in FLOCK["cov_t"].items()
    ),
    *(
        (f"lq4 m at {t}", "rotating_target", {}, lambda f, t=t: f.flow.means[int(t), :2], row)
        for t, row in SWARM["m_t"].items()
    ),
    *(
        (
            f"lq4 variance at {t}",
            "rotating_target",
            {},
            lambda f, t=t: f.flow.members[0][int(t)],
            v * np.eye(2),
        )
        for t, v in SWARM["var_t"].items()
    ),
    *(
        (f"lq4 gain at {t}", "rotating_target", {}, lambda f, t=t: own()(f)[int(t)], row)
        for t, row in SWARM["gain_t"].items()
    ),
    ("lq5 Nash, major", "lq_major", {}, lambda f: f.costs["leader"], NASH["J_major"]),
    ("lq5 Nash, minor", "lq_major", {}, lambda f: f.costs["follower"], NASH["J_minor"]),
    ("lq5 Nash, sum", "lq_major", {}, cost, NASH["J_sum"]),
    ("lq5 Nash k0 at 0", "lq_major", {}, major_row(0), NASH["k0_t0"]),
    ("lq5 Nash k0 at 14", "lq_major", {}, major_row(14), NASH["k0_t14"]),
    ("lq5 Nash ka at 0", "lq_major", {}, minor_row(0), NASH["ka_t0"]),
    ("lq5 Nash ka at 14", "lq_major", {}, minor_row(14), NASH["ka_t14"]),
    ("lq5 team J", "lq_major_control", {}, cost, COOP["J"]),
    ("lq5 team, major", "lq_major_control", {}, lambda f: f.costs["leader"], COOP["J_major"]),
    ("lq5 team, minor", "lq_major_control", {}, lambda f: f.costs["follower"], COOP["J_minor"]),
    (
        "lq5 team K at 0",
        "lq_major_control",
        {},
        lambda f: -f.policy.controls[0],
        COOP["K_joint_t0"],
    ),
    ("lq5 team k at 0", "lq_major_control", {}, lambda f: own()(f)[0], COOP["k_dev_t0"]),
]


@pytest.mark.parametrize(
    ("spec", "params", "read", "figure"), [r[1:] for r in ROWS], ids=[r[0] for r in ROWS]
)
def test_a_figure_of_the_file(spec: str, params: dict[str, float], read: Read, figure: Any) -> None:
    found = np.asarray(read(solution(spec, **params)), dtype=np.float64)
    assert found.shape == np.asarray(figure).shape
    assert found == pytest.approx(np.asarray(figure), rel=REL, abs=ABS)


@pytest.mark.parametrize(("spec", "params"), sorted({(r[1], tuple(r[2].items())) for r in ROWS}))
def test_nobody_gains_by_leaving_and_no_planner_saves(spec: str, params: Any) -> None:
    found = solution(spec, **dict(params))
    assert abs(found.exploitability.value) <= 1e-12
    assert found.exploitability.kind == "exact" and found.status.name == "converged"


def test_marginal_prices_make_the_game_flow_as_the_team_does() -> None:
    """Who pays besides for what everybody's tracking suffers from its state plays the optimum."""
    from mfdsl.shipped import find_spec

    text = find_spec("lq_game").read_text()
    text = text.replace("model lq_game", "model lq_priced").replace(
        "  cost control",
        "  cost price   = -Qb * S * (1 - S) * m * x\n  cost control",
    )
    text = text.replace(
        "\n  observe", "\n  final cost end_price = -QTb * ST * (1 - ST) * m * x\n\n  observe"
    )
    priced, team = solution(text, **LQ1B), solution("lq_control", **LQ1B)
    apart = np.abs(priced.flow.means - team.flow.means).max()
    assert apart <= 1e-13  # 2.2e-16 in the file
    paid = costs(team.game, priced.policy)["agent"]
    assert paid == pytest.approx(KEEPING["J_mfc"], rel=REL)
