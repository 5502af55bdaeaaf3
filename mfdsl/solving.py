"""A solve: prepare a job, and run it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, get_args

import torch

from mfdsl.batches import SEED, Batch, Number, Point, batch_of, check_batch
from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.ir.model import Values
from mfdsl.entries import arrays_of, shaped, whole_columns
from mfdsl.errors import UsageError
from mfdsl.game import Device, Dtype, Game
from mfdsl.licence import claims_read, licence_for, licence_text
from mfdsl.parameters import Sweep
from mfdsl.planning import check_tables
from mfdsl.rules import Case
from mfdsl.runtime.agents import SimulationError
from mfdsl.runtime.evaluate import View
from mfdsl.runtime.memory import gibibytes, memory_of
from mfdsl.runtime.program import Params
from mfdsl.runtime.solution import License, Record, Solution
from mfdsl.runtime.solvers.base import SolverError, make_solver
from mfdsl.runtime.solvers.course import Course, box_for, view_for
from mfdsl.runtime.solvers.loop import PATIENCE, solve as run_loop
from mfdsl.runtime.solvers.needs import refusal
from mfdsl.runtime.solvers.sampled_options import SampledConfig
from mfdsl.runtime.solvers.table import SOLVERS
from mfdsl.runtime.solvers.varied import Varied
from mfdsl.runtime.views.decisions import Box, DecisionView, decision_view
from mfdsl.settings import Settings, licensed, validated
from mfdsl.structural import case_of, with_structure
from mfdsl.swept import check_points
from mfdsl.trials import tried

if TYPE_CHECKING:
    from mfdsl.runtime.solvers.episodes import Crowd
    from mfdsl.starting import Start

# Tables [B, T, S, A] held at once: rewards, policies, values of two, the solver's own state, and
# what is on its way from one to the other; `omd` took 8 on `bench/specs/city.mfg`, 10 on
# `sioux_falls`.
TABLES = 8
DECIDED = 12  # the same where agents decide; the policy is one of all states in the end
WRITTEN_DOWN = 200  # bytes of what is written down of the moves of a state with an action


@dataclass(frozen=True, eq=False)
class Job:
    """All that a run needs. `points` says where each game of the batch lies on its axes, one empty
    entry without any; `varied` has the options of the solver that differ over the games. `state`
    and `history` continue an earlier run; a `state` without history is that of the `start`. `view`
    has the tables where they are built already.
    """

    game: Game
    settings: Settings
    license: License
    params: Params
    points: tuple[Point, ...]
    seed: int
    device: torch.device
    dtype: Dtype
    batch: Batch = field(default_factory=Batch)
    varied: Mapping[str, tuple[Number, ...]] = field(default_factory=dict)
    state: Mapping[str, torch.Tensor] | None = None
    history: tuple[Record, ...] = field(default=())
    start: "Start | None" = None
    view: View | None = None


def prepare(
    game: Game,
    settings: Settings,
    *,
    sweep: Sweep | Batch,
    seed: int = 0,
    device: Device = "cpu",
    dtype: Dtype = "float64",
    start: "Start | None" = None,
) -> Job:
    """Load the program and bind its parameters, one game for each point of the batch. Solvers begin
    at the uniform policy unless another `start` is given.

    Raises:
        UsageError: the batch does not fit the model, the solver is not defined on it or does not
            begin there, the device is not there, or its memory is too small.
    """
    batch = batch_of(sweep)
    moved = bool(batch.parameters or batch.sets)
    check_tables(game.model, settings.bins)
    if settings.bins != game.bins:  # else what is compiled already serves again
        game = replace(game, bins=settings.bins)
    if batch.options:
        settings = replace(settings, open=False)
    certificates = _certificates(game, settings, swept=moved)
    settings = licensed(settings, game.model, certificates, anywhere=start is not None)
    check_batch(game.model, settings, batch)
    check_points(game, batch)
    points, varied = batch.points(), batch.varied()
    seed = int(varied.get(SEED, (seed,))[0])
    settings, varied = _one_for_all(_seeded(settings, seed), varied)
    _check_fixed(game, batch)
    _check_defined(game, settings)
    place = find_device(device)
    params = params_at(game, batch.columns(), dtype=getattr(torch, dtype), device=place)
    if start is None:
        one = params_at(game, {}, dtype=getattr(torch, dtype), device=place) if moved else params
        settings = tried(settings, game.program, one, games=len(points) if moved else 1)
    license = _license_of_all(game, settings, varied, certificates, swept=moved)
    job = Job(game, settings, license, params, points, seed, place, dtype, batch, varied)
    _check_memory(job)
    _check_playable(job)
    return job if start is None else _begun(job, start, certificates)


def _begun(job: Job, start: "Start", certificates: Sequence[Certificate]) -> Job:
    """The job at the policies from which it begins; where trials choose, they begin there, too."""
    from mfdsl.starting import begun_state, check_beginner, license_from, policies_of

    check_beginner(job.settings.solver)
    program, settings, games = job.game.program, job.settings, len(job.points)
    view = view_for(program, job.params, settings.solver)
    seeds = tuple(int(seed) for seed in job.varied.get(SEED, (job.seed,)))
    probs = policies_of(start, view, games, seeds)
    if not job.batch.axes:
        settings = tried(settings, program, job.params, probs)
    swept = bool(job.batch.parameters or job.batch.sets)
    license = _license_of_all(job.game, settings, job.varied, certificates, swept=swept)
    start = replace(start, policy=view.policy(probs))
    box = box_for(program, job.params, settings.solver, None)
    few = None if box is None else decision_view(program, job.params, box)
    if few is not None:
        view, probs = few, few.restricted(probs)
    return replace(
        job,
        settings=settings,
        license=license_from(license, settings.solver),
        state=begun_state(
            settings.solver,
            settings.config,
            view,
            probs,
            games=games,
            varied=Varied(dict(job.varied)),
        ),
        start=start,
        view=view,
    )


def params_at(
    game: Game,
    columns: Mapping[str, Sequence[Values]],
    *,
    dtype: torch.dtype,
    device: torch.device,
) -> Params:
    """Parameters with a batch axis where they have a column: a value for each game.

    Raises:
        UsageError: a parameter is none of the tables by that name.
    """
    known = game.program.params()._fields
    columns = whole_columns(game.model, columns)
    for name in columns:
        if name not in known:
            raise UsageError(
                f"`{name}` is worked into the tables of {game.name}, so it is one for all games",
                "solve one value at a time",
            )
    found = {name: [shaped(game.model, name, v) for v in vs] for name, vs in columns.items()}
    return game.program.params(found, dtype=dtype, device=device)


def _one_for_all(
    settings: Settings, varied: Mapping[str, tuple[Number, ...]]
) -> tuple[Settings, dict[str, tuple[Number, ...]]]:
    """The settings with the options that are the same in all games, and those that differ."""
    same = {name: v[0] for name, v in varied.items() if len(set(v)) == 1 and name != SEED}
    config = validated(settings.solver, {**settings.config.model_dump(), **same})
    differ = {name: values for name, values in varied.items() if len(set(values)) > 1}
    return (replace(settings, config=config) if same else settings), differ


def _seeded(settings: Settings, seed: int) -> Settings:
    """The settings of a solver that draws, with the seed of the run unless its option has one."""
    config = settings.config
    if "seed" not in type(config).model_fields or "seed" in config.model_fields_set:
        return settings
    return replace(settings, config=config.model_copy(update={"seed": seed}))


def _check_fixed(game: Game, batch: Batch) -> None:
    fixed = game.reduced.fixed if game.reduced else frozenset()
    for name, values in batch.columns().items():
        if arrays_of([name])[0] in fixed:
            raise UsageError(
                f"`{name}` moves the common state, whose pasts are worked out beforehand",
                f"solve one value at a time: `--set {name}={values[0]}`",
            )


def run(
    job: Job,
    *,
    on_progress: Callable[[Record], None] | None = None,
    stop: Callable[[], bool] | None = None,
    view: View | None = None,
    watch: Callable[[Course], bool] | None = None,
) -> Solution:
    """Run the solver of a job; `view` and `watch` are for jobs that several processes share.

    Raises:
        UsageError: the tables of the game do not fit into memory, the solver is not defined on it,
            or the state that it continues is of another one.
    """
    settings = job.settings
    try:
        return run_loop(
            job.game.program,
            job.params,
            settings.solver,
            settings.config,
            iterations=settings.iterations,
            tolerance=settings.tolerance,
            # A promise is kept at its count, however long the way there looks hopeless.
            patience=None if job.license.verdict == "proved" else PATIENCE,
            seed=job.seed,
            on_progress=on_progress,
            stop=stop,
            state=job.state,
            history=job.history,
            license=job.license,
            crowd=crowd_of(job),
            varied=job.varied,
            view=view or _view_of(job),
            watch=watch,
        )
    except (SolverError, SimulationError) as error:
        raise UsageError(str(error)) from None
    except (torch.OutOfMemoryError, MemoryError):
        raise _too_large(job) from None
    except RuntimeError as error:
        if "without overflow" in str(error):
            raise UsageError(
                f"an option of {settings.solver} is too large for {job.dtype}",
                "a smaller one"
                if job.dtype == "float64"
                else "a smaller one, or `--dtype float64`",
            ) from None
        if "allocate memory" not in str(error):
            raise
        raise _too_large(job) from None


def crowd_of(job: Job) -> "Crowd | None":
    """The agents of the game, for solvers that learn from their play."""
    if not SOLVERS[job.settings.solver].plays:
        return None
    from mfdsl.compiler.tabular.reduce import reduced
    from mfdsl.runtime.solvers.episodes import Crowd

    game, program = job.game, job.game.program
    return Crowd(
        game.agents,
        game.agents.params(dtype=getattr(torch, job.dtype), device=job.device),
        game.reduced or reduced(game.model, game.bins),
        program.state_axes(),
        program.action_axes(),
        job.seed,
    )


def _check_playable(job: Job) -> None:
    """Refuse games that a solver that plays cannot be played by, before anything is written."""
    crowd, config = crowd_of(job), job.settings.config
    if crowd is None:
        return
    assert isinstance(config, SampledConfig)
    try:
        make_solver(job.settings.solver, config, crowd)
        crowd.places()
        crowd.simulator(config.games, config.agents or None)
    except (SolverError, SimulationError, ValueError) as error:
        raise UsageError(str(error)) from None


def _view_of(job: Job) -> View | None:
    """The view of a job where it is not the plain one. If moves cannot be written down all states
    need tables after all: they are refused here where there is no room.
    """
    if job.view is not None or (box := decided(job)) is None:
        return job.view
    few = decision_view(job.game.program, job.params, box)
    if few is None:
        _check_room(job, _bytes_of_all(job))
    return few


def _check_memory(job: Job) -> None:
    """Refuse tables that the device cannot hold."""
    _check_room(job, bytes_of(job))


def _check_room(job: Job, needed: int) -> None:
    held = memory_of(job.params.unit.device)
    if needed > held:
        raise _too_large(job, f": its tables need {gibibytes(needed)}, there are {gibibytes(held)}")


def bytes_of(job: Job) -> int:
    """What the tables of a job take. They are written in pieces, which takes nothing more."""
    if (box := decided(job)) is None:
        return _bytes_of_all(job)
    program, number = job.game.program, job.params.unit.element_size()
    stages, states = program.horizon or 1, program.state_count
    entries = states * program.action_count * stages
    own = len(box.states) * program.action_count * stages
    laws = 2 * states * (stages + 1)  # and their copy for the file
    moves = WRITTEN_DOWN * states * program.action_count * program.noise_count
    return (entries + laws + DECIDED * own) * number + moves


def _bytes_of_all(job: Job) -> int:
    """What tables of all states take."""
    program, number = job.game.program, job.params.unit.element_size()
    entries = program.state_count * program.action_count * (program.horizon or 1)
    return TABLES * entries * len(job.points) * number


def decided(job: Job) -> Box | None:
    """The states that have tables where the others leave no choice, None where all have them."""
    solver, state = job.settings.solver, job.state
    if job.view is not None:
        return job.view.box if isinstance(job.view, DecisionView) else None
    return box_for(job.game.program, job.params, solver, state)


def find_device(device: Device) -> torch.device:
    """The device of that name; `auto` takes CUDA when it is there.

    Raises:
        UsageError: CUDA was asked for and there is none, or the name is that of no device.
    """
    if device not in get_args(Device):
        raise UsageError(f"there is no device `{device}`", f"known: {', '.join(get_args(Device))}")
    there = torch.cuda.is_available()
    if device == "auto":
        return torch.device("cuda" if there else "cpu")
    if device != "cpu" and not there:
        raise UsageError("there is no CUDA device here", "--device auto takes what there is")
    return torch.device(device)


def license_of(
    settings: Settings, certificates: Sequence[Certificate], case: Case, *, swept: bool
) -> License:
    """What the solver needs in order to converge for certain, and what is known of that here.

    Certificates hold at the parameters of the spec, so a sweep leaves only what its structure says.
    """
    entry = licence_for(settings.solver, settings.config, certificates, case)
    needs = " and ".join(entry.needs) or SOLVERS[settings.solver].requires
    text = licence_text(entry, settings.tolerance)
    if entry.status == "licensed":
        return License(needs, "proved", text)
    text = f"{text}: a heuristic here"
    return License(needs, entry.verdict, f"{text}, for swept values" if swept else text)


def _license_of_all(
    game: Game,
    settings: Settings,
    varied: Mapping[str, tuple[Number, ...]],
    certificates: Sequence[Certificate],
    *,
    swept: bool,
) -> License:
    """The licence of all games, or that of the first one that has none."""
    found = []
    case = case_of(game.model, settings.tolerance)
    names = [name for name in varied if name != SEED]
    for values in dict.fromkeys(zip(*(varied[name] for name in names), strict=True)) or [()]:
        changes = dict(zip(names, values, strict=True))
        config = settings.config.model_copy(update=changes)
        found.append(license_of(replace(settings, config=config), certificates, case, swept=swept))
    return next((license for license in found if license.verdict != "proved"), found[0])


def _certificates(game: Game, settings: Settings, *, swept: bool) -> tuple[Certificate, ...]:
    """What is known of the game, as far as it chooses the solver or is read by its licence."""
    claims = None if settings.open else claims_read(settings.solver)
    if swept:
        return with_structure(game.model, ())
    return with_structure(
        game.model, game.certificates if claims is None else game.certificates_of(claims)
    )


def _check_defined(game: Game, settings: Settings) -> None:
    row = SOLVERS[settings.solver]
    if game.model.objective == "team" and not row.social:
        planners = [name for name, other in SOLVERS.items() if other.social]
        raise UsageError(
            f"{settings.solver} finds an equilibrium, and the players of {game.name} are a team",
            f"--solver {' or '.join(planners)}, or a learner",
        )
    reason = refusal(settings.solver, game.program)
    if reason is not None:
        others = [name for name, row in SOLVERS.items() if not row.averages_flows]
        raise UsageError(reason, f"--solver {' or '.join(others[:2])}")


def _too_large(job: Job, why: str = "") -> UsageError:
    return UsageError(
        f"not enough memory for {len(job.points)} game{'' if len(job.points) == 1 else 's'} "
        f"of {job.game.name}{why}",
        "fewer values at once, or in several jobs: `--cluster local --jobs N`"
        if len(job.points) > 1
        else "make the state space smaller",
    )
