"""The pasts of finite common states: which can have been, and how they go on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

from mfdsl.compiler.ir.interpret import Environment, evaluate, values_of
from mfdsl.compiler.ir.model import Model, Player
from mfdsl.compiler.ir.play import drawing_order
from mfdsl.compiler.ir.reduced import Past
from mfdsl.compiler.ir.walk import MEANS, given, reachable
from mfdsl.compiler.tabular.frames import NoTables
from mfdsl.compiler.tabular.naming import free_name, names_in
from mfdsl.compiler.tabular.rebuild import player_roots

MOST_PASTS = 20_000
MOST_ENTRIES = 2_000_000
MOST_TURNS = 1_024
SHARED = ("const", "param", "time", "array")

Common = tuple[int, ...]
Values = dict[tuple[str, str, str], int]
Name = tuple[str, str]


@dataclass(frozen=True)
class Tree:
    """All pasts that can happen, numbered from 0 at every stage.

    `states[t][h]` are the common states now, in the order of `variables`. A turn is one joint
    outcome of all common noises and of all actions of majors, in the order of `drawn`. Tables are
    flat [stages, width, turns]: `after` is the next past, `chances` the probability of the noises
    of a turn but for those in `by_law`, whose laws read the law of a population; `even[major]` is
    the probability of its part of a turn when it takes all legal actions equally often. `first`
    [width] is the probability of a past at t = 0. `fixed` names parameters that are worked in.
    """

    axis: str
    turn: str
    variables: tuple[Name, ...]
    drawn: tuple[Name, ...]
    outcomes: tuple[Common, ...]
    states: tuple[tuple[Common, ...], ...]
    after: tuple[int, ...]
    chances: tuple[float, ...]
    even: Mapping[str, tuple[float, ...]]
    first: tuple[float, ...]
    by_law: tuple[Name, ...]
    fixed: frozenset[str]
    told: bool

    @property
    def stages(self) -> int:
        """Number of decisions T."""
        return len(self.states) - 1

    @property
    def width(self) -> int:
        """Most pasts of any stage."""
        return max(len(row) for row in self.states)

    @property
    def turns(self) -> int:
        """Number of joint outcomes."""
        return len(self.outcomes)

    def state_values(self, player: str, name: str) -> list[float]:
        """The values of a common state, flat [stages + 1, width]; unused pasts repeat the first."""
        place = self.variables.index((player, name))
        rows = [[s[place] for s in row] for row in self.states]
        return [float(v) for row in rows for v in row + [row[0]] * (self.width - len(row))]

    def outcome_values(self, player: str, name: str) -> list[float]:
        """The values of a common noise, or of an action of a major, at each turn."""
        place = self.drawn.index((player, name))
        return [float(outcome[place]) for outcome in self.outcomes]

    def past(self) -> Past:
        """How the past goes on, for those who follow one game."""
        children: list[dict[tuple[int, Common], int]] = []
        parents: list[tuple[int, ...]] = [()]
        turns: list[tuple[tuple[int | None, ...], ...]] = [()]
        for t in range(self.stages):
            row: dict[tuple[int, Common], int] = {}
            before: dict[int, int] = {}
            led: dict[int, list[Common]] = {}
            for h in range(len(self.states[t])):
                for k in range(self.turns):
                    place = (t * self.width + h) * self.turns + k
                    if self.chances[place] > 0 and all(e[place] > 0 for e in self.even.values()):
                        row[h, self.states[t + 1][self.after[place]]] = self.after[place]
                        before[self.after[place]] = h
                        led.setdefault(self.after[place], []).append(self.outcomes[k])
            children.append(row)
            parents.append(tuple(before[h] for h in sorted(before)))
            turns.append(tuple(_agreed(led[h]) for h in sorted(led)))
        starts = {state: h for h, state in enumerate(self.states[0])}
        return Past(
            self.axis,
            self.variables,
            starts,
            tuple(children),
            self.told,
            self.states,
            tuple(parents),
            self.drawn,
            tuple(turns),
        )


def _agreed(outcomes: Sequence[Common]) -> tuple[int | None, ...]:
    """What is the same in all of these outcomes, None where it is not."""
    columns = zip(*outcomes, strict=True)
    return tuple(values[0] if len(set(values)) == 1 else None for values in columns)


def starting_states(model: Model, around: Sequence[Player]) -> dict[Common, float]:
    """The common states at t = 0 and their probabilities.

    Raises:
        NoTables: there are more than the limit.
    """
    found: dict[Common, tuple[Values, float]] = {(): ({}, 1.0)}
    order = []
    for player in sorted(around, key=lambda p: p.order):
        for state in drawing_order(model, player):
            kind = model.types[state.type]
            order.append((player.name, state.name))
            longer: dict[Common, tuple[Values, float]] = {}
            for key, (common, chance) in found.items():
                for value in values_of(kind):
                    here = {**common, (player.name, "state", state.name): value}
                    density = evaluate(model, given(state.initial), Environment(common=here))
                    if density > 0:
                        longer[*key, value] = (here, chance * density)
                if len(longer) > MOST_PASTS:
                    raise _too_many(len(longer), 0)
            found = longer
    places = [order.index(v) for v in _variables(around)]
    return {tuple(key[i] for i in places): chance for key, (_, chance) in found.items()}


def grow(model: Model, around: Sequence[Player], starts: Mapping[Common, float]) -> Tree:
    """Follow all turns from the starting states.

    Raises:
        NoTables: there are more pasts than the limit, or the law sets a common state.
    """
    growth = _Growth(model, around)
    states: list[tuple[Common, ...]] = [tuple(starts)]
    stages: list[list[list[_Step]]] = []
    told = True
    steps = model.horizon.steps or 0
    most = min(MOST_PASTS, MOST_ENTRIES // max(1, steps * len(growth.outcomes)))
    if len(starts) > most:
        raise _too_many(len(starts), 0, most)
    for t in range(steps):
        row: dict[tuple[int, Common, tuple[Any, ...]], int] = {}
        stages.append([])
        for h, state in enumerate(states[t]):
            stages[t].append(growth.turns(t, h, state, row))
            if len(row) > most:
                raise _too_many(len(row), t + 1, most)
        told &= len({key[:2] for key in row}) == len(row)
        states.append(tuple(key[1] for key in row))
    width = max(len(row) for row in states)
    unused = [_Step(0, float(k == 0), (float(k == 0),) * len(growth.majors)) for k in growth.places]
    flat = [
        step for row in stages for steps in [*row, *[unused] * (width - len(row))] for step in steps
    ]
    taken = names_in(model)
    return Tree(
        axis=free_name("past", taken),
        turn=free_name("turn", taken),
        variables=_variables(around),
        drawn=growth.drawn,
        outcomes=tuple(growth.outcomes),
        states=tuple(states),
        after=tuple(step.after for step in flat),
        chances=tuple(step.chance for step in flat),
        even={
            major.name: tuple(step.even[k] for step in flat)
            for k, major in enumerate(growth.majors)
        },
        first=(*starts.values(), *[0.0] * (width - len(starts))),
        by_law=growth.by_law,
        fixed=growth.fixed,
        told=told,
    )


@dataclass(frozen=True)
class _Step:
    """One turn of one past."""

    after: int
    chance: float
    even: tuple[float, ...]


class _Growth:
    """What all pasts of a model have in common."""

    def __init__(self, model: Model, around: Sequence[Player]) -> None:
        self.model, self.around = model, around
        self.majors = [p for p in around if p.kind == "major"]
        self.noises = [(p.name, n) for p in around for n in p.noises]
        actions = [(p.name, a) for p in self.majors for a in p.actions]
        self.drawn = tuple((p, v.name) for p, v in (*self.noises, *actions))
        kinds = [values_of(model.types[v.type]) for _, v in (*self.noises, *actions)]
        if prod(len(k) for k in kinds) > MOST_TURNS:
            raise NoTables(
                f"the common state has {prod(len(k) for k in kinds):,} outcomes at every step"
            )
        self.outcomes: list[Common] = list(product(*kinds))
        self.places = range(len(self.outcomes))
        self.variables = _variables(around)
        nexts = [given(s.next) for p in around for s in p.states]
        if _reads(model, nexts, MEANS):
            raise NoTables("the law sets a common state: let it set the odds of one, with `~`")
        self.by_law = tuple(
            (p, n.name) for p, n in self.noises if _reads(model, [given(n.density)], MEANS)
        )
        self.signals = _signals(model)
        numeric = [given(n.density) for p, n in self.noises if (p, n.name) not in self.by_law]
        numeric += [given(s.initial) for p in around for s in p.states] + nexts + self.signals
        numeric += [p.legal for p in self.majors if p.legal is not None]
        under = reachable(model.nodes, numeric)
        self.fixed = frozenset(
            str(model.nodes[i].attr) for i in under if model.nodes[i].op == "param"
        )

    def turns(
        self,
        t: int,
        h: int,
        state: Common,
        row: dict[tuple[int, Common, tuple[Any, ...]], int],
    ) -> list[_Step]:
        """All turns of past `h`; `row` numbers the pasts of the next stage."""
        known: Values = {
            (p, "state", n): v for (p, n), v in zip(self.variables, state, strict=True)
        }
        legal = [self._legal(major, known, t) for major in self.majors]
        steps = []
        for outcome in self.outcomes:
            common = self._with(known, outcome)
            even = tuple(
                float(self._own(major, outcome) in allowed) / len(allowed)
                for major, allowed in zip(self.majors, legal, strict=True)
            )
            chance = self._chance(common, outcome, t) if all(even) else 0.0
            after = 0
            if chance > 0:
                scene = Environment(common=common, time=t)
                reached = tuple(
                    int(evaluate(self.model, given(s.next), scene))
                    for p in self.around
                    for s in p.states
                )
                seen = tuple(evaluate(self.model, i, scene) for i in self.signals)
                after = row.setdefault((h, reached, seen), len(row))
            steps.append(_Step(after, chance, even))
        return steps

    def _with(self, known: Values, outcome: Common) -> Values:
        """The common values of a turn."""
        common = dict(known)
        for place, ((player, name), value) in enumerate(zip(self.drawn, outcome, strict=True)):
            kind = "noise" if place < len(self.noises) else "action"
            common[player, kind, name] = value
        return common

    def _chance(self, common: Values, outcome: Common, t: int) -> float:
        """The probability of the noises of a turn, those by law left out."""
        weight = 1.0
        for player, noise in self.noises:
            if (player, noise.name) in self.by_law:
                continue
            weight *= evaluate(self.model, given(noise.density), Environment(common=common, time=t))
            if weight == 0:
                break
        return weight

    def _own(self, major: Player, outcome: Common) -> Common:
        """The actions of a major in a turn."""
        return tuple(
            value
            for place, ((player, _), value) in enumerate(zip(self.drawn, outcome, strict=True))
            if place >= len(self.noises) and player == major.name
        )

    def _legal(self, major: Player, known: Values, t: int) -> set[Common]:
        kinds = [values_of(self.model.types[a.type]) for a in major.actions]
        found: set[Common] = set(product(*kinds))
        if major.legal is None:
            return found
        return {own for own in found if self._allowed(major, own, known, t)}

    def _allowed(self, major: Player, own: Common, known: Values, t: int) -> bool:
        common = dict(known)
        for action, value in zip(major.actions, own, strict=True):
            common[major.name, "action", action.name] = value
        scene = Environment(common=common, time=t)
        assert major.legal is not None
        return bool(evaluate(self.model, major.legal, scene))


def _reads(model: Model, roots: Sequence[int], ops: Sequence[str]) -> bool:
    return any(model.nodes[i].op in ops for i in reachable(model.nodes, roots))


def _variables(around: Sequence[Player]) -> tuple[Name, ...]:
    return tuple((p.name, s.name) for p in around for s in p.states)


def _signals(model: Model) -> list[int]:
    """The largest expressions of common values that read a turn and reach the members.

    Turns that agree in all of them, and in the next common state, have the same consequences.
    What majors read of their own turn alone moves nobody.
    """
    common, drawn = _common_nodes(model)
    found: set[int] = set()
    seen: set[int] = set()
    stack = [n for p in model.populations for n in player_roots(p)]
    while stack:
        index = stack.pop()
        if index in seen:
            continue
        seen.add(index)
        if index in common:
            found |= {index} & drawn
        else:
            stack += model.nodes[index].args
    return sorted(found)


def _common_nodes(model: Model) -> tuple[set[int], set[int]]:
    """Nodes of common values, parameters and time alone, and those that read a turn."""
    common: set[int] = set()
    drawn: set[int] = set()
    for index, node in enumerate(model.nodes):
        shared = node.op in SHARED or node.op.startswith("common_")
        if (not node.args and shared) or (node.args and common.issuperset(node.args)):
            common.add(index)
        if node.op in ("common_noise", "common_action") or not drawn.isdisjoint(node.args):
            drawn.add(index)
    return common, drawn


def _too_many(count: int, t: int, most: int = MOST_PASTS) -> NoTables:
    return NoTables(
        f"the common state has {count:,} pasts at t = {t} or more, and tables hold {most:,}",
        "shorten the horizon, or let the common state have fewer outcomes",
    )
