"""Edits of applicable helps: chosen without overlap, made at once."""

from mfdsl.compiler.diagnostics import Diagnostic, Edit, Help
from mfdsl.compiler.fix import applicable_edits, apply_edits
from mfdsl.compiler.source import Span


def edit(start: int, end: int, text: str, file: str = "spec.mfg") -> Edit:
    return Edit(Span(file, start, end), text)


def helped(*helps: Help) -> Diagnostic:
    return Diagnostic("MFG101", "error", "m", helps=helps)


def test_edits_are_made_in_any_order_at_the_places_of_the_old_text() -> None:
    edits = [edit(8, 9, "three"), edit(0, 1, "one"), edit(4, 5, "")]
    assert apply_edits("a + b + c", edits) == "one +  + three"


def test_an_empty_span_inserts() -> None:
    assert apply_edits("2 x", [edit(2, 2, "* ")]) == "2 * x"


def test_of_overlapping_edits_the_first_wins() -> None:
    assert apply_edits("abcdef", [edit(1, 4, "X"), edit(3, 5, "Y"), edit(4, 6, "Z")]) == "aXZ"
    assert apply_edits("ab", [edit(1, 1, "X"), edit(1, 1, "Y")]) == "aXb"


def test_only_the_first_applicable_help_of_a_diagnostic_is_taken() -> None:
    found = [
        helped(
            Help("a guess", (edit(0, 1, "guess"),)),
            Help("sure", (edit(0, 1, "sure"),), applicable=True),
            Help("also", (edit(5, 6, "also"),), applicable=True),
        )
    ]
    assert applicable_edits(found, "spec.mfg") == [edit(0, 1, "sure")]


def test_a_help_that_overlaps_an_earlier_one_waits_as_a_whole() -> None:
    first = helped(Help("first", (edit(4, 6, "x"),), applicable=True))
    second = helped(Help("second", (edit(0, 1, "y"), edit(5, 7, "y")), applicable=True))
    third = helped(Help("third", (edit(0, 1, "z"),), applicable=True))
    assert applicable_edits([first, second, third], "spec.mfg") == [
        edit(0, 1, "z"),
        edit(4, 6, "x"),
    ]


def test_helps_that_reach_into_other_files_are_left_alone() -> None:
    both = helped(Help("both", (edit(0, 1, "x"), edit(0, 1, "y", "lib.mfg")), applicable=True))
    assert applicable_edits([both], "spec.mfg") == []
    assert applicable_edits([both], "lib.mfg") == []


def test_the_same_edit_from_two_diagnostics_is_made_once() -> None:
    found = [helped(Help("add", (edit(3, 3, "!"),), applicable=True)) for _ in range(2)]
    assert apply_edits("abc", applicable_edits(found, "spec.mfg")) == "abc!"
