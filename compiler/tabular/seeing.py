"""Whether policies see what the tables show them of the common state.

Policies remember the common states that they see, so that tables may show these at all steps so
far.
"""

from mfdsl.compiler.ir.model import Model, Player
from mfdsl.compiler.ir.walk import MEANS, given, reachable
from mfdsl.compiler.tabular.finite import Finite
from mfdsl.compiler.tabular.frames import NoTables
from mfdsl.compiler.tabular.pasts import starting_states

Name = tuple[str, str]


def check_seen(model: Model, small: Model, finite: Finite) -> None:
    """Refuse policies that do not see a common state that chance moves: tables show its past.

    `small` is the finite copy of `model`.
    """
    coordinates = [c for axes in finite.coordinates.values() for c in axes]
    variable = {(c.player, c.axis): c.variable for c in coordinates}
    unknown = sorted({(player, variable[player, name]) for player, name in _moved_by_chance(small)})
    for player in model.players:
        shown = {(model.nodes[n.node].op, model.nodes[n.node].attr) for n in player.observe}
        blind = player.actions and (player.observe or player.observes_law)
        for name in unknown if blind else ():
            if ("common_state", name) not in shown:
                raise _unseen(player, name)


def sees_pasts(model: Model) -> bool:
    """Whether policies see what noises left no trace of but in laws: tables show these pasts. A
    trace may be in the law of any population.
    """
    everybody = {p.name for p in model.populations}
    acting = [p for p in model.players if p.actions and (p.observe or p.observes_law)]
    return all(everybody.issubset(p.observes_law) for p in acting)


def _unseen(player: Player, name: Name) -> NoTables:
    written = name[1] if name[0] == player.name else f"{name[0]}.{name[1]}"
    return NoTables(
        f"policies of `{player.name}` do not see `{written}`", f"add `{written}` to `observe`"
    )


def _moved_by_chance(model: Model) -> set[Name]:
    """The common states that differ between the paths of a game."""
    around = [p for p in model.players if p.kind != "population"]
    names = [(p.name, s.name) for p in around for s in p.states]
    starts = list(starting_states(model, around))
    found = {name for k, name in enumerate(names) if len({s[k] for s in starts}) > 1}
    chance = any(p.noises or p.kind == "major" for p in around) or bool(found)
    nexts = {(p.name, s.name): given(s.next) for p in around for s in p.states}
    while True:
        more = {n for n, root in nexts.items() if _differs(model, root, found, chance)} | found
        if more == found:
            return found
        found = more


def _differs(model: Model, root: int, moved: set[Name], chance: bool) -> bool:
    """Whether a next value reads what chance has moved."""
    for index in reachable(model.nodes, [root]):
        node = model.nodes[index]
        if node.op in ("common_noise", "common_action") or (chance and node.op in MEANS):
            return True
        if node.op == "common_state" and node.attr in moved:
            return True
    return False
