"""Files of tensors in pieces, and policies without the states that leave no choice."""

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from mfdsl.runtime import tensor_files
from mfdsl.runtime.policy import Axis, TabularPolicy
from mfdsl.runtime.runs import RunError, RunFolder
from mfdsl.runtime.tensor_files import axes_of, pieces, policy_pieces, whole_probs

AXES = (Axis("x", 10),), (Axis("a", 4, labels=("n", "e", "s", "w")),)


def policy(deciding: int) -> TabularPolicy:
    """Two games, three stages, ten states of which the first ones decide, four actions."""
    probs = torch.zeros(2, 3, 10, 4, dtype=torch.float64)
    probs[..., 2] = 1
    probs[:, :, 7] = torch.tensor([1.0, 0, 0, 0], dtype=torch.float64)
    drawn = torch.rand(2, 3, deciding, 4, generator=torch.Generator().manual_seed(1))
    probs[:, :, :deciding] = (drawn / drawn.sum(-1, keepdim=True)).double()
    return TabularPolicy(probs, *AXES)


def content(found: TabularPolicy) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = safetensors.torch.load(b"".join(policy_pieces(found)))
    return tensors


def test_pieces_are_the_file_that_the_library_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensor_files, "BLOCK", 5)
    turned = torch.arange(24.0, dtype=torch.float64).view(4, 3, 2).permute(2, 0, 1)
    given = {
        "flags": torch.tensor([True, False, True]),
        "count": torch.tensor(7),
        "turned": turned,
        "single": torch.rand(3, 7),
        "wide": torch.rand(2, 13, dtype=torch.float64),
        "none": torch.zeros(0, 4),
    }
    written = list(pieces(given, {"solver": "omd"}))
    assert len(written) > len(given) + 1
    found = safetensors.torch.load(b"".join(written))
    assert set(found) == set(given)
    for name, value in given.items():
        assert torch.equal(found[name], value) and found[name].dtype == value.dtype


def test_a_large_policy_has_only_the_states_that_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensor_files, "LARGE", 100)
    given = policy(3)
    found = content(given)
    assert found["probs"].shape == (2, 3, 3, 4)
    assert found["deciding"].tolist() == [0, 1, 2]
    whole = whole_probs(found)
    assert whole is not None and torch.equal(whole, given.probs)
    monkeypatch.setattr(tensor_files, "LARGE", 1000)
    assert set(content(given)) == {"probs"}


@pytest.mark.parametrize("how", ["two actions", "another action", "another game", "most decide"])
def test_what_decides_anywhere_is_kept(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensor_files, "LARGE", 1)
    given = policy(8 if how == "most decide" else 3)
    if how == "two actions":
        given.probs[0, 1, 5] = torch.tensor([0.5, 0, 0.5, 0], dtype=torch.float64)
    elif how == "another action":
        given.probs[0, 2, 5] = torch.tensor([0, 1.0, 0, 0], dtype=torch.float64)
    elif how == "another game":
        given.probs[1, 0, 5] = torch.tensor([0, 1.0, 0, 0], dtype=torch.float64)
    found = content(given)
    assert found["probs"].shape[2] == (10 if how == "most decide" else 4)
    whole = whole_probs(found)
    assert whole is not None and torch.equal(whole, given.probs)


def test_a_run_gives_the_whole_policy_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensor_files, "LARGE", 1)
    folder, given = RunFolder.create(tmp_path, "game", "model x", {}), policy(3)
    told: list[tuple[str, int]] = []
    folder.write(
        {"policy.safetensors": policy_pieces(given)}, lambda name, size: told.append((name, size))
    )
    found = folder.saved_policy()
    assert torch.equal(found.probs, given.probs)
    assert (found.states, found.actions) == AXES
    assert told[0] == ("policy.safetensors", 0)
    assert told[-1][1] == (folder.path / "policy.safetensors").stat().st_size


@pytest.mark.parametrize(
    ("name", "value"), [("only", 9), ("deciding", 10), ("deciding", -1), ("only", None)]
)
def test_a_policy_with_impossible_states_is_damaged(
    name: str, value: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensor_files, "LARGE", 1)
    tensors = content(policy(3))
    if value is None:
        del tensors[name]
    else:
        tensors[name][0] = value
    folder = RunFolder.create(tmp_path, "game", "model x", {})
    axes = {"states": json.dumps([]), "actions": json.dumps([])}
    folder.write({"policy.safetensors": pieces(tensors, axes)})
    with pytest.raises(RunError, match="is damaged"):
        folder.saved_policy()


def test_axes_are_read_as_they_were_written() -> None:
    header = next(iter(policy_pieces(policy(3))))
    names = json.loads(header[8:])["__metadata__"]
    assert (axes_of(names["states"]), axes_of(names["actions"])) == AXES
