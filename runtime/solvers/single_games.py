"""The games of a batch as views of their own, for solvers that go from one to the next."""

from collections.abc import Sequence
from dataclasses import replace
from weakref import WeakKeyDictionary

from mfdsl.runtime.solvers.state_rows import params_of
from mfdsl.runtime.views.finite import FiniteView
from mfdsl.runtime.views.stage_kernels import KeptKernels
from mfdsl.runtime.views.stationary import StationaryView
from mfdsl.runtime.views.tables import build_tables

View = FiniteView | StationaryView


def games_of(view: View) -> Sequence[View]:
    """A view of each game of a batch, made once."""
    if view.tables.games == 1:
        return [view]
    if view not in _games:
        _games[view] = [_alone(view, place) for place in range(view.tables.games)]
    return _games[view]


_games: WeakKeyDictionary[View, Sequence[View]] = WeakKeyDictionary()


def _alone(view: View, place: int) -> View:
    params = params_of(view.program, view.tables.params, [place])
    tables = build_tables(view.program, params, view.tables.stages)
    if isinstance(view, StationaryView):
        return replace(view, tables=tables)
    return replace(view, tables=tables, kept=KeptKernels())
