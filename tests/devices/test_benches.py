"""What is timed on a GPU runs there, shown on one that is pretended; the figures mean nothing."""

from argparse import Namespace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

from mfdsl import load
from tests.devices.pretended import pretended

SCRIPTS = Path(__file__).parents[2] / "bench"


@pytest.fixture(autouse=True)
def found_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scripts import each other by the names of their files."""
    monkeypatch.syspath_prepend(str(SCRIPTS))


@pytest.mark.parametrize("spec", ["m3fc_potential", "navigation"])
def test_steps_are_timed(spec: str) -> None:
    sides: Any = import_module("reference_sides")
    setting = sides.Setting(0.01, 1, "cuda", False, {})
    with pretended() as machine:
        reset, step, length = sides.ours(setting, spec, 4, 2)
        reset()
        step(1)
        assert length > 1
        assert sides.rate_of(setting, (reset, step, 1), 2)(0.01) > 0
        assert machine.waited == 0  # but for `synchronize`


@pytest.mark.parametrize("seconds", [1e-6, 0.05])
def test_a_gpu_is_waited_for_at_both_ends_only(
    seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    sides: Any = import_module("reference_sides")
    calls: list[str] = []
    side = (lambda: calls.append("reset"), lambda t: calls.append(f"step {t}"), 3)
    with pretended():
        monkeypatch.setattr(torch.cuda, "synchronize", lambda *_: calls.append("wait"))
        setting = sides.Setting(seconds, 1, "cuda", False, {})
        assert setting.pace(side, seconds) > 0
    warm = ["reset", "step 0", "step 1", "step 2", "reset", "step 0", "step 1"]
    assert calls[:9] == ["wait", *warm, "wait"]
    *_, last = "-".join(calls).split("wait-wait")  # the stretch that lasted long enough
    assert last.endswith("wait") and last.count("wait") == 1
    assert last.count("step") >= sides.WARM


def test_tables_name_the_gpu_and_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    sides: Any = import_module("reference_sides")
    here, there = (sides.Setting(1.0, 1, device, False, {}) for device in ("cpu", "cuda"))
    assert here.headed(["a"]) == "| a |\n|---|" and here.lined(["1"]) == "| 1 |"
    with pretended():
        monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda *_: 3 << 29)
        assert there.headed(["a"]).startswith("| a | pretended, GiB |")
        assert there.lined(["1"]) == "| 1 | 1.5 |"


def test_episodes_and_training_are_timed() -> None:
    asked = Namespace(device="cuda", methods=["path"], steps=2)
    learning: Any = import_module("learning")
    with pretended():
        found = learning.trained(load("navigation", params={"n": 3}), 3, 2, asked)
        assert set(found) == {"move", "path"}
        assert all(go() > 0 for go in found.values())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_scripts_say_that_there_is_no_gpu() -> None:
    unusable = import_module("simulators").unusable
    assert "sees no GPU" in (unusable("cuda") or "")
    with pretended():
        assert unusable("cuda") is None
        assert "sees 1 GPU" in (unusable("cuda:1") or "")
