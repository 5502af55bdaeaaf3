"""Games on a grid of laws before there are tables: what they have there, and their memory."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Literal

from mfdsl.compiler.ir.interpret import values_of
from mfdsl.compiler.tabular.finite import Finite
from mfdsl.compiler.tabular.frames import NoTables
from mfdsl.compiler.tabular.observed import Observed, Variable, observed
from mfdsl.compiler.tabular.pasts import starting_states
from mfdsl.errors import UsageError
from mfdsl.game import Game
from mfdsl.runtime.finite_population.grid import grid_size
from mfdsl.runtime.memory import gibibytes, machine_memory
from mfdsl.runtime.program import Program
from mfdsl.runtime.solvers.simplex_grid import Method, Projection

MOST_ENTRIES = 1 << 26
BLOCK = 1 << 14  # cells of which tables are written at a time
NUMBER = 8  # bytes
KEPT = 7  # tables of policies: two of them, four of values, scores on their way
ON_THE_WAY = 3  # copies of what follows a stage, of the sizes of moves
WRITTEN = 400  # bytes of a law or a cell while it is written as Python's numbers

Way = Method | Literal["control"]


@dataclass(frozen=True, eq=False)
class Layout:
    """What there will be on the grid, before there are tables; `chances` are those of the common
    states at t = 0.
    """

    observed: Observed
    program: Program
    commons: tuple[tuple[int, ...], ...]
    acts: tuple[tuple[int, ...], ...]
    chances: tuple[float, ...]
    points: int
    projection: Projection

    @property
    def stages(self) -> int:
        """The number of turns."""
        return self.program.horizon or 0

    @property
    def sizes(self) -> tuple[int, int, int, int, int]:
        """C, U, G, S and A."""
        program = self.program
        laws = grid_size(self.points, program.state_count)
        counts = program.state_count, program.action_count
        return len(self.commons), len(self.acts), laws, *counts

    @property
    def entries(self) -> int:
        """Common states with actions of the major and laws."""
        return math.prod(self.sizes[:3])

    @property
    def width(self) -> int:
        """The numbers of each entry: moves and chances."""
        _, _, _, states, own = self.sizes
        return states**2 * own + len(self.commons)


def layout_of(game: Game, points: int = 50, projection: Projection = "interpolate") -> Layout:
    """What a game has on laws that are multiples of 1 / points.

    Raises:
        UsageError: the game is not one population with finite variables beside at most one major
            over a finite horizon, something reads time, or the tables would be too large.
    """
    if points < 1:
        raise UsageError(f"a grid of laws has at least 1 point along an edge, not {points}")
    if game.model.horizon.kind != "finite":
        raise UsageError(
            f"{game.name} has a {game.model.horizon.kind} horizon, and a grid of laws needs an end",
            "give the spec a number of steps",
        )
    try:
        small = Finite(game.model, game.bins).copied()
        seen = observed(small)
        around = [p for p in small.players if p.kind != "population"]
        starts = starting_states(small, around)
    except NoTables as error:
        raise UsageError(f"`{game.name}` has no grid of laws: {error}", error.advice) from None
    program = Game(replace(game.compilation, model=seen.model), game.parameters, game.bins).program
    module = program.module
    if "time" in module.SUCCESSORS_READ | module.WEIGHTS_READ | module.REWARDS_READ:
        raise UsageError(f"`{game.name}` has no grid of laws: something reads time")
    commons = values_on(seen, seen.states)
    order = [(player, name) for player, _, name in seen.states]
    drawn = _drawn(small, around, order, starts)
    chances = tuple(drawn.get(c, 0.0) for c in commons)
    acts = values_on(seen, seen.actions)
    found = Layout(seen, program, commons, acts, chances, points, projection)
    if found.entries * found.width > MOST_ENTRIES:
        raise UsageError(
            f"a grid of {points:,} points would have {found.entries * found.width:,} entries, "
            f"and {MOST_ENTRIES:,} is the limit",
            "take fewer points",
        )
    return found


def check_memory(layout: Layout, method: Way) -> int:
    """The bytes of all tables.

    Raises:
        UsageError: the machine does not have them.
    """
    needed, held = bytes_of(layout, method), machine_memory()
    if needed > held:
        common, acts, laws, states, own = layout.sizes
        raise UsageError(
            f"{laws:,} laws of {common} common states, {acts} actions of the major, {states} states"
            f" and {own} actions of members need {gibibytes(needed)}, there are {gibibytes(held)}",
            f"fewer points than {layout.points:,}",
        )
    return needed


def bytes_of(layout: Layout, method: Way) -> int:
    """The bytes of all tables, of policies with their values, and of what is on its way."""
    common, acts, laws, states, own = layout.sizes
    policy = layout.stages * common * laws * (states * own + acts)
    after = common * acts * laws * states * (common * states + 3)  # means, laws, places, weights
    if method == "control":
        rules = own**states
        kept = policy + rules * common * laws * (states * own + acts * (2 * states + 2))
    else:
        kept = KEPT * policy
    whole = layout.entries * layout.width + kept + ON_THE_WAY * after
    return int(NUMBER * whole + WRITTEN * (laws + BLOCK))


def values_on(seen: Observed, variables: Sequence[Variable]) -> tuple[tuple[int, ...], ...]:
    """All joint values, the last variable the fastest."""
    return tuple(product(*(map(int, values_of(seen.kinds[v])) for v in variables)))


def _drawn(
    small: Any, around: Any, order: list[tuple[str, str]], starts: dict[tuple[int, ...], float]
) -> dict[tuple[int, ...], float]:
    """The law of the common states at t = 0, in the order of the tables."""
    listed = [(p.name, s.name) for p in around for s in p.states]
    places = [listed.index(key) for key in order]
    return {tuple(int(key[i]) for i in places): chance for key, chance in starts.items()}
