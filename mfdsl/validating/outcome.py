"""What a validation is asked for and what comes out: one row for each check."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mfdsl.exact import ExactRun
from mfdsl.game import Game
from mfdsl.learning import Training
from mfdsl.pathwise import PathRun
from mfdsl.runtime.behaviours import Behaviour
from mfdsl.runtime.policy import TabularPolicy
from mfdsl.runtime.solution import finite
from mfdsl.validating.certified import FinitePopulation

Verdict = Literal["passed", "failed", "not applicable"]


@dataclass(frozen=True, eq=False)
class Trial:
    """A game, who plays it, and how much is tried.

    `policy` names the behaviour; `table` is the policy of the run in the folder `run`, or one that
    was given, None without one, `training` has the networks of a run that learned, `exact` an exact
    solution, and `along` one along drawn paths of a common noise. `games` are played side by side,
    None for a number that fits the time; `seconds` is the time for all checks together. The least
    number of agents is asked for that certifies `gain`.
    """

    game: Game
    behaviour: Behaviour
    policy: str
    table: TabularPolicy | None = None
    run: Path | None = None
    agents: tuple[int, ...] = (10, 100, 1000)
    games: int | None = None
    seed: int = 0
    seconds: float = 20.0
    gain: float | None = None
    training: Training | None = None
    exact: ExactRun | None = None
    along: PathRun | None = None


@dataclass(frozen=True)
class Row:
    """One check: its verdict, the reason or the rule in words, and its figures by name.

    `table` are more lines for the screen.
    """

    name: str
    verdict: Verdict
    detail: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    table: str = ""

    def to_json(self) -> dict[str, Any]:
        """The entry of the row in the JSON of a validation."""
        return {
            "name": self.name,
            "verdict": self.verdict,
            "detail": self.detail,
            "figures": finite(dict(self.figures)),
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True)
class Excess:
    """A proved bound that a value of the running game lies outside of.

    `values` are enough to see it again: where, when, and what was found beside the bound.
    """

    claim: str
    subject: str
    bound: float
    found: float
    values: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The entries of a reproduction file about it."""
        return {
            "claim": self.claim,
            "subject": self.subject,
            "bound": finite(self.bound),
            "found": finite(self.found),
            "values": finite(dict(self.values)),
        }


@dataclass(frozen=True)
class Validation:
    """All rows of a validation, and the bounds that were exceeded with their reproduction file.

    `finite_population` is what is certified among finitely many agents, None where that is not.
    """

    spec: str
    policy: str
    run: Path | None
    seed: int
    rows: tuple[Row, ...]
    exceeded: tuple[Excess, ...] = ()
    reproduction: Path | None = None
    finite_population: FinitePopulation | None = None

    @property
    def ok(self) -> bool:
        """True when no check failed."""
        return all(row.verdict != "failed" for row in self.rows)

    def to_json(self) -> dict[str, Any]:
        """The JSON contract of `mfdsl validate`."""
        return {
            "spec": self.spec,
            "ok": self.ok,
            "policy": self.policy,
            "run": None if self.run is None else str(self.run),
            "seed": self.seed,
            "checks": [row.to_json() for row in self.rows],
            "exceeded": [excess.to_json() for excess in self.exceeded],
            "reproduction": None if self.reproduction is None else str(self.reproduction),
            "finite_population": (
                None if self.finite_population is None else self.finite_population.to_json()
            ),
        }


def left(until: float) -> float:
    """Seconds that are left until a reading of `time.perf_counter`."""
    return until - time.perf_counter()
