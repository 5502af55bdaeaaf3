"""A model with other players over a new arena, and what all reductions ask of a model."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from mfdsl.compiler.ir.build import Builder
from mfdsl.compiler.ir.model import Enum, Model, Player, Variable
from mfdsl.compiler.ir.walk import given
from mfdsl.compiler.tabular.copying import Copier
from mfdsl.compiler.tabular.frames import Frame

V = TypeVar("V", bound=Variable)


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


def retyped(model: Model, builder: Builder, variable: V) -> V:
    """A variable whose type is one of `builder`."""
    return variable.model_copy(update={"type": builder.type_index(model.types[variable.type])})


def copied(model: Model, player: Player, copier: Copier, starting: Copier | None = None) -> Player:
    """A finite player with all its expressions copied; `starting` copies laws at t = 0."""
    frame, builder, first = Frame(player.name), copier.builder, starting or copier
    states = [
        retyped(model, builder, s).model_copy(
            update={
                "initial": first.scalar(given(s.initial), frame),
                "next": copier.scalar(given(s.next), frame),
            }
        )
        for s in player.states
    ]
    noises = [
        retyped(model, builder, n).model_copy(
            update={"density": copier.scalar(given(n.density), frame)}
        )
        for n in player.noises
    ]
    rewards = [t.model_copy(update={"node": copier.scalar(t.node, frame)}) for t in player.rewards]
    lets = [n.model_copy(update={"node": copier.scalar(n.node, frame)}) for n in player.lets]
    return player.model_copy(
        update={
            "states": tuple(states),
            "actions": tuple(retyped(model, builder, a) for a in player.actions),
            "noises": tuple(noises),
            "legal": None if player.legal is None else copier.scalar(player.legal, frame),
            "rewards": tuple(rewards),
            "lets": tuple(lets),
        }
    )


def player_roots(player: Player) -> list[int]:
    """Every node that a player points at, what is shown left out."""
    variables = (*player.states, *player.traits)
    roots = [n for v in variables for n in (v.initial, v.start, v.next) if n is not None]
    roots += [n.density for n in (*player.noises, *player.draws) if n.density is not None]
    roots += [player.legal] if player.legal is not None else []
    return roots + [term.node for term in player.rewards]
