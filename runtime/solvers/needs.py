"""What a game must be like for an algorithm to be defined on it at all."""

from mfdsl.runtime.evaluate import View
from mfdsl.runtime.program import Program
from mfdsl.runtime.solvers.base import SolverError
from mfdsl.runtime.solvers.table import SOLVERS
from mfdsl.runtime.views.finite import FiniteView


def refusal(solver: str, program: Program) -> str | None:
    """Why the solver cannot run on the game, None when it can.

    Solvers that average flows need stages in time, and moves that do not read the law: otherwise an
    average of flows is the flow of no policy. Solvers that play games need these to end; those
    that project onto flows need stages.
    """
    row = SOLVERS[solver]
    if row.over_stages and program.kind == "stationary":
        return f"{solver} needs stages in time, and {program.name} has a stationary horizon"
    if row.plays and program.kind != "finite":
        return f"{solver} plays games to their end, and {program.name} has a {program.kind} horizon"
    if not row.averages_flows:
        return None
    if program.kind == "stationary":
        return f"{solver} averages flows over time, and {program.name} has a stationary horizon"
    if "law" in program.module.SUCCESSORS_READ | program.module.WEIGHTS_READ:
        return (
            f"{solver} averages flows and needs `dynamics_independent_of_mu`: the moves of "
            f"{program.name} depend on the population"
        )
    return None


def need_flows_that_average(view: View, solver: str) -> FiniteView:
    """The view of a game on which the solver is defined.

    Raises:
        SolverError: the horizon is stationary, or the moves read the law.
    """
    reason = refusal(solver, view.program)
    if reason is not None or not isinstance(view, FiniteView):
        raise SolverError(reason)
    return view
