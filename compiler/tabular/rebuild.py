"""A model with other players over a new arena, and what all reductions ask of a model."""

from collections.abc import Iterable, Mapping, Sequence

from mfdsl.compiler.ir.build import Builder
from mfdsl.compiler.ir.model import Enum, Model, Node, Player
from mfdsl.compiler.ir.walk import reachable


def rebuilt(
    model: Model, builder: Builder, players: Iterable[Player], enums: Sequence[Enum] = ()
) -> Model:
    """The model with these players, whose nodes lie in `builder`."""
    parameters = tuple(
        p.model_copy(update={"type": builder.type_index(model.types[p.type])})
        for p in model.parameters
    )
    arena = builder.freeze()
    return model.model_copy(
        update={
            "players": tuple(players),
            "parameters": parameters,
            "enums": (*model.enums, *enums),
            "types": arena.types,
            "nodes": arena.nodes,
            "places": arena.places,
            "arrays": arena.arrays,
        }
    )


def player_roots(player: Player) -> list[int]:
    """Every node that a player points at, what is shown left out."""
    variables = (*player.states, *player.traits)
    roots = [n for v in variables for n in (v.initial, v.start, v.next) if n is not None]
    roots += [n.density for n in (*player.noises, *player.draws) if n.density is not None]
    roots += [player.legal] if player.legal is not None else []
    return roots + [term.node for term in player.rewards]


def leaves_under(model: Model, roots: Iterable[int], ops: Mapping[str, int]) -> set[str]:
    """Names of the variables that some leaves under `roots` stand for.

    `ops` says for each leaf operator where its attribute holds the name: -1 when it is the name.
    """
    found = set()
    for index in reachable(model.nodes, roots):
        node = model.nodes[index]
        if node.op in ops:
            found.add(_name(node, ops[node.op]))
    return found


def _name(node: Node, place: int) -> str:
    return str(node.attr[place]) if isinstance(node.attr, tuple) else str(node.attr)
