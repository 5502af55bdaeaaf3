"""Games that differ in their initial law alone, side by side, and laws to start them from."""

from dataclasses import replace

from jaxtyping import Float
from torch import Tensor

from mfdsl.runtime.evaluate import View
from mfdsl.runtime.solvers.base import SolverError
from mfdsl.runtime.solvers.networks.history import past_axis
from mfdsl.runtime.streams import draw
from mfdsl.runtime.views.finite import FiniteView


def one_game(view: View) -> FiniteView:
    """The view of one game over time.

    Raises:
        SolverError: the horizon is stationary, or there are several games.
    """
    if not isinstance(view, FiniteView):
        raise SolverError(f"{view.program.name} has a stationary horizon: no law is its first")
    if view.tables.games > 1:
        raise SolverError("initial laws vary in one game at a time: solve without --sweep")
    return view


def with_initial_laws(view: View, laws: Float[Tensor, "batch states"]) -> FiniteView:
    """The game from each of these laws, as a batch.

    Raises:
        SolverError: the horizon is stationary, or there are several games already.
    """
    game = one_game(view)
    initial = laws.t().to(game.tables.initial).contiguous()
    tables = replace(game.tables, initial=initial, games=len(laws))
    return replace(game, tables=tables, kept={})


def drawn_laws(
    view: View, number: int, concentration: float, key: tuple[int, int, str]
) -> Float[Tensor, "batch states"]:
    """Initial laws drawn from a Dirichlet law with this concentration on every state.

    Each of several populations has its own, and the same mass as ever.

    Raises:
        SolverError: the common state is random, so that its law is no choice; or see `one_game`.
    """
    program, first = view.program, one_game(view).tables.initial[:, 0]
    past = past_axis(program)
    if past is not None and program.states[past] > 1:
        raise SolverError(
            f"the law of the common state of {program.name} is given, so none is drawn: "
            "take `laws = spec`"
        )
    groups = len(program.populations)
    weights = draw(("gamma", concentration), (number, len(first)), key, dtype=first.dtype)
    parts = weights.to(first.device).view(number, groups, -1)
    return (parts / parts.sum(-1, keepdim=True) / groups).view(number, -1)
