"""Bytes to text: reads one spec file with every check that comes before scanning."""

from pathlib import Path
from stat import S_ISREG

from mfdsl.compiler.diagnostics import Sink
from mfdsl.compiler.source import SourceFile
from mfdsl.compiler.syntax.limits import MAX_FILE_BYTES

TOO_LARGE = "MFG703"
NOT_TEXT = "MFG012"
UNREADABLE = "MFG013"
UTF_16 = (b"\xff\xfe", b"\xfe\xff")  # no file in UTF-8 starts so


def read_source(path: Path, name: str, sink: Sink) -> SourceFile | None:
    """The text of `path` under the name `name`, or None after a report into `sink`.

    Reports MFG013 when the file cannot be read, MFG703 when it is too large, MFG012 when it is
    not UTF-8 text. A byte-order mark is dropped.
    """
    data = _read_bytes(path, name, sink)
    return None if data is None else decode(data, name, sink)


def decode(data: bytes, name: str, sink: Sink) -> SourceFile | None:
    """The text of `data`, or None after a report of MFG703 or MFG012."""
    if len(data) > MAX_FILE_BYTES:
        report_size(name, sink)
        return None
    if b"\0" in data and not data.startswith(UTF_16):
        at = data.index(b"\0")
        line = data.count(b"\n", 0, at) + 1
        sink.report(
            NOT_TEXT,
            f"`{name}` is not UTF-8 text: byte {at} (line {line}) is zero",
            notes=["a spec is a plain text file; this one looks like binary data"],
        )
        return None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        _report_encoding(data, error, name, sink)
        return None
    return SourceFile(name, text)


def report_size(name: str, sink: Sink) -> None:
    """Report that the file is larger than the limit."""
    sink.report(
        TOO_LARGE,
        f"`{name}` is larger than {MAX_FILE_BYTES >> 20} MiB",
        helps=["split it with `import`, or load the numbers with `param ... from` a data file"],
    )


def _read_bytes(path: Path, name: str, sink: Sink) -> bytes | None:
    """At most one byte more than the limit, or None after a report."""
    reason = None
    try:
        if path.exists() and not S_ISREG(path.stat().st_mode):
            reason = "it is a directory" if path.is_dir() else "it is not a regular file"
        else:
            with path.open("rb") as file:
                return file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        reason = "there is no such file"
    except PermissionError:
        reason = "permission denied"
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "the path is not valid"
    sink.report(UNREADABLE, f"cannot read `{name}`: {reason}")
    return None


def _report_encoding(data: bytes, error: UnicodeDecodeError, name: str, sink: Sink) -> None:
    """Place the first byte that is not UTF-8; offsets count from the start of the file."""
    at = error.start + (len(data) - len(error.object))
    line = data.count(b"\n", 0, at) + 1
    helps = ["save the file as UTF-8"]
    if data.startswith(UTF_16):
        helps = ["it is UTF-16; save the file as UTF-8"]
    sink.report(
        NOT_TEXT,
        f"`{name}` is not UTF-8 text: byte {at} (line {line}) is 0x{data[at]:02x}",
        helps=helps,
    )
