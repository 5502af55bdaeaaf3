"""Exact values on tables against a generated law, and mirror descent on them.

The law of the generator is put on the places of the tables: exactly where the generator has
probabilities, else by counting its draws (a point between two places of a grid counts for both in
proportion). Values of the policy against it are exact, and add up to the scores of online
mirror descent (Perolat et al. 2021, arXiv:2103.00623), so that no policy has to be averaged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from mfdsl.runtime.behaviours import Behaviour, Scene
from mfdsl.runtime.evaluate import Evaluation
from mfdsl.runtime.exploitability import Exploitability
from mfdsl.runtime.flow import Flow
from mfdsl.runtime.layout import inner
from mfdsl.runtime.learning.base import LessonError
from mfdsl.runtime.learning.generated.autoregressive import Autoregressive
from mfdsl.runtime.learning.generated.fitting import AnyGenerator
from mfdsl.runtime.learning.generated.frozen import Meeting
from mfdsl.runtime.learning.generated.space import Space
from mfdsl.runtime.learning.placed import Tables
from mfdsl.runtime.policy import TabularPolicy, softmax_probs
from mfdsl.runtime.tabled import Tabled
from mfdsl.runtime.views.finite import FiniteView
from mfdsl.runtime.views.kernels import Kernel
from mfdsl.runtime.views.tables import Problem, final_rewards, flow_rewards, stage_kernel


class Places:
    """Where points stand in the tables of a game with one population.

    Raises:
        LessonError: the tables have pasts, several populations, or no end.
    """

    def __init__(self, tables: Tables, space: Space) -> None:
        reduced = tables.reduced
        if reduced.past is not None or reduced.who is not None:
            raise LessonError("tables of one population are needed", "leave `response` out")
        if not isinstance(tables.view, FiniteView) or tables.tables.horizon is None:
            raise LessonError("tables answer games with an end", "leave `response` out")
        starts, start = {}, 0
        names = tables.program.variables(space.field, "state")
        for name, kind in zip(names, space.types, strict=True):
            starts[name] = start
            start += prod(kind.dims)
        by_axis = {c.axis: c for c in reduced.states}
        order = [v.name for v in reduced.model.population.states]
        unknown = [name for name in order if name not in by_axis]
        if unknown:
            raise LessonError(f"`{unknown[0]}` of the tables is no state", "leave `response` out")
        self.axes = [by_axis[name] for name in order]
        self.columns = [starts[c.variable] + c.entry for c in self.axes]
        self.count = prod(c.size for c in self.axes)

    def shares(self, points: Tensor) -> list[tuple[Tensor, Tensor]]:
        """The places [...] among all states next to points [..., d], each with its part [...]."""
        found = [(points.new_zeros(points.shape[:-1]).long(), points.new_ones(points.shape[:-1]))]
        for axis, column in zip(self.axes, self.columns, strict=True):
            value = points[..., column]
            if axis.step is None:
                sides = [(value.round().long() - axis.first, torch.ones_like(value))]
            else:
                scaled = ((value - axis.low) / axis.step).clamp(0, axis.size - 1)
                below = scaled.floor().clamp(max=axis.size - 2)
                above = scaled - below
                sides = [(below.long(), 1 - above), (below.long() + 1, above)]
            found = [
                (flat * axis.size + place, mass * part)
                for flat, mass in found
                for place, part in sides
            ]
        return found

    def counted(self, points: Tensor) -> Tensor:
        """The law [T, S] of draws [T, n, d]."""
        law = points.new_zeros(len(points), self.count, dtype=torch.float64)
        for flat, mass in self.shares(points):
            law.scatter_add_(1, flat, mass.double())
        return law / points.shape[1]


class ByTables:
    """A table that is improved by mirror descent against generated laws.

    Raises:
        LessonError: the tables are not those of one population with an end.
    """

    def __init__(self, tables: Tables, space: Space, rate: float) -> None:
        self.tables, self.rate = tables, rate
        self.places = Places(tables, space)
        view = tables.view
        assert isinstance(view, FiniteView)
        self.view = view
        self.table = _Table(view.uniform().probs[:1].clone())
        self._played: Tabled | None = None

    @property
    def policy(self) -> nn.Module:
        """The table and its scores."""
        return self.table

    @property
    def tabular(self) -> TabularPolicy:
        """The policy with its axes."""
        return self.view.policy(self.table.probs)

    def law(self, made: AnyGenerator, points: Tensor) -> Tensor:
        """The law [T + 1, S] of a generator, from its probabilities or its draws
        [T + 1, B, M, d].
        """
        initial = self.view.tables.initial[:, 0]
        if isinstance(made, Autoregressive):
            share = torch.arange(1, len(points)).to(points) / (len(points) - 1)
            with torch.no_grad():
                law = made.table(share).to(initial)
        else:
            law = self.places.counted(points[1:].flatten(1, 2)).to(initial)
        return torch.cat([initial[None], law])

    def against(self, law: Tensor) -> Flow:
        """What one agent meets in a law [T + 1, S] where everybody follows the policy."""
        view, tables = self.view, self.view.tables
        probs = inner(self.table.probs)
        joint = (law[:-1, None] * probs[..., 0])[..., None].contiguous()
        rewards = flow_rewards(tables, joint)
        if tables.rewards is not None:
            rewards = tables.rewards.expand_as(joint).contiguous()
        final = final_rewards(tables, law[-1:].T.contiguous())
        problem = Problem(rewards, self._kernels(joint), tables.legal, final)
        return Flow(law[None], view.policy(self.table.probs), problem)

    def improve(self, made: AnyGenerator, points: Tensor, iteration: int) -> Mapping[str, float]:
        """One step of mirror descent against the law of a generator."""
        return self.answer(self.law(made, points))

    def answer(self, law: Tensor) -> Mapping[str, float]:
        """One step of mirror descent against a law [T + 1, S]."""
        flow = self.against(law)
        policy = self.tabular
        q = self.view.q_values(flow, policy)
        best = self.view.value(flow, self.view.q_values(flow))
        answer = self.view.value(flow, q, policy)
        legal = q > -torch.inf
        self.table.scores.add_(self.rate * q.where(legal, torch.zeros_like(q)))
        scores = self.table.scores.where(legal, torch.full_like(q, -torch.inf))
        self.table.probs.copy_(softmax_probs(scores, 1.0))
        self._played = None
        return {"answer": float(answer), "gain": float(best - answer)}

    def act(self, meeting: Meeting) -> Any:
        """Draws from the rows of the table."""
        return self.behaviour()(meeting.scene)

    def behaviour(self, *, mode: bool = True) -> Behaviour:
        """Everybody draws from the rows of the table."""
        return self._play

    def gap(self) -> Exploitability | None:
        """By the tables, against the policy's own flow."""
        return Evaluation(self.view, self.tabular).exploitability

    def gain(self, points: Tensor) -> float | None:
        """By the tables, against draws [T + 1, M, d]."""
        law = self.places.counted(points[1:]).to(self.view.tables.initial)
        flow = self.against(torch.cat([self.view.tables.initial[:, 0][None], law]))
        best = self.view.value(flow, self.view.q_values(flow))
        own = self.view.value(flow, self.view.q_values(flow, self.tabular), self.tabular)
        return float(best - own)

    def extend(self, iterations: int) -> None:
        """Tables know no length."""

    def state(self) -> dict[str, Tensor]:
        """Table and scores."""
        return dict(self.table.state_dict())

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Put them back."""
        self.table.load_state_dict(dict(state))
        self._played = None

    def _play(self, scene: Scene) -> Any:
        if self._played is None:
            policy = replace(self.tabular, probs=self.table.probs.clone())
            self._played = Tabled(policy, self.tables.reduced, self.tables.model)
        return self._played(scene)

    def _kernels(self, joint: Tensor) -> Sequence[Kernel]:
        tables = self.view.tables
        if tables.kernel is not None:
            return [tables.kernel] * len(joint)
        public, times = tables.public_joint(joint), tables.times(len(joint))
        return [stage_kernel(tables, times[t], public[t]) for t in range(len(joint))]


class _Table(nn.Module):
    """Probabilities [1, T, S, A] and the scores that they are the softmax of."""

    probs: Tensor
    scores: Tensor

    def __init__(self, probs: Tensor) -> None:
        super().__init__()
        self.register_buffer("probs", probs)
        self.register_buffer("scores", torch.zeros_like(probs))
