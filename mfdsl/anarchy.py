"""The price of anarchy: what selfish players lose beside the best for all together.

Of costs it is the cost of the worst equilibrium over the least social cost, of rewards the greatest
social reward over that of the worst equilibrium; the price of stability takes the best equilibrium
(Koutsoupias and Papadimitriou 1999, doi 10.1007/3-540-49116-3_38; Anshelevich et al. 2008, doi
10.1137/070680096; in mean-field games Carmona, Graves and Tan 2019, doi 10.1051/proc/201965349).
Equilibria are searched for by several solvers from several starts, and nothing says that all were
found: then the ratio is a lower bound of the price, as the optimum may be better, too. Where the
equilibrium is proved to be unique and the social value concave it is known on both sides. Where no
equilibrium was found to the tolerance the ratio is an estimate, and no bound.

Terms of rewards may be transfers (`transfers.py`): players meet them, values leave them out.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from mfdsl import api
from mfdsl.errors import UsageError
from mfdsl.findings import CONCAVE_SOCIAL, FREE, Finding, findings
from mfdsl.game import Device, Dtype, Game
from mfdsl.licence import licence_for
from mfdsl.quadratic import quadratics
from mfdsl.runtime.program import Params
from mfdsl.runtime.solution import Solution, finite
from mfdsl.runtime.solvers.base import SolverError, make_solver
from mfdsl.runtime.solvers.loop import solve, view_for
from mfdsl.runtime.solvers.needs import refusal
from mfdsl.runtime.solvers.riccati.solution import ExactSolution
from mfdsl.runtime.solvers.riccati.table import RICCATI
from mfdsl.runtime.solvers.starts import begun, drawn
from mfdsl.runtime.solvers.table import SOLVERS
from mfdsl.settings import PLANNER, resolve
from mfdsl.solving import find_device
from mfdsl.structural import case_of, with_structure
from mfdsl.transfers import Welfare
from mfdsl.trials import MOST_COSTLY_ENTRIES

SEARCHES: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("omd", {}),
    ("policy_iteration", {"temperature": 1e-4, "damping": 0.5}),
    ("frank_wolfe", {}),
    ("fictitious_play", {}),
)
# What these cost is only spent while nothing else is an equilibrium to the tolerance.
LAST_RESORTS = ("successive_averages", "mf_omo")
SAME = 1e-3  # of the largest value: equilibria nearer than this, and their gaps, are one

Kind = Literal["exact", "lower_bound", "estimate"]


@dataclass(frozen=True)
class Equilibrium:
    """An equilibrium that was found: what all earn there, and what one gains by leaving it.

    `transferred` is what transfers add for them (below 0 what they pay); `value` leaves it out.
    """

    value: float
    exploitability: float
    solver: str
    start: int
    transferred: float = 0.0


@dataclass(frozen=True)
class Anarchy:
    """Equilibria by value, the worst first, and the social optimum.

    `gap` is what the optimum is better by to first order, at most that much where it is
    `certified`. `unique` says that all equilibria are proved to pay the same. `tolerance` is what
    counts as an equilibrium. `other` says that the tables are those of another game, as on a grid,
    of which nothing here is a bound. `sign` is -1 for costs, 1 for rewards, 0 where values have
    both signs and only differences make sense. All values leave out the terms in `transfers`.
    """

    equilibria: tuple[Equilibrium, ...]
    optimum: float
    gap: float
    certified: bool
    unique: bool
    tolerance: float
    transfers: tuple[str, ...] = ()
    other: bool = False

    @property
    def sign(self) -> int:
        """Whether values are costs or rewards."""
        values = [self.optimum, *(e.value for e in self.equilibria)]
        if all(value > 0 for value in values):
            return 1
        return -1 if all(value < 0 for value in values) else 0

    @property
    def kind(self) -> Kind:
        """What the price is."""
        if self.other or any(e.exploitability > self.tolerance for e in self.equilibria):
            return "estimate"
        known = self.certified and self.unique and self.gap <= self.tolerance
        return "exact" if known else "lower_bound"

    @property
    def loss(self) -> float:
        """What all lose together at the worst equilibrium."""
        return self.optimum - self.equilibria[0].value

    @property
    def price(self) -> float | None:
        """The price of anarchy; None where values have both signs."""
        return self._ratio(self.equilibria[0].value)

    @property
    def stability(self) -> float | None:
        """The price of stability, of the best equilibrium that was found."""
        return self._ratio(self.equilibria[-1].value)

    def _ratio(self, value: float) -> float | None:
        if self.sign == 0:
            return None
        return value / self.optimum if self.sign < 0 else self.optimum / value

    def to_json(self) -> dict[str, Any]:
        """The JSON of `mfdsl anarchy`."""
        return {
            "equilibria": [
                {
                    "value": finite(e.value),
                    "exploitability": finite(e.exploitability),
                    "solver": e.solver,
                    "start": e.start,
                    "transferred": finite(e.transferred),
                }
                for e in self.equilibria
            ],
            "unique": self.unique,
            "optimum": {"value": self.optimum, "gap": self.gap, "certified": self.certified},
            "price_of_anarchy": self.price,
            "price_of_stability": self.stability,
            "loss": self.loss,
            "kind": self.kind,
            "tolerance": self.tolerance,
            "transfers": list(self.transfers),
        }


def anarchy(
    game: Game,
    *,
    transfers: Sequence[str] = (),
    tolerance: float = 1e-6,
    iterations: int = 1000,
    starts: int = 3,
    seed: int = 0,
    device: Device = "cpu",
    dtype: Dtype = "float64",
    on_search: Callable[[str, int, int], None] | None = None,
) -> Anarchy:
    """Equilibria and the social optimum of a game with tables, or of a linear-quadratic one, whose
    affine equilibrium and optimum are exact. Starts but the first are random.

    Where the equilibrium is proved to be the only one, the first that is found ends its search, and
    so does the first optimum of a social value that is proved concave. `on_search` is told of each
    solve before it begins: the solver, how many are done, and how many there are at most.

    `transfers` names terms of rewards or costs that players meet and welfare leaves out. Equilibria
    that are proved to pay the same may then still differ in welfare, so none is the only one, and
    the optimum is certified by what is proved of the other terms. All is done on tables.

    Raises:
        UsageError: the players are a team, the horizon is stationary, nothing was found, or a
            transfer is no term or the only one.
    """
    model = game.model
    if model.objective == "team":
        raise UsageError(
            f"the players of {game.name} are a team, so there is no anarchy",
            "give the spec `objective nash`",
        )
    if not transfers and quadratics(model).reason is None:
        return _quadratic(game, tolerance)
    if (reason := refusal(PLANNER, game.program)) is not None:
        raise UsageError(reason, "write `horizon 50`, or `horizon infinite` with its discount")
    place, precision = find_device(device), getattr(torch, dtype)
    welfare = Welfare.of(game, transfers, precision, place)
    params = game.program.params(dtype=precision, device=place)
    searches = list(_searches(game, starts))
    told = on_search or (lambda name, done, most: None)
    effort = _Effort(tolerance, iterations, starts, seed, len(searches), told)
    certified = _concave(welfare.game, tolerance)
    unique = not transfers and _alike(game, tolerance)
    found = _equilibria(game, params, searches, welfare if transfers else None, effort, only=unique)
    best = _optimum(welfare, effort, certified=certified)
    return Anarchy(
        _kept(found, tolerance),
        best.value[0],
        best.exploitability.value,
        certified,
        unique,
        tolerance,
        tuple(transfers),
        other=not (game.program.exact and welfare.game.program.exact),
    )


@dataclass(frozen=True)
class _Effort:
    """How far all is searched; `searches` of equilibria come before those of the optimum."""

    tolerance: float
    iterations: int
    starts: int
    seed: int
    searches: int
    on_search: Callable[[str, int, int], None]

    def tell(self, solver: str, done: int) -> None:
        """Say that a solver begins."""
        self.on_search(solver, done, self.searches + self.starts)


def _equilibria(
    game: Game,
    params: Params,
    searches: Sequence[tuple[str, Mapping[str, Any], int]],
    welfare: Welfare | None,
    effort: _Effort,
    *,
    only: bool,
) -> list[Equilibrium]:
    """What the searches find, to the first equilibrium where it is the `only` one, and to the last
    resorts where there is none.

    Raises:
        UsageError: no solver runs on the game.
    """
    found: list[Equilibrium] = []
    for done, (name, options, start) in enumerate(searches):
        reached = any(e.exploitability <= effort.tolerance for e in found)
        if reached and (only or name in LAST_RESORTS):
            break
        effort.tell(name, done)
        solution = _searched(game, params, name, options, start, effort)
        if solution is not None:
            found.append(_equilibrium(solution, welfare, name, start))
    if not found:
        raise UsageError("no solver ran on the game")
    return found


def _optimum(welfare: Welfare, effort: _Effort, *, certified: bool) -> Solution:
    """The best of the plans from all starts, or the first optimum where it is `certified`."""
    plans: list[Solution] = []
    for start in range(effort.starts):
        effort.tell(PLANNER, effort.searches + start)
        plans.append(_planned(welfare, 0 if start == 0 else effort.seed + start, effort))
        if certified and plans[-1].exploitability.value <= effort.tolerance / 10:
            break
    return max(plans, key=lambda plan: plan.value[0])


def _planned(welfare: Welfare, seed: int, effort: _Effort) -> Solution:
    """An optimum from one start, to a tenth of what counts as an equilibrium."""
    return solve(
        welfare.game.program,
        welfare.params,
        PLANNER,
        {"seed": seed},
        iterations=effort.iterations,
        tolerance=effort.tolerance / 10,
    )


def _equilibrium(solution: Solution, welfare: Welfare | None, name: str, start: int) -> Equilibrium:
    """What a solver found, valued without transfers where there are some."""
    all_told = solution.value[0]
    value = all_told if welfare is None else welfare.value(solution.policy)
    return Equilibrium(value, solution.exploitability.value, name, start, all_told - value)


def _quadratic(game: Game, tolerance: float) -> Anarchy:
    """Both sides of a linear-quadratic game: its affine equilibrium by Riccati equations, exact."""
    solution = api.solve(game, RICCATI)
    assert isinstance(solution, ExactSolution)
    social = solution.social
    if social.equilibrium is None or social.optimum is None:
        missing = "equilibrium" if social.equilibrium is None else "optimum"
        raise UsageError(f"the Riccati equations of {game.name} have no {missing}")
    found = Equilibrium(-social.equilibrium, solution.exploitability.value, RICCATI, 0)
    return Anarchy((found,), -social.optimum, 0.0, True, False, tolerance)


def _searches(game: Game, starts: int) -> Iterator[tuple[str, Mapping[str, Any], int]]:
    """Solvers, their options and numbers of starts; what the spec asks for comes first."""
    own = resolve(game.model)
    if own.solver in SOLVERS and not SOLVERS[own.solver].plays:
        yield own.solver, own.config.model_dump(), 0
    for start in range(starts):
        for name, options in SEARCHES:
            if refusal(name, game.program) is None:
                yield name, options, start
    program = game.program
    entries = program.state_count * program.action_count * (program.horizon or 1)
    for name in LAST_RESORTS:
        if entries <= MOST_COSTLY_ENTRIES and refusal(name, program) is None:
            yield name, {}, 0


def _searched(
    game: Game,
    params: Params,
    name: str,
    options: Mapping[str, Any],
    start: int,
    effort: _Effort,
) -> Solution | None:
    """What one solver finds from one start; None where it cannot begin there."""
    state = None
    try:
        if start:
            view = view_for(game.program, params, name)
            probs = drawn(view.uniform().probs, (effort.seed + start,))
            state = begun(name, make_solver(name, options), view, probs)
        solution: Solution = solve(
            game.program,
            params,
            name,
            options,
            iterations=effort.iterations,
            tolerance=effort.tolerance,
            state=state,
        )
    except SolverError:
        return None
    gap = solution.exploitability.value
    return solution if gap == gap else None


def _kept(found: list[Equilibrium], tolerance: float) -> tuple[Equilibrium, ...]:
    """Each equilibrium once, the worst first; without any the nearest to one."""
    good = [e for e in found if e.exploitability <= tolerance]
    if not good:
        return (min(found, key=lambda e: e.exploitability),)
    kept: list[Equilibrium] = []
    scale = SAME * max(max(abs(e.value) for e in good), tolerance)
    for entry in sorted(good, key=lambda e: e.exploitability):
        if all(abs(entry.value - other.value) > scale for other in kept):
            kept.append(entry)
    return tuple(sorted(kept, key=lambda e: e.value))


def _concave(game: Game, tolerance: float) -> bool:
    """Whether the social value is proved concave on flows."""
    certificates = with_structure(game.model, game.certificates)
    config, case = SOLVERS[PLANNER].config(), case_of(game.model, tolerance)
    licence = licence_for(PLANNER, config, certificates, case)
    known = findings(certificates).get(CONCAVE_SOCIAL, Finding())
    return licence.status == "licensed" and known.verdict == "proved"


def _alike(game: Game, tolerance: float) -> bool:
    """Whether all equilibria are proved to pay the same."""
    known = findings(with_structure(game.model, game.certificates))
    needs = (FREE, "strictly_monotone")
    proved = all(known.get(n, Finding()).verdict == "proved" for n in needs)
    return proved and case_of(game.model, tolerance).plain
