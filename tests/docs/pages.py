"""The pages as text: the commands that they show, and what they say in backticks."""

import re
import shlex
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^ *```(\S*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
TICKS = re.compile(r"``.*?``|`([^`]+)`", re.DOTALL)
STARTS = ("mfdsl", "python", "torchrun", "tensorboard", "pip", "uv", "pygmentize", "sbatch")


@dataclass(frozen=True)
class Command:
    """A command line of a page by its words; in prose it need not be complete."""

    words: tuple[str, ...]
    whole: bool

    @property
    def verb(self) -> tuple[str, ...] | None:
        """What follows `mfdsl`, alone or under torchrun; None for another program."""
        if self.words[0] == "mfdsl":
            return self.words[1:]
        if self.words[0] == "torchrun" and "mfdsl" in self.words:
            return self.words[self.words.index("mfdsl") + 1 :]
        return None

    @property
    def module(self) -> str | None:
        """The script or module that Python runs, as a path without its ending."""
        if self.words[0] != "python" or len(self.words) < 2:
            return None
        dotted = self.words[2] if self.words[1] == "-m" else self.words[1].removesuffix(".py")
        return dotted.replace(".", "/")


@cache
def text_of(page: str) -> str:
    """A page, as it is."""
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return [body for named, body in FENCE.findall(text_of(page)) if named == language]


def inline(page: str) -> list[str]:
    """What stands in backticks outside of fenced blocks, on one line each."""
    found = TICKS.findall(FENCE.sub("", text_of(page)))
    return [" ".join(code.replace("\\|", "|").split()) for code in found if code]


def commands(page: str) -> list[Command]:
    """The lines that begin with a dollar, and the commands in prose."""
    lines = [
        line[2:]
        for _, body in FENCE.findall(text_of(page))
        for line in re.sub(r"\\\n\s*", "", body).splitlines()
        if line.startswith("$ ")
    ]
    shown = [Command(words, True) for line in lines for words in _parts(line)]
    told = [code for code in inline(page) if code.split()[0] in STARTS]
    return shown + [Command(words, False) for code in told for words in _parts(code)]


def _parts(line: str) -> list[tuple[str, ...]]:
    """The commands of a line, without where their output goes; `A|B` is one word here."""
    parts = re.split(r" (?:&&|\||>) ", line)
    kept = parts[:-1] if re.search(r" > \S+$", line) else parts
    return [tuple(shlex.split(part.replace("'", '"'), comments=True)) for part in kept]
