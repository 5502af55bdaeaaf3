"""The results page, its plots, and what the machine is."""

import importlib.metadata
import importlib.util
import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

from bench.goal import Goal
from bench.goals import HEAD, line

PACKAGES = ("torch", "numpy", "numba")
FAMILIES = {
    "exploitability": ("1", "2", "3"),
    "iterations": ("4", "5", "6", "7"),
    "grids": ("8", "9"),
}
REST = """Agents (12, 14) are in `docs/performance_simulators.md`, learning (15) is timed by
`bench/deep.py`, and 17 to 19 need a GPU. Rows 1 and 2 do more than the peer: its laws are those
after 50 pushes, ours have settled. 64 games in one batch (Shows 6) are 64 times the arithmetic of
one, and one game in compiled loops has little overhead to share. To read once what is their own,
policies and rewards, takes one core as long as 28 to 37 single games (`reading_seconds` in
`bench/grid_rows.py`), so 8 is out of reach. Over a third of row 6 is the import of torch."""


def machine() -> str:
    """Processor, cores, and versions, in one line."""
    versions = [
        f"{name} {importlib.metadata.version(name)}"
        for name in PACKAGES
        if importlib.util.find_spec(name)
    ]
    kind = f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}"
    return f"{kind}, Python {platform.python_version()}, {', '.join(versions)}"


def merged(path: Path, found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows found, and those of the last run that were not measured again, in order."""
    last = json.loads(path.read_text())["rows"] if path.is_file() else []
    again = {(row["row"], row["what"]) for row in found}
    rows = [row for row in last if (row["row"], row["what"]) not in again] + list(found)
    return sorted(rows, key=lambda row: (len(row["row"]), row["row"]))


def large(out: Path) -> dict[str, Any] | None:
    """The record of the largest game that was solved, None without one."""
    path = out / "city.json"
    return json.loads(path.read_text()) if path.is_file() else None


def page(table: Sequence[Goal], where: str, day: str, city: dict[str, Any] | None) -> str:
    """The results page in Markdown."""
    text = [
        "# Results",
        "",
        "Written by `python -m bench goals`. Times are computing time of one thread, medians of at",
        "least three calls unless a note says otherwise; `times` is the peer's figure over ours.",
        "Peers are measured in the same run where the table says so, with an interpreter given by",
        "`--benchmfg`; other figures are recorded ones of one core of the same kind of machine.",
        "",
        f"Measured on {day}: {where}. The cores were shared with other work.",
        "",
        HEAD,
        *map(line, table),
        "",
        *wrap(REST, 98),
        "",
    ]
    return "\n".join(text + (_city(city) if city else []))


def _city(city: dict[str, Any]) -> list[str]:
    curve = city["history"]
    start = curve[0][1]
    some = [entry for entry in curve if entry[0] in (0, 1, 2, 5, 10, 15, 20, 25, 30, 35, 40, 50)]
    if curve[-1] not in some:
        some.append(curve[-1])
    return [
        "## A game of 10^6 states and 100 stages",
        "",
        city["text"],
        "",
        "| iteration | exploitability | of the start | seconds since the start |",
        "|---|---|---|---|",
        *(f"| {k} | {gap:.4g} | {gap / start:.2%} | {at:,.0f} |" for k, gap, at in some),
        "",
        "The curve is `bench/data/city.png`.",
        "",
    ]


def plots(table: Sequence[Goal], out: Path) -> None:
    """One plot a family of rows, and the curve of the largest game; none without matplotlib."""
    if importlib.util.find_spec("matplotlib") is None:
        return
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    for family, rows in FAMILIES.items():
        shown = [goal for goal in table if goal.row in rows and goal.ratio is not None]
        if not shown:
            continue
        figure, axes = pyplot.subplots(figsize=(8, 0.5 + 0.45 * len(shown)), layout="constrained")
        axes.barh([goal.what for goal in shown], [goal.ratio or 0 for goal in shown])
        axes.axvline(1, color="black", linewidth=0.8)
        axes.set_xscale("log")
        axes.set_xlabel("times faster than the peer")
        axes.invert_yaxis()
        figure.savefig(out / f"{family}.png", dpi=110)
        pyplot.close(figure)
    if (city := large(out)) is not None:
        figure, axes = pyplot.subplots(figsize=(5, 3.2), layout="constrained")
        start = city["history"][0][1]
        axes.semilogy(
            [k for k, _, _ in city["history"]], [g / start for _, g, _ in city["history"]]
        )
        axes.axhline(0.01, color="black", linewidth=0.8, linestyle="--")
        axes.set_xlabel("iterations of mirror descent")
        axes.set_ylabel("exploitability, of its start")
        figure.savefig(out / "city.png", dpi=110)
        pyplot.close(figure)
