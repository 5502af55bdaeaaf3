"""What is validated: a game, a policy of it, and how much of what is played."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mfdsl.compiler.driver import ParameterValue
from mfdsl.errors import UsageError
from mfdsl.evaluating import Scored, evaluation
from mfdsl.exact import exact_run
from mfdsl.game import Game, load
from mfdsl.learning import trained_behaviour
from mfdsl.pathwise import path_run
from mfdsl.playing import behaviour_named, by_table
from mfdsl.records import goes_along, open_run, read_options
from mfdsl.runtime.learning.loop import Learned
from mfdsl.runtime.learning.table import LEARNERS
from mfdsl.runtime.solvers.riccati.table import EXACT
from mfdsl.simulating import game_of_run, setting_of_run, training_of_run
from mfdsl.validating.learned import table_of
from mfdsl.validating.outcome import Trial

MOST_AGENTS = 10**6


def trial_of(
    target: str | Path | Game,
    *,
    policy: Scored | None = None,
    params: Mapping[str, ParameterValue] | None = None,
    agents: Sequence[int] = (10, 100, 1000),
    games: int | None = None,
    seed: int = 0,
    seconds: float = 20.0,
    gain: float | None = None,
) -> Trial:
    """A trial of a game, a spec, or the folder of a run.

    The policy is `still`, `uniform`, a run or a table; by default that of the run if `target` is
    one, else `uniform`, or `still` where an action has no bounds. With `gain` the least number of
    agents for which no larger one is possible is asked for.

    Raises:
        CompileError: the spec has errors.
        UsageError: a number is out of range, or the run is damaged, of another game or of a sweep.
    """
    _check_sizes(agents, games, seconds)
    if gain is not None and not 0 <= gain < float("inf"):
        raise UsageError(f"a gain of {gain:g} is out of range", "give one, as `--gain 0.5`")

    def sized(trial: Trial) -> Trial:
        numbers = tuple(sorted(set(agents)))
        return replace(trial, agents=numbers, games=games, seed=seed, seconds=seconds, gain=gain)

    folder = Path(target) if not isinstance(target, Game) and Path(target).is_dir() else None
    named = policy if isinstance(policy, str) and policy in ("still", "uniform") else None
    table = None
    if policy is not None and not isinstance(policy, str | Path):
        policy, table = None, policy
    if named is None and policy is not None and not Path(policy).is_dir():
        raise UsageError(f"`{policy}` is not a run folder", "policies by name: uniform, still")
    run = Path(policy) if policy is not None and named is None else None
    if folder is not None and named is None and table is None:
        run = folder if run is None else run
    if run is not None or folder is not None:
        if params:
            raise UsageError("a run keeps its parameters", "leave out --set and --params")
    if run is not None:
        return sized(_of_run(None if folder is not None else target, run))
    if folder is not None:
        game = game_of_run(None, open_run(folder))
    else:
        game = target if isinstance(target, Game) else load(target, params=params)
    return sized(named_trial(game, named) if table is None else _given_trial(game, table))


def _of_run(spec: Game | str | Path | None, run: Path) -> Trial:
    """A trial of the policy of a run, in a game, in that of a spec, or in the one that it keeps."""
    opened = open_run(run)
    options = read_options(opened)
    if options.solver in LEARNERS:
        training = training_of_run(game_of_run(spec, opened), opened)
        behaviour = trained_behaviour(training, opened)
        table = table_of(training)
        return Trial(training.game, behaviour, "run", table, run, training=training)
    if options.solver in EXACT:
        exact = exact_run(game_of_run(spec, opened), opened)
        return Trial(exact.game, exact.behaviour, "run", run=run, exact=exact)
    if goes_along(options):
        along = path_run(game_of_run(spec, opened), opened)
        return Trial(along.job.game, along.behaviour, "run", run=run, along=along)
    found = setting_of_run(spec, run)
    if found.swept:
        raise UsageError(
            f"{run} has a policy for each game of its batch",
            "solve the one to validate alone: --set, --opt, --params or --seed",
        )
    return Trial(found.game, by_table(found.game, found.policy), "run", found.policy, run)


def _given_trial(game: Game, policy: Scored) -> Trial:
    """A trial of a table that Python code has made."""
    if callable(policy):
        raise UsageError(
            "a function is played, and a table is validated",
            "`mfdsl.simulate(game, function)`, or its chances as an array",
        )
    if isinstance(policy, Learned):
        raise UsageError(
            "networks are validated by the run that they are kept in",
            '`learned = mfdsl.solve(game, ..., out="runs")`, then `mfdsl.validate(learned.run)`',
        )
    table = evaluation(game, policy).policy
    return Trial(game, by_table(game, table), "given", table)


def named_trial(game: Game, named: str | None) -> Trial:
    """A trial under a policy by name, the usual one without a name.

    Raises:
        UsageError: no law on an action without bounds is uniform.
    """
    unbounded = _unbounded(game)
    if named == "uniform" and unbounded:
        raise UsageError(
            f"the action `{unbounded}` has no bounds, so no law on it is uniform",
            "`--policy still`, or a run",
        )
    name = named or ("still" if unbounded else "uniform")
    return Trial(game, behaviour_named(name), name)


def _unbounded(game: Game) -> str | None:
    for player in game.model.players:
        for action in player.actions:
            kind = game.model.types[action.type]
            if kind.kind == "real" and kind.ball is None and (kind.lo is None or kind.hi is None):
                return action.name
    return None


def _check_sizes(agents: Sequence[int], games: int | None, seconds: float) -> None:
    if not agents:
        raise UsageError("no number of agents is given", "`--agents 10,100,1000`")
    for number in agents:
        if not 1 <= number <= MOST_AGENTS:
            raise UsageError(
                f"{number:,} agents are out of range", f"give numbers from 1 to {MOST_AGENTS:,}"
            )
    if games is not None and games < 1:
        raise UsageError(f"{games} games are out of range", "give at least one")
    if not 0 < seconds < float("inf"):
        raise UsageError(f"{seconds:g} seconds are out of range", "give some, as `--seconds 20`")
