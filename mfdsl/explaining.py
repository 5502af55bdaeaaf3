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
    symbol = _symbol(certificate, compilation)
    lines = [f"{certificate.claim}: {certificate.verdict}", f"  {certificate_text(certificate)}"]
    lines += [f"  known as {symbol} in the literature"] if symbol else []
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
    method = "; ".join(certificate.method) or "what the theorem is about"
    boxes = f", {certificate.boxes} boxes" if certificate.boxes else ""
    lines.append(f"  by {method} ({certificate.rigor}{boxes}, {certificate.seconds:.3f} s)")
    return lines


def _symbol(certificate: Certificate, compilation: Compilation) -> str | None:
    """The letter of a constant, as in Yardim et al. 2023, arXiv:2212.14449: K of kernels, L of
    rewards, in the law (mu), own states (s) and actions (a).
    """
    what = certificate.claim.removeprefix("lipschitz(").partition(",")[0]
    letter = {"reward": "L", "dynamics": "K"}.get(what)
    if letter is None or what == certificate.claim or compilation.model is None:
        return None
    players, source = compilation.model.players, certificate.source
    groups: dict[str, list[str | None]] = {
        "mu": [n for p in players for n in (p.name, p.handle, p.family)],
        "s": [v.name for p in players for v in p.states],
        "a": [v.name for p in players for v in p.actions],
    }
    found = next((index for index, names in groups.items() if source in names), None)
    return f"{letter}_{found}" if found else None


def _where(place: Place | None, compilation: Compilation) -> str:
    line = compilation.line_of(place) if place is not None else None
    return f" (line {line})" if line is not None else ""


def _shown(value: float | int | str) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
