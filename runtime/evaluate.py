"""Everything exact about one policy, computed on demand and once: flow, values, exploitability."""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from mfdsl.runtime.exploitability import SETTLED, Exploitability, exploitability
from mfdsl.runtime.flow import Flow
from mfdsl.runtime.layout import outer, outer_laws
from mfdsl.runtime.policy import ROUNDED, TabularPolicy
from mfdsl.runtime.program import Params, Program
from mfdsl.runtime.views.finite import FiniteView
from mfdsl.runtime.views.stationary import StationaryView
from mfdsl.runtime.views.streamed import Passes, Streamed, streamed


class View(Protocol):
    """A program seen as tables; the same for the three kinds of horizon."""

    @property
    def program(self) -> Program:
        """The program of the view."""

    def uniform(self) -> TabularPolicy:
        """Equal probability on the legal actions."""

    def policy(self, probs: Float[Tensor, "batch stages states actions"]) -> TabularPolicy:
        """The policy with these probabilities."""

    def laws(self, policy: TabularPolicy) -> Float[Tensor, "batch laws states"]:
        """The laws of the population when all follow the policy."""

    def flow(self, policy: TabularPolicy) -> Flow:
        """The laws together with what one agent meets there."""

    def q_values(
        self, flow: Flow, policy: TabularPolicy | None = None
    ) -> Float[Tensor, "batch stages states actions"]:
        """Q of the policy against the flow, or of the best response without one."""

    def value(
        self,
        flow: Flow,
        q: Float[Tensor, "batch stages states actions"],
        policy: TabularPolicy | None = None,
    ) -> Float[Tensor, " batch"]:
        """Expected return, given the Q values of the policy, or of the best response.

        Several populations are summed.
        """

    def values(
        self,
        flow: Flow,
        q: Float[Tensor, "batch stages states actions"],
        policy: TabularPolicy | None = None,
    ) -> Float[Tensor, "batch populations"]:
        """The same for one agent of each population."""


def build_view(program: Program, params: Params | None = None) -> View:
    """The exact view that fits the horizon of the program."""
    if program.kind == "stationary":
        return StationaryView.build(program, params)
    return FiniteView.build(program, params)


@dataclass(frozen=True)
class Evaluation:
    """One policy in one view; each quantity is computed when first asked for.

    Of a very large game, scores and Q of the policy are found without the tables of the flow.
    """

    view: View
    policy: TabularPolicy

    @classmethod
    def of(cls, view: View, flow: Flow) -> "Evaluation":
        """That of a policy whose flow is known."""
        found = cls(view, flow.policy)
        found.__dict__["flow"] = flow  # where the property keeps it
        return found

    @cached_property
    def _streamed(self) -> Passes | None:
        return streamed(self.view, self.policy)

    @cached_property
    def flow(self) -> Flow:
        """The flow of the policy."""
        return self.view.flow(self.policy)

    @cached_property
    def laws(self) -> Float[Tensor, "batch laws states"]:
        """The laws of the population along the flow."""
        if isinstance(self._streamed, Streamed):
            return outer_laws(self._streamed.laws)
        return self.flow.laws

    @cached_property
    def q(self) -> Float[Tensor, "batch stages states actions"]:
        """Q of the policy against its own flow."""
        if self._streamed is not None:
            return outer(self._streamed.scored[0])
        return self.view.q_values(self.flow, self.policy)

    @cached_property
    def best_q(self) -> Float[Tensor, "batch stages states actions"]:
        """Q of the best response to the flow."""
        if isinstance(self._streamed, Streamed):
            return outer(self._streamed.best_q)
        return self.view.q_values(self.flow)

    @cached_property
    def value(self) -> Float[Tensor, " batch"]:
        """Expected return of the policy."""
        return self.values.sum(-1)

    @cached_property
    def values(self) -> Float[Tensor, "batch populations"]:
        """Expected return of the policy in each population."""
        if self._streamed is not None:
            return self._streamed.at_start(1)
        return self.view.values(self.flow, self.q, self.policy)

    @cached_property
    def best_value(self) -> Float[Tensor, " batch"]:
        """Expected return of the best response."""
        return self._best_values.sum(-1)

    @cached_property
    def _best_values(self) -> Float[Tensor, "batch populations"]:
        if self._streamed is not None:
            return self._streamed.at_start(2)
        return self.view.values(self.flow, self.best_q)

    @cached_property
    def exploitability(self) -> Exploitability:
        """Gain of the best response over the policy."""
        program = self.view.program
        gaps = self._best_values - self.values
        settled = self._streamed is not None or self.flow.residual <= SETTLED
        cut = getattr(self.view, "truncation", None)
        exact = program.exact and settled and (cut is None or cut.negligible)
        if gaps.dtype == torch.float32:
            exact = exact and bool((gaps.sum(-1).abs() > self._rounding).all())
        return exploitability(program.populations, gaps, exact=exact)

    @property
    def _rounding(self) -> float:
        """What a gap may be off by because values are rounded."""
        tables = [self.values, self._best_values]
        if self._streamed is None:
            tables.append(self.q)
        largest = max(float(table.nan_to_num(0, 0, 0).abs().max()) for table in tables)
        return ROUNDED * torch.finfo(self.values.dtype).eps * largest
