"""What the options of all solvers have in common. It never imports torch."""

from pydantic import BaseModel, ConfigDict


class Config(BaseModel):
    """Options of a solver; unknown names are refused."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        defer_build=True,  # there are thirty, and a process reads one or two
    )
