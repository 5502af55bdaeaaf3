"""Options of the solvers with networks. It never imports torch."""

from typing import Literal

from pydantic import Field

from mfdsl.runtime.solvers.config import Config


class NetworkConfig(Config):
    """Options of every solver with a network."""

    hidden: int = Field(64, ge=1, le=4096, description="units of each hidden layer")
    layers: int = Field(2, ge=1, le=16, description="hidden layers")
    learning_rate: float = Field(
        2e-3, gt=0, description="first step of Adam; at iteration k it is this / (k + 1)^decay"
    )
    decay: float = Field(0.3, ge=0, le=1, description="power by which steps fall; 0: they do not")
    updates: int = Field(50, ge=1, description="steps of Adam in each iteration")
    batch: int = Field(
        0, ge=0, description="pairs of stage and state in each step, drawn; 0: all of them"
    )
    seed: int = Field(0, ge=0, description="of the first weights and of all draws")


class DeepMunchausenConfig(NetworkConfig):
    """Options of deep_munchausen."""

    temperature: float = Field(
        1.0, gt=0, description="the policy is the softmax of its values / this; steps are 1 / this"
    )
    alpha: float = Field(
        1.0, ge=0, le=1, description="part of the policy's logarithm that is paid; 1: all, as omd"
    )
    spread: float = Field(
        0.5, ge=0, le=1, description="part of the replay that is even over all states"
    )


class DeepAverageConfig(NetworkConfig):
    """Options of average_fp."""

    learning_rate: float = Field(
        5e-3, gt=0, description="first step of Adam; at iteration k it is this / (k + 1)^decay"
    )
    decay: float = Field(0.5, ge=0, le=1, description="power by which steps fall; 0: they do not")
    updates: int = Field(100, ge=1, description="steps of Adam of each network in each iteration")
    reservoir: int = Field(
        0, ge=0, description="pairs kept of all responses so far; 0: their exact law"
    )
    spread: float = Field(
        0.2, ge=0, le=1, description="part of the replay of values that is even over all states"
    )


class StructuralConfig(NetworkConfig):
    """Options of structural_pg."""

    updates: int = Field(1, ge=1, description="steps of Adam in each iteration, a new flow each")
    learning_rate: float = Field(
        1e-2, gt=0, description="first step of Adam; at iteration k it is this / (k + 1)^decay"
    )
    entropy: float = Field(0.0, ge=0, description="price of entropy, paid to the policy")
    memory: int = Field(
        0, ge=0, le=1024, description="units that remember the common state; 0: it is seen as it is"
    )
    paths: int = Field(
        0,
        ge=0,
        description="drawn paths of the common noise in each step; 0: tables where there are some",
    )
    evaluate_every: int = Field(1, ge=1, description="along paths: iterations between measurements")
    evaluate_paths: int = Field(
        8, ge=2, description="along paths: other ones that policies are measured on"
    )
    futures: int = Field(
        16, ge=2, description="along paths: draws of what may come next, for causal bounds"
    )


class MasterConfig(DeepMunchausenConfig):
    """Options of master."""

    laws: Literal["dirichlet", "normal", "spec"] = Field(
        "dirichlet",
        description="initial laws to train on: drawn, any or bell curves over the axes of states;"
        " or that of the spec alone",
    )
    number: int = Field(16, ge=1, description="how many laws are drawn, beside that of the spec")
    concentration: float = Field(
        1.0, gt=0, description="of the Dirichlet law on each population's states: small ones peak"
    )
    renew: bool = Field(
        True, description="whether other laws are drawn in each iteration, or the same for good"
    )
