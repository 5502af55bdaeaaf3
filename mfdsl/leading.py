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

from mfdsl.errors import UsageError, unknown
from mfdsl.game import Device, Game
from mfdsl.planning import check_tables
from mfdsl.runtime.calibration.leader import Counted, Led, lead
from mfdsl.runtime.calibration.response import CalibrationError, SoftResponse
from mfdsl.runtime.evaluate import Evaluation
from mfdsl.runtime.solution import finite
from mfdsl.runtime.views.finite import FiniteView
from mfdsl.smooth_parameters import check_smooth, range_of
from mfdsl.solving import find_device
from mfdsl.swept import check_point
from mfdsl.transfers import Welfare


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
    `slope` is the steepest that the value still rises, for a move through the whole range of a
    number, and `at_end` names numbers at an end of their range. `exploitability` is exact and of
    the crowd's policy under the rule: how far a logit equilibrium at `temperature` is from Nash.
    """

    game: str
    values: dict[str, float | tuple[float, ...]]
    value: float
    before: float
    terms: dict[str, Term]
    slope: float
    at_end: tuple[str, ...]
    exploitability: float
    temperature: float
    converged: bool
    evaluations: int

    def as_toml(self) -> str:
        """The rule as a file for `--params`."""
        lines = [
            f"# best for a leader worth {self.value:.12g}, at temperature {self.temperature:g}"
        ]
        for name, value in self.values.items():
            lines.append(f"{name} = {list(value) if isinstance(value, tuple) else value!r}")
        return "\n".join(lines) + "\n"

    def to_json(self) -> dict[str, Any]:
        """The JSON contract of `mfdsl stackelberg`."""
        entries = {
            "values": {n: list(v) if isinstance(v, tuple) else v for n, v in self.values.items()},
            "value": self.value,
            "before": self.before,
            "terms": {name: vars(term) for name, term in self.terms.items()},
            "slope": self.slope,
            "at_end": list(self.at_end),
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
    if game.model.objective == "team":
        raise UsageError(
            f"the players of {game.name} are a team, which does what is best for it",
            "give the spec `objective nash`",
        )
    if not 0 < temperature < math.inf:
        raise UsageError(f"the temperature is {temperature:g}", "it must be above 0")
    check_tables(game.model, game.bins)
    check_smooth(game, choose, "--choose", arrays=True)
    found_weights = _weights(game, weights or {})
    place, names = find_device(device), tuple(choose)
    params = game.program.params(dtype=torch.float64, device=place)
    try:
        response = SoftResponse.build(game.program, params, names, temperature)
        parts = _parts(game, names, temperature, found_weights, place)
        counted = [part for part in parts.values() if part.weight]
        ranges = [range_of(game, name) for name, _ in response.entries]
        firsts = _starts(response, ranges, starts, seed)
        searched = [lead(response, counted, ranges, evaluations, first) for first in firsts]
    except CalibrationError as error:
        raise UsageError(str(error)) from None
    best = max(searched, key=lambda led: led.value)
    values = _values(response, best.theta)
    check_point(game, game.parameters, values, claims=False)
    return Stackelberg(
        game=game.name,
        values=values,
        value=best.value,
        before=searched[0].began,
        terms=_terms(parts, searched[0], best),
        slope=best.slope,
        at_end=tuple(_label(*response.entries[k]) for k in best.at_end),
        exploitability=_exploitability(response, best),
        temperature=temperature,
        converged=best.converged,
        evaluations=sum(led.evaluations for led in searched),
    )


def _weights(game: Game, given: Mapping[str, float]) -> dict[str, float]:
    """The weight of each term.

    Raises:
        UsageError: a name is no term, a weight is no finite number, or all are 0.
    """
    terms = list(dict.fromkeys(term.name for p in game.model.players for term in p.rewards))
    for name, weight in given.items():
        if name not in terms:
            raise unknown("term", name, terms)
        if not math.isfinite(weight):
            raise UsageError(f"the weight of `{name}` is {weight:g}", "give a finite number")
    found = {name: float(given.get(name, 1.0)) for name in terms}
    if not any(found.values()):
        raise UsageError(
            f"nothing of {game.name} counts for the leader",
            f"give a term a weight that is not 0; there are {', '.join(terms)}",
        )
    return found


def _parts(
    game: Game,
    names: tuple[str, ...],
    temperature: float,
    weights: Mapping[str, float],
    place: torch.device,
) -> dict[str, Counted]:
    """The game with one term of its rewards alone, for each of them."""
    found = {}
    for name, weight in weights.items():
        part = Welfare.of(game, [each for each in weights if each != name], torch.float64, place)
        response = SoftResponse.build(part.game.program, part.params, names, temperature)
        found[name] = Counted(response, weight)
    return found


def _starts(
    response: SoftResponse, ranges: Sequence[tuple[float, float]], starts: int, seed: int
) -> list[Tensor]:
    """The values of the spec, and random ones between the ends of the ranges.

    Raises:
        UsageError: more than one start, and a range without an end.
    """
    low, high = np.array(ranges, dtype=np.float64).T
    open_ = np.flatnonzero(~np.isfinite(high - low))
    if starts > 1 and len(open_):
        raise UsageError(
            f"`{_label(*response.entries[open_[0]])}` has no range to draw starts from",
            "give its type two ends in the spec, or take one start",
        )
    random = np.random.default_rng(seed)
    drawn = [low + (high - low) * random.random(len(low)) for _ in range(starts - 1)]
    return [response.start, *(torch.from_numpy(each).to(response.start) for each in drawn)]


def _values(response: SoftResponse, theta: Tensor) -> dict[str, float | tuple[float, ...]]:
    """Values by name, those of an array row by row."""
    found: dict[str, list[float]] = {name: [] for name in response.names}
    scalars = {name for name, place in response.entries if not place}
    for (name, _), value in zip(response.entries, theta.tolist(), strict=True):
        found[name].append(value)
    return {n: v[0] if n in scalars else tuple(v) for n, v in found.items()}


def _terms(parts: Mapping[str, Counted], first: Led, best: Led) -> dict[str, Term]:
    return {
        name: Term(
            part.weight,
            float(part.response.earned(first.first.theta, first.first.scores)),
            float(part.response.earned(best.equilibrium.theta, best.equilibrium.scores)),
        )
        for name, part in parts.items()
    }


def _exploitability(response: SoftResponse, best: Led) -> float:
    """What one gains who leaves the crowd's policy for the best response."""
    view = FiniteView.build(response.program, response.bound(best.theta)[0])
    probs = response.policy(best.equilibrium.scores)
    return Evaluation(view, view.policy(probs[None])).exploitability.value


def _label(name: str, place: tuple[int, ...]) -> str:
    return f"{name}[{', '.join(map(str, place))}]" if place else name
