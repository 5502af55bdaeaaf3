"""Which soft response a game has, by its horizon."""

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
    program: Program, params: Params, names: tuple[str, ...], temperature: float
) -> Response:
    """The response of a game with one value of each parameter.

    Raises:
        CalibrationError: of a stationary game, where mass ends depends on the policy.
    """
    return RESPONSES[program.kind].build(program, params, names, temperature)
