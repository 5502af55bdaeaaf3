"""`mfdsl solve` in two processes: the run folder of one, losses, Ctrl-C and refusals."""

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from mfdsl.cli import run
from mfdsl.cli.failure import FAILED, FINE, INTERRUPTED, USAGE
from mfdsl.runtime.runs import RunFolder
from tests.distributed.processes import begin, command, ended, until

SPEC = str(Path(__file__).resolve().parents[2] / "specs" / "crowd_1d.mfg")
SMALL = ("--set", "n=7", "--set", "H=4")
ENDLESS = ("--iterations", "10000000", "--tol", "0")
SOON = 30.0  # seconds after which a loss must have been noticed


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def together(*arguments: str, count: int = 2) -> list[int | None]:
    return ended(begin(count, command, ["solve", *arguments]))


def alone(*arguments: str) -> None:
    assert run(["solve", *arguments, "--quiet"]) == FINE


def screen(rank: int) -> str:
    return Path(f"screen.{rank}").read_text()


def only(parent: str) -> RunFolder:
    (path,) = (p for p in Path(parent).iterdir() if not p.name.startswith("."))
    return RunFolder.open(path)


def assert_same(one: RunFolder, other: RunFolder) -> None:
    """What two runs have written is the same to 1e-12, but for times."""
    assert {p.name for p in one.path.iterdir()} == {p.name for p in other.path.iterdir()}
    states = one.state(), other.state()
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(one.laws(), other.laws(), rtol=0, atol=1e-12)
    probs = [folder.tensors("policy.safetensors")["probs"] for folder in (one, other)]
    torch.testing.assert_close(*probs, rtol=0, atol=1e-12)
    histories = one.history(), other.history()
    assert [r.iteration for r in histories[0]] == [r.iteration for r in histories[1]]
    gaps = [[r.exploitability for r in history] for history in histories]
    assert gaps[0] == pytest.approx(gaps[1], rel=1e-12, abs=1e-12)
    summaries = one.summary, other.summary
    assert summaries[0].keys() == summaries[1].keys()
    for name in ("status", "message", "iterations", "solver", "options", "license"):
        assert summaries[0][name] == summaries[1][name], name
    assert summaries[0].get("endings") == summaries[1].get("endings")


def test_states_that_are_shared_make_the_same_folder_and_any_number_goes_on() -> None:
    flags = (SPEC, *SMALL, "--solver", "omd", "--opt", "learning_rate=0.5", "--tol", "0")
    alone(*flags, "--iterations", "8", "--out", "one")
    assert together(*flags, "--iterations", "5", "--out", "two") == [FINE, FINE]
    assert "stopped   exploitability" in screen(0)
    assert screen(1) == ""
    half = only("two")
    assert together("--resume", str(half.path), "--iterations", "7", count=3) == [FINE] * 3
    alone("--resume", str(half.path), "--iterations", "8")
    assert_same(only("one"), half)


def test_a_batch_that_is_shared_makes_the_same_folder_and_goes_on() -> None:
    games = ("--sweep", "opt.learning_rate=0.2,0.5,2")
    flags = (SPEC, *SMALL, "--solver", "omd", *games)
    alone(*flags, "--iterations", "9", "--tol", "0.5", "--out", "one")
    assert together(*flags, "--iterations", "9", "--tol", "0.5", "--out", "two") == [FINE, FINE]
    one, two = only("one"), only("two")
    assert_same(one, two)
    assert len({ending["iterations"] for ending in one.summary["endings"]}) > 1, "ends differ"
    alone("--resume", str(one.path), "--iterations", "12", "--tol", "0.3")
    assert together("--resume", str(two.path), "--iterations", "12", "--tol", "0.3") == [FINE, FINE]
    assert_same(one, two)


def test_tables_that_are_never_whole_make_the_same_folder() -> None:
    flags = (SPEC, *SMALL, "--solver", "fictitious_play", "--iterations", "4")
    alone(*flags, "--out", "one")
    assert ended(begin(2, in_parts, ["solve", *flags, "--out", "two"])) == [FINE, FINE]
    assert_same(only("one"), only("two"))


def in_parts(arguments: Sequence[str]) -> int:
    """A command line where even small tables are written block by block."""
    from mfdsl import shared_job
    from mfdsl.runtime.distributed import shared_states

    shared_job.KEPT_WHOLE, shared_states.BLOCK = 0, 2 * 7 * 3
    return command(arguments)


@pytest.mark.parametrize("lost", [0, 1])
def test_a_process_that_is_killed_ends_the_run_which_can_be_resumed(lost: int) -> None:
    processes = begin(2, command, ["solve", SPEC, *SMALL, *ENDLESS, "--out", "runs"])
    assert until(lambda: any(Path("runs").glob("*/state.safetensors"))), screen(0)
    killed = time.monotonic()
    processes[lost].kill()
    processes[1 - lost].join(SOON)
    assert processes[1 - lost].exitcode == FAILED
    assert time.monotonic() - killed < SOON
    ended(processes)
    said = screen(1 - lost)
    assert f"error: process {lost} of 2 is gone" in said
    folder = only("runs")
    assert f"mfdsl solve --resume {folder.path}" in said
    assert "Traceback" not in said
    made = folder.history()[-1].iteration
    alone("--resume", str(folder.path), "--iterations", str(made + 2))
    assert folder.history()[-1].iteration == made + 2
    whole = ("--iterations", str(made + 2), "--tol", "0", "--out", "one")
    alone(SPEC, *SMALL, *whole)
    gaps = [f.history()[-1].exploitability for f in (folder, only("one"))]
    assert gaps[0] == pytest.approx(gaps[1], rel=1e-9, abs=1e-12)


def test_ctrl_c_in_one_process_stops_all_at_the_same_iteration() -> None:
    processes = begin(2, command, ["solve", SPEC, *SMALL, *ENDLESS, "--out", "runs"])
    assert until(lambda: any(Path("runs").glob("*/state.safetensors"))), screen(0)
    pid = processes[1].pid
    assert pid is not None
    os.kill(pid, signal.SIGINT)
    assert ended(processes) == [INTERRUPTED, INTERRUPTED]
    assert only("runs").summary["status"] == "interrupted"
    assert "--resume" in screen(0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("solve", SPEC, "--solver", "mirror_prox"), "mirror_prox needs all states at once"),
        (("solve", "two_bars"), "two_bars has a stationary horizon"),
        (("solve", "left_right", "--solver", "symm_pmd"), "plays games of agents"),
        (("solve", "lq_game"), "2 processes cannot share riccati"),
        (("check", SPEC), "`mfdsl check` cannot be shared by 2 processes"),
        (("solve", "nfg_coop", "--solver", "omd"), "no state variable of nfg_coop has 2 values"),
    ],
)
def test_what_cannot_be_shared_is_refused(
    arguments: tuple[str, ...],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in ("1", "0"):
        monkeypatch.setenv("RANK", rank)
        assert run(list(arguments)) == USAGE
        said = capsys.readouterr()
        assert (message in said.err) is (rank == "0")
        assert "Traceback" not in said.err
    assert not Path("runs").exists()


def test_a_batch_of_fewer_games_than_processes_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("RANK", "0")
    assert run(["solve", SPEC, *SMALL, "--sweep", "eps=1e-6,1e-4"]) == USAGE
    assert "2 games cannot be shared by 3 processes" in capsys.readouterr().err
