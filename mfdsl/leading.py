"""Parameters that are best for a leader at the equilibrium of the crowd: `mfdsl stackelberg`.

Who sets tolls, taxes or subsidies announces them and keeps to them; the crowd plays its game under
them, in logit equilibrium. What the leader makes large is what the crowd earns, term by term with
weights: 1 for all is welfare, 0 leaves a transfer out, -1 is for who gets what others pay.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mfdsl.crowd import Crowd, Values, as_lists, as_toml
from mfdsl.errors import UsageError
from mfdsl.game import Device, Game
from mfdsl.runtime.calibration.leader import Counted, Led, lead
from mfdsl.runtime.calibration.moving import CalibrationError
from mfdsl.runtime.solution import finite


@dataclass(frozen=True)
class Term:
    """What the crowd earns by one term of its rewards, before and under the leader's rule."""

    weight: float
    before: float
    after: float


@dataclass(frozen=True, eq=False)
class Stackelberg:
    """A rule, and what it is worth.

    `values` are the parameters of the rule, arrays row by row; `value` is what the leader gets and
    `before` what it gets at the values of the spec. `terms` are the terms of the rewards by name.
    `slope` is the most that the value still gains, to first order, by a move of one number within
    its range, and `at_end` names numbers at an end of theirs. `flat` says that the
    value has no slope at the first values, so that the search went nowhere from them: they may be
    best, worst, or of no concern. `exploitability` is exact and of
    the crowd's policy under the rule: how far a logit equilibrium at `temperature` is from Nash.
    """

    game: str
    values: Values
    value: float
    before: float
    terms: dict[str, Term]
    slope: float
    at_end: tuple[str, ...]
    flat: bool
    exploitability: float
    temperature: float
    converged: bool
    evaluations: int

    def as_toml(self) -> str:
        """The rule as a file for `--params`."""
        worth = f"worth {self.value:.12g} to a leader, at temperature {self.temperature:g}"
        return as_toml(worth, self.values)

    def to_json(self) -> dict[str, Any]:
        """The JSON contract of `mfdsl stackelberg`."""
        entries = {
            "values": as_lists(self.values),
            "value": self.value,
            "before": self.before,
            "terms": {name: vars(term) for name, term in self.terms.items()},
            "slope": self.slope,
            "at_end": list(self.at_end),
            "flat": self.flat,
            "exploitability": self.exploitability,
            "temperature": self.temperature,
            "converged": self.converged,
            "evaluations": self.evaluations,
        }
        return {name: finite(entry) for name, entry in entries.items()}


def stackelberg(
    game: Game,
    choose: Sequence[str],
    *,
    weights: Mapping[str, float] | None = None,
    temperature: float = 0.1,
    evaluations: int = 200,
    starts: int = 1,
    seed: int = 0,
    device: Device = "cpu",
) -> Stackelberg:
    """The values of the parameters `choose`, within their ranges, that are best for a leader.

    The leader gets what the crowd earns by each term times its weight, 1 where `weights` has none.
    The first search starts at the values of the spec, more `starts` at random ones.

    Raises:
        CompileError: the spec has errors at the best values.
        UsageError: a name is no real parameter that can move or no term, all weights are 0, the
            players are a team, or no equilibrium was found.
    """
    try:
        crowd = Crowd.of(game, choose, temperature, device)
        weighed = _weights(crowd, weights or {})
        parts = {name: Counted(crowd.paying(name), weight) for name, weight in weighed.items()}
        counted = [part for part in parts.values() if part.weight]
        searched = [
            lead(crowd.response, counted, crowd.ranges, evaluations, first)
            for first in _starts(crowd, starts, seed)
        ]
    except CalibrationError as error:
        raise UsageError(str(error)) from None
    best = max(searched, key=lambda led: led.value)
    return Stackelberg(
        game=game.name,
        values=crowd.values(best.theta),
        value=best.value,
        before=searched[0].began,
        terms=_terms(parts, searched[0], best),
        slope=best.slope,
        at_end=crowd.labels(best.at_end),
        flat=best.flat,
        exploitability=crowd.exploitability(best.equilibrium),
        temperature=temperature,
        converged=best.converged,
        evaluations=sum(led.evaluations for led in searched),
    )


def _weights(crowd: Crowd, given: Mapping[str, float]) -> dict[str, float]:
    """The weight of each term.

    Raises:
        UsageError: a name is no term, a weight is no finite number, or all are 0.
    """
    crowd.check_terms(given)
    for name, weight in given.items():
        if not math.isfinite(weight):
            raise UsageError(f"the weight of `{name}` is {weight:g}", "give a finite number")
    found = {name: float(given.get(name, 1.0)) for name in crowd.terms}
    if not any(found.values()):
        raise UsageError(
            f"nothing of {crowd.game.name} counts for the leader",
            f"give a term a weight that is not 0; there are {', '.join(found)}",
        )
    return found


def _starts(crowd: Crowd, starts: int, seed: int) -> list[Tensor]:
    """The values of the spec, and random ones between the ends of the ranges.

    Raises:
        UsageError: more than one start, and a range without an end.
    """
    low, high = np.array(crowd.ranges, dtype=np.float64).T
    unbounded = np.flatnonzero(~np.isfinite(high - low))
    if starts > 1 and len(unbounded):
        raise UsageError(
            f"`{crowd.label(int(unbounded[0]))}` has no range to draw starts from",
            "give its type two ends in the spec, or take one start",
        )
    random, first = np.random.default_rng(seed), crowd.response.start
    drawn = [low + (high - low) * random.random(len(low)) for _ in range(starts - 1)]
    return [first, *(torch.from_numpy(each).to(first) for each in drawn)]


def _terms(parts: Mapping[str, Counted], first: Led, best: Led) -> dict[str, Term]:
    return {
        name: Term(
            part.weight,
            float(part.response.earned(first.first.theta, first.first.scores)),
            float(part.response.earned(best.equilibrium.theta, best.equilibrium.scores)),
        )
        for name, part in parts.items()
    }
