"""A finite game as a mean field game of OpenSpiel, and policies both ways.

Lanctot et al. 2019, OpenSpiel (arXiv:1908.09453). Needs the extra `openspiel`.

A stage is a decision in (t, s), the law of states and actions, which OpenSpiel tells a node of the
mean field, the reward at a second such node, and the draw of the next state. The last states have a
node of the mean field of their own, whose law final rewards read. So rewards and moves may read the
law of actions. Rewards are discounted where the game is.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from mfdsl.errors import UsageError
from mfdsl.evaluating import Scored, evaluation
from mfdsl.export.stages import Stage, final_at, initial_of, legal_at, plain_tables, stage_at
from mfdsl.game import Game, Parameters, loaded
from mfdsl.runtime.policy import TabularPolicy

try:
    import pyspiel
    from open_spiel.python.observation import IIGObserverForPublicInfoGame
    from open_spiel.python.policy import Policy
except ImportError as error:
    raise ImportError("mfdsl.export.openspiel needs `pip install 'mfdsl[openspiel]'`") from error

Node = Literal["start", "choose", "crowd", "paid", "draw", "last", "end"]
PLAYERS = {
    "start": pyspiel.PlayerId.CHANCE,
    "choose": 0,
    "crowd": pyspiel.PlayerId.MEAN_FIELD,
    "paid": pyspiel.PlayerId.MEAN_FIELD,
    "draw": pyspiel.PlayerId.CHANCE,
    "last": pyspiel.PlayerId.MEAN_FIELD,
    "end": pyspiel.PlayerId.TERMINAL,
}
KEPT = 64  # tables at laws that were asked for last


class Tables:
    """What all states of a game share; copies of states, which OpenSpiel makes, share it, too."""

    def __init__(self, game: Game) -> None:
        program, values = plain_tables(game, "OpenSpiel")
        self.game, self.program, self.values = game, program, values
        self.horizon = program.horizon or 0
        self.initial = initial_of(program, values).tolist()
        self.legal = [
            [np.flatnonzero(row).tolist() for row in legal_at(program, values, t).numpy()]
            for t in range(self.horizon)
        ]
        self._stages: dict[tuple[int, bytes], Stage] = {}
        self._finals: dict[bytes, NDArray[np.float64]] = {}

    def __deepcopy__(self, memo: Any) -> "Tables":
        return self

    def stage(self, t: int, law: bytes) -> Stage:
        """The tables at stage t beside a law of states and actions, as its bytes."""
        if (t, law) not in self._stages:
            if len(self._stages) >= KEPT * self.horizon:
                self._stages.clear()
            joint = torch.from_numpy(np.frombuffer(law).copy())
            joint = joint.reshape(self.program.state_count, self.program.action_count)
            self._stages[t, law] = stage_at(self.program, self.values, t, joint)
        return self._stages[t, law]

    def final(self, law: bytes) -> NDArray[np.float64]:
        """Final rewards [S] beside a law of the last states, as its bytes."""
        if law not in self._finals:
            if len(self._finals) >= KEPT:
                self._finals.clear()
            last = torch.from_numpy(np.frombuffer(law).copy())
            self._finals[law] = final_at(self.program, self.values, self.horizon, last).numpy()
        return self._finals[law]


class SpielGame(pyspiel.Game):  # type: ignore[misc, unused-ignore]
    """The tables of a game; states and actions are numbers from 0, flat, row by row.

    OpenSpiel's `load_game` does not know it: make it here.

    Raises:
        CompileError: the spec has errors.
        UsageError: the game has no tables, has several populations, or does not end.
    """

    def __init__(self, game: Game | str | Path, *, params: Parameters | None = None) -> None:
        found = loaded(game, params)
        self.tables = Tables(found)
        kind = pyspiel.GameType(
            short_name=f"mfdsl_{found.name}",
            long_name=found.name,
            dynamics=pyspiel.GameType.Dynamics.MEAN_FIELD,
            chance_mode=pyspiel.GameType.ChanceMode.EXPLICIT_STOCHASTIC,
            information=pyspiel.GameType.Information.PERFECT_INFORMATION,
            utility=pyspiel.GameType.Utility.GENERAL_SUM,
            reward_model=pyspiel.GameType.RewardModel.REWARDS,
            max_num_players=1,
            min_num_players=1,
            provides_information_state_string=True,
            provides_information_state_tensor=False,
            provides_observation_string=True,
            provides_observation_tensor=True,
            parameter_specification={},
        )
        sizes = pyspiel.GameInfo(
            num_distinct_actions=self.tables.program.action_count,
            max_chance_outcomes=self.tables.program.state_count,
            num_players=1,
            min_utility=-np.inf,
            max_utility=np.inf,
            utility_sum=None,
            max_game_length=self.tables.horizon,
        )
        super().__init__(kind, sizes, {})

    def new_initial_state(self) -> "SpielState":
        """Before the draw of the first state."""
        return SpielState(self)

    def make_py_observer(self, iig_obs_type: Any = None, params: Any = None) -> Any:
        """An observer of the state and the time as indicators."""
        if iig_obs_type is None or (iig_obs_type.public_info and not iig_obs_type.perfect_recall):
            return _Observer(self.tables)
        return IIGObserverForPublicInfoGame(iig_obs_type, params)

    def max_chance_nodes_in_history(self) -> int:
        """One for the first state and one for each stage."""
        return self.tables.horizon + 1


class SpielState(pyspiel.State):  # type: ignore[misc, unused-ignore]
    """One agent at one node; see the module's docstring for their order."""

    def __init__(self, game: SpielGame) -> None:
        super().__init__(game)
        self.tables = game.tables
        self.node: Node = "start"
        self.t, self.s, self.a = 0, -1, -1
        self._law = b""  # numbers [S, A] of the stage, at the end [S]
        self._earned = 0.0

    def current_player(self) -> int:
        """Who is next."""
        player: int = PLAYERS[self.node]
        return player

    def is_terminal(self) -> bool:
        """Whether final rewards are paid."""
        return self.node == "end"

    def chance_outcomes(self) -> list[tuple[int, float]]:
        """Chances of the states that are possible next."""
        if self.node == "start":
            return [(s, p) for s, p in enumerate(self.tables.initial) if p > 0]
        found = self._stage()
        chances: dict[int, float] = {}
        places, weights = found.successors[self.s, self.a], found.weights[self.s, self.a]
        for place, weight in zip(places.tolist(), weights.tolist(), strict=True):
            if weight > 0:
                chances[place] = chances.get(place, 0.0) + weight
        return sorted(chances.items())

    def distribution_support(self) -> list[str]:
        """The nodes over which a law is asked for: states and actions, at the end states."""
        count = range(self.tables.program.state_count)
        if self.node == "last":
            return [_named(self.t, s) + "_end" for s in count]
        ending = "_a_mu" if self.node == "paid" else "_a"
        actions = range(self.tables.program.action_count)
        return [f"{_named(self.t, s, a)}{ending}" for s in count for a in actions]

    def update_distribution(self, distribution: Sequence[float]) -> None:
        """Take the law at a node of the mean field."""
        self._earned += self._reward()
        match self.node:
            case "crowd":
                self._law = np.array(distribution, dtype=np.float64).tobytes()
                self.node = "paid"
            case "paid":
                self.node = "draw"
            case "last":
                self._law = np.array(distribution, dtype=np.float64).tobytes()
                self.node = "end"
            case _:
                raise ValueError(f"{self} is no node of the mean field")

    def rewards(self) -> list[float]:
        """What is paid at this node."""
        return [self._reward()]

    def returns(self) -> list[float]:
        """All that was paid up to this node."""
        return [self._earned + self._reward()]

    def __str__(self) -> str:
        """A name of the node, one for all ways that lead to it."""
        match self.node:
            case "start":
                return "initial"
            case "choose":
                return _named(self.t, self.s)
            case "last":
                return _named(self.t, self.s) + "_end"
            case "end":
                return _named(self.t, self.s) + "_end_mu"
            case _:
                ending = {"crowd": "_a", "paid": "_a_mu", "draw": "_a_mu_paid"}[self.node]
                return _named(self.t, self.s, self.a) + ending

    def _legal_actions(self, player: int) -> list[int]:
        if self.node != "choose" or player != 0:
            return []
        found: list[int] = self.tables.legal[self.t][self.s]
        return found

    def _apply_action(self, action: int) -> None:
        self._earned += self._reward()
        if self.node == "choose":
            self.a, self.node = action, "crowd"
            return
        self.t += self.node == "draw"
        self.s, self.a = action, -1
        self.node = "last" if self.t == self.tables.horizon else "choose"

    def _action_to_string(self, player: int, action: int) -> str:
        choosing = player >= 0
        program = self.tables.program
        axes = program.action_axes() if choosing else program.state_axes()
        places = np.unravel_index(action, [axis.size for axis in axes])
        named = zip(axes, places, strict=True)
        return ", ".join(f"{axis.name}={axis.value(int(place))}" for axis, place in named)

    def _stage(self) -> Stage:
        return self.tables.stage(self.t, self._law)

    def _reward(self) -> float:
        if self.node == "paid":
            paid = self._stage().rewards[self.s, self.a].item()
        elif self.node == "end":
            paid = float(self.tables.final(self._law)[self.s])
        else:
            return 0.0
        weight: float = self.tables.program.discount**self.t
        return paid * weight


class SpielPolicy(Policy):  # type: ignore[misc, unused-ignore]
    """A policy of a game for OpenSpiel: a solution's, the folder of a run, "uniform", an array.

    Raises:
        UsageError: the policy is none of this game.
    """

    def __init__(self, game: SpielGame, policy: Scored = "uniform") -> None:
        super().__init__(game, [0])
        self.probs = evaluation(game.tables.game, policy).policy.probs[0].numpy()

    def action_probabilities(self, state: Any, player_id: int | None = None) -> dict[int, float]:
        """Chances of the legal actions at a decision."""
        row = self.probs[state.t, state.s]
        return {action: float(row[action]) for action in state.legal_actions()}


def policy_from(game: SpielGame, policy: Any) -> TabularPolicy:
    """A policy of OpenSpiel for such a game as a table, which `evaluate` and `simulate` take.

    Raises:
        UsageError: it gives no probabilities somewhere.
    """
    program, horizon = game.tables.program, game.tables.horizon
    probs = np.zeros((horizon, program.state_count, program.action_count))
    state = SpielState(game)
    state.node = "choose"
    for state.t in range(horizon):
        for state.s in range(program.state_count):
            for action, chance in policy.action_probabilities(state).items():
                probs[state.t, state.s, action] = chance
    if not np.allclose(probs.sum(-1), 1):
        t, s = np.argwhere(~np.isclose(probs.sum(-1), 1))[0]
        raise UsageError(f"chances of actions at stage {t} in state {s} do not sum to 1")
    table = torch.from_numpy(probs)[None]
    return TabularPolicy(table, program.state_axes(), program.action_axes())


class _Observer:
    """Indicators of the state and of the time in one vector."""

    def __init__(self, tables: Tables) -> None:
        states = tables.program.state_count
        self.tensor = np.zeros(states + tables.horizon + 1, np.float32)
        self.dict = {"s": self.tensor[:states], "t": self.tensor[states:]}

    def set_from(self, state: SpielState, player: int) -> None:
        """Write the state into the tensor."""
        self.tensor.fill(0)
        if state.s >= 0:
            self.dict["s"][state.s] = 1
        self.dict["t"][state.t] = 1

    def string_from(self, state: SpielState, player: int) -> str:
        """The name of the node."""
        return str(state)


def _named(t: int, s: int, a: int | None = None) -> str:
    return f"({s}, {t})" if a is None else f"({s}, {a}, {t})"
