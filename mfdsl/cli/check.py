"""Verbs on the text of a spec: check, fmt, fix, explain. None of them imports torch."""

import json
from collections.abc import Sequence
from difflib import unified_diff
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from mfdsl import api
from mfdsl.cli import options
from mfdsl.cli.console import Console
from mfdsl.cli.failure import FAILED, FINE, exit_code
from mfdsl.compiler.codes import CODES
from mfdsl.compiler.diagnostics import CompileError
from mfdsl.compiler.exchange import render_github
from mfdsl.compiler.explain.pages import page
from mfdsl.compiler.fix import applicable_edits, apply_edits
from mfdsl.compiler.ir.text import model_text
from mfdsl.compiler.syntax.format import format_source
from mfdsl.errors import UsageError, unknown
from mfdsl.files import read_text, write_text
from mfdsl.parameters import gather
from mfdsl.report import Report
from mfdsl.sarif import sarif_log
from mfdsl.shipped import find_spec

FIX_ROUNDS = 10


class Format(StrEnum):
    """How diagnostics are printed."""

    text = "text"
    json = "json"
    sarif = "sarif"
    github = "github"


class Stage(StrEnum):
    """A stage of the compiler whose result can be shown."""

    ast = "ast"
    ir = "ir"


def check(
    specs: options.Specs,
    set_: options.Set = [],  # noqa: B006  the command line reads it, nothing changes it
    params: options.Params = None,
    accept: options.Accept = options.AcceptChoice.tested,
    effort: options.Effort = options.EffortChoice.default,
    format: Annotated[Format, typer.Option(help="How to print what was found.")] = Format.text,
    ask: Annotated[
        list[str],
        typer.Option(metavar="CLAIM", help="Ask: lipschitz(reward, mu), monotone(reward, mu), ..."),
    ] = [],  # noqa: B006
    whole_box: Annotated[
        bool, typer.Option("--whole-box", help="Claims for all values of the real parameters.")
    ] = False,
    keep_proof: Annotated[
        Path | None,
        typer.Option(
            "--keep-proof", metavar="FILE", help="Write what `mfdsl recheck` needs.", dir_okay=False
        ),
    ] = None,
    sarif: Annotated[
        Path | None,
        typer.Option("--sarif", metavar="FILE", help="Write SARIF beside.", dir_okay=False),
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show certificates in full.")] = False,
    dump: Annotated[Stage | None, typer.Option(help="Print a stage of the compiler.")] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Check again on every change, until Ctrl-C.")
    ] = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> int:
    """Check specs and every `require` in them."""
    if keep_proof is not None and len(specs) > 1:
        raise UsageError("'--keep-proof' writes the proof of one spec", "check them one by one")

    def once() -> int:
        values = gather(set_, params)
        reports = [
            api.check(
                spec,
                params=values,
                accept=accept.value,
                effort=effort.value,
                ask=ask,
                whole_box=whole_box,
                keep_proof=keep_proof,
            )
            for spec in specs
        ]
        if sarif is not None:
            write_text(sarif, _sarif_text(reports))
        if dump is not None:
            for report in reports:
                print(_dump(report, dump))
        else:
            _show(reports, Format.json if json else format, quiet)
            if explain and format is Format.text and not json:
                Console(quiet=quiet).line("\n\n".join(["", *(r.explained() for r in reports)]))
        return max(exit_code(report.diagnostics) for report in reports)

    if not watch:
        return once()
    from mfdsl.cli import watching  # nobody else waits for files

    paths = {find_spec(spec) for spec in specs} | ({params} if params is not None else set())
    return watching.watch(once, lambda: watching.files_of(*paths), quiet=quiet)


def _show(reports: Sequence[Report], format: Format, quiet: bool) -> None:
    diagnostics = [d for report in reports for d in report.diagnostics]
    sources = {k: v for report in reports for k, v in report.compilation.sources.items()}
    match format:
        case Format.json:
            _show_json(reports)
        case Format.sarif:
            print(_sarif_text(reports), end="")
        case Format.github:
            print(render_github(diagnostics, sources), end="\n" if diagnostics else "")
        case Format.text:
            _show_text(reports, Console(quiet=quiet))


def _sarif_text(reports: Sequence[Report]) -> str:
    return json.dumps(sarif_log(reports), indent=2) + "\n"


def _show_json(reports: Sequence[Report]) -> None:
    console = Console(json=True)
    if len(reports) == 1:
        console.json_object(reports[0].to_json())
    else:
        entries: dict[str, Any] = {"ok": all(report.ok for report in reports)}
        console.json_object(entries | {"specs": [report.to_json() for report in reports]})


def _show_text(reports: Sequence[Report], console: Console) -> None:
    for i, report in enumerate(reports):
        if i:
            console.line()
        console.diagnostics(report.diagnostics, report.compilation.sources)
        console.line(report.screen())


def _dump(report: Report, stage: Stage) -> str:
    if stage is Stage.ast:
        return repr(report.compilation.unit)
    return model_text(report.compilation.require_model()).rstrip("\n")


def fmt(
    specs: options.Specs,
    check: Annotated[bool, typer.Option("--check", help="Only say what would change.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Print the changes, write nothing.")] = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> int:
    """Format specs in place; comments stay."""
    console = Console(json, quiet)
    code, changed = FINE, []
    for path in map(find_spec, specs):
        text = read_text(path)
        try:
            formatted = format_source(text, str(path))
        except CompileError as error:
            console.diagnostics(error.diagnostics, error.sources)
            code = FAILED
            continue
        if formatted == text:
            continue
        changed.append(str(path))
        if diff:
            console.result(_diff(path, text, formatted).rstrip("\n"))
        elif not check:
            write_text(path, formatted)
        console.line(f"{'would format' if check or diff else 'formatted'} {path}")
    if not changed and code == FINE:
        console.line(f"{len(specs)} file{'' if len(specs) == 1 else 's'} already formatted")
    code = FAILED if changed and check else code
    console.json_object({"ok": code == FINE, "changed": changed})
    return code


def fix(
    specs: options.Specs,
    diff: Annotated[bool, typer.Option("--diff", help="Print the changes, write nothing.")] = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> int:
    """Apply the helps that mend a spec."""
    console = Console(json, quiet)
    reports = []
    for path in map(find_spec, specs):
        report = _preview(path, console) if diff else _mend(path, console)
        console.diagnostics(report.diagnostics, report.compilation.sources)
        reports.append(report)
    ok = all(report.ok for report in reports)
    console.json_object({"ok": ok, "specs": [report.to_json() for report in reports]})
    return max(exit_code(report.diagnostics) for report in reports)


def _preview(path: Path, console: Console) -> Report:
    """Print what one round of fixes would change."""
    report = api.check(path)
    text = read_text(path)
    edits = applicable_edits(report.diagnostics, report.spec)
    console.result(_diff(path, text, apply_edits(text, edits)).rstrip("\n"))
    return report


def _mend(path: Path, console: Console) -> Report:
    """Fix in rounds, as one mend may lay bare the next; the report is that of the last text."""
    report = api.check(path)
    made = 0
    for _ in range(FIX_ROUNDS):
        edits = applicable_edits(report.diagnostics, report.spec)
        if not edits:
            break
        write_text(path, apply_edits(read_text(path), edits))
        made += len(edits)
        report = api.check(path)
    console.line(f"{made} edit{'' if made == 1 else 's'} in {path}")
    return report


def _diff(path: Path, before: str, after: str) -> str:
    lines = unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), str(path), str(path)
    )
    return "".join(lines)


def explain(
    code: Annotated[str, typer.Argument(help="A code such as MFG301.", show_default=False)],
    json: options.Json = False,
) -> int:
    """Explain the code of a diagnostic."""
    wanted = f"MFG{code}" if code.isdecimal() else code.upper()
    if wanted not in CODES:
        raise unknown("code", code, CODES)
    text, row = page(wanted), CODES[wanted]
    console = Console(json)
    if json:
        entries = {"code": wanted, "title": row.title, "severity": row.severity}
        console.json_object(entries | {"stage": row.stage, "page": text})
    else:
        console.result((text or row.title).rstrip("\n"))
    return FINE
