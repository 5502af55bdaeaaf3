"""Mean-field flows: the law of the population over time under a policy."""

from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor

from mfdsl.runtime.policy import TabularPolicy
from mfdsl.runtime.views.tables import Problem


@dataclass(frozen=True, eq=False)
class Answers:
    """What the policy of a flow and the best response to it are worth in this very `problem`.

    Q are -inf at illegal actions; `own` and `most` are mean returns of both. Where a view keeps no
    problem there is none here either.
    """

    problem: Problem | None
    q: Float[Tensor, "batch stages states actions"]
    best_q: Float[Tensor, "batch stages states actions"]
    own: Float[Tensor, "batch populations"]
    most: Float[Tensor, "batch populations"]


@dataclass(frozen=True, eq=False)
class Flow:
    """`laws` [B, T + 1, S] of the states, under `policy`; a stationary flow has one law, [B, 1, S].

    `problem` is what one agent meets there (rewards and transitions), kept by the view.
    `residual` is the l1 change that one more push makes to a stationary law, 0 over time.
    `answers` are values that were found along with it.
    """

    laws: Float[Tensor, "batch laws states"]
    policy: TabularPolicy
    problem: Problem | None = field(default=None, repr=False)
    residual: float = 0.0
    answers: Answers | None = field(default=None, repr=False)

    @property
    def known(self) -> Answers | None:
        """The answers, None where there are none or the problem is another one."""
        answers = self.answers
        return answers if answers is not None and answers.problem is self.problem else None

    def at(self, t: int, **values: float | str | bool) -> Float[Tensor, " batch"]:
        """The share of members whose states have these values at t, [B]; states that are not named
        are summed over. A stationary flow ignores t.

        Raises:
            ValueError: a state is unknown, a value is out of range, or there is no law at t.
        """
        axes, last = self.policy.states, self.laws.shape[1] - 1
        if unknown := sorted(set(values) - {axis.name for axis in axes}):
            known = ", ".join(axis.name for axis in axes)
            raise ValueError(f"there is no state `{unknown[0]}`; states are {known}")
        if last > 0 and not 0 <= t <= last:
            raise ValueError(f"laws are at 0 to {last}, not {t}")
        law = self.laws[:, min(t, last)]
        found = law.reshape(len(law), *(axis.size for axis in axes))
        for axis in axes:
            named = axis.name in values
            found = found[:, axis.position(values[axis.name])] if named else found.sum(1)
        return found

    @property
    def joint(self) -> Float[Tensor, "batch stages states actions"]:
        """Laws of state and action at the decision stages."""
        stages = self.policy.stages
        return self.laws[:, :stages, :, None] * self.policy.probs
