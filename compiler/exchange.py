"""Diagnostics for machines: JSON, SARIF 2.1.0 and GitHub workflow commands."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from mfdsl.compiler.codes import CODES
from mfdsl.compiler.diagnostics import Diagnostic, Help, Label
from mfdsl.compiler.source import SourceFile, Span

Sources = Mapping[str, SourceFile]

_GITHUB_COMMANDS = {"error": "error", "warning": "warning", "note": "notice"}


def render_json(diagnostics: Iterable[Diagnostic], sources: Sources) -> list[dict[str, Any]]:
    """One JSON object for each diagnostic: lines and columns from 1, offsets in bytes from 0."""
    return [
        {
            "code": d.code,
            "severity": d.severity,
            "message": d.message,
            "labels": [_json_label(label, sources) for label in d.labels],
            "notes": list(d.notes),
            "helps": [_json_help(help, sources) for help in d.helps],
        }
        for d in diagnostics
    ]


def _point(sources: Sources, file: str, offset: int) -> dict[str, int]:
    source = sources.get(file)
    if source is None:
        return {"line": 1, "col": 1, "offset": 0}
    position = source.position(min(offset, len(source.text)))
    return {"line": position.line, "col": position.column, "offset": position.offset}


def _json_label(label: Label, sources: Sources) -> dict[str, Any]:
    span = label.span
    return {
        "file": span.file,
        "start": _point(sources, span.file, span.start),
        "end": _point(sources, span.file, span.end),
        "text": label.text,
        "primary": label.primary,
    }


def _json_help(help: Help, sources: Sources) -> dict[str, Any]:
    edits = [
        {
            "file": edit.span.file,
            "start": _point(sources, edit.span.file, edit.span.start)["offset"],
            "end": _point(sources, edit.span.file, edit.span.end)["offset"],
            "text": edit.text,
        }
        for edit in help.edits
    ]
    return {"text": help.text, "applicable": help.applicable, "edits": edits}


def render_sarif(diagnostics: Sequence[Diagnostic], sources: Sources) -> dict[str, Any]:
    """One SARIF 2.1.0 log with one run; columns count characters, applicable helps are fixes."""
    codes = sorted({d.code for d in diagnostics})
    rules = [
        {
            "id": code,
            "shortDescription": {"text": CODES[code].title},
            "help": {"text": f"For the rules, run `mfdsl explain {code}`."},
            "properties": {"stage": CODES[code].stage},
        }
        for code in codes
    ]
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "mfdsl", "rules": rules}},
                "columnKind": "unicodeCodePoints",
                "results": [_sarif_result(d, codes.index(d.code), sources) for d in diagnostics],
            }
        ],
    }


def _sarif_result(diagnostic: Diagnostic, rule: int, sources: Sources) -> dict[str, Any]:
    text = "\n".join([diagnostic.message, *diagnostic.notes, *(h.text for h in diagnostic.helps)])
    result: dict[str, Any] = {
        "ruleId": diagnostic.code,
        "ruleIndex": rule,
        "level": diagnostic.severity,
        "message": {"text": text},
    }
    primary = diagnostic.primary
    if primary is not None:
        result["locations"] = [_sarif_location(primary, sources)]
    others = [label for label in diagnostic.labels if label is not primary]
    if others:
        result["relatedLocations"] = [
            {"id": i, **_sarif_location(label, sources)} for i, label in enumerate(others)
        ]
    fixes = [_sarif_fix(help, sources) for help in diagnostic.helps if help.applicable]
    if fixes:
        result["fixes"] = fixes
    return result


def _sarif_location(label: Label, sources: Sources) -> dict[str, Any]:
    location: dict[str, Any] = {
        "physicalLocation": {
            "artifactLocation": {"uri": quote(label.span.file)},
            "region": _sarif_region(label.span, sources),
        }
    }
    if label.text:
        location["message"] = {"text": label.text}
    return location


def _sarif_region(span: Span, sources: Sources) -> dict[str, int]:
    start, end = _point(sources, span.file, span.start), _point(sources, span.file, span.end)
    return {
        "startLine": start["line"],
        "startColumn": start["col"],
        "endLine": end["line"],
        "endColumn": end["col"],
    }


def _sarif_fix(help: Help, sources: Sources) -> dict[str, Any]:
    changes = [
        {
            "artifactLocation": {"uri": quote(file)},
            "replacements": [
                {
                    "deletedRegion": _sarif_region(edit.span, sources),
                    "insertedContent": {"text": edit.text},
                }
                for edit in help.edits
                if edit.span.file == file
            ],
        }
        for file in dict.fromkeys(edit.span.file for edit in help.edits)
    ]
    return {"description": {"text": help.text}, "artifactChanges": changes}


def render_github(diagnostics: Iterable[Diagnostic], sources: Sources) -> str:
    """One workflow command a line, which GitHub shows beside the changed source.

    Columns are left out for a label over several lines, where GitHub does not accept them.
    """
    return "\n".join(_github_line(d, sources) for d in diagnostics)


def _github_line(diagnostic: Diagnostic, sources: Sources) -> str:
    properties: dict[str, object] = {}
    label = diagnostic.primary
    if label is not None:
        start = _point(sources, label.span.file, label.span.start)
        end = _point(sources, label.span.file, label.span.end)
        properties = {"file": label.span.file, "line": start["line"]}
        if start["line"] == end["line"]:
            properties["col"] = start["col"]
            properties["endLine"] = end["line"]
            properties["endColumn"] = end["col"]
        else:
            properties["endLine"] = end["line"]
    properties["title"] = diagnostic.code
    escaped = ",".join(f"{k}={_github_property(str(v))}" for k, v in properties.items())
    parts = [diagnostic.message]
    if label is not None and label.text:
        parts[0] += f" ({label.text})"
    parts += [*diagnostic.notes, *(f"help: {help.text}" for help in diagnostic.helps)]
    return (
        f"::{_GITHUB_COMMANDS[diagnostic.severity]} {escaped}::{_github_data(chr(10).join(parts))}"
    )


def _github_data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _github_property(text: str) -> str:
    return _github_data(text).replace(":", "%3A").replace(",", "%2C")
