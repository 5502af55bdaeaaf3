"""What pages name in backticks is there: names of code, options and games, files and folders."""

import re
from functools import cache

import pytest

from mfdsl.compiler.diagnostics import Sink
from mfdsl.compiler.source import SourceFile
from mfdsl.compiler.syntax.parse import parse
from tests.docs.pages import PAGES, ROOT, blocks, inline, text_of

CODE = ("compiler", "runtime", "mfdsl", "bench")
SEPARATED = bytes(c if re.match(rb"[A-Za-z0-9_]", bytes([c])) else 32 for c in range(256))
NOT_OURS = {
    "peer_x",  # made by a rule of names that the page states
    "local_ratio",  # an option of a simulator that the page compares with
    "held_coverage",  # `held_` and the name of a figure
    "rock_paper",  # the beginning of a name, for `--named`
    "pigou_toll",  # a spec that a reader would write
    "check_env",  # of gymnasium
    "parallel_api_test",  # of PettingZoo
}
FILES = re.compile(r"[\w.*/-]+\.(?:py|mfg|md|lark)|(?!runs/|build/)[\w.-]+(?:/[\w.-]+)*/")
READERS = {"page.mfg", "beach.mfg", "game.mfg", "city.mfg", "RUN/spec.mfg", "pigou_toll.mfg"}
RUN_FOLDERS = ("reproduced/", "found/")
TABLE = text_of("docs/architecture.md").split("## Where things are\n")[1].splitlines()
ROWS = [row for row in TABLE if row.startswith("| `")]


pytestmark = pytest.mark.skipif(
    not (ROOT / "bench" / "specs").is_dir(), reason="games of the pages are elsewhere"
)


@cache
def paths() -> frozenset[str]:
    """Files and folders of the tree, and the ends of their paths."""
    found = [p.relative_to(ROOT) for part in CODE for p in (ROOT / part).rglob("*.py")]
    found += [
        p.relative_to(ROOT) for kind in ("*/*.m*", "compiler/*/*.lark") for p in ROOT.glob(kind)
    ]
    found += [parent for p in found for parent in p.parents]
    return frozenset("/".join(p.parts[i:]) for p in {*found} for i in range(len(p.parts)))


@cache
def words() -> frozenset[str]:
    """Every word of the sources and of the games; what is read is 6 MB, so not by a pattern."""
    found = [p for part in CODE for p in (ROOT / part).rglob("*.py")]
    found += [*(ROOT / "specs").glob("*"), ROOT / "pyproject.toml"]
    text = b" ".join(p.read_bytes() for p in found if p.is_file())
    return frozenset(text.translate(SEPARATED).decode().split()) | {p.stem for p in found}


def names(code: str) -> set[str]:
    """What looks like a name of code: words with an underscore, a word alone, what is set."""
    alone = re.fullmatch(r"([a-z]\w{3,})(?: ?=.*)?", code)
    return {*re.findall(r"\b[A-Za-z]\w*_\w+", code), *([alone[1]] if alone else [])}


def missing(page: str) -> list[str]:
    """Files and folders of a page that are not there."""
    named = {code for code in inline(page) if FILES.fullmatch(code)} - READERS
    return [
        code
        for code in sorted(named)
        if code.rstrip("/") not in paths()
        and not code.startswith(RUN_FOLDERS)
        and not any(any((ROOT / folder).glob(code)) for folder in ("", "tests", "runtime/solvers"))
    ]


@pytest.mark.parametrize("page", PAGES)
def test_names_in_backticks_are_of_the_code(page: str) -> None:
    told = {name for code in inline(page) if "/" not in code for name in names(code)}
    assert sorted(told - words() - NOT_OURS) == []


def test_names_that_are_excused_are_named_and_not_of_the_code() -> None:
    told = {name for page in PAGES for code in inline(page) for name in names(code)}
    assert NOT_OURS <= told and not NOT_OURS & words()


@pytest.mark.parametrize("page", PAGES)
def test_files_and_folders_that_are_named_are_there(page: str) -> None:
    assert missing(page) == []


def test_a_file_that_is_not_there_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = ["mfdsl/lspp/", "runtime/none.py", "specs/none.mfg"]
    told = "".join(f"`{name}` " for name in [*wrong, "runtime/agents.py", "specs/sis.mfg"])
    monkeypatch.setattr("tests.docs.pages.text_of", lambda page: told)
    assert missing("page") == wrong


@pytest.mark.parametrize("page", PAGES)
def test_blocks_and_requires_of_the_language_read(page: str) -> None:
    asked = [code for code in inline(page) if re.match(r"require \w+\((?!\.)", code)]
    for spec in [*blocks(page, "mfg"), *(f"model page\n{code}\n" for code in asked)]:
        sink = Sink()
        parse(SourceFile("page.mfg", spec), sink)
        assert [d.message for d in sink.diagnostics] == [], spec


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("`")[1])
def test_a_row_of_the_architecture_names_files_of_its_folders(row: str) -> None:
    head, text = row[2:].split(" | ", 1)
    first = [ROOT / code for code in re.findall(r"`([^`]+)`", head)]
    homes = [path if path.is_dir() else path.parent for path in first]
    named = re.findall(r"`([\w/*]+\.(?:py|lark)|[\w/]+/)`", head + text)
    beside = [(ROOT / code).parent for code in named if code.endswith(".py") and "/" in code]
    for code in named:
        found = any(ROOT.glob(code)) or any(any(home.rglob(code)) for home in homes)
        assert found or any(any(home.glob(code)) for home in beside), f"{code} is not below {head}"


def test_every_folder_of_the_code_is_in_the_architecture() -> None:
    text = text_of("docs/architecture.md")
    folders = {p.parent for part in CODE[:3] for p in (ROOT / part).rglob("*.py")}
    told = set(re.findall(r"`([\w/]+)/(?:[\w*]+\.\w+)?`", text))
    ends = {name.rpartition("/")[2] for name in told} | {
        part for n in told for part in n.split("/")
    }
    assert sorted(str(f.relative_to(ROOT)) for f in folders if f.name not in ends) == []
