"""What a solve returns: the policy, its flow, how far it is from equilibrium, and its history."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from mfdsl.runtime.exploitability import Exploitability
from mfdsl.runtime.flow import Flow
from mfdsl.runtime.policy import TabularPolicy
from mfdsl.runtime.status import Status


@dataclass(frozen=True)
class Record:
    """One line of the history: `seconds` since the solve began."""

    iteration: int
    exploitability: float
    seconds: float


@dataclass(frozen=True)
class License:
    """Why a solver may be trusted on a game: the property it needs and what is known of it."""

    property: str
    verdict: str
    text: str


@dataclass(frozen=True, eq=False)
class Solution:
    """`policy` is the last iterate, `exploitability` and `value` (one per game) are its own.

    `state` holds the tensors from which the same solver continues.
    """

    policy: TabularPolicy
    flow: Flow
    exploitability: Exploitability
    value: tuple[float, ...]
    status: Status
    message: str
    iterations: int
    seconds: float
    history: tuple[Record, ...]
    solver: str
    options: Mapping[str, Any]
    state: Mapping[str, Tensor] = field(repr=False)
    license: License | None = None
