"""Settings of the linear-quadratic games, their figures in closed form, and who plays what.

All figures are those of `closed_forms.json`, the reference file of the project's design notes,
to its twelve digits; `tests/test_closed_forms.py` compares them with `lq_gains.py`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from numpy.typing import NDArray
from torch import Tensor

LIMIT = math.inf
LQ1 = {"A": 1, "B": 0.5, "Ab": 0.1, "Q": 0.2, "Qb": 1, "S": 0.8, "R": 1, "QT": 0.5, "QTb": 1}
LQ1B = {"A": 1, "B": 1, "Ab": 0, "Q": 0.3, "Qb": 1, "S": 1.2, "R": 1, "QT": 0, "QTb": 1}
MAJOR = {"A0": 0.95, "B0": 1, "F0": 0.1, "q0": 1, "h0": 0.5, "c0": 1, "r0": 0.5, "s0": 0.1}
MINOR = {"A": 0.9, "B": 0.8, "F": 0.2, "q": 1, "h": 0.6, "h1": 0.3, "r": 1, "s": 0.2}
SETTINGS: dict[str, dict[str, float]] = {
    "lq1": {**LQ1, "ST": 0.8, "sigma": 0.3, "T": 20, "m0": 2, "v0": 1},
    "lq1b": {**LQ1B, "ST": 1.2, "sigma": 0.2, "T": 10, "m0": 1, "v0": 0.2},
    "lq3": {"T": 50, "dt": 0.1, "beta": 0, "w_v": 1, "w_x": 0.1, "w_T": 1, "sigma": 0.2},
    "lq4": {"T": 20, "dt": 0.1, "kappa": 1, "lambda": 1, "sigma": 0.5, "radius": 2},
    "lq5": {**MAJOR, **MINOR, "T": 15, "m0": 1, "v0": 0.5},
}
SETTINGS["lq1, common noise"] = {**SETTINGS["lq1"], "common": 0.2}

COSTS: dict[tuple[str, str, str], dict[float, float]] = {  # spec, setting, player: by agents
    ("lq_game", "lq1", "agent"): {LIMIT: 7.23724785513},
    ("lq_game", "lq1b", "agent"): {LIMIT: 1.06373580072},
    ("lq_control", "lq1", "agent"): {
        1: 5.47459491943,
        2: 6.35471610034,
        10: 7.05881304506,
        50: 7.199632434,
        1000: 7.23307703888,
        LIMIT: 7.23483728124,
    },
    ("lq_control", "lq1b", "agent"): {
        1: 0.594224627429,
        2: 0.774346495562,
        10: 0.91844399007,
        50: 0.947263488971,
        1000: 0.95410811996,
        LIMIT: 0.954468363696,
    },
    ("lq_control", "lq1, common noise", "agent"): {LIMIT: 7.82504167346},
    ("lq_major", "lq5", "leader"): {LIMIT: 1.57540522579},
    ("lq_major", "lq5", "follower"): {LIMIT: 1.41268938561},
    ("lq_major_control", "lq5", "leader"): {LIMIT: 1.55875690604},
    ("lq_major_control", "lq5", "follower"): {LIMIT: 1.34170731165},
    ("flocking", "lq3", "bird"): {LIMIT: 1.39271942075},
}


class Rows(Protocol):
    """Rows of the policies at t = 0, ..., T - 1, as `lq_gains.Policy` has them."""

    @property
    def major(self) -> Sequence[NDArray[Any]]:
        """Of the major."""
        ...

    @property
    def minor(self) -> Sequence[NDArray[Any]]:
        """Of the minors."""
        ...


def played(spec: str, axes: Sequence[Rows]) -> Callable[[int, Any], dict[str, Any]]:
    """What everybody does in a spec under linear policies, one of `axes` for each axis."""
    rows = axes[0]

    def alone(t: int, seen: Any) -> dict[str, Any]:
        own = seen["agent"]
        return {"a": linear(rows.minor[t][[0, 2, 3]], own["x"], own["m"])}

    def led(t: int, seen: Any) -> dict[str, Any]:
        one, own = seen["leader"], seen["follower"]
        w = linear(rows.major[t], one["y"], one["m"])
        a = linear(rows.minor[t], own["x"], own["leader.y"], own["m"])
        return {"leader": {"w": w}, "follower": {"a": a}}

    def flying(t: int, seen: Any) -> dict[str, Any]:
        own = seen["bird"]
        return {"a": linear(rows.minor[t][[0, 1, 5]], own["x"], own["v"])}

    def chasing(t: int, seen: Any) -> dict[str, Any]:
        x = seen["agent"]["x"]
        return {"a": torch.stack([linear(axes[k].minor[t][[0, 3]], x[..., k]) for k in (0, 1)], -1)}

    known: Mapping[str, Callable[[int, Any], dict[str, Any]]] = {
        "lq_game": alone,
        "lq_control": alone,
        "lq_major": led,
        "lq_major_control": led,
        "flocking": flying,
        "rotating_target": chasing,
    }
    return known[spec]


def linear(row: NDArray[Any], *values: Tensor) -> Tensor:
    """The action -row (values, 1)."""
    total = torch.full_like(values[0], float(row[-1]))
    for weight, value in zip(row, values, strict=False):
        total = total + float(weight) * value
    return -total
