"""A simulation of N agents: under the uniform policy, or under that of a run."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import torch

from mfdsl.compiler.driver import ParameterValue
from mfdsl.compiler.tabular.grids import Bins
from mfdsl.compiler.tabular.reduce import reduced
from mfdsl.counting import By, countable
from mfdsl.errors import UsageError
from mfdsl.files import write_into
from mfdsl.game import Device, Dtype, Game, load, loaded
from mfdsl.learning import Training, prepare_training
from mfdsl.records import (
    explained,
    goes_along,
    job_of_run,
    open_run,
    read_options,
    settings_of_run,
)
from mfdsl.runtime.counted.chances import chances_of
from mfdsl.runtime.counted.simulate import CountedSimulator
from mfdsl.runtime.evaluate import build_view
from mfdsl.runtime.policy import TabularPolicy
from mfdsl.runtime.program import Params
from mfdsl.runtime.runs import RunFolder
from mfdsl.runtime.simulator import Rollout
from mfdsl.runtime.solution import finite
from mfdsl.runtime.solvers.table import SOLVERS
from mfdsl.runtime.tabled import Tabled
from mfdsl.runtime.views.particles import Simulation, games_of, simulate as run_particles
from mfdsl.solving import find_device

AGENTS = 1000
ROUNDING = 1e-3  # of the sum of chances in single precision


@dataclass(frozen=True, eq=False)
class Setting:
    """Who plays what: a game at given parameters, a policy, and the run that the policy is from.

    `swept` runs have one policy for each value of a parameter.
    """

    game: Game
    params: Params
    policy: TabularPolicy
    run: Path | None = None
    swept: bool = False


def setting(
    spec: Game | str | Path | None,
    run: Path | None,
    values: Mapping[str, ParameterValue],
    *,
    device: Device,
    dtype: Dtype,
) -> Setting:
    """The uniform policy of a spec, or the policy of a run at the parameters it was solved at.

    Raises:
        CompileError: the spec has errors.
        UsageError: neither is given, the run is damaged or of another game, or values are given
            beside a run.
    """
    if run is not None:
        if values:
            raise UsageError("a run keeps its parameters", "leave out --set and --params")
        return setting_of_run(spec, run, device)
    if spec is None:
        raise UsageError("which game?", "`mfdsl simulate specs/sis.mfg`, or `--policy RUN`")
    return uniform_setting(loaded(spec, values), device=device, dtype=dtype)


def uniform_setting(game: Game, *, device: Device = "cpu", dtype: Dtype = "float64") -> Setting:
    """A game under the policy that takes all legal actions equally often."""
    place = find_device(device)
    params = game.program.params(dtype=getattr(torch, dtype), device=place)
    return Setting(game, params, build_view(game.program, params).uniform())


def game_of_run(spec: Game | str | Path | None, folder: RunFolder) -> Game:
    """The game of a run: the one that is given, or from a spec, by default the one that it keeps.

    Raises:
        CompileError: the spec has errors.
        UsageError: the run is damaged.
    """
    if isinstance(spec, Game):
        return spec
    return load(spec or folder.path / "spec.mfg", params=read_options(folder).parameters)


def has_tables(spec: Game | str | Path | None, run: Path) -> bool:
    """Whether the game of a run is tabular as it is written, so that its tables can be played.

    Raises:
        CompileError: the spec has errors.
        UsageError: the run is damaged.
    """
    folder = open_run(run)
    options = read_options(folder)
    if options.solver not in SOLVERS or goes_along(options):
        return False
    return game_of_run(spec, folder).model.tabular


def training_of_run(game: Game, folder: RunFolder, *, device: Device = "cpu") -> Training:
    """The learner of a run as it was at the start.

    Raises:
        UsageError: the run is of another game, or its options no longer exist.
    """
    options = read_options(folder)
    settings = settings_of_run(game, folder, options)
    return prepare_training(game, settings, seed=options.seed, device=device, dtype=options.dtype)


def setting_of_run(spec: Game | str | Path | None, run: Path, device: Device = "cpu") -> Setting:
    """The policy of a run at the parameters it was solved at.

    Raises:
        CompileError: the spec has errors.
        UsageError: the run is damaged or of another game.
    """
    folder = open_run(run)
    options = read_options(folder)
    job = job_of_run(game_of_run(spec, folder), folder, options, device=device)
    with explained():
        policy = folder.policy(job.game.program)
    _refuse_no_chances(policy, folder)
    probs = policy.probs.to(device=job.device)
    policy = TabularPolicy(probs, policy.states, policy.actions)
    return Setting(job.game, job.params, policy, run, bool(options.batch.axes))


def _refuse_no_chances(policy: TabularPolicy, folder: RunFolder) -> None:
    """Nobody can follow what is left where a solver ended in numbers that are not finite."""
    probs = policy.probs
    sums_to_one = (probs.sum(-1) - 1).abs() <= ROUNDING  # no number is near to nan
    if not bool((probs >= 0).all() and sums_to_one.all()):
        raise UsageError(
            f"the policy of {folder.path} cannot be played: not all of it is probabilities",
            "`summary.json` there says how the solve ended; solve again with smaller steps",
        )


def run_agents(
    setting: Setting,
    *,
    agents: int | None = None,
    batch: int = 1,
    steps: int | None = None,
    seed: int = 0,
    record_laws: bool = False,
    by: By = "auto",
) -> Simulation:
    """Simulate `agents`, by default as many as the spec says, or 1,000; many are counted.

    Raises:
        UsageError: a size is out of range, the memory is too small, the tables of the game stand
            for another one, or agents are to be counted who cannot be.
    """
    if not setting.game.model.tabular:
        raise UsageError(
            f"`{setting.game.name}` has no laws by state that agents could be counted in",
            "`--record FILE.npz` writes everything that happens",
        )
    number = agents or setting.game.model.population.agents or AGENTS
    try:
        behaviour = Tabled(setting.policy, reduced(setting.game.model, Bins()), setting.game.model)
        program = countable(setting.game, behaviour, [number], by)
        if program is not None:
            games = games_of(setting.game.program, setting.params, setting.policy, batch)
            simulator = CountedSimulator(
                program, setting.params, agents=number, batch=games, seed=seed
            )
            chances = chances_of(behaviour, setting.game.model)
            assert chances is not None
            return _counted(simulator.rollout(chances, steps=steps, record=record_laws))
        return run_particles(
            setting.game.program,
            setting.policy,
            setting.params,
            agents=number,
            batch=batch,
            steps=steps,
            seed=seed,
            record_laws=record_laws,
        )
    except ValueError as error:
        raise UsageError(str(error)) from None
    except torch.OutOfMemoryError:
        raise UsageError("not enough memory", "simulate fewer agents or games at once") from None


def _counted(rollout: Rollout) -> Simulation:
    """The simulation of one population that was counted."""
    (name,), (number,) = rollout.agents.keys(), rollout.agents.values()
    found, laws = rollout.returns[name], None
    if rollout.record:
        counts = rollout.record[f"{name}.count"].transpose(0, 1)
        laws = counts.flatten(2).to(found.values) / number
    return Simulation(
        agents=number,
        batch=rollout.batch,
        steps=rollout.steps,
        returns=found.values,
        mean=found.mean,
        std_error=found.std_error,
        seconds=rollout.seconds,
        laws=laws,
        by="counts",
    )


def simulation_json(setting: Setting, simulation: Simulation) -> dict[str, Any]:
    """The JSON contract of `mfdsl simulate`."""
    returns = {"mean": finite(simulation.mean), "std_error": finite(simulation.std_error)}
    return {
        "spec": setting.game.compilation.name,
        "agents": simulation.agents,
        "batch": simulation.batch,
        "steps": simulation.steps,
        "returns": {setting.game.program.population: returns},
        "by": simulation.by,
        "agent_steps_per_second": simulation.agent_steps_per_second,
        "run": str(setting.run) if setting.run is not None else None,
    }


def write_simulation(setting: Setting, simulation: Simulation, target: Path) -> None:
    """Write `simulation.json` and, when they were recorded, the laws as `laws.npz` into a folder,
    whose other files stay.

    Raises:
        UsageError: the folder cannot be written, or the disk is full.
    """
    document = json.dumps(simulation_json(setting, simulation), indent=1) + "\n"
    files = {"simulation.json": document.encode()}
    if simulation.laws is not None:
        arrays = io.BytesIO()
        numpy.savez_compressed(arrays, laws=simulation.laws.cpu().numpy())
        files["laws.npz"] = arrays.getvalue()
    write_into(target, files)
