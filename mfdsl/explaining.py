"""Certificates in full: bounds, terms, witness and what to do, line by line."""

from collections.abc import Iterable

from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.driver import Compilation
from mfdsl.compiler.ir.model import Place
from mfdsl.summary import certificate_text, number_text


def explained(certificates: Iterable[Certificate], compilation: Compilation) -> str:
    """A paragraph for each certificate."""
    return "\n\n".join("\n".join(_lines(c, compilation)) for c in certificates)


def _lines(certificate: Certificate, compilation: Compilation) -> list[str]:
    lines = [f"{certificate.claim}: {certificate.verdict}", f"  {certificate_text(certificate)}"]
    whole = certificate.upper or 0.0
    for share in certificate.shares:
        part = f"{100 * share.upper / whole:.3g} %" if whole else "0 %"
        where = _where(share.place, compilation)
        lines.append(f"  - {share.term}: at most {number_text(share.upper)}, {part}{where}")
    if certificate.detail:
        where = _where(certificate.culprit, compilation)
        lines.append(f"  because {certificate.detail}{where}")
    if certificate.witness:
        parts = ", ".join(f"{name} {_shown(value)}" for name, value in certificate.witness.items())
        lines.append(f"  attained at {parts}")
    if certificate.fix:
        lines.append(f"  help: {certificate.fix}")
    for text in certificate.assumptions:
        lines.append(f"  assuming {text}")
    for other in certificate.obligations:
        lines.append(f"  rests on {other.claim}: {certificate_text(other)}, {other.verdict}")
    method = "; ".join(certificate.method)
    boxes = f", {certificate.boxes} boxes" if certificate.boxes else ""
    lines.append(f"  by {method} ({certificate.rigor}{boxes}, {certificate.seconds:.3f} s)")
    return lines


def _where(place: Place | None, compilation: Compilation) -> str:
    line = compilation.line_of(place) if place is not None else None
    return f" (line {line})" if line is not None else ""


def _shown(value: float | int | str) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
