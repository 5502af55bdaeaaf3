"""What a game must be like for an algorithm to be defined on it at all."""

from mfdsl.runtime.evaluate import View
from mfdsl.runtime.solvers.base import SolverError
from mfdsl.runtime.views.finite import FiniteView, reads_law


def need_stages(view: View, solver: str) -> FiniteView:
    """The view of a game with stages in time.

    Raises:
        SolverError: the horizon is stationary.
    """
    if not isinstance(view, FiniteView):
        raise SolverError(
            f"{solver} averages flows over time, and {view.program.name} has a stationary "
            "horizon: use omd, pmd or fictitious_play"
        )
    return view


def need_free_dynamics(view: View, solver: str) -> FiniteView:
    """The view of a game with stages whose moves do not depend on the population.

    Raises:
        SolverError: the horizon is stationary, or the moves read the law.
    """
    finite = need_stages(view, solver)
    if reads_law(finite.tables):
        raise SolverError(
            f"{solver} needs `dynamics_independent_of_mu`: the moves of {view.program.name} "
            "depend on the population, so averages of flows are not flows: use omd or pmd"
        )
    return finite
