"""The table of solvers: names, options, assumptions and papers. It never imports torch."""

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

HorizonKind = Literal["finite", "infinite", "stationary"]


class Config(BaseModel):
    """Options of a solver; unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class FixedPointConfig(Config):
    """Options of fixed_point."""

    damping: float = Field(
        0.0, ge=0, lt=1, description="weight kept on the old policy, state by state"
    )
    temperature: float = Field(
        0.0, ge=0, description="0: greedy best response; otherwise softmax of its values / this"
    )
    ties: Literal["share", "first"] = Field(
        "share", description="equal values: share the probability, or take the first action"
    )


class FictitiousPlayConfig(Config):
    """Options of fictitious_play."""

    weight: float = Field(
        0.0, ge=0, le=1, description="weight of the new response; 0: 1 / (k + 1) at iteration k"
    )
    ties: Literal["share", "first"] = Field(
        "share", description="equal values: share the probability, or take the first action"
    )


class MirrorDescentConfig(Config):
    """Options of omd."""

    learning_rate: float = Field(
        0.0,
        ge=0,
        description="step on the summed values; 0: adaptive, starts at 1, grows by a tenth "
        "while exploitability falls, halves when it rises",
    )
    temperature: float = Field(
        1.0, gt=0, description="the policy is the softmax of the summed values / this"
    )


class PolicyIterationConfig(Config):
    """Options of policy_iteration."""

    temperature: float = Field(
        0.0, ge=0, description="0: greedy improvement; otherwise softmax of the values / this"
    )
    damping: float = Field(
        0.0, ge=0, lt=1, description="weight kept on the old policy, state by state"
    )
    ties: Literal["share", "first"] = Field(
        "share", description="equal values: share the probability, or take the first action"
    )


@dataclass(frozen=True)
class Row:
    """One solver: `module` and `symbol` say where its class is, `requires` what its proof needs."""

    name: str
    config: type[Config]
    summary: str
    requires: str
    reference: str
    module: str
    symbol: str


SOLVERS: dict[str, Row] = {
    row.name: row
    for row in (
        Row(
            "omd",
            MirrorDescentConfig,
            "online mirror descent: sum the values of past policies, play their softmax",
            "convergence in continuous time for monotone games",
            "Pérolat et al. 2021, arXiv 2103.00623",
            "mfdsl.runtime.solvers.mirror_descent",
            "MirrorDescent",
        ),
        Row(
            "fictitious_play",
            FictitiousPlayConfig,
            "fictitious play: best response to the average of all responses so far",
            "monotone or potential games; the error falls like 1 / k",
            "Perrin et al. 2020, arXiv 2007.03458",
            "mfdsl.runtime.solvers.fictitious_play",
            "FictitiousPlay",
        ),
        Row(
            "fixed_point",
            FixedPointConfig,
            "fixed-point iteration: everyone best responds to the last flow, damped if asked",
            "the map from flow to response is a contraction",
            "Guo, Hu, Xu and Zhang 2019, arXiv 1901.09585",
            "mfdsl.runtime.solvers.fixed_point",
            "FixedPoint",
        ),
        Row(
            "policy_iteration",
            PolicyIterationConfig,
            "policy iteration: improve on the policy's own values, greedily or by softmax",
            "weak coupling, or enough damping or temperature",
            "Cacace, Camilli and Goffi 2021, arXiv 2007.04818",
            "mfdsl.runtime.solvers.policy_iteration",
            "PolicyIteration",
        ),
    )
}


def choose(horizon_kind: HorizonKind, *, reads_law: bool = True) -> tuple[str, str]:
    """The solver to use when none is named, and the reason in a sentence."""
    if not reads_law:
        return (
            "fixed_point",
            "the rewards and moves do not read the law: one best response solves it",
        )
    if horizon_kind == "stationary":
        return "omd", "mirror descent needs no contraction, and a stationary law may move far"
    return "omd", "mirror descent converges for monotone games and seldom cycles elsewhere"
