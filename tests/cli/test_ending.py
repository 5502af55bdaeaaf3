"""What a screen tells to type next works, and what is typed wrong is told how it is right."""

import shlex
from pathlib import Path
from typing import Any

import pytest

STORAGE = """
model storage
objective nash
horizon 3
environment demand {
  state d : real = 0
  noise shock : real ~ normal(0, std = 0.3)
  d' = 0.8 * d + shock
}
population battery as mu {
  trait big : bool ~ bernoulli(0.5)
  state s : int in 0..2 = 1
  action u : int in -1..1 where s + u in 0..2
  s' = s + u
  reward trade = -(1 + demand.d + mean(q.u for q in battery)) * u * (if big then 2 else 1)
}
"""


def next_command(screen: str) -> list[str]:
    (line,) = (line for line in screen.splitlines() if line.startswith("next"))
    program, *words = shlex.split(line.removeprefix("next"))
    assert program == "mfdsl"
    return words


@pytest.mark.parametrize("flags", [("--tol", "100"), ("--iterations", "1")])
def test_the_next_command_runs_where_names_have_spaces(
    mfdsl: Any, spec: Path, flags: tuple[str, ...]
) -> None:
    named = spec.rename("räume und spiele.mfg")
    solved = mfdsl("solve", named, *flags, "-o", "meine läufe")
    assert solved.code == 0
    assert mfdsl(*next_command(solved.out)).code == 0


def test_after_a_batch_comes_the_table_of_its_games(mfdsl: Any, spec: Path, tmp_path: Path) -> None:
    solved = mfdsl("solve", spec, "--sweep", "c_crowd=1,2", "--tol", "100", "-o", "runs")
    assert mfdsl(*next_command(solved.out)).code == 0
    header, *rows = (tmp_path / "games.csv").read_text().splitlines()
    assert header == "c_crowd,exploitability,value,iterations,status"
    assert len(rows) == 2


def test_one_game_is_one_row(mfdsl: Any, spec: Path, tmp_path: Path) -> None:
    mfdsl("solve", spec, "--iterations", "2", "-o", "runs")
    (run,) = (tmp_path / "runs").iterdir()
    made = mfdsl("table", run, "--part", "games", "-o", "one.csv")
    assert "1 row:" in made.out
    assert len((tmp_path / "one.csv").read_text().splitlines()) == 2


def test_a_trait_that_keeps_a_game_from_drawn_paths_is_named(mfdsl: Any, tmp_path: Path) -> None:
    (tmp_path / "storage.mfg").write_text(STORAGE)
    failed = mfdsl("solve", "storage.mfg")
    assert failed.code == 2
    assert "make `big` a state that stays: then `--solver structural_pg`" in failed.err
    stays = STORAGE.replace(
        "trait big : bool ~ bernoulli(0.5)", "state big : bool ~ bernoulli(0.5)\n  big' = big"
    )
    (tmp_path / "storage.mfg").write_text(stays)
    assert mfdsl("solve", "storage.mfg", "--explain-plan").code == 0


def test_nothing_typed_shows_the_verbs(mfdsl: Any) -> None:
    bare = mfdsl()
    assert (bare.code, bare.err) == (0, "")
    assert bare.out == mfdsl("--help").out


def test_a_code_may_be_its_number(mfdsl: Any) -> None:
    assert mfdsl("explain", "303").out == mfdsl("explain", "MFG303").out
    assert "unknown code `999`" in mfdsl("explain", "999").err
