"""A step of any game by plain loops over its agents: the oracle of the emitted simulators.

Values and draws are nested dictionaries, {player: {name: value}}; for a population each value is a
list with one entry for each agent. Draws are what `Noise` and `Initial` of the emitted module hold:
a uniform number for a finite scalar, a standard draw for everything else.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mfdsl.compiler.ir.interpret import (
    ELEMENTARY,
    Environment,
    Member,
    Value,
    evaluate,
    values_of,
)
from mfdsl.compiler.ir.model import Model, NoiseVariable, Player, StateVariable
from mfdsl.compiler.ir.walk import depth_of, reachable

Values = Mapping[str, Mapping[str, Any]]
Parameters = Mapping[str, Any]
# What is known before any population draws its noises, and is no business of single members.
COMMON = ("common_state", "common_action", "common_noise")
KNOWN = frozenset((*ELEMENTARY, "const", "param", "time", "array", "if", "and", "or", *COMMON))
PEER = ("peer_state", "peer_trait", "peer_action")


def initial_states(
    model: Model, draws: Values, agents: Mapping[str, int], parameters: Parameters | None = None
) -> dict[str, dict[str, Any]]:
    """States and traits of all players at t = 0."""
    common: dict[tuple[str, str, str], Value] = {}
    found: dict[str, dict[str, Any]] = {}
    for player in sorted(model.players, key=lambda p: p.order):
        given = draws.get(player.name, {})
        if player.kind == "population":
            rows = [
                _start(model, player, _entry(model, player, given, i), common, parameters)
                for i in range(agents[player.name])
            ]
            names = [v.name for v in (*player.traits, *player.states)]
            found[player.name] = {name: [row[name] for row in rows] for name in names}
        else:
            row = _start(model, player, given, common, parameters)
            common |= {(player.name, "state", name): value for name, value in row.items()}
            found[player.name] = row
    return found


def step(
    model: Model,
    t: int,
    states: Values,
    actions: Values,
    draws: Values,
    parameters: Parameters | None = None,
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """The states after one step, and the running reward terms of every player."""
    scene = _Scene(model, t, states, actions, parameters or {})
    scene.draw(draws)
    after: dict[str, dict[str, Any]] = {}
    rewards: dict[str, dict[str, Any]] = {}
    for player in model.players:
        after[player.name] = {
            s.name: scene.values(player, s.next) for s in player.states if s.next is not None
        }
        after[player.name] |= {t.name: states[player.name][t.name] for t in player.traits}
        terms = [term for term in player.rewards if not term.final]
        if terms:
            rewards[player.name] = {t.name: scene.values(player, t.node) for t in terms}
    return after, rewards


def final_rewards(
    model: Model, t: int, states: Values, parameters: Parameters | None = None
) -> dict[str, dict[str, Any]]:
    """The reward terms paid at t = T, of the players that have some."""
    scene = _Scene(model, t, states, {}, parameters or {})
    return {
        player.name: {
            term.name: scene.values(player, term.node) for term in player.rewards if term.final
        }
        for player in model.players
        if any(term.final for term in player.rewards)
    }


def observe(
    model: Model, t: int, states: Values, parameters: Parameters | None = None
) -> dict[str, dict[str, Any]]:
    """What each player's policy may read, by the names of `observe`."""
    scene = _Scene(model, t, states, {}, parameters or {})
    return {
        player.name: {named.name: scene.values(player, named.node) for named in player.observe}
        for player in model.players
        if player.observe
    }


class _Scene:
    """All values of one step, as the environments in which nodes are evaluated."""

    def __init__(
        self, model: Model, t: int, states: Values, actions: Values, parameters: Parameters
    ) -> None:
        self.model, self.time, self.parameters = model, t, parameters
        self.common: dict[tuple[str, str, str], Value] = {}
        self.members: dict[str, list[dict[tuple[str, str], Value]]] = {}
        for player in model.players:
            kinds = {v.name: "trait" for v in player.traits} | {
                v.name: "state" for v in player.states
            }
            rows = [(kinds[name], name, v) for name, v in states[player.name].items()]
            rows += [("action", name, v) for name, v in actions.get(player.name, {}).items()]
            if player.kind != "population":
                self.common |= {(player.name, kind, name): value for kind, name, value in rows}
                continue
            count = len(rows[0][2])
            self.members[player.name] = [
                {(kind, name): values[i] for kind, name, values in rows} for i in range(count)
            ]
        self.alike: dict[int, Value] = dict.fromkeys(alike(model))

    def draw(self, draws: Values) -> None:
        """Add the noises: those of environments and majors first, others may read them."""
        for player in sorted(self.model.players, key=lambda p: p.kind == "population"):
            given = draws.get(player.name, {})
            for noise in player.noises:
                if player.kind == "population":
                    for i, member in enumerate(self.members[player.name]):
                        raw = given[noise.name][i]
                        member["noise", noise.name] = self._noise(player, noise, raw, i)
                else:
                    key = (player.name, "noise", noise.name)
                    self.common[key] = self._noise(player, noise, given[noise.name], None)

    def _noise(self, player: Player, noise: NoiseVariable, raw: Value, me: int | None) -> Value:
        if noise.density is None:
            return raw
        chances = []
        for value in values_of(self.model.types[noise.type]):
            if me is None:
                key = (player.name, "noise", noise.name)
                scene = self.environment(player, me, common={**self.common, key: value})
            else:
                own = {**self.members[player.name][me], ("noise", noise.name): value}
                scene = self.environment(player, me, own=own)
            chances.append((value, evaluate(self.model, noise.density, scene)))
        return first_reached(chances, raw)

    def environment(
        self,
        player: Player,
        me: int | None,
        *,
        own: Member | None = None,
        common: Mapping[tuple[str, str, str], Value] | None = None,
    ) -> Environment:
        """Where an expression of a player (or of its member `me`) stands."""
        if own is None:
            own = {} if me is None else self.members[player.name][me]
        return Environment(
            own=own,
            time=self.time,
            parameters=self.parameters,
            common=self.common if common is None else common,
            members=self.members,
            me=me,
            alike={} if me is None else self.alike,
        )

    def values(self, player: Player, node: int) -> Any:
        """The value of a node: one, or a list over the agents."""
        if player.kind != "population":
            return evaluate(self.model, node, self.environment(player, None))
        return [
            evaluate(self.model, node, self.environment(player, i))
            for i in range(len(self.members[player.name]))
        ]


def alike(model: Model) -> list[int]:
    """Means and extremes over members that read nothing else: the same for everybody."""
    found = []
    for index, node in enumerate(model.nodes):
        if node.op in ("mean", "mean_if", "min_members", "max_members"):
            inside = [model.nodes[k] for k in reachable(model.nodes, node.args)]
            own = depth_of(node)
            if all(n.op in KNOWN or (n.op in PEER and depth_of(n) == own) for n in inside):
                found.append(index)
    return found


def first_reached(chances: Sequence[tuple[int, float]], uniform: float) -> int:
    """The first value v with `uniform` < P(value <= v); the last one where rounding leaves none."""
    total = 0.0
    for value, chance in chances:
        total += chance
        if uniform < total:
            return value
    return chances[-1][0]


def drawing_order(model: Model, player: Player) -> list[StateVariable]:
    """Traits, then states, each after those that its law or value at t = 0 reads."""
    waiting = [*player.traits, *player.states]
    names = {v.name for v in waiting}
    order: list[StateVariable] = []
    while waiting:
        done = {v.name for v in order}
        ready = next(v for v in waiting if _reads(model, player, v, names) <= done)
        order.append(ready)
        waiting.remove(ready)
    return order


def _reads(
    model: Model, player: Player, variable: StateVariable, names: set[str]
) -> frozenset[str]:
    root = variable.initial if variable.initial is not None else variable.start
    assert root is not None
    found = set()
    for index in reachable(model.nodes, [root]):
        node = model.nodes[index]
        if node.op in ("state", "trait"):
            found.add(str(node.attr))
        if node.op == "common_state" and isinstance(node.attr, tuple):
            found |= {str(node.attr[1])} if node.attr[0] == player.name else set()
    return frozenset(found & names - {variable.name})


def _start(
    model: Model,
    player: Player,
    draws: Mapping[str, Value],
    common: Mapping[tuple[str, str, str], Value],
    parameters: Parameters | None,
) -> dict[str, Value]:
    """Traits and states of one agent (or of a major or an environment) at t = 0."""
    population = player.kind == "population"
    own: dict[tuple[str, str], Value] = {}
    seen = dict(common)
    for draw in player.draws:
        if population:
            own["draw", draw.name] = draws[draw.name]
        else:
            seen[player.name, "draw", draw.name] = draws[draw.name]
    found: dict[str, Value] = {}
    traits = {v.name for v in player.traits}
    for variable in drawing_order(model, player):
        name = variable.name
        kind = "trait" if name in traits else "state"

        def scene(value: Value | None, name: str = name, kind: str = kind) -> Environment:
            here = {} if value is None else {(kind, name): value}
            if population:
                return Environment({**own, **here}, 0, parameters or {}, common=seen)
            there = {(player.name, k, n): v for (k, n), v in here.items()}
            return Environment({}, 0, parameters or {}, common={**seen, **there})

        if variable.start is not None:
            value = evaluate(model, variable.start, scene(None))
        else:
            assert variable.initial is not None
            chances = [
                (v, evaluate(model, variable.initial, scene(v)))
                for v in values_of(model.types[variable.type])
            ]
            value = first_reached(chances, draws[name])
        found[name] = value
        if population:
            own[kind, name] = value
        else:
            seen[player.name, kind, name] = value
    return found


def _entry(model: Model, player: Player, values: Mapping[str, Any], place: int) -> dict[str, Value]:
    """The draws of one agent; where files give the agents, its row is one of them."""
    given = {d.name: model.arrays[d.given].values for d in player.draws if d.given is not None}
    entries = {name: rows[place] for name, rows in values.items()}
    return {**entries, **{name: int(rows[place]) for name, rows in given.items()}}
