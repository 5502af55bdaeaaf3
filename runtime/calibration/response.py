"""The soft best response of a finite game as one smooth function of scores and parameters.

Everything here is plain tensor code without writes in place, so that forward-mode derivatives pass
through flows, moves and rewards, wherever the spec is smooth in them.
"""

from dataclasses import dataclass
from itertools import product
from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mfdsl.runtime.program import Params, Program
from mfdsl.runtime.views.truncation import truncate

TEMPERATURE = "temperature"


class CalibrationError(ValueError):
    """What keeps a game from having a logit equilibrium with slopes; the text says what to do."""


@dataclass(frozen=True, eq=False)
class SoftResponse:
    """One game whose parameters `names`, numbers or arrays, vary, the temperature among them if it
    is named and the game has no parameter of that name.

    Scores [T, S, A] are values over the temperature; the policy is their softmax.
    """

    program: Program
    params: Params
    names: tuple[str, ...]
    temperature: float
    stages: int
    legal: Bool[Tensor, "stages states actions"] | None

    @classmethod
    def build(
        cls, program: Program, params: Params, names: tuple[str, ...], temperature: float
    ) -> "SoftResponse":
        """The response of a game with stages in time and one value of each parameter.

        Raises:
            CalibrationError: the horizon is stationary.
        """
        if program.kind == "stationary":
            raise CalibrationError(
                f"{program.name} has a stationary horizon, and a flow is seen stage by stage: "
                "give the spec a number of steps"
            )
        finite = program.kind == "finite"
        stages = (program.horizon or 0) if finite else truncate(program, params).stages
        times = torch.arange(stages, device=params.unit.device)
        legal = None
        if program.module.MASKED:
            legal = program.module.legal(params, times)
            legal = legal.expand(stages, program.state_count, program.action_count)
        return cls(program, params, names, temperature, stages, legal)

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
        return self.params._replace(**given), temperature

    def policy(self, scores: Float[Tensor, "stages states actions"]) -> Tensor:
        """Probabilities of the actions."""
        if self.legal is not None:
            scores = scores.masked_fill(~self.legal, -torch.inf)
        return scores.softmax(-1)

    def flow(
        self, theta: Float[Tensor, " entries"], scores: Float[Tensor, "stages states actions"]
    ) -> tuple[Float[Tensor, "laws states"], Float[Tensor, "stages states actions"]]:
        """The laws at t = 0..T and the joint laws of states and actions at the stages."""
        module, (params, _) = self.program.module, self.bound(theta)
        probs = self.policy(scores).unbind()
        laws, joints = [module.initial_law(params).reshape(-1)], []
        for t in range(self.stages):
            joints.append(laws[-1][:, None] * probs[t])
            laws.append(module.push(params, self._time(t), self._public(joints[-1])).reshape(-1))
        return torch.stack(laws), torch.stack(joints)

    def earned(
        self, theta: Float[Tensor, " entries"], scores: Float[Tensor, "stages states actions"]
    ) -> Float[Tensor, ""]:
        """What an agent earns who plays like everybody; several populations are summed."""
        return self.paid(theta, *self.flow(theta, scores))

    def paid(
        self,
        theta: Float[Tensor, " entries"],
        laws: Float[Tensor, "laws states"],
        joints: Float[Tensor, "stages states actions"],
    ) -> Float[Tensor, ""]:
        """The same along laws and joint laws that are known."""
        rewards = self._rewards(theta, joints)
        weights = self.program.discount ** torch.arange(self.stages).to(joints)
        total = (weights[:, None, None] * joints * rewards).sum()
        last = (laws[-1] * self._final(theta, laws[-1], joints, rewards)).sum()
        return (total + self.program.discount**self.stages * last) * len(self.program.populations)

    def paid_at(
        self, theta: Float[Tensor, " entries"], joints: Float[Tensor, "stages states actions"]
    ) -> Float[Tensor, " stages"]:
        """What an agent is paid at each stage, not discounted, nothing of the end."""
        paid = (joints * self._rewards(theta, joints)).sum((-1, -2))
        return paid * len(self.program.populations)

    def __call__(
        self, theta: Float[Tensor, " entries"], scores: Float[Tensor, "stages states actions"]
    ) -> Float[Tensor, "stages states actions"]:
        """Scores of the soft best response to the flow that the policy of `scores` makes.

        V_T is the final reward, Q_t = r_t + discount * P_t V_{t+1}, and
        V_t = temperature * log sum_a exp(Q_t / temperature); 0 at illegal actions.
        """
        params, temperature = self.bound(theta)
        laws, joints = self.flow(theta, scores)
        rewards = self._rewards(theta, joints)
        value = self._final(theta, laws[-1], joints, rewards)
        found: list[Tensor] = []
        for t in reversed(range(self.stages)):
            ahead = self._expected(params, t, joints[t], value)
            found.append((rewards[t] + self.program.discount * ahead) / temperature)
            legal = found[-1]
            if self.legal is not None:
                legal = legal.masked_fill(~self.legal[t], -torch.inf)
            value = temperature * legal.logsumexp(-1)
        whole = torch.stack(found[::-1])
        return whole if self.legal is None else whole.masked_fill(~self.legal, 0.0)

    def _rewards(self, theta: Tensor, joints: Tensor) -> Tensor:
        params, _ = self.bound(theta)
        times = torch.arange(self.stages, device=joints.device)
        public = joints.reshape(self.stages, *self._sizes)
        found = cast(Tensor, self.program.module.rewards(params, times, public)).expand(self.shape)
        return found if self.legal is None else found.masked_fill(~self.legal, 0.0)

    def _final(self, theta: Tensor, last: Tensor, joints: Tensor, rewards: Tensor) -> Tensor:
        """Value after the last stage: of a cut horizon the last mean reward for ever."""
        if self.program.kind != "finite":
            mean: Tensor = (joints[-1] * rewards[-1]).sum() / (1 - self.program.discount)
            return mean.expand_as(last)
        module, (params, _) = self.program.module, self.bound(theta)
        if not module.HAS_FINAL:
            return torch.zeros_like(last)
        public = last.reshape(1, *self.program.states.values())
        found = module.final_rewards(params, self._time(self.stages), public)
        return cast(Tensor, found).reshape(-1).expand_as(last)

    def _expected(self, params: Params, t: int, joint: Tensor, value: Tensor) -> Tensor:
        module, time = self.program.module, self._time(t)
        field = module.field(params, time, self._public(joint))
        places = cast(Tensor, module.successors(params, time, field))[0]
        chances = cast(Tensor, module.weights(params, time, field))[0]
        return (chances * value[places]).sum(-1)

    @property
    def _sizes(self) -> tuple[int, ...]:
        return (*self.program.states.values(), *self.program.actions.values())

    def _public(self, joint: Tensor) -> Tensor:
        """A joint law as modules take it, [1, *S, *A]."""
        return joint.reshape(1, *self._sizes)

    def _time(self, t: int) -> Tensor:
        return torch.tensor(t, device=self.params.unit.device)
