"""The table of verbs says of each what its own file says, and the others are not loaded."""

import io
import logging
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from mfdsl.cli import run
from mfdsl.cli.verbs import VERBS, load

LOADED = """
import sys
from mfdsl.cli import run
code = run(sys.argv[1:])
verbs = {"anarchy", "calibrate", "check", "choosing", "compile", "correlate", "draw", "recheck",
         "reproduce", "simplex", "simulate", "solve", "solvers", "tables", "validate"}
print(*sorted(name for name in verbs if f"mfdsl.cli.{name}" in sys.modules))
print("mfdsl.compiler.driver" in sys.modules)
sys.exit(code)
"""


@pytest.mark.parametrize("name", VERBS)
def test_the_list_says_of_a_verb_what_its_own_help_begins_with(name: str) -> None:
    text = load(name).__doc__
    assert text is not None
    assert VERBS[name].summary == " ".join(text.split("\n\n")[0].split())


@pytest.mark.parametrize(
    ("arguments", "files", "compiler"),
    [(["--help"], "", False), (["--version"], "", False), (["explain", "MFG301"], "check", True)],
    ids=lambda value: value[0] if isinstance(value, list) else str(value),
)
def test_a_process_loads_the_verb_that_it_was_asked_for(
    arguments: list[str], files: str, compiler: bool
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments], capture_output=True, text=True, check=True
    )
    *_, loaded, driver = done.stdout.splitlines()
    assert (loaded, driver) == (files, str(compiler))


def test_a_shell_that_completes_a_line_is_told_the_options_of_its_verb() -> None:
    line = {"COMP_WORDS": "mfdsl fmt --", "COMP_CWORD": "2", "_MFDSL_COMPLETE": "complete_bash"}
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from mfdsl.cli import run; sys.exit(run([]))"],
        env={**os.environ, **line},
        capture_output=True,
        text=True,
    )
    assert "--check" in done.stdout.split(), done.stderr


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    """The log of mfdsl, as it was before afterwards."""
    found = logging.getLogger("mfdsl")
    level, handlers = found.level, list(found.handlers)
    yield found
    found.setLevel(level)
    found.handlers[:] = handlers


@pytest.mark.parametrize("terminal", [True, False])
def test_waits_are_explained_to_who_sits_at_a_terminal(
    log: logging.Logger, terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: terminal, raising=False)
    monkeypatch.setattr(sys, "stderr", stream)
    assert run(["--version"]) == 0
    assert run(["--version"]) == 0
    log.getChild("loops").info("this takes long")
    assert stream.getvalue() == ("this takes long\n" if terminal else "")
