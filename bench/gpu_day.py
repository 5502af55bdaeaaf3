"""All rows that need a GPU, in ten minutes: `python bench/gpu_day.py [--rows policies,agents]`.

Writes `--out` (JSON) after each figure, so that what was measured stays when the machine goes. A
figure that fails is kept with its error, and the others go on; rows that find no time left say so.
The end is 1 when something failed. `--minutes` is the time in all: no figure begins after it.
"""

import argparse
import json
import sys
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from gpu_rows import ROWS, Case, Day
from reference_sides import device_name, peak
from simulators import unusable

HERE = Path(__file__).parent
Figure = dict[str, Any]
LINES = 3  # of a traceback that are kept with an error


class Journal:
    """What was measured so far, in a file that is whole after each figure."""

    def __init__(self, path: Path, device: str) -> None:
        self.path, self.device = path, device
        self.head = {
            "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M}",
            "device": device_name(device),
            "GiB": round(
                torch.cuda.get_device_properties(torch.device(device)).total_memory / 2**30
            ),
            "torch": torch.__version__,
            "CUDA": torch.version.cuda,
        }
        self.figures: list[dict[str, Any]] = []

    def add(self, row: str, figure: Figure) -> None:
        """Keep a figure, with the memory that tensors took at most since the last."""
        self.figures.append({"row": row, **figure, "peak_GiB": peak(self.device)})
        beside = self.path.with_suffix(".part")
        beside.write_text(json.dumps(self.head | {"figures": self.figures}, indent=1) + "\n")
        beside.replace(self.path)
        print(told(self.figures[-1]), flush=True)

    @property
    def failed(self) -> bool:
        """Whether some figure did."""
        return any("error" in figure for figure in self.figures)


def told(figure: Figure) -> str:
    """A figure as a line."""
    if "error" in figure:
        return f"{figure['row']}: {figure['what']}: failed: {figure['error'].splitlines()[-1]}"
    if "left_out" in figure:
        return f"{figure['row']}: {figure.get('what', 'the rest')}: {figure['left_out']}"
    goal = f" (goal {figure['goal']:g})" if "goal" in figure else ""
    number = f"{figure['figure']:,.4g} {figure['unit']}{goal}"
    return f"{figure['row']}: {figure['what']}: {number}, {figure['peak_GiB']:.2f} GiB"


def measure(rows: list[str], day: Day, journal: Journal, end: float) -> None:
    """The rows one after another, until the clock shows `end`."""
    for name in rows:
        if time.perf_counter() >= end:
            journal.add(name, {"left_out": "no time was left for it"})
            continue
        for case in ROWS[name](day):
            journal.add(name, measured(case))
            torch.cuda.empty_cache()
            if time.perf_counter() >= end:
                journal.add(name, {"left_out": "no time was left for the rest of it"})
                break


def measured(case: Case) -> Figure:
    """A figure, or why there is none."""
    try:
        found = case.work()
    except Exception:  # one figure must not lose the others: the error is a result
        error = "\n".join(traceback.format_exc().splitlines()[-LINES:])
        return {"what": case.what, "error": error}
    if found is None:
        return {"what": case.what, "left_out": "not defined there"}
    goal = {} if case.goal is None else {"goal": case.goal}
    return {"what": case.what, "figure": found, "unit": case.unit, **goal}


def main() -> int:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rows", default=",".join(ROWS), help=f"of {', '.join(ROWS)}")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--out", type=Path, default=HERE / "data" / "gpu.json")
    given = parser.parse_args()
    rows = [row for row in given.rows.split(",") if row]
    strange = [row for row in rows if row not in ROWS]
    if strange:
        parser.error(f"there is no row {', '.join(strange)}; rows: {', '.join(ROWS)}")
    problem = unusable(given.device)
    if given.device == "cpu" or problem:
        parser.error(problem or "these rows need a GPU: --device cuda")
    end = time.perf_counter() + 60 * given.minutes
    given.out.parent.mkdir(parents=True, exist_ok=True)
    journal = Journal(given.out, given.device)
    measure(rows, Day(device=given.device), journal, end)
    return int(journal.failed)


if __name__ == "__main__":
    sys.exit(main())
