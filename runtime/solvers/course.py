"""Where a batch stands: the games that are computed now, and those set aside.

Games that have ended are set aside as they are. They stay in the batch as passengers, whose further
iterations nobody reads, until a quarter of it has ended; then the others go on without them.
A run that is resumed may have games at several iterations: those behind catch up first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from mfdsl.runtime.evaluate import Evaluation, View, build_view
from mfdsl.runtime.program import Params, Program
from mfdsl.runtime.solution import Ending, Record
from mfdsl.runtime.solvers.base import (
    Solver,
    SolverError,
    State,
    load_state,
    make_solver,
    save_state,
)
from mfdsl.runtime.solvers.members import Member
from mfdsl.runtime.solvers.state_rows import joined, params_of, repeated, taken
from mfdsl.runtime.solvers.table import SOLVERS
from mfdsl.runtime.solvers.varied import Varied
from mfdsl.runtime.views.decisions import Box, deciding
from mfdsl.runtime.views.finite import FiniteView
from mfdsl.runtime.views.stage_kernels import KeptKernels
from mfdsl.runtime.views.stationary import StationaryView
from mfdsl.runtime.views.tables import build_tables

# The part of the games of a batch that still go on, below which it is made anew without the others.
FULL = 0.75
MEMBER = "member."


@dataclass(frozen=True, eq=False)
class Games:
    """All games of a batch with their solver; `view` has them all."""

    program: Program
    params: Params
    solver_name: str
    solver: Solver[Any]
    varied: Varied
    view: View

    @property
    def count(self) -> int:
        """How many there are."""
        return max(self.program.batch_of(self.params), self.varied.games)

    def seat(self, places: Sequence[int]) -> tuple[View, Solver[Any]]:
        """The view and the solver of some of the games."""
        if len(places) == self.count:
            return self.view, self.solver
        solver, view = self.solver, self.view
        if self.varied.values:
            part = self.varied.taken(places)
            solver = make_solver(self.solver_name, solver.config, varied=part)
        if self.program.batched(self.params):
            view = _seen_alike(view, params_of(self.program, self.params, places))
        return view, solver


@dataclass(frozen=True, eq=False)
class Stand:
    """What is computed now: the games at these `places` of the batch, all at one iteration.

    `aside` has the states of the others, and of passengers as they were when they ended.
    """

    places: tuple[int, ...]
    view: View
    solver: Solver[Any]
    state: State
    evaluation: Evaluation
    aside: Mapping[int, State] = field(default_factory=dict)

    def of(self, place: int) -> State:
        """The state of one game of the batch."""
        if place in self.aside:
            return self.aside[place]
        return taken(self.state, [self.places.index(place)])

    def moved(self) -> "Stand":
        """The same games after one more iteration."""
        state = self.solver.step(self.evaluation, self.state)
        return replace(self, state=state, evaluation=evaluated(self.view, state))


@dataclass
class Course:
    """The moving parts of a run; `stand` changes at once, so an interruption finds a whole one."""

    games: Games
    stand: Stand
    members: list[Member]
    history: list[Record]
    began: float

    @property
    def running(self) -> list[int]:
        """The places of the games that have not ended."""
        return [place for place, member in enumerate(self.members) if member.status is None]

    def set_aside(self) -> None:
        """Keep the states of those that have ended, before others move on."""
        stand = self.stand
        ended = {
            place: stand.of(place)
            for place in stand.places
            if self.members[place].status is not None and place not in stand.aside
        }
        if ended:
            self.stand = replace(stand, aside={**stand.aside, **ended})

    def gather(self) -> bool:
        """Choose anew what to compute where that is due: those that are furthest behind.

        Says whether the choice has changed.
        """
        stand, running = self.stand, self.running
        here = [place for place in stand.places if place in running]
        elsewhere = [place for place in running if place not in stand.places]
        met = any(stand.aside[p].iteration <= stand.state.iteration for p in elsewhere)
        together = SOLVERS[self.games.solver_name].together
        full = together or len(here) > FULL * len(stand.places)
        if here and full and not met:
            return False
        first = min(_iteration(stand, p) for p in running)
        places = tuple(p for p in running if _iteration(stand, p) == first)
        aside = {p: stand.of(p) for p in range(len(self.members)) if p not in places}
        view, solver = self.games.seat(places)
        state = _state_of(stand, places)
        self.stand = Stand(places, view, solver, state, evaluated(view, state), aside)
        return True

    def whole(self) -> tuple[State, Evaluation]:
        """The state of all games, each as it ended or stands, and what it is worth."""
        stand, count = self.stand, len(self.members)
        if len(stand.places) == count and not stand.aside:
            return stand.state, stand.evaluation
        state = joined([stand.of(place) for place in range(count)])
        return state, evaluated(self.games.view, state)

    def endings(self) -> tuple[Ending, ...]:
        """How each game ended."""
        found = []
        for place, member in enumerate(self.members):
            assert member.status is not None
            found.append(Ending(member.status, _iteration(self.stand, place), member.message))
        return tuple(found)

    def saved(self, state: State, *, alone: bool = True) -> dict[str, Tensor]:
        """The tensors from which the run continues; iterations of a batch are one for each game.

        One game is no batch where it is `alone`, and not a share of one.
        """
        tensors = save_state(state)
        if alone and len(self.members) == 1:
            return tensors
        iterations = [_iteration(self.stand, place) for place in range(len(self.members))]
        return tensors | {
            "iteration": torch.tensor(iterations),
            MEMBER + "best": torch.tensor([m.best for m in self.members], dtype=torch.float64),
            MEMBER + "waited": torch.tensor([m.waited for m in self.members]),
        }


def begin(
    games: Games,
    saved: Mapping[str, Tensor] | None,
    history: Sequence[Record],
    began: float,
) -> Course:
    """The course at its start, or where an earlier run ended.

    Raises:
        SolverError: the saved state is that of another solver or game.
    """
    count = games.count
    fresh = repeated(games.solver.init(games.view), count)
    members = [Member() for _ in range(count)]
    state = fresh if saved is None else _resumed(fresh, saved, games.program)
    stand = Stand(
        tuple(range(count)), games.view, games.solver, state, evaluated(games.view, state)
    )
    course = Course(games, stand, members, list(history), began)
    if count == 1 and (saved is None or MEMBER + "best" not in saved):
        for record in history:
            members[0].count(record.exploitability)
            members[0].noted = record.iteration
    elif saved is not None:
        _remember(course, saved)
    return course


def view_for(program: Program, params: Params | None, solver_name: str) -> View:
    """The game as its players see it, or as its planner does."""
    if not SOLVERS[solver_name].social:
        return build_view(program, params)
    from mfdsl.runtime.solvers.social.view import SocialView

    return SocialView.build(program, params)


def box_for(
    program: Program, params: Params, solver_name: str, saved: Mapping[str, Tensor] | None
) -> Box | None:
    """The states that need tables where others leave no choice; None where all need them: the
    solver or the game is not made for it, or the saved state has tables of all states.
    """
    if not SOLVERS[solver_name].decides or (box := deciding(program, params)) is None:
        return None
    probs = None if saved is None else saved.get("probs")
    if probs is not None and (probs.ndim != len("BTSA") or probs.shape[2] != len(box.states)):
        return None
    return box


def _seen_alike(view: View, params: Params) -> View:
    """The same view at other parameters; a horizon without end is cut where it was."""
    if not isinstance(view, FiniteView | StationaryView):
        from mfdsl.runtime.solvers.social.view import SocialView

        assert isinstance(view, SocialView)
        game = _seen_alike(view.game, params)
        assert isinstance(game, FiniteView)
        return replace(view, game=game)
    tables = build_tables(view.program, params, view.tables.stages)
    if isinstance(view, StationaryView):
        return replace(view, tables=tables)
    return replace(view, tables=tables, kept=KeptKernels())


def evaluated(view: View, state: State) -> Evaluation:
    """What the policy of a state is worth."""
    return Evaluation(view, view.policy(state.probs))


def _iteration(stand: Stand, place: int) -> int:
    return stand.aside[place].iteration if place in stand.aside else stand.state.iteration


def _state_of(stand: Stand, places: Sequence[int]) -> State:
    """The states of these games as one, in their order."""
    if any(place in stand.aside for place in places):
        return joined([stand.of(place) for place in places])
    return taken(stand.state, [stand.places.index(place) for place in places])


def _resumed(fresh: State, tensors: Mapping[str, Tensor], program: Program) -> State:
    """The saved state on the device and in the dtype of a fresh one; iterations are the least.

    Raises:
        SolverError: its policy has other sizes.
    """
    own = {name: value for name, value in tensors.items() if not name.startswith(MEMBER)}
    if "iteration" in own:
        own["iteration"] = own["iteration"].min()
    saved = load_state(type(fresh), own)
    there, here = list(saved.probs.shape), list(fresh.probs.shape)
    if program.kind == "infinite" and there[1:2] != here[1:2] and there[2:] == here[2:]:
        raise SolverError(
            f"the horizon without end is cut after {here[1]} stages here, and was after {there[1]} "
            "where the state was saved: by an earlier mfdsl, which cut where it did not know the "
            "range of rewards, or at other parameters; solve anew, or go on with that version"
        )
    if there != here:
        raise SolverError(
            f"the saved state has a policy of sizes {there}, this game needs {here}: "
            "continue with the spec and parameters that wrote it"
        )
    moved = {
        name: value.to(fresh.probs) if value.is_floating_point() else value
        for name, value in own.items()
    }
    return load_state(type(fresh), moved)


def _remember(course: Course, saved: Mapping[str, Tensor]) -> None:
    """How long each game of the batch has waited, and at which iteration it stands.

    Raises:
        SolverError: the run has kept nothing about its games.
    """
    names = ("iteration", MEMBER + "best", MEMBER + "waited")
    count = len(course.members)
    if any(name not in saved or saved[name].shape != (count,) for name in names):
        raise SolverError("the saved state does not say how far each game of the batch has come")
    iterations, bests, waits = (saved[name].tolist() for name in names)
    noted = course.history[-1].iteration if course.history else -1
    stand = course.stand
    gaps, values = stand.evaluation.exploitability.per_game, stand.evaluation.value.tolist()
    for place, member in enumerate(course.members):
        member.noted, member.gap = min(iterations[place], noted), gaps[place]
        member.value, member.best = values[place], bests[place]
        member.waited = waits[place]
    if len(set(iterations)) > 1:
        states = {p: replace(stand.of(p), iteration=i) for p, i in enumerate(iterations)}
        course.stand = replace(stand, places=(), aside=states)
        course.gather()
