"""`mfdsl check --watch`: every change is checked, and Ctrl-C is no failure."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from queue import SimpleQueue

import pytest

from mfdsl.cli.watching import files_of, stamps_of, watch
from mfdsl.errors import UsageError
from tests.cli.conftest import SMALL

WAIT = 60.0
WAITING = "waiting for a change, Ctrl-C ends"


def test_every_change_is_checked_until_ctrl_c_which_is_no_failure(tmp_path: Path) -> None:
    spec = tmp_path / "rooms.mfg"
    spec.write_text(SMALL)
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "mfdsl", "check", "rooms.mfg", "--watch", "--effort", "none"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    lines: SimpleQueue[str] = SimpleQueue()
    reader = threading.Thread(target=lambda: [lines.put(line) for line in process.stdout or ()])
    reader.start()

    def round() -> str:
        said = ""
        while WAITING not in said:
            said += lines.get(timeout=WAIT)
        return said

    try:
        assert "ok: 0 errors" in round()
        spec.write_text(SMALL.replace("mu[x]", "mu[z]"))
        assert "MFG101" in round()
        spec.unlink()
        assert "MFG013" in round()
        spec.write_text(SMALL)
        assert "ok: 0 errors" in round()
        process.send_signal(signal.SIGINT)
        assert process.wait(WAIT) == 0
    finally:
        process.kill()
        reader.join()
        process.stdout.close()
    assert lines.empty()


def test_imports_and_data_are_watched_also_before_they_are_there(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "a.mfg").write_text('library a\nimport b from "b.mfg"\n')
    spec = tmp_path / "game.mfg"
    spec.write_text('model game\nimport a from "lib/a.mfg"\nparam k : real[2] from "k.csv\n')
    spec.write_text(spec.read_text() + 'param r : real[2] from "data/r.json"\n')
    names = {str(path.relative_to(tmp_path)) for path in files_of(spec)}
    assert names == {"game.mfg", "lib/a.mfg", "lib/b.mfg", "data/r.json"}


def test_a_file_that_is_written_while_it_is_checked_is_checked_again(tmp_path: Path) -> None:
    spec, seen = tmp_path / "game.mfg", []
    spec.write_text("one")

    def check() -> None:
        seen.append(spec.read_text())
        if len(seen) == 1:
            spec.write_text("longer")
        else:
            raise KeyboardInterrupt

    assert watch(check, lambda: {spec}) == 0
    assert seen == ["one", "longer"]


def test_nothing_is_checked_while_nothing_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, rounds, pauses = tmp_path / "game.mfg", [], []
    spec.write_text("one")

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            spec.write_text("two!")

    def check() -> None:
        rounds.append(len(pauses))
        if len(rounds) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("mfdsl.cli.watching.time.sleep", pause)
    assert watch(check, lambda: {spec}) == 0
    assert rounds == [0, 3]


def test_what_cannot_be_asked_ends_it_at_once_and_later_does_not(tmp_path: Path) -> None:
    spec, rounds = tmp_path / "game.mfg", []
    spec.write_text("one")

    def check() -> None:
        rounds.append(spec.read_text())
        spec.write_text(spec.read_text() + "!")
        if len(rounds) == 3:
            raise KeyboardInterrupt
        if len(rounds) == 2:
            raise UsageError("no such claim")

    assert watch(check, lambda: {spec}) == 0
    assert rounds == ["one", "one!", "one!!"]
    rounds[:] = ["one"]
    with pytest.raises(UsageError):
        watch(check, lambda: {spec})


def test_a_file_that_is_not_there_has_no_stamp(tmp_path: Path) -> None:
    assert stamps_of([tmp_path / "none"]) == {tmp_path / "none": None}
