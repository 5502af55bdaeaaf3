"""`python -m bench` runs every suite, `python -m bench goals` one; results are written beside.

The goals go to `bench/data/goals.json` and `docs/results.md`, with machine, versions and date, and
to one plot a family where matplotlib is installed.
"""

import argparse
import json
import subprocess
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from bench import goals, page as pages
from bench.goal import Goal
from bench.suites import SUITES, Suite

HERE = Path(__file__).parent


def main() -> int:
    """Run what is asked for; 1 when a script fails."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("suite", nargs="*", help="suites to run, all without one")
    parser.add_argument("--list", action="store_true", help="print the suites and end")
    parser.add_argument("--rows", default="", help=f"rows of the goals: {', '.join(goals.ROWS)}")
    parser.add_argument("--benchmfg", help="an interpreter that has bench-mfg-suite")
    parser.add_argument("--out", type=Path, default=HERE / "data", help="folder of JSON and plots")
    parser.add_argument("--page", type=Path, default=HERE.parent / "docs" / "results.md")
    given = parser.parse_args()
    known = {suite.name: suite for suite in SUITES}
    if given.list:
        print("\n".join(f"{suite.name:14s}{suite.what}" for suite in SUITES))
        return 0
    rows = [row for row in given.rows.split(",") if row]
    strange = [name for name in given.suite if name not in known]
    strange += [row for row in rows if row not in goals.ROWS]
    if strange:
        parser.error(f"there is no {', '.join(strange)}; suites: {', '.join(known)}")
    failed = 0
    for name in given.suite or known:
        if name == "goals":
            _goals(rows, given.benchmfg, given.out, given.page)
        else:
            failed |= _script(known[name])
    return failed


def _goals(rows: list[str], python: str | None, out: Path, page: Path) -> None:
    """Measure, keep the rows that were not asked for from the last run, and write all."""
    import torch

    torch.set_num_threads(1)
    found = goals.measure(rows, goals.peer_figures(python))
    out.mkdir(parents=True, exist_ok=True)
    kept = pages.merged(out / "goals.json", [asdict(goal) for goal in found])
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    whole = {"date": day, "machine": pages.machine(), "rows": kept}
    (out / "goals.json").write_text(json.dumps(whole, indent=1) + "\n")
    table = [Goal(**row) for row in kept]
    page.write_text(pages.page(table, pages.machine(), day, pages.large(out)))
    pages.plots(table, out)
    print("\n".join([goals.HEAD, *map(goals.line, table)]))


def _script(suite: Suite) -> int:
    print(f"## {suite.name}: {suite.what}", flush=True)
    done = subprocess.run([sys.executable, str(HERE / suite.script), *suite.arguments], check=False)
    return int(done.returncode != 0)


if __name__ == "__main__":
    sys.exit(main())
