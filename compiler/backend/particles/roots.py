"""What the functions of a module of agents compute: values of the spec, as nodes of the arena.

The writers of the functions and the estimate of what a step costs both start from here.
"""

from mfdsl.compiler.backend.particles.context import Context
from mfdsl.compiler.backend.particles.rewrite import Rewriter
from mfdsl.compiler.ir.model import Player, StateVariable, Variable
from mfdsl.compiler.ir.types import Type

Next = tuple[Player, StateVariable, int]
Value = tuple[Player, str, int]
Mask = tuple[Player, list[int], int]


def stored(player: Player) -> tuple[StateVariable, ...]:
    """States and traits: what a player keeps."""
    return (*player.states, *player.traits)


def rewarded(rewriter: Rewriter) -> list[Player]:
    """Players with a reward, running or final."""
    return [player for player in rewriter.model.players if player.rewards]


def running(rewriter: Rewriter) -> tuple[list[Next], list[Value]]:
    """Next states and named rewards of a step."""
    value = rewriter.whole
    nexts: list[Next] = []
    terms: list[Value] = []
    for player in rewriter.model.players:
        context = Context("running", player.name)
        nexts += [(player, v, value(v.next, context)) for v in player.states if v.next is not None]
        terms += [(player, t.name, value(t.node, context)) for t in player.rewards if not t.final]
    return nexts, terms


def final(rewriter: Rewriter) -> list[Value]:
    """Named rewards that are paid at the end."""
    return [
        (player, term.name, rewriter.whole(term.node, Context("running", player.name)))
        for player in rewarded(rewriter)
        for term in player.rewards
        if term.final
    ]


def starts(rewriter: Rewriter) -> list[Next]:
    """States and traits at t = 0, players in the order in which they are drawn."""
    found: list[Next] = []
    for player in sorted(rewriter.model.players, key=lambda p: p.order):
        for variable in stored(player):
            kind = "trait" if variable in player.traits else "state"
            drawn = rewriter.variable("start", player.name, kind, variable.name)
            found.append((player, variable, rewriter.stacked(drawn)))
    return found


def masks(rewriter: Rewriter) -> list[Mask]:
    """Masks of the players that have one: the indices of their finite actions, and the mask."""
    found: list[Mask] = []
    for player in rewriter.model.players:
        if player.legal is None:
            continue
        context = Context("running", player.name)
        indices = []
        for action in player.actions:
            type = rewriter.model.types[action.type]
            if not _tabled(type):
                continue
            index = rewriter.arena.index(type)
            own = player.kind == "population"
            leaf = ("action", action.name) if own else ("common_action", (player.name, action.name))
            context = context.with_leaf(leaf[0], leaf[1], index)
            indices.append(index)
        found.append((player, indices, rewriter.whole(player.legal, context)))
    return found


def observed(rewriter: Rewriter) -> list[Value]:
    """What the policy of each player with actions may read."""
    found: list[Value] = []
    for player in rewriter.model.players:
        if not player.actions:
            continue
        context = Context("running", player.name)
        if player.observe:
            found += [(player, n.name, rewriter.whole(n.node, context)) for n in player.observe]
        elif not player.observes_law:
            found += _everything(rewriter, player)
    return found


def _tabled(type: Type) -> bool:
    return type.finite and not type.dims


def _everything(rewriter: Rewriter, player: Player) -> list[Value]:
    """Own states and traits, states of majors and environments, and the time."""
    found: list[Value] = []
    for other in rewriter.model.players:
        if other.kind == "population" and other is not player:
            continue
        variable: Variable
        for variable in stored(other):
            kind = "trait" if variable in other.traits else "state"
            value = rewriter.variable("running", other.name, kind, variable.name)
            name = variable.name if other is player else f"{other.name}.{variable.name}"
            found.append((player, name, rewriter.stacked(value)))
    time = rewriter.arena.add("time", (), None, Type(kind="int"))
    return [*found, (player, "t", time)]
