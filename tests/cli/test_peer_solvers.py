"""The solvers of other tools at the command line: runs that go on, sweeps, and what is refused."""

from typing import Any

import pytest

OPTIONS = {
    "prior_descent": (),
    "mf_omo": (),
    "mf_omi": (),
    "mf_pso": ("--opt", "particles=5"),
    "successive_averages": ("--opt", "patience=1"),
}


@pytest.mark.parametrize("solver", OPTIONS)
def test_a_run_goes_on_from_its_folder(mfdsl: Any, solver: str, tmp_path: Any) -> None:
    flags = ("--solver", solver, *OPTIONS[solver], "--tol", 0, "--seed", 7)
    whole = mfdsl("solve", "left_right", *flags, "--iterations", 6, "--json").json
    begun = mfdsl(
        "solve", "left_right", *flags, "--iterations", 3, "--out", tmp_path, "--json"
    ).json
    more = ("--resume", begun["run"], "--iterations", 6, "--json")
    rest = mfdsl("solve", "left_right", *more).json
    gaps = [[entry["exploitability"] for entry in run["history"]] for run in (whole, rest)]
    assert gaps[0] == gaps[1]
    assert len(gaps[0]) == 7


@pytest.mark.parametrize("solver", OPTIONS)
def test_a_sweep_is_its_games(mfdsl: Any, solver: str) -> None:
    flags = ("--solver", solver, *OPTIONS[solver], "--tol", 0, "--iterations", 3, "--json")
    swept = mfdsl("solve", "mfglib_beach_bar", "--sweep", "p_still=0.2,0.5", *flags).json
    for game in swept["games"]:
        value = game["parameters"]["p_still"]
        alone = mfdsl("solve", "mfglib_beach_bar", "--set", f"p_still={value}", *flags).json
        expected = alone["exploitability"]["value"]
        assert game["exploitability"] == pytest.approx(expected, rel=1e-5)


def test_the_seed_of_the_run_draws_the_swarm(mfdsl: Any) -> None:
    flags = ("left_right", "--solver", "mf_pso", *OPTIONS["mf_pso"], "--iterations", 2, "--json")
    first, again, other = (
        mfdsl("solve", *flags, "--seed", seed).json["exploitability"] for seed in (1, 1, 2)
    )
    assert first == again != other


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("contraction", "--solver", "mf_omi"), "mf_omi needs stages in time, and contraction has"),
        (
            ("left_right", "--solver", "prior_descent", "--opt", "inner=1"),
            "take inner of 2 or more, or name a temperature",
        ),
        (
            ("left_right", "--solver", "mf_pso", "--opt", "particles=1"),
            "greater than or equal to 2",
        ),
        (("left_right", "--solver", "mf_omo", "--opt", "c1=2"), "unknown option of mf_omo `c1`"),
    ],
)
def test_what_cannot_be_is_refused(mfdsl: Any, flags: tuple[str, ...], said: str) -> None:
    outcome = mfdsl("solve", *flags)
    assert outcome.code == 2
    assert said in outcome.err
    assert "Traceback" not in outcome.err
