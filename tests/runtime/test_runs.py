"""Run folders: what they hold, how they continue, and how they fail."""

import errno
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from mfdsl.runtime.runs import RunError, RunFolder
from mfdsl.runtime.solution import Solution
from mfdsl.runtime.solvers.loop import solve
from tests.runtime import oracle

SPEC = "game beach_bar\n"
OPTIONS = {"solver": "omd", "seed": 0}


@pytest.fixture(scope="module")
def solution() -> Solution:
    return solve(oracle.load("beach_bar"), solver_name="omd", iterations=3, tolerance=0)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "runs", "beach_bar", SPEC, OPTIONS)


@pytest.fixture
def heard() -> Iterator[None]:
    """Ctrl-C is heard, also where whoever started the tests ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def names(path: Path) -> set[str]:
    return {entry.name for entry in path.iterdir()}


def test_a_saved_run_reads_back(folder: RunFolder, solution: Solution) -> None:
    folder.save(solution)
    assert names(folder.path) == {
        "spec.mfg",
        "options.json",
        "versions.json",
        "metrics.jsonl",
        "policy.safetensors",
        "state.safetensors",
        "flow.npz",
        "summary.json",
    }
    again = RunFolder.open(folder.path)
    assert again.spec == SPEC
    assert again.options == OPTIONS
    assert again.history() == solution.history
    assert torch.equal(again.policy(oracle.load("beach_bar")).probs, solution.policy.probs)
    assert torch.equal(again.laws(), solution.flow.laws)
    assert again.summary["exploitability"]["value"] == solution.exploitability.value
    assert again.summary["status"] == "max_iterations"


def test_a_run_continues_from_disk_as_if_it_had_not_stopped(
    folder: RunFolder, solution: Solution
) -> None:
    folder.save(solution)
    program = oracle.load("beach_bar")
    whole = solve(program, solver_name="omd", iterations=6, tolerance=0)
    rest = solve(
        program,
        solver_name="omd",
        iterations=6,
        tolerance=0,
        state=folder.state(),
        history=folder.history(),
    )
    assert [r.exploitability for r in rest.history] == [r.exploitability for r in whole.history]
    assert torch.equal(rest.policy.probs, whole.policy.probs)


def test_reports_are_appended_while_the_run_goes_on(folder: RunFolder, solution: Solution) -> None:
    for record in solution.history[:2]:
        folder.append(record)
    with (folder.path / "metrics.jsonl").open("a") as file:
        file.write('{"iteration": 2, "expl')
    assert folder.history() == solution.history[:2]


def test_a_new_run_never_takes_the_place_of_another(tmp_path: Path) -> None:
    runs = [RunFolder.create(tmp_path, "sis", SPEC, OPTIONS).path for _ in range(3)]
    assert len(set(runs)) == 3
    assert names(tmp_path) == {run.name for run in runs}
    assert all(run.name.startswith("sis-") and len(run.name) == 8 for run in runs)


@pytest.mark.parametrize("missing", ["nothing_there", "options.json", "spec.mfg"])
def test_a_folder_that_is_not_a_run_is_refused(folder: RunFolder, missing: str) -> None:
    path = folder.path / missing
    if path.exists():
        path.unlink()
        path = folder.path
    with pytest.raises(RunError, match="is not a run folder"):
        RunFolder.open(path)


@pytest.mark.parametrize("name", ["policy.safetensors", "state.safetensors", "flow.npz"])
@pytest.mark.parametrize("content", [b"", b"garbage", None])
def test_a_damaged_file_is_named(
    folder: RunFolder, solution: Solution, name: str, content: bytes | None
) -> None:
    folder.save(solution)
    path = folder.path / name
    path.write_bytes(path.read_bytes()[:-20] if content is None else content)
    read = {
        "policy.safetensors": lambda: folder.policy(oracle.load("beach_bar")),
        "state.safetensors": folder.state,
        "flow.npz": folder.laws,
    }[name]
    with pytest.raises(RunError, match=f"{name} is damaged"):
        read()


def test_damaged_options_are_named(folder: RunFolder) -> None:
    (folder.path / "options.json").write_text("{")
    with pytest.raises(RunError, match=r"options\.json is damaged"):
        _ = folder.options


def test_a_policy_of_another_game_is_refused(folder: RunFolder, solution: Solution) -> None:
    folder.save(solution)
    with pytest.raises(RunError, match="does not hold a policy for 6 states and 3 actions"):
        folder.policy(oracle.load("masked_queue"))


def test_a_run_without_a_saved_state_says_so(folder: RunFolder) -> None:
    with pytest.raises(RunError, match=r"has no state.safetensors: the solve did not get that far"):
        folder.state()


def test_a_file_in_the_way_of_the_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(RunError, match="cannot write"):
        RunFolder.create(tmp_path / "runs", "sis", SPEC, OPTIONS)


@pytest.mark.parametrize(
    ("code", "reason"), [(errno.ENOSPC, "the disk is full"), (errno.EROFS, "read-only")]
)
def test_a_disk_that_cannot_be_written_leaves_whole_files(
    folder: RunFolder,
    solution: Solution,
    code: int,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder.save(solution)
    before = {name: (folder.path / name).read_bytes() for name in names(folder.path)}

    def fail(handle: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(RunError, match=reason):
        folder.save(solution)
    assert {name: (folder.path / name).read_bytes() for name in names(folder.path)} == before


def test_values_that_are_not_finite_are_null_in_the_summary(folder: RunFolder) -> None:
    text = oracle.load("beach_bar").text.replace("torch.log(mu + p.log_eps[..., None])", "mu / 0.0")
    broken = solve(oracle.load_program(text))
    folder.save(broken)
    summary = json.loads((folder.path / "summary.json").read_text())
    assert summary["status"] == "not_finite"
    assert summary["exploitability"]["value"] is None


def test_a_file_is_no_run_folder(tmp_path: Path) -> None:
    (tmp_path / "flow.csv").write_text("")
    with pytest.raises(RunError, match="is not a run folder: it is a file"):
        RunFolder.open(tmp_path / "flow.csv")
    with pytest.raises(RunError, match="there is no such folder"):
        RunFolder.open(tmp_path / "nothing")


@pytest.mark.usefixtures("heard")
def test_control_c_while_a_run_is_written_leaves_it_whole(
    folder: RunFolder, solution: Solution
) -> None:
    begun: list[str] = []

    def told(name: str, size: int) -> None:
        if size == 0:
            begun.append(name)
            if name == "state.safetensors":
                signal.raise_signal(signal.SIGINT)

    folder.save(solution, told)
    assert begun[-1] == "summary.json"
    assert torch.equal(folder.state()["probs"], solution.state["probs"])
    assert folder.summary["iterations"] == solution.iterations
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("heard")
def test_control_c_twice_ends_writing_and_leaves_files_whole(
    folder: RunFolder, solution: Solution
) -> None:
    folder.save(solution)

    def told(name: str, size: int) -> None:
        if name == "state.safetensors":
            signal.raise_signal(signal.SIGINT)

    before = (folder.path / "state.safetensors").read_bytes()
    with pytest.raises(KeyboardInterrupt):
        folder.save(solution, told)
    assert (folder.path / "state.safetensors").read_bytes() == before
    assert not [name for name in names(folder.path) if name.startswith(".")]
