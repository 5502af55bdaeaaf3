"""What a game on a grid of laws costs, before it is built: bytes by counting, seconds by trial."""

import time
from dataclasses import dataclass, replace

import torch

from mfdsl.runtime.finite_population.grid import grid_size
from mfdsl.runtime.memory import gibibytes
from mfdsl.runtime.solvers.simplex_grid import GridGame, control, evaluate, uniform
from mfdsl.simplex import tables_of
from mfdsl.simplex_layout import Layout, Way, check_memory

TRIAL_LAWS = 500
TRIAL_STAGES = 11
GIBI = 1 << 30
UNITS = ((2 * 3600, 3600, "h"), (120, 60, "min"), (0, 1, "s"))  # from so many seconds on


@dataclass(frozen=True)
class Cost:
    """Bytes at most, and about how many seconds all iterations take on this machine."""

    bytes: int
    seconds: float
    laws: int

    def __str__(self) -> str:
        small = self.bytes < GIBI
        room = f"{self.bytes / 2**20:.0f} MiB" if small else gibibytes(self.bytes)
        _, size, unit = next(row for row in UNITS if self.seconds >= row[0])
        spent = f"{max(1, self.seconds / size):.0f} {unit}"
        return f"{self.laws:,} laws: at most {room}, all iterations about {spent}"


def cost_of(layout: Layout, method: Way, *, iterations: int) -> Cost:
    """What the solution on that grid costs; a trial on 500 laws at most measures the seconds.

    Raises:
        UsageError: it does not fit into the memory of the machine.
    """
    needed = check_memory(layout, method)
    fewer = layout.points
    while grid_size(fewer, layout.sizes[3]) > TRIAL_LAWS and fewer > 1:
        fewer = max(1, fewer // 2)
    began = time.perf_counter()
    tables = tables_of(replace(layout, points=fewer)).game
    building = time.perf_counter() - began
    first, each = _seconds(tables, method)
    count = tables.stages * (1 if method == "control" else iterations + 1)
    laws = layout.sizes[2]
    spent = (building + first + each * count) * laws / len(tables.laws)
    return Cost(needed, spent, laws)


def _seconds(game: GridGame, method: Way) -> tuple[float, float]:
    """What comes once, and what a stage of an iteration takes, at this grid."""
    short, longer = (_spent(replace(game, stages=n), method) for n in (1, TRIAL_STAGES))
    each = max(0.0, longer - short) / (TRIAL_STAGES - 1)
    return max(0.0, short - each), each


@torch.no_grad()
def _spent(game: GridGame, method: Way) -> float:
    """The least seconds of two tries: the first may load what the next ones have."""
    tries = []
    for _ in range(2):
        began = time.perf_counter()
        if method == "control":
            control(game)
        else:
            evaluate(game, uniform(game))
        tries.append(time.perf_counter() - began)
    return min(tries)
