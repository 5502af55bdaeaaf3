"""What checks found as SARIF 2.1.0: diagnostics, and certificates as results of their own.

A required claim that is refuted is an error, one that is not decided a warning. What is proved
passes; what nobody requires is open when unknown, and informational when refuted, since few games
have every property.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.exchange import render_sarif
from mfdsl.compiler.ir.model import Place
from mfdsl.report import Report
from mfdsl.summary import certificate_text

PAGE = "docs/certificates.md"


def sarif_log(reports: Sequence[Report]) -> dict[str, Any]:
    """One log with one run of all reports."""
    diagnostics = [d for report in reports for d in report.diagnostics]
    sources = {k: v for report in reports for k, v in report.compilation.sources.items()}
    log = render_sarif(diagnostics, sources)
    run = log["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    numbers = {rule["id"]: k for k, rule in enumerate(rules)}
    for report in reports:
        seen: Counter[str] = Counter()
        for certificate, required in _certificates(report):
            name = _rule(certificate)
            if name not in numbers:
                numbers[name] = len(rules)
                rules.append(_described(name))
            result = _result(report, certificate, required, name, numbers[name])
            named = f"{report.spec}|{certificate.claim}|{certificate.subject}|{certificate.source}"
            seen[named] += 1
            text = f"{named}|{seen[named]}".encode()
            result["partialFingerprints"] = {"claim/v1": hashlib.sha256(text).hexdigest()}
            run["results"].append(result)
    return log


def _certificates(report: Report) -> Iterator[tuple[Certificate, bool]]:
    """Every certificate, and whether the spec requires it."""
    yield from ((c, True) for c in report.compilation.certificates)
    yield from ((c, False) for c in report.regularity)


def _rule(certificate: Certificate) -> str:
    """The kind of a claim: `certificate/lipschitz` for any constant."""
    return "certificate/" + certificate.claim.partition("(")[0].strip().replace(" ", "_")


def _described(name: str) -> dict[str, Any]:
    claim = name.removeprefix("certificate/").replace("_", " ")
    return {
        "id": name,
        "shortDescription": {"text": f"The claim `{claim}` of a game."},
        "help": {"text": f"See {PAGE} for what the claim means."},
        "properties": {"stage": "certificate"},
    }


def _result(
    report: Report, certificate: Certificate, required: bool, rule: str, number: int
) -> dict[str, Any]:
    kind, level = outcome(certificate, required=required)
    return {
        "ruleId": rule,
        "ruleIndex": number,
        "kind": kind,
        "level": level,
        "message": {"text": _message(certificate)},
        "locations": [_location(report, _place(certificate))],
        "properties": {
            **certificate.model_dump(
                mode="json", include=set(TOLD), exclude_none=True, exclude_defaults=True
            ),
            "required": required,
        },
    }


TOLD = (
    "claim",
    "subject",
    "verdict",
    "lower",
    "upper",
    "norm",
    "rigor",
    "reason",
    "witness",
    "fix",
)


def outcome(certificate: Certificate, *, required: bool) -> tuple[str, str]:
    """Kind and level of a result; a level other than `none` goes with the kind `fail` only."""
    match certificate.verdict:
        case "proved" | "tested":
            return "pass", "none"
        case "refuted":
            return ("fail", "error") if required else ("informational", "none")
        case "unknown":
            return ("fail", "warning") if required else ("open", "none")


def _message(certificate: Certificate) -> str:
    """The claim, its verdict and bounds, and what to know of it, a line each."""
    lines = [f"{certificate.claim}: {certificate.verdict}", certificate_text(certificate)]
    if certificate.detail:
        lines.append(f"because {certificate.detail}")
    if certificate.reason and certificate.verdict == "unknown":
        lines.append(f"reason: {certificate.reason}")
    if certificate.witness:
        parts = ", ".join(f"{name} {value}" for name, value in certificate.witness.items())
        lines.append(f"witness: {parts}")
    if certificate.fix:
        lines.append(f"help: {certificate.fix}")
    return "\n".join(lines)


def _place(certificate: Certificate) -> Place | None:
    """The part that spoils a claim, else the term that contributes most."""
    if certificate.culprit is not None:
        return certificate.culprit
    placed = [share for share in certificate.shares if share.place is not None]
    return max(placed, key=lambda share: share.upper).place if placed else None


def _location(report: Report, place: Place | None) -> dict[str, Any]:
    """The place in its file, or the file of the spec."""
    file = place.file if place is not None else report.spec
    physical: dict[str, Any] = {"artifactLocation": {"uri": quote(file)}}
    source = report.compilation.sources.get(file)
    if place is not None and source is not None:
        start, end = source.position(place.start), source.position(place.end)
        physical["region"] = {
            "startLine": start.line,
            "startColumn": start.column,
            "endLine": end.line,
            "endColumn": end.column,
        }
    return {"physicalLocation": physical}
