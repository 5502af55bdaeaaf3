"""What a policy of the mean-field limit is worth among N players: certified, and simulated.

Theorem A (before anything else is known: alpha and beta), theorem B (each type's best response
against the flow of all types), the curve over N with its parts, and the least N for a target; for
each population, and with majors and common noise for each major, too.
Yardim and He, L4DC 2025, arXiv:2408.15173, for the question; the bounds are those of the design
note "approximate symmetry", 2. Arithmetic is float64 without outward rounding.
"""

from collections.abc import Sequence

import numpy as np

from mfdsl.errors import UsageError
from mfdsl.game import Game
from mfdsl.runtime.policy import TabularPolicy
from mfdsl.runtime.solution import Solution
from mfdsl.validating.around_majors import certified_around
from mfdsl.validating.certified import FinitePopulation
from mfdsl.validating.populations import certified_populations
from mfdsl.validating.typed_game import Floats

LARGEST_TABLE = 2 * 10**7  # entries of all kernels along the flow


def finite_population_report(
    game: Game,
    solution: Solution | TabularPolicy,
    agents: Sequence[int],
    target: float | None = None,
    seed: int = 0,
) -> FinitePopulation:
    """Certificates for a policy of a game with tables, with each of `agents` in each population.

    Raises:
        UsageError: the game has no tables, or too large ones, no finite horizon, or members who
            read hidden traits of each other.
    """
    if not agents or min(agents) < 2:
        raise UsageError("give numbers of players, at least two")
    check_covered(game)
    policy = solution if isinstance(solution, TabularPolicy) else solution.policy
    table = _table(game, policy)
    numbers = sorted(set(agents))
    if game.reduced is not None and game.reduced.past is not None:
        return certified_around(game, policy, numbers, target)
    return certified_populations(game, policy, table, numbers, target, seed)


def check_covered(game: Game) -> None:
    """Raise where the theorems do not speak of a game, before anything large is made.

    Raises:
        UsageError: the horizon is not finite, there are no tables, or too large ones.
    """
    if game.model.horizon.kind != "finite":
        raise UsageError("bounds for finite populations are for finite horizons")
    states, actions = game.program.state_count, game.program.action_count
    entries = states * actions * (game.program.horizon or 1)
    if game.reduced is None or game.reduced.past is None:
        entries *= states
    if entries > LARGEST_TABLE:
        raise UsageError(f"{states:,} states and {actions:,} actions are too many for a bound")


def _table(game: Game, policy: TabularPolicy) -> Floats:
    shape = (game.program.horizon or 0, game.program.state_count, game.program.action_count)
    probs = policy.probs.detach().to("cpu").double().numpy()
    if len(probs) != 1 or probs.shape[2:] != shape[1:] or probs.shape[1] not in (1, shape[0]):
        raise UsageError(f"a policy of shape {tuple(probs.shape)} does not fit `{game.name}`")
    return np.broadcast_to(probs[0], shape)
