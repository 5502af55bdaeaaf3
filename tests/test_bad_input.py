"""Files that are no specs, imports that lead nowhere, data that does not fit: one message each."""

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest

from mfdsl.compiler.diagnostics import Diagnostic
from mfdsl.compiler.driver import Compilation, Options, compile_file, compile_text
from mfdsl.compiler.render import render_text
from mfdsl.shipped import shipped_specs

MODEL = """model small
{top}
objective nash
horizon 2

population people as mu {{
  state  x : int in 0..2 ~ uniform
  action a : int in 0..2
  x' = a
  cost crowd = {cost}
}}
"""
LIBRARY = "library tools\n\nfn near(d) = max(0, 1 - d)\n"


def model(top: str = "", cost: str = "mu[x]") -> str:
    return MODEL.format(top=top, cost=cost)


def compiled(folder: Path, text: str | bytes, **options: object) -> Compilation:
    path = folder / "spec.mfg"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return compile_file(path, Options(root=folder, **options))  # type: ignore[arg-type]


def only(compilation: Compilation) -> Diagnostic:
    """The one diagnostic, which renders; there is no model then."""
    assert compilation.model is None
    assert render_text(compilation.diagnostics, compilation.sources)
    (diagnostic,) = compilation.diagnostics
    return diagnostic


@pytest.mark.parametrize("name", ["beach_bar", "four_rooms", "sis"])
def test_truncated_specs_are_diagnosed(name: str, tmp_path: Path) -> None:
    data = shipped_specs()[name].read_bytes()
    for size in range(0, len(data), 50):
        found = compiled(tmp_path, data[:size])
        assert found.ok == (found.model is not None)
        assert found.ok or 1 <= len(found.diagnostics) <= 20
        render_text(found.diagnostics, found.sources)


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (b"", "MFG001", "declares nothing"),
        (b"\n\n  # nothing\n", "MFG001", "declares nothing"),
        (b"\x7fELF\x02\x01\x01\0\0\0", "MFG012", "not UTF-8 text"),
        (bytes(range(128, 256)), "MFG012", "not UTF-8 text"),
        (model().encode("utf-16"), "MFG012", "it is UTF-16"),
        (b"#" * (2 << 20), "MFG703", "larger than 1 MiB"),
        (model(cost="(" * 2000 + "1" + ")" * 2000).encode(), "MFG702", "nested more than 64"),
        (model(cost="[" * 2000 + "1" + "]" * 2000).encode(), "MFG702", "nested more than 64"),
        (model(cost="-" * 2000 + "1").encode(), "MFG702", "deep"),
        (model(cost="mu[х]").encode(), "MFG008", "CYRILLIC SMALL LETTER HA"),
        (model(cost="mu[x]​").encode(), "MFG008", "ZERO WIDTH SPACE"),
        (model(cost="mu［x］").encode(), "MFG008", "FULLWIDTH LEFT SQUARE BRACKET"),
    ],
)
def test_what_is_not_a_spec_gets_one_message(
    content: bytes, code: str, words: str, tmp_path: Path
) -> None:
    found = compiled(tmp_path, content)
    assert {d.code for d in found.diagnostics} == {code}
    only_one = found.diagnostics[0]
    assert words in " ".join((only_one.message, *(help.text for help in only_one.helps)))
    assert found.model is None


@pytest.mark.parametrize("name", ["missing.mfg", "", ".", "folder", "a\0b.mfg"])
def test_a_path_that_is_no_file_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    found = only(compile_file(tmp_path / name))
    assert (found.code, found.labels) == ("MFG013", ())
    assert found.message.startswith("cannot read `")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("missing.mfg", "no such file under the project"),
        ("../outside.mfg", "it lies outside the project"),
        ("../../../../etc/passwd.mfg", "it lies outside the project"),
        ("/etc/tools.mfg", "paths are relative"),
        ("file://tools.mfg", "paths are relative"),
        ("lib\\tools.mfg", "paths are relative"),
        ("link.mfg", "it lies outside the project"),
        ("folder.mfg", "no such file under the project"),
        ("tools.py", "not a `.mfg` file"),
    ],
)
def test_an_import_that_leads_nowhere_is_placed(path: str, words: str, tmp_path: Path) -> None:
    root = tmp_path / "project"
    (root / "folder.mfg").mkdir(parents=True)
    (tmp_path / "outside.mfg").write_text(LIBRARY)
    os.symlink(tmp_path / "outside.mfg", root / "link.mfg")
    found = only(compiled(root, model(f'import near from "{path}"')))
    assert found.code == "MFG011"
    assert words in found.message
    assert found.primary is not None
    assert found.primary.span.file.endswith("spec.mfg")


def test_an_import_cycle_names_its_files(tmp_path: Path) -> None:
    (tmp_path / "one.mfg").write_text('library one\nimport g from "two.mfg"\nfn f(x) = g(x)\n')
    (tmp_path / "two.mfg").write_text('library two\nimport f from "one.mfg"\nfn g(x) = f(x)\n')
    found = only(compiled(tmp_path, model('import f from "one.mfg"', "f(mu[x])")))
    assert found.code == "MFG011"
    assert found.message.startswith("import cycle ")


def test_a_misspelt_import_offers_the_right_name(tmp_path: Path) -> None:
    (tmp_path / "tools.mfg").write_text(LIBRARY)
    found = only(compiled(tmp_path, model('import naer from "tools.mfg"', "naer(mu[x])")))
    assert (found.code, found.message) == ("MFG011", "`tools.mfg` has no `naer`")
    assert [help.text for help in found.helps] == ["did you mean `near`?"]


def test_a_model_is_not_imported_and_a_library_is_not_solved(tmp_path: Path) -> None:
    (tmp_path / "game.mfg").write_text(model())
    found = compiled(tmp_path, model('import x from "game.mfg"', "mu[x]"))
    assert "MFG011" in {d.code for d in found.diagnostics}
    assert only(compiled(tmp_path, LIBRARY)).message == "`tools` is a library, not a model"


def archived(toll: list[complex]) -> bytes:
    content = io.BytesIO()
    np.savez(content, toll=np.array(toll))
    return content.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("toll.csv", None, "no such file"),
        ("toll.csv", "1,2\n", "holds an array of shape [2], not [3]"),
        ("toll.csv", "1,2\n3\n", "line 2: expected 2 fields, found 1"),
        ("toll.csv", "1,two,3\n", "line 1: `two` is not a number; a file of an array has numbers"),
        ("toll.csv", "1\n2\nthree\n", "line 3: `three` is not a number"),
        ("toll.csv", "1;2;3\n", "`1;2;3` is not a number; cells are separated by commas"),
        ("toll.csv", "1,nan,3\n", "holds nan at position 1"),
        ("toll.csv", b"\xff\xfe1,2,3", "not UTF-8 text"),
        ("toll.json", "[1, 2", "line 1"),
        ("toll.json", "[1, [2], 3]", "rows of different length"),
        ("toll.json", '{"tol": [1, 2, 3]}', "has no key `toll`, it has `tol`"),
        ("toll.json", "[1, NaN, 3]", "holds nan at position 1"),
        ("toll.json", '[1, "2", 3]', "not a number"),
        ("toll.json", json.dumps([10**400, 1, 2]), "too large"),
        ("toll.json", "[" + "1" * 5000 + "]", "too many digits"),
        ("toll.npz", "no archive", "not an npz file"),
        ("toll.npz", b"PK\x03\x04 cut off", "not an npz file"),
        ("toll.npz", archived([1, 2j, 3]), "holds complex128, not numbers"),
        ("toll.txt", "1", "cannot read data from `toll.txt`"),
    ],
)
def test_data_that_does_not_fit_is_placed_at_the_parameter(
    name: str, content: str | bytes | None, words: str, tmp_path: Path
) -> None:
    if content is not None:
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(data)
    found = only(compiled(tmp_path, model(f'param toll : real[3] from "{name}"', "toll[x]")))
    assert found.code == "MFG705"
    assert words in found.message
    assert found.primary is not None


def test_data_out_of_range_is_placed_at_the_parameter(tmp_path: Path) -> None:
    (tmp_path / "toll.csv").write_text("1,2,30\n")
    text = model('param toll : real[3] in [0, 5] from "toll.csv"', "toll[x]")
    assert only(compiled(tmp_path, text)).message == "`toll = 30` is outside its range [0, 5]"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"tol": 1}, "MFG901"),
        ({"toll": 9}, "MFG307"),
        ({"toll": "high"}, "MFG307"),
        ({"toll": "nan"}, "MFG307"),
        ({"toll": "1e999"}, "MFG307"),
        ({"toll": (1.0, 2.0)}, "MFG307"),
    ],
)
def test_a_wrong_override_is_diagnosed(given: dict[str, object], code: str) -> None:
    text = model("param toll : real in [0, 5] = 1", "toll * mu[x]")
    options = Options(parameters=given)  # type: ignore[arg-type]
    assert only(compile_text(text, options=options)).code == code
