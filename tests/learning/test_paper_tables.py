"""Tables of papers: bootstrap chances, lines, and the files that are written."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from bench.papers import committed
from bench.papers.critics_in_training import Row, chance, read, score, size_of, table

ROW = Row(15, "deepsets", 1e-3, 0, 20_000, 1600, 3200, 50.0, 0.3, 0.4, (0.1, 0.3))


def test_the_chance_counts_all_samples_of_seeds() -> None:
    assert chance([1.0, 2.0], [0.0, 0.5]) == 1.0
    assert chance([0.0], [0.0]) == 0.5
    # ours: 0, 1, 1, 2 (halves); theirs is always 1: larger in one of four, equal in two
    assert chance([0.0, 2.0], [1.0]) == pytest.approx(0.25 + 0.5 * 0.5)


def test_scores_are_0_at_random_and_1_at_assigned_landmarks() -> None:
    size = size_of(200)
    assert score(size, size.random) == 0
    assert score(size, size.oracle) == 1


def test_a_line_has_the_mean_the_spread_and_the_chance() -> None:
    rows = [replace(ROW, seed=k, final=0.3 + 0.1 * k) for k in range(3)]
    rows += [replace(ROW, critic="mlp", seed=k, final=0.35 * k) for k in range(3)]
    head, _, ours, theirs = table(rows)
    assert head.count("|") == ours.count("|") == theirs.count("|")
    assert "**0.400** (0.30 0.40 0.50) | 0.100 |" in ours and ours.endswith("| - |")
    assert "**0.350** (0.00 0.35 0.70) | 0.350 |" in theirs
    expected = chance([0.3, 0.4, 0.5], [0.0, 0.35, 0.7])
    assert 0.5 < expected < 0.7 and theirs.endswith(f"| {expected:.2f} |")


def test_rows_come_back_from_their_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(asdict(ROW)) + "\n")
    assert read(path) == [ROW]


def test_a_page_names_its_command_and_its_numbers_stand_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(committed, "RESULTS", tmp_path / "results")

    def draw(axes: Any) -> None:
        axes.plot([0, 1], [0, 1])

    for _ in range(2):
        committed.commit("found", "Title", "python -m it", ["one", "two"], [1.5], draw)
        files = {p.name: p.read_text() for p in (tmp_path / "results").iterdir()}
        assert set(files) == {"found.md", "found.json", "found.svg"}
        assert files["found.md"].startswith("# Title\n\n```console\n$ python -m it\n")
        assert files["found.md"].endswith("\n\none\n\ntwo\n")
        assert json.loads(files["found.json"]) == [1.5]
    assert "<svg" in files["found.svg"]
