"""The layout of diagnostics, against texts written out in full."""

import json
import re
import time
from pathlib import Path

import pytest

from mfdsl.compiler.codes import CODES
from mfdsl.compiler.diagnostics import Diagnostic, Edit, Help, Label, Sink
from mfdsl.compiler.render import (
    render_github,
    render_json,
    render_sarif,
    render_text,
    summary,
)
from mfdsl.compiler.source import SourceFile, Span

BEACH = "\n" * 21 + (
    "  reward crowding  = -c_crowd * log(mu[x] + eps)\n"
    "  cost   effort    = abs(a) / n\n"
    "\n"
    "  agents 1000\n"
    "  require reward in [-2, 5]\n"
    "  require lipschitz(reward, mu) <= 100\n"
)


def sources(**texts: str) -> dict[str, SourceFile]:
    return {f"{name}.mfg": SourceFile(f"{name}.mfg", text) for name, text in texts.items()}


def place(text: str, part: str, file: str = "spec.mfg") -> Span:
    start = text.index(part)
    return Span(file, start, start + len(part))


def one(text: str, part: str, label: str = "here") -> str:
    diagnostic = Diagnostic(
        "MFG801", "warning", "headline", (Label(place(text, part), label, True),)
    )
    return render_text([diagnostic], sources(spec=text))


def test_labels_notes_and_helps_follow_the_excerpt() -> None:
    sink = Sink()
    sink.report(
        "MFG511",
        "reward is not 100-Lipschitz in `mu`",
        place(BEACH, "log(mu[x] + eps)", "beach.mfg"),
        "slope is up to 1/eps = 1e+06 here",
        also=[
            (place(BEACH, "lipschitz(reward, mu) <= 100", "beach.mfg"), "required here"),
            (place(BEACH, "mu[x]", "beach.mfg"), "a mass, anywhere in [0, 1]"),
        ],
        notes=["bound found: 500,000 at eps = 1e-6,\nin l1 distance between laws"],
        helps=["raise the floor: eps = 0.005 gives 100"],
    )
    assert (
        render_text(sink.diagnostics, sources(beach=BEACH))
        == """\
error[MFG511]: reward is not 100-Lipschitz in `mu`
  --> beach.mfg:22:33
   |
22 |   reward crowding  = -c_crowd * log(mu[x] + eps)
   |                                 ^^^^^^^^^^^^^^^^ slope is up to 1/eps = 1e+06 here
   |                                     ----- a mass, anywhere in [0, 1]
...
27 |   require lipschitz(reward, mu) <= 100
   |           ---------------------------- required here
   |
   = note: bound found: 500,000 at eps = 1e-6,
           in l1 distance between laws
   = help: raise the floor: eps = 0.005 gives 100
   = for the rules, run `mfdsl explain MFG511`"""
    )


def test_one_line_between_two_labels_is_shown() -> None:
    text = "let a = 1\nlet b = 2\nlet a = 3\n"
    label, first = (
        Label(Span("spec.mfg", 24, 25), "again", True),
        Label(Span("spec.mfg", 4, 5), "first"),
    )
    diagnostic = Diagnostic("MFG102", "warning", "`a` is already a `let`", (label, first))
    assert (
        render_text([diagnostic], sources(spec=text))
        == """\
warning[MFG102]: `a` is already a `let`
 --> spec.mfg:3:5
  |
1 | let a = 1
  |     - first
2 | let b = 2
3 | let a = 3
  |     ^ again"""
    )


def test_labels_without_text_share_a_row() -> None:
    text = "x' = a + b + c"
    labels = (
        Label(place(text, "a"), "", True),
        Label(place(text, "b")),
        Label(place(text, "c"), "three of them"),
    )
    shown = render_text([Diagnostic("MFG801", "warning", "m", labels)], sources(spec=text))
    assert shown.endswith("1 | x' = a + b + c\n  |      ^   -   - three of them")


def test_labels_in_another_file_make_a_second_block() -> None:
    main, library = "let z = f(1, 2)\n", "library l\n\nfn f(x) = x\n"
    labels = (
        Label(place(library, "f(x)", "lib.mfg"), "takes one argument"),
        Label(place(main, "f(1, 2)", "main.mfg"), "two arguments", True),
    )
    shown = render_text(
        [Diagnostic("MFG206", "error", "`f` takes 1 argument, got 2", labels)],
        sources(main=main, lib=library),
    )
    assert (
        shown
        == """\
error[MFG206]: `f` takes 1 argument, got 2
 --> main.mfg:1:9
  |
1 | let z = f(1, 2)
  |         ^^^^^^^ two arguments
  |
 ::: lib.mfg:3:4
  |
3 | fn f(x) = x
  |    ---- takes one argument
  |
  = for the rules, run `mfdsl explain MFG206`"""
    )


def test_a_label_over_several_lines_marks_each_and_speaks_on_the_last() -> None:
    text = "h' = match h {\n  S -> a,\n\n  R -> b\n}\n"
    span = Span("spec.mfg", text.index("match"), text.index("}") + 1)
    diagnostic = Diagnostic("MFG801", "warning", "m", (Label(span, "no arm for `I`", True),))
    assert render_text([diagnostic], sources(spec=text)).endswith(
        """\
1 | h' = match h {
  |      ^^^^^^^^^
2 |   S -> a,
  |   ^^^^^^^
3 |
4 |   R -> b
  |   ^^^^^^
5 | }
  | ^ no arm for `I`"""
    )


def test_a_long_label_shows_its_first_lines_and_its_last() -> None:
    text = "{\n" + "  a,\n" * 10 + "}\n"
    shown = one(text, text.strip(), "all of it")
    assert shown.endswith("2 |   a,\n   |   ^^\n...\n12 | }\n   | ^ all of it")


def test_tabs_wide_and_combining_characters_stay_aligned() -> None:
    assert one("\tx' = y", "y").endswith("1 |     x' = y\n  |          ^ here")
    assert one("# 日本 y", "y").endswith("1 | # 日本 y\n  |        ^ here")
    assert one("# 日本 y", "日本").endswith("  |   ^^^^ here")
    assert one("e\u0301 = y", "y").endswith("1 | e\u0301 = y\n  |     ^ here")


def test_control_characters_are_shown_as_escapes() -> None:
    shown = one("a \x1b[31m \u202e y", "y")
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert shown.endswith(
        "1 | a \\x1b[31m \\u202e y\n  |                  ^ here".replace(" " * 18, " " * 19)
    )
    message = Diagnostic("MFG801", "warning", "name `\x1b[2J`", notes=("\u200b",))
    assert render_text([message], {}) == "warning[MFG801]: name `\\x1b[2J`\n  = note: \\u200b"


def test_a_place_past_the_end_of_a_line_or_text_has_a_caret() -> None:
    text = "x' =\n"
    end_of_line = Diagnostic(
        "MFG801", "warning", "m", (Label(Span("spec.mfg", 4, 4), "value", True),)
    )
    assert render_text([end_of_line], sources(spec=text)).endswith("1 | x' =\n  |     ^ value")
    beyond = Diagnostic("MFG801", "warning", "m", (Label(Span("spec.mfg", 90, 99), "value", True),))
    assert render_text([beyond], sources(spec="ab")).endswith("1 | ab\n  |   ^ value")


def test_very_long_lines_are_cut_around_the_label() -> None:
    text = "let z = " + " + ".join(f"term{i:03}" for i in range(5000)) + "\n"
    for part in ("term000", "term015", "term2500", "term4999"):
        shown = one(text, part).split("\n")
        line, marks = shown[-2], shown[-1]
        assert len(line) < 140
        assert line[marks.index("^") : marks.rindex("^") + 1] == part


def test_a_line_of_a_megabyte_is_shown_quickly() -> None:
    text = "let z = " + "x + " * 250_000 + "y"
    label = (Label(place(text, "y"), "here", True),)
    found = [Diagnostic("MFG801", "warning", str(i), label) for i in range(20)]
    began = time.perf_counter()
    shown = render_text(found, sources(spec=text))
    assert time.perf_counter() - began < 5
    assert len(shown) < 20 * 400


def test_far_labels_on_a_long_line_point_at_the_cut() -> None:
    text = "let z = " + " + ".join(f"term{i:03}" for i in range(500)) + "\n"
    labels = (Label(place(text, "term400"), "here", True), Label(place(text, "term003"), "there"))
    shown = render_text([Diagnostic("MFG801", "warning", "m", labels)], sources(spec=text)).split(
        "\n"
    )
    assert shown[-3][4:7] == "..."
    assert shown[-2].split("|", 1)[1].strip() == "- there"
    assert shown[-3][shown[-1].index("^") :].startswith("term400")


def test_help_shows_the_mended_line_unless_its_words_do() -> None:
    text = "x' = x + a\n"
    edit = Edit(place(text, "x + a"), "clip(x + a)")
    label = (Label(edit.span, "reaches 10", True),)

    def shown(help_text: str) -> str:
        help = Help(help_text, (edit,), True)
        found = Diagnostic("MFG303", "warning", "m", label, (), (help,))
        return render_text([found], sources(spec=text))

    assert shown("stop at the edge").endswith(
        "  = help: stop at the edge\n          x' = clip(x + a)"
    )
    assert shown("write `clip(x + a)`").endswith("  = help: write `clip(x + a)`")


def test_help_with_edits_on_two_lines_shows_both() -> None:
    text = "a\nlet x = mean\nlet y = 1\n"
    edits = (Edit(place(text, "mean"), "round"), Edit(place(text, "1"), "dither"))
    found = Diagnostic(
        "MFG801", "warning", "m", (Label(edits[0].span, "", True),), (), (Help("both", edits),)
    )
    assert render_text([found], sources(spec=text)).endswith(
        "= help: both\n          let x = round\n          let y = dither"
    )


def test_rules_are_named_once_for_each_code_and_only_for_errors() -> None:
    found = [
        Diagnostic("MFG101", "error", "one"),
        Diagnostic("MFG101", "error", "two"),
        Diagnostic("MFG102", "error", "three"),
        Diagnostic("MFG801", "warning", "four"),
    ]
    shown = render_text(found, {})
    assert re.findall(r"explain (MFG\d+)", shown) == ["MFG101", "MFG102"]


def test_errors_win_over_warnings_at_the_limit_and_the_rest_is_counted() -> None:
    found = [Diagnostic("MFG801", "warning", f"w{i}") for i in range(3)]
    found += [Diagnostic("MFG101", "error", f"e{i}") for i in range(4)]
    shown = render_text(found, {}, limit=5)
    assert "w0" in shown
    assert "w1" not in shown
    assert all(f"e{i}" in shown for i in range(4))
    assert shown.index("w0") < shown.index("e0")
    assert shown.endswith("\n\n... and 2 warnings more")


def test_a_file_without_text_is_named_without_an_excerpt() -> None:
    label = Label(Span("lost.mfg", 3, 4), "x", True)
    shown = render_text([Diagnostic("MFG013", "warning", "cannot read `lost.mfg`", (label,))], {})
    assert shown == "warning[MFG013]: cannot read `lost.mfg`\n --> lost.mfg"


def test_colour_adds_escapes_and_nothing_else() -> None:
    sink = Sink()
    sink.report(
        "MFG101",
        "unknown name",
        place(BEACH, "mu[x]", "beach.mfg"),
        "what",
        notes=["n"],
        helps=["h"],
    )
    plain = render_text(sink.diagnostics, sources(beach=BEACH))
    coloured = render_text(sink.diagnostics, sources(beach=BEACH), color=True)
    assert "\x1b[1;31m" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain


def test_summary_counts_by_severity() -> None:
    error, warning = Diagnostic("MFG101", "error", ""), Diagnostic("MFG801", "warning", "")
    note = Diagnostic("MFG803", "note", "")
    assert summary([]) == "0 errors"
    assert summary([warning]) == "0 errors, 1 warning"
    assert summary([error, error, warning, note]) == "2 errors, 1 warning, 1 note"


def sample() -> tuple[list[Diagnostic], dict[str, SourceFile]]:
    text = "# é\nlet y = exposur\n"
    sink = Sink()
    span = place(text, "exposur")
    sink.report(
        "MFG101",
        "unknown name `exposur`",
        span,
        "not defined, 100% sure",
        also=[(place(text, "y"), "in this `let`")],
        notes=["a note"],
        helps=[Help("did you mean `exposure`?", (Edit(span, "exposure"),), applicable=True)],
    )
    return sink.diagnostics, sources(spec=text)


def test_json_has_lines_columns_and_byte_offsets() -> None:
    found = render_json(*sample())
    assert json.loads(json.dumps(found)) == [
        {
            "code": "MFG101",
            "severity": "error",
            "message": "unknown name `exposur`",
            "labels": [
                {
                    "file": "spec.mfg",
                    "start": {"line": 2, "col": 9, "offset": 13},
                    "end": {"line": 2, "col": 16, "offset": 20},
                    "text": "not defined, 100% sure",
                    "primary": True,
                },
                {
                    "file": "spec.mfg",
                    "start": {"line": 2, "col": 5, "offset": 9},
                    "end": {"line": 2, "col": 6, "offset": 10},
                    "text": "in this `let`",
                    "primary": False,
                },
            ],
            "notes": ["a note"],
            "helps": [
                {
                    "text": "did you mean `exposure`?",
                    "applicable": True,
                    "edits": [{"file": "spec.mfg", "start": 13, "end": 20, "text": "exposure"}],
                }
            ],
        }
    ]


def test_sarif_names_the_rule_the_regions_and_the_fix() -> None:
    log = render_sarif(*sample())
    run = log["runs"][0]
    assert log["version"] == "2.1.0"
    assert run["columnKind"] == "unicodeCodePoints"
    (rule,) = run["tool"]["driver"]["rules"]
    assert (rule["id"], rule["shortDescription"]["text"]) == ("MFG101", CODES["MFG101"].title)
    (result,) = run["results"]
    region = {"startLine": 2, "startColumn": 9, "endLine": 2, "endColumn": 16}
    assert (result["ruleId"], result["ruleIndex"], result["level"]) == ("MFG101", 0, "error")
    assert result["locations"] == [
        {
            "physicalLocation": {"artifactLocation": {"uri": "spec.mfg"}, "region": region},
            "message": {"text": "not defined, 100% sure"},
        }
    ]
    assert [location["id"] for location in result["relatedLocations"]] == [0]
    (change,) = result["fixes"][0]["artifactChanges"]
    assert change["replacements"] == [
        {"deletedRegion": region, "insertedContent": {"text": "exposure"}}
    ]


def test_sarif_of_no_diagnostics_is_an_empty_run() -> None:
    run = render_sarif([], {})["runs"][0]
    assert run["results"] == []
    assert run["tool"]["driver"] == {"name": "mfdsl", "rules": []}


def test_github_commands_escape_what_github_reads() -> None:
    assert render_github(*sample()) == (
        "::error file=spec.mfg,line=2,col=9,endLine=2,endColumn=16,title=MFG101"
        "::unknown name `exposur` (not defined, 100%25 sure)%0Aa note"
        "%0Ahelp: did you mean `exposure`?"
    )
    label = Label(Span("a,b:c.mfg", 0, 3), "", True)
    note = Diagnostic("MFG803", "note", "two\nlines", (label,))
    shown = render_github([note], {"a,b:c.mfg": SourceFile("a,b:c.mfg", "x\ny\n")})
    assert shown == ("::notice file=a%2Cb%3Ac.mfg,line=1,endLine=2,title=MFG803::two%0Alines")


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_row_of_the_catalogue_is_filled(code: str) -> None:
    row = CODES[code]
    assert row.code == code
    assert re.fullmatch(r"MFG\d{3}", code)
    assert row.title and row.title[0] in "`abcdefghijklmnopqrstuvwxyz"
    assert not row.title.endswith(".")


def test_every_code_that_the_compiler_writes_is_in_the_catalogue() -> None:
    root = Path(__file__).parents[1]
    written = {
        code
        for folder in ("compiler", "runtime", "mfdsl/cli")
        for path in (root / folder).rglob("*.py")
        for code in re.findall(r'"(MFG\d{3})"', path.read_text(encoding="utf-8"))
    }
    assert written - set(CODES) == set()
