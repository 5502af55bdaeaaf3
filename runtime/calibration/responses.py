"""Which soft response a game has, by its horizon."""

from collections.abc import Mapping
from dataclasses import replace

from mfdsl.runtime.calibration.moving import Response
from mfdsl.runtime.calibration.response import SoftResponse
from mfdsl.runtime.calibration.stationary import StationaryResponse
from mfdsl.runtime.program import Params, Program

RESPONSES: dict[str, type[SoftResponse] | type[StationaryResponse]] = {
    "finite": SoftResponse,
    "infinite": SoftResponse,
    "stationary": StationaryResponse,
}


def response_of(
    program: Program,
    params: Params,
    names: tuple[str, ...],
    temperature: float,
    places: Mapping[str, tuple[str, int]],
) -> Response:
    """The response of a game with one value of each parameter; `places` are those of the names
    that are entries of arrays.

    Raises:
        CalibrationError: of a stationary game, where mass ends depends on the policy.
    """
    found = RESPONSES[program.kind].build(program, params, names, temperature)
    return replace(found, places=places)
