"""The page of the major-minor games: errors, verdicts, rows that come back, and tables."""

import math
from pathlib import Path

import pytest

from bench.papers.major_minor import append, read
from bench.papers.major_minor_page import (
    GAMES,
    REFERENCES,
    Measured,
    Row,
    apart,
    blocks,
    pooled,
    verdict,
)


def row(part: str, game: str, seed: int, *found: Measured, learner: str = "mf_ppo") -> Row:
    return Row(part, game, learner, seed, "mean", 60, 10, 16_000, 12.0, found)


def test_returns_are_compared_in_standard_errors_of_the_difference() -> None:
    one, other = Measured(300, -20.0, 3.0, 100), Measured(300, -22.0, 4.0, 100)
    assert apart(one, other) == pytest.approx(2 / math.hypot(0.3, 0.4))
    assert verdict([apart(one, other), 9.0]) == "beaten (+4.0, +9.0 s.e.)"
    assert verdict([-2.9, 3.0]) == "reached (-2.9, +3.0 s.e.)"
    assert verdict([-3.1, 5.0, 5.0]) == "not reached by 1 of 3 (-3.1, +5.0, +5.0 s.e.)"


def test_seeds_are_pooled_with_the_spread_between_them() -> None:
    rows = [row("trained", "m3fc_2g", k, Measured(300, 10.0 + k, 2.0, 100)) for k in range(3)]
    found = pooled(rows, 300)
    assert found.mean == 11.0
    # within: 0.2 for each of them, on the same games; between: 1 / sqrt(3)
    assert found.error == pytest.approx(math.sqrt(0.04 + 1 / 3))
    assert pooled(rows[:1], 300).error == pytest.approx(0.2)


def test_the_last_row_of_a_run_counts(tmp_path: Path) -> None:
    path = tmp_path / "rows" / "found.jsonl"
    first, again = (row("trained", "m3fc_2g", 0, Measured(300, m, 1.0, 9)) for m in (1.0, 2.0))
    other = row("trained", "m3fc_2g", 1, Measured(300, 3.0, 1.0, 9))
    append(path, [first, other])
    append(path, [again])
    assert read(path) == [again, other]


def test_each_part_with_rows_has_its_table() -> None:
    sizes = [Measured(n, -25.0, 2.0, 100) for n in (300, 5, 20, 50, 500)]
    rows = [row("trained", "m3fc_2g", k, *sizes) for k in range(3)]
    rows += [
        row("baselines", "m3fc_2g", 0, Measured(20, mean, 10.0, 100), learner=name)
        for name, mean in (("mf_ppo", -30.0), ("ippo", -50.0), ("mappo", -40.0))
    ]
    trained, others, few = blocks(rows)
    assert (
        "| not reached by 3 of 3 (-11.3, -11.3, -11.3 s.e.) | 60 | 16,000 | 1.2e+08 | 12 |"
        in trained
    )
    assert others.splitlines()[-1].count("-25.00 ± 0.20") == 5
    assert "| ippo | -50.0 | -50.0 | +14.1 |" in few
    for block in (trained, others, few):
        lines = [line for line in block.splitlines() if line.startswith("|")]
        assert len({line.count("|") for line in lines}) == 1


def test_the_rule_is_better_than_the_start_in_every_game() -> None:
    assert len(GAMES) == 5
    for reference in REFERENCES.values():
        assert reference.rule.mean > reference.start.mean
        assert reference.few_rule.mean > reference.few_start.mean
