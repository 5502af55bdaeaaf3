"""A reference simulator in its own interpreter, kept alive and asked for its steps per second."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

SCRIPT = Path(__file__).with_name("reference_steps.py")

Rate = Callable[[str, int, int, float], float]
"""Environment steps per second of a game, by (game, agents, batch, seconds to spend)."""


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

    def ask(game: str, agents: int, batch: int, seconds: float) -> float:
        assert process.stdin is not None and process.stdout is not None
        question = {"game": game, "agents": agents, "batch": batch, "seconds": seconds}
        process.stdin.write(json.dumps(question) + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{' '.join([python, *which])} stopped at {question}")
        return float(json.loads(answer)["rate"])

    return ask


def written(path: Path) -> Rate:
    """Rates that were measured before: {"m3fc_2g": {"20": 1344, ...}, ...}."""
    rates = json.loads(path.read_text())
    return lambda game, agents, batch, seconds: float(rates[game][str(agents)])
