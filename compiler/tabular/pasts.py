"""The pasts of finite environments: which common states can have been, and how they go on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from mfdsl.compiler.ir.interpret import Environment, evaluate, values_of
from mfdsl.compiler.ir.model import Model, NoiseVariable, Player
from mfdsl.compiler.ir.play import drawing_order
from mfdsl.compiler.ir.reduced import Past
from mfdsl.compiler.ir.walk import given
from mfdsl.compiler.tabular.frames import NoTables
from mfdsl.compiler.tabular.rebuild import player_roots

MOST_PASTS = 20_000
MOST_ENTRIES = 2_000_000
MOST_TURNS = 1_024

SHARED = ("const", "param", "time", "array")

Common = tuple[int, ...]
Values = dict[tuple[str, str, str], int]


@dataclass(frozen=True)
class Tree:
    """All pasts that can happen, numbered from 0 at every stage.

    `states[t][h]` are the common states now, in the order of `variables`; a turn is one joint
    outcome of all common noises; `after` and `chances` are flat [stages, width, turns] with the
    next past and the probability of a turn, `first` [width] the probability of a past at t = 0.
    """

    axis: str
    turn: str
    variables: tuple[tuple[str, str], ...]
    noises: tuple[tuple[str, str], ...]
    outcomes: tuple[Common, ...]
    states: tuple[tuple[Common, ...], ...]
    after: tuple[int, ...]
    chances: tuple[float, ...]
    first: tuple[float, ...]
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
        """Number of joint outcomes of the common noises."""
        return len(self.outcomes)

    def state_values(self, player: str, name: str) -> list[float]:
        """The values of a common state, flat [stages + 1, width]; unused pasts repeat the first."""
        place = self.variables.index((player, name))
        rows = [[s[place] for s in row] for row in self.states]
        return [float(v) for row in rows for v in row + [row[0]] * (self.width - len(row))]

    def noise_values(self, player: str, name: str) -> list[float]:
        """The values of a common noise at each turn."""
        place = self.noises.index((player, name))
        return [float(outcome[place]) for outcome in self.outcomes]

    def past(self) -> Past:
        """How the past goes on, for those who follow one game."""
        shape = (self.width, self.turns)
        children = []
        for t in range(self.stages):
            row: dict[tuple[int, Common], int] = {}
            for h in range(len(self.states[t])):
                for k in range(self.turns):
                    place = (t * shape[0] + h) * shape[1] + k
                    if self.chances[place] > 0:
                        row[h, self.states[t + 1][self.after[place]]] = self.after[place]
            children.append(row)
        starts = {state: h for h, state in enumerate(self.states[0])}
        return Past(self.axis, self.variables, starts, tuple(children), self.told)


def starting_states(model: Model, around: Sequence[Player]) -> dict[Common, float]:
    """The common states at t = 0 and their probabilities."""
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
    variables = _variables(around)
    places = [order.index(v) for v in variables]
    return {tuple(key[i] for i in places): chance for key, (_, chance) in found.items()}


def grow(model: Model, around: Sequence[Player], starts: Mapping[Common, float]) -> Tree:
    """Follow all turns from the starting states.

    Raises:
        NoTables: there are more pasts than the limit.
    """
    variables = _variables(around)
    noises = [(p.name, n) for p in around for n in p.noises]
    kinds = [values_of(model.types[n.type]) for _, n in noises]
    outcomes = list(product(*kinds))
    if len(outcomes) > MOST_TURNS:
        raise NoTables(f"the common noises have {len(outcomes)} joint outcomes")
    signals = _signals(model)
    states: list[tuple[Common, ...]] = [tuple(starts)]
    chances: list[list[list[float]]] = []
    after: list[list[list[int]]] = []
    steps, told = model.horizon.steps or 0, True
    for t in range(steps):
        row: dict[tuple[int, Common, tuple[Any, ...]], int] = {}
        after.append([])
        chances.append([])
        for h, state in enumerate(states[t]):
            known = {(p, "state", n): v for (p, n), v in zip(variables, state, strict=True)}
            after[t].append([])
            chances[t].append([])
            for outcome in outcomes:
                weight, common = _weighed(model, noises, outcome, known, t)
                child = 0
                if weight > 0:
                    reached = _reached(model, around, common, t)
                    scene = Environment(common=common, time=t)
                    seen = tuple(evaluate(model, i, scene) for i in signals)
                    child = row.setdefault((h, reached, seen), len(row))
                after[t][h].append(child)
                chances[t][h].append(weight)
        told &= len({key[:2] for key in row}) == len(row)
        states.append(tuple(key[1] for key in row))
        if len(row) > MOST_PASTS:
            raise _too_many(len(row), t + 1)
    width = max(len(row) for row in states)
    if steps * width * len(outcomes) > MOST_ENTRIES:
        raise _too_many(width, steps)
    first = [*starts.values(), *[0.0] * (width - len(starts))]
    pad_chance = [1.0] + [0.0] * (len(outcomes) - 1)
    return Tree(
        axis="past",
        turn="turn",
        variables=variables,
        noises=tuple((p, n.name) for p, n in noises),
        outcomes=tuple(outcomes),
        states=tuple(states),
        after=_flat(after, width, [0] * len(outcomes)),
        chances=_flat(chances, width, pad_chance),
        first=tuple(first),
        told=told,
    )


def _flat(rows: list[list[list[Any]]], width: int, pad: list[Any]) -> tuple[Any, ...]:
    full = [row + [pad] * (width - len(row)) for row in rows]
    return tuple(v for row in full for turns in row for v in turns)


def _variables(around: Sequence[Player]) -> tuple[tuple[str, str], ...]:
    return tuple((p.name, s.name) for p in around for s in p.states)


def _signals(model: Model) -> list[int]:
    """The largest expressions of common values that read a common noise and reach the members.

    Turns that agree in all of them, and in the next common state, have the same consequences.
    """
    common, noisy = _common_nodes(model)
    found: set[int] = set()
    seen: set[int] = set()
    stack = [n for p in model.populations for n in player_roots(p)]
    while stack:
        index = stack.pop()
        if index in seen:
            continue
        seen.add(index)
        if index in common:
            found |= {index} & noisy
        else:
            stack += model.nodes[index].args
    return sorted(found)


def _common_nodes(model: Model) -> tuple[set[int], set[int]]:
    """Nodes of common values, parameters and time alone, and those that read a common noise."""
    common: set[int] = set()
    noisy: set[int] = set()
    for index, node in enumerate(model.nodes):
        shared = node.op in SHARED or node.op.startswith("common_")
        if (not node.args and shared) or (node.args and common.issuperset(node.args)):
            common.add(index)
        if node.op == "common_noise" or not noisy.isdisjoint(node.args):
            noisy.add(index)
    return common, noisy


def _weighed(
    model: Model,
    noises: Sequence[tuple[str, NoiseVariable]],
    outcome: Common,
    known: Values,
    t: int,
) -> tuple[float, Values]:
    """The probability of a joint outcome, and all common values with it."""
    common = dict(known)
    weight = 1.0
    for (player, noise), value in zip(noises, outcome, strict=True):
        common[player, "noise", noise.name] = value
        weight *= evaluate(model, given(noise.density), Environment(common=common, time=t))
        if weight == 0:
            break
    return weight, common


def _reached(model: Model, around: Sequence[Player], common: Values, t: int) -> Common:
    scene = Environment(common=common, time=t)
    return tuple(int(evaluate(model, given(s.next), scene)) for p in around for s in p.states)


def _too_many(count: int, t: int) -> NoTables:
    return NoTables(
        f"the common state has {count:,} pasts at t = {t}",
        "shorten the horizon, or let the common noise have fewer outcomes",
    )
