"""Prices that clear markets at the equilibrium of the crowd: `mfdsl clear`.

A price that solves an equation is no function of the law, so the spec has it as a parameter, and a
term that is 0 where the market clears: what is wanted less what there is. Such a term reads the
law, the parameters and `t` alone, so that it moves nobody's choice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mfdsl.crowd import Crowd, Values, as_lists, as_toml
from mfdsl.errors import UsageError
from mfdsl.game import Device, Game
from mfdsl.runtime.calibration.clearing import Equations, clear
from mfdsl.runtime.calibration.fit import Array
from mfdsl.runtime.calibration.moving import CalibrationError
from mfdsl.runtime.solution import finite


@dataclass(frozen=True, eq=False)
class Clearing:
    """Prices by name, arrays row by row, and what is left of the terms that are to be 0.

    `left` has by term the largest distance from 0, over the stages or of the sum, and `before` the
    same at the values of the spec; `each_stage` says which. `at_end` names prices at an end of
    their range. `free` counts directions in the prices along which the terms do not move here, so
    that other prices next to these may clear as well. `exploitability` is exact and of the crowd's
    policy at these prices: how far a logit equilibrium at `temperature` is from Nash.
    """

    game: str
    values: Values
    left: dict[str, float]
    before: dict[str, float]
    each_stage: bool
    at_end: tuple[str, ...]
    free: int
    exploitability: float
    temperature: float
    converged: bool
    evaluations: int

    def as_toml(self) -> str:
        """The prices as a file for `--params`."""
        terms = ", ".join(self.left)
        left = max(self.left.values())
        return as_toml(
            f"{terms}: {left:.3g} at most, at temperature {self.temperature:g}", self.values
        )

    def to_json(self) -> dict[str, Any]:
        """The JSON contract of `mfdsl clear`."""
        entries = {
            "values": as_lists(self.values),
            "left": self.left,
            "before": self.before,
            "each_stage": self.each_stage,
            "at_end": list(self.at_end),
            "free": self.free,
            "exploitability": self.exploitability,
            "temperature": self.temperature,
            "converged": self.converged,
            "evaluations": self.evaluations,
        }
        return {name: finite(entry) for name, entry in entries.items()}


def clear_market(
    game: Game,
    choose: Sequence[str],
    meet: Sequence[str],
    *,
    temperature: float = 0.1,
    evaluations: int = 100,
    device: Device = "cpu",
) -> Clearing:
    """Values of the parameters `choose`, within their ranges, at which the terms `meet` are 0.

    With a number for each stage a term is 0 at every stage; with one number for each term its sum
    over stages is 0, discounted, with what is paid at the end. A stationary horizon has one stage.

    Raises:
        CompileError: the spec has errors at the values found.
        UsageError: a name is no real parameter that can move or no term, there are more or fewer
            numbers than equations, the players are a team, or no equilibrium was found.
    """
    try:
        crowd = Crowd.of(game, choose, temperature, device)
        equations = _equations(crowd, meet)
        found = clear(crowd.response, equations, crowd.ranges, evaluations)
    except CalibrationError as error:
        raise UsageError(str(error)) from None
    return Clearing(
        game=game.name,
        values=crowd.values(found.theta),
        left=_largest(found.left, meet),
        before=_largest(found.began, meet),
        each_stage=equations.each_stage,
        at_end=crowd.labels(found.at_end),
        free=found.free,
        exploitability=crowd.exploitability(found.equilibrium),
        temperature=temperature,
        converged=found.converged,
        evaluations=found.evaluations,
    )


def _equations(crowd: Crowd, meet: Sequence[str]) -> Equations:
    """As many equations as numbers.

    Raises:
        UsageError: there are more or fewer, a name is no term or is there twice, or a term that is
            to be 0 at every stage is paid at the end.
    """
    crowd.check_terms(meet)
    if not meet:
        raise UsageError("no term is named", f"name one: `--meet {crowd.terms[0]}`")
    twice = next((name for name in meet if list(meet).count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"`{twice}` is there twice after `--meet`", "name it once")
    numbers, stages = len(crowd.response.entries), crowd.response.stages
    terms = tuple(crowd.paying(name) for name in meet)
    if numbers == len(meet):
        return Equations(terms, each_stage=crowd.response.lasting)
    if numbers != len(meet) * stages:
        raise UsageError(
            f"{numbers} numbers are to be chosen for {len(meet)} terms at {stages} stages",
            "choose one number for each term, or an array with one for each term and stage",
        )
    paid_last = {t.name for p in crowd.game.model.players for t in p.rewards if t.final}
    for name in meet:
        if name in paid_last:
            raise UsageError(
                f"`{name}` is paid at the end, after the last stage",
                "meet a term of the stages, or choose one number for the sum",
            )
    return Equations(terms, each_stage=True)


def _largest(left: Array, meet: Sequence[str]) -> dict[str, float]:
    rows = np.abs(left).reshape(len(meet), -1).max(1)
    return dict(zip(meet, map(float, rows), strict=True))
