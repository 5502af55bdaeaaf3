"""Experiments of a paper, run: train, measure at every place, and a table of what came out."""

import json
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from mfdsl.errors import unknown
from mfdsl.experiments import PAPERS, Budget, Course, Experiment, Place
from mfdsl.files import write_text
from mfdsl.game import Device, Game, load
from mfdsl.learning import learned_behaviour, prepare_training, train
from mfdsl.playing import Wanted, play
from mfdsl.records import explained, start_folder, start_run
from mfdsl.runtime.exploitability import Exploitability
from mfdsl.runtime.learning.keeping import keep
from mfdsl.runtime.learning.loop import Learned, LearningRecord
from mfdsl.runtime.learning.table import LearnerConfig
from mfdsl.runtime.solution import finite
from mfdsl.runtime.solvers.table import SOLVERS
from mfdsl.runtime.status import Status
from mfdsl.settings import Settings, resolve
from mfdsl.solving import prepare, run

GAMES = {"small": 20, "paper": 100}  # of a measurement
SLICE = 20  # of them side by side
SEED = 1 << 20  # of measurements; training has small ones
HEADER = (
    "experiment",
    "seed",
    "measured at",
    "return",
    "reference",
    "iterations",
    "steps",
    "CPU s",
)


@dataclass(frozen=True)
class Measured:
    """A return of the team at one place, with its standard error over games."""

    place: Place
    games: int
    mean: float
    std_error: float


@dataclass(frozen=True)
class Result:
    """One experiment at one seed; seconds are those of the processor, of training alone, and steps
    those of games in training, in which all agents move.
    """

    experiment: Experiment
    seed: int
    iterations: int
    steps: int
    seconds: float
    status: str
    run: Path
    measured: tuple[Measured, ...]
    exploitability: Exploitability | None = None

    @property
    def interrupted(self) -> bool:
        """Whether training was stopped before its end."""
        return self.status == Status.interrupted.name

    def to_json(self) -> dict[str, Any]:
        """The entries of the JSON table."""
        experiment = self.experiment
        return {
            "experiment": experiment.name,
            "spec": experiment.spec,
            "solver": experiment.solver,
            "seed": self.seed,
            "status": self.status,
            "iterations": self.iterations,
            "environment_steps": self.steps,
            "cpu_seconds": self.seconds,
            "run": str(self.run),
            "reference": experiment.reference,
            "exploitability": None
            if self.exploitability is None
            else self.exploitability.to_json(),
            "measured": [
                {
                    "agents": found.place.agents,
                    "parameters": dict(found.place.params),
                    "games": found.games,
                    "mean": finite(found.mean),
                    "std_error": finite(found.std_error),
                    "reference": found.place.reference,
                }
                for found in self.measured
            ],
        }


@dataclass(frozen=True)
class Request:
    """What is reproduced: experiments, how long (iterations times `scale`), where to write."""

    budget: Budget
    out: Path
    scale: float = 1.0
    device: Device = "cpu"


def experiments_of(paper: str, only: Sequence[str] = ()) -> tuple[Experiment, ...]:
    """The experiments of a paper, or those of them that are named.

    Raises:
        UsageError: there is no such paper or experiment.
    """
    if paper not in PAPERS:
        raise unknown("paper", paper, PAPERS)
    known = {experiment.name: experiment for experiment in PAPERS[paper]}
    for name in only:
        if name not in known:
            raise unknown(f"experiment of {paper}", name, known)
    return tuple(known[name] for name in only) if only else PAPERS[paper]


def reproduced(
    experiments: Iterable[Experiment],
    request: Request,
    on_progress: Callable[[Experiment, int, LearningRecord], None] | None = None,
) -> Iterable[Result]:
    """Each experiment at each seed, one after another; Ctrl-C ends with what there is.

    Raises:
        CompileError: the game cannot have the parameters of a place.
        UsageError: an option is wrong, a folder cannot be written, or memory is too small.
    """
    for experiment in experiments:
        course = experiment.courses[request.budget]
        for seed in range(course.seeds):
            made = _solved if experiment.solver in SOLVERS else _result
            result = made(experiment, course, seed, request, on_progress)
            yield result
            if result.interrupted:
                return


def _result(
    experiment: Experiment,
    course: Course,
    seed: int,
    request: Request,
    on_progress: Callable[[Experiment, int, LearningRecord], None] | None,
) -> Result:
    game = load(experiment.spec, params=dict(experiment.params))
    settings = resolve(
        game.model,
        experiment.solver,
        iterations=max(1, round(request.scale * course.iterations)),
        options={**experiment.options, **course.options},
    )
    training = prepare_training(game, settings, seed=seed, device=request.device)
    folder = start_folder(game, settings, seed, training.dtype, request.out / "runs")
    began = time.process_time()

    def heard(record: LearningRecord) -> None:
        if on_progress is not None:
            on_progress(experiment, seed, record)

    learned = train(training, on_progress=heard)
    seconds = time.process_time() - began
    with explained():
        keep(folder, learned)
    places = () if learned.status is Status.interrupted else experiment.places
    found = tuple(_measured(game, learned, place, GAMES[request.budget]) for place in places)
    return Result(
        experiment,
        seed,
        learned.iterations,
        learned.iterations * steps_of(game, settings),
        seconds,
        learned.status.name,
        folder.path,
        found,
        learned.exploitability,
    )


def steps_of(game: Game, settings: Settings) -> int:
    """Steps of games in one iteration of a learner: all games that it plays side by side.

    Raises:
        ValueError: a game without end, and no length of its episodes.
    """
    assert isinstance(settings.config, LearnerConfig)
    length = settings.config.steps or game.model.horizon.steps
    if length is None:
        raise ValueError(f"{game.name} has no end, and its episodes no length")
    return settings.config.games * length


def _solved(
    experiment: Experiment,
    course: Course,
    seed: int,
    request: Request,
    on_progress: Callable[[Experiment, int, LearningRecord], None] | None,
) -> Result:
    """An experiment with tables: what it reaches is an exploitability, which every report has."""
    game = load(experiment.spec, params=dict(experiment.params))
    # solvers that play draw from the seed of the run
    own = {} if SOLVERS[experiment.solver].plays else {"seed": seed}
    settings = resolve(
        game.model,
        experiment.solver,
        iterations=max(1, round(request.scale * course.iterations)),
        tolerance=0,
        options={**experiment.options, **course.options, **own},
    )
    job = prepare(game, settings, sweep={}, seed=seed, device=request.device)
    folder = start_run(job, request.out / "runs")
    began = time.process_time()
    solution = run(job)
    seconds = time.process_time() - began
    with explained():
        folder.save(solution)
    return Result(
        experiment,
        seed,
        solution.iterations,
        0,
        seconds,
        solution.status.name,
        folder.path,
        (),
        solution.exploitability,
    )


def _measured(game: Game, learned: Learned, place: Place, games: int) -> Measured:
    """The return of a policy at one place; networks are played there as they are."""
    there = game
    if place.params:
        there = load(game.compilation.name, params={**game.parameters, **place.params})
    learned = replace(learned, networks={k: v.cpu() for k, v in learned.networks.items()})
    behaviour, values = learned_behaviour(there, learned), []
    for part in range(math.ceil(games / SLICE)):
        wanted = Wanted(agents=place.agents, batch=min(SLICE, games), seed=SEED + part)
        rollout = play(there, behaviour, wanted)
        paid = [r.values for r in rollout.returns.values()]
        values.append(torch.stack(paid).sum(0) if rollout.team is None else rollout.team.values)
    found = torch.cat(values)
    error = found.std().item() / math.sqrt(len(found))
    return Measured(place, len(found), found.mean().item(), error)


def cells(result: Result) -> list[tuple[str, ...]]:
    """The lines of a result in the table, one for each place."""
    name, seed = result.experiment.name, str(result.seed)
    ends = (f"{result.iterations:,}", f"{result.steps:,}", f"{result.seconds:.0f}")
    if not result.measured and result.exploitability is not None:
        known = [place.reference for place in result.experiment.places]
        text = f"{known[0]:.3g} ({result.experiment.reference})" if known else ""
        return [(name, seed, "the exact law", gap_text(result.exploitability), text, *ends)]
    if not result.measured:
        return [(name, seed, "", result.status, "", *ends)]
    gap = "" if result.exploitability is None else f"; {gap_text(result.exploitability)}"
    return [
        (
            name,
            seed,
            where(m.place) + gap,
            f"{m.mean:.5g} ± {m.std_error:.2g}",
            _known(m, result),
            *ends,
        )
        for m in result.measured
    ]


def gap_text(gap: Exploitability) -> str:
    """An exploitability in words."""
    return f"exploitability {gap.value:.2g} ({gap.kind.replace('_', ' ')})"


def where(place: Place) -> str:
    """A place in words."""
    parts = [] if place.agents is None else [f"N = {place.agents:,}"]
    return ", ".join([*parts, *(f"{name} = {value}" for name, value in place.params.items())])


def _known(measured: Measured, result: Result) -> str:
    known = measured.place.reference
    return "" if known is None else f"{known:.5g} ({result.experiment.reference})"


def markdown(paper: str, title: str, request: Request, results: Sequence[Result]) -> str:
    """The table as a page."""
    lines = [f"# {paper}: {title}", "", f"Budget `{request.budget}`, iterations times"]
    lines[-1] += (
        f" {request.scale:g}. Undiscounted returns of the team (of an agent in a game) ± standard"
        " errors over games."
    )
    lines += ["", "| " + " | ".join(HEADER) + " |", "|" + "---|" * len(HEADER)]
    lines += ["| " + " | ".join(row) + " |" for result in results for row in cells(result)]
    return "\n".join(lines) + "\n"


def write_tables(
    paper: str, title: str, request: Request, results: Sequence[Result]
) -> tuple[Path, Path]:
    """Write PAPER.md and PAPER.json.

    Raises:
        UsageError: a file cannot be written.
    """
    request.out.mkdir(parents=True, exist_ok=True)
    page, data = request.out / f"{paper}.md", request.out / f"{paper}.json"
    write_text(page, markdown(paper, title, request, results))
    write_text(data, json.dumps(table_json(paper, request, results), indent=1) + "\n")
    return page, data


def table_json(paper: str, request: Request, results: Sequence[Result]) -> dict[str, Any]:
    """The JSON contract of `mfdsl reproduce`."""
    return {
        "paper": paper,
        "budget": request.budget,
        "scale": request.scale,
        "results": [result.to_json() for result in results],
    }
