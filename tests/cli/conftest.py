"""Runs command lines in this process and keeps what they print."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mfdsl.cli import run

SMALL = """\
## Everybody likes the right room until it is full.
model rooms

param c_crowd : real in [0, 10] = 1  ## aversion to company
param n       : int in 2..20 = 3     ## number of rooms

objective nash
horizon 4

population walker as mu {
  state  x : int in 0..n - 1 ~ uniform
  action a : int in -1..1

  x' = clip(x + a)

  reward place = x / n
  cost   crowd = c_crowd * mu[x]

  agents 100
  require reward in [-10, 1]
}

solver { method = omd  iterations = 20  learning_rate = 0.5 }
"""


@dataclass(frozen=True)
class Outcome:
    """Exit code and streams of one command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON object on standard output."""
        return json.loads(self.out)


Command = Callable[..., Outcome]


@pytest.fixture
def mfdsl(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Command:
    """A command line run in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str | Path) -> Outcome:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return Outcome(code, out, err)

    return command


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """A small game in the folder of the command."""
    path = tmp_path / "rooms.mfg"
    path.write_text(SMALL)
    return Path("rooms.mfg")
