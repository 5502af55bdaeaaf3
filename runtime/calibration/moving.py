"""What soft responses of all horizons have in common: parameters that move, and one equation.

Everything here is plain tensor code without writes in place, so that forward-mode derivatives pass
through flows, moves and rewards, wherever the spec is smooth in them.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mfdsl.runtime.calibration.linear import Linear, linear
from mfdsl.runtime.program import Params, Program

TEMPERATURE = "temperature"
SETTLED = 1e-10  # what is left of the equation of scores, relative to their size


class CalibrationError(ValueError):
    """What keeps a game from having a logit equilibrium with slopes; the text says what to do."""


@dataclass(frozen=True, eq=False)
class Response(ABC):
    """One game whose parameters `names`, numbers or arrays, vary, the temperature among them if it
    is named and the game has no parameter of that name. Names of single entries of arrays are in
    `places`, with the array and the place of the entry, row by row.

    A logit equilibrium is a point x = response(theta, x). Points are made of scores, which are
    values over the temperature; the policy is their softmax.
    """

    program: Program
    params: Params
    names: tuple[str, ...]
    temperature: float
    stages: int
    legal: Bool[Tensor, "stages states actions"] | None
    places: Mapping[str, tuple[str, int]] = field(default_factory=dict, kw_only=True)

    @abstractmethod
    def __call__(self, theta: Float[Tensor, " entries"], point: Tensor) -> Tensor:
        """The point that answers a point."""

    @abstractmethod
    def begin(self, theta: Float[Tensor, " entries"]) -> Tensor:
        """The point of the uniform policy."""

    @abstractmethod
    def cooled(self, point: Tensor, ratio: float) -> Tensor:
        """The same values at a temperature that is lower by a ratio."""

    @abstractmethod
    def policy(self, point: Tensor) -> Float[Tensor, "stages states actions"]:
        """Probabilities of the actions."""

    @abstractmethod
    def flow(
        self, theta: Float[Tensor, " entries"], point: Tensor
    ) -> tuple[Float[Tensor, "laws states"], Float[Tensor, "stages states actions"]]:
        """The laws and the joint laws of states and actions at the stages."""

    @abstractmethod
    def paid(
        self,
        theta: Float[Tensor, " entries"],
        laws: Float[Tensor, "laws states"],
        joints: Float[Tensor, "stages states actions"],
    ) -> Float[Tensor, ""]:
        """What an agent earns who plays like everybody, discounted, along laws and joint laws;
        several populations are summed. It is the value that solvers report.
        """

    @property
    @abstractmethod
    def laws(self) -> int:
        """How many laws a flow has."""

    @property
    @abstractmethod
    def lasting(self) -> bool:
        """Whether the one stage there is goes on for ever."""

    @abstractmethod
    def reached(self, theta: Float[Tensor, " entries"], point: Tensor) -> bool:
        """Whether a solution is one of the game: moves may keep laws that no play leads to."""

    @abstractmethod
    def stepped(self, point: Tensor, way: Tensor) -> Tensor:
        """A point and a way from there, no further than points go."""

    def settled(self, point: Tensor, off: Tensor) -> bool:
        """Whether response(theta, point) - point is as good as nothing."""
        return bool(off.norm() <= SETTLED * (1 + point.norm()))

    def system(self, theta: Float[Tensor, " entries"], point: Tensor) -> Linear:
        """The system (1 - dG/dx) y = right at a point, G this response."""
        return linear(lambda x: self(theta, x), point)

    def earned(self, theta: Float[Tensor, " entries"], point: Tensor) -> Float[Tensor, ""]:
        """What an agent earns who plays like everybody; several populations are summed."""
        return self.paid(theta, *self.flow(theta, point))

    def paid_at(
        self, theta: Float[Tensor, " entries"], joints: Float[Tensor, "stages states actions"]
    ) -> Float[Tensor, " stages"]:
        """What an agent is paid at each stage, not discounted, nothing of the end."""
        paid = (joints * self._rewards(theta, joints)).sum((-1, -2))
        return paid * len(self.program.populations)

    @property
    def start(self) -> Float[Tensor, " entries"]:
        """The values that the parameters are bound to, those of an array one after the other."""
        return torch.cat([self._held(name).reshape(-1) for name in self.names])

    @property
    def warms(self) -> bool:
        """Whether the temperature is among the names, and not a parameter that is called so."""
        return TEMPERATURE in self.names and TEMPERATURE not in self.params._fields

    @property
    def entries(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """What each of these numbers is: its parameter, and its place in that if it is an array."""
        return tuple(
            (name, place)
            for name in self.names
            for place in product(*map(range, self._held(name).shape))
        )

    def _held(self, name: str) -> Tensor:
        if name in self.params._fields:
            return self.params._asdict()[name]
        if name in self.places:
            array, place = self.places[name]
            return self.params._asdict()[array].reshape(-1)[place]
        return self.params.unit * self.temperature

    @property
    def shape(self) -> tuple[int, int, int]:
        """The sizes (T, S, A) of scores."""
        return self.stages, self.program.state_count, self.program.action_count

    def bound(self, theta: Float[Tensor, " entries"]) -> tuple[Params, Tensor]:
        """Parameters and temperature with these values in the place of those bound."""
        shapes = [self._held(name).shape for name in self.names]
        parts = torch.split(theta, [shape.numel() for shape in shapes])
        moved = [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]
        given = dict(zip(self.names, moved, strict=True))
        own = self.params.unit * self.temperature
        temperature = given.pop(TEMPERATURE) if self.warms else own
        for name, (array, place) in self.places.items():
            whole = given.get(array, self.params._asdict()[array])
            here = torch.arange(whole.numel(), device=whole.device).view(whole.shape) == place
            given[array] = torch.where(here, given.pop(name), whole)
        return self.params._replace(**given), temperature

    def _chances(self, scores: Float[Tensor, "stages states actions"]) -> Tensor:
        if self.legal is not None:
            scores = scores.masked_fill(~self.legal, -torch.inf)
        return scores.softmax(-1)

    def _soft_values(self, scores: Tensor, t: int, temperature: Tensor) -> Tensor:
        """The values temperature * log sum_a exp(scores) [S] over the legal actions of a stage."""
        if self.legal is not None:
            scores = scores.masked_fill(~self.legal[t], -torch.inf)
        return temperature * scores.logsumexp(-1)

    def _rewards(self, theta: Tensor, joints: Tensor) -> Tensor:
        params, _ = self.bound(theta)
        times = torch.arange(self.stages, device=joints.device)
        public = joints.reshape(self.stages, *self._sizes)
        found = cast(Tensor, self.program.module.rewards(params, times, public)).expand(self.shape)
        return found if self.legal is None else found.masked_fill(~self.legal, 0.0)

    def _moves(self, params: Params, t: int, joint: Tensor) -> tuple[Tensor, Tensor]:
        """Where moves lead and how probably: tables that expand to [S, A, ways]."""
        module, time = self.program.module, self._time(t)
        field = module.field(params, time, self._public(joint))
        places = cast(Tensor, module.successors(params, time, field))[0]
        return places, cast(Tensor, module.weights(params, time, field))[0]

    def _expected(self, params: Params, t: int, joint: Tensor, value: Tensor) -> Tensor:
        places, chances = self._moves(params, t, joint)
        return (chances * value[places]).sum(-1)

    def _pushed(self, params: Params, t: int, joint: Tensor) -> Float[Tensor, " states"]:
        """The law after a joint law."""
        found = self.program.module.push(params, self._time(t), self._public(joint))
        return cast(Tensor, found).reshape(-1)

    @property
    def _sizes(self) -> tuple[int, ...]:
        return (*self.program.states.values(), *self.program.actions.values())

    def _public(self, joint: Tensor) -> Tensor:
        """A joint law as modules take it, [1, *S, *A]."""
        return joint.reshape(1, *self._sizes)

    def _time(self, t: int) -> Tensor:
        return torch.tensor(t, device=self.params.unit.device)
