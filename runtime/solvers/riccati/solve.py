"""From the forms of all players to a measured solution."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from mfdsl.runtime.agents import AgentProgram
from mfdsl.runtime.exploitability import Exploitability
from mfdsl.runtime.program import Params
from mfdsl.runtime.solution import License
from mfdsl.runtime.solvers.base import SolverError
from mfdsl.runtime.solvers.riccati.agreement import check
from mfdsl.runtime.solvers.riccati.backwards import solved
from mfdsl.runtime.solvers.riccati.deviations import gains
from mfdsl.runtime.solvers.riccati.flow import costs, flow
from mfdsl.runtime.solvers.riccati.forms import Form
from mfdsl.runtime.solvers.riccati.game import Game, joined
from mfdsl.runtime.solvers.riccati.plan import Policy
from mfdsl.runtime.solvers.riccati.sight import Sight, sight_of, within_sight
from mfdsl.runtime.solvers.riccati.solution import Among, ExactSolution, Social
from mfdsl.runtime.solvers.riccati.start import starts
from mfdsl.runtime.solvers.riccati.team import least_team_cost
from mfdsl.runtime.status import Status

CRITICAL = 0.05  # a margin below which small changes of the game move its equilibrium far


@dataclass(frozen=True, eq=False)
class Problem:
    """A linear-quadratic game with what everybody sees in it; `agents` by population, None where
    costs among finitely many are not those of its forms.
    """

    game: Game
    sight: Sight
    agents: Mapping[str, int] | None


def problem_of(
    forms: Sequence[Form],
    program: AgentProgram,
    params: Params,
    agents: Mapping[str, int] | None,
) -> Problem:
    """The game of these forms, which are compared with the simulator at random points.

    Raises:
        SolverError: forms and simulator are not of one game, or its horizon is stationary.
    """
    if program.kind == "stationary":
        raise SolverError(
            "riccati follows the flow from the law at t = 0, and a stationary horizon has none:"
            " write `horizon infinite` with a discount, or `horizon T`"
        )
    if program.kind == "infinite" and not 0 < program.discount < 1:
        raise SolverError("riccati needs a discount between 0 and 1 where the game has no end")
    if program.fixed:
        raise SolverError(
            f"files give the agents of {program.names[program.fixed[0]]} one by one, and riccati"
            " needs their law at t = 0"
        )
    read = max(len(form.running.constant) for form in forms)
    if 1 < read < (program.horizon or 0):
        raise SolverError(
            f"matrices that depend on time are read for {read:,} stages, and {program.name} has"
            f" {program.horizon:,}"
        )
    check(forms, program, params)
    game = joined(
        forms,
        starts(program, params),
        stages=program.horizon,
        discount=program.discount,
        team=program.objective == "team",
    )
    return Problem(game, sight_of(game, program, params), agents)


def solution_of(
    problem: Problem,
    *,
    license: License,
    options: Mapping[str, Any],
    tolerance: float,
    seed: int = 0,
    dtype: DTypeLike = np.float64,
) -> ExactSolution:
    """The equilibrium, or the optimum of a team, with policies rounded to `dtype`, measured.

    Raises:
        SolverError: there is no solution, or not one, or players see too little to play it.
    """
    began = time.perf_counter()
    with np.errstate(all="ignore"):  # what is not finite is refused
        found = solved(problem.game)
        policy = _rounded(within_sight(found.game, found.policy, problem.sight), dtype)
        game, paid = found.game, costs(found.game, policy)
        gap = measured_gap(game, policy, paid)
    if not all(map(math.isfinite, (gap.value, *paid.values()))):
        raise SolverError("costs are no finite numbers: states grow too much over the horizon")
    size = max(1.0, *(abs(c) for c in paid.values())) if paid else 1.0
    status = Status.converged if gap.value <= tolerance * size else Status.stalled
    return ExactSolution(
        game,
        policy,
        flow(game, policy),
        paid,
        gap,
        None if problem.agents is None else among(game, policy, problem.agents),
        _social(problem.game, paid),
        status,
        _message(policy, status),
        time.perf_counter() - began,
        dict(options),
        seed,
        license,
    )


def among(game: Game, policy: Policy, agents: Mapping[str, int]) -> Among:
    """Exact costs with so many agents, and what one of them gains by its best response."""
    paid = costs(game, policy, agents)
    if game.team:
        return Among(dict(agents), paid, {}, least_team_cost(game, agents))
    return Among(dict(agents), paid, gains(game, policy, agents), 0.0)


def measured_gap(game: Game, policy: Policy, paid: Mapping[str, float]) -> Exploitability:
    """What all best responses gain together, of a team what the planner could save."""
    if game.team:
        regret = sum(paid.values()) - least_team_cost(game, {})
        return Exploitability(regret, "exact", {"team": regret}, (regret,))
    each = gains(game, policy)
    total = sum(each.values())
    return Exploitability(total, "exact", each, (total,))


def _social(game: Game, paid: Mapping[str, float]) -> Social:
    """Costs of everybody together, here and if they were a team, or were none."""
    here = sum(paid.values())
    try:
        other = solved(replace(game, team=not game.team))
        there = sum(costs(other.game, other.policy).values())
    except SolverError:
        return Social(None, here) if game.team else Social(here, None)
    return Social(there, here) if game.team else Social(here, there)


def _rounded(policy: Policy, dtype: DTypeLike) -> Policy:
    """The policy as it is saved."""

    def near(values: Any) -> Any:
        return values.astype(dtype).astype(np.float64)

    return Policy(
        tuple(near(v) for v in policy.own),
        tuple(near(v) for v in policy.common),
        near(policy.controls),
        policy.margins,
    )


def _message(policy: Policy, status: Status) -> str:
    """What is wrong with a solution, or what to know about it."""
    worst = int(np.abs(policy.margins).argmin())
    least = float(policy.margins[worst])
    if (policy.margins < 0).any():
        return (
            f"the reactions of t = {int((policy.margins < 0).argmax())} have turned round (margin"
            f" {policy.margins.min():.3g}): on the way here from weaker couplings there is a game"
            " without an equilibrium or with many, and learning need not find this one"
        )
    if abs(least) < CRITICAL:
        return f"near a critical horizon: the margin is {least:.3g} at t = {worst}, usually near 1"
    return (
        "" if status is Status.converged else "rounding: the policies gain more than the tolerance"
    )
