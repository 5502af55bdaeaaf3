"""The social value without transfers: money from players to the state and back.

Who pays a toll cares for it, and welfare does not: nobody lost what another one got. So players
meet the whole game, and the planner the game without the terms that are transfers, whose flows are
the same. What is proved of the whole game (rewards that are monotone, equilibria that all pay the
same) is not known of the rest, so certificates are looked for anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch

from mfdsl.errors import UsageError, unknown
from mfdsl.game import Game
from mfdsl.runtime.evaluate import Evaluation
from mfdsl.runtime.policy import TabularPolicy
from mfdsl.runtime.program import Params
from mfdsl.runtime.views.finite import FiniteView


@dataclass(frozen=True, eq=False)
class Welfare:
    """What counts as welfare: `game` has the other terms only, `params` are of its tables."""

    game: Game
    params: Params

    @classmethod
    def of(
        cls, game: Game, transfers: Sequence[str], dtype: torch.dtype, device: torch.device
    ) -> "Welfare":
        """The tables of a game without its transfers.

        Raises:
            UsageError: a transfer is no term, no term is left, or tables differ without them.
        """
        rest = game_without(game, transfers) if transfers else game
        if transfers and _pasts(rest) != _pasts(game):
            raise UsageError(
                f"{_listed(transfers)} tells states or pasts of {game.name} apart that are the "
                "same without",
                "let another term, or a state, read the same noise",
            )
        return cls(rest, rest.program.params(dtype=dtype, device=device))

    @cached_property
    def view(self) -> FiniteView:
        """The tables of the rest."""
        return FiniteView.build(self.game.program, self.params)

    def value(self, policy: TabularPolicy) -> float:
        """What all earn together when all follow a policy of the whole game."""
        return float(Evaluation(self.view, self.view.policy(policy.probs)).value[0])


def game_without(game: Game, names: Sequence[str]) -> Game:
    """The game without the reward and cost terms of these names, of whichever player.

    Raises:
        UsageError: a name is no term, is given twice, or no term is left.
    """
    model = game.model
    terms = list(dict.fromkeys(term.name for p in model.players for term in p.rewards))
    for name in names:
        if name not in terms:
            raise unknown("term", name, terms)
        if list(names).count(name) > 1:
            raise UsageError(f"`{name}` is given twice", "name each transfer once")
    if set(terms) <= set(names):
        raise UsageError(
            f"without {_listed(names)} nothing of {game.name} is left to lose",
            f"its terms are {', '.join(terms)}",
        )
    players = tuple(
        p.model_copy(update={"rewards": tuple(t for t in p.rewards if t.name not in names)})
        for p in model.players
    )
    left = model.model_copy(update={"players": players})
    return replace(game, compilation=replace(game.compilation, model=left, certificates=()))


def _pasts(game: Game) -> tuple[object, ...]:
    """What the places of tables stand for."""
    small, program = game.reduced, game.program
    return program.state_axes(), program.action_axes(), small.past if small is not None else None


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
