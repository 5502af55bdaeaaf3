"""A run whose tensors do not fit says whose it is, what differs, and what to do."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

import mfdsl
from mfdsl.errors import UsageError
from mfdsl.misfits import CHANGED, difference, misfit
from mfdsl.playing import played_by
from mfdsl.runtime.learning.table import LEARNERS
from mfdsl.runtime.runs import RunFolder, packed

OPTIONS = {"agents": 4, "games": 2, "steps": 2, "epochs": 1, "minibatches": 1, "bins": 3}
OPTIONS |= {"evaluate_games": 2, "hidden": 4}


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a planner whose first layer reads seven more numbers, as one of an earlier rule."""
    out = tmp_path_factory.mktemp("runs")
    mfdsl.solve("m3fc_potential", "m3f_ppo", iterations=1, options=OPTIONS, out=out)
    (run,) = out.iterdir()
    folder = RunFolder.open(run)
    for name in ("state.safetensors", "policy.safetensors"):
        wider = {k: _wider(k, v) for k, v in folder.tensors(name).items()}
        folder.write({name: packed(wider, {})})
    return run


def _wider(name: str, value: Tensor) -> Tensor:
    if not name.endswith("upper.trunk.shared"):
        return value
    return torch.cat([value, value.new_zeros(len(value), 7)], -1)


def test_it_is_not_resumed(older: Path) -> None:
    with pytest.raises(UsageError) as caught:
        mfdsl.resume(older, iterations=2)
    assert str(older) in caught.value.message
    assert "`policy.upper.trunk.shared` is [4, " in caught.value.message
    hint = caught.value.hint or ""
    assert CHANGED["m3f_ppo"] in hint
    assert f"mfdsl solve {older}/spec.mfg --solver m3f_ppo" in hint


def test_it_is_not_played(older: Path) -> None:
    with pytest.raises(UsageError, match=r"`upper\.trunk\.shared` is") as caught:
        played_by(None, older, {})
    assert str(older) in caught.value.message and "train again" in (caught.value.hint or "")


def test_what_differs() -> None:
    one, two = torch.zeros(2), torch.zeros(3)
    assert difference({"a": one}, {"a": one}) is None
    assert difference({"a": one, "b": one}, {"a": two}) == "`a` is [3] there and [2] here"
    assert difference({"a": one}, {}) == "`a` is missing there"
    many = {name: one for name in "abcde"}
    assert (
        difference({}, many)
        == "`a` is there only, `b` is there only, `c` is there only, and 2 more"
    )


def test_errors_without_a_difference_are_told() -> None:
    found = misfit(Path("here"), "mf_q", {}, {}, ValueError("first line\nno such step"))
    assert found.message.endswith("no such step")


def test_what_changed_is_of_learners_that_exist() -> None:
    assert set(CHANGED) <= set(LEARNERS)
