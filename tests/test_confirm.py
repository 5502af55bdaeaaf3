"""Helps are applicable only when the edited text compiles further than the text as it was."""

from mfdsl.compiler.confirm import MAX_CHARACTERS, MAX_TRIED, confirm_helps
from mfdsl.compiler.diagnostics import Diagnostic, Edit, Help
from mfdsl.compiler.driver import compile_text
from mfdsl.compiler.fix import applicable_edits, apply_edits
from mfdsl.compiler.source import Span

SPEC = """model small
objective nash
horizon 2
population people as mu {
  state  x : int in 0..2 ~ uniform
  action a : int in 0..2
  x' = a
  cost crowd = CROWD
}
"""


def fault(code: str, message: str = "m", *, file: str = "spec.mfg") -> Diagnostic:
    help = Help("h", (Edit(Span(file, 0, 1), "y"),), applicable=True)
    return Diagnostic(code, "error", message, helps=(help,))


def applicable(before: Diagnostic, *after: Diagnostic) -> bool:
    (kept,) = confirm_helps("x", "spec.mfg", [before], lambda text: after)
    return kept.helps[0].applicable


def test_an_edit_that_removes_its_fault_stays_applicable() -> None:
    assert applicable(fault("MFG101"))


def test_an_edit_that_leaves_its_fault_or_makes_a_new_one_does_not() -> None:
    assert not applicable(fault("MFG101"), fault("MFG101"))
    assert not applicable(fault("MFG101"), fault("MFG201"))
    assert not applicable(fault("MFG303"), fault("MFG304", "new"))


def test_what_only_a_later_check_finds_does_not_count_against_a_name() -> None:
    assert applicable(fault("MFG101"), fault("MFG303"))


def test_edits_of_other_files_are_not_promised() -> None:
    assert not applicable(fault("MFG101", file="lib.mfg"))


def test_long_texts_and_long_lists_are_not_tried() -> None:
    tried: list[str] = []

    def compile(text: str) -> list[Diagnostic]:
        tried.append(text)
        return []

    confirm_helps("x" * (MAX_CHARACTERS + 1), "spec.mfg", [fault("MFG101")], compile)
    assert tried == []
    many = [fault("MFG101", str(i)) for i in range(MAX_TRIED + 5)]
    kept = confirm_helps("x", "spec.mfg", many, compile)
    assert [d.helps[0].applicable for d in kept] == [True] * MAX_TRIED + [False] * 5


def test_several_faults_are_mended_at_once() -> None:
    text = SPEC.replace("CROWD", "ind(mu[x] > 0.5) + (x == a) + abss(x) + log(muu[x] + 1)")
    found = compile_text(text)
    assert sorted(d.code for d in found.diagnostics) == ["MFG101", "MFG101", "MFG201"]
    mended = apply_edits(text, applicable_edits(found.diagnostics, "spec.mfg"))
    assert "ind((x == a)) + abs(x) + log(mu[x] + 1)" in mended
    assert compile_text(mended).ok
