"""Large games over time of which most states leave no choice: tables where agents decide only.

A driver on a link waits until the link ends: of the 241,056 states of Sioux Falls 2,400 have more
than one legal action. A policy needs no numbers for the others, nor do solvers: policies and Q are
[1, T, D, A], where D counts the states of a box that has all that decide (the values of each state
variable at which some state does). Laws and values go through all states, stage by stage, in
compiled loops, so that nothing is left out: the exploitability is that of the whole game.

What the moves of a stage read of the law is worked out by the module; the moves at legal pairs are
written down once (`tape.py`), and most of them are constants. The tensor code of `streamed.py` is
the reference.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from mfdsl.runtime.flow import Answers, Flow
from mfdsl.runtime.layout import inner
from mfdsl.runtime.policy import TabularPolicy
from mfdsl.runtime.program import Params, Program
from mfdsl.runtime.views import native
from mfdsl.runtime.views.finite import by_population
from mfdsl.runtime.views.shortening import settled, shortened
from mfdsl.runtime.views.tables import Tables, build_tables, final_rewards
from mfdsl.runtime.views.tape import Line, record

LEAST_ENTRIES = 1 << 22  # of a table over all states: smaller games are no trouble
MOST_PAIRS = 1 << 24  # of state, action and noise: what is written down takes some 100 bytes each
MOST_PLACES = 1 << 27  # of what is written down, before what is constant is left out
WORTH = 4  # times fewer states in the box than in all

Where = NDArray[np.int64]
Numbers = NDArray[np.float64]


class Box(NamedTuple):
    """The states at which agents decide: positions on each axis, and flat ones [D] among all."""

    positions: Mapping[str, Where]
    states: Where


class Moves(NamedTuple):
    """Moves at the legal pairs: a line, where its inputs begin, and what it says of each pair.

    The places that change from stage to stage are `varying`.
    """

    line: Line
    time: int
    field: tuple[int, ...]
    targets: Where
    chances: Where
    varying: Where


class _Way(NamedTuple):
    """What is kept along the stages: laws [D] of the box, listed states, what varied [V]; and the
    last law [S].
    """

    laws: list[Numbers]
    listed: list[Where]
    varied: list[Numbers]
    last: Numbers | None = None

    def note(self, law: Numbers, listed: Where) -> None:
        """Add a stage."""
        self.laws.append(law)
        self.listed.append(listed)


@dataclass(frozen=True, eq=False)
class DecisionView:
    """A game with tables where agents decide; `pairs` [P] are flat, state first.

    `first` [S + 1] says where those of a state begin, `place` [S] where states are in the box, -1
    elsewhere, and `paid` has the rewards of the pairs.
    """

    tables: Tables
    box: Box
    moves: Moves
    pairs: Where
    place: Where
    paid: Numbers

    @cached_property
    def program(self) -> Program:
        """The program with the states of the box."""
        sizes = {name: len(found) for name, found in self.box.positions.items()}
        return replace(self.tables.program, states=sizes)

    @cached_property
    def first(self) -> Where:
        """Where the pairs of each state begin, [S + 1]."""
        program = self.tables.program
        bounds = np.arange(program.state_count + 1) * program.action_count
        return np.searchsorted(self.pairs, bounds)

    @cached_property
    def actions(self) -> Where:
        """The action of each pair."""
        return self.pairs % self.tables.program.action_count

    def uniform(self) -> TabularPolicy:
        """Equal probability on the legal actions."""
        legal = self._legal[:, self.box.states].to(self.tables.unit)
        share = (legal / legal.sum(0)).expand(self.tables.stages, *legal.shape)
        return self.policy(share.contiguous()[..., None].permute(3, 0, 2, 1))

    def policy(self, probs: Float[Tensor, "1 stages states actions"]) -> TabularPolicy:
        """The policy with these probabilities where agents decide."""
        return TabularPolicy(probs)

    def restricted(
        self, probs: Float[Tensor, "1 stages all actions"]
    ) -> Float[Tensor, "1 stages states actions"]:
        """A policy of all states where agents decide."""
        return probs[:, :, torch.from_numpy(self.box.states)]

    def whole_flow(self, flow: Flow) -> Flow:
        """The laws of all states at t = 0..T under the policy of a flow, in all states."""
        program, stages = self.tables.program, self.tables.stages
        laws = np.zeros((stages + 1, program.state_count))
        self._push_forward(_numbers(flow.policy.probs), laws)
        only = self._legal.to(flow.policy.probs)[None, ..., None]
        probs = only.expand(stages, -1, -1, 1).contiguous()
        probs[:, :, torch.from_numpy(self.box.states)] = inner(flow.policy.probs)
        axes = program.state_axes(), program.action_axes()
        policy = TabularPolicy(probs.permute(3, 0, 2, 1), *axes)
        return Flow(torch.from_numpy(laws)[None], policy)

    def laws(self, policy: TabularPolicy) -> Float[Tensor, "1 laws states"]:
        """The laws of the states in the box."""
        return self.flow(policy).laws

    def flow(self, policy: TabularPolicy) -> Flow:
        """The flow of a policy with all values."""
        probs = _numbers(policy.probs)
        way = self._push_forward(probs)
        laws = torch.from_numpy(np.stack(way.laws))[None]
        return Flow(laws, policy, answers=self._back(probs, way))

    def q_values(
        self, flow: Flow, policy: TabularPolicy | None = None
    ) -> Float[Tensor, "1 stages states actions"]:
        """Q of the policy of the flow, or of the best response to it; -inf at illegal actions.

        Raises:
            ValueError: the policy is another one.
        """
        known = self._known(flow, policy)
        return known.best_q if policy is None else known.q

    def value(
        self, flow: Flow, q: Tensor, policy: TabularPolicy | None = None
    ) -> Float[Tensor, " 1"]:
        """Expected return of the policy of the flow, or of the best response.

        Raises:
            ValueError: the policy is another one.
        """
        return self.values(flow, q, policy).sum(-1)

    def values(
        self, flow: Flow, q: Tensor, policy: TabularPolicy | None = None
    ) -> Float[Tensor, "1 populations"]:
        """The same for one agent of each population.

        Raises:
            ValueError: the policy is another one.
        """
        known = self._known(flow, policy)
        return known.most if policy is None else known.own

    def _known(self, flow: Flow, policy: TabularPolicy | None) -> Answers:
        if flow.known is None or (policy is not None and policy is not flow.policy):
            raise ValueError("only the policy of a flow is known where agents decide")
        return flow.known

    @cached_property
    def _legal(self) -> Tensor:
        """Legal actions [A, S]."""
        assert self.tables.legal is not None
        return self.tables.legal[0, ..., 0]

    def _push_forward(self, probs: Numbers, whole: Numbers | None = None) -> _Way:
        """Go along the stages; the laws of all states [T + 1, S] are written to `whole`."""
        from mfdsl.runtime.views.native_decisions import push, spread  # needs numba

        tables, moves, program = self.tables, self.moves, self.tables.program
        law, after = tables.initial[:, 0].numpy().copy(), np.empty(program.state_count)
        joint = np.zeros(program.state_count * program.action_count)
        shape = (1, *program.states.values(), *program.actions.values())
        public = torch.from_numpy(joint).view(shape)
        memory, line = moves.line.memory.copy(), (moves.line.code, moves.line.places)
        seen, room = np.empty(len(law), dtype=bool), np.full(len(law) + 1, -1)
        listed = np.union1d(self.box.states, np.flatnonzero(law))
        way = _Way([], [], [])
        for t, time in enumerate(tables.times(tables.stages)):
            way.note(law[self.box.states], listed)
            if whole is not None:
                whole[t, listed] = law[listed]
            spread(law, probs[t], listed, self.first, self.pairs, self.actions, self.place, joint)
            memory[moves.time] = t
            found = program.module.field(tables.params, time, public)
            for start, part in zip(moves.field, found, strict=True):
                memory[start : start + part.numel()] = part.reshape(-1).numpy()
            entries = moves.targets, moves.chances, program.noise_count
            room[:] = -1
            room[: len(self.box.states)] = self.box.states
            count = push(
                *line, memory, *entries, listed, self.first, self.pairs, joint, after, seen, room
            )
            way.varied.append(memory[moves.varying])
            listed, law, after = room[:count].copy(), after, law
        way.note(law[self.box.states], listed)
        if whole is not None:
            whole[-1, listed] = law[listed]
        law[~seen] = 0.0
        return way._replace(last=law)

    def _back(self, probs: Numbers, way: _Way) -> Answers:
        """Q [1, T, D, A] and returns [1, P] of the policy and of the best response."""
        from mfdsl.runtime.views.native_decisions import back  # needs numba

        tables, moves, program = self.tables, self.moves, self.tables.program
        q, best = np.full(probs.shape, -np.inf), np.full(probs.shape, -np.inf)
        ahead, here = np.zeros((2, program.state_count)), np.zeros((2, program.state_count))
        assert way.last is not None
        final = final_rewards(tables, torch.from_numpy(way.last)[:, None])
        if final is not None:
            ahead[:] = final[:, 0].numpy()
        memory = moves.line.memory.copy()
        entries = moves.targets, moves.chances, program.noise_count
        for t in reversed(range(tables.stages)):
            memory[moves.varying] = way.varied[t]
            ahead *= program.discount
            pairs = way.listed[t], self.first, self.actions, self.place, self.paid
            back(memory, *entries, *pairs, probs[t], ahead, here, q[t], best[t])
            ahead, here = here, ahead
        initial = tables.initial[:, 0]
        parts = (torch.from_numpy(ahead) * initial).where(initial > 0, 0)
        own, most = by_population(parts, program)
        return Answers(None, _public(q), _public(best), own[None], most[None])


def decision_view(program: Program, params: Params, box: Box) -> DecisionView | None:
    """The game with tables where agents decide; None where its moves cannot be written down."""
    tables = build_tables(program, params, program.horizon or 0)
    assert tables.legal is not None and tables.rewards is not None
    states, actions = program.state_count, program.action_count
    legal = tables.legal[0, ..., 0].t().reshape(-1).numpy()
    pairs = np.flatnonzero(legal)
    moves = _moves(tables, pairs)
    if moves is None:
        return None
    place = np.full(states, -1)
    place[box.states] = np.arange(len(box.states))
    rewards = tables.rewards[0, ..., 0].t().expand(states, actions).reshape(-1)
    return DecisionView(tables, box, moves, pairs, place, rewards.numpy()[pairs])


def deciding(program: Program, params: Params) -> Box | None:
    """Where agents decide; None where a game is not large, where many states decide, or where there
    is what these loops do not have: several games, rewards that read time or the law, another
    precision or device.
    """
    module = program.module
    pairs = program.state_count * program.action_count
    plain = program.kind == "finite" and module.MASKED and "time" not in module.LEGAL_READ
    still = plain and not {"time", "law"} & set(module.REWARDS_READ)
    large = LEAST_ENTRIES <= pairs * (program.horizon or 0)
    fits = large and pairs * program.noise_count <= MOST_PAIRS
    unit = params.unit
    here = unit.dtype == torch.float64 and unit.device.type == "cpu"
    if not (still and fits and here and program.batch_of(params) == 1):
        return None
    legal = module.legal(params, torch.zeros(1, dtype=torch.int64))
    sizes = tuple(program.states.values())
    several = (legal.reshape(program.state_count, -1).sum(-1) > 1).view(sizes).numpy()
    axes = range(several.ndim)
    found = [np.flatnonzero(several.any(tuple(j for j in axes if j != k))) for k in axes]
    count = prod(len(positions) for positions in found)
    if not 0 < count * WORTH <= program.state_count or not native.available():
        return None
    flat = np.ravel_multi_index(np.ix_(*found), sizes).reshape(-1)
    return Box(dict(zip(program.states, found, strict=True)), flat)


def _moves(tables: Tables, pairs: Where) -> Moves | None:
    """The moves at the legal pairs, None where an operation has no instruction."""
    program, params = tables.program, tables.params
    module, states, actions = program.module, program.state_count, program.action_count
    even = tables.unit.new_full((1, actions, states, 1), 1 / (actions * states))
    like: Any = module.field(params, torch.tensor(0), tables.public_joint(even)[0])

    def stage(t: Tensor, *parts: Tensor) -> list[Tensor]:
        given = type(like)(*parts)
        return [module.successors(params, t, given), module.weights(params, t, given)]

    parts = [part.clone(memory_format=torch.contiguous_format) for part in like]
    tape = record(stage, torch.tensor(0), *parts, most=MOST_PLACES)
    if tape is None:
        return None
    wide = [
        places.expand(1, states, actions, program.noise_count)[0].reshape(states * actions, -1)
        for places in tape.results
    ]
    targets, chances = (table.numpy()[pairs].reshape(-1) for table in wide)
    given = [
        np.arange(start, start + part.numel())
        for start, part in zip(tape.inputs[1:], parts, strict=True)
    ]
    inputs = np.concatenate([tape.inputs[:1], *given]).astype(np.int64)
    read = np.concatenate([inputs, targets, chances])
    line, to = shortened(tape.line, inputs, np.zeros(0, np.int64), read)
    line, then = settled(line, to[inputs])
    to = np.where(to < 0, -1, then[to])
    targets, chances = to[targets], to[chances]
    changing = np.zeros(len(line.memory), dtype=bool)
    changing[to[inputs]] = True
    for _, start, count, *_ in line.code:
        changing[start : start + count] = True
    used = np.unique(np.concatenate([targets, chances]))
    starts = tuple(int(to[start]) for start in tape.inputs)
    return Moves(line, starts[0], starts[1:], targets, chances, used[changing[used]])


def _numbers(probs: Float[Tensor, "1 stages states actions"]) -> Numbers:
    """The policy as [T, A, D]."""
    found: Numbers = inner(probs)[..., 0].numpy()
    return found


def _public(table: Numbers) -> Float[Tensor, "1 stages states actions"]:
    return torch.from_numpy(table)[..., None].permute(3, 0, 2, 1)
