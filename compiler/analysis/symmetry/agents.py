"""A population of N agents as a game of N players, and whether that game is symmetric."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.analysis.symmetry.expansion import TooLargeError, structurally_symmetric
from mfdsl.compiler.analysis.symmetry.generators import (
    Joint,
    Law,
    Number,
    compare,
    comparison_certificate,
)
from mfdsl.compiler.ir.interpret import Environment, Member, combinations, evaluate
from mfdsl.compiler.ir.model import Model, NoiseVariable, Player
from mfdsl.compiler.ir.walk import given

SAMPLES = 40


@dataclass(frozen=True)
class AgentsGame:
    """One stage of a population of finite scalars, by the interpreter: a `PlayersGame` in floats.

    Traits are those of the files. `final` has the rewards at the end in place of those of a stage.
    """

    model: Model
    player: Player
    players: int
    time: int = 0
    final: bool = False

    @cached_property
    def states(self) -> Sequence[Hashable]:
        """All joint values of the states."""
        return combinations(self.model, [s.type for s in self.player.states])

    @cached_property
    def actions(self) -> Sequence[Hashable]:
        """All joint values of the actions."""
        return combinations(self.model, [a.type for a in self.player.actions])

    def initial(self, player: int) -> Law:
        """The law of the state at t = 0."""
        law: dict[Hashable, Number] = {}
        for state in self.states:
            own = {**self._traits[player], **self._own(state, ())}
            mass: Number = 1
            for variable in self.player.states:
                scene = Environment(own)
                mass = mass * evaluate(self.model, given(variable.initial), scene) if mass else 0
            if mass:
                law[state] = mass
        return law

    def legal(self, player: int, state: Hashable) -> Sequence[Hashable]:
        """The actions that the mask allows."""
        mask = self.player.legal
        if mask is None:
            return self.actions
        rows = [(a, {**self._traits[player], **self._own(state, a)}) for a in self.actions]
        return [a for a, own in rows if evaluate(self.model, mask, Environment(own, self.time))]

    def reward(self, player: int, states: Joint, actions: Joint) -> Number:
        """The sum of the rewards, averaged over the agent's own noises."""
        terms = [term.node for term in self.player.rewards if term.final == self.final]
        total: Number = 0
        for scene, mass in self._outcomes(player, states, actions):
            total += mass * sum(evaluate(self.model, node, scene) for node in terms)
        return total

    def kernel(self, player: int, states: Joint, actions: Joint) -> Law:
        """The law of the agent's next state."""
        law: dict[Hashable, Number] = {}
        for scene, mass in self._outcomes(player, states, actions):
            nexts = (given(s.next) for s in self.player.states)
            after = tuple(int(evaluate(self.model, node, scene)) for node in nexts)
            law[after] = law.get(after, 0) + mass
        return law

    @cached_property
    def _traits(self) -> list[Member]:
        """The traits of each agent."""
        rows = {
            d.name: self.model.arrays[d.given].values
            for d in self.player.draws
            if d.given is not None
        }
        found: list[Member] = []
        for agent in range(self.players):
            own = {("draw", name): int(values[agent]) for name, values in rows.items()}
            scene = Environment(own)
            found.append(
                {
                    ("trait", t.name): evaluate(self.model, given(t.start), scene)
                    for t in self.player.traits
                }
            )
        return found

    def _own(self, state: Hashable, action: Hashable) -> dict[tuple[str, str], int]:
        assert isinstance(state, tuple) and isinstance(action, tuple)
        keys = [("state", s.name) for s in self.player.states]
        keys += [("action", a.name) for a in self.player.actions]
        return dict(zip(keys, (*state, *action), strict=bool(action)))

    def _outcomes(
        self, player: int, states: Joint, actions: Joint
    ) -> list[tuple[Environment, Number]]:
        """Each outcome of the agent's own noises with its probability."""
        pairs = zip(self._traits, states, actions, strict=True)
        members = [{**traits, **self._own(s, a)} for traits, s, a in pairs]
        scene = Environment(
            members[player], self.time, members={self.player.name: members}, me=player
        )
        found: list[tuple[Environment, Number]] = [(scene, 1)]
        for noise in self.player.noises:
            found = [
                (drawn, mass * chance)
                for before, mass in found
                for drawn, chance in self._drawn(noise, before)
            ]
        return found

    def _drawn(self, noise: NoiseVariable, scene: Environment) -> list[tuple[Environment, Number]]:
        found = []
        for (value,) in combinations(self.model, [noise.type]):
            own: Mapping[tuple[str, str], int] = {**scene.own, ("noise", noise.name): value}
            drawn = replace(scene, own=own)
            chance = evaluate(self.model, given(noise.density), drawn)
            if chance:
                found.append((drawn, chance))
        return found


def agents_game(model: Model, population: str, agents: int, time: int = 0) -> AgentsGame:
    """A stage of a population as a game of N players.

    Raises:
        ValueError: the model has other players, variables that are not finite scalars, traits that
            are drawn, or another number of agents in its files.
    """
    player = next((p for p in model.populations if p.name == population), None)
    if player is None or len(model.players) > 1:
        raise ValueError(f"{model.name} is not a game of the agents of {population!r} alone")
    if player.fixed and agents != player.agents:
        raise ValueError(f"{population} has the {player.agents} agents of its files, not {agents}")
    for variable in (*player.states, *player.actions, *player.noises):
        kind = model.types[variable.type]
        if not kind.finite or kind.dims:
            raise ValueError(f"`{variable.name}` of {population} is not a finite scalar")
    if any(d.given is None for d in player.draws) or any(s.initial is None for s in player.states):
        raise ValueError(f"traits or states of {population} are drawn from a continuous law")
    if any(node.op == "peer_noise" for node in model.nodes):
        raise ValueError(f"agents of {population} read the noises of others")
    if any(t.start is None for t in player.traits):
        raise ValueError(f"traits of {population} are drawn, not given by files")
    return AgentsGame(model, player, agents, time)


def fixed_number_certificate(
    model: Model, population: str, agents: int, *, samples: int = SAMPLES, seed: int = 0
) -> Certificate:
    """The claim `symmetric for N = ...` about a population of that many agents.

    Proved when the expressions of all agents are equal as written. Otherwise stages of finite games
    are compared at profiles, at the first and the last time; other games stay unknown.

    Raises:
        ValueError: the model has no population of that name, or files give another number.
    """
    method: tuple[str, ...] = ("generators of the symmetric group", "structural equality")
    claim = f"symmetric for N = {agents}"
    try:
        if structurally_symmetric(model, population, agents):
            return Certificate(
                claim=claim, subject=population, verdict="proved", method=method, rigor="exact"
            )
    except TooLargeError:
        method = method[:1]
    try:
        game = agents_game(model, population, agents)
    except ValueError as error:
        return Certificate(
            claim=claim,
            subject=population,
            verdict="unknown",
            method=method,
            reason="unsupported",
            detail=str(error),
        )
    found = [
        comparison_certificate(compare(stage, samples=samples, seed=seed))
        for stage in _stages(game)
    ]
    worst = next((c for c in found if c.verdict == "refuted"), found[0])
    return worst.model_copy(
        update={
            "subject": population,
            "method": (*method, *worst.method[1:]),
            "seconds": sum(c.seconds for c in found),
        }
    )


def _stages(game: AgentsGame) -> list[AgentsGame]:
    """The stages to look at: the first, the last if time is read, and the end if it is paid."""
    stages, steps = [game], game.model.horizon.steps
    if steps and steps > 1 and any(node.op == "time" for node in game.model.nodes):
        stages.append(replace(game, time=steps - 1))
    if any(term.final for term in game.player.rewards):
        stages.append(replace(game, time=steps or 0, final=True))
    return stages
