"""What the server answers, as functions of a text: no protocol, no process."""

from pathlib import Path

import pytest

pytest.importorskip("pygls")

from lsprotocol import types

from mfdsl.compiler.fix import apply_edits
from mfdsl.compiler.source import Span
from mfdsl.lsp.checking import certificates, check
from mfdsl.lsp.colouring import TYPES, semantic_tokens
from mfdsl.lsp.completing import completion
from mfdsl.lsp.diagnosing import actions, shown
from mfdsl.lsp.documents import Document, document_of, uses_everywhere
from mfdsl.lsp.hovering import Known, about_word, hover
from mfdsl.lsp.outline import outline
from mfdsl.lsp.positions import offset, position, range_of
from mfdsl.lsp.renaming import CannotRename, renaming

GAME = """\
## A walk in a ring.
model walk
param n : int in 2..9 = 4      ## number of places
param 𝜅 : real in [0, 1] = 0.5 ## aversion 𝜅
fn half(x) = x / 2
objective nash
horizon n + 1
population walker as mu {
  state x : int mod n ~ uniform
  action a : int in -1..1
  let full = 𝜅 * mu[x]
  x' = x + a
  cost crowd = half(full)
}
"""


def uri(file: str) -> str:
    return f"file://{file}"


def at(document: Document, text: str, shift: int = 0) -> int:
    return document.text.index(text) + shift


def told(document: Document, text: str, shift: int = 0, known: Known | None = None) -> str:
    found = hover(document, at(document, text, shift), known or Known())
    assert found is not None and isinstance(found.contents, types.MarkupContent)
    return found.contents.value


@pytest.mark.parametrize("text", ["", "a\nb", "a\r\nb\r\n", "𝜅 x\n\n𝜅", "a\u2028b\nc", "a\x0cb"])
def test_positions_and_offsets_are_inverse(text: str) -> None:
    breaks = [k for k in range(1, len(text)) if text[k - 1 : k + 1] == "\r\n"]
    places = [k for k in range(len(text) + 1) if k not in breaks]
    assert [offset(text, position(text, k)) for k in places] == places
    assert position(text, len(text)).line == text.count("\n")


def test_columns_count_utf_16_units_and_end_with_the_line() -> None:
    assert position("ab 𝜅x", 4) == types.Position(0, 5)
    assert offset("𝜅x\ny", types.Position(0, 99)) == 2
    assert offset("𝜅x\ny", types.Position(9, 0)) == 4


def test_a_hover_has_kind_text_numbers_and_doc() -> None:
    document = document_of(GAME)
    found = check(document)
    known = Known(found.known.model, certificates(found))
    assert told(document, "n + 1", 0, known).split("\n\n") == [
        "parameter",
        "```mfg\nparam n : int in 2..9 = 4\n```",
        "type `int 2..9`, value 4",
        "number of places",
    ]
    assert "type `int 0..3 ring`" in told(document, "x + a", 0, known)
    assert "between 0 and 0.5" in told(document, "full)", 0, known)
    assert "between -0.25 and 0, counted negative" in told(document, "crowd", 0, known)
    assert "symmetry: walker, **proved**" in told(document, "walk\n", 0, known)
    assert "nash, horizon 5" in told(document, "walk\n", 0, known)
    assert "law of `walker`" in told(document, "mu[x]")
    assert "half(x)" in told(document, "half(full)")


def test_words_of_the_language_are_told_too() -> None:
    document = document_of(GAME)
    assert "objective team" in told(document, "objective")
    assert hover(document, at(document, "##"), Known()) is None
    for word in ("mean", "clip", "path_dist", "softmax", "population", "require"):
        assert about_word(word)


def test_a_fault_stands_where_it_is_with_its_page_and_related_places() -> None:
    text = GAME.replace("half(full)", "half(ful)").replace("mu[x]", "mu[x] + full2")
    document = document_of(text)
    found = check(document)
    faults = [shown(d, document, found.compilation, uri) for d in found.diagnostics]
    assert [f.code for f in faults] == ["MFG101", "MFG101"]
    start = at(document, "full2")
    place = Span(document.name, start, start + len("full2"))
    assert faults[0].range == range_of(text, place)
    assert faults[0].range.start.character == 26  # the letter before is two units long
    assert faults[0].code_description is not None
    page = Path(faults[0].code_description.href.removeprefix("file://"))
    assert page.read_text().startswith("# MFG101")


def test_a_fault_of_an_import_stands_at_the_import(tmp_path: Path) -> None:
    (tmp_path / "lib.mfg").write_text("library lib\nfn half(x) = x /\n")
    text = GAME.replace("fn half(x) = x / 2", 'import half from "lib.mfg"')
    document = document_of(text, tmp_path / "walk.mfg")
    found = check(document)
    (fault,) = [shown(d, document, found.compilation, uri) for d in found.diagnostics]
    (related,) = fault.related_information or ()
    assert fault.range.start.line == 4
    assert related.location.uri.endswith("lib.mfg") and related.location.range.start.line == 1


def test_a_library_is_not_called_a_model_that_lacks_something() -> None:
    assert check(document_of("library lib\nfn half(x) = x / 2\n")).diagnostics == ()
    assert check(document_of("library lib\nfn half(x) = x /\n")).diagnostics != ()


def test_actions_are_the_helps_that_mend() -> None:
    document = document_of(GAME.replace("half(full)", "half(ful)"))
    found = check(document)
    start = at(document, "ful)")
    here = Span(document.name, start, start)
    listed = list(actions(document, found.diagnostics, here, "file:///walk.mfg"))
    assert [a.title for a in listed][-1] == "mend what can be mended"
    assert [a.kind for a in listed] == ["quickfix", "source.fixAll"]
    for action in listed:
        assert action.edit is not None and action.edit.changes is not None
        (edit,) = action.edit.changes["file:///walk.mfg"]
        assert isinstance(edit, types.TextEdit) and edit.new_text == "full"
    away = Span(document.name, 0, 1)
    assert [a.kind for a in actions(document, found.diagnostics, away, "")] == ["source.fixAll"]


def test_a_help_that_changes_the_game_is_no_action() -> None:
    document = document_of(GAME.replace("int mod n", "int in 0..n - 1"))
    found = check(document)
    assert [d.code for d in found.diagnostics] == ["MFG303"]
    assert any(help.edits for d in found.diagnostics for help in d.helps)
    everything = Span(document.name, 0, len(document.text))
    assert list(actions(document, found.diagnostics, everything, "file:///walk.mfg")) == []


def labels(text: str) -> set[str]:
    """What is offered at the `|` of a text."""
    cursor = text.index("|")
    return {i.label for i in completion(document_of(text.replace("|", "")), cursor)}


def test_completion_knows_what_is_in_scope() -> None:
    inside = labels(GAME.replace("half(full)", "half(|)"))
    assert {"n", "κ", "full", "x", "mu", "half", "mean", "if"} <= inside
    assert not {"population", "state"} & inside
    outside = labels(GAME.replace("objective nash", "|"))
    assert {"objective", "population", "n"} <= outside
    assert not {"x", "full", "observe"} & outside
    assert "observe" in labels(GAME.replace("  x' =", "  ob|\n  x' ="))
    assert labels(GAME.replace("## A walk", "## A w|")) == set()


def test_completion_after_a_point_is_about_what_stands_before() -> None:
    other = GAME + "environment market { state z : real = 0  z' = z }\nenum Side { L, R }\n"
    member = {"x", "a", "full"}
    assert labels(other.replace("half(full)", "mean(q.| for q in walker)")) == member
    assert labels(other.replace("half(full)", "mean(x.| for x in walker)")) == member
    assert labels(other.replace("half(full)", "market.|")) == {"z"}
    assert labels(other.replace("half(full)", "Side.|")) == {"L", "R"}
    assert labels(other + "grid g { size 2, 2 }\nlet k = g.|\n") == {"cell", "move"}


def test_renaming_changes_what_means_the_same_and_nothing_else() -> None:
    document = document_of(GAME)
    ((_, edits),) = renaming(document, at(document, "x' ="), "place")
    text = apply_edits(document.text, edits)
    assert text.count("place") == 4 + 1  # one in the doc of `n`
    assert "fn half(x) = x / 2" in text
    assert check(document_of(text)).compilation.ok


@pytest.mark.parametrize(
    ("text", "new", "reason"),
    [
        ("full)", "x", "taken"),
        ("n + 1", "full", "taken"),
        ("n + 1", "mean", "word of the language"),
        ("n + 1", "2n", "no name"),
        ("n + 1", "let", "word of the language"),
        ("n + 1", "kappa", "would be wrong: `κ` and `kappa`"),
        ("objective", "goal", "no name here"),
    ],
)
def test_a_renaming_that_would_make_another_game_is_refused(
    text: str, new: str, reason: str
) -> None:
    document = document_of(GAME)
    with pytest.raises(CannotRename, match=reason):
        renaming(document, at(document, text), new)


def test_a_name_of_a_library_is_renamed_in_all_that_import_it(tmp_path: Path) -> None:
    library, spec = tmp_path / "lib.mfg", tmp_path / "walk.mfg"
    library.write_text("library lib\nfn half(x) = x / 2\nfn quarter(x) = half(half(x))\n")
    spec.write_text(GAME.replace("fn half(x) = x / 2", 'import half from "lib.mfg"'))
    document = document_of(spec.read_text(), spec)
    changes = renaming(document, at(document, "half(full)"), "halved")
    assert {Path(d.name).name: len(edits) for d, edits in changes} == {"lib.mfg": 3, "walk.mfg": 2}
    for other, edits in changes:
        Path(other.name).write_text(apply_edits(other.text, edits))
    assert check(document_of(spec.read_text(), spec)).compilation.ok
    with pytest.raises(CannotRename, match=r"walk\.mfg"):
        document = document_of(library.read_text(), library)
        renaming(document, at(document, "halved(x) ="), "full")


def test_references_count_the_declaration_and_skip_other_names() -> None:
    document = document_of(GAME)
    use = document.index.use_at(at(document, "x + a"))
    assert use is not None
    ((_, uses),) = uses_everywhere(document, use.symbols[0])
    lines = [document.text.count("\n", 0, u.span.start) for u in uses]
    assert lines == [8, 10, 11, 11]


def test_the_outline_nests_members_in_their_player() -> None:
    tree = {s.name: [c.name for c in s.children or ()] for s in outline(document_of(GAME))}
    assert tree == {"walk": [], "n": [], "κ": [], "half": [], "walker": ["x", "a", "full", "crowd"]}


def test_colours_cover_every_word_once_and_in_order() -> None:
    data = semantic_tokens(document_of(GAME))
    lines, found, line, column = GAME.split("\n"), [], 0, 0
    for k in range(0, len(data), 5):
        column = data[k + 1] + (column if data[k] == 0 else 0)
        line += data[k]
        low = offset(GAME, types.Position(line, column))
        high = offset(GAME, types.Position(line, column + data[k + 2]))
        found.append((GAME[low:high], TYPES[data[k + 3]]))
    assert ("𝜅", "parameter") in found and ("walker", "class") in found
    assert ("half", "function") in found and ("x", "property") in found
    assert ("## number of places", "comment") in found and ("mod", "keyword") in found
    assert len(lines) > 10 and [t for t, _ in found].count("full") == 2
