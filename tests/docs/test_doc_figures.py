"""Figures of the pages are those of the results that they are taken from, to the digits shown."""

import re

import pytest

from tests.docs.pages import ROOT, text_of

RESULTS = ROOT / "bench" / "papers" / "results"
pytestmark = pytest.mark.skipif(not RESULTS.is_dir(), reason="the results are elsewhere")

Row = dict[str, str]


def table(text: str, title: str) -> list[Row]:
    """The rows of the first table under a heading, by the names of its columns."""
    section = re.split(rf"^#+ {title}[^\n]*\n", text, maxsplit=1, flags=re.MULTILINE)[1]
    lines = [line for line in section.split("\n#")[0].splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]


def agrees(shown: str, exact: float) -> bool:
    """Whether a number has the digits that are shown of it; `2.0 %` is .02."""
    number, _, percent = shown.partition(" ")
    unit = 0.01 if percent else 1.0
    digits, _, power = number.partition("e")
    places = len(digits.partition(".")[2])
    half = 0.5 * 10.0 ** (int(power or 0) - places)
    return abs(exact / unit - float(number)) <= half * (1 + 1e-9)


def worst(rows: list[Row], column: str) -> float:
    return max(float(row[column]) for row in rows)


@pytest.mark.parametrize("row", table(text_of("docs/generated.md"), "GD1"), ids=lambda r: r["d"])
def test_the_rotating_target_is_as_measured(row: Row) -> None:
    measured = table((RESULTS / "gd_mfrl.md").read_text(encoding="utf-8"), "GD1")
    seeds = [found for found in measured if found["d"] == row["d"]]
    shown = {
        "SW1, most": "sw1_max",
        "means": "mean_error",
        "deviations": "std_error",
        "exploitability": "exploitability",
    }
    assert len(seeds) == 3
    for title, column in shown.items():
        assert agrees(row[title], worst(seeds, column)), (title, worst(seeds, column))


@pytest.mark.parametrize("episodes", ["3", "1", "8"])
def test_less_time_of_one_policy_is_as_measured(episodes: str) -> None:
    text = (RESULTS / "approximate_symmetry.md").read_text(encoding="utf-8")
    case = "A-RPS" + {"3": "", "1": ", 1 episode", "8": ", 8 episodes"}[episodes]
    told = re.search(rf"^- {case}: .* takes (\d+) % less time, (\d+) %", text, re.MULTILINE)
    page = text_of("docs/learning_games.md")
    assert told
    assert f"| A-RPS | {episodes} | {told[1]} % | {told[2]} % |" in page
