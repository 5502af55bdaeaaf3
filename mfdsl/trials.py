"""Which heuristic to take where no solver is licensed: the one ahead after some iterations.

No rule by the properties of a game is better than this: where moves read the law, mirror descent
may cycle for ever while policy iteration stops at an equilibrium, or the other way round.
"""

from collections.abc import Mapping
from dataclasses import replace
from math import inf, isfinite

from mfdsl.runtime.program import Params, Program
from mfdsl.runtime.solvers.loop import solve
from mfdsl.runtime.solvers.table import SOLVERS
from mfdsl.runtime.status import Status
from mfdsl.settings import Settings

TRIALS: tuple[tuple[str, Mapping[str, float]], ...] = (
    ("omd", {}),
    ("policy_iteration", {}),
    ("fixed_point", {"damping": 0.9}),
    ("fictitious_play", {}),
)
ROUNDS = 100
MOST_ENTRIES = 1 << 20


def tried(settings: Settings, program: Program, params: Params) -> Settings:
    """The settings with the heuristic of the least exploitability after 100 iterations.

    A trial that reaches the tolerance ends the search. The choice depends on the game only. It is
    not made where somebody named a solver or one is licensed, for few iterations, for large tables,
    and on a horizon without end, where an iteration may take thousands of steps of the law.
    """
    entries = program.state_count * program.action_count * (program.horizon or 1)
    if not settings.open or settings.solver not in SOLVERS or program.kind != "finite":
        return settings
    if settings.iterations < ROUNDS or entries > MOST_ENTRIES:
        return settings
    found = []
    for name, options in TRIALS:
        config = SOLVERS[name].config(**options)
        trial = solve(
            program, params, name, config, iterations=ROUNDS, tolerance=settings.tolerance
        )
        if trial.status is Status.interrupted:  # the loop keeps it for itself
            raise KeyboardInterrupt
        gap = trial.exploitability.value
        found.append((gap if isfinite(gap) else inf, name, config))
        if trial.status is Status.converged:
            break
    gap, name, config = min(found, key=lambda entry: entry[0])
    names = ", ".join(name for _, name, _ in found)
    ahead = f"least exploitability, {gap:.3g}, after {ROUNDS} iterations of {names}"
    return replace(settings, solver=name, config=config, reason=f"{settings.reason}; {ahead}")
