"""What is certified of a policy among finitely many players: one entry for each kind of player."""

import json
from dataclasses import dataclass
from typing import Any, Literal

from mfdsl.compiler.analysis.asymmetry.asymmetry import Measured
from mfdsl.runtime.finite_population.theorem_a import Bound
from mfdsl.validating.finite_population_text import lines_of, plain
from mfdsl.validating.simulated_gain import SimulatedGain

LIMIT = ("solver gap", "type incentive")


@dataclass(frozen=True)
class AtSize:
    """What is certified with N players in each population: no player gains more than `worst`.

    `typed` is theorem B at the types that are looked at, `a_priori` theorem A for everybody;
    `worst` is the smaller one, with what players may be apart from a type added to the first.
    `limit` are the worst, 95 % and mean gain of a type in the limit, `finite` what N adds at most,
    `terms` the parts of the worst type by cause, `cap` what holds for any policy.
    """

    players: int
    worst: float
    typed: float
    a_priori: float
    limit: tuple[float, float, float]
    finite: float
    terms: dict[str, float]
    cap: float

    @property
    def vacuous(self) -> bool:
        """Whether it says no more than the range of the rewards."""
        return self.worst >= self.cap


@dataclass(frozen=True)
class Among:
    """What the members of a population can gain, or a major.

    `dynamics` and `reward` are alpha and beta of a population, None for a major and where they are
    not needed. `sizes` has one entry for each number of players, `least` is the least number for
    the target (None: no number is enough, or there is no target), `simulated` the gain of the worst
    type, None where that cannot be simulated. `notes` say what rests on what.
    """

    player: str
    kind: Literal["population", "major"]
    dynamics: Measured | None
    reward: Measured | None
    sizes: tuple[AtSize, ...]
    least: int | None
    simulated: SimulatedGain | None
    worst_type: dict[str, Any]
    constants: dict[str, float]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class FinitePopulation:
    """The report of a policy among finitely many players; `target` is the gain asked for."""

    name: str
    steps: int
    target: float | None
    players: tuple[Among, ...]

    def text(self) -> str:
        """The report as lines of text."""
        return "\n".join(lines_of(self)) + "\n"

    def to_json(self) -> dict[str, Any]:
        """The report as plain data; numbers that are not finite are null."""
        found: dict[str, Any] = json.loads(json.dumps(plain(self), default=float))
        return found


def at_size(
    players: int,
    bound: Bound,
    row: int,
    worst: float,
    a_priori: float,
    limit: tuple[float, float, float],
) -> AtSize:
    """The entry of the player in a row of a bound, of whom `worst` is certified in all."""
    return AtSize(
        players=players,
        worst=worst,
        typed=float(bound.epsilon[row]),
        a_priori=a_priori,
        limit=limit,
        finite=float(sum(v[row] for k, v in bound.terms.items() if k not in LIMIT)),
        terms={name: float(v[row]) for name, v in bound.terms.items()},
        cap=float(bound.cap[row]),
    )
