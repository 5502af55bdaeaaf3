"""Bad specs and what is said about them, word for word.

`pytest tests/test_golden.py --update-golden` writes the renderings; read them before committing.
"""

import re
from pathlib import Path

import pytest

from mfdsl.compiler.codes import CODES
from mfdsl.compiler.diagnostics import Diagnostic
from mfdsl.compiler.driver import Compilation, compile_file, compile_text
from mfdsl.compiler.fix import apply_edits
from mfdsl.compiler.render import render_text

FOLDER = Path(__file__).parent / "golden" / "bad"
SPECS = sorted(path.stem for path in FOLDER.glob("*.mfg"))

# Codes that no spec alone can show: they need a command line, a run, or a later release.
ELSEWHERE = {
    "MFG013",  # a file that cannot be read: tests/test_bad_input.py
    "MFG901",  # `--set`: tests/test_bad_input.py
    "MFG903",  # a run
    "MFG904",  # a validation
}
INTERNAL = re.compile(
    r"\b(node|AST|IR|Term|Poison|[Ll]ark|token|terminal|NAME|None|[Tt]raceback|NoneType|str|float"
    r"|tuple|dict|Fraction|Span|Env|leaf|assert\w*|[a-z]+Error|[a-z]+_[a-z]+_[a-z]+)\b"
)


@pytest.fixture(scope="module", params=SPECS)
def compiled(request: pytest.FixtureRequest) -> tuple[str, Compilation]:
    path = FOLDER / f"{request.param}.mfg"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(FOLDER)
        return request.param, compile_file(path.name)


def words_of(diagnostic: Diagnostic) -> list[str]:
    """Everything a diagnostic says, without quoted code."""
    texts = [diagnostic.message, *diagnostic.notes]
    texts += [label.text for label in diagnostic.labels]
    texts += [help.text for help in diagnostic.helps]
    return [re.sub(r"`[^`]*`", "", text) for text in texts]


def test_the_rendering_is_the_golden_one(
    compiled: tuple[str, Compilation], request: pytest.FixtureRequest
) -> None:
    name, compilation = compiled
    golden = FOLDER / f"{name}.txt"
    text = render_text(compilation.diagnostics, compilation.sources) + "\n"
    if request.config.getoption("--update-golden"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


def test_one_mistake_gives_one_message_with_the_code_in_the_name(
    compiled: tuple[str, Compilation],
) -> None:
    name, compilation = compiled
    assert [d.code for d in compilation.diagnostics] == [name.split("_")[0]]
    assert compilation.ok == (compilation.model is not None)
    assert compilation.ok == (CODES[name.split("_")[0]].severity != "error")


def test_places_lie_inside_the_file_and_the_first_one_is_marked(
    compiled: tuple[str, Compilation],
) -> None:
    _, compilation = compiled
    for diagnostic in compilation.diagnostics:
        if compilation.unit is not None:
            assert diagnostic.primary is not None
        for label in diagnostic.labels:
            size = len(compilation.sources[label.span.file].text)
            assert 0 <= label.span.start <= label.span.end <= size
        for edit in (edit for help in diagnostic.helps for edit in help.edits):
            assert 0 <= edit.span.start <= edit.span.end <= size


def test_messages_are_plain_words(compiled: tuple[str, Compilation]) -> None:
    _, compilation = compiled
    for diagnostic in compilation.diagnostics:
        headline = diagnostic.message
        assert not headline.endswith(".")
        assert headline[0] == "`" or not headline[0].isupper()
        for text in words_of(diagnostic):
            assert not INTERNAL.search(text), text


def test_helps_marked_applicable_compile_when_applied(compiled: tuple[str, Compilation]) -> None:
    name, compilation = compiled
    for diagnostic in compilation.diagnostics:
        for help in diagnostic.helps:
            if help.applicable:
                text = apply_edits(compilation.sources[compilation.name].text, help.edits)
                mended = compile_text(text, name=f"{name}.mfg")
                assert mended.ok, (help.text, render_text(mended.diagnostics, mended.sources))


def test_every_code_of_a_spec_has_a_bad_spec() -> None:
    covered = {name.split("_")[0] for name in SPECS}
    assert covered == set(CODES) - ELSEWHERE


def test_there_is_a_rendering_for_each_spec_and_a_spec_for_each_rendering() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.txt")) == SPECS


def test_at_least_eight_kinds_of_faults_are_mended_by_edits() -> None:
    mended = set()
    for name in SPECS:
        for diagnostic in compile_file(FOLDER / f"{name}.mfg").diagnostics:
            if any(help.applicable for help in diagnostic.helps):
                mended.add(diagnostic.code)
    assert len(mended) >= 8


def test_at_most_twenty_errors_are_shown() -> None:
    lines = "\n".join(f"  cost c{i} = missing_{chr(97 + i)}{i}x" for i in range(25))
    text = (FOLDER / "MFG101_close_name.mfg").read_text().replace("\n}\n", f"\n{lines}\n}}\n")
    compilation = compile_text(text)
    shown = render_text(compilation.diagnostics, compilation.sources)
    assert shown.count("error[") == 20
    assert shown.endswith("... and 6 errors more")
