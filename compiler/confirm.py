"""Keeps the promise of applicable helps: an edit stays applicable only if the text it gives
compiles further than the text it mends.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from mfdsl.compiler.codes import CODES
from mfdsl.compiler.diagnostics import Diagnostic, Help
from mfdsl.compiler.fix import apply_edits

# Each help costs one more compilation, so only some are tried, and only on texts of ordinary size.
MAX_TRIED = 8
MAX_CHARACTERS = 50_000

_LATER = ("domains", "claims", "mean field", "limits")


def confirm_helps(
    text: str,
    file: str,
    diagnostics: Sequence[Diagnostic],
    compile: Callable[[str], Sequence[Diagnostic]],
) -> tuple[Diagnostic, ...]:
    """The diagnostics of `file`, with helps marked applicable only when their edits work.

    Syntax errors are left alone: the parser tries their edits itself.
    """
    before = {_key(d) for d in diagnostics if d.severity == "error"}
    budget = MAX_TRIED if len(text) <= MAX_CHARACTERS else 0

    def confirmed(diagnostic: Diagnostic, help: Help) -> Help:
        nonlocal budget
        if not help.applicable:
            return help
        inside = all(edit.span.file == file for edit in help.edits)
        works = False
        if inside and budget > 0:
            budget -= 1
            after = compile(apply_edits(text, help.edits))
            works = _mends(diagnostic, before, after)
        return replace(help, applicable=works)

    return tuple(
        d
        if CODES[d.code].stage == "syntax" or not d.helps
        else replace(d, helps=tuple(confirmed(d, help) for help in d.helps))
        for d in diagnostics
    )


def _mends(
    diagnostic: Diagnostic, before: set[tuple[str, str]], after: Sequence[Diagnostic]
) -> bool:
    """Whether the fault is gone and nothing new is wrong, except what a later check finds."""
    left = {_key(d) for d in after if d.severity == "error"}
    if _key(diagnostic) in left:
        return False
    new = left - before
    early = CODES[diagnostic.code].stage not in _LATER
    return all(early and CODES[code].stage in _LATER for code, _ in new)


def _key(diagnostic: Diagnostic) -> tuple[str, str]:
    return diagnostic.code, diagnostic.message
