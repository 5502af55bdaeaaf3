"""What syntax errors say, where they point, and that their edits help."""

import re

import pytest

from mfdsl.compiler.diagnostics import Diagnostic, Sink
from mfdsl.compiler.source import SourceFile
from mfdsl.compiler.syntax import ast
from mfdsl.compiler.syntax.applicable import applied
from mfdsl.compiler.syntax.grammar import grammar
from mfdsl.compiler.syntax.parse import parse


def faults(text: str) -> list[Diagnostic]:
    sink = Sink()
    parse(SourceFile("m.mfg", text), sink)
    return sink.diagnostics


def shown(diagnostic: Diagnostic, text: str) -> str:
    assert diagnostic.primary is not None
    span = diagnostic.primary.span
    return text[span.start : span.end]


# Text behind `model m`, code, text under the primary label, headline.
CASES = [
    ("let c = if a then b", "MFG001", "b", "expected `else` to finish this `if` expression"),
    (
        "let c = if a",
        "MFG001",
        "a",
        "expected `then` after the condition of this `if` to finish this `let`",
    ),
    ("let c =", "MFG001", "=", "expected a value after `=` to finish this `let`"),
    ("let c = a + * b", "MFG001", "*", "expected a value after `+`, found `*`"),
    ("let c = [a = b]", "MFG007", "=", "equality is written `==`, not `=`"),
    ("param n = 3", "MFG001", "=", "expected `:` after `n`, found `=`"),
    (
        "let c = 1 + if a then b else d",
        "MFG001",
        "if",
        "`if` inside of a formula needs brackets around it",
    ),
    (
        "population p {\n x' = y'\n}",
        "MFG001",
        "y'",
        "`y'` is a next value and cannot be read within the step",
    ),
    (
        "population p\n  state x : int = 0\n}",
        "MFG001",
        "p",
        "expected `{` to open the block of this `population`",
    ),
    ("let c = if a thn b else d", "MFG001", "thn", "`thn` does not fit here"),
    ("+ 3", "MFG001", "+", "expected the next declaration, found `+`"),
    ("let b = 1 + 2,", "MFG001", ",", "expected an operator or the next declaration, found `,`"),
    ("let a = 2 x", "MFG002", "x", "missing operator between `2` and `x`"),
    ("let a = (b) (c)", "MFG002", "(", "missing operator between `)` and `(`"),
    ("let a = f(1, 2", "MFG003", "(", "this `(` is never closed"),
    ("let a = [1, 2)", "MFG003", ")", "this `[` is closed by `)`"),
    ("let a = 1 )", "MFG003", ")", "this `)` closes nothing"),
    ("population p {\n state x : int = 0", "MFG003", "{", "this `{` is never closed"),
    ('import f from "lib', "MFG003", '"', "this string is never closed"),
    ('grid g { map """\n ##', "MFG003", '"""', "this map is never closed"),
    ("let a = 1 let b = 2", "MFG004", "let", "`let` must start on its own line"),
    (
        "population p { state x : int = 0  x' = 1 }",
        "MFG004",
        "x",
        "`x'` must start on its own line",
    ),
    ("param cost : real = 2", "MFG005", "cost", "`cost` is a keyword and cannot name a parameter"),
    (
        "population p {\n state cost : real = 0\n}",
        "MFG005",
        "cost",
        "`cost` is a keyword and cannot name a state",
    ),
    ("let a = b + grid", "MFG005", "grid", "`grid` is a keyword and cannot be used as a value"),
    (
        "popluation p as mu {\n state x : int = 0\n}",
        "MFG006",
        "popluation",
        "`popluation` is not a declaration",
    ),
    ("population p {\n stat x : int = 0\n}", "MFG006", "stat", "`stat` is not a member of a block"),
    ("let b = 1\na = 3", "MFG006", "a", "`a` is not a declaration"),
    (
        "state x : int = 0",
        "MFG006",
        "state",
        "`state` belongs in a `population`, `major` or `environment` block",
    ),
    (
        "population p {\n  param n : int = 0\n}",
        "MFG006",
        "param",
        "`param` belongs at the top level of the file",
    ),
    ("let a = b ** 2", "MFG007", "**", "powers are written `^`, not `**`"),
    ("let a = b && c", "MFG007", "&&", "logical and is written `and`, not `&&`"),
    ("let a = b || c", "MFG007", "||", "logical or is written `or`, not `||`"),
    ("let a = !b", "MFG007", "!", "negation is written `not`, not `!`"),
    ("let a = b;", "MFG007", ";", "declarations end without `;`"),
    ("let a = b // c", "MFG007", "//", "integer division is written `floor(a / b)`, not `//`"),
    ("let a = b % c", "MFG007", "%", "remainders are written `rem(a, b)`, not `%`"),
    ("// a comment", "MFG007", "//", "comments are written `#`, not `//`"),
    ("let a = b × c", "MFG007", "×", "multiplication is written `*`, not `×`"),
    (
        "let а = 1",
        "MFG008",
        "а",
        "`а` is CYRILLIC SMALL LETTER A; names use Latin or Greek letters",
    ),
    ("let a = x²", "MFG008", "²", "`²` is SUPERSCRIPT TWO; names use Latin or Greek letters"),
    (
        "let a\N{NO-BREAK SPACE}= 1",
        "MFG008",
        "\N{NO-BREAK SPACE}",
        "this character is NO-BREAK SPACE, not a plain space",
    ),
    (
        "let a = 1 # \N{RIGHT-TO-LEFT OVERRIDE}",
        "MFG008",
        "\N{RIGHT-TO-LEFT OVERRIDE}",
        "RIGHT-TO-LEFT OVERRIDE is invisible and can hide what a spec says",
    ),
    ("let a = b @ c", "MFG008", "@", "`@` has no meaning in this language"),
    ("let a = b \x07 c", "MFG008", "\x07", "U+0007 cannot be used in a spec"),
    ("let a = .5", "MFG009", ".5", "numbers need a digit before the point: `0.5`"),
    ("let a = 5. * b", "MFG009", "5.", "numbers need a digit behind the point: `5.0`"),
    (
        'grid g { map """\n ###\n ##\n """ }',
        "MFG010",
        "##",
        "map row 2 has 2 cells, the row above has 3",
    ),
    ('grid g { map """ """ }', "MFG010", 'map """ """', "this map has no rows"),
    ("let a = " + "(" * 65 + "1" + ")" * 65, "MFG702", "(", "nested more than 64 levels deep"),
    ("let " + "a" * 65 + " = 1", "MFG703", "a" * 65, "this name has 65 characters, more than 64"),
    ("let a = " + "1" * 41, "MFG703", "1" * 41, "this number has 41 digits, more than 40"),
    ("let a = 1e999", "MFG703", "1e999", "the exponent of this number is beyond 300"),
]


@pytest.mark.parametrize(("body", "code", "marked", "message"), CASES)
def test_each_fault_has_its_code_place_and_words(
    body: str, code: str, marked: str, message: str
) -> None:
    text = f"model m\n{body}\n"
    found = faults(text)[0]
    assert (found.code, found.message, shown(found, text)) == (code, message, marked)
    rest = {d.code for d in faults(text)[1:]}
    assert rest <= {"MFG003"}, "one fault gives one message, up to the brackets it leaves open"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[1])
def test_messages_speak_the_words_of_the_author(case: tuple[str, str, str, str]) -> None:
    terminals = {t.name for t in grammar().terminals} | {"$END", "__ANON"}
    for fault in faults(f"model m\n{case[0]}\n"):
        helps = [h.text for h in fault.helps]
        for words in [fault.message, *helps, *fault.notes, *(label.text for label in fault.labels)]:
            quoted_out = re.sub(r"`[^`]*`", "", words)
            assert not terminals & set(re.findall(r"[A-Z_$]{2,}", quoted_out)) - {"LETTER"}
        assert not fault.message.endswith(".")
        assert fault.message[0].islower() or fault.message[0] in "`UNR"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[1])
def test_edits_marked_applicable_give_a_file_that_parses(case: tuple[str, str, str, str]) -> None:
    text = f"model m\n{case[0]}\n"
    for fault in faults(text):
        for help in fault.helps:
            if help.applicable:
                assert faults(applied(text, help.edits)) == []


@pytest.mark.parametrize(
    ("body", "mended"),
    [
        ("let a = 2 x", "let a = 2 * x"),
        ("let a = b && c", "let a = b  and  c"),
        ("let a = b ** 2", "let a = b ^ 2"),
        ("let a = .5", "let a = 0.5"),
        ("let b = 1\na = 3", "let b = 1\nlet a = 3"),
        ("let c = if a thn b else d", "let c = if a then b else d"),
        ("let c = iff a then b else d", "let c = if a then b else d"),
        ("let a = 1 let b = 2", "let a = 1 \nlet b = 2"),
        ("horizn 20", "horizon 20"),
    ],
)
def test_the_offered_edit_mends_the_fault(body: str, mended: str) -> None:
    (fault,) = faults(f"model m\n{body}\n")
    edits = [h.edits for h in fault.helps if h.applicable]
    assert [applied(f"model m\n{body}\n", e) for e in edits] == [f"model m\n{mended}\n"]


def test_an_edit_that_does_not_mend_its_declaration_is_only_a_hint() -> None:
    (first, *_) = faults("model m\nlet a = f(b ** , 2) + + c\n")
    assert first.code == "MFG007"
    text = "model m\nlet a = 2 x y\n"
    assert [h.applicable for d in faults(text) for h in d.helps] == []


def test_an_error_does_not_hide_those_of_other_declarations_and_members() -> None:
    text = (
        "model m\nlet a = 2 x\nlet b = f(1\nlet c = 3\npopulation p {\n  state x : int = * 2\n"
        "  let d = (1 + 2\n  let e = [1, 2}\n  reward r = 1 +\n  agents 10\n}\nlet g = if a\n"
    )
    lines = [text.count("\n", 0, d.primary.span.start) + 1 for d in faults(text) if d.primary]
    assert sorted(lines) == [2, 3, 6, 7, 8, 9, 12]
    unit = parse(SourceFile("m.mfg", text), Sink())
    assert [d.name.name for d in unit.declarations if isinstance(d, ast.Let)] == ["c"]
    (player,) = [d for d in unit.declarations if isinstance(d, ast.Player)]
    assert [type(m).__name__ for m in player.members] == ["Let", "Agents"]


def test_two_keywords_as_names_in_one_declaration_are_both_reported() -> None:
    found = faults("model m\nfn f(cost, grid) = 1\n")
    assert [d.code for d in found] == ["MFG005", "MFG005"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "`m.mfg` declares nothing"),
        ("let a = 1\n", "`m.mfg` does not say what it is"),
        ("let a = 1\nmodel m\n", "the `model` line must come first"),
        ("model m\nmodel k\n", "a file has one `model` or `library` line"),
    ],
)
def test_the_header_comes_first_and_once(text: str, message: str) -> None:
    assert [d.message for d in faults(text)] == [message]


def test_limits_of_sizes_have_their_own_message() -> None:
    many = ", ".join(f"v{i}" for i in range(4097))
    arms = ", ".join(f"{i} -> 0" for i in range(257))
    bodies = {
        "4097 values are more than 4096": f"enum E {{ {many} }}",
        "257 arms are more than 256": f"let a = match x {{ {arms} }}",
        "more than 2,000 declarations": "let a = 1\n" * 2001,
        "more than 32 imports": 'import f from "a.mfg"\n' * 33,
        "nested more than 128 operators deep": "let a = " + "- " * 200 + "x",
    }
    for message, body in bodies.items():
        assert [d.message for d in faults(f"model m\n{body}\n")] == [message]


def test_items_behind_an_early_brace_are_reported_once() -> None:
    found = faults("model m\ngraph g {\n  link A -> B\n}\n  link B -> C\n  link C -> D\n")
    assert [d.message for d in found] == ["`link` is not a declaration"]


def test_members_behind_an_early_brace_are_reported_once() -> None:
    found = faults("model m\npopulation p {\n}\n  state x : int = 0\n  agents 10\n  x' = x\n")
    assert [d.code for d in found] == ["MFG006"]
    assert [label.text for label in found[0].labels][1:] == ["the block above ends here"]
