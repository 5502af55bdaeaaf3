"""What the command line of `mfdsl solve` asks for, and the words that ask for it again."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mfdsl import api
from mfdsl.batches import FILE, OPTION, SEED, Batch, Point
from mfdsl.errors import UsageError
from mfdsl.settings import Settings

if TYPE_CHECKING:
    from mfdsl.solving import Job


@dataclass(frozen=True, slots=True)
class Limits:
    """When to stop, as far as the command line says, and whether events are written."""

    iterations: int | None
    tolerance: float | None
    tensorboard: bool


@dataclass(frozen=True, slots=True)
class Request:
    """A new solve; `kind` is the precision, None for what is usual for the solver. To
    `explain` is to run nothing. It begins at the uniform policy without a `start`.
    """

    spec: str
    solver: str | None
    limits: Limits
    options: tuple[str, ...]
    settings: tuple[str, ...]
    files: tuple[str, ...]
    sweep: tuple[str, ...]
    seed: int
    seeds: int
    share: tuple[int, int]
    device: api.Device
    kind: api.Dtype | None
    out: Path
    explain: bool = False
    start: str | None = None

    def words(self) -> list[str]:
        """The command line, without its share and its folder."""
        limits = self.limits
        pairs: list[tuple[str, object]] = [
            ("--solver", self.solver),
            ("--iterations", limits.iterations),
            ("--tol", limits.tolerance),
            *(("--opt", option) for option in self.options),
            *(("--set", setting) for setting in self.settings),
            *(("--params", file) for file in self.files),
            *(("--sweep", sweep) for sweep in self.sweep),
            ("--seed", self.seed or None),
            ("--seeds", self.seeds if self.seeds > 1 else None),
            ("--start", self.start),
            ("--device", self.device if self.device != "cpu" else None),
            ("--dtype", self.kind),
        ]
        words = ["solve", self.spec]
        for flag, value in pairs:
            words += [] if value is None else [flag, str(value)]
        return words + (["--tensorboard"] if limits.tensorboard else [])

    def at(self, point: Point) -> "Request":
        """The request for one game of its batch, as a game of its own."""
        settings, options, files, seed = self.settings, self.options, self.files, self.seed
        for name, value in point.items():
            if name == FILE:
                files = (str(value),)
            elif name == SEED:
                seed = int(value)
            elif name.startswith(OPTION):
                options = (*options, f"{name.removeprefix(OPTION)}={value!r}")
            else:
                settings = (*settings, f"{name}={value!r}")
        return replace(
            self,
            options=options,
            settings=settings,
            files=files,
            sweep=(),
            seed=seed,
            seeds=1,
            share=(0, 1),
        )


def read_share(text: str | None) -> tuple[int, int]:
    """`K/N` as numbers.

    Raises:
        UsageError: it is not of that form, or K is not below N.
    """
    if text is None:
        return 0, 1
    k, slash, n = text.partition("/")
    if not (slash and k.isdecimal() and n.isdecimal() and int(k) < int(n)):
        raise UsageError(
            f"`--share {text}` is not K/N with K from 0 to N - 1", "the first of 36: --share 0/36"
        )
    return int(k), int(n)


def job_of(game: api.Game, settings: Settings, request: Request, batch: Batch) -> "Job":
    """The solve on tables that is asked for, ready to run.

    Raises:
        UsageError: what `prepare` refuses, or a start that is no run of such a game.
    """
    from mfdsl.records import start_of
    from mfdsl.solving import prepare

    return prepare(
        game,
        settings,
        sweep=batch,
        seed=request.seed,
        device=request.device,
        dtype=request.kind or "float64",
        start=None if request.start is None else start_of(request.start, game),
    )
