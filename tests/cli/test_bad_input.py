"""Whatever is wrong gets one friendly message, exit code 1 or 2, and no half-written file."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TEXT_VERBS = (("check",), ("compile",), ("solve", "--iterations", "1"), ("fmt",))
UNREADABLE: dict[str, tuple[bytes, int, str]] = {
    "empty": (b"", 1, "MFG"),
    "binary": (b"\x00\x01\x02\x80" * 50, 1, "is not UTF-8 text"),
    "latin": ("model été".encode("latin-1"), 1, "is not UTF-8 text"),
    "huge": (b"# filler\n" * 300_000, 1, "larger than 1 MiB"),
    "truncated": (b"model a\nobjective nash\nhorizon 3\npopulation p {\n  state x :", 1, "MFG00"),
    "nested": (b"model a\nlet x = " + b"(" * 5000 + b"1" + b")" * 5000, 1, "MFG702"),
    "look-alike": ("model a\nlet \u0430lpha = 1\n".encode(), 1, "CYRILLIC"),
}


def no_leftovers() -> list[str]:
    """Names of temporary files and reports of bugs in the working folder."""
    return [p.name for p in Path().rglob("*") if p.name.startswith((".", "mfdsl-bug"))]


@pytest.mark.parametrize("verb", TEXT_VERBS, ids=lambda verb: verb[0])
@pytest.mark.parametrize("kind", UNREADABLE)
def test_a_file_that_is_no_spec_is_diagnosed(mfdsl: Any, kind: str, verb: tuple[str, ...]) -> None:
    content, code, words = UNREADABLE[kind]
    Path("bad.mfg").write_bytes(content)
    if (verb[0], kind) == ("fmt", "empty"):
        return
    outcome = mfdsl(*verb, "bad.mfg")
    assert outcome.code == code or (verb[0] == "fmt" and outcome.code == 2), outcome.err
    assert words in outcome.err
    assert Path("bad.mfg").read_bytes() == content
    assert [path.name for path in Path().iterdir()] == ["bad.mfg"]


@pytest.mark.parametrize("verb", TEXT_VERBS, ids=lambda verb: verb[0])
def test_a_missing_file_or_a_folder_is_a_usage_error(mfdsl: Any, verb: tuple[str, ...]) -> None:
    Path("folder.mfg").mkdir()
    missing = mfdsl(*verb, "none.mfg")
    folder = mfdsl(*verb, "folder.mfg")
    assert (missing.code, folder.code) == (2, 2)
    assert "cannot read `none.mfg`" in missing.err
    assert "directory" in folder.err


def test_an_unknown_bare_name_is_answered_with_the_nearest_game(mfdsl: Any) -> None:
    outcome = mfdsl("check", "beach_bra")
    assert outcome.code == 2
    assert "did you mean `beach_bar`?" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("chekc", "rooms.mfg"), "did you mean `check`?"),
        (("check", "rooms.mfg", "--acept", "proved"), "did you mean `--accept`?"),
        (("check", "rooms.mfg", "--accept", "maybe"), "'tested', 'proved'"),
        (("check",), "missing argument"),
        (("solve",), "which game?"),
        (("solve", "rooms.mfg", "--solver", "omb"), "did you mean `omd`?"),
        (("solve", "rooms.mfg", "--opt", "learning_rat=1"), "did you mean `learning_rate`?"),
        (("solve", "rooms.mfg", "--opt", "learning_rate=-1"), "greater than"),
        (("solve", "rooms.mfg", "--opt", "learning_rate"), "not of the form name=value"),
        (("solve", "rooms.mfg", "--iterations", "-1"), "'--iterations'"),
        (("solve", "rooms.mfg", "--iterations", "many"), "'--iterations'"),
        (("solve", "rooms.mfg", "--tol", "-1"), "'--tol'"),
        (("solve", "rooms.mfg", "--device", "gpu"), "'cpu', 'cuda', 'auto'"),
        (
            (
                "solve",
                "left_right",
                "--opt",
                "route=path",
                "--opt",
                "updates=2",
                "--solver",
                "mf_omo",
            ),
            "options of mf_omo: value error, `updates` is an option of route=gradient",
        ),
        (("solve", "rooms.mfg", "--sweep", "c_crwd=1:2:3"), "did you mean `c_crowd`?"),
        (("solve", "rooms.mfg", "--sweep", "c_crowd=1:20:3"), "outside its range [0, 10]"),
        (("solve", "rooms.mfg", "--sweep", "n=3,4"), "cannot be swept"),
        (("solve", "rooms.mfg", "--set", "c_crowd"), "not of the form name=value"),
        (("solve", "rooms.mfg", "--set", "c_crowd=[0.1"), "its brackets do not close"),
        (("solve", "rooms.mfg", "--set", "c_crowd=[0.1]]"), "its brackets do not close"),
        (("solve", "rooms.mfg", "--params", "none.toml"), "cannot read `none.toml`"),
        (("simulate", "rooms.mfg", "--agents", "0"), "'--agents'"),
        (("simulate", "rooms.mfg", "--steps", "9"), "4 stages"),
        (("new", "game", "--template", "wlak"), "did you mean `walk`?"),
        (("explain", "MFG000"), "unknown code"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_wrong_request_exits_with_2_and_says_what_to_do(
    mfdsl: Any, spec: Path, arguments: tuple[str, ...], words: str
) -> None:
    outcome = mfdsl(*arguments)
    assert outcome.code == 2
    assert outcome.err.startswith("error: ")
    assert words in outcome.err
    assert not Path("runs").exists()
    assert no_leftovers() == []


@pytest.mark.parametrize("verb", ["check", "compile", "solve", "simulate"])
def test_parameters_are_checked_by_every_verb(mfdsl: Any, spec: Path, verb: str) -> None:
    unknown = mfdsl(verb, spec, "--set", "c_crwd=1")
    assert unknown.code == 2
    assert "error[MFG901]" in unknown.err and "`c_crowd`" in unknown.err
    outside = mfdsl(verb, spec, "--set", "c_crowd=11")
    assert outside.code == 1
    assert "error[MFG307]" in outside.err
    assert "[0, 10]" in outside.err


def test_a_horizon_of_0_is_a_placed_error(mfdsl: Any, spec: Path) -> None:
    spec.write_text(spec.read_text().replace("horizon 4", "horizon 0"))
    outcome = mfdsl("solve", spec)
    assert outcome.code == 1
    assert "rooms.mfg:8:9" in outcome.err


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("lib/none.mfg", "no such file"),
        ("../outside.mfg", "outside the project"),
        ("/etc/passwd.mfg", "relative"),
    ],
)
def test_an_import_that_cannot_be_is_a_placed_error(
    mfdsl: Any, spec: Path, path: str, words: str
) -> None:
    Path("../outside.mfg").resolve().write_text("library outside\n")
    spec.write_text(spec.read_text().replace("objective", f'import f from "{path}"\n\nobjective'))
    outcome = mfdsl("check", spec)
    assert outcome.code == 1
    assert "error[MFG011]" in outcome.err
    assert "rooms.mfg:7:" in outcome.err
    assert words in outcome.err


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ("method = omb", "did you mean `omd`?"),
        ("method = omd  lerning_rate = 1", "did you mean `learning_rate`?"),
        ("method = omd  temperature = 0", "greater than 0"),
        ("method = omd  iterations = 1.5", "whole number"),
        ("learning_rate = 1", "no `method`"),
    ],
)
def test_a_wrong_solver_block_is_a_placed_error(
    mfdsl: Any, spec: Path, block: str, words: str
) -> None:
    head, _ = spec.read_text().split("solver {")
    spec.write_text(f"{head}solver {{ {block} }}\n")
    outcome = mfdsl("check", spec)
    assert outcome.code == 1
    assert "error[MFG112]" in outcome.err
    assert "rooms.mfg:23:" in outcome.err
    assert words in outcome.err


@pytest.mark.parametrize("verb", ["compile", "solve", "simulate", "new"])
def test_an_output_folder_that_cannot_be_written_is_a_usage_error(
    mfdsl: Any, spec: Path, verb: str
) -> None:
    Path("file").write_text("in the way")
    outcome = mfdsl(verb, "mine" if verb == "new" else spec, "-o", "file/inside")
    assert outcome.code == 2
    assert outcome.err.startswith("error: ")
    assert "file" in outcome.err
    assert Path("file").read_text() == "in the way"
    assert no_leftovers() == []


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """After the call no file accepts any bytes."""

    def fill() -> None:
        def refuse(*_: Any, **__: Any) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(Path, "write_bytes", refuse)
        monkeypatch.setattr(Path, "write_text", refuse)
        monkeypatch.setattr(os, "fdopen", refuse)

    return fill


@pytest.mark.parametrize("verb", ["compile", "solve", "simulate", "fmt", "new"])
def test_a_full_disk_leaves_nothing_half_written(
    mfdsl: Any, spec: Path, verb: str, full_disk: Callable[[], None]
) -> None:
    spec.write_text(spec.read_text().replace("place = x / n", "place   =   x / n"))
    before = spec.read_bytes()
    full_disk()
    out = () if verb == "fmt" else ("-o", "out")
    outcome = mfdsl(verb, "mine" if verb == "new" else spec, *out)
    assert outcome.code == 2
    assert "disk is full" in outcome.err or "no space left" in outcome.err
    assert spec.read_bytes() == before
    assert [p for p in Path().rglob("*") if p.is_file()] == [spec]


@pytest.fixture
def run_folder(mfdsl: Any, spec: Path) -> Path:
    return Path(mfdsl("solve", spec, "--iterations", 2, "--json").json["run"])


@pytest.mark.parametrize("verb", [("solve", "--resume"), ("simulate", "--policy")])
def test_a_folder_that_is_no_run_is_refused(mfdsl: Any, verb: tuple[str, str]) -> None:
    Path("empty").mkdir()
    for folder in ("empty", "none"):
        outcome = mfdsl(*verb, folder)
        assert outcome.code == 2
        assert "is not a run folder" in outcome.err


@pytest.mark.parametrize("file", ["policy.safetensors", "state.safetensors", "options.json"])
def test_a_damaged_file_of_a_run_is_named(mfdsl: Any, run_folder: Path, file: str) -> None:
    verb = ("simulate", "--policy") if file.startswith("policy") else ("solve", "--resume")
    for content in (b"", b"\xff" * 64, b'{"game": 3}'):
        (run_folder / file).write_bytes(content)
        outcome = mfdsl(*verb, run_folder, *(("--iterations", "9") if verb[0] == "solve" else ()))
        assert outcome.code == 2
        assert f"{file} is damaged" in outcome.err
        assert (run_folder / file).read_bytes() == content


def test_a_run_of_another_game_is_refused(mfdsl: Any, run_folder: Path, spec: Path) -> None:
    other = Path("other.mfg")
    other.write_text(spec.read_text().replace("model rooms", "model other"))
    played = mfdsl("simulate", other, "--policy", run_folder)
    resumed = mfdsl("solve", other, "--resume", run_folder)
    assert (played.code, resumed.code) == (2, 2)
    assert "is a run of another game, `rooms`" in played.err
    spec.write_text(spec.read_text().replace("x / n", "x / n / 2"))
    changed = mfdsl("solve", spec, "--resume", run_folder)
    assert "another version of the game" in changed.err


def test_with_json_an_error_is_one_object_too(mfdsl: Any, spec: Path) -> None:
    wrong_request = mfdsl("solve", spec, "--solver", "omb", "--json")
    assert wrong_request.json == {"schema": 1, "ok": False, "error": "unknown solver `omb`"}
    spec.write_text("model a\n")
    wrong_spec = mfdsl("solve", spec, "--json")
    assert wrong_spec.code == 1
    assert {d["code"] for d in wrong_spec.json["diagnostics"]} == {"MFG111"}


def test_an_internal_error_is_one_line_and_a_file_to_reproduce_it(
    mfdsl: Any, spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("something broke")

    monkeypatch.setattr("mfdsl.api.compile_file", fail)
    outcome = mfdsl("check", spec)
    assert outcome.code == 2
    (line,) = outcome.err.splitlines()
    assert "internal error, a bug in mfdsl: RuntimeError: something broke" in line
    (report,) = Path().glob("mfdsl-bug-*.txt")
    assert str(report) in line
    text = report.read_text()
    assert "Traceback" in text and "model rooms" in text and "'check'" in text


def test_a_file_that_ends_too_early_is_not_taken_for_the_end_of_the_input(
    mfdsl: Any, spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise EOFError("Ran out of input")

    monkeypatch.setattr("mfdsl.api.compile_file", fail)
    outcome = mfdsl("check", spec)
    assert outcome.code == 2
    assert "internal error, a bug in mfdsl: EndOfFile: Ran out of input" in outcome.err


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen(
        [sys.executable, "-m", "mfdsl", "explain", "MFG301"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(root)},
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    process.wait()


def test_a_value_that_is_not_a_number_is_null_in_json(mfdsl: Any, spec: Path) -> None:
    outcome = mfdsl("simulate", spec, "--agents", 1, "--json")
    assert outcome.json["returns"]["walker"]["std_error"] is None
    json.loads(outcome.out, parse_constant=lambda name: pytest.fail(name))
