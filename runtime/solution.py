"""What a solve returns: the policy, its flow, how far it is from equilibrium, and its history."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from mfdsl.runtime.exploitability import Exploitability
from mfdsl.runtime.flow import Flow
from mfdsl.runtime.policy import TabularPolicy
from mfdsl.runtime.status import Status

if TYPE_CHECKING:
    from mfdsl.runtime.solvers.networks.path_solution import PathSolution

SHOWN = 4  # values of a batch in a `repr`


@dataclass(frozen=True)
class Record:
    """One line of the history: `seconds` since the solve began.

    `value` is what all earn together in each game, where a solver looks for the best of that.
    """

    iteration: int
    exploitability: float
    seconds: float
    value: tuple[float, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        """The line as an object; `value` only where there is one."""
        entries = asdict(self)
        if self.value is None:
            del entries["value"]
        return entries


@dataclass(frozen=True)
class License:
    """Why a solver may be trusted on a game: the property it needs and what is known of it."""

    property: str
    verdict: str
    text: str


@dataclass(frozen=True)
class Ending:
    """How one game of a batch ended, and after how many iterations."""

    status: Status
    iterations: int
    message: str

    def to_json(self) -> dict[str, Any]:
        """The JSON contract."""
        return {
            "status": self.status.name,
            "iterations": self.iterations,
            "message": self.message,
        }


@dataclass(frozen=True, eq=False)
class Solution:
    """`policy` is the last iterate, or the best one of a solver that keeps it; `exploitability` and
    `value` (one per game) are its own.

    `state` holds the tensors from which the same solver continues, `run` is the folder in which it
    was kept, if it was. `endings` has one entry for each
    game of the batch; `status` and `iterations` are those of the game that took longest to end.
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
    seed: int
    state: Mapping[str, Tensor] = field(repr=False)
    license: License | None = None
    endings: tuple[Ending, ...] = ()
    run: Path | None = None

    def __repr__(self) -> str:
        """What a solve came to, without its tensors."""
        shape = " x ".join(str(size) for size in self.policy.probs.shape)
        values = ", ".join(f"{value:.6g}" for value in self.value[:SHOWN])
        values += f", ... ({len(self.value)})" if len(self.value) > SHOWN else ""
        return (
            f"Solution(solver={self.solver!r}, status={self.status.name}, "
            f"iterations={self.iterations}, exploitability={self.exploitability.value:.3g}, "
            f"value=({values}), policy={shape}, seed={self.seed})"
        )

    def _repr_html_(self) -> str:
        """What a solve came to, as a table for notebooks."""
        gap, games = self.exploitability, len(self.value)
        rows = {
            f"{self.solver}, seed {self.seed}": self.status.name.replace("_", " "),
            "": self.message,
            "iterations": f"{self.iterations:,} in {self.seconds:.3g} s",
            "exploitability" + (f", the worst of {games} games" if games > 1 else ""): (
                f"{gap.value:.6g} ({gap.kind.replace('_', ' ')})"
            ),
            "return" + (f", of the first {SHOWN} games" if games > SHOWN else ""): ", ".join(
                f"{value:.6g}" for value in self.value[:SHOWN]
            ),
            "rests on": self.license.text if self.license else "",
        }
        lines = (
            f"<tr><th style='text-align:left'>{escape(name)}</th>"
            f"<td style='text-align:left'>{escape(text)}</td></tr>"
            for name, text in rows.items()
            if text
        )
        return f"<table>{''.join(lines)}</table>"

    def to_json(self) -> dict[str, Any]:
        """The part of the JSON contract of `mfdsl solve` that the solve knows.

        `value` is a number, or a list over the games of a batch, which has `endings`, too; values
        that are not finite are null.
        """
        value = self.value[0] if len(self.value) == 1 else list(self.value)
        entries = outcome_json(self, value, [record.to_json() for record in self.history])
        if len(self.endings) > 1:
            entries["endings"] = [ending.to_json() for ending in self.endings]
        return entries


def outcome_json(
    found: "Solution | PathSolution", value: float | list[float], history: list[dict[str, Any]]
) -> dict[str, Any]:
    """What runs on tables and along paths say alike; numbers that are not finite are null."""
    entries = {
        "solver": found.solver,
        "options": dict(found.options),
        "seed": found.seed,
        "status": found.status.name,
        "message": found.message,
        "iterations": found.iterations,
        "seconds": found.seconds,
        "exploitability": found.exploitability.to_json(),
        "value": value,
        "history": history,
        "license": asdict(found.license) if found.license else None,
    }
    return {name: finite(entry) for name, entry in entries.items()}


def finite(value: Any) -> Any:
    """The value with NaN and infinity replaced by None, as JSON has no word for them."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: finite(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [finite(entry) for entry in value]
    return value
