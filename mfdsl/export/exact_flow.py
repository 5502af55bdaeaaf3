"""One agent beside the exact flow of a policy, in a game of one population with finite values."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mfdsl.compiler.ir.types import Type
from mfdsl.evaluating import Scored, evaluation
from mfdsl.export.stages import Stage, final_at, initial_of, legal_at, stage_at
from mfdsl.game import Game
from mfdsl.runtime.learning.sight import Feature
from mfdsl.runtime.program import Program
from mfdsl.runtime.simulator import steps_of
from mfdsl.runtime.streams import draw
from mfdsl.solving import params_at

Values = Mapping[str, NDArray[Any]]


class ExactFlow:
    """Copies [R] of one agent; the law of everybody else is that of the policy, without sampling.

    Rewards are means over the noise of the step.

    Raises:
        UsageError: the policy is none of this game.
        SimulationError: a number of steps is out of range.
    """

    def __init__(self, game: Game, policy: Scored, copies: int, steps: int | None) -> None:
        self.program: Program = game.program
        self.steps = steps_of(self.program, steps)
        self.copies = copies
        self.params = params_at(game, {}, dtype=torch.float64, device=torch.device("cpu"))
        model, only = game.model, game.model.population
        self._states = tuple(Feature(v.name, model.types[v.type], True) for v in only.states)
        time = (Feature("t", Type(kind="real", lo=0), False),)
        self.seen = self._states + (() if self.program.kind == "stationary" else time)
        self.actions = tuple(Feature(v.name, model.types[v.type], True) for v in only.actions)
        scored = evaluation(game, policy)
        self._probs, self._laws = scored.policy.probs[0], scored.laws[0]
        self._last = len(self._probs) - 1  # later stages of an endless game are like it
        self._stages: dict[int, Stage] = {}

    def start(self, seed: int) -> None:
        """Draw the states at t = 0."""
        self._t, self._seed = 0, seed
        edges = initial_of(self.program, self.params).cumsum(0)
        self._state = _drawn(edges.expand(self.copies, -1), self._uniform("initial"))

    def views(self) -> dict[str, NDArray[Any]]:
        """Places of the states on their axes, [R] each."""
        sizes = [axis.size for axis in self.program.state_axes()]
        places = np.unravel_index(self._state.numpy(), sizes)
        found = zip(self._states, places, strict=True)
        return {f.name: np.asarray(place, dtype=np.int64) for f, place in found}

    def masks(self) -> NDArray[np.int8] | None:
        """What is legal [R, A], None where all is or nobody moves any more."""
        if not self.program.module.MASKED or self._t == self.program.horizon:
            return None
        return self._legal().to(torch.int8).numpy()

    def move(self, actions: Values) -> NDArray[np.float64]:
        """One step from places of actions [R] each; gives the rewards, with final ones at the end.

        Raises:
            ValueError: an action is forbidden.
        """
        given = [torch.as_tensor(actions[f.name]) for f in self.actions]
        flat = torch.zeros(self.copies, dtype=torch.int64)
        for axis, place in zip(self.program.action_axes(), given, strict=True):
            flat = flat * axis.size + place
        if not bool(self._legal().gather(1, flat[:, None]).all()):
            raise ValueError("an action takes a value that `where` forbids there")
        stage = self._stage(min(self._t, self._last))
        paid = stage.rewards[self._state, flat]
        edges = stage.weights[self._state, flat].cumsum(-1)
        outcome = _drawn(edges, self._uniform("noise"))
        self._state = stage.successors[self._state, flat].gather(1, outcome[:, None])[:, 0]
        self._t += 1
        if self._t == self.program.horizon:
            paid = paid + final_at(self.program, self.params, self._t, self._laws[-1])[self._state]
        return paid.numpy()

    def _stage(self, t: int) -> Stage:
        if t not in self._stages:
            joint = self._laws[t][:, None] * self._probs[t]
            self._stages[t] = stage_at(self.program, self.params, t, joint)
        return self._stages[t]

    def _legal(self) -> Tensor:
        return legal_at(self.program, self.params, min(self._t, self._last))[self._state]

    def _uniform(self, what: str) -> Tensor:
        return draw(("uniform",), (self.copies,), (self._seed, self._t, f"representative.{what}"))


def _drawn(edges: Tensor, uniform: Tensor) -> Tensor:
    """Places [R] by inverting distribution functions [R, K]; never one without mass at the end."""
    place = torch.searchsorted(edges.contiguous(), uniform[:, None] * edges[:, -1:], right=True)
    return place[:, 0].clamp(max=edges.shape[1] - 1)
