"""Blocks of iterations on small games, each one compiled call; `abreast.py` has those of batches.

On a game of a few states an iteration takes microseconds; what Python does around it takes longer.
A block is as many iterations as fit into a few hundredths of a second, with the scores of each of
them. The step of the solver is the reference of its rule in `native_blocks.py`.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from mfdsl.runtime.evaluate import Evaluation
from mfdsl.runtime.solvers.base import State
from mfdsl.runtime.solvers.config import Config
from mfdsl.runtime.solvers.course import Games, Stand
from mfdsl.runtime.views.finite import FiniteView
from mfdsl.runtime.views.small import Found, Small

SECONDS = 0.02  # of a block, so that Ctrl-C is heard soon
FIRST_ROWS, MOST_ROWS = 8, 1 << 12
GROWTH = 2
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Rule:
    """A solver for the compiled loop: its rule, and the fields of its state and its options."""

    name: str
    tables: tuple[str, ...]
    numbers: tuple[str, ...]
    options: tuple[str, ...]
    applies: Callable[[Config], bool] = lambda config: True


RULES: Mapping[str, Rule] = {
    "omd": Rule(
        "MIRROR_DESCENT", ("probs", "scores"), ("rate", "gap"), ("learning_rate", "temperature")
    ),
    "fictitious_play": Rule("FICTITIOUS_PLAY", ("probs",), (), ("weight", "ties")),
    "fixed_point": Rule("FIXED_POINT", ("probs",), (), ("temperature", "damping", "ties")),
    "policy_iteration": Rule(
        "POLICY_ITERATION", ("probs",), (), ("temperature", "damping", "ties")
    ),
    "munchausen_omd": Rule("MUNCHAUSEN", ("probs", "log_probs"), (), ("temperature",)),
    "prior_descent": Rule(
        "PRIOR_DESCENT",
        ("probs", "log_probs", "log_prior"),
        ("temperature", "first", "last"),
        ("inner", "temperature"),
        lambda config: getattr(config, "response", "") == "best",
    ),
}


@dataclass(frozen=True, eq=False)
class Packed:
    """A solver's state after some iterations, and what is known of its policy, as plain arrays."""

    iteration: int
    tables: Numbers
    numbers: Numbers
    found: Found


class Row(NamedTuple):
    """The scores of an iteration, and when it was done by the clock."""

    iteration: int
    gap: float
    value: float
    moment: float


@dataclass(frozen=True, eq=False)
class Blocks:
    """How a run of one small game goes on."""

    rule: Rule
    small: Small = field(repr=False)
    options: Numbers
    even: Numbers = field(repr=False)
    single: bool

    def begun(self, state: State) -> Packed:
        """Where a state of the game is."""
        from mfdsl.runtime.views import native_tape  # needs numba

        count = len(self.small.tables.program.populations)
        probs = self.small.numbers_of(state.probs)
        laws, joint, rewards, final, *scores = native_tape.along(
            self.small.walk, probs, count, self.small.discount
        )
        if self.single:
            laws, *scores = (
                table.astype(np.float32).astype(np.float64) for table in (laws, *scores)
            )
        return self._packed(state, Found(laws, joint, rewards, final, *scores))

    def packed(self, stand: Stand) -> Packed:
        """Where a stand is, whose evaluation is known."""
        flow = stand.evaluation.flow
        answers, problem = flow.known, flow.problem
        assert answers is not None and problem is not None
        joint, rewards, final = np.zeros(0), np.zeros(0), np.zeros(0)  # nobody goes on from these
        q, best = self.small.numbers_of(answers.q), self.small.numbers_of(answers.best_q)
        laws = flow.laws[0].double().numpy()
        returns = torch.cat([answers.own, answers.most]).double().numpy()
        return self._packed(stand.state, Found(laws, joint, rewards, final, q, best, returns))

    def _packed(self, state: State, found: Found) -> Packed:
        tables = [self.small.numbers_of(getattr(state, name)) for name in self.rule.tables]
        numbers = [float(getattr(state, name)) for name in self.rule.numbers]
        return Packed(state.iteration, np.stack(tables), np.array(numbers), found)

    def state(self, like: State, packed: Packed) -> State:
        """The state that is there, of the kind of another one."""
        kind = like.probs.dtype
        changes: dict[str, Any] = {"iteration": packed.iteration}
        for name, table in zip(self.rule.tables, packed.tables, strict=True):
            rest = 0.0 if name == "probs" else -np.inf
            changes[name] = self.small.table_of(table, kind, rest)
        for name, number in zip(self.rule.numbers, packed.numbers, strict=True):
            changes[name] = torch.full((1,), number, dtype=getattr(like, name).dtype)
        return replace(like, **changes)

    def stand(self, like: Stand, packed: Packed) -> Stand:
        """The stand that is there, with the view and the solver of another one."""
        state, view = self.state(like.state, packed), like.view
        assert isinstance(view, FiniteView)
        flow = self.small.told(packed.found, view.policy(state.probs), view.kernels)
        return replace(like, state=state, evaluation=Evaluation.of(view, flow))

    def iterated(
        self, start: Packed, most: int, every: int, tolerance: float
    ) -> tuple[Numbers, Packed]:
        """At most so many iterations: exploitability and value of each [N, 2], where they lead.

        The last one is the first, among multiples of `every`, whose exploitability is at most the
        tolerance or no number; there is none such if `every` is 0.
        """
        from mfdsl.runtime.solvers import native_blocks  # needs numba

        tables, numbers, found = start.tables.copy(), start.numbers.copy(), start.found
        known = (found.laws.copy(), found.q.copy(), found.best.copy(), found.returns.copy())
        rows = np.empty((most, 2))
        done, joint, rewards, final = native_blocks.iterate(
            self.small.walk,
            self.small.discount,
            getattr(native_blocks, self.rule.name),
            self.options,
            self.single,
            start.iteration,
            every,
            float(tolerance),  # one that is whole would be compiled once more
            self.even,
            tables,
            numbers,
            known,
            rows,
        )
        laws, q, best, returns = known
        after = Found(laws, joint, rewards, final, q, best, returns)
        return rows[:done], Packed(start.iteration + done, tables, numbers, after)


class Passage:
    """A way through blocks, which grow while they are done in a fraction of `SECONDS`."""

    def __init__(self, blocks: Blocks, start: Stand) -> None:
        self._blocks, self._start = blocks, start
        self._block = self._end = blocks.packed(start)
        self._passed = 0

    def rows(self, iterations: int, every: int, tolerance: float) -> Iterator[Row]:
        """The iterations up to the last one; later ones are wrong where one has met its goal."""
        size = FIRST_ROWS
        while (left := iterations - self._end.iteration) > 0:
            began, block = time.perf_counter(), self._end
            scores, end = self._blocks.iterated(block, min(left, size), every, tolerance)
            ended = time.perf_counter()
            each = (ended - began) / len(scores)  # iterations of one game take equally long
            size = max(1, min(GROWTH * size, MOST_ROWS, int(SECONDS / each)))
            self._block, self._end, self._passed = block, end, 0
            for gap, value in scores.tolist():
                self._passed += 1
                moment = began + each * self._passed
                yield Row(block.iteration + self._passed, gap, value, moment)

    def stand(self) -> Stand:
        """Where the last row is that was given."""
        block, end = self._block, self._end
        if block.iteration + self._passed < end.iteration:
            _, end = self._blocks.iterated(block, self._passed, 0, 0.0)
        return self._blocks.stand(self._start, end) if end is not block else self._start


def blocks_for(games: Games) -> tuple[Blocks, ...] | None:
    """How each game of a run goes on in blocks, None where iterations are made one by one."""
    rule, view, config = RULES.get(games.solver_name), games.view, games.solver.config
    if rule is None or not isinstance(view, FiniteView) or not rule.applies(config):
        return None
    if (found := view.compiled_games) is None:
        return None
    count, even = games.count, view.uniform().probs
    single = even.dtype == torch.float32
    shared = {name: _number(getattr(config, name)) for name in rule.options}
    return tuple(
        Blocks(
            rule,
            small := found[game if len(found) > 1 else 0],
            np.array([games.varied.values.get(n, (shared[n],) * count)[game] for n in shared]),
            small.numbers_of(even[game : game + 1] if len(even) > 1 else even),
            single,
        )
        for game in range(count)
    )


def _number(option: float | str) -> float:
    """An option as a number: of two ways to share ties, 1 is `first`."""
    return float(option == "first") if isinstance(option, str) else float(option)
