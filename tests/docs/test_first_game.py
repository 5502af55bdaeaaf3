"""What the page about a first game shows is what happens."""

import re
from pathlib import Path
from typing import Any

import pytest

import mfdsl
from mfdsl.cli import run
from mfdsl.shipped import shipped_specs
from mfdsl.templates import fill
from tests.docs.pages import blocks, text_of

PAGE = "docs/first_game.md"
(SPEC,) = blocks(PAGE, "mfg")
CHECKED, FAULT, SOLVED, *_ = blocks(PAGE, "text")


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("distancing.mfg").write_text(SPEC)


def shown(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert run([*words]) == code
    found = capsys.readouterr()
    return found.err if code else found.out


def outline(screen: str) -> list[str]:
    """The lines of a screen without names of runs, seconds and later digits."""
    screen = re.sub(r"distancing-[0-9a-f]{4}", "RUN", screen)
    screen = re.sub(r"(\d\.\d)\d*(e-\d+)?", r"\1\2", screen)
    return [re.sub(r" +", " ", line.rpartition("  ")[0] or line) for line in screen.splitlines()]


def test_the_file_is_the_shipped_game() -> None:
    shipped = fill("social_distancing", "distancing")
    assert "social_distancing" in shipped_specs()
    assert shipped[shipped.index("model distancing") :] == SPEC


def test_the_screen_of_check_and_the_error_are_the_ones_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert shown(capsys, "check", "distancing.mfg") == CHECKED
    Path("distancing.mfg").write_text(SPEC.replace("sqrt(k)", "log(k)"))
    assert shown(capsys, "check", "distancing.mfg", code=1) == FAULT


def test_the_screen_of_solve_and_the_tables_are_the_ones_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    screen = shown(capsys, "solve", "distancing.mfg", "-o", "runs")
    assert outline(screen) == outline(SOLVED)
    (folder,) = Path("runs").iterdir()
    shown(capsys, "table", str(folder), "-o", "flow.csv")
    assert "\n60,S,0.367" in Path("flow.csv").read_text()
    assert "`60,S,0.367`" in text_of(PAGE)


def test_the_figures_of_the_plans_are_the_ones_told(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    (code,) = blocks(PAGE, "python")
    exec(compile(code, PAGE, "exec"), names)
    alone, planned = (list(map(float, s.split())) for s in capsys.readouterr().out.splitlines())
    assert alone == pytest.approx([33.7618, 0.633, 0.112], abs=1e-3)
    assert planned == pytest.approx([41.5276, 0.174, 0.045], abs=1e-3)
    days = names["alone"].policy.probs[0, :, 0].argmax(-1).tolist()
    assert set(days[:14]) == set(days[36:]) == {4} and set(days[14:36]) == {2, 3}
    days = names["planned"].policy.probs[0, :, 0].argmax(-1).tolist()
    assert days == sorted(days) and (days.count(1), days.count(2)) == (13, 22)
    with_fee = mfdsl.solve(mfdsl.load("distancing.mfg", params={"fee": 0.1224107895}))
    assert 1 - with_fee.flow.laws[0, -1, 0] == pytest.approx(0.2, abs=1e-3)
