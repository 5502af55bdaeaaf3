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
