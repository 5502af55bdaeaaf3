"""B games of anonymous agents step by step, by the numbers of agents in each state."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mfdsl.runtime.behaviours import Scene, still
from mfdsl.runtime.counted.cells import CountedProgram, Part, params_of
from mfdsl.runtime.counted.chances import Chances, Choice
from mfdsl.runtime.counted.follow import Followed
from mfdsl.runtime.counted.returns import Returns
from mfdsl.runtime.counted.splits import (
    MOST_AGENTS,
    Counts,
    Floats,
    Landings,
    NoChance,
    Odds,
    landings,
    summed,
)
from mfdsl.runtime.program import Params
from mfdsl.runtime.simulator import (
    Rollout,
    SimulationError,
    Simulator,
    agents_of,
    check_held,
    steps_of,
)
from mfdsl.runtime.streams import generator

WORKING_COPIES = 12  # arrays of the size of all cells that a step holds at once


@dataclass(frozen=True, eq=False)
class Step:
    """One step of a population: counts before [B, S], by action [B, S, A], at landings [B, L], by
    outcome [B, L, K], and after [B, S]; `targets` [B or 1, L, K] are the states after.
    """

    before: Counts
    acting: Counts
    landed: Counts
    moved: Counts
    after: Counts
    ways: Landings


class CountedSimulator:
    """B games of a program; `agents` is a number for all populations or one for each by name.

    Raises:
        SimulationError: a number of agents is out of range, the batch does not fit the parameters,
            or the machine has too little memory.
    """

    def __init__(
        self,
        program: CountedProgram,
        params: Params | None = None,
        *,
        agents: int | Mapping[str, int] | None = None,
        batch: int = 1,
        seed: int = 0,
    ) -> None:
        self.program, self.seed = program, seed
        given: Any = program.agents.params() if params is None else params
        self.agents = agents_of(program.agents, agents)
        for name, number in self.agents.items():
            if number > MOST_AGENTS:
                raise SimulationError(
                    f"{number:,} agents of {name} are more than counts of this kind tell apart: "
                    f"at most {MOST_AGENTS:,}"
                )
        everyone = params_of(program.agents, given)
        self._whole = Simulator(program.agents, everyone, agents=1, batch=batch, seed=seed)
        self.batch = self._whole.batch
        check_held(WORKING_COPIES * 8 * program.cells * self.batch, torch.device("cpu"))
        self._params = given
        self._moves, self._rest = (
            Part(p, given, self.batch, seed) for p in (program.moves, program.rest)
        )
        self._scenery = self._members()
        self._choice: Choice | None = None
        self._kept: dict[str, Landings] = {}
        self._odds: dict[str, tuple[Floats, Odds]] = {}

    def start(self) -> dict[str, Counts]:
        """Numbers [B, S] of agents in the states at t = 0, by field name."""
        part = Part(self.program.start, self._params, self.batch, self.seed)
        ones = {f: torch.ones(1, 1, device=self._params.unit.device) for f in self.program.fields}
        _, chances = part.ask(0, self._common(), ones, self._no_acts(part))
        found = {}
        for field, player in self.program.fields.items():
            chance = _numpy(getattr(chances, field))
            chance = np.broadcast_to(chance, (len(chance), part.cells(field)))
            law = chance.reshape(len(chance), self.program.states(field), -1)
            number = np.full(self.batch, self.agents[player.name])
            odds = Odds.of(law.sum(-1))
            found[field] = self._split(field, "start", 0, odds, number)
        return found

    def rollout(
        self,
        chances: Chances,
        *,
        steps: int | None = None,
        terms: bool = False,
        record: bool = False,
        follow: Sequence[tuple[str, int]] = (),
    ) -> Rollout:
        """Let everybody follow a policy from t = 0 and add up the rewards.

        `record` keeps numbers of agents, `person.count` [T + 1, B, *S] and `person.acting`
        [T, B, *S, *A], their mean reward `person.reward` [T, B], and what majors and environments
        do. `follow` lists agents (population, number) of game 0 whose own path is drawn given the
        counts, `person[3].x` [T, 1].
        """
        count, rate = steps_of(self.program.agents, steps), self.program.agents.discount
        common: Mapping[str, Any] = self._common()
        counts = self.start()
        sums = Returns(self.program, self.agents, self.batch, terms=terms)
        kept = _Record(self.program, record)
        path = Followed(self.program, follow, counts, self.seed)
        began, weight = time.perf_counter(), 1.0
        for t in range(count):
            choice = self._chosen(t, chances, common)
            kept.states(common, counts)
            after, rewards, named, moved = self._step(t, common, counts, choice, terms)
            paid = sums.add(rewards, named, moved, weight)
            kept.moves(choice, moved, paid)
            path.step(t, moved, rewards)
            common, counts = after, {f: step.after for f, step in moved.items()}
            weight *= rate
        if self._rest.program.module.HAS_FINAL and count == self.program.agents.horizon:
            final = self._rest.final(count, common, self._laws(counts))
            sums.finish(final, counts, weight)
        kept.states(common, counts)
        seconds = time.perf_counter() - began
        return sums.rollout(count, seconds, counts, {**kept.stacked(), **path.stacked()})

    def _step(
        self,
        t: int,
        common: Mapping[str, Any],
        counts: Mapping[str, Counts],
        choice: Choice,
        terms: bool,
    ) -> tuple[Mapping[str, Any], Any, Any, Mapping[str, Step]]:
        """The common state after a step, rewards and named rewards at cells, and who went where."""
        acting = {f: self._act(t, f, n, choice) for f, n in counts.items()}
        shares = {f: self._share(f, n) for f, n in acting.items()}
        weights = {f: _spread(shares[f], self._rest.cells(f)) for f in acting}
        state, rewards = self._rest.ask(t, common, weights, choice.majors)
        named = None
        if terms:
            named = self._rest.terms(t, common, weights, choice.majors)
        ways = self._ways(t, common, shares, choice)
        moved = {f: self._move(t, f, counts[f], n, ways[f]) for f, n in acting.items()}
        whole = self._rest.simulator.whole
        after = {f: whole(getattr(state, f)) for f in common}
        return after, rewards, named, moved

    def _chosen(self, t: int, chances: Chances, common: Mapping[str, Any]) -> Choice:
        """What everybody does, asked once where it always is the same."""
        if self._choice is None or not chances.fixed:
            self._choice = chances(self._scene(t, common))
        return self._choice

    def _act(self, t: int, field: str, counts: Counts, choice: Choice) -> Counts:
        """Numbers by action [B, S, A]."""
        if field not in choice.chances:
            return counts[..., None]
        rows, odds = self._odds.get(field, (None, None))
        if odds is None or rows is not choice.chances[field]:
            rows = choice.chances[field]
            odds = Odds.of(np.broadcast_to(rows, (len(rows), counts.shape[1], rows.shape[2])))
            self._odds[field] = (rows, odds)
        return self._split(field, "action", t, odds, counts)

    def _ways(
        self, t: int, common: Mapping[str, Any], shares: Mapping[str, Tensor], choice: Choice
    ) -> Mapping[str, Landings]:
        """Where the cells go on to, worked out once where it always is the same."""
        if self._kept:
            return self._kept
        part = self._moves
        weights = {f: _spread(s, part.cells(f)) for f, s in shares.items()}
        state, chances = part.ask(t, common, weights, choice.majors)
        found = {}
        for field, player in self.program.fields.items():
            outcomes = self.program.outcomes(field)
            target = part.after(field, state).cpu().numpy()
            chance = _numpy(getattr(chances, field))
            chance = np.broadcast_to(chance, (len(chance), part.cells(field)))
            found[field] = landings(
                target.reshape(len(target), -1, outcomes),
                chance.reshape(len(chance), -1, outcomes),
                merge=self.program.fixed,
                ordered=player.name in self.program.reward_noises,
            )
        self._kept = found if self.program.fixed else {}
        return found

    def _move(self, t: int, field: str, before: Counts, acting: Counts, ways: Landings) -> Step:
        landed = ways.gathered(acting.reshape(len(acting), -1))
        moved = self._split(field, "next", t, ways, landed)
        flat = ways.target.reshape(len(ways.target), -1)
        after = summed(flat, moved.reshape(len(moved), -1), before.shape[1])
        return Step(before, acting, landed, moved, after, ways)

    def _split(
        self, field: str, what: str, t: int, odds: Odds | Landings, counts: Counts
    ) -> Counts:
        name = self.program.fields[field].name
        try:
            return odds.split(generator((self.seed, t, f"counts.{name}.{what}")), counts)
        except NoChance as error:
            where = f"state {error.place[1]}" if len(error.place) > 1 else "t = 0"
            raise SimulationError(
                f"the probabilities of the {what} of `{name}` at {where}, t = {t}, do not add up"
            ) from None

    def _share(self, field: str, acting: Counts) -> Tensor:
        """Shares of the agents at the cells (state, action), [B, S A]."""
        number = self.agents[self.program.fields[field].name]
        share = torch.from_numpy(acting.reshape(len(acting), -1) / number)
        return share.to(self._params.unit.device)

    def _laws(self, counts: Mapping[str, Counts]) -> dict[str, Tensor]:
        return {f: self._share(f, n) for f, n in counts.items()}

    def _common(self) -> dict[str, Any]:
        """The states of majors and environments at t = 0."""
        first = self._whole.reset()
        return {f: getattr(first, f) for f in first._fields if f not in self.program.fields}

    def _no_acts(self, part: Part) -> dict[str, Any]:
        """Any actions of majors, for a part that does not read them."""
        chosen = still(self._scene(0, self._common()))
        return {f: getattr(chosen, f) for f in chosen._fields if f not in part.acts}

    def _members(self) -> dict[str, Any]:
        """One member at each place of each population, as the module of agents has them."""
        kinds = self._whole.program.module.State.__annotations__
        return {
            f: kinds[f](*(v.expand(self.batch, -1) for v in self._rest.places[f]))
            for f in self.program.fields
        }

    def _scene(self, t: int, common: Mapping[str, Any]) -> Scene:
        """What a policy may look at: one agent at each place."""
        program = self.program.agents
        groups = {f: self._scenery.get(f, common.get(f)) for f in program.module.State._fields}
        agents = {p.name: self.program.states(f) for f, p in self.program.fields.items()}
        state = program.module.State(**groups)
        return Scene(
            program,
            self._whole.params,
            t,
            self._whole.time(t),
            state,
            self.batch,
            agents,
            self.seed,
        )


class _Record:
    """Arrays by name, one entry for each step."""

    def __init__(self, program: CountedProgram, wanted: bool) -> None:
        self.program, self.wanted = program, wanted
        self.kept: dict[str, list[Tensor]] = {}

    def states(self, common: Mapping[str, Any], counts: Mapping[str, Counts]) -> None:
        if not self.wanted:
            return
        self._groups(common, "state")
        for field, number in counts.items():
            player = self.program.fields[field]
            sizes = self.program.sizes(self.program.axes(player))
            self._add(f"{player.name}.count", number.reshape(-1, *sizes))

    def moves(self, choice: Choice, moved: Mapping[str, Step], paid: Mapping[str, Floats]) -> None:
        if not self.wanted:
            return
        self._groups(choice.majors, "action")
        for field, step in moved.items():
            player = self.program.fields[field]
            sizes = self.program.sizes((*self.program.axes(player), *player.actions))
            self._add(f"{player.name}.acting", step.acting.reshape(-1, *sizes))
        for name, reward in paid.items():
            self._add(f"{name}.reward", reward)

    def _groups(self, groups: Mapping[str, Any], kind: Any) -> None:
        program = self.program.agents
        for field, group in groups.items():
            for name, value in zip(program.variables(field, kind), group, strict=True):
                self.kept.setdefault(f"{program.names[field]}.{name}", []).append(value)

    def _add(self, name: str, value: Any) -> None:
        self.kept.setdefault(name, []).append(torch.from_numpy(value))

    def stacked(self) -> dict[str, Tensor]:
        return {name: torch.stack(values) for name, values in self.kept.items()}


def _spread(share: Tensor, cells: int) -> Tensor:
    """Shares at (state, action) as shares at the cells, evenly over the noises."""
    each = cells // share.shape[1]
    return share if each == 1 else (share / each).repeat_interleave(each, 1)


def _numpy(value: Tensor) -> Floats:
    return value.double().cpu().numpy()
