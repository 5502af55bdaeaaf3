"""A finite game in parts that are evaluated once for each cell, not once for each agent.

A cell is a state of one member with an action and a value of every noise. Members of a cell are
exchangeable, so that how many are where is a Markov chain of its own: each cell (state, action)
splits over the noises by the multinomial law. The parts are models whose members stand at cells
(noises and draws of t = 0 are actions there) and count by a weight (`compiler.ir.marginal`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mfdsl.compiler.ir.marginal import weighted
from mfdsl.compiler.ir.model import (
    Model,
    Node,
    NoiseVariable,
    Player,
    StateVariable,
    Term,
    Variable,
)
from mfdsl.compiler.ir.types import BOOL, INT, REAL, Type
from mfdsl.compiler.ir.walk import MEMBERS, reachable

CHANCE = "chance"  # the reward of a part that is the probability of a cell
SINGLE = {  # operators that tell members of one cell apart, in words
    "w2": "optimal transport between single agents",
    "min_members": "an extreme over agents, which is no mean",
    "max_members": "an extreme over agents, which is no mean",
    "min_others": "an extreme over the other agents",
    "max_others": "an extreme over the other agents",
    "mean_others": "a mean over the other agents, which leaves out the one who asks",
    "mean_others_if": "a mean over the other agents, which leaves out the one who asks",
    "peer_noise": "the noise of other agents",
    "weight": "weights between single agents",
}


class NotCounted(ValueError):
    """The agents of a game cannot be counted; the message says why."""


@dataclass(frozen=True)
class Parts:
    """The parts of a game of counts.

    `start`: at t = 0 members stand at all states and draws, `chance` is their law. `moves`: the
    next states of members at all cells, `chance` is the probability of the noises there. `rest`:
    rewards, and the next states of majors and environments; members stay where they are.
    `noises` are the own variables that are actions there, by population.
    `reward_noises` are those populations whose rewards read noises. `fixed` says that `moves`
    reads neither time nor the law nor a common state, so that it is asked once.
    """

    start: Model
    moves: Model
    rest: Model
    noises: Mapping[str, Sequence[Variable]]
    reward_noises: frozenset[str]
    fixed: bool


def parts(model: Model) -> Parts:
    """The parts of a game.

    Raises:
        NotCounted: a member has continuous variables, comes from a file, or somebody reads what
            tells members of one state apart.
    """
    for player in model.populations:
        _check(model, player)
    _check_read(model)
    whole = weighted(model)
    paid = frozenset(
        p.name
        for p in model.populations
        if any(
            model.nodes[k].op == "noise"
            for k in reachable(model.nodes, [t.node for t in p.rewards])
        )
    )
    return Parts(
        start=_Part(whole).start(),
        moves=_Part(whole).moves(),
        rest=_Part(whole).rest(paid),
        noises={p.name: p.noises for p in model.populations},
        reward_noises=paid,
        fixed=_fixed(model),
    )


def _check(model: Model, player: Player) -> None:
    if player.fixed:
        raise NotCounted(f"files give the agents of `{player.name}` one by one")
    for variable in (*player.states, *player.traits, *player.actions, *player.noises):
        kind = model.types[variable.type]
        if not kind.finite or kind.dims:
            what = "an array" if kind.dims and kind.finite else "continuous"
            raise NotCounted(f"`{variable.name}` of `{player.name}` is {what}")
    for draw in _used(model, player):
        if draw.density is None or model.types[draw.type].dims:
            raise NotCounted(f"`{player.name}` starts from continuous draws")


def _used(model: Model, player: Player) -> list[NoiseVariable]:
    """The draws of t = 0 that some state or trait of a player reads."""
    roots = [v.start for v in (*player.states, *player.traits) if v.start is not None]
    read = {
        model.nodes[k].attr for k in reachable(model.nodes, roots) if model.nodes[k].op == "draw"
    }
    return [draw for draw in player.draws if draw.name in read]


def _check_read(model: Model) -> None:
    """Refuse what only single agents have, and masks that read a law."""
    roots = []
    for player in model.players:
        variables = (*player.states, *player.traits)
        roots += [n for v in variables for n in (v.initial, v.start, v.next) if n is not None]
        roots += [n.density for n in (*player.noises, *player.draws) if n.density is not None]
        roots += [term.node for term in player.rewards]
        masks = [] if player.legal is None else [player.legal]
        if any(model.nodes[k].op in MEMBERS for k in reachable(model.nodes, masks)):
            raise NotCounted(f"the legal actions of `{player.name}` read a law")
        roots += masks
    for index in reachable(model.nodes, roots):
        if model.nodes[index].op in SINGLE:
            raise NotCounted(f"it reads {SINGLE[model.nodes[index].op]}")


def _fixed(model: Model) -> bool:
    roots = [s.next for p in model.populations for s in p.states if s.next is not None]
    roots += [n.density for p in model.populations for n in p.noises if n.density is not None]
    ops = {model.nodes[k].op for k in reachable(model.nodes, roots)}
    return not any(op in MEMBERS or op == "time" or op.startswith("common_") for op in ops)


class _Part:
    """One part on its way; nodes and types are appended."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.nodes = list(model.nodes)
        self.types = list(model.types)

    def start(self) -> Model:
        """Members at all states and draws of t = 0 with the law there."""
        for index, node in enumerate(self.nodes):
            if node.op == "draw":
                self.nodes[index] = node.model_copy(update={"op": "action"})
        changed = []
        for player in self.model.players:
            if player.kind == "population":
                chances = [d.density for d in _used(self.model, player) if d.density is not None]
                stored = [("state", v) for v in player.states]
                stored += [("trait", v) for v in player.traits[:-1]]  # the last is the weight
                chances += [self._begun(sort, variable) for sort, variable in stored]
                actions = tuple(_action(d) for d in _used(self.model, player))
                player = self._still(player, actions, chances)
            changed.append(self._silent(player))
        return self._made(changed)

    def moves(self) -> Model:
        """Members at all cells with their next states and the chances of their noises."""
        self._noises_as_actions()
        changed = []
        for player in self.model.players:
            if player.kind == "population":
                chances = [n.density for n in player.noises if n.density is not None]
                actions = (*player.actions, *map(_action, player.noises))
                update = {"actions": actions, "rewards": (self._chance(chances),)}
                player = self._bare(player).model_copy(update=update)
            else:
                player = player.model_copy(update={"rewards": (), "lets": (), "observe": ()})
            changed.append(self._silent(player))
        return self._made(changed)

    def rest(self, paid: frozenset[str]) -> Model:
        """Rewards of members at cells, and what majors and environments do next."""
        self._noises_as_actions()
        changed = []
        for player in self.model.players:
            if player.kind == "population":
                noises = player.noises if player.name in paid else ()
                actions = (*player.actions, *map(_action, noises))
                player = self._still(player, actions, None)
            changed.append(player.model_copy(update={"lets": (), "observe": (), "legal": None}))
        return self._made(changed)

    def _noises_as_actions(self) -> None:
        for index, node in enumerate(self.nodes):
            if node.op == "noise":
                self.nodes[index] = node.model_copy(update={"op": "action"})

    def _begun(self, sort: str, variable: StateVariable) -> int:
        """The probability of the own value at t = 0."""
        if variable.initial is not None:
            return variable.initial
        assert variable.start is not None
        kind = self.types[variable.type]
        own = self._new(sort, (), variable.name, kind)
        same = self._new("eq", (own, variable.start), None, BOOL)
        return self._new("real", (self._new("ind", (same,), None, INT),), None, REAL)

    def _still(
        self, player: Player, actions: Sequence[Variable], chances: Sequence[int] | None
    ) -> Player:
        """A population that stays where it is; with `chances` their product is its reward."""
        states = [
            s.model_copy(update={"next": self._new("state", (), s.name, self.types[s.type])})
            for s in self._bare(player).states
        ]
        update: dict[str, object] = {"states": tuple(states), "actions": tuple(actions)}
        if chances is not None:
            update["rewards"] = (self._chance(chances),)
        return self._bare(player).model_copy(update=update)

    def _bare(self, player: Player) -> Player:
        """A population without what a part does not ask for; nobody asks where it starts."""
        update: dict[str, object] = {
            "noises": (),
            "draws": (),
            "legal": None,
            "lets": (),
            "observe": (),
        }
        for sort in ("states", "traits"):
            update[sort] = tuple(
                v.model_copy(update={"initial": None, "start": self._first(self.types[v.type])})
                for v in getattr(player, sort)
            )
        return player.model_copy(update=update)

    def _first(self, kind: Type) -> int:
        return self._new("const", (), kind.first if kind.finite else 1.0, kind)

    def _silent(self, player: Player) -> Player:
        """A major or environment without rewards, of whom a part only needs the state."""
        if player.kind == "population":
            return player
        return player.model_copy(update={"rewards": (), "lets": (), "observe": (), "legal": None})

    def _chance(self, chances: Sequence[int]) -> Term:
        one = self._new("const", (), 1.0, REAL)
        whole = self._new("mul", (one, *chances), None, REAL) if chances else one
        return Term(name=CHANCE, node=whole, final=False, doc="")

    def _new(self, op: str, args: Sequence[int], attr: object, type: Type) -> int:
        if type not in self.types:
            self.types.append(type)
        place = self.types.index(type)
        self.nodes.append(Node(op=op, args=tuple(args), attr=attr, type=place))  # type: ignore[arg-type]
        return len(self.nodes) - 1

    def _made(self, players: Sequence[Player]) -> Model:
        places = (*self.model.places, *[None] * (len(self.nodes) - len(self.model.nodes)))
        update = {
            "players": tuple(players),
            "nodes": tuple(self.nodes),
            "types": tuple(self.types),
            "places": places,
        }
        return self.model.model_copy(update=update)


def _action(variable: Variable) -> Variable:
    return Variable(name=variable.name, type=variable.type, doc=variable.doc)
