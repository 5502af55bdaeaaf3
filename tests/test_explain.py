"""The pages of `mfdsl explain`: one for each code, with specs that read and are well laid out."""

import re
from pathlib import Path

import pytest

from mfdsl.compiler.codes import CODES
from mfdsl.compiler.diagnostics import Sink
from mfdsl.compiler.driver import compile_text
from mfdsl.compiler.explain.pages import codes_with_pages, page
from mfdsl.compiler.source import SourceFile
from mfdsl.compiler.syntax.format import format_source
from mfdsl.compiler.syntax.parse import parse


def fences(code: str, kind: str) -> list[str]:
    return re.findall(rf"```mfg {kind}\n(.*?)```", page(code) or "", re.DOTALL)


BAD = [code for code in codes_with_pages() if fences(code, "bad")]
GOOD = [code for code in codes_with_pages() if fences(code, "good")]
# The share of agents nearby compares every agent with every other one: the warning is right.
NEARBY = {"MFG403"}


def syntax_codes(text: str) -> list[str]:
    sink = Sink()
    parse(SourceFile("spec.mfg", text), sink)
    return [diagnostic.code for diagnostic in sink.diagnostics]


def test_every_code_has_a_page_and_every_page_a_code() -> None:
    assert set(codes_with_pages()) == set(CODES)


def test_an_unknown_code_has_no_page() -> None:
    assert page("MFG999") is None
    assert page("../pages") is None


@pytest.mark.parametrize("code", codes_with_pages())
def test_a_page_has_its_title_a_text_and_two_examples(code: str) -> None:
    text = page(code) or ""
    title, prose = text.split("\n\n")[:2]
    assert title == f"# {code}: {CODES[code].title}"
    assert 2 <= len(re.findall(r"[.!?](?:\s|$)", prose)) <= 7
    kinds = re.findall(r"^```(\w+) (bad|good)$", text, re.MULTILINE)
    wanted = ["bad", "good"]
    assert [kind for _, kind in kinds] == wanted
    assert len({language for language, _ in kinds}) == 1


@pytest.mark.parametrize("code", GOOD)
def test_the_good_spec_reads_and_is_in_canonical_layout(code: str) -> None:
    (spec,) = fences(code, "good")
    assert syntax_codes(spec) == []
    assert format_source(spec) == spec


@pytest.mark.parametrize("code", GOOD)
def test_the_good_spec_compiles_without_a_word(code: str) -> None:
    (spec,) = fences(code, "good")
    compilation = compile_text(spec)
    found = [d.code for d in compilation.diagnostics]
    assert found == (["MFG804"] if code in NEARBY else [])
    assert compilation.ok


@pytest.mark.parametrize("code", BAD)
def test_the_bad_spec_gives_just_its_code(code: str) -> None:
    (spec,) = fences(code, "bad")
    found = compile_text(spec).diagnostics
    assert {diagnostic.code for diagnostic in found} == {code}
    assert {diagnostic.severity for diagnostic in found} == {CODES[code].severity}


def test_every_code_that_is_reported_is_in_the_catalogue() -> None:
    source = Path(__file__).parents[1] / "compiler"
    reported = {
        code
        for path in source.rglob("*.py")
        if path.name != "codes.py"
        for code in re.findall(r"\bMFG\d{3}\b", path.read_text(encoding="utf-8"))
    }
    assert reported <= set(CODES)
    assert len(reported) > 40
