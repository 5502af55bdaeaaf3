"""A population at given values of majors and common noise: its tables with those as parameters.

Along every past of the common state the population has a law of its own (`compiler/tabular`); what
its members meet there at a turn, one joint outcome of common noises and actions of majors, are
tables at the values of that past and turn.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from mfdsl.compiler.ir.model import Model, Parameter
from mfdsl.compiler.ir.walk import reachable
from mfdsl.compiler.tabular.common import common_name
from mfdsl.compiler.tabular.conditioned import Conditioned
from mfdsl.compiler.tabular.finite import Finite
from mfdsl.compiler.tabular.frames import NoTables
from mfdsl.compiler.tabular.naming import free_name, names_in
from mfdsl.compiler.tabular.pasts import Tree, grow, starting_states
from mfdsl.compiler.tabular.rebuild import player_roots
from mfdsl.compiler.tabular.union import Axes, united
from mfdsl.errors import UsageError
from mfdsl.game import Game
from mfdsl.runtime.program import Program
from mfdsl.validating.blocks import Floats, Ints

Variable = tuple[str, str, str]  # player, kind and name of a common variable


@dataclass(frozen=True, eq=False)
class ConditionalGame:
    """The population of `small`, in which all is finite, at given common values.

    `names` maps common variables to parameters of `program`. `axes` and `actions` name the axes of
    the tables of the game that belong to the population, in the order of its own.
    """

    small: Model
    tree: Tree
    program: Program
    names: dict[Variable, str]
    axes: tuple[str, ...]
    actions: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of states and actions."""
        return self.program.state_count, self.program.action_count

    def tables(self, name: str, t: int, values: dict[str, list[int]], laws: Floats) -> Floats:
        """The function `name` of the program at laws [B, cells] and as many common values."""
        states = tuple(self.program.states.values())
        shape = states if name == "final_rewards" else (*states, *self.program.actions.values())
        params = self.program.params(values)
        law = torch.from_numpy(np.ascontiguousarray(laws)).reshape(len(laws), *shape)
        made = getattr(self.program.module, name)(params, torch.tensor(t), law)
        count, actions = self.shape
        end = {"kernel": (count, actions, count), "rewards": (count, actions)}.get(name, (count,))
        found: Floats = np.broadcast_to(made.reshape(-1, *end).numpy(), (len(laws), *end))
        return found

    def legal(self, t: int, values: dict[str, list[int]], batch: int) -> Floats:
        """1 where an action may be taken, [B, states, actions]."""
        made = self.program.module.legal(self.program.params(values), torch.tensor(t))
        end = (batch, *self.shape)
        found: Floats = np.broadcast_to(made.reshape(-1, *self.shape).numpy(), end)
        return found.astype(np.float64)


def conditional_game(game: Game) -> ConditionalGame:
    """The tables of the population of a game with majors or common noise.

    Raises:
        UsageError: there are several populations, or traits that policies do not see.
    """
    if len(game.model.populations) != 1:
        raise UsageError("majors and common noise have a bound around one population only")
    try:
        finite = Finite(game.model, game.bins)
        small = finite.copied()
        around = [p for p in small.players if p.kind != "population"]
        tree = grow(small, around, starting_states(small, around))
    except NoTables as error:
        raise UsageError(f"`{game.name}` has no tables: {error}", error.advice) from None
    kept = {s.name for s in small.population.states}
    if any(t.name not in kept for t in game.model.population.traits):
        raise UsageError("hidden traits beside majors or common noise have no bound here")
    model, names = _conditional(small)
    placed = united(Conditioned(small, tree).populations())
    own = small.population
    return ConditionalGame(
        small=small,
        tree=tree,
        program=Game(replace(game.compilation, model=model), game.parameters, game.bins).program,
        names=names,
        axes=_axes(own.name, [s.name for s in own.states], placed[2]),
        actions=_axes(own.name, [a.name for a in own.actions], placed[3]),
    )


def _axes(player: str, names: Sequence[str], axes: Axes) -> tuple[str, ...]:
    return tuple(axes[player, n].name if (player, n) in axes else n for n in names)


def _conditional(small: Model) -> tuple[Model, dict[Variable, str]]:
    """The model of the population alone; common variables are parameters."""
    taken = names_in(small) | {p.name for p in small.parameters}
    names: dict[Variable, str] = {}
    more: dict[str, Parameter] = {}
    read = set(reachable(small.nodes, player_roots(small.population)))
    nodes = []
    for index, node in enumerate(small.nodes):
        if index not in read or not node.op.startswith("common_"):
            nodes.append(node)
            continue
        assert isinstance(node.attr, tuple)
        key = (str(node.attr[0]), node.op.removeprefix("common_"), str(node.attr[1]))
        if key not in names:
            names[key] = free_name(common_name(key[0], key[2]), taken)
            taken |= {names[key]}
            value = small.types[node.type].first
            more[names[key]] = _parameter(names[key], node.type, value)
        nodes.append(node.model_copy(update={"op": "param", "attr": names[key]}))
    own = small.population.model_copy(update={"observe": (), "observes_law": ()})
    update = {
        "nodes": tuple(nodes),
        "players": (own,),
        "parameters": (*small.parameters, *more.values()),
    }
    return small.model_copy(update=update), names


def _parameter(name: str, kind: int, value: int) -> Parameter:
    return Parameter(name=name, type=kind, value=value, default=value, structural=False, doc="")


def common_values(
    game: ConditionalGame, t: int, pasts: Ints, turns: Ints | None
) -> dict[str, list[int]]:
    """The values of the parameters at pasts [B] of stage t, and at turns [B] where there are any.

    After the last stage there is no turn.
    """
    tree, found = game.tree, {}
    for (player, kind, name), parameter in game.names.items():
        if kind == "state":
            place = tree.variables.index((player, name))
            column = [state[place] for state in tree.states[t]]
            found[parameter] = [int(column[h]) for h in pasts]
        elif turns is not None:
            place = tree.drawn.index((player, name))
            found[parameter] = [int(tree.outcomes[k][place]) for k in turns]
    return found
