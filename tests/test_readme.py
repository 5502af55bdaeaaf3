"""What the README shows is what happens."""

import re
from pathlib import Path

import pytest

import mfdsl
from mfdsl.cli import run
from mfdsl.compiler.syntax.format import format_source
from mfdsl.runtime.solvers.table import SOLVERS

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def outline(screen: str) -> str:
    """The screen without its numbers, names of runs and widths."""
    screen = re.sub(r"\S*runs/\S+", "RUN", screen)
    return re.sub(r" +", " ", re.sub(r"\d[\d.,]*(e-\d+)?", "0", screen))


def test_the_two_commands_are_there() -> None:
    start = "python3 -m venv .venv && .venv/bin/pip install -c constraints.txt -e "
    assert blocks("sh") == [
        f"{start}. && .venv/bin/mfdsl solve specs/sis.mfg\n",
        f'{start}".[test]" && .venv/bin/pytest -n auto\n',
    ]


def test_the_screen_is_that_of_the_first_command(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert run(["solve", "specs/sis.mfg", "-o", str(tmp_path / "runs")]) == 0
    shown = outline(capsys.readouterr().out).splitlines()
    promised = outline(blocks("text")[0]).splitlines()
    assert [line for line in shown if not line.startswith(" 0 ")] == [
        line for line in promised if not line.startswith(" 0 ")
    ]
    assert shown[3] == promised[3] == " iteration exploitability"


def test_the_spec_compiles_and_is_formatted() -> None:
    (spec,) = blocks("mfg")
    assert mfdsl.load(text=spec).check().diagnostics == ()
    assert format_source(spec) == spec


def test_the_error_is_the_one_that_is_shown(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (spec,) = blocks("mfg")
    (change,) = re.findall(r"\(`(state x : .*?)`\)", README)
    kept = spec.replace("state  x : int mod n", change.replace("state x", "state  x"))
    monkeypatch.chdir(tmp_path)
    Path("beach.mfg").write_text(kept)
    assert run(["check", "beach.mfg"]) == 1
    assert capsys.readouterr().err == blocks("text")[1]


def test_the_lines_of_python_run(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = blocks("python")
    exec(code, {})
    assert "tensor" in capsys.readouterr().out


def test_every_solver_is_in_the_table() -> None:
    for row in SOLVERS.values():
        assert f"| `{row.name}` |" in README
        assert row.requires in README
        assert row.reference in README
