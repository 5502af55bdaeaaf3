"""Exact solutions of one game at several values of its parameters."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mfdsl.runtime.exploitability import Exploitability
from mfdsl.runtime.solution import Record, finite
from mfdsl.runtime.solvers.riccati.solution import ExactSolution
from mfdsl.runtime.status import Status


@dataclass(frozen=True, eq=False)
class ExactSweep:
    """`solutions` are those at the `points`, the values that were swept, in their order."""

    points: tuple[Mapping[str, float], ...]
    solutions: tuple[ExactSolution, ...]

    @property
    def exploitability(self) -> Exploitability:
        """That of the worst game, and each one."""
        each = tuple(s.exploitability.value for s in self.solutions)
        worst = self.solutions[each.index(max(each))].exploitability
        return Exploitability(worst.value, worst.kind, worst.per_population, each)

    @property
    def value(self) -> tuple[float, ...]:
        """The reward of everybody together in each game."""
        return tuple(s.value[0] for s in self.solutions)

    @property
    def status(self) -> Status:
        """Converged if all are."""
        done = all(s.status is Status.converged for s in self.solutions)
        return Status.converged if done else Status.stalled

    @property
    def seconds(self) -> float:
        """Those of all solutions together."""
        return math.fsum(s.seconds for s in self.solutions)

    @property
    def history(self) -> tuple[Record, ...]:
        """The one report."""
        return (Record(1, self.exploitability.value, self.seconds),)

    def to_json(self) -> dict[str, Any]:
        """The JSON contract of a sweep: `value` is a list, `games` has an entry for each point."""
        first = self.solutions[0]
        entries = {
            "solver": first.solver,
            "options": dict(first.options),
            "seed": first.seed,
            "status": self.status.name,
            "message": "",
            "iterations": 1,
            "seconds": self.seconds,
            "exploitability": self.exploitability.to_json(),
            "value": list(self.value),
            "history": [asdict(record) for record in self.history],
            "license": asdict(first.license),
            "games": [
                {"parameters": dict(point)} | _game_json(solution)
                for point, solution in zip(self.points, self.solutions, strict=True)
            ],
        }
        return {name: finite(entry) for name, entry in entries.items()}


def _game_json(solution: ExactSolution) -> dict[str, Any]:
    """What a solution says of its game, but for the arrays that the files of the run have."""
    whole = solution.to_json()
    kept = ("value", "costs", "among", "social", "margin", "message")
    return {"exploitability": solution.exploitability.value} | {k: whole[k] for k in kept}
