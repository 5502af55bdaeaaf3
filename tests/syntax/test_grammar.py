"""The parser's tables are kept between processes, and nothing depends on whether they are."""

import sys
from itertools import count
from pathlib import Path
from typing import Any

import lark.lark
import pytest

from mfdsl.compiler.diagnostics import Sink
from mfdsl.compiler.source import SourceFile
from mfdsl.compiler.syntax import grammar as tables
from mfdsl.compiler.syntax.ast import Unit
from mfdsl.compiler.syntax.parse import parse

_READINGS = count()
SPEC = Path(__file__).parents[2] / "specs" / "sis.mfg"


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path / "kept"))
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    tables.grammar.cache_clear()
    yield
    tables.grammar.cache_clear()


def read() -> Unit:
    """The tree of a spec, by a parser made anew.

    What was read before is kept by its text, so a comment at the end makes another of it.
    """
    tables.grammar.cache_clear()
    sink = Sink()
    unit = parse(SourceFile(SPEC.name, f"{SPEC.read_text()}# {next(_READINGS)}\n"), sink)
    assert not sink.diagnostics
    return unit


def kept(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "kept").rglob("*") if path.is_file()]


def refuse(*_: object, **__: object) -> None:
    raise AssertionError("the grammar is built again")


def test_tables_are_built_once_and_read_afterwards(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    built = read()
    assert len(kept(tmp_path)) == 1
    monkeypatch.setattr(lark.lark, "load_grammar", refuse)
    assert read() == built


def test_another_grammar_has_tables_of_its_own() -> None:
    assert tables.tables_path("a: A") != tables.tables_path("a: B")


@pytest.mark.parametrize("left", [0, 100, 50_000])
def test_tables_cut_short_are_built_again(
    left: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    built = read()
    (path,) = kept(tmp_path)
    path.write_bytes(path.read_bytes()[:left])
    assert read() == built
    monkeypatch.setattr(lark.lark, "load_grammar", refuse)
    assert read() == built


def test_a_folder_that_cannot_be_written_costs_time_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path / "file"))
    assert read().header is not None
    assert not kept(tmp_path)


def test_nothing_is_written_where_python_writes_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert read().header is not None
    assert not kept(tmp_path)
