"""`mfdsl simulate` by counts: when it does, what it says and writes, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

MANY = 10**12


def test_many_agents_are_counted_unasked_and_it_says_so(mfdsl: Any, spec: Path) -> None:
    outcome = mfdsl("simulate", spec, "--agents", MANY)
    assert outcome.code == 0
    assert "1,000,000,000,000 walker for 4 steps under the uniform policy, by counts" in outcome.out
    assert "steps of everybody a second" in outcome.out
    found = mfdsl("simulate", spec, "--agents", MANY, "--json").json
    assert (found["by"], found["agents"]) == ("counts", MANY)
    few = mfdsl("simulate", spec, "--agents", 1000, "--json").json
    assert few["by"] == "agents"
    asked = mfdsl("simulate", spec, "--agents", 1000, "--by", "counts", "--json").json
    error = 5 * few["returns"]["walker"]["std_error"]
    assert asked["by"] == "counts"
    for other in (asked, found):
        mean = other["returns"]["walker"]["mean"]
        assert mean == pytest.approx(few["returns"]["walker"]["mean"], abs=error + 0.02)
    assert asked["returns"]["walker"]["std_error"] == pytest.approx(error / 5, rel=0.1)


def test_a_run_is_counted_by_its_table(mfdsl: Any, spec: Path) -> None:
    solved = mfdsl("solve", spec, "--iterations", 100, "--json").json
    found = mfdsl("simulate", "--policy", solved["run"], "--agents", MANY, "--json").json
    assert found["by"] == "counts"
    assert found["returns"]["walker"]["mean"] == pytest.approx(solved["value"], abs=1e-4)


def test_a_sweep_is_counted_game_by_game(mfdsl: Any, spec: Path) -> None:
    flags = ("--sweep", "c_crowd=1,3", "--iterations", 30, "--json")
    solved = mfdsl("solve", spec, *flags).json
    found = mfdsl("simulate", "--policy", solved["run"], "--agents", MANY, "-o", "out").code
    assert found == 0
    laws = np.load("out/laws.npz")["laws"]
    assert laws.shape == (2, 5, 3)
    assert laws.sum(-1) == pytest.approx(np.ones((2, 5)))
    assert json.loads(Path("out/simulation.json").read_text())["by"] == "counts"
    assert np.abs(laws[0] - laws[1]).max() > 1e-3


def test_a_recording_holds_the_counts(mfdsl: Any, spec: Path) -> None:
    flags = ("--agents", MANY, "--batch", 2, "--record", "all.npz", "--trace", "walker[7]")
    outcome = mfdsl("simulate", spec, *flags)
    assert "walker[7].x" in outcome.out and "walker[7].reward" in outcome.out
    with np.load("all.npz") as found:
        shapes = {name: found[name].shape for name in found}
        assert (found["walker.count"].sum(-1) == MANY).all()
        assert (found["walker.acting"].sum(-1) == found["walker.count"][:-1]).all()
    assert shapes == {
        "walker.count": (5, 2, 3),
        "walker.acting": (4, 2, 3, 3),
        "walker.reward": (4, 2),
        "walker[7].x": (4, 1),
        "walker[7].a": (4, 1),
        "walker[7].reward": (4, 1),
    }


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("navigation", "--by", "counts"), "`x` of `agent` is continuous"),
        (("weighted_rps", "--by", "counts"), "files give the agents of `player` one by one"),
        (("sis", "--by", "counts", "--compile"), "counts have no step to compile"),
        (("sis", "--agents", "100000000000000"), "at most 10,000,000,000,000"),
        (("sis", "--by", "couns"), "'--by'"),
        (("sis", "--agents", "200000", "--trace", "person[200000]"), "there is no agent 200000"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, tuple) else "",
)
def test_what_cannot_be_counted_is_refused(mfdsl: Any, flags: tuple[str, ...], words: str) -> None:
    outcome = mfdsl("simulate", *flags)
    assert outcome.code == 2
    assert words in outcome.err


def test_agents_who_cannot_be_counted_are_moved(mfdsl: Any) -> None:
    found = mfdsl("simulate", "a_rps", "--agents", 200_000, "--json").json
    assert found["by"] == "agents"
    slow = mfdsl("simulate", "sis", "--agents", 200_000, "--by", "agents", "--json").json
    assert slow["by"] == "agents"
