"""What a population should see for a policy of its own states to be a best response."""

from mfdsl.compiler.ir.model import Model, Player
from mfdsl.compiler.ir.walk import MEMBERS, reachable


def hidden(model: Model, player: Player) -> str | None:
    """Something that a population should see and does not; traits are as good as states."""
    return next((name for _, name in hidden_from(model, player)), None)


def hidden_from(model: Model, player: Player) -> list[tuple[str, str]]:
    """All that a population should see and does not, as (operator, name)."""
    if player.kind != "population" or not (player.observe or player.observes_law):
        return []
    shown = {(model.nodes[o.node].op, model.nodes[o.node].attr) for o in player.observe}
    wanted: list[tuple[str, object, str]] = [("state", s.name, s.name) for s in player.states]
    wanted += [("trait", s.name, s.name) for s in player.traits]
    if not shows_stages(model, player):
        wanted.append(("time", None, "t"))
    wanted += [
        ("common_state", (other.name, s.name), f"{other.name}.{s.name}")
        for other in model.players
        if other.kind == "environment"
        for s in other.states
    ]
    return [(op, name) for op, attr, name in wanted if (op, attr) not in shown]


def shows_stages(model: Model, player: Player) -> bool:
    """Whether a player sees the stage, where best responses may depend on it."""
    if not (player.observe or player.observes_law) or not _stages_differ(model):
        return True
    return any(model.nodes[o.node].op == "time" for o in player.observe)


def _stages_differ(model: Model) -> bool:
    """Whether best responses may depend on t: over finitely many stages always, over infinitely
    many where something reads t, or a law, which moves along the flow.
    """
    if model.horizon.kind == "finite":
        return (model.horizon.steps or 0) > 1
    moving = ("time", *MEMBERS) if model.horizon.kind == "infinite" else ("time",)
    roots = [node for player in model.players for _, node, _ in values_of(player)]
    roots += [player.legal for player in model.players if player.legal is not None]
    return any(model.nodes[i].op in moving for i in reachable(model.nodes, roots))


def values_of(player: Player) -> list[tuple[str, int, bool]]:
    """Rewards, chances and next states by name; next states take whole values."""
    rewards = [(t.name, t.node, False) for t in player.rewards]
    chances = [(n.name, n.density, False) for n in player.noises if n.density is not None]
    nexts = [(f"next {s.name}", s.next, True) for s in player.states if s.next is not None]
    return [*rewards, *chances, *nexts]
