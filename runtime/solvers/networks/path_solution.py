"""What a run along drawn paths returns: its policy, its history, and what one gains by leaving."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from mfdsl.runtime.exploitability import Exploitability
from mfdsl.runtime.solution import License, outcome_json
from mfdsl.runtime.solvers.networks.path_gradient import PathPolicy
from mfdsl.runtime.status import Status


@dataclass(frozen=True)
class PathReport:
    """A line of the history: means over the measured paths. `exploitability` is what one gains who
    knows each of them, `value` what the policy returns.
    """

    iteration: int
    exploitability: float
    std_error: float
    value: float
    seconds: float


@dataclass(frozen=True, eq=False)
class PathSolution:
    """The last policy, with what one gains by leaving it; from `state` a run goes on exactly."""

    policy: PathPolicy
    exploitability: Exploitability
    value: float
    status: Status
    message: str
    iterations: int
    seconds: float
    history: tuple[PathReport, ...]
    solver: str
    options: Mapping[str, Any]
    seed: int
    state: Mapping[str, Tensor] = field(repr=False)
    license: License | None = None
    run: Path | None = None  # the folder in which it was kept

    def to_json(self) -> dict[str, Any]:
        """The JSON contract of `mfdsl solve` along paths; numbers that are not finite are null."""
        return outcome_json(self, self.value, [asdict(report) for report in self.history])
