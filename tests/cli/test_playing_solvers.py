"""`mfdsl solve` with solvers that learn from games of N agents."""

from typing import Any

import pytest

GRID = ("bins=9", "low.x=-5", "high.x=5", "low.a=-2", "high.a=2")
GAMES = {
    "sis": ("symm_pmd", ("agents=50", "learning_rate=4", "games=2")),
    "lq_game": ("symm_pmd", ("agents=50", "games=2", *GRID)),
    "predator_prey": ("symm_pmd", ("agents=20", "games=1")),
    "asymmetric_sis": ("independent_pmd", ("agents=50", "games=2")),
}


@pytest.mark.parametrize("spec", GAMES)
def test_games_are_learned_resumed_and_scored(mfdsl: Any, spec: str) -> None:
    """Six iterations at once are three, resumed for three more; simulations play the result."""
    solver, options = GAMES[spec]
    flags = [part for option in options for part in ("--opt", option)]
    whole = mfdsl("solve", spec, "--solver", solver, "--iterations", 6, *flags, "--json")
    assert whole.code == 0, whole.err
    half = mfdsl("solve", spec, "--solver", solver, "--iterations", 3, *flags, "--json")
    again = mfdsl("solve", "--resume", half.json["run"], "--iterations", 6, "--json")
    assert again.code == 0, again.err
    assert again.json["exploitability"] == whole.json["exploitability"]
    gaps = [record["exploitability"] for record in whole.json["history"]]
    assert len(gaps) == 7 and len(set(gaps)) > 3
    played = mfdsl("simulate", "--policy", whole.json["run"], "--agents", 30, "--json")
    assert played.code == 0, played.err


@pytest.mark.parametrize(
    ("spec", "flags", "message"),
    [
        ("sis", ("--seeds", "3"), "learns with one seed at a time"),
        ("sis", ("--sweep", "infection=0.1,0.2"), "learns from the agents of one game"),
        ("stationary_sis", (), "plays games to their end"),
        ("sis", ("--opt", "games=0"), "option `games = 0` of symm_pmd"),
        ("sis", ("--opt", "seen=two"), "option `seen = two` of symm_pmd"),
        ("sis", ("--opt", "values=online"), "take seen=one, too"),
        ("predator_prey", ("--opt", "seen=one"), "say nothing of other players"),
        ("a_sis_players", ("--opt", "agents=50"), "there are no 50"),
    ],
)
def test_what_cannot_be_played_is_refused(
    mfdsl: Any, spec: str, flags: tuple[str, ...], message: str
) -> None:
    outcome = mfdsl("solve", spec, "--solver", "symm_pmd", "--iterations", 1, *flags)
    assert outcome.code == 2, outcome.out
    assert message in outcome.err and "internal error" not in outcome.err


@pytest.mark.parametrize(
    ("spec", "message"),
    [("predator_prey", "there are"), ("mfax_beach_bar", "moves on by itself")],
)
def test_refused_solvers_leave_no_run_behind(
    mfdsl: Any, spec: str, message: str, tmp_path: Any
) -> None:
    flags = ("--iterations", 1, "--opt", "agents=20", "--out", tmp_path / "kept")
    outcome = mfdsl("solve", spec, "--solver", "independent_pmd", *flags)
    assert outcome.code == 2 and message in outcome.err
    assert not (tmp_path / "kept").exists()
