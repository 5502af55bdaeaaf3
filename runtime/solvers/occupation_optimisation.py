"""Occupation-measure optimisation: equilibria as the zeros of one smooth objective."""

from dataclasses import dataclass

import torch

from mfdsl.runtime.evaluate import Evaluation, View
from mfdsl.runtime.solvers.base import SolverError, scored
from mfdsl.runtime.solvers.occupation_gradient import GradientSteps, Occupation
from mfdsl.runtime.solvers.occupation_path import Path, PathSteps
from mfdsl.runtime.solvers.occupation_slopes import reads_states_only
from mfdsl.runtime.solvers.options import OccupationOptimisationConfig
from mfdsl.runtime.solvers.single_games import games_of
from mfdsl.runtime.views.finite import FiniteView
from mfdsl.runtime.views.stationary import StationaryView

MOST_NUMBERS = 1 << 24  # of a table of pairs and states
MOST_PRODUCTS = 1e10  # of one correction


@dataclass(frozen=True)
class OccupationOptimisation:
    """MF-OMO (Guo, Hu and Zhang 2022, arXiv 2206.09608): laws, values and gaps that fit together.

    The squares of the flow equations and of the Bellman equations, and the gaps of what is played,
    are 0 together at the equilibria only. `path` follows a path to there by Newton's method, `auto`
    does where its tables are small enough and in double precision; `gradient` descends.
    """

    config: OccupationOptimisationConfig

    def init(self, view: View) -> Path | Occupation:
        """The flow of the uniform policy, and the best response to it.

        Raises:
            SolverError: the path was asked for, and needs double precision.
        """
        assert isinstance(view, FiniteView | StationaryView)
        single = view.uniform().probs.dtype != torch.float64
        route = self.config.route
        if route == "path" and single:
            raise SolverError(
                "route=path of mf_omo needs double precision: run in float64, or take "
                "route=gradient"
            )
        free = route == "auto" and self.config.descends is None and not single
        if route == "path" or (free and _affordable(view)):
            return PathSteps(self.config).init(view)
        return GradientSteps(self.config).init(view)

    def step(self, evaluation: Evaluation, state: Path | Occupation) -> Path | Occupation:
        """One step along the path, or some of the gradient; the best policy is kept.

        Close to rounding the path may be lost, and the gradient goes up and down.
        """
        if isinstance(state, Path):
            return PathSteps(self.config).step(evaluation, scored(state, evaluation))
        return GradientSteps(self.config).step(evaluation, scored(state, evaluation))


def _affordable(view: FiniteView | StationaryView) -> bool:
    """Whether a correction takes some seconds at most."""
    _, stages, states, actions = view.uniform().probs.shape
    pairs = states * actions
    products = stages * (10 * states**3 + 20 * pairs * states)
    if stages * pairs * states > MOST_NUMBERS or products > MOST_PRODUCTS:
        return False
    return stages * pairs**3 <= MOST_PRODUCTS or reads_states_only(games_of(view)[0])
