"""Runs as tables with named columns, of one run or of several that belong together.

A flow has the columns `t`, the variables of states and `share`, the mass of the row; a policy has
`t`, states, actions and `chance`; `games` has a row for each game with its exploitability, value,
iterations and status. The axes of batches come first: parameter files, swept parameters and
options, seeds. Several runs begin with the name of the `run`, and where runs differ in a parameter,
an option or the seed, it is a column as well. Values are written as in the spec: numbers, or names
of an enum, of nodes, links and moves, `true` and `false`; cells of a grid by their numbers.

`pasts` says which history of the common state each number in the column `past` is: `t`, `past`,
`parent` (the past at t - 1, -1 at t = 0), the common state as it is then, `player.variable`, and
the noises and the actions of majors at t - 1 that led there, empty where several did.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from mfdsl.batches import OPTION, SEED
from mfdsl.errors import UsageError, unknown
from mfdsl.named_tables import Cell, NamedTable
from mfdsl.records import RunOptions, explained, games_of, goes_along, open_run, read_options
from mfdsl.runtime.solvers.table import SOLVERS
from mfdsl.settings import resolve

if TYPE_CHECKING:
    from torch import Tensor

    from mfdsl.game import Game
    from mfdsl.runtime.policy import Axis
    from mfdsl.runtime.runs import RunFolder

Part = Literal["flow", "policy", "games", "pasts"]
Row = Mapping[str, Cell]

MEASURED = ("exploitability", "value", "iterations", "status")
UNFINISHED = "unfinished"


@dataclass(frozen=True)
class _Run:
    """A run folder with the options that it was started with."""

    folder: "RunFolder"
    options: RunOptions

    @classmethod
    def read(cls, path: Path) -> "_Run":
        """The run in a folder."""
        folder = open_run(path)
        return cls(folder, read_options(folder))

    @cached_property
    def points(self) -> tuple[Row, ...]:
        """The games of the run by their places on the axes of its batch."""
        return self.options.batch.points()

    @cached_property
    def given(self) -> dict[str, Any]:
        """What the run was started with, by the names that axes have."""
        options = {OPTION + name: value for name, value in self.options.options.items()}
        own = OPTION + SEED  # it follows the seed of the run
        options.pop(own, None)
        return {**self.options.parameters, **options, SEED: self.options.seed}

    def games(self) -> Iterator[Row]:
        """What was found for each game."""
        if not (self.folder.path / "summary.json").is_file():
            missing = (_cell(None), _cell(None), 0, UNFINISHED)
            yield from (dict(zip(MEASURED, missing, strict=True)) for _ in self.points)
            return
        with explained():
            summary = self.folder.summary
        gaps, values, endings = games_of(self.folder, self.options, summary)
        for loss, value, ending in zip(gaps, values, endings, strict=True):
            figures = (_cell(loss), _cell(value), ending["iterations"], ending["status"])
            yield dict(zip(MEASURED, figures, strict=True))


def table_of_run(run: Path, part: Part) -> NamedTable:
    """A part of what a run with tables found.

    Raises:
        UsageError: the folder is no run, is damaged, or has no such part.
    """
    return table_of_runs([run], part)


def table_of_runs(runs: str | Path | Sequence[str | Path], part: Part) -> NamedTable:
    """A part of what several runs of one game found, one after another; of one, where one is given.

    Raises:
        UsageError: a folder is no run, is damaged or of another game, or has no such part.
    """
    if part not in get_args(Part):
        raise unknown("table", part, get_args(Part))
    read = _read([runs] if isinstance(runs, str | Path) else runs)
    if part == "games":
        return _games(read)
    return _pasts(read) if part == "pasts" else _tables(read, part)


def games_of_runs(runs: Sequence[str | Path]) -> NamedTable:
    """One row for each game of the runs, also where they are one game in all.

    Raises:
        UsageError: a folder is no run, is damaged or of another game.
    """
    return _games(_read(runs))


def _read(runs: Sequence[str | Path]) -> list[_Run]:
    read = [_Run.read(Path(path)) for path in runs]
    for run in read:
        if run.options.game != read[0].options.game:
            raise UsageError(
                f"{run.folder.path} is a run of `{run.options.game}`, and "
                f"{read[0].folder.path} of `{read[0].options.game}`",
                "one table has the runs of one game",
            )
    return read


def _games(runs: Sequence[_Run]) -> NamedTable:
    names = _axes(runs)
    rows = [
        (*_names(run, runs), *_places(run, point, names), *(found[name] for name in MEASURED))
        for run in runs
        for point, found in zip(run.points, run.games(), strict=True)
    ]
    return NamedTable((*_first(runs), *names, *MEASURED), tuple(rows))


def _pasts(runs: Sequence[_Run]) -> NamedTable:
    """The histories of the common state, each by the one that it goes on from."""
    rows: list[tuple[Cell, ...]] = []
    columns: tuple[str, ...] = ()
    for run in runs:
        game = _game(run)
        past = game.reduced.past if game.reduced is not None else None
        if past is None:
            raise UsageError(
                f"{run.folder.path} has no pasts: nothing common is random in {game.name}",
                "`--part flow` has one law for each t",
            )
        states = _common_axes(game, past.variables)
        drawn = _common_axes(game, past.drawn)
        names = (axis.name for axis in (*states, *drawn))
        columns = (*_first(runs), "t", past.axis, "parent", *names)
        for t, common in enumerate(past.states):
            parents = past.parents[t] or (-1,) * len(common)
            turns = past.turns[t] or ((None,) * len(drawn),) * len(common)
            for h, (parent, now, turn) in enumerate(zip(parents, common, turns, strict=True)):
                values = (
                    _value(*pair) for pair in zip((*states, *drawn), (*now, *turn), strict=True)
                )
                rows.append((*_names(run, runs), t, h, parent, *values))
    return NamedTable(columns, tuple(rows))


def _common_axes(game: "Game", names: Sequence[tuple[str, str]]) -> list["Axis"]:
    """Variables of majors and environments, with the names of their values."""
    from mfdsl.runtime.program import axis_of

    model, axes = game.model, []
    players = {player.name: player for player in model.players}
    for player, name in names:
        owner = players[player]
        variables = (*owner.states, *owner.noises, *owner.actions)
        kind = model.types[next(v.type for v in variables if v.name == name)]
        axes.append(axis_of(model, f"{player}.{name}", kind, kind.size))
    return axes


def _value(axis: "Axis", found: int | None) -> Cell:
    return "" if found is None else axis.value(int(found) - axis.first)


def _tables(runs: Sequence[_Run], part: Part) -> NamedTable:
    names, rows = _axes(runs), []
    known: tuple[Axis, ...] | None = None
    for run in runs:
        program = _game(run).program
        states, actions = program.state_axes(), program.action_axes()
        with explained():
            tensor = run.folder.laws() if part == "flow" else run.folder.policy(program).probs
        axes = states if part == "flow" else (*states, *actions)
        if known is not None and [a.name for a in axes] != [a.name for a in known]:
            raise UsageError(f"{run.folder.path} has other variables than {runs[0].folder.path}")
        known = axes
        if len(tensor) != len(run.points) or tensor[0, 0].numel() != prod(a.size for a in axes):
            raise UsageError(
                f"the {part} of {run.folder.path} has {len(tensor)} games of "
                f"{tensor[0, 0].numel()} numbers a stage, its spec has {len(run.points)} of "
                f"{prod(a.size for a in axes)}",
                "solve again: a file of the run was changed",
            )
        for point, table in zip(run.points, tensor, strict=True):
            places = (*_names(run, runs), *_places(run, point, names))
            rows += [(*places, *row) for row in _rows(table, axes)]
    assert known is not None
    last = "share" if part == "flow" else "chance"
    columns = (*_first(runs), *names, "t", *(axis.name for axis in known), last)
    return NamedTable(columns, tuple(rows))


def _game(run: _Run) -> "Game":
    """The game of a run as its tables were made.

    Raises:
        UsageError: the run has no tables.
    """
    from mfdsl.simulating import game_of_run

    if goes_along(run.options):
        raise UsageError(
            f"{run.folder.path} went along drawn paths, and has a network in place of tables",
            "`games` gives its figures, `mfdsl simulate --record FILE.npz` what agents do",
        )
    if run.options.solver not in SOLVERS:
        raise UsageError(
            f"{run.folder.path} is a run of {run.options.solver}, which makes no tables",
            "`mfdsl simulate --policy RUN --record FILE.npz` writes what agents do",
        )
    game = game_of_run(None, run.folder)
    if run.options.bins:
        made = run.options.options | run.options.bins
        game = replace(game, bins=resolve(game.model, run.options.solver, options=made).bins)
    return game


def _rows(found: "Tensor", axes: "Sequence[Axis]") -> Iterator[tuple[Cell, ...]]:
    names = list(product(*([axis.value(k) for k in range(axis.size)] for axis in axes)))
    for t, row in enumerate(found.flatten(1).tolist()):
        for name, value in zip(names, row, strict=True):
            yield (t, *name, value)


def _first(runs: Sequence[_Run]) -> tuple[str, ...]:
    return ("run",) if len(runs) > 1 else ()


def _names(run: _Run, runs: Sequence[_Run]) -> tuple[str, ...]:
    return (run.folder.path.name,) if len(runs) > 1 else ()


def _axes(runs: Sequence[_Run]) -> list[str]:
    """Axes of batches, and what differs between runs and is one number or name."""
    names = [name for run in runs for name in run.options.batch.axes]
    for name in dict.fromkeys(name for run in runs for name in run.given):
        values = [run.given.get(name) for run in runs]
        single = all(value is None or isinstance(value, str | int | float) for value in values)
        if single and any(value != values[0] for value in values):
            names.append(name)
    return list(dict.fromkeys(names))


def _places(run: _Run, point: Row, names: Sequence[str]) -> tuple[Cell, ...]:
    """Where a game lies on these axes; empty where neither its batch nor its run says."""
    places = [point.get(name, run.given.get(name)) for name in names]
    return tuple("" if place is None else place for place in places)


def _cell(value: float | None) -> Cell:
    return float("nan") if value is None else value
