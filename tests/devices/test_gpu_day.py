"""The rows that need a GPU run from end to end, shown on one that is pretended."""

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.devices.pretended import pretended

SCRIPTS = Path(__file__).parents[2] / "bench"
TINY = {
    "seconds": 1e-3,
    "policies": 2,
    "side": 4,
    "stages": 2,
    "iterations": 1,
    "agents": (4,),
    "crowd": 3,
    "crowds": 2,
    "worlds": (),
    "learners": (),
    "games": (),
    "players": ("PPO",),
    "steps": 2,
}


@pytest.fixture(autouse=True)
def found_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scripts import each other by the names of their files, and steps are not compiled here."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.setattr(torch, "compile", lambda step, **_: step)
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", lambda: None)


@pytest.fixture
def cases() -> Any:
    """All figures of a row at sizes that tests have time for."""
    rows: Any = import_module("gpu_rows")
    return lambda row, **more: list(rows.ROWS[row](rows.Day(**TINY | more)))


def test_what_lies_there_agrees_with_the_cpu(cases: Any) -> None:
    with pretended():
        found = {case.what: case.work() for case in cases("agreement")}
    assert len(found) > 8
    assert all(figure < 1e-9 for figure in found.values())


@pytest.mark.parametrize(
    ("row", "more", "count"),
    [
        ("policies", {}, 2),
        ("agents", {}, 2),
        ("million", {}, 2),
        ("simulators", {"games": ("m3fc_beach",)}, 2),
        ("compiled", {"games": ("m3fc_beach",)}, 4),
    ],
)
def test_every_figure_is_measured(
    cases: Any, row: str, more: Any, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(import_module("simulators").BATCHES, 300, (2,))
    monkeypatch.setattr(import_module("gpu_rows"), "ROOMS", "contraction")
    with pretended():
        found = [case.work() for case in cases(row, **more)]
    assert len(found) == count
    assert all(figure > 0 for figure in found)


def test_learners_are_timed_there(cases: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = import_module("deep")
    small = deep.PPO | {"games": 2, "agents": 4, "minibatches": 1}
    monkeypatch.setitem(deep.METHODS, "PPO", ("ppo_nash", small))
    with pretended():
        assert cases("learning")[0].work() > 0


def test_a_stop_and_an_error_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    day, rows = import_module("gpu_day"), import_module("gpu_rows")

    def work() -> float:
        raise RuntimeError("no kernel image")

    def broken(_: Any) -> Any:
        yield rows.Case("one", "s", work)
        yield rows.Case("two", "s", lambda: 2.0, 3.0)
        yield rows.Case("three", "s", lambda: None)
        raise KeyboardInterrupt

    monkeypatch.setitem(rows.ROWS, "agents", broken)
    out = tmp_path / "gpu.json"
    monkeypatch.setattr(sys, "argv", ["gpu_day.py", "--rows", "agents", "--out", str(out)])
    with pretended(), pytest.raises(KeyboardInterrupt):
        day.main()
    found = json.loads(out.read_text())
    assert found["device"] == "pretended" and found["GiB"] == 8
    one, two, three = found["figures"]
    assert one["error"].endswith("RuntimeError: no kernel image")
    assert two["figure"] == 2 and two["goal"] == 3
    assert three["left_out"] == "not defined there"


def test_rows_without_time_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    day, out = import_module("gpu_day"), tmp_path / "gpu.json"
    asked = ["gpu_day.py", "--rows", "agents,policies", "--minutes", "0", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", asked)
    with pretended():
        assert day.main() == 0
    assert [f["row"] for f in json.loads(out.read_text())["figures"]] == ["agents", "policies"]
