"""`mfdsl graph` and `mfdsl render` on the command line."""

import json
from pathlib import Path

import pytest

from mfdsl.cli import run


def test_graph_prints_mermaid_or_dot(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["graph", "sis"]) == 0
    assert capsys.readouterr().out.startswith("flowchart LR")
    assert run(["graph", "sis", "--format", "dot", "--focus", "reward"]) == 0
    assert capsys.readouterr().out.startswith('digraph "sis" {')


def test_an_unknown_focus_is_refused_with_the_nearest_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["graph", "sis", "--focus", "exposur"]) == 2
    assert "did you mean `exposure`?" in capsys.readouterr().err


def test_render_writes_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "sis.tex"
    assert run(["render", "sis", "--format", "latex", "-o", str(target), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["file"] == str(target)
    text = target.read_text()
    assert text.startswith(r"\documentclass") and text.endswith("\\end{document}\n")
    assert run(["render", "sis", "-o", str(tmp_path / "missing" / "x.md")]) == 2


def test_render_prints_markdown_with_every_parameter(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["render", "sis", "--set", "mu0=0.25"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("# sis\n") and "0.25" in printed
