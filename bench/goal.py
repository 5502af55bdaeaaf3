"""A row of the goals table, and how its figures are had.

Figures of peers that are not measured beside ours are those recorded on one core of the same kind
of machine (`RECORDED`).
"""

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SPECS = HERE.parent / "specs"
MINE = HERE / "specs"
# Bench-MFG 0.1.3 and JAX 0.10.2, MFAX at commit e22ab469: one pinned core of an AMD EPYC (2 vCPU)
RECORDED = {
    "four_rooms µs": 1065.0,
    "sis µs": 324.0,
    "kinetic µs": 6735.0,
    "lasry µs": 22.0,
    "four_rooms cold": 1.86,
    "four_rooms ms": 1.65,
    "lasry ms": 0.23,
    "kinetic ms": 5.8,
    "sweep of 36": 67.0,
    "fictitious play": 48.0,
    "400 x 400": 30.6,
    "1000 x 1000": 193.0,
    "64 games": 77.0,
    "beach": 0.65,
    "endogenous": 3.8,
    "compile": 0.6,
}


@dataclass(frozen=True)
class Goal:
    """One figure; `source` says how the peer's was had, `goal` is what ours should be at most."""

    row: str
    what: str
    unit: str
    ours: float
    peer: str
    theirs: float | None
    source: str
    goal: float | None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times less than the peer."""
        return None if self.theirs is None else self.theirs / self.ours

    @property
    def reached(self) -> bool | None:
        """Whether the goal is."""
        return None if self.goal is None else self.ours <= self.goal


Peers = dict[str, Any]


def seconds(work: Callable[[], object], repeats: int = 5) -> float:
    """Median computing time of a call, after one to warm up."""
    work()
    samples = []
    for _ in range(repeats):
        began = time.process_time()
        work()
        samples.append(time.process_time() - began)
    return statistics.median(samples)


def theirs(peers: Peers, game: str, key: str, recorded: str) -> tuple[float, str]:
    """A figure of Bench-MFG: of this run, or recorded."""
    if game in peers:
        return float(peers[game][key]), "this run"
    return RECORDED[recorded], "recorded"


def as_users() -> dict[str, str]:
    """The environment of processes that may keep compiled code, as Python does unless told not to.

    What is kept is there from the second process on, so the first one is not counted.
    """
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
