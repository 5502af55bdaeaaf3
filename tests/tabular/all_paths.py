"""Values, laws and best responses of a finite game by following every path of the common state.

Nothing of the reductions is used but the place of a state in the table of a policy, and the number
that a table gives to a past. Works on the model of the spec with `interpret.evaluate` alone.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch

from mfdsl.compiler.ir.interpret import Environment, Member, evaluate, values_of
from mfdsl.compiler.ir.model import NoiseVariable, Player, StateVariable
from mfdsl.compiler.ir.play import alike, drawing_order
from mfdsl.compiler.ir.walk import given
from mfdsl.game import Game

Own = tuple[int, ...]  # values of traits that are seen, then of states
Common = dict[tuple[str, str, str], int]
Laws = dict[str, dict[Own, float]]


@dataclass
class Found:
    """Returns from a path on: under the policies, of the best responses of one member in each own
    state, and of the best responses of majors; `laws` by stage, summed over paths.
    """

    values: dict[str, float]
    best: dict[str, dict[Own, float]]
    best_major: dict[str, float]


class Oracle:
    """The game under the policies of a table [T, S, A]."""

    def __init__(self, game: Game, probs: torch.Tensor) -> None:
        self.game, self.model = game, game.model
        assert game.reduced is not None
        self.reduced, self.program = game.reduced, game.program
        self.sizes = tuple(self.program.states.values())
        self.table = probs.numpy().reshape(len(probs), *self.sizes, *self.program.actions.values())
        self.around = [p for p in self.model.players if p.kind != "population"]
        self.majors = [p for p in self.around if p.kind == "major"]
        self.shown = {p.name: self._shown(p) for p in self.model.populations}
        self.steps = self.model.horizon.steps or 0
        self.laws: list[dict[str, dict[Own, float]]] = [
            {p.name: defaultdict(float) for p in self.model.populations}
            for _ in range(self.steps + 1)
        ]
        self._after: dict[int, np.ndarray] = {}
        self._alike = alike(self.model)  # means that are worked out once for all members

    def whole(self) -> tuple[dict[str, float], dict[str, float]]:
        """Returns of every player from t = 0: under the policies, and of a best response."""
        values: dict[str, float] = defaultdict(float)
        best: dict[str, float] = defaultdict(float)
        for common, chance in self.starts():
            laws = {p.name: self.first_law(p, common) for p in self.model.populations}
            past = None
            if self.reduced.past is not None:
                state = tuple(common[p, "state", n] for p, n in self.reduced.past.variables)
                past = self.reduced.past.starts[state]
            found = self.on(0, past, common, laws, chance)
            for name, value in found.values.items():
                values[name] += chance * value
            for name, by_state in found.best.items():
                best[name] += chance * sum(m * by_state[s] for s, m in laws[name].items())
            for name, value in found.best_major.items():
                best[name] += chance * value
        return values, best

    def starts(self) -> list[tuple[Common, float]]:
        """Common states at t = 0."""
        found: list[tuple[Common, float]] = [({}, 1.0)]
        for player in sorted(self.around, key=lambda p: p.order):
            for state in drawing_order(self.model, player):
                longer = []
                for common, chance in found:
                    for value in values_of(self.model.types[state.type]):
                        here = {**common, (player.name, "state", state.name): value}
                        mass = evaluate(self.model, given(state.initial), Environment(common=here))
                        longer += [(here, chance * mass)] if mass > 0 else []
                found = longer
        return found

    def first_law(self, player: Player, common: Common) -> dict[Own, float]:
        """The law of traits that are seen and of states at t = 0."""
        law: dict[Own, float] = defaultdict(float)
        variables = [("trait", v) for v in player.traits] + [("state", v) for v in player.states]
        for values in product(*(values_of(self.model.types[v.type]) for _, v in variables)):
            own = {(k, v.name): x for (k, v), x in zip(variables, values, strict=True)}
            mass = 1.0
            for _, variable in variables:
                if mass:
                    scene = Environment(own, common=common)
                    mass *= evaluate(self.model, given(variable.initial), scene)
            if mass:
                law[tuple(own[key] for key in self.shown[player.name])] += mass
        return dict(law)

    def on(self, t: int, past: int | None, common: Common, laws: Laws, chance: float) -> Found:
        """All that follows on one path; `chance` is how likely the policies make it."""
        for name, law in laws.items():
            for own, mass in law.items():
                self.laws[t][name][own] += chance * mass
        if t == self.steps:
            return self._end(common, laws)
        joint = {p.name: list(self._members(p, t, past, common, laws)) for p in self._groups()}
        values: dict[str, float] = defaultdict(float)
        gains = {p.name: _zeros(self._choices(p, t)) for p in self._groups()}
        choices: dict[str, dict[Own, float]] = {p.name: defaultdict(float) for p in self.majors}
        for turn, actions, odds in self._turns(t, common, joint):
            played = {m.name: self._chance_of(m, t, past, common, actions) for m in self.majors}
            weight = odds * float(np.prod(list(played.values())))
            known = dict.fromkeys(self._alike)
            scene = Environment(time=t, common=turn, laws=joint, alike=known)
            paid, after_laws = self._moved(scene, joint)
            after = {
                (p.name, "state", s.name): evaluate(self.model, given(s.next), scene)
                for p in self.around
                for s in p.states
            }
            then = self.on(t + 1, self._next(t, past, turn), after, after_laws, chance * weight)
            for major in self.majors:
                paid[major.name] = self._paid(major, scene)
            for name in paid:
                values[name] += weight * (paid[name] + self.model.discount * then.values[name])
            for major in self.majors:
                (own,) = [a for n, a in actions.items() if n == major.name]
                others = np.prod([v for n, v in played.items() if n != major.name] or [1.0])
                ahead = paid[major.name] + self.model.discount * then.best_major[major.name]
                choices[major.name][own] += odds * float(others) * ahead
            for player in self._groups():
                for (own, action), total in gains[player.name].items():
                    ahead = self._ahead(player, scene, own, action, then.best[player.name])
                    gains[player.name][own, action] = total + weight * ahead
        best = {name: _best(table) for name, table in gains.items()}
        return Found(values, best, {n: max(found.values()) for n, found in choices.items()})

    def _end(self, common: Common, laws: Laws) -> Found:
        """The final rewards."""
        joint = {p.name: list(self._weighed(p, laws[p.name])) for p in self._groups()}
        scene = Environment(time=self.steps, common=common, laws=joint)
        best = {}
        values = {m.name: self._paid(m, scene, final=True) for m in self.majors}
        majors = dict(values)
        for player in self._groups():
            best[player.name] = {
                own: sum(
                    mass * self._paid(player, _as(scene, {**self._named(player, own), **h}), True)
                    for h, mass in self._hidden(player)
                )
                for own in self._places(player)
            }
            law = laws[player.name]
            values[player.name] = sum(m * best[player.name][own] for own, m in law.items())
        return Found(values, best, majors)

    def _ahead(
        self, player: Player, scene: Environment, own: Own, action: Own, then: Mapping[Own, float]
    ) -> float:
        """Reward and best return of one member that takes an action."""
        total = 0.0
        chosen = {("action", a.name): v for a, v in zip(player.actions, action, strict=True)}
        for h, mass in self._hidden(player):
            member = {**self._named(player, own), **h, **chosen}
            for drawn, weight in self._drawn(player, _as(scene, member)):
                after = self._after_step(player, drawn)
                paid = self._paid(player, drawn) + self.model.discount * then[after]
                total += mass * weight * paid
        return total

    def _moved(
        self, scene: Environment, joint: Mapping[str, list[tuple[Member, float]]]
    ) -> tuple[dict[str, float], Laws]:
        """Mean rewards and next laws of all populations."""
        paid: dict[str, float] = {}
        after: Laws = {}
        for player in self._groups():
            total, law = 0.0, defaultdict(float)
            for member, mass in joint[player.name]:
                for drawn, weight in self._drawn(player, _as(scene, member)):
                    total += mass * weight * self._paid(player, drawn)
                    law[self._after_step(player, drawn)] += mass * weight
            paid[player.name], after[player.name] = total, dict(law)
        return paid, after

    def _drawn(self, player: Player, scene: Environment) -> Iterator[tuple[Environment, float]]:
        """All outcomes of the private noises."""
        found = [(dict(scene.own), 1.0)]
        for noise in player.noises:
            found = [
                ({**own, ("noise", noise.name): v}, mass * weight)
                for own, mass in found
                for v in values_of(self.model.types[noise.type])
                for weight in [
                    evaluate(
                        self.model,
                        given(noise.density),
                        _as(scene, {**own, ("noise", noise.name): v}),
                    )
                ]
                if weight > 0
            ]
        for own, mass in found:
            yield _as(scene, own), mass

    def _after_step(self, player: Player, scene: Environment) -> Own:
        nexts = {s.name: given(s.next) for s in player.states}
        return tuple(
            scene.own[kind, name] if kind == "trait" else evaluate(self.model, nexts[name], scene)
            for kind, name in self.shown[player.name]
        )

    def _paid(self, player: Player, scene: Environment, final: bool = False) -> float:
        terms = [term.node for term in player.rewards if term.final == final]
        return float(sum(evaluate(self.model, node, scene) for node in terms))

    def _members(
        self, player: Player, t: int, past: int | None, common: Common, laws: Laws
    ) -> Iterator[tuple[Member, float]]:
        """The joint law of states, traits and actions."""
        for own, mass in laws[player.name].items():
            row = self._row(player, t, past, common, own)
            for action in self._legal(player, t, self._named(player, own), {}):
                chance = row[self._action_place(player, action)]
                chosen = {
                    ("action", a.name): v for a, v in zip(player.actions, action, strict=True)
                }
                for h, share in self._hidden(player):
                    if mass * share * chance:
                        yield {**self._named(player, own), **h, **chosen}, mass * share * chance

    def _weighed(self, player: Player, law: Mapping[Own, float]) -> Iterator[tuple[Member, float]]:
        for own, mass in law.items():
            for h, share in self._hidden(player):
                yield {**self._named(player, own), **h}, mass * share

    def _turns(
        self, t: int, common: Common, joint: Mapping[str, list[tuple[Member, float]]]
    ) -> Iterator[tuple[Common, dict[str, Own], float]]:
        """All joint outcomes of common noises and legal actions of majors, with the odds of the
        noises.
        """
        noises = [(p, n) for p in self.around for n in p.noises]
        ranges = [values_of(self.model.types[n.type]) for _, n in noises]
        legal = [self._legal(m, t, {}, common) for m in self.majors]
        for actions in product(*legal):
            for values in product(*ranges):
                turn = dict(common)
                for major, chosen in zip(self.majors, actions, strict=True):
                    turn |= {
                        (major.name, "action", a.name): v
                        for a, v in zip(major.actions, chosen, strict=True)
                    }
                turn |= {
                    (p.name, "noise", n.name): v for (p, n), v in zip(noises, values, strict=True)
                }
                odds = self._odds([n for _, n in noises], t, turn, joint)
                if odds > 0:
                    named = {m.name: a for m, a in zip(self.majors, actions, strict=True)}
                    yield turn, named, odds

    def _odds(
        self,
        noises: list[NoiseVariable],
        t: int,
        turn: Common,
        joint: Mapping[str, list[tuple[Member, float]]],
    ) -> float:
        odds = 1.0
        scene = Environment(time=t, common=turn, laws=joint)
        for noise in noises:
            odds = odds and odds * evaluate(self.model, given(noise.density), scene)
        return odds

    def _next(self, t: int, past: int | None, turn: Common) -> int | None:
        """The number of the next past, as the tables have it."""
        if past is None or self.reduced.past is None:
            return None
        only = self.reduced.model.population
        names = [s.name for s in only.states]
        drawn = [n.name for n in only.noises]
        noises = [(p.name, "noise", n) for p in self.around for n in p.noises]
        actions = [(p.name, "action", a) for p in self.majors for a in p.actions]
        place = 0
        for player, kind, variable in (*noises, *actions):
            values = values_of(self.model.types[variable.type])
            place = place * len(values) + values.index(turn[player, kind, variable.name])
        state = [0] * len(names)
        state[names.index(self.reduced.past.axis)] = past
        outcome = [0] * len(drawn)
        outcome[next(k for k, name in enumerate(drawn) if name.startswith("turn"))] = place
        flat = int(np.ravel_multi_index(state, self.sizes))
        k = int(np.ravel_multi_index(outcome, tuple(self.program.noises.values())))
        successors = self._successors(t)
        after = successors[flat if len(successors) > 1 else 0, 0, k]
        return int(np.unravel_index(after, self.sizes)[names.index(self.reduced.past.axis)])

    def _successors(self, t: int) -> np.ndarray:
        if t not in self._after:
            module, params = self.program.module, self.program.params()
            shape = (1, *self.sizes, *self.program.actions.values())
            joint = torch.full(shape, 1 / float(np.prod(shape)), dtype=torch.float64)
            field = module.field(params, torch.tensor(t), joint)
            self._after[t] = module.successors(params, torch.tensor(t), field)[0].numpy()
        return self._after[t]

    def _row(
        self, player: Player, t: int, past: int | None, common: Common, own: Own
    ) -> np.ndarray:
        """Probabilities of actions of a member, over the axes of actions."""
        place = []
        mine = dict(zip(self.shown.get(player.name, ()), own, strict=True))
        for state in self.reduced.model.population.states:
            place.append(self._place(player, state, past, common, mine))
        return np.asarray(self.table[(min(t, len(self.table) - 1), *place)])

    def _place(
        self,
        player: Player,
        axis: StateVariable,
        past: int | None,
        common: Common,
        mine: Mapping[tuple[str, str], int],
    ) -> int:
        if axis.name == self.reduced.who:
            return self.reduced.populations.index(player.name)
        if self.reduced.past is not None and axis.name == self.reduced.past.axis:
            assert past is not None
            return past
        for c in self.reduced.states:
            if c.axis == axis.name and c.player == player.name and c.step is None:
                value = next((v for (_, n), v in mine.items() if n == c.variable), None)
                if value is not None:
                    return value - c.first
            if c.axis == axis.name and (c.player, "state", c.variable) in common:
                return common[c.player, "state", c.variable] - c.first
        return 0

    def _action_place(self, player: Player, action: Own) -> tuple[int, ...]:
        values = dict(zip((a.name for a in player.actions), action, strict=True))
        place = []
        for axis in self.reduced.model.population.actions:
            mine = [c for c in self.reduced.actions if c.axis == axis.name]
            own = [c for c in mine if c.player == player.name]
            place.append(values[own[0].variable] - own[0].first if own else 0)
        return tuple(place)

    def _chance_of(
        self,
        major: Player,
        t: int,
        past: int | None,
        common: Common,
        actions: Mapping[str, Own],
    ) -> float:
        row = self._row(major, t, past, common, ())
        return float(row[self._action_place(major, actions[major.name])])

    def _legal(self, player: Player, t: int, own: Member, common: Common) -> list[Own]:
        found = []
        for action in product(*(values_of(self.model.types[a.type]) for a in player.actions)):
            named = {("action", a.name): v for a, v in zip(player.actions, action, strict=True)}
            if player.kind == "population":
                scene = Environment({**own, **named}, t)
            else:
                there = {(player.name, k, n): v for (k, n), v in named.items()}
                scene = Environment(time=t, common={**common, **there})
            if player.legal is None or evaluate(self.model, player.legal, scene):
                found.append(action)
        return found

    def _choices(self, player: Player, t: int) -> list[tuple[Own, Own]]:
        return [
            (own, action)
            for own in self._places(player)
            for action in self._legal(player, t, self._named(player, own), {})
        ]

    def _hidden(self, player: Player) -> list[tuple[dict[tuple[str, str], int], float]]:
        """Fresh values of the traits that policies do not see."""
        shown = self.shown[player.name]
        found: list[tuple[dict[tuple[str, str], int], float]] = [({}, 1.0)]
        for trait in player.traits:
            if ("trait", trait.name) not in shown:
                found = [
                    ({**own, ("trait", trait.name): v}, mass * weight)
                    for own, mass in found
                    for v in values_of(self.model.types[trait.type])
                    for here in [Environment({("trait", trait.name): v})]
                    for weight in [evaluate(self.model, given(trait.initial), here)]
                    if weight > 0
                ]
        return found

    def _places(self, player: Player) -> list[Own]:
        kinds = {
            **{("trait", v.name): v.type for v in player.traits},
            **{("state", v.name): v.type for v in player.states},
        }
        types = [self.model.types[kinds[key]] for key in self.shown[player.name]]
        return list(product(*(values_of(kind) for kind in types)))

    def _named(self, player: Player, own: Own) -> dict[tuple[str, str], int]:
        return dict(zip(self.shown[player.name], own, strict=True))

    def _shown(self, player: Player) -> list[tuple[str, str]]:
        seen = {
            (self.model.nodes[n.node].op, self.model.nodes[n.node].attr) for n in player.observe
        }
        traits = [
            ("trait", t.name)
            for t in player.traits
            if not player.observe or ("trait", t.name) in seen
        ]
        return [*traits, *(("state", s.name) for s in player.states)]

    def _groups(self) -> tuple[Player, ...]:
        return self.model.populations


def _as(scene: Environment, own: Member) -> Environment:
    """The scene as a member sees it; laws are the same, and so are means that read nothing else."""
    return Environment(own, scene.time, common=scene.common, laws=scene.laws, alike=scene.alike)


def _zeros(keys: list[tuple[Own, Own]]) -> dict[tuple[Own, Own], float]:
    return dict.fromkeys(keys, 0.0)


def _best(gains: Mapping[tuple[Own, Own], float]) -> dict[Own, float]:
    found: dict[Own, float] = {}
    for (own, _), gain in gains.items():
        found[own] = max(gain, found.get(own, gain))
    return found
