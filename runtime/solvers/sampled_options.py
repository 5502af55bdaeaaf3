"""Options of solvers that learn tables from games of N agents. It never imports torch."""

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from mfdsl.runtime.solvers.config import Config
from mfdsl.runtime.solvers.options import at_most_all


class SampledConfig(Config):
    """Options of solvers that learn from games of N agents."""

    temperature: float = Field(0.05, ge=0, description="price of entropy")
    learning_rate: float = Field(
        1.0, gt=0, description="first step; at iteration k it is this / (k + 1)^decay"
    )
    decay: float = Field(0.5, ge=0, le=1, description="power by which steps fall; 0: they do not")
    exploration: float = Field(
        1.0, ge=0, le=1, description="weight of the uniform policy at iteration k is this / (k + 1)"
    )
    floor: float = Field(0.01, ge=0, le=1, description="least weight of the uniform policy")
    agents: int = Field(0, ge=0, description="number that play; 0: that of the spec")
    games: int = Field(8, ge=1, description="episodes of each iteration, played side by side")
    unvisited: Literal["kept", "zero"] = Field(
        "kept",
        description="values of what nobody did in an iteration: those of before, or the paper's 0",
    )
    output: Literal["last", "average"] = Field(
        "last", description="the policy that is returned: the last one, or the mean of all"
    )
    since: int = Field(
        0, ge=0, description="iteration from which on policies enter the mean; before, the last"
    )

    @field_validator("learning_rate")
    @classmethod
    def _keeps_probabilities(cls, rate: float, info: ValidationInfo) -> float:
        return at_most_all(rate, info)

    @field_validator("since")
    @classmethod
    def _of_a_mean(cls, since: int, info: ValidationInfo) -> int:
        if since and info.data.get("output") != "average":
            raise ValueError("only a mean begins somewhere: take output=average, too")
        return since


class SymmetricMirrorDescentConfig(SampledConfig):
    """Options of symm_pmd."""

    seen: Literal["all", "one"] = Field(
        "all", description="trajectories to learn from: all agents', or the first one's"
    )
    values: Literal["average", "online"] = Field(
        "average",
        description="average: means over all visits, backwards; online: temporal differences of"
        " one agent, episode by episode",
    )

    @field_validator("values")
    @classmethod
    def _of_one_agent(cls, values: str, info: ValidationInfo) -> str:
        if values == "online" and info.data.get("seen") != "one":
            raise ValueError("temporal differences follow one agent: take seen=one, too")
        return values
