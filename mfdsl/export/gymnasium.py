"""One agent of a mean field game as an `Env` or a `VectorEnv` of gymnasium, beside a policy.

Towers et al. 2024, Gymnasium (arXiv:2407.17032). Needs the extra `rl`.
"""

from collections.abc import Mapping
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mfdsl.compiler.driver import ParameterValue
from mfdsl.errors import UsageError, unknown
from mfdsl.evaluating import UNIFORM, evaluation
from mfdsl.export.exact_flow import ExactFlow
from mfdsl.export.sampled_flow import SampledFlow
from mfdsl.export.spaces import acts, point_of, space_of
from mfdsl.game import Game, check_choices, loaded
from mfdsl.playing import played_by
from mfdsl.runtime.behaviours import Behaviour
from mfdsl.runtime.learning.sight import Feature
from mfdsl.runtime.policy import TabularPolicy
from mfdsl.runtime.solution import Solution
from mfdsl.simulate_verb import behaviour_of, folder_of
from mfdsl.simulating import has_tables

try:
    from gymnasium import Env, spaces
    from gymnasium.vector import AutoresetMode, VectorEnv
    from gymnasium.vector.utils import batch_space
except ImportError as error:
    raise ImportError("mfdsl.export.gymnasium needs `pip install 'mfdsl[rl]'`") from error

if TYPE_CHECKING:
    from mfdsl.runtime.agents import AgentProgram
    from mfdsl.runtime.program import Program

Seen = dict[str, NDArray[Any]]
Infos = dict[str, Any]


class Frozen(Protocol):
    """Copies of one agent, step by step, beside a flow that they do not move."""

    seen: tuple[Feature, ...]
    actions: tuple[Feature, ...]
    steps: int

    @property
    def program(self) -> "Program | AgentProgram":
        """The game that the copies are in."""

    def start(self, seed: int) -> None:
        """Draw the states at t = 0."""

    def views(self) -> Seen:
        """What each copy sees, [R, ...], without the time."""

    def masks(self) -> NDArray[np.int8] | None:
        """What is legal [R, A], None where all is or nobody moves any more."""

    def move(self, actions: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        """One step; gives the rewards."""


class RepresentativeEnv(VectorEnv[Seen, Any, NDArray[Any]]):  # type: ignore[misc, unused-ignore]
    """`num_envs` copies of one agent of a population against the frozen flow of a policy.

    A policy is whatever `simulate` plays: a solution, the folder of a run, "uniform", a function.
    The flow is exact for a table of a game that is tabular as it is written and whose agents see
    their states and the time, no more, and is else that of a crowd of `agents` members, by default
    those of the spec or 1,000; give `agents` to sample in any case. An observation is a dictionary
    of what the agent sees, by the names of the spec, with the time `t` unless `observe` leaves it
    out; finite values and actions count from 0. What `where` allows is `info["action_mask"]`, over
    all combinations of finite actions. Rewards are not discounted; final ones come with the last
    step. All copies end together: a finite horizon terminates, a number of `steps` before it
    truncates, and the step after that begins the next episode (`AutoresetMode.NEXT_STEP`).

    Raises:
        CompileError: the spec has errors.
        SimulationError: a number of agents or of steps is out of range.
        UsageError: no such population, or the policy does not fit the game.
    """

    def __init__(
        self,
        game: Game | str | Path,
        policy: Any = "uniform",
        *,
        population: str | None = None,
        num_envs: int = 1,
        agents: int | Mapping[str, int] | None = None,
        steps: int | None = None,
        params: Mapping[str, ParameterValue] | None = None,
        seed: int = 0,
    ) -> None:
        found = loaded(game, params)
        check_choices(None, None, seed)
        if not isinstance(num_envs, int | Integral) or num_envs < 1:
            raise UsageError(
                f"an environment needs a whole number of copies from 1, not {num_envs!r}"
            )
        who = _population(found, population)
        table = _table(found, policy)
        self.flow: Frozen
        if agents is None and table is not None and _exact(found):
            self.flow = ExactFlow(found, table, num_envs, steps)
        else:
            played = _behaviour(found, policy if table is None else table)
            self.flow = SampledFlow(
                found, played, who, num_envs, agents=agents, steps=steps, seed=seed
            )
        self.population, self.num_envs = who, int(num_envs)
        self.metadata = {
            "name": found.name,
            "render_modes": [],
            "autoreset_mode": AutoresetMode.NEXT_STEP,
        }
        shown = any(f.name == "t" for f in self.flow.seen)
        self._timed = shown and self.flow.program.kind != "stationary"
        seen = {f.name: space_of(f.type) for f in self.flow.seen if f.name != "t"}
        if self._timed:
            seen["t"] = spaces.Discrete(self.flow.steps + 1)
        self.single_observation_space = spaces.Dict(seen)
        self.single_action_space = acts({f.name: space_of(f.type) for f in self.flow.actions})
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._next_seed, self._t, self._over = seed, 0, True
        self._masks: NDArray[np.int8] | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Seen, Infos]:
        """Begin again, from a seed, or from the one after the last.

        Raises:
            ValueError: some copies are to go on, and all go together.
        """
        super().reset(seed=seed)
        if options and "reset_mask" in options:
            raise ValueError("all copies begin together: leave out `reset_mask`")
        episode = self._next_seed if seed is None else seed
        self._next_seed, self._t, self._over = episode + 1, 0, False
        self.flow.start(episode)
        return self._views(), self._infos()

    def step(
        self, actions: Any
    ) -> tuple[Seen, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], Infos]:
        """All copies move, by arrays or tensors; after the end of an episode actions are ignored
        and the next begins.

        Raises:
            ValueError: an action is outside of its space or forbidden.
        """
        none = np.zeros(self.num_envs, dtype=np.bool_)
        if self._over:
            views, infos = self.reset()
            return views, np.zeros(self.num_envs), none, none.copy(), infos
        flow, given = self.flow, point_of(actions, self.action_space, "the action")
        named = given if len(flow.actions) > 1 else {flow.actions[0].name: given}
        rewards = flow.move(named)
        self._t += 1
        self._over = self._t == flow.steps
        ended = self._over and self._t == flow.program.horizon
        views, infos = self._views(), self._infos()
        return views, rewards, none | ended, none | (self._over and not ended), infos

    def _views(self) -> Seen:
        found = self.flow.views()
        if self._timed:
            found["t"] = np.full(self.num_envs, self._t, dtype=np.int64)
        return found

    def _infos(self) -> Infos:
        masks = self.flow.masks()
        if masks is None and self._masks is not None:  # actions after the end are ignored
            masks = np.ones_like(self._masks)
        self._masks = masks
        if masks is None:
            return {}
        return {"action_mask": masks, "_action_mask": np.ones(self.num_envs, dtype=np.bool_)}


class SingleAgentEnv(Env[Seen, Any]):  # type: ignore[misc, unused-ignore]
    """The same with one copy, as an `Env`: for learners that know no vectors of environments.

    Arguments, observations and rewards are those of `RepresentativeEnv`, without the axis of
    copies.

    Raises:
        CompileError: the spec has errors.
        SimulationError: a number of agents or of steps is out of range.
        UsageError: no such population, or the policy does not fit the game.
    """

    def __init__(
        self,
        game: Game | str | Path,
        policy: Any = "uniform",
        *,
        population: str | None = None,
        agents: int | Mapping[str, int] | None = None,
        steps: int | None = None,
        params: Mapping[str, ParameterValue] | None = None,
        seed: int = 0,
    ) -> None:
        self._one = RepresentativeEnv(
            game,
            policy,
            population=population,
            agents=agents,
            steps=steps,
            params=params,
            seed=seed,
        )
        self.metadata = {"name": self._one.metadata["name"], "render_modes": []}
        self.observation_space = self._one.single_observation_space
        self.action_space = self._one.single_action_space
        self._over = True

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Seen, Infos]:
        """Begin again, from a seed, or from the one after the last."""
        super().reset(seed=seed)
        views, infos = self._one.reset(seed=seed)
        self._over = False
        return _alone(views), _mask_alone(infos)

    def step(self, action: Any) -> tuple[Seen, float, bool, bool, Infos]:
        """The agent moves, by a number, an array or a tensor.

        Raises:
            ValueError: the action is outside of its space or forbidden, or the episode is over.
        """
        if self._over:
            raise ValueError("the episode is over: call `reset`")
        given = point_of(action, self.action_space, "the action")
        whole = {n: v[None] for n, v in given.items()} if isinstance(given, dict) else given[None]
        views, rewards, ended, cut, infos = self._one.step(whole)
        self._over = bool(ended[0] or cut[0])
        return _alone(views), float(rewards[0]), bool(ended[0]), bool(cut[0]), _mask_alone(infos)


def _alone(views: Seen) -> dict[str, Any]:
    """Views of the first copy: whole numbers, and arrays, without axes for single reals."""
    return {n: v[0] if v.dtype.kind == "i" else np.asarray(v[0]) for n, v in views.items()}


def _mask_alone(infos: Infos) -> Infos:
    return {name: value[0] for name, value in infos.items() if not name.startswith("_")}


def _population(game: Game, name: str | None) -> str:
    """The population of the agent: the one that is named, or the only one that acts."""
    acting = [p.name for p in game.model.players if p.kind == "population" and p.actions]
    if name is not None and name not in acting:
        raise unknown("population", name, acting)
    if name is None and len(acting) != 1:
        listed = ", ".join(acting) or "none"
        raise UsageError(
            f"which population of `{game.name}`? Those that act: {listed}",
            'name one: population="..."',
        )
    return acting[0] if name is None else name


def _table(game: Game, policy: Any) -> TabularPolicy | str | None:
    """The policy as a table over the states of the game's tables, None where it is none."""
    if isinstance(policy, Solution):
        return policy.policy
    if isinstance(policy, str) and policy == UNIFORM:
        return UNIFORM
    run = folder_of(policy)
    if isinstance(policy, np.ndarray | Tensor) or (run is not None and has_tables(game, run)):
        return evaluation(game, policy).policy
    return policy if isinstance(policy, TabularPolicy) else None


def _behaviour(game: Game, policy: Any) -> Behaviour:
    """What the members of the crowd do."""
    if (run := folder_of(policy)) is not None:
        return played_by(game, run, {})[1]
    return behaviour_of(game, policy)


def _exact(game: Game) -> bool:
    """Whether the flow of a table needs no sampling: see `RepresentativeEnv`."""
    if not game.model.tabular or game.reduced is not None:
        return False
    only = game.model.population
    seen = [game.model.nodes[o.node] for o in only.observe]
    whole = {v.name for v in only.states} == {n.attr for n in seen if n.op == "state"}
    timed = any(n.op == "time" for n in seen) and {n.op for n in seen} == {"state", "time"}
    return not only.observes_law and (not seen or (whole and timed))
