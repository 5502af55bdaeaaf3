"""Exact solvers of continuous games: prepare, run, keep, play, and write as JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mfdsl.batches import Batch
from mfdsl.compiler.analysis.structure.quadratics import (
    LinearQuadratic,
    Quadratic as Read,
    placed,
)
from mfdsl.compiler.backend.particles.emit import emit_particles
from mfdsl.compiler.ir.model import DEFAULT_AGENTS, Model, Player, Values, Variable
from mfdsl.entries import shaped, whole_columns
from mfdsl.errors import UsageError
from mfdsl.game import Device, Dtype, Game as Spec
from mfdsl.parameters import Sweep, check_sweep, combinations
from mfdsl.quadratic import quadratics
from mfdsl.records import explained, read_options, settings_of_run
from mfdsl.runtime.agents import AgentProgram, load_agents
from mfdsl.runtime.behaviours import Behaviour
from mfdsl.runtime.runs import RunFolder
from mfdsl.runtime.solution import License
from mfdsl.runtime.solvers.base import SolverError
from mfdsl.runtime.solvers.riccati.backwards import ended_with
from mfdsl.runtime.solvers.riccati.behaviour import Affine
from mfdsl.runtime.solvers.riccati.forms import Form, Quadratic
from mfdsl.runtime.solvers.riccati.game import Game
from mfdsl.runtime.solvers.riccati.keeping import keep, policy_in
from mfdsl.runtime.solvers.riccati.plan import Policy
from mfdsl.runtime.solvers.riccati.simulated import law_of
from mfdsl.runtime.solvers.riccati.solution import ExactSolution
from mfdsl.runtime.solvers.riccati.solve import Problem, problem_of, solution_of
from mfdsl.runtime.solvers.riccati.sweep import ExactSweep
from mfdsl.runtime.solvers.riccati.table import EXACT, RICCATI, RiccatiConfig
from mfdsl.settings import Settings
from mfdsl.swept import check_points

OTHERS = ("mean_others", "mean_others_if")


@dataclass(frozen=True, eq=False)
class ExactJob:
    """A linear-quadratic game that is about to be solved, at each of the points of a sweep: one
    empty point without one.
    """

    game: Spec
    settings: Settings
    problems: tuple[Problem, ...]
    points: tuple[Mapping[str, float], ...]
    license: License
    seed: int
    dtype: Dtype

    @property
    def problem(self) -> Problem:
        """The only problem, or the first one."""
        return self.problems[0]


def prepare_exact(
    game: Spec,
    settings: Settings,
    *,
    seed: int = 0,
    device: Device = "cpu",
    dtype: Dtype = "float64",
    sweep: Sweep | None = None,
) -> ExactJob:
    """Read the matrices of a game and compare them with its simulator, at each point of a sweep.

    Raises:
        UsageError: the game is not linear-quadratic for certain, or its horizon is stationary, or
            the sweep does not fit it, or another device is asked for than the CPU.
    """
    if device == "cuda":
        raise UsageError(f"{settings.solver} computes on the CPU", "--device cpu")
    check_sweep(game.model, sweep or {})
    check_points(game, Batch(dict(sweep or {})))
    points = tuple(combinations(sweep or {}))
    problems = []
    try:
        program = None
        for point in points:
            columns = whole_columns(game.model, {name: [v] for name, v in point.items()})
            values = {name: column[0] for name, column in columns.items()}
            forms = _forms(game.model, values, settings.solver)
            program = program or _limit_program(game)
            rows = {name: shaped(game.model, name, value) for name, value in values.items()}
            params = program.params(rows, dtype=torch.float64)
            problems.append(problem_of(forms, program, params, _agents(game.model, settings)))
    except SolverError as error:
        raise UsageError(str(error)) from None
    names = ", ".join(f"`{player.name}`" for player in game.model.players)
    text = f"linear_quadratic proved of {names}; matrices as the simulator has them to 1e-10"
    license = License(EXACT[RICCATI].requires, "proved", text)
    return ExactJob(game, settings, tuple(problems), points, license, seed, dtype)


def run_exact(job: ExactJob) -> ExactSolution:
    """Solve a game without a sweep.

    Raises:
        UsageError: there is no solution, or not one, or players see too little to play it.
    """
    return _solved(job, job.problem, {})


def run_sweep(job: ExactJob) -> ExactSweep:
    """Solve at each point of a sweep.

    Raises:
        UsageError: there is no solution at a point, or not one, or players see too little.
    """
    pairs = zip(job.problems, job.points, strict=True)
    return ExactSweep(job.points, tuple(_solved(job, problem, point) for problem, point in pairs))


def _solved(job: ExactJob, problem: Problem, point: Mapping[str, float]) -> ExactSolution:
    at = "".join(f" at {name} = {value:g}" for name, value in point.items())
    try:
        return solution_of(
            problem,
            license=job.license,
            options=job.settings.config.model_dump(),
            tolerance=job.settings.tolerance,
            seed=job.seed,
            dtype=np.dtype(job.dtype),
        )
    except np.linalg.LinAlgError:
        raise UsageError(
            f"the equations of `{job.game.name}`{at} are not finite, or too ill-conditioned",
            "check the sizes of its parameters, and the horizon",
        ) from None
    except SolverError as error:
        text = f"{at[1:]}: {error}" if at else str(error)
        raise UsageError(text, "or take another solver: `mfdsl solvers SPEC`") from None


def keep_exact(folder: RunFolder, job: ExactJob, found: ExactSolution | ExactSweep) -> None:
    """Write what was found into its run folder.

    Raises:
        UsageError: a file cannot be written.
    """
    with explained():
        keep(folder, found, getattr(torch, job.dtype))


@dataclass(frozen=True, eq=False)
class ExactRun:
    """A saved exact solution: its game, its policy, how that is played, and its folder."""

    job: ExactJob
    solved: Game
    policy: Policy
    behaviour: Behaviour
    folder: RunFolder

    @property
    def game(self) -> Spec:
        """The spec that was solved."""
        return self.job.game


def exact_of_run(game: Spec, folder: RunFolder) -> ExactJob:
    """The job of a run as it was started.

    Raises:
        UsageError: the run is of another game, or its options no longer exist.
    """
    options = read_options(folder)
    settings = settings_of_run(game, folder, options)
    return prepare_exact(game, settings, seed=options.seed, dtype=options.dtype)


def exact_run(game: Spec, folder: RunFolder) -> ExactRun:
    """The saved solution of a run, and the game that it is measured in.

    Raises:
        UsageError: the run is damaged or of another game.
    """
    if read_options(folder).sweep:
        raise UsageError(
            f"{folder.path} has a policy for each value of its sweep",
            "solve one value with --set",
        )
    job = exact_of_run(game, folder)
    with explained():
        policy = policy_in(folder, job.problem.game)
    ended = ended_with(job.problem.game, policy)
    return ExactRun(job, ended, policy, Affine(ended, policy), folder)


def solution_behaviour(game: Spec, solution: ExactSolution) -> Behaviour:
    """How a solution is played in its game.

    Raises:
        UsageError: it is of another game.
    """
    names = {p.name for p in game.model.players}
    if any(player.name not in names for player in solution.game.paid):
        raise UsageError(f"the policy is of another game than `{game.name}`")
    return Affine(solution.game, solution.policy)


def finished(path: Path) -> UsageError:
    """The error of going on with an exact run."""
    return UsageError(
        f"the run in {path} is exact: there is nothing to go on with",
        "solve again, with other parameters",
    )


def exact_json(job: ExactJob, found: ExactSolution | ExactSweep, run: str | None) -> dict[str, Any]:
    """The JSON contract of `mfdsl solve` for exact solvers."""
    return {"spec": job.game.compilation.name, **found.to_json(), "run": run}


def _forms(model: Model, point: Mapping[str, Values], solver: str) -> list[Form]:
    """The forms of all players at these values of parameters.

    Raises:
        UsageError: the game is not linear-quadratic for certain, or its horizon is stationary.
    """
    parameters = tuple(
        p.model_copy(update={"value": point[p.name]}) if p.name in point else p
        for p in model.parameters
    )
    found = quadratics(model.model_copy(update={"parameters": parameters}))
    if found.reason is not None:
        raise UsageError(
            f"{solver} needs a linear-quadratic game: {found.reason}",
            "take another solver: `mfdsl solvers SPEC`",
        )
    players = zip(model.players, found.forms, strict=True)
    return [_form(model, player, form) for player, form in players]


def _agents(model: Model, settings: Settings) -> Mapping[str, int] | None:
    """Numbers of agents by population; None where a mean of the others is not that of all."""
    if any(node.op in OTHERS for node in model.nodes):
        return None
    assert isinstance(settings.config, RiccatiConfig)
    wanted = settings.config.agents
    return {p.name: wanted or p.agents or DEFAULT_AGENTS for p in model.populations}


def _limit_program(game: Spec) -> AgentProgram:
    """The simulator whose means over others are means over all, as they are in the limit."""
    if not any(node.op in OTHERS for node in game.model.nodes):
        return game.agents
    nodes = tuple(
        node.model_copy(update={"op": node.op.replace("_others", "")})
        if node.op in OTHERS
        else node
        for node in game.model.nodes
    )
    model = game.model.model_copy(update={"nodes": nodes})
    name = Path(game.compilation.name).name
    key = game.key
    text = emit_particles(model, source_name=name, digest=key[:8])
    return load_agents(text, model, game.name)


def _form(model: Model, player: Player, read: LinearQuadratic) -> Form:
    """A form of the runtime from that of a certificate."""
    noises: dict[str, tuple[float, float]] = {}
    for noise in player.noises:
        law = None if noise.law is None else law_of(noise.law)
        if law is None:
            raise SolverError(
                f"the noise `{noise.name}` of {player.name} has no mean and variance in closed form"
            )
        noises |= dict.fromkeys(_entries(model, noise), law)
    return Form(
        player.name,
        player.kind,
        read.states,
        tuple(name for trait in player.traits for name in _entries(model, trait)),
        tuple(name for action in player.actions for name in _entries(model, action)),
        read.z,
        read.offset,
        read.slopes,
        _quadratic(read.running),
        _quadratic(read.final),
        noises,
    )


def _quadratic(read: Read) -> Quadratic:
    return Quadratic(read.constant, read.linear, read.matrix)


def _entries(model: Model, variable: Variable) -> list[str]:
    """The names of the entries of a variable, as forms have them."""
    dims = model.types[variable.type].dims
    return [placed(variable.name, place) for place in np.ndindex(*dims)]
