"""Batches: which games are solved together. A batch is the product of its axes.

Axes are parameter files, swept parameters, swept options of the solver (`opt.learning_rate`) and
seeds. Nothing here imports torch.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, product
from pathlib import Path

from mfdsl.compiler.diagnostics import CompileError
from mfdsl.compiler.ir.model import Model, Values
from mfdsl.errors import UsageError
from mfdsl.game import Game, load
from mfdsl.parameters import MAX_SWEEP, Sweep, check_sweep, expanded_paths, gather
from mfdsl.runtime.solvers.table import SOLVERS, Row
from mfdsl.settings import Settings, validated

OPTION = "opt."
SEED = "seed"
FILE = "params"
RANDOM = "random"  # a start that is drawn with the seed

Number = int | float
Point = Mapping[str, Number | str]


@dataclass(frozen=True)
class Batch:
    """Games that are solved together: each point of the product of all axes is one.

    `sets` has for each parameter file the values in which the files differ. `share` (k, n) leaves
    the k-th of n shares of the points. Where first policies are `drawn`, each game begins at that
    of its seed, so that seeds are an axis of solvers that draw nothing themselves.
    """

    sweep: Sweep = field(default_factory=dict)
    sets: Mapping[str, Mapping[str, Values]] = field(default_factory=dict)
    seeds: tuple[int, ...] = ()
    share: tuple[int, int] = (0, 1)
    drawn: bool = False

    @property
    def axes(self) -> dict[str, tuple[Number | str, ...]]:
        """The values of each axis by name; the last axis varies fastest."""
        found: dict[str, tuple[Number | str, ...]] = {}
        if self.sets:
            found[FILE] = tuple(self.sets)
        found |= self.sweep
        if len(self.seeds) > 1:
            found[SEED] = self.seeds
        return found

    @property
    def size(self) -> int:
        """The number of points of all shares."""
        return math.prod(len(values) for values in self.axes.values())

    @property
    def options(self) -> dict[str, tuple[Number, ...]]:
        """The swept options of the solver, without their prefix."""
        return {
            name.removeprefix(OPTION): values
            for name, values in self.sweep.items()
            if name.startswith(OPTION)
        }

    def first_options(self) -> dict[str, Number]:
        """The swept options of the solver at their first values."""
        return {name: values[0] for name, values in self.options.items()}

    @property
    def parameters(self) -> Sweep:
        """The swept parameters."""
        return {n: values for n, values in self.sweep.items() if not n.startswith(OPTION)}

    def points(self) -> tuple[dict[str, Number | str], ...]:
        """The points of the share, by name of axis; one empty point without axes.

        Raises:
            UsageError: there are more than 100,000 points in all, or fewer than shares.
        """
        first, last = self.bounds()
        axes = self.axes
        return tuple(
            dict(zip(axes, point, strict=True))
            for point in islice(product(*axes.values()), first, last)
        )

    def bounds(self) -> tuple[int, int]:
        """The first point of the share, and the one after its last.

        Raises:
            UsageError: there are more than 100,000 points in all, or fewer than shares.
        """
        (k, n), count = self.share, self.size
        if count > MAX_SWEEP:
            raise UsageError(
                f"the sweep has {count:,} combinations, the limit is {MAX_SWEEP:,}",
                "sweep fewer values at once",
            )
        if n > count:
            raise UsageError(f"{count:,} games make no {n:,} shares", "`--jobs` at most so many")
        return k * count // n, (k + 1) * count // n

    def columns(self) -> dict[str, list[Values]]:
        """For each parameter that varies its value in each game of the share."""
        found: dict[str, list[Values]] = {}
        for point in self.points():
            values: dict[str, Values] = {n: v for n, v in numbers_of(point) if n in self.parameters}
            values = {**self.sets.get(str(point.get(FILE)), {}), **values}
            for name, value in values.items():
                found.setdefault(name, []).append(value)
        return found

    def varied(self) -> dict[str, tuple[Number, ...]]:
        """For each option of the solver that varies, `seed` too, its value in each game."""
        points = self.points()
        names = [name for name in self.axes if name == SEED or name.startswith(OPTION)]
        return {
            name.removeprefix(OPTION): tuple(dict(numbers_of(point))[name] for point in points)
            for name in names
        }


def seeds_of(first: int, count: int) -> tuple[int, ...]:
    """The seeds of a batch from the first one; none where one run is all.

    Raises:
        UsageError: there are more than 100,000.
    """
    if count > MAX_SWEEP:
        raise UsageError(f"{count:,} seeds, the limit is {MAX_SWEEP:,}", "run fewer seeds at once")
    return tuple(range(first, first + count)) if count > 1 else ()


def batch_of(sweep: Sweep | Batch) -> Batch:
    """A sweep alone as a batch."""
    return sweep if isinstance(sweep, Batch) else Batch(dict(sweep))


def numbers_of(point: Point) -> Iterator[tuple[str, Number]]:
    """The axes of a point that are no files, with their values."""
    return ((name, value) for name, value in point.items() if not isinstance(value, str))


def check_batch(model: Model, settings: Settings, batch: Batch) -> None:
    """Refuse axes that do not fit the game or its solver.

    Raises:
        UsageError: names the axis and what it may be.
    """
    check_sweep(model, batch.parameters)
    for name in (SEED, FILE):
        if name in batch.parameters and name in Batch(sets=batch.sets, seeds=batch.seeds).axes:
            raise UsageError(
                f"`{name}` is an axis of the batch and a parameter", "sweep one of both"
            )
    clash = [n for values in batch.sets.values() for n in values if n in batch.parameters]
    if clash:
        raise UsageError(f"`{clash[0]}` is swept, and differs between parameter files")
    for name, values in batch.options.items():
        if len(set(values)) < len(values):
            again = next(value for value in values if values.count(value) > 1)
            raise UsageError(
                f"`{OPTION}{name}` is {again:g} more than once", "sweep each value once"
            )
        for value in values:
            validated(settings.solver, {**settings.config.model_dump(), name: value})
    row = SOLVERS.get(settings.solver)
    if row is not None and len(batch.points()) > 1:
        _check_together(row, batch)


def _check_together(row: Row, batch: Batch) -> None:
    """Refuse games that differ in what the arithmetic of the solver has once for all of them."""
    each = "one game for each job: `--cluster local --jobs`, or `--dry-run`"
    if row.plays and set(batch.axes) != {SEED}:
        reason = "learns from the agents of one game, and a batch has several"
        raise UsageError(f"{row.name} {reason}", each)
    for name in batch.options:
        if name not in row.varied:
            able = ", ".join(f"`{OPTION}{option}`" for option in row.varied if option != SEED)
            reason = f"only {able} may" if able else "no option may"
            raise UsageError(f"`{OPTION}{name}` of {row.name} is one for all: {reason} vary", each)
    if len(batch.seeds) > 1 and SEED not in row.varied:
        if row.plays or SEED in row.config.model_fields:
            raise UsageError(f"{row.name} learns with one seed at a time", each)
        if not batch.drawn:
            raise UsageError(
                f"{row.name} draws nothing, so all seeds make the same run",
                "leave out the seeds, or begin at policies that are drawn: `--start random`",
            )


def with_sets(
    spec: str, files: Sequence[str], settings: Sequence[str]
) -> tuple[Game, dict[str, dict[str, Values]]]:
    """The game at the first of several parameter files, and by file what differs between them.

    Every file is compiled, so that what the spec requires is checked at its values.

    Raises:
        CompileError: the spec has errors at the values of a file.
        UsageError: a file cannot be read, or files differ in what fixes sizes.
    """
    paths = expanded_paths(files)
    if len(paths) < 2:
        return load(spec, params=gather(settings, paths[0] if paths else None)), {}
    games = {str(path): _at(spec, path, settings) for path in paths}
    first = next(iter(games.values()))
    bound = {label: _bound(game.model) for label, game in games.items()}
    differ = [
        name
        for name, value in _bound(first.model).items()
        if any(values[name] != value for values in bound.values())
    ]
    if not differ:
        raise UsageError(
            f"the parameter files say the same, from {paths[0]} to {paths[-1]}",
            "give files that differ in a parameter, or one of them",
        )
    for parameter in first.model.parameters:
        if parameter.structural and parameter.name in differ:
            raise UsageError(
                f"`{parameter.name}` fixes sizes, bounds or the horizon, and differs between "
                f"{paths[0]} and others",
                "solve once for each file, and gather with `mfdsl table RUN RUN ...`",
            )
    return first, {label: {n: values[n] for n in differ} for label, values in bound.items()}


def _at(spec: str, path: Path, settings: Sequence[str]) -> Game:
    """The game at the values of a file, which is named where they do not fit."""
    try:
        return load(spec, params=gather(settings, path))
    except CompileError as error:
        note = f"at the values of {path}"
        found = (replace(d, notes=(*d.notes, note)) for d in error.diagnostics)
        raise CompileError(tuple(found), error.sources) from None


def _bound(model: Model) -> dict[str, Values]:
    return {parameter.name: parameter.value for parameter in model.parameters}
