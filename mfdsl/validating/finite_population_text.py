"""The report of a finite population as text and as plain data."""

from math import isfinite
from typing import TYPE_CHECKING, Any

from mfdsl.compiler.analysis.asymmetry.asymmetry import Measured
from mfdsl.runtime.solution import finite

if TYPE_CHECKING:
    from mfdsl.validating.finite_population import FinitePopulation


def plain(report: "FinitePopulation") -> dict[str, Any]:
    """The report as plain data; numbers that are not finite are null."""
    alpha, beta = report.dynamics, report.reward
    exact = alpha.upper == beta.upper == 0
    known = isfinite(alpha.upper) and isfinite(beta.upper) and not (alpha.reason or beta.reason)
    verdict = "exact" if exact else "approximate" if known else "unknown"

    def interval(found: Measured) -> dict[str, Any]:
        return {
            "lo": found.lower,
            "hi": finite(found.upper),
            "mean": [finite(v) for v in found.mean],
            "centred": None if found.centred is None else [finite(v) for v in found.centred],
            "heterogeneity": finite(found.heterogeneity),
            "non_anonymity": finite(found.anonymity),
            "traits": list(found.traits),
            "witness": found.witness,
            "method": list(found.method),
        }

    return {
        "name": report.name,
        "verdict": verdict,
        "steps": report.steps,
        "alpha": interval(alpha),
        "beta": interval(beta),
        "eps": [
            {
                "players": s.players,
                "worst": finite(s.worst),
                "typed": finite(s.typed),
                "a_priori": finite(s.a_priori),
                "limit": {"worst": s.limit[0], "p95": s.limit[1], "mean": s.limit[2]},
                "finite_N": finite(s.finite),
                "terms": {name: finite(v) for name, v in s.terms.items()},
                "cap": finite(s.cap),
                "vacuous": s.vacuous,
            }
            for s in report.sizes
        ],
        "target": report.target,
        "least_players": report.least,
        "simulated": None if report.simulated is None else vars(report.simulated),
        "worst_type": report.worst_type,
        "constants": report.constants,
        "notes": list(report.notes),
    }


def lines_of(report: "FinitePopulation") -> list[str]:
    """The lines of the report."""
    verdict = plain(report)["verdict"]
    lines = [f"symmetry  {verdict.upper()}   steps {report.steps}"]
    for name, symbol, found in (
        ("dynamics", "alpha", report.dynamics),
        ("reward  ", "beta ", report.reward),
    ):
        split = f"heterogeneity {found.heterogeneity:.3f}  non-anonymity {found.anonymity:.3f}"
        centred = "" if found.centred is None else f"  centred {found.centred[1]:.3f}"
        bounds = f"[{found.lower:.3f}, {found.upper:.3f}]"
        lines.append(f"  {name}  {symbol} in {bounds}  mean {found.mean[1]:.3f}{centred}   {split}")
    for name, found in (("dynamics", report.dynamics), ("reward", report.reward)):
        if found.traits:
            lines.append(f"  because   {', '.join(found.traits)} -> {name}")
        if found.witness is not None:
            shown = ", ".join(f"{k} {_short(v)}" for k, v in found.witness.items())
            lines.append(f"  witness   {shown}")
    lines.append("  if you play this policy:")
    for s in report.sizes:
        says = f" (cap {s.cap:.3g}: says nothing)" if s.vacuous else ""
        worst, high, mean = s.limit
        lines.append(f"    N = {s.players}: no player gains more than {s.worst:.3g}{says}")
        lines.append(
            f"      limit: worst / 95 % / mean player {worst:.3g} / {high:.3g} / {mean:.3g}"
            f"  + finite-N term <= {s.finite:.3g}"
        )
        lines.append(f"      types looked at {s.typed:.3g};  a priori {s.a_priori:.3g}")
        parts = ", ".join(f"{k} {v:.3g}" for k, v in s.terms.items() if v > 0)
        lines.append(f"      parts: {parts or 'none'}")
    if report.target is not None:
        found_n = (
            "no number of players is enough" if report.least is None else f"N = {report.least}"
        )
        lines.append(f"    for a gain of at most {report.target:g}: {found_n}")
    if report.simulated is not None:
        s_ = report.simulated
        lines.append(
            f"    simulated gain of the worst type, N = {s_.players}: "
            f"{s_.mean:.3g} +- {2 * s_.std_error:.2g} ({s_.games} games)"
        )
    return lines + [f"  note      {note}" for note in report.notes]


def _short(value: float | int | str) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
