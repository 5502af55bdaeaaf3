"""The soft best response of a game with stages as one smooth function of scores and parameters."""

from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from mfdsl.runtime.calibration.law_system import ByLaws
from mfdsl.runtime.calibration.linear import DENSE, Linear
from mfdsl.runtime.calibration.moving import Response
from mfdsl.runtime.program import Params, Program
from mfdsl.runtime.views.truncation import truncate

FEWER = 1.5  # times as many scores as laws of states: below, going by laws saves nothing


@dataclass(frozen=True, eq=False)
class SoftResponse(Response):
    """A response in scores [T, S, A] of a finite or discounted horizon."""

    @classmethod
    def build(
        cls, program: Program, params: Params, names: tuple[str, ...], temperature: float
    ) -> "SoftResponse":
        """The response of a game with stages in time and one value of each parameter."""
        finite = program.kind == "finite"
        stages = (program.horizon or 0) if finite else truncate(program, params).stages
        times = torch.arange(stages, device=params.unit.device)
        legal = None
        if program.module.MASKED:
            legal = program.module.legal(params, times)
            legal = legal.expand(stages, program.state_count, program.action_count)
        return cls(program, params, names, temperature, stages, legal)

    @property
    def laws(self) -> int:
        """One before each stage, and one after the last."""
        return self.stages + 1

    @property
    def lasting(self) -> bool:
        """A stage is one of several."""
        return False

    def begin(self, theta: Float[Tensor, " entries"]) -> Float[Tensor, "stages states actions"]:
        """Scores of 0."""
        return theta.new_zeros(self.shape)

    def cooled(self, point: Float[Tensor, "stages states actions"], ratio: float) -> Tensor:
        """As `Response` says."""
        return point * ratio

    def reached(self, theta: Float[Tensor, " entries"], point: Tensor) -> bool:
        """Laws are those that are played."""
        return True

    def stepped(self, point: Tensor, way: Tensor) -> Tensor:
        """Scores may be any."""
        return point + way

    def policy(self, point: Float[Tensor, "stages states actions"]) -> Tensor:
        """Probabilities of the actions."""
        return self._chances(point)

    def flow(
        self, theta: Float[Tensor, " entries"], point: Float[Tensor, "stages states actions"]
    ) -> tuple[Float[Tensor, "laws states"], Float[Tensor, "stages states actions"]]:
        """The laws at t = 0..T and the joint laws of states and actions at the stages."""
        params, _ = self.bound(theta)
        probs = self.policy(point).unbind()
        laws, joints = [self.program.module.initial_law(params).reshape(-1)], []
        for t in range(self.stages):
            joints.append(laws[-1][:, None] * probs[t])
            laws.append(self._pushed(params, t, joints[-1]))
        return torch.stack(laws), torch.stack(joints)

    def paid(
        self,
        theta: Float[Tensor, " entries"],
        laws: Float[Tensor, "laws states"],
        joints: Float[Tensor, "stages states actions"],
    ) -> Float[Tensor, ""]:
        """As `Response` says, with what is paid at the end."""
        rewards = self._rewards(theta, joints)
        weights = self.program.discount ** torch.arange(self.stages).to(joints)
        total = (weights[:, None, None] * joints * rewards).sum()
        last = (laws[-1] * self._final(theta, laws[-1], joints, rewards)).sum()
        return (total + self.program.discount**self.stages * last) * len(self.program.populations)

    def __call__(
        self, theta: Float[Tensor, " entries"], point: Float[Tensor, "stages states actions"]
    ) -> Float[Tensor, "stages states actions"]:
        """Scores of the soft best response to the flow that the policy of scores makes."""
        return self.answer(theta, *self.flow(theta, point))

    def answer(
        self,
        theta: Float[Tensor, " entries"],
        laws: Float[Tensor, "laws states"],
        joints: Float[Tensor, "stages states actions"],
    ) -> Float[Tensor, "stages states actions"]:
        """Scores of the soft best response to a flow.

        V_T is the final reward, Q_t = r_t + discount * P_t V_{t+1}, and
        V_t = temperature * log sum_a exp(Q_t / temperature); 0 at illegal actions.
        """
        params, temperature = self.bound(theta)
        rewards = self._rewards(theta, joints)
        value = self._final(theta, laws[-1], joints, rewards)
        found: list[Tensor] = []
        for t in reversed(range(self.stages)):
            ahead = self._expected(params, t, joints[t], value)
            found.append((rewards[t] + self.program.discount * ahead) / temperature)
            value = self._soft_values(found[-1], t, temperature)
        whole = torch.stack(found[::-1])
        return whole if self.legal is None else whole.masked_fill(~self.legal, 0.0)

    def system(self, theta: Float[Tensor, " entries"], point: Tensor) -> Linear:
        """As `Response` says, by laws where these are few and all that is read."""
        laws = self.laws * self.program.state_count
        if laws <= DENSE and FEWER * laws <= point.numel():
            found = ByLaws.of(
                lambda scores: self.flow(theta, scores),
                lambda met, joints: self.answer(theta, met, joints),
                point,
                self.policy(point).detach(),
                self.legal,
            )
            if found is not None:
                return found
        return super().system(theta, point)

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
