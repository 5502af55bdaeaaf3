"""The verbs as typed functions: they return values and print nothing.

Torch is imported by the verbs that compute, not by those that check and compile.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mfdsl.artifact import Artifact, write_artifact
from mfdsl.batches import Batch
from mfdsl.compiler.analysis.balls import available
from mfdsl.compiler.analysis.proofs.archive import REPLAYED, Archive, keeping
from mfdsl.compiler.analysis.questions import QuestionError, answers
from mfdsl.compiler.analysis.regularity import regularity
from mfdsl.compiler.driver import Options, compile_file
from mfdsl.errors import UsageError
from mfdsl.game import Device, Dtype, Game, Parameters, load
from mfdsl.parameters import Sweep
from mfdsl.planning import ALONG
from mfdsl.proofs import Recheck, proof_of, recheck_file, write_proof
from mfdsl.report import Report
from mfdsl.runtime.learning.table import LEARNERS
from mfdsl.runtime.solvers.riccati.table import EXACT
from mfdsl.settings import Settings, resolve, with_settings_checked
from mfdsl.shipped import find_spec

if TYPE_CHECKING:
    from mfdsl.calibrating import Calibration
    from mfdsl.compiler.analysis.certificate import Certificate
    from mfdsl.compiler.ir.model import Model
    from mfdsl.counting import By
    from mfdsl.runtime.behaviours import Behaviour
    from mfdsl.runtime.learning.loop import Learned, LearningRecord
    from mfdsl.runtime.learning.planner import Execution
    from mfdsl.runtime.policy import TabularPolicy
    from mfdsl.runtime.runs import RunFolder
    from mfdsl.runtime.simulator import Rollout
    from mfdsl.runtime.solution import Solution
    from mfdsl.runtime.solvers.networks.path_solution import PathSolution
    from mfdsl.runtime.solvers.riccati.solution import ExactSolution
    from mfdsl.runtime.solvers.riccati.sweep import ExactSweep
    from mfdsl.runtime.views.particles import Simulation
    from mfdsl.validating.outcome import Validation

    Solved = TabularPolicy | Learned | PathSolution | ExactSolution

__all__ = [
    "Artifact",
    "Device",
    "Dtype",
    "Game",
    "Recheck",
    "Report",
    "calibrate",
    "check",
    "compile",
    "load",
    "recheck",
    "resume",
    "simulate",
    "solve",
    "validate",
]

Effort = Literal["none", "default", "high"]
Accept = Literal["proved", "tested"]


def check(
    path: str | Path,
    *,
    params: Parameters | None = None,
    accept: Accept = "tested",
    effort: Effort = "default",
    ask: Sequence[str] = (),
    whole_box: bool = False,
    keep_proof: str | Path | None = None,
) -> Report:
    """Check a spec; what is wrong with it is in the report, and what is proved about it.

    `effort` is the time for what the spec does not `require`: none, 0.6 or 30 seconds. With
    questions to `ask`, such as `lipschitz(reward, mu)`, these are answered instead. With
    `whole_box` constants hold for all values of the parameters in their ranges. The searches of
    what is required are replayed in balls if python-flint is installed and they are short, with
    high effort or `keep_proof` those of all constants. A proof is written only for a spec without
    errors.

    Raises:
        UsageError: a name that is neither a file nor a shipped game, or a question that makes no
            sense for the game, or a file that cannot be written.
    """
    options = Options(parameters=dict(params or {}), accept=accept)
    patient = keep_proof is not None or effort == "high"
    archive = Archive(most=None if patient else REPLAYED)
    with keeping(archive if patient or available() else None):
        compilation = with_settings_checked(compile_file(find_spec(path), options))
    if compilation.model is None or not compilation.ok:
        return Report(compilation)
    with keeping(archive if patient else None):
        more = _more(compilation.model, effort, ask, whole_box)
    report = Report(compilation, more, whole_box)
    if keep_proof is not None:
        proof = proof_of(
            compilation.model,
            report.certificates,
            archive.claims,
            parameters=options.parameters,
            whole_box=whole_box,
        )
        write_proof(keep_proof, proof)
    return report


def _more(
    model: "Model", effort: Effort, ask: Sequence[str], whole_box: bool
) -> "tuple[Certificate, ...]":
    """What a spec does not require: answers to questions, or everything else."""
    if not ask:
        return regularity(model, effort, whole_box=whole_box)
    try:
        return tuple(c for text in ask for c in answers(model, text, whole_box=whole_box))
    except QuestionError as error:
        raise UsageError(str(error), error.hint) from None


def recheck(path: str | Path, proof: str | Path, *, params: Parameters | None = None) -> Recheck:
    """Check the proof in a file, written by `check(..., keep_proof=file)`, against a spec: bounds,
    witnesses and rules again, without a search. Parameters are those of the proof by default.

    Raises:
        CompileError: the spec has errors.
        UsageError: the file is no proof, or one of another game or of other parameters.
    """
    return recheck_file(path, proof, dict(params or {}))


def compile(
    path: str | Path, *, out: str | Path = "build", params: Parameters | None = None
) -> Artifact:
    """Compile a spec into `out/<name>-<key>/`; equal inputs give equal bytes.

    Raises:
        CompileError: the spec has errors.
        UsageError: the folder cannot be written.
    """
    game = load(path, params=params)
    return write_artifact(game.compilation, game.parameters, Path(out))


def solve(
    game: Game | str | Path,
    solver: str | None = None,
    *,
    iterations: int | None = None,
    tolerance: float | None = None,
    options: Mapping[str, Any] | None = None,
    params: Parameters | None = None,
    sweep: Sweep | None = None,
    seed: int = 0,
    seeds: int = 1,
    device: Device = "cpu",
    dtype: Dtype | None = None,
    out: str | Path | None = None,
    on_progress: "Callable[[Any], None] | None" = None,
) -> "Solution | Learned | PathSolution | ExactSolution | ExactSweep":
    """An approximate equilibrium and its exploitability, by a named solver or a fitting one; of a
    team what was learned, and its return; of a linear-quadratic game its affine policies; along
    drawn paths of a common noise the policy and bounds of its exploitability.

    What is not given is taken from the spec's `solver` block; `solver="auto"` leaves the choice to
    what is proved about the game. A `sweep` of values makes a batch of games, one for each
    combination; its names are those of parameters, or `opt.` and an option of the solver. With
    `seeds` there is one for each seed from `seed`. With `out` a run folder is written under it.
    `on_progress` gets a `Record`, or a `LearningRecord`. `dtype` is float64 for tables and float32
    for networks.

    Raises:
        CompileError: the spec has errors.
        UsageError: an unknown solver, option or parameter, or a folder that cannot be written.
        TypeError: `params` for a game that is loaded already.
    """
    from mfdsl.records import explained, start_run
    from mfdsl.solving import prepare, run

    game = _loaded(game, params)
    swept = dict(sweep or {})
    batch = Batch(swept, seeds=tuple(range(seed, seed + seeds)) if seeds > 1 else ())
    settings = resolve(
        game.model,
        solver,
        iterations=iterations,
        tolerance=tolerance,
        options={**(options or {}), **batch.first_options()},
    )
    if settings.solver in LEARNERS:
        if batch.axes:
            raise UsageError("a batch is for tables", "solve once for each value")
        return _learned(game, settings, seed, device, dtype or "float32", out, on_progress)
    if settings.solver in EXACT:
        return _exact(game, settings, seed, dtype or "float64", out, swept)
    if settings.solver == ALONG:
        from mfdsl.paths_or_tables import along, routed

        settings = routed(game, settings)
        if along(settings):
            from mfdsl.pathwise import solved

            if batch.axes:
                raise UsageError("a batch is for tables", "solve once for each value")
            return solved(game, settings, seed, device, dtype, out, on_progress)
    job = prepare(game, settings, sweep=batch, seed=seed, device=device, dtype=dtype or "float64")
    folder = start_run(job, Path(out)) if out is not None else None
    solution = run(job, on_progress=on_progress)
    if folder is not None:
        with explained():
            folder.save(solution)
    return solution


def _exact(
    game: Game,
    settings: Settings,
    seed: int,
    dtype: Dtype,
    out: str | Path | None,
    swept: dict[str, tuple[float, ...]],
) -> "ExactSolution | ExactSweep":
    """A linear-quadratic game solved, and saved where a folder is asked for."""
    from mfdsl.exact import keep_exact, prepare_exact, run_exact, run_sweep
    from mfdsl.records import start_folder

    job = prepare_exact(game, settings, seed=seed, dtype=dtype, sweep=swept)
    found = run_sweep(job) if swept else run_exact(job)
    if out is not None:
        keep_exact(start_folder(game, settings, seed, dtype, Path(out), swept), job, found)
    return found


def _learned(
    game: Game,
    settings: Settings,
    seed: int,
    device: Device,
    dtype: Dtype,
    out: str | Path | None,
    on_progress: "Callable[[LearningRecord], None] | None",
) -> "Learned":
    """A course of learning, saved at each measurement where a folder is asked for."""
    from mfdsl.learning import prepare_training, train
    from mfdsl.records import explained, start_folder
    from mfdsl.runtime.learning.keeping import keep

    training = prepare_training(game, settings, seed=seed, device=device, dtype=dtype)
    if out is None:
        return train(training, on_progress=on_progress)
    folder = start_folder(game, settings, seed, dtype, Path(out))
    with explained():
        learned = train(training, on_progress=on_progress, save=lambda found: keep(folder, found))
        keep(folder, learned)
    return learned


def resume(
    run: str | Path,
    game: Game | str | Path | None = None,
    *,
    iterations: int | None = None,
    tolerance: float | None = None,
    device: Device = "cpu",
    on_progress: "Callable[[Any], None] | None" = None,
) -> "Solution | Learned | PathSolution":
    """Continue the run in a folder, as if it had not stopped, and save it there.

    Raises:
        UsageError: the folder is not a run, is damaged, or belongs to another game.
    """
    from mfdsl import records, solving

    folder = records.open_run(Path(run))
    options = records.read_options(folder)
    if options.solver in EXACT:
        from mfdsl.exact import finished

        raise finished(folder.path)
    source = folder.path / "spec.mfg" if game is None else game
    game = _loaded(source, None if isinstance(source, Game) else options.parameters)
    if options.solver in LEARNERS:
        return _resumed(game, folder, iterations, tolerance, device, on_progress)
    if records.goes_along(options):
        from mfdsl.pathwise import resumed

        return resumed(game, folder, iterations, tolerance, device, on_progress)
    job = records.job_of_run(game, folder, options, device=device)
    job = records.continued(job, folder, iterations=iterations, tolerance=tolerance)
    solution = solving.run(job, on_progress=on_progress)
    with records.explained():
        folder.save(solution)
    return solution


def _resumed(
    game: Game,
    folder: "RunFolder",
    iterations: int | None,
    tolerance: float | None,
    device: Device,
    on_progress: "Callable[[LearningRecord], None] | None",
) -> "Learned":
    from mfdsl.learning import continued_training, train
    from mfdsl.records import explained
    from mfdsl.runtime.learning.keeping import keep
    from mfdsl.simulating import training_of_run

    training = continued_training(
        training_of_run(game, folder, device=device),
        folder,
        iterations=iterations,
        tolerance=tolerance,
    )
    with explained():
        learned = train(training, on_progress=on_progress, save=lambda found: keep(folder, found))
        keep(folder, learned)
    return learned


def simulate(
    game: Game | str | Path,
    policy: "Solved | str | Callable[..., Any] | None" = None,
    *,
    agents: int | Mapping[str, int] | None = None,
    batch: int = 1,
    steps: int | None = None,
    params: Parameters | None = None,
    seed: int = 0,
    device: Device = "cpu",
    dtype: Dtype = "float64",
    record_laws: bool = False,
    record: bool = False,
    execution: "Execution | None" = None,
    by: "By" = "auto",
) -> "Simulation | Rollout":
    """Let N agents follow a policy, the uniform one if none is given, and measure their returns.

    A policy is what `solve` gives, "still", "uniform", or a function `f(t, observation)` that
    gives {player: {action: tensor}}. A table of a game that is tabular as written is played on its
    tables, and `record_laws` keeps the laws; all else is played by the agents of the module, and
    `record` keeps every value. `agents` is a number or one for each population, by default what the
    spec says, or 1,000. With `execution` a planner draws its upper action, once for all agents
    ("centralised") or for each of them ("decentralised"), instead of playing its mean. By "agents"
    they are moved one by one, by "counts" one counts how many are where, by "auto" from 100,000 on.

    Raises:
        CompileError: the spec has errors.
        UsageError: a size is out of range, the policy does not fit the game, or agents are to be
            counted who cannot be.
    """
    from mfdsl.runtime.learning.loop import Learned
    from mfdsl.runtime.policy import TabularPolicy
    from mfdsl.simulating import Setting, run_agents, uniform_setting

    game = _loaded(game, params)
    table = policy is None or isinstance(policy, TabularPolicy)
    if execution is not None and not isinstance(policy, Learned):
        raise UsageError(f"{execution} execution is of what a planner learned")
    if record_laws or (table and not record and game.model.tabular):
        if not table or isinstance(agents, Mapping):
            raise UsageError("laws are counted for one population that follows a table")
        setting = uniform_setting(game, device=device, dtype=dtype)
        if isinstance(policy, TabularPolicy):
            setting = Setting(setting.game, setting.params, policy)
        return run_agents(
            setting,
            agents=agents,
            batch=batch,
            steps=steps,
            seed=seed,
            record_laws=record_laws,
            by=by,
        )
    from mfdsl.playing import Wanted, play

    wanted = Wanted(agents, batch, steps, seed, device, dtype, record=record, by=by)
    return play(game, _behaviour(game, policy, execution), wanted)


def _behaviour(
    game: Game,
    policy: "Solved | str | Callable[..., Any] | None",
    execution: "Execution | None",
) -> "Behaviour":
    """What agents do by a policy, the uniform one if none is given."""
    from mfdsl.exact import solution_behaviour
    from mfdsl.learning import learned_behaviour
    from mfdsl.pathwise import path_behaviour
    from mfdsl.playing import behaviour_named, by_table, executed
    from mfdsl.runtime.learning.loop import Learned
    from mfdsl.runtime.policy import TabularPolicy
    from mfdsl.runtime.solvers.networks.path_solution import PathSolution
    from mfdsl.runtime.solvers.riccati.solution import ExactSolution

    if isinstance(policy, TabularPolicy):
        return by_table(game, policy)
    if isinstance(policy, ExactSolution):
        return solution_behaviour(game, policy)
    if isinstance(policy, PathSolution):
        return path_behaviour(game, policy)
    if isinstance(policy, Learned):
        behaviour = learned_behaviour(game, policy)
        return behaviour if execution is None else executed(behaviour, execution)
    return behaviour_named("uniform" if policy is None else policy)


def validate(
    target: Game | str | Path,
    policy: str | Path | None = None,
    *,
    agents: Sequence[int] = (10, 100, 1000),
    games: int | None = None,
    params: Parameters | None = None,
    seed: int = 0,
    seconds: float = 20.0,
    gain: float | None = None,
) -> "Validation":
    """Play a game against its tables, its certificates, its limit and its equilibrium.

    `target` is a game, a spec or the folder of a run, `policy` is `still`, `uniform` or the folder
    of a run: by default the run, or `uniform`. Bounds that are exceeded are written to a file. With
    a `gain` the report says with how many agents nobody gains more.

    Raises:
        CompileError: the spec has errors.
        UsageError: a number is out of range, or the run is damaged or of another game.
        TypeError: `params` for a game that is loaded already.
    """
    from mfdsl.validating.trial import trial_of
    from mfdsl.validating.validate import validate as run

    if isinstance(target, Game):
        target = _loaded(target, params)
        params = None
    trial = trial_of(
        target,
        policy=policy,
        params=params,
        agents=agents,
        games=games,
        seed=seed,
        seconds=seconds,
        gain=gain,
    )
    return run(trial)


def calibrate(
    game: Game | str | Path,
    data: str | Path,
    fit: Sequence[str],
    *,
    temperature: float = 0.1,
    evaluations: int = 100,
    params: Parameters | None = None,
    device: Device = "cpu",
) -> "Calibration":
    """Fit parameters to a flow that was observed, in logit equilibrium.

    `data` is a CSV file with the columns `t`, variables of states, `share`, and perhaps `weight`.
    The search begins at the values of the spec; `temperature` among the names is fitted, too.

    Raises:
        CompileError: the spec has errors.
        UsageError: a name cannot be fitted, the data do not fit the game, or there is no
            equilibrium.
    """
    from mfdsl.calibrating import calibrate as fitted

    return fitted(
        _loaded(game, params),
        data,
        fit,
        temperature=temperature,
        evaluations=evaluations,
        device=device,
    )


def _loaded(game: Game | str | Path, params: Parameters | None) -> Game:
    if not isinstance(game, Game):
        return load(game, params=params)
    if params:
        raise TypeError("the game is loaded already: give params to `load`")
    return game
