"""Second reduction: the common state of finite environments and majors joins the members' states.

Where nothing reads the law and nobody acts on it, or where it moves without chance, it is one more
state that all members share. Otherwise the law is random, and every past of the common state has
its own (`conditioned.py`).
"""

import re
from collections.abc import Sequence

from mfdsl.compiler.ir.build import Builder
from mfdsl.compiler.ir.model import Model, Node, NoiseVariable, Player, StateVariable
from mfdsl.compiler.ir.reduced import Past
from mfdsl.compiler.ir.types import Type
from mfdsl.compiler.ir.walk import MEANS, given, reachable
from mfdsl.compiler.tabular.conditioned import Conditioned
from mfdsl.compiler.tabular.copying import Copier
from mfdsl.compiler.tabular.frames import Frame, NoTables, Piece, owner
from mfdsl.compiler.tabular.pasts import grow, starting_states
from mfdsl.compiler.tabular.rebuild import copied, player_roots, rebuilt, retyped


def with_common(model: Model) -> tuple[Model, Past | None, frozenset[str], list[str]]:
    """The model with populations only, the pasts, parameters that are worked in, and notes.

    Raises:
        NoTables: there are too many pasts, or a common state that chance moves is set by the law.
    """
    around = [p for p in model.players if p.kind != "population"]
    if not around:
        return model, None, frozenset(), []
    majors = any(p.kind == "major" for p in around)
    starts = starting_states(model, around)
    chance = majors or len(starts) != 1 or any(p.noises for p in around)
    everything = [n for p in model.players for n in player_roots(p)]
    law = any(model.nodes[i].op in MEANS for i in reachable(model.nodes, everything))
    if not (law or majors):
        return _shared(model), None, frozenset(), []
    if not chance:
        return _shared(model), None, _parameters(model, around), []
    if model.horizon.kind != "finite":
        raise NoTables("a common state over a horizon without end has too many pasts")
    tree = grow(model, around, starts)
    made = Conditioned(model, tree).populations()
    note = f"{tree.width:,} pasts of the common state"
    return made, tree.past(), tree.fixed, [note]


def _parameters(model: Model, around: Sequence[Player]) -> frozenset[str]:
    """Parameters at whose values the common state has no chance at t = 0."""
    starts = [given(s.initial) for p in around for s in p.states]
    nodes = (model.nodes[i] for i in reachable(model.nodes, starts))
    return frozenset(str(n.attr) for n in nodes if n.op == "param")


def _shared(model: Model) -> Model:
    """The model with common states and noises as variables of every population."""
    builder = Builder()

    def leaf(node: Node, kind: Type, frame: Frame) -> Piece | None:
        if not node.op.startswith("common_"):
            return None
        player, name = owner(model, frame, node.op, node.attr)
        return builder.add(
            node.op.removeprefix("common_"), (), common_name(player.name, name), kind
        )

    copier = Copier(model, builder, leaf)
    states: list[StateVariable] = []
    noises: list[NoiseVariable] = []
    for other in (p for p in model.players if p.kind == "environment"):
        there = Frame(other.name)
        for state in other.states:
            changes = {
                "name": common_name(other.name, state.name),
                "initial": copier.scalar(given(state.initial), there),
                "next": copier.scalar(given(state.next), there),
            }
            states.append(retyped(model, builder, state).model_copy(update=changes))
        for noise in other.noises:
            changes = {
                "name": common_name(other.name, noise.name),
                "density": copier.scalar(given(noise.density), there),
            }
            noises.append(retyped(model, builder, noise).model_copy(update=changes))
    return rebuilt(
        model,
        builder,
        [_joined(copied(model, p, copier), states, noises) for p in model.populations],
    )


def _joined(
    player: Player, states: Sequence[StateVariable], noises: Sequence[NoiseVariable]
) -> Player:
    more = {"states": (*states, *player.states), "noises": (*noises, *player.noises)}
    return player.model_copy(update=more)


def common_name(player: str, name: str) -> str:
    """The name of a common variable among those of a population."""
    return re.sub(r"\W", "_", f"{player}_{name}")
