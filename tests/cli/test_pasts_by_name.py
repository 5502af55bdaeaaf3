"""Tables of games with common noise: which history each number in the column `past` is."""

import csv
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mfdsl as package

SKY = """
model sky
enum Weather { dry, wet }
param fee : real in [0, 2] = 0.5
objective nash
horizon 2
environment sky {
  state  now : Weather = dry
  state  old : bool = false
  noise  rain : bool ~ bernoulli(0.25)
  now' = if rain then wet else dry
  old' = now == wet
}
population p as mu {
  state  out : bool = false
  action go : bool
  out' = go
  reward sun = if out and sky.now == wet then -1 else if out then 1 - fee * mu[out = true] else 0
}
"""


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.fixture
def solved(mfdsl: Any, tmp_path: Path) -> Path:
    """A folder with the spec and two runs of it."""
    (tmp_path / "sky.mfg").write_text(SKY)
    for fee in (0.5, 1.0):
        flags = ("--iterations", 3, "-o", tmp_path / f"runs-{fee}", "--set", f"fee={fee}")
        assert mfdsl("solve", tmp_path / "sky.mfg", "--solver", "omd", *flags).code == 0
    return tmp_path


def test_pasts_are_named_and_go_on_from_each_other(mfdsl: Any, solved: Path) -> None:
    (run,) = (solved / "runs-0.5").iterdir()
    for part in ("pasts", "flow"):
        assert mfdsl("table", run, "--part", part, "-o", solved / f"{part}.csv").code == 0
    pasts, flow = rows_of(solved / "pasts.csv"), rows_of(solved / "flow.csv")
    assert list(pasts[0]) == ["t", "past", "parent", "sky.now", "sky.old", "sky.rain"]
    known = {(int(r["t"]), int(r["past"])): r for r in pasts}
    assert sorted(t for t, _ in known) == [0, 1, 1, 2, 2, 2, 2]
    first = dict(t="0", past="0", parent="-1") | {
        "sky.now": "dry",
        "sky.old": "false",
        "sky.rain": "",
    }
    assert known[0, 0] == first
    chances: dict[tuple[int, int], float] = defaultdict(float)
    for row in flow:
        chances[int(row["t"]), int(row["past"])] += float(row["share"])
    assert {place for place, chance in chances.items() if chance > 0} == set(known)
    for (t, past), row in known.items():
        if t > 0:
            before = known[t - 1, int(row["parent"])]
            assert row["sky.old"] == ("true" if before["sky.now"] == "wet" else "false")
            assert row["sky.rain"] == ("true" if row["sky.now"] == "wet" else "false")
            odds = 0.25 if row["sky.now"] == "wet" else 0.75
            before_chance = chances[t - 1, int(row["parent"])]
            assert chances[t, past] == pytest.approx(odds * before_chance)


def test_pasts_of_several_runs_and_as_arrays(mfdsl: Any, solved: Path) -> None:
    runs = [run for folder in solved.glob("runs-*") for run in folder.iterdir()]
    assert mfdsl("table", *runs, "--part", "pasts", "-o", solved / "all.npz").code == 0
    with np.load(solved / "all.npz") as arrays:
        assert set(arrays["run"]) == {run.name for run in runs}
        assert arrays["parent"].dtype == np.int64 and len(arrays["t"]) == 14
        assert set(arrays["sky.now"]) == {"dry", "wet"}


def test_turns_that_only_rewards_see_make_pasts_of_their_own() -> None:
    """Then the common states of two pasts are alike, and both are there."""
    text = SKY.replace("if out and sky.now == wet", "if out and sky.rain")
    game = package.load(text=text.replace("now' = if rain then wet else dry", "now' = now"))
    assert game.reduced is not None and game.reduced.past is not None
    past = game.reduced.past
    assert not past.told
    assert [len(states) for states in past.states] == [1, 2, 4]
    assert past.parents == ((), (0, 0), (0, 0, 1, 1))
    assert past.turns[2] == ((0,), (1,), (0,), (1,))


def test_turns_that_lead_to_one_past_are_not_told_apart() -> None:
    text = SKY.replace("rain : bool ~", "wind : int in 0..2 ~ uniform\n  noise  rain : bool ~")
    game = package.load(text=text)
    assert game.reduced is not None and game.reduced.past is not None
    past = game.reduced.past
    assert past.drawn == (("sky", "wind"), ("sky", "rain"))
    assert past.turns[1] == ((None, 0), (None, 1))


def test_games_without_common_noise_have_no_pasts(mfdsl: Any, tmp_path: Path) -> None:
    run = mfdsl("solve", "sis", "--iterations", 1, "-o", tmp_path / "runs", "--json").json["run"]
    refused = mfdsl("table", run, "--part", "pasts", "-o", tmp_path / "p.csv")
    assert refused.code == 2 and "has no pasts" in refused.err


def test_truth_values_have_their_names_there_and_back(mfdsl: Any, tmp_path: Path) -> None:
    spec, seen = tmp_path / "out.mfg", tmp_path / "seen.csv"
    head, rest = SKY.split("environment sky {")
    rest = rest.split("}\n", 1)[1].replace("if out and sky.now == wet then -1 else ", "")
    spec.write_text(head + rest)
    run = mfdsl("solve", spec, "--solver", "omd", "--iterations", 2, "--json").json["run"]
    assert mfdsl("table", run, "-o", seen).code == 0
    text = seen.read_text()
    assert text.splitlines()[1:3] == ["0,false,1.0", "0,true,0.0"]
    asked = ("calibrate", spec, seen, "--fit", "fee", "--evaluations", 5, "--json")
    named = mfdsl(*asked).json["values"]
    for no, yes in (("False", "True"), ("0", "1")):
        seen.write_text(text.replace("false", no).replace("true", yes))
        assert mfdsl(*asked).json["values"] == named
    seen.write_text(text.replace("true", "yes"))
    refused = mfdsl(*asked[:-1])
    assert refused.code == 2 and "out has no value yes; it has false, true" in refused.err


def test_a_flow_is_asked_by_names() -> None:
    solution = package.solve(package.load(text=SKY), "omd", iterations=3)
    flow = solution.flow
    assert flow.at(2, out="true").tolist() == flow.at(2, out=True).tolist()
    everywhere = sum(flow.at(2, out=o, past=h) for o in ("true", "false") for h in range(4))
    assert everywhere.tolist() == pytest.approx([1])
    assert flow.at(1).tolist() == pytest.approx([1])
    with pytest.raises(ValueError, match="laws are at 0 to 2, not 3"):
        flow.at(3, out=True)
    with pytest.raises(ValueError, match="no state `where`; states are past, out"):
        flow.at(1, where=3)


def test_a_solution_is_shown_in_a_few_words() -> None:
    solution = package.solve("sis", "omd", iterations=3)
    shown = repr(solution)
    assert len(shown) < 400 and "tensor" not in shown and "\n" not in shown
    for words in ("solver='omd'", "max_iterations", "iterations=3", f"{solution.value[0]:.6g}"):
        assert words in shown
