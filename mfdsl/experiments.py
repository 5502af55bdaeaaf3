"""Experiments of papers as data: what is trained, with which options, and what it is compared with.

Returns are undiscounted returns of the team, in games those of an agent. References of
linear-quadratic teams are closed forms (Elliott, Li and Ni 2013, arXiv:1302.6416;
`specs/lq_control.mfg`), those of navigation are returns of the untrained policy of PIC (Liu et al.
2019, arXiv:1911.00025; `specs/navigation.mfg`). Those of the five major-minor games are returns of
hand-written rules in the released code of Cui et al. 2024 (arXiv:2303.10665), projected on the
rules that a planner can hand out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Budget = Literal["small", "paper"]


@dataclass(frozen=True)
class Place:
    """Where a policy is measured: so many agents (None: as the spec says), at these parameters.

    `reference` is a return that is known there, None where none is.
    """

    agents: int | None
    reference: float | None = None
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Course:
    """How long and how often is trained, and options beside those of the experiment."""

    iterations: int
    seeds: int
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Experiment:
    """One row of the table: a game, a learner, its options, and where its policies are measured.

    `reference` says what the numbers at the places are.
    """

    name: str
    spec: str
    solver: str
    options: Mapping[str, Any]
    courses: Mapping[Budget, Course]
    places: tuple[Place, ...]
    reference: str
    params: Mapping[str, Any] = field(default_factory=dict)


SELDOM = {"evaluate_every": 25, "evaluate_games": 16}

LQ_OPTIONS = SELDOM | {"agents": 50, "hidden": 48}
LQ_PATH = LQ_OPTIONS | {"gradient": "path", "games": 64, "learning_rate": 3e-3}
LQ_SCORE = (
    LQ_OPTIONS
    | {"gradient": "score", "games": 32, "learning_rate": 5e-3}
    | {
        "epochs": 8,
        "minibatches": 1,
    }
)
KEEPING_UP = {"B": 1, "Ab": 0, "Q": 0.3, "S": 1.2, "QT": 0, "ST": 1.2, "sigma": 0.2, "T": 10} | {
    "m0": 1,
    "v0": 0.2,
}
LQ1 = (Place(10, -7.05881304506), Place(50, -7.199632434), Place(1000, -7.23307703888))
LQ1B = (Place(10, -0.91844399007), Place(50, -0.947263488971), Place(1000, -0.95410811996))
OPTIMUM = "the least cost"

HALF_WIDTHS = {15: 2.2, 30: 3.0, 100: 5.0, 200: 7.0}
UNTRAINED = {15: -243.9, 30: -462.7, 100: -1429.0, 200: -2776.0}
NAVIGATION = tuple(Place(None, UNTRAINED[n], {"n": n, "half": HALF_WIDTHS[n]}) for n in UNTRAINED)
NAVIGATION_OPTIONS = SELDOM | {"nearest": 5, "learning_rate": 2e-3, "games": 16}

MF_PPO = (
    Experiment(
        "lq1-path",
        "lq_control",
        "mf_ppo",
        LQ_PATH,
        {"small": Course(100, 1, {"games": 16}), "paper": Course(300, 3)},
        LQ1,
        OPTIMUM,
    ),
    Experiment(
        "lq1b-path",
        "lq_control",
        "mf_ppo",
        LQ_PATH,
        {"small": Course(100, 1, {"games": 16}), "paper": Course(300, 3)},
        LQ1B,
        OPTIMUM,
        KEEPING_UP,
    ),
    Experiment(
        "lq1b-marginal",
        "lq_control",
        "mf_ppo",
        LQ_SCORE | {"credit": "marginal"},
        {"small": Course(40, 1), "paper": Course(80, 5)},
        LQ1B,
        OPTIMUM,
        KEEPING_UP,
    ),
    Experiment(
        "lq1b-team",
        "lq_control",
        "mf_ppo",
        LQ_SCORE | {"credit": "team"},
        {"small": Course(40, 1), "paper": Course(80, 5)},
        LQ1B,
        OPTIMUM,
        KEEPING_UP,
    ),
    Experiment(
        "navigation",
        "navigation",
        "mf_ppo",
        NAVIGATION_OPTIONS,
        {"small": Course(60, 1, {"games": 8}), "paper": Course(900, 3, {"games": 32})},
        NAVIGATION,
        "untrained",
    ),
)

PLANNED = SELDOM | {
    "gradient": "path",
    "agents": 60,
    "games": 8,
    "learning_rate": 0.004,
    "rule": "rbf",
    "log_std": -2.0,
}
SCORE = (
    SELDOM
    | {"gradient": "score", "agents": 100, "games": 16, "learning_rate": 0.002}
    | {
        "gradient_norm": 1.0,
        "members": 32,
        "epochs": 4,
    }
)
FORAGING = SCORE | {
    "agents": 60,
    "games": 8,
    "steps": 100,
    "learning_rate": 0.004,
    "discount": 0.97,
    "show": "field.pos field.left",  # policies of the paper see no deposits, their baselines do
    "fields": True,
    "encoder": "moments",
}
HAND_RULE = "a hand-written rule"


def _major_minor(
    name: str,
    solver: str,
    options: Mapping[str, Any],
    small: int,
    paper: int,
    hand_rule: float,
) -> Experiment:
    """One of the five games, trained with few agents and measured with 300 and with others."""
    others = tuple(Place(agents) for agents in (5, 20, 50, 500))
    courses: dict[Budget, Course] = {"small": Course(small, 1), "paper": Course(paper, 3)}
    places = (Place(300, hand_rule), *others)
    return Experiment(name, name, solver, options, courses, places, HAND_RULE)


M3FC = (
    _major_minor("m3fc_2g", "m3f_ppo", PLANNED, 40, 150, -21.1),
    _major_minor("m3fc_formation", "m3f_ppo", PLANNED, 30, 150, -39.9),
    _major_minor(
        "m3fc_beach",
        "mf_ppo",
        SCORE | {"encoder": "histogram", "discount": 0.95, "steps": 100},
        15,
        180,
        -221.3,
    ),
    _major_minor("m3fc_foraging", "mf_ppo", FORAGING, 20, 160, 2797.8),
    _major_minor(
        "m3fc_potential",
        "mf_ppo",
        SCORE | {"discount": 0.97, "epochs": 6},
        12,
        120,
        -38.3,
    ),
)

DRAWN = {"crowd": 16_384, "paths": 16_384, "evaluate_every": 20, "evaluate_games": 8}
MET = {"crowd": 2048, "paths": 4096, "evaluate_every": 12, "evaluate_games": 8}
EQUILIBRIUM = "at equilibrium, many agents"
GD_MFRL = (
    Experiment(
        "rotating_target",
        "rotating_target",
        "gd_mfrl",
        DRAWN,
        {"small": Course(6, 1), "paper": Course(20, 3)},
        (Place(1000, -5.54337980996),),
        EQUILIBRIUM,
    ),
    Experiment(
        "rotating_target-10",
        "rotating_target",
        "gd_mfrl",
        DRAWN,
        {"small": Course(6, 1), "paper": Course(20, 3)},
        (Place(1000),),
        EQUILIBRIUM,
        {"d": 10},
    ),
    Experiment(
        "flocking",
        "flocking",
        "gd_mfrl",
        MET | {"evaluate_agents": 100},
        {"small": Course(3, 1), "paper": Course(12, 3)},
        (Place(200, -1.39271942075),),
        EQUILIBRIUM,
    ),
)

TABLES = "the table after as many iterations"
MUNCHAUSEN = tuple(
    Experiment(
        f"{spec}-{solver}",
        spec,
        solver,
        options,
        {"small": Course(50, 1), "paper": Course(50, 3)},
        (Place(None, table),),
        TABLES,
    )
    for spec, solver, options, table in (
        ("beach_bar", "deep_munchausen", {"temperature": 3.0, "updates": 100}, 0.518),
        ("four_rooms", "deep_munchausen", {"temperature": 10.0, "updates": 100}, 1.31),
        ("crowd_2d", "deep_munchausen", {"temperature": 1.0, "updates": 100}, 0.0252),
        ("crowd_2d", "average_fp", {}, 0.0919),
    )
)
RELEASED = "the released code's policy after 200 updates"
MFAX = tuple(
    Experiment(
        name,
        spec,
        "structural_pg",
        options,
        {"small": Course(small, 1), "paper": Course(200, 3)},
        (Place(None, released),),
        RELEASED,
    )
    for name, spec, options, small, released in (
        ("linear_quadratic", "mfax_linear_quadratic", {}, 100, 141.09),
        ("linear_quadratic-memory", "mfax_linear_quadratic", {"memory": 8}, 100, 141.09),
        ("beach_bar", "mfax_beach_bar", {"batch": 8192}, 30, 211.53),
    )
)

PLAYED = "the paper's figure, in the unit of the spec"
RPS = {"rock_scissors": 0.4, "paper_rock": 0.34, "scissors_paper": 0.37}
RPS_OPTIONS = {"games": 3, "learning_rate": 8.0, "temperature": 0.01, "floor": 0.001} | {
    "unvisited": "zero"
}
SIS_OPTIONS = {"games": 4, "learning_rate": 4.0, "decay": 0.25, "temperature": 0.02} | {
    "exploration": 0.0,
    "floor": 0.001,
    "since": 10,
}
APPROXIMATE_SYMMETRY = tuple(
    Experiment(
        f"{spec}-{solver}",
        spec,
        solver,
        options | {"output": "average"},
        {"small": Course(iterations, 1), "paper": Course(iterations, 3)},
        (Place(None, figure),),
        PLAYED,
        params,
    )
    for spec, iterations, options, params, figures in (
        ("a_rps", 25, RPS_OPTIONS, RPS, {"symm_pmd": 0.025, "independent_pmd": 0.19}),
        ("asymmetric_sis", 40, SIS_OPTIONS, {}, {"symm_pmd": 0.12, "independent_pmd": 0.82}),
    )
    for solver, figure in figures.items()
)

PAPERS: dict[str, tuple[Experiment, ...]] = {
    "mf_ppo": MF_PPO,
    "m3fc": M3FC,
    "gd_mfrl": GD_MFRL,
    "munchausen": MUNCHAUSEN,
    "mfax": MFAX,
    "approximate_symmetry": APPROXIMATE_SYMMETRY,
}
TITLES = {
    "approximate_symmetry": "Yardim and He 2025, approximate symmetry, arXiv 2408.15173",
    "mf_ppo": "Li et al. 2021, permutation invariant policy optimization, arXiv 2105.08268",
    "gd_mfrl": "generated mean fields; compare Perrin et al. 2021, arXiv 2105.07933",
    "m3fc": "Cui et al. 2024, major-minor mean field control, arXiv 2303.10665",
    "munchausen": "Laurière et al. 2022, deep solvers beside tables, arXiv 2203.11973",
    "mfax": "Wibault et al. 2026, structural policy gradients, arXiv 2602.20141",
}
