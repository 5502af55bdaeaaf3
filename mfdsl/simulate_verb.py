"""The verb that plays a policy, as a typed function: `simulate`."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack, overload

from mfdsl.errors import UsageError, no_policy
from mfdsl.game import Device, Dtype, Game, Parameters, check_choices, loaded
from mfdsl.parameters import given_values

if TYPE_CHECKING:
    from mfdsl.counting import By
    from mfdsl.playing import Wanted
    from mfdsl.runtime.behaviours import Behaviour
    from mfdsl.runtime.learning.loop import Learned
    from mfdsl.runtime.learning.planner import Execution
    from mfdsl.runtime.policy import TabularPolicy
    from mfdsl.runtime.simulator import Rollout
    from mfdsl.runtime.solution import Solution
    from mfdsl.runtime.solvers.networks.path_solution import PathSolution
    from mfdsl.runtime.solvers.riccati.solution import ExactSolution
    from mfdsl.runtime.views.particles import Simulation
    from mfdsl.simulating import Setting

    Solved = Solution | TabularPolicy | Learned | PathSolution | ExactSolution


class Ways(TypedDict, total=False):
    """The arguments of `simulate` on which the kind of its result does not depend."""

    agents: int | Mapping[str, int] | None
    batch: int
    steps: int | None
    params: Parameters | None
    seed: int
    device: Device
    dtype: Dtype
    execution: "Execution | None"
    by: "By"


@overload
def simulate(
    game: Game | str | Path,
    policy: Callable[..., Any],
    *,
    record_laws: Literal[False] = False,
    record: bool = False,
    **ways: Unpack[Ways],
) -> "Rollout": ...


@overload
def simulate(
    game: Game | str | Path,
    policy: "Solved | str | Path | Callable[..., Any] | None" = None,
    *,
    record_laws: bool = False,
    record: bool = False,
    **ways: Unpack[Ways],
) -> "Simulation | Rollout": ...


def simulate(
    game: Game | str | Path,
    policy: "Solved | str | Path | Callable[..., Any] | None" = None,
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

    A policy is what `solve` gives, the folder of a run of this game, "still", "uniform", or a
    function `f(t, observation)` that gives {player: {action: tensor}}. A table of a game that is
    tabular as written is played on its tables, and `record_laws` keeps the laws; all else is played
    by the agents of the module, and `record` keeps every value. `agents` is a number or one for
    each population, by default what the spec says, or 1,000. With `execution` a planner draws its
    upper action, once for all agents ("centralised") or for each of them ("decentralised"), instead
    of playing its mean. By "agents" they are moved one by one, by "counts" one counts how many are
    where, by "auto" from 100,000 on.

    Raises:
        CompileError: the spec has errors.
        UsageError: a size is out of range, the policy does not fit the game, or agents are to be
            counted who cannot be.
    """
    from mfdsl.playing import Wanted, play
    from mfdsl.runtime.learning.loop import Learned
    from mfdsl.runtime.policy import TabularPolicy
    from mfdsl.runtime.solution import Solution

    check_choices(device, dtype, seed)
    wanted = Wanted(agents, batch, steps, seed, device, dtype, record=record, by=by)
    if (run := folder_of(policy)) is not None:
        return _run_again(game, run, params, wanted, execution, record_laws=record_laws)
    game = loaded(game, params)
    if isinstance(policy, Solution):
        policy = policy.policy
    table = policy is None or isinstance(policy, TabularPolicy)
    if execution is not None and not isinstance(policy, Learned):
        raise UsageError(f"{execution} execution is of what a planner learned")
    if record_laws or (table and not record and game.model.tabular):
        return _on_its_tables(game, policy, wanted, record_laws=record_laws)
    return play(game, behaviour_of(game, policy, execution), wanted)


def folder_of(policy: object) -> Path | None:
    """The folder of a run, None for a policy of another kind."""
    from mfdsl.playing import BEHAVIOURS

    if isinstance(policy, str) and (policy in BEHAVIOURS or not Path(policy).exists()):
        return None
    return Path(policy) if isinstance(policy, str | Path) else None


def _run_again(
    game: Game | str | Path,
    run: Path,
    params: Parameters | None,
    wanted: "Wanted",
    execution: "Execution | None",
    *,
    record_laws: bool,
) -> "Simulation | Rollout":
    """The policy of a run, played as `mfdsl simulate --policy RUN` does."""
    from mfdsl.playing import executed, play, played_by
    from mfdsl.simulating import has_tables, setting

    if isinstance(game, Game):
        game = loaded(game, params)
    values = given_values(params or {})
    if has_tables(game, run) and not wanted.record:
        if execution is not None:
            raise UsageError(f"{execution} execution is of what a planner learned")
        found = setting(game, run, values, device=wanted.device, dtype=wanted.dtype)
        return _on_tables(found, wanted, record_laws=record_laws)
    if record_laws:
        raise UsageError("laws are counted for one population that follows a table")
    game, behaviour, _ = played_by(game, run, values)
    return play(game, behaviour if execution is None else executed(behaviour, execution), wanted)


def _on_its_tables(
    game: Game, policy: object, wanted: "Wanted", *, record_laws: bool
) -> "Simulation":
    """One population that follows a table, or the uniform policy without one."""
    from mfdsl.playing import check_table
    from mfdsl.runtime.policy import TabularPolicy
    from mfdsl.simulating import Setting, uniform_setting

    table = policy if isinstance(policy, TabularPolicy) else None
    if policy is not None and table is None:
        raise UsageError("laws are counted for one population that follows a table")
    setting = uniform_setting(game, device=wanted.device, dtype=wanted.dtype)
    if table is not None:
        check_table(game, table)
        setting = Setting(setting.game, setting.params, table)
    return _on_tables(setting, wanted, record_laws=record_laws)


def _on_tables(setting: "Setting", wanted: "Wanted", *, record_laws: bool) -> "Simulation":
    from mfdsl.simulating import run_agents

    if isinstance(wanted.agents, Mapping):
        raise UsageError("laws are counted for one population that follows a table")
    return run_agents(
        setting,
        agents=wanted.agents,
        batch=wanted.batch,
        steps=wanted.steps,
        seed=wanted.seed,
        record_laws=record_laws,
        by=wanted.by,
    )


def behaviour_of(
    game: Game,
    policy: "Solved | str | Path | Callable[..., Any] | None",
    execution: "Execution | None" = None,
) -> "Behaviour":
    """What agents do by a policy, the uniform one if none is given.

    Raises:
        UsageError: the policy does not fit the game.
    """
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
    if policy is not None and not isinstance(policy, str) and not callable(policy):
        raise no_policy(policy)
    return behaviour_named("uniform" if policy is None else policy)
