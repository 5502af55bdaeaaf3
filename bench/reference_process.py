"""A reference simulator in its own interpreter, kept alive and asked for its steps per second."""

import json
import os
import subprocess
from pathlib import Path
from typing import Protocol

SCRIPT = Path(__file__).with_name("reference_steps.py")


class Rate(Protocol):
    """Environment steps per second of a game, by stepping alone or (`hidden`) in training."""

    def __call__(
        self, game: str, agents: int, batch: int, seconds: float, hidden: int = 0
    ) -> float:
        """The rate with `batch` games side by side, measured for `seconds`."""


def live(python: str, *which: str) -> Rate:
    """The rates of a reference that runs beside us, on one thread, on our cores.

    Raises:
        RuntimeError: the reference stopped; its own message is on standard error.
    """
    process = subprocess.Popen(
        [python, str(SCRIPT), *which],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
    )

    def ask(game: str, agents: int, batch: int, seconds: float, hidden: int = 0) -> float:
        assert process.stdin is not None and process.stdout is not None
        question = {"game": game, "agents": agents, "batch": batch, "seconds": seconds}
        process.stdin.write(json.dumps(question | {"hidden": hidden}) + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{' '.join([python, *which])} stopped at {question}")
        return float(json.loads(answer)["rate"])

    return ask


def written(path: Path) -> Rate:
    """Rates that were measured before: {"m3fc_2g": {"20": 1344, ...}, ...}, only of stepping."""
    rates = json.loads(path.read_text())

    def read(game: str, agents: int, batch: int, seconds: float, hidden: int = 0) -> float:
        if hidden:
            raise RuntimeError(f"{path} has no rates of training")
        return float(rates[game][str(agents)])

    return read
