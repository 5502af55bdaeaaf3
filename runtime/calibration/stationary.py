"""The soft best response of a stationary game: scores and the law that their policy keeps.

The unknowns are the scores [S, A] and the law m [S] of one equation: the soft Bellman equation
where everybody meets the law m, and m itself after one move of all who play these scores. One move
says nothing of the mass that a class of states keeps, so that what a class lacks is added to it
(Kemeny and Snell 1960, Finite Markov Chains, chapter V); it lacks nothing at a solution.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mfdsl.runtime.calibration.linear import DENSE, ByProducts, Linear, linear
from mfdsl.runtime.calibration.moving import SETTLED, CalibrationError, Response
from mfdsl.runtime.calibration.stationary_blocks import Blocks
from mfdsl.runtime.calibration.stationary_classes import kept_classes
from mfdsl.runtime.program import Params, Program
from mfdsl.runtime.views.stationary import StationaryView

REACHED = 1e-6  # l1 distance of laws that are the same


@dataclass(frozen=True, eq=False)
class StationaryResponse(Response):
    """A response in points [S * A + S]: scores, and then the law.

    `classes` [C, S] are sets of states (1) of which each keeps the mass that it has initially.
    """

    classes: Float[Tensor, "classes states"]

    @classmethod
    def build(
        cls, program: Program, params: Params, names: tuple[str, ...], temperature: float
    ) -> "StationaryResponse":
        """The response of a game on a stationary horizon and one value of each parameter.

        Raises:
            CalibrationError: how much mass a class of states keeps depends on the policy.
        """
        states, actions = program.state_count, program.action_count
        legal = None
        if program.module.MASKED:
            times = torch.arange(1, device=params.unit.device)
            legal = program.module.legal(params, times).expand(1, states, actions)
        found = cls(program, params, names, temperature, 1, legal, params.unit.new_zeros(0, states))
        even = found._chances(params.unit.new_zeros(found.shape))[0]
        places, chances = found._moves(params, 0, even / states)
        initial = program.module.initial_law(params).reshape(-1)
        classes = kept_classes(places, chances * even[..., None], initial)
        if classes is None:
            raise CalibrationError(
                f"in {program.name} one may end in several sets of states for ever, and where the "
                "mass ends depends on the policy: start where nobody is on the way, or give the "
                "spec a number of steps"
            )
        return cls(program, params, names, temperature, 1, legal, classes)

    @property
    def laws(self) -> int:
        """The one that stays."""
        return 1

    @property
    def lasting(self) -> bool:
        """The stage goes on for ever."""
        return True

    def begin(self, theta: Float[Tensor, " entries"]) -> Float[Tensor, " numbers"]:
        """Scores of 0 and the law that the uniform policy keeps."""
        view = StationaryView.build(self.program, self.bound(theta)[0])
        law = view.laws(view.uniform())[0, 0]
        return torch.cat([theta.new_zeros(self.shape).reshape(-1), law])

    def reached(self, theta: Float[Tensor, " entries"], point: Float[Tensor, " numbers"]) -> bool:
        """Whether the policy leads to the law from the initial one; it does where moves do not read
        the law. Of an epidemic nobody ill is a law that stays, too.
        """
        module = self.program.module
        if "law" not in module.SUCCESSORS_READ | module.WEIGHTS_READ:
            return True
        view = StationaryView.build(self.program, self.bound(theta)[0])
        law = view.laws(view.policy(self.policy(point)[None]))[0, 0]
        return bool((law - self._split(point)[1]).abs().sum() <= REACHED)

    def cooled(self, point: Float[Tensor, " numbers"], ratio: float) -> Tensor:
        """As `Response` says; the law stays."""
        scores, law = self._split(point)
        return torch.cat([(scores * ratio).reshape(-1), law])

    def stepped(self, point: Float[Tensor, " numbers"], way: Float[Tensor, " numbers"]) -> Tensor:
        """Where a state would have less than nothing it keeps a tenth: where moves read the law
        there are roots outside of all laws. What classes then have too much is lost next time.
        """
        law, there = self._split(point)[1], point + way
        scores, moved = self._split(there)
        return torch.cat([scores.reshape(-1), torch.where(moved < 0, law / 10, moved)])

    def settled(self, point: Float[Tensor, " numbers"], off: Float[Tensor, " numbers"]) -> bool:
        """The scores to 1e-10 of their size, the law to 1e-10."""
        (scores, _), (left, moved) = self._split(point), self._split(off)
        return bool((left.norm() <= SETTLED * (1 + scores.norm())) & (moved.norm() <= SETTLED))

    def policy(self, point: Float[Tensor, " numbers"]) -> Float[Tensor, "1 states actions"]:
        """Probabilities of the actions."""
        return self._chances(self._split(point)[0])

    def flow(
        self, theta: Float[Tensor, " entries"], point: Float[Tensor, " numbers"]
    ) -> tuple[Float[Tensor, "1 states"], Float[Tensor, "1 states actions"]]:
        """The law and the joint law of states and actions; parameters change neither directly."""
        law = self._split(point)[1]
        return law[None], law[None, :, None] * self.policy(point)

    def paid(
        self,
        theta: Float[Tensor, " entries"],
        laws: Float[Tensor, "1 states"],
        joints: Float[Tensor, "1 states actions"],
    ) -> Float[Tensor, ""]:
        """As `Response` says: the reward of a stage for ever, so 1 / (1 - discount) times it."""
        return self.paid_at(theta, joints).sum() / (1 - self.program.discount)

    def __call__(
        self, theta: Float[Tensor, " entries"], point: Float[Tensor, " numbers"]
    ) -> Float[Tensor, " numbers"]:
        """Q = r + discount * P V over the temperature with V = temperature * log sum_a exp(scores),
        0 at illegal actions, and the law after one move, each class filled up to its mass.
        """
        params, temperature = self.bound(theta)
        scores, law = self._split(point)
        joint = law[:, None] * self._chances(scores)[0]
        value = self._soft_values(scores[0], 0, temperature)
        ahead = self._expected(params, 0, joint, value)
        found = (self._rewards(theta, joint[None]) + self.program.discount * ahead) / temperature
        if self.legal is not None:
            found = found.masked_fill(~self.legal, 0.0)
        lacks = self._masses(theta) - self.classes @ law
        filled = self._pushed(params, 0, joint) + lacks @ self._shares
        return torch.cat([found.reshape(-1), filled])

    def system(self, theta: Float[Tensor, " entries"], point: Float[Tensor, " numbers"]) -> Linear:
        """By elimination of small games, by GMRES with the blocks inverted of others."""
        if point.numel() <= DENSE:
            return linear(lambda x: self(theta, x), point)
        return ByProducts(lambda x: self(theta, x), point, self._blocks(theta, point))

    def _blocks(self, theta: Tensor, point: Tensor) -> Blocks:
        params, _ = self.bound(theta)
        scores, law = self._split(point)
        chances = self._chances(scores)[0]
        places, ways = self._moves(params, 0, law[:, None] * chances)
        legal = None if self.legal is None else self.legal[0]
        fill = self._shares.T @ self.classes
        return Blocks.of(places, ways, chances, law, fill, legal, self.program.discount)

    @property
    def _shares(self) -> Float[Tensor, "classes states"]:
        """Where what a class lacks is added."""
        return self.classes / self.classes.sum(-1, keepdim=True)

    def _masses(self, theta: Tensor) -> Float[Tensor, " classes"]:
        initial = self.program.module.initial_law(self.bound(theta)[0]).reshape(-1)
        found: Tensor = self.classes @ initial
        return found

    def _split(self, point: Tensor) -> tuple[Tensor, Tensor]:
        """Scores [1, S, A] and law [S]."""
        states = self.program.state_count
        return point[:-states].reshape(self.shape), point[-states:]
