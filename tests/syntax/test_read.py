"""Files that are no specs are refused with a reason; others come as text."""

import os
from pathlib import Path

import pytest

from mfdsl.compiler.diagnostics import Sink
from mfdsl.compiler.syntax.read import read_source


def read(path: Path) -> tuple[str | None, list[tuple[str, str]]]:
    sink = Sink()
    source = read_source(path, "m.mfg", sink)
    return source.text if source else None, [(d.code, d.message) for d in sink.diagnostics]


@pytest.mark.parametrize(
    ("data", "code", "message"),
    [
        (b"model m\nlet a = \xff", "MFG012", "`m.mfg` is not UTF-8 text: byte 16 (line 2) is 0xff"),
        (b"\xef\xbb\xbfab\n\xff", "MFG012", "`m.mfg` is not UTF-8 text: byte 6 (line 2) is 0xff"),
        (b"a\n\0", "MFG012", "`m.mfg` is not UTF-8 text: byte 2 (line 2) is zero"),
        (b" " * ((1 << 20) + 1), "MFG703", "`m.mfg` is larger than 1 MiB"),
    ],
)
def test_bytes_that_are_no_spec_are_refused(
    tmp_path: Path, data: bytes, code: str, message: str
) -> None:
    path = tmp_path / "m.mfg"
    path.write_bytes(data)
    assert read(path) == (None, [(code, message)])


def test_a_byte_order_mark_and_carriage_returns_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "m.mfg"
    path.write_bytes(b"\xef\xbb\xbfmodel m\r\n")
    assert read(path) == ("model m\r\n", [])


def test_missing_files_and_directories_are_refused(tmp_path: Path) -> None:
    missing = "cannot read `m.mfg`: there is no such file"
    assert read(tmp_path / "no.mfg") == (None, [("MFG013", missing)])
    assert read(tmp_path) == (None, [("MFG013", "cannot read `m.mfg`: it is a directory")])
    assert read(Path("a\0b"))[1][0][0] == "MFG013"


def test_a_pipe_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    message = "cannot read `m.mfg`: it is not a regular file"
    assert read(pipe) == (None, [("MFG013", message)])


def test_a_file_without_permission_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.mfg"
    path.write_text("model m\n")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert read(path) == (None, [("MFG013", "cannot read `m.mfg`: permission denied")])
