"""What `solve` is told and gives back, for checkers of types: which solver makes which solution.

A test compares the names here with the tables of solvers.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from mfdsl.game import Device, Dtype, Parameters

if TYPE_CHECKING:
    from mfdsl.runtime.policy import TabularPolicy
    from mfdsl.runtime.solution import Solution

# A solver of tables, whatever its options are: it makes a `Solution`.
TableSolver = Literal[
    "omd",
    "fictitious_play",
    "fixed_point",
    "policy_iteration",
    "mirror_prox",
    "frank_wolfe",
    "pmd",
    "soft_fixed_point",
    "munchausen_omd",
    "prior_descent",
    "mf_omo",
    "mf_omi",
    "mf_pso",
    "successive_averages",
    "symm_pmd",
    "independent_pmd",
    "deep_munchausen",
    "average_fp",
    "master",
    "social_gradient",
]
# On tables a `Solution`, with the option `paths` a `PathSolution`.
PathSolver = Literal["structural_pg"]
# Networks that learn from agents: `Learned`.
LearningSolver = Literal[
    "mf_ppo",
    "m3f_ppo",
    "ippo",
    "mappo",
    "maddpg",
    "gd_mfrl",
    "ppo_nash",
    "mf_q",
    "mf_ac",
]
# Without tables, exactly: `ExactSolution`, with a sweep `ExactSweep`.
ExactSolver = Literal["riccati"]


class Ways(TypedDict, total=False):
    """The arguments of `solve` on which the kind of its solution does not depend."""

    iterations: int | None
    tolerance: float | None
    options: Mapping[str, Any] | None
    params: Parameters | None
    seed: int
    seeds: int
    start: "str | Path | Solution | TabularPolicy | None"
    device: Device
    dtype: Dtype | None
    out: str | Path | None
    on_progress: Callable[[Any], None] | None
