"""What a model uses, as a list of words: a reader refuses a model with a word it does not know."""

from collections.abc import Sequence

from mfdsl.compiler.ir.model import Player
from mfdsl.compiler.sema.context import Context


def features_of(ctx: Context, players: Sequence[Player], horizon: str) -> tuple[str, ...]:
    """The features of a model, sorted."""
    found = {f"horizon_{horizon}"}
    types = [
        ctx.builder.types[variable.type]
        for player in players
        for variable in (*player.states, *player.traits, *player.actions, *player.noises)
    ]
    found.add("continuous" if any(t.kind == "real" for t in types) else "finite")
    kinds = [player.kind for player in players]
    found |= {kind for kind in kinds if kind != "population"}
    if kinds.count("population") > 1:
        found.add("populations")
    if any(player.traits for player in players):
        found.add("traits")
    if any(player.weights for player in players):
        found.add("weights")
    if ctx.objective == "team":
        found.add("team")
    if ctx.graphs:
        found.add("graph")
    return tuple(sorted(found))
