"""The verb that plays a policy, as a typed function: `simulate`."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mfdsl.errors import UsageError
from mfdsl.game import Device, Dtype, Game, Parameters, loaded

if TYPE_CHECKING:
    from mfdsl.counting import By
    from mfdsl.runtime.behaviours import Behaviour
    from mfdsl.runtime.learning.loop import Learned
    from mfdsl.runtime.learning.planner import Execution
    from mfdsl.runtime.policy import TabularPolicy
    from mfdsl.runtime.simulator import Rollout
    from mfdsl.runtime.solvers.networks.path_solution import PathSolution
    from mfdsl.runtime.solvers.riccati.solution import ExactSolution
    from mfdsl.runtime.views.particles import Simulation

    Solved = TabularPolicy | Learned | PathSolution | ExactSolution


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
    from mfdsl.playing import Wanted, check_table, play
    from mfdsl.runtime.learning.loop import Learned
    from mfdsl.runtime.policy import TabularPolicy
    from mfdsl.simulating import Setting, run_agents, uniform_setting

    game = loaded(game, params)
    table = policy is None or isinstance(policy, TabularPolicy)
    if execution is not None and not isinstance(policy, Learned):
        raise UsageError(f"{execution} execution is of what a planner learned")
    if record_laws or (table and not record and game.model.tabular):
        if not table or isinstance(agents, Mapping):
            raise UsageError("laws are counted for one population that follows a table")
        setting = uniform_setting(game, device=device, dtype=dtype)
        if isinstance(policy, TabularPolicy):
            check_table(game, policy)
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
