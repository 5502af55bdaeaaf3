"""Parameters of a game from an observed flow: what `mfdsl calibrate` does.

The population is taken to be in logit equilibrium: everybody responds to the flow that all make,
and plays actions in proportion to exp(value / temperature). The temperature is given, or fitted
like a parameter.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mfdsl.crowd import key
from mfdsl.entries import places_of
from mfdsl.errors import UsageError
from mfdsl.game import Device, Game
from mfdsl.named_tables import cells_of, read_observations
from mfdsl.planning import check_tables
from mfdsl.runtime.calibration.fit import Fit, Observed, fit
from mfdsl.runtime.calibration.moving import TEMPERATURE, CalibrationError
from mfdsl.runtime.calibration.responses import response_of
from mfdsl.runtime.program import Program
from mfdsl.runtime.solution import finite
from mfdsl.smooth_parameters import check_smooth, is_parameter, range_of
from mfdsl.solving import find_device
from mfdsl.swept import check_point

WARMEST = 1e6


@dataclass(frozen=True, eq=False)
class Calibration:
    """What was fitted to what: values, standard errors, and how far the equilibrium is off.

    `parameters` are the fitted values of the spec, without the temperature of the equilibrium.
    `rms` is the root mean square of the differences of shares, `worst` the largest of them and the
    line of the data where it is. A combination in `blurred` changes no observed share, so that its
    parameters have no errors.
    """

    game: str
    fit: Fit
    parameters: dict[str, float]
    temperature: float
    rows: int
    worst: tuple[float, int]
    data: Path = field(repr=False)

    @property
    def values(self) -> dict[str, float]:
        """The fitted values by name, the temperature too if it was fitted."""
        return self.fit.values

    def as_toml(self) -> str:
        """The parameters as a file for `--params`."""
        lines = [f"# fitted to {self.data.name}, logit equilibrium at {self.temperature:.12g}"]
        lines += [f"{key(name)} = {value!r}" for name, value in self.parameters.items()]
        return "\n".join(lines) + "\n"

    def to_json(self) -> dict[str, Any]:
        """The JSON contract of `mfdsl calibrate`."""
        entries = {
            "values": self.fit.values,
            "errors": self.fit.errors,
            "temperature": self.temperature,
            "rms": self.fit.rms,
            "rows": self.rows,
            "worst": {"difference": self.worst[0], "line": self.worst[1]},
            "spare": self.fit.spare,
            "blurred": list(self.fit.blurred),
            "at_end": list(self.fit.at_end),
            "converged": self.fit.converged,
            "evaluations": self.fit.evaluations,
        }
        return {name: finite(entry) for name, entry in entries.items()}


def calibrate(
    game: Game,
    data: str | Path,
    names: Sequence[str],
    *,
    temperature: float = 0.1,
    evaluations: int = 100,
    device: Device = "cpu",
) -> Calibration:
    """Fit parameters of a game to the shares in a CSV file (`read_observations`).

    The search begins at the values of the spec. `temperature` among the names is fitted as well,
    from the given one. Parameters stay in their ranges.

    Raises:
        CompileError: the spec has errors at the values that fit best.
        UsageError: a name is no real number of the game that can move, the data do not fit the
            game, or no equilibrium was found.
    """
    path = Path(data)
    if not 0 < temperature < math.inf:
        raise UsageError(f"the temperature is {temperature:g}", "it must be a number above 0")
    check_tables(game.model, game.bins)
    check_smooth(game, names, "--fit", others=(TEMPERATURE,), arrays=False)
    program = game.program
    params = program.params(dtype=torch.float64, device=find_device(device))
    try:
        places = places_of(game.model, (n for n in names if is_parameter(game, n)))
        response = response_of(program, params, tuple(names), temperature, places)
        variables = [axis.name for axis in program.state_axes()]
        rows = read_observations(path, variables, lasting=response.lasting)
        cells = cells_of(path, rows, program.state_axes(), response.laws)
        seen = Observed(
            np.array([row.time for row in rows]),
            torch.from_numpy(cells).to(params.unit),
            np.array([row.share for row in rows]),
            np.array([row.weight for row in rows]),
            _groups(program).to(params.unit),
        )
        found = fit(response, seen, [_range(game, name) for name in names], evaluations)
    except CalibrationError as error:
        raise UsageError(str(error)) from None
    point = {name: value for name, value in found.values.items() if is_parameter(game, name)}
    check_point(game, game.parameters, point, claims=False)
    worst = int(np.abs(found.left).argmax())
    return Calibration(
        game=game.name,
        fit=found,
        parameters=point,
        temperature=found.values[TEMPERATURE] if response.warms else temperature,
        rows=len(rows),
        worst=(float(found.left[worst]), rows[worst].line),
        data=path,
    )


def _groups(program: Program) -> torch.Tensor:
    """The states [K, S] of each population, which lie along the first axis of states."""
    count = len(program.populations)
    return torch.eye(count).repeat_interleave(program.state_count // count, dim=1)


def _range(game: Game, name: str) -> tuple[float, float]:
    return range_of(game, name) if is_parameter(game, name) else (1 / WARMEST, WARMEST)
