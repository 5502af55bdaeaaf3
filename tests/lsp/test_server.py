"""The protocol, spoken to one real server process for all tests."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pygls")

from tests.lsp.speaking import Editor

GAME = """\
model walk
param n : int in 2..9 = 4  ## number of places
objective nash
horizon 3
population walker as mu {
  state x : int mod n ~ uniform
  action a : int in -1..1
  x' = x + a
  cost crowd = mu[x]
}
"""


@pytest.fixture(scope="module")
def editor() -> Iterator[Editor]:
    started = Editor()
    yield started
    assert started.close() == 0


def where(text: str, word: str) -> dict[str, int]:
    line = text.count("\n", 0, text.index(word))
    return {"line": line, "character": text.splitlines()[line].index(word)}


def test_a_text_is_checked_again_when_it_changes(editor: Editor, tmp_path: Path) -> None:
    uri = (tmp_path / "walk.mfg").as_uri()
    editor.open(uri, GAME)
    assert editor.faults(uri) == []
    for version in range(2, 6):  # only the last of a run of keys is checked
        editor.write(uri, GAME.replace("mu[x]", "mu[" + "y" * version), version)
    editor.write(uri, GAME.replace("mu[x]", "mu[z]"), 6)
    (fault,) = editor.faults(uri, 6)
    assert (fault["code"], fault["range"]["start"]) == ("MFG101", where(GAME, "x]"))
    assert fault["codeDescription"]["href"].endswith("MFG101.md")
    editor.write(uri, GAME, 7)
    assert editor.faults(uri, 7) == []
    others = [m["params"] for m in editor.told if m["method"].endswith("publishDiagnostics")]
    assert [p for p in others if p["uri"] == uri] == []


def test_columns_are_counted_in_the_units_that_every_editor_knows(editor: Editor) -> None:
    assert editor.abilities["positionEncoding"] == "utf-16"  # though it offered another one first


def test_every_request_has_an_answer(editor: Editor, tmp_path: Path) -> None:
    uri = (tmp_path / "asked.mfg").as_uri()
    text = GAME.replace("mu[x]", "mu[ x ]")
    editor.open(uri, text)
    assert editor.faults(uri) == []
    here: dict[str, Any] = {"textDocument": {"uri": uri}, "position": where(text, "x + a")}
    assert "int 0..3 ring" in editor.ask("textDocument/hover", here)["contents"]["value"]
    (place,) = editor.ask("textDocument/definition", here)
    assert (place["uri"], place["range"]["start"]) == (uri, where(text, "x : int"))
    found = editor.ask("textDocument/references", here | {"context": {"includeDeclaration": False}})
    assert len(found) == 3
    changes = editor.ask("textDocument/rename", here | {"newName": "place"})["changes"]
    assert [len(edits) for edits in changes.values()] == [4]
    refused = editor.ask("textDocument/rename", here | {"newName": "a"})
    assert refused["message"].startswith("`a` is taken")
    offered = editor.ask("textDocument/completion", here)
    assert {"x", "n", "mu", "mean"} <= {item["label"] for item in offered}
    whole = {"textDocument": {"uri": uri}}
    (edit,) = editor.ask(
        "textDocument/formatting", whole | {"options": {"tabSize": 2, "insertSpaces": True}}
    )
    assert edit["newText"].count("mu[x]") == 1
    tree = editor.ask("textDocument/documentSymbol", whole)
    assert [s["name"] for s in tree] == ["walk", "n", "walker"]
    assert len(editor.ask("textDocument/semanticTokens/full", whole)["data"]) % 5 == 0


def test_helps_are_offered_as_actions(editor: Editor, tmp_path: Path) -> None:
    uri = (tmp_path / "mended.mfg").as_uri()
    editor.open(uri, GAME.replace("param n ", "param places ").replace("mod n", "mod place"))
    fault, *_ = editor.faults(uri)
    context = {"diagnostics": [fault]}
    where_it_is = {"textDocument": {"uri": uri}, "range": fault["range"], "context": context}
    actions = editor.ask("textDocument/codeAction", where_it_is)
    assert [a["kind"] for a in actions] == ["quickfix", "source.fixAll"]
    (edit,) = actions[0]["edit"]["changes"][uri]
    assert (edit["newText"], edit["range"]) == ("places", fault["range"])


def test_what_others_import_is_read_again_when_it_is_saved(editor: Editor, tmp_path: Path) -> None:
    library = tmp_path / "lib.mfg"
    library.write_text("library lib\nfn half(x) = x / 2\n")
    uri = (tmp_path / "importing.mfg").as_uri()
    editor.open(uri, GAME.replace("model walk", 'model walk\nimport half from "lib.mfg"'))
    assert [f["code"] for f in editor.faults(uri)] == ["MFG801"]
    library.write_text("library lib\nfn half(x) = x /\n")
    editor.tell("textDocument/didSave", {"textDocument": {"uri": library.as_uri()}})
    (fault,) = editor.faults(uri)
    assert fault["range"]["start"] == {"line": 1, "character": 17}
    assert fault["relatedInformation"][0]["location"]["uri"] == library.as_uri()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\ufeff\x00\x1b model",
        "model m\n" + "(" * 3000,
        "model m\nlet a = " + "-" * 3000 + "1",
        "model m\nlet a = b\nlet b = a\nfn f(x) = f(x)\n",
        'model m\nimport m from "m.mfg"\nimport x from "' + "/" * 5000 + '"\n',
        GAME.replace("{", ""),
        GAME[: len(GAME) // 2],
        "population { population { state : = ~ \U0001f600 }",
    ],
)
def test_a_broken_text_does_not_end_the_server(editor: Editor, tmp_path: Path, text: str) -> None:
    uri = (tmp_path / "m.mfg").as_uri()
    editor.open(uri, text)
    assert editor.faults(uri) != []
    here = {"textDocument": {"uri": uri}, "position": {"line": 1, "character": 9}}
    for method in ("hover", "definition", "completion", "documentSymbol", "semanticTokens/full"):
        answer = editor.ask(f"textDocument/{method}", here)
        assert not (isinstance(answer, dict) and "message" in answer), answer
    assert [m for m in editor.told if m["method"] == "window/logMessage"] == []
    editor.tell("textDocument/didClose", {"textDocument": {"uri": uri}})


def test_a_text_that_was_never_saved_is_checked(editor: Editor) -> None:
    editor.open("untitled:Untitled-1", GAME)
    assert editor.faults("untitled:Untitled-1") == []
