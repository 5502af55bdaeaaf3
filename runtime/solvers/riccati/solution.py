"""What an exact solve returns: affine policies, means and covariances, costs, and gains."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mfdsl.runtime.exploitability import Exploitability
from mfdsl.runtime.solution import License, Record, finite
from mfdsl.runtime.solvers.riccati.flow import Flow
from mfdsl.runtime.solvers.riccati.forms import Array
from mfdsl.runtime.solvers.riccati.game import Game
from mfdsl.runtime.solvers.riccati.plan import Policy
from mfdsl.runtime.status import Status

MOST_SHOWN = 200_000  # numbers in a JSON document; the files of a run have all


@dataclass(frozen=True)
class Among:
    """Among so many agents: the cost of each player, and by how much its best response lowers it.

    Of a team `gains` are empty, and `least` is the least total cost of so many agents, 0 for games.
    """

    agents: Mapping[str, int]
    costs: Mapping[str, float]
    gains: Mapping[str, float]
    least: float


@dataclass(frozen=True)
class Social:
    """What everybody together pays at equilibrium and at the optimum of the team; None where one of
    them does not exist.
    """

    equilibrium: float | None
    optimum: float | None

    @property
    def price_of_anarchy(self) -> float | None:
        """Their ratio where both are above 0."""
        if self.equilibrium is None or self.optimum is None or not self.optimum > 0:
            return None
        return self.equilibrium / self.optimum if self.equilibrium > 0 else None


@dataclass(frozen=True, eq=False)
class ExactSolution:
    """`game` is the one that was measured: where the spec has no end, with one far away.

    `costs` are expected and discounted as the spec says, by player, `exploitability` by how much
    best responses lower them, of a team by how much the planner could.
    """

    game: Game
    policy: Policy
    flow: Flow
    costs: Mapping[str, float]
    exploitability: Exploitability
    among: Among | None
    social: Social
    status: Status
    message: str
    seconds: float
    options: Mapping[str, Any]
    seed: int
    license: License
    solver: str = "riccati"
    run: Path | None = None  # the folder in which it was kept

    def __repr__(self) -> str:
        """What a solve came to, without its matrices."""
        costs = ", ".join(f"{name}: {cost:.6g}" for name, cost in self.costs.items())
        return (
            f"ExactSolution(solver={self.solver!r}, status={self.status.name}, "
            f"exploitability={self.exploitability.value:.3g}, costs={{{costs}}})"
        )

    @property
    def iterations(self) -> int:
        """One: the recursion is made once."""
        return 1

    @property
    def history(self) -> tuple[Record, ...]:
        """The one report."""
        return (Record(1, self.exploitability.value, self.seconds),)

    @property
    def value(self) -> tuple[float, ...]:
        """The reward of everybody together: means over populations, and majors."""
        return (-math.fsum(self.costs.values()),)

    def to_json(self) -> dict[str, Any]:
        """The JSON contract of `mfdsl solve`: that of tables, and gains, flow and costs besides."""
        entries = {
            "solver": self.solver,
            "options": dict(self.options),
            "seed": self.seed,
            "status": self.status.name,
            "message": self.message,
            "iterations": self.iterations,
            "seconds": self.seconds,
            "exploitability": self.exploitability.to_json(),
            "value": self.value[0],
            "costs": dict(self.costs),
            "history": [asdict(record) for record in self.history],
            "license": asdict(self.license),
            "policy": self._policy_json(),
            "flow": self._flow_json(),
            "among": None if self.among is None else asdict(self.among),
            "social": asdict(self.social) | {"price_of_anarchy": self.social.price_of_anarchy},
            "margin": self._margin_json(),
        }
        return {name: finite(entry) for name, entry in entries.items()}

    def _policy_json(self) -> dict[str, Any]:
        """Rows [T, actions, reads] by player; actions are rows times what is read."""
        found: dict[str, Any] = {}
        for single in self.game.singles:
            if single.actions:
                rows = self.policy.controls[:, single.acts]
                found[single.name] = _rows_json(single.actions, self.game.common, rows)
        for k, crowd in enumerate(self.game.crowds):
            if crowd.actions:
                rows = np.concatenate([self.policy.own[k], self.policy.common[k]], axis=2)
                found[crowd.name] = _rows_json(
                    crowd.actions, (*crowd.states, *self.game.common), rows
                )
        return found

    def _flow_json(self) -> dict[str, Any]:
        members = zip(self.game.crowds, self.flow.members, strict=True)
        return {
            "names": list(self.game.common[:-1]),
            "means": _shown(self.flow.means[:, :-1]),
            "covariances": {c.name: {"states": c.states, "values": _shown(v)} for c, v in members},
        }

    def _margin_json(self) -> dict[str, Any]:
        """The stage whose reactions are nearest to having no unique fixed point."""
        worst = int(np.abs(self.policy.margins).argmin())
        least = float(self.policy.margins[worst])
        return {"least": least, "stage": worst, "negative": bool((self.policy.margins < 0).any())}


def _rows_json(actions: tuple[str, ...], reads: tuple[str, ...], rows: Array) -> dict[str, Any]:
    return {"actions": list(actions), "reads": list(reads), "rows": _shown(rows)}


def _shown(values: Array) -> Any:
    return values.tolist() if values.size <= MOST_SHOWN else None
