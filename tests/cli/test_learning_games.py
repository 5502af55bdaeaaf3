"""`mfdsl solve` with learners of games: runs go on, play, and say whom they know."""

from pathlib import Path
from typing import Any

import pytest

BARS = """
model bars
enum Bar { left, middle, right }
objective nash
horizon 3
population guest as mu {
  state at : Bar = left
  action go : Bar
  at' = go
  reward calm = 1 - mu[at = at] + match at { left -> 0, middle -> 0.1, right -> 0.3 }
  observe at, t
  agents 60
}
"""


@pytest.mark.parametrize("kind", ["symmetric", "individual"])
def test_a_resumed_run_is_the_whole_one(mfdsl: Any, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "bars.mfg"
    path.write_text(BARS)
    given = {"network": kind, "games": 2, "hidden": 8, "evaluate_every": 2, "final_rate": 1}
    flags = [part for k, v in given.items() for part in ("--opt", f"{k}={v}")]
    solve = ("solve", path, "--solver", "ppo_nash", *flags, "--json")
    whole = mfdsl(*solve, "--iterations", 4)
    assert whole.code == 0, whole.err
    half = mfdsl(*solve, "--iterations", 2)
    again = mfdsl("solve", "--resume", half.json["run"], "--iterations", 4, "--json")
    assert again.code == 0, again.err
    assert again.json["exploitability"] == whole.json["exploitability"]
    assert again.json["value"] == whole.json["value"]
    played = mfdsl("simulate", "--policy", whole.json["run"], "--json")
    assert played.code == 0, played.err
    others = mfdsl("simulate", "--policy", whole.json["run"], "--agents", 7, "--json")
    if kind == "symmetric":
        assert others.code == 0, others.err
    else:
        assert others.code == 2 and "cannot play 7" in others.err, others.err
