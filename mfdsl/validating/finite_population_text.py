"""The report of a finite population as text and as plain data."""

from math import isfinite
from typing import TYPE_CHECKING, Any, Literal

from mfdsl.compiler.analysis.asymmetry.asymmetry import Measured
from mfdsl.runtime.solution import finite

if TYPE_CHECKING:
    from mfdsl.validating.certified import Among, AtSize, FinitePopulation


def verdict_of(among: "Among") -> Literal["exact", "approximate", "unknown"]:
    """Whether all members are alike, as far as alpha and beta are known."""
    alpha, beta = among.dynamics, among.reward
    if alpha is None or beta is None:
        return "unknown"
    if alpha.upper == beta.upper == 0:
        return "exact"
    known = isfinite(alpha.upper) and isfinite(beta.upper) and not (alpha.reason or beta.reason)
    return "approximate" if known else "unknown"


def plain(report: "FinitePopulation") -> dict[str, Any]:
    """The report as plain data; numbers that are not finite are null."""
    return {
        "name": report.name,
        "steps": report.steps,
        "target": report.target,
        "players": [_plain(among) for among in report.players],
    }


def _plain(among: "Among") -> dict[str, Any]:
    return {
        "player": among.player,
        "kind": among.kind,
        "verdict": verdict_of(among),
        "alpha": _interval(among.dynamics),
        "beta": _interval(among.reward),
        "eps": [_size(s) for s in among.sizes],
        "least_players": among.least,
        "simulated": None if among.simulated is None else vars(among.simulated),
        "worst_type": among.worst_type,
        "constants": {name: finite(v) for name, v in among.constants.items()},
        "notes": list(among.notes),
        "advice": advice_of(among),
    }


def _interval(found: Measured | None) -> dict[str, Any] | None:
    if found is None:
        return None
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


def _size(size: "AtSize") -> dict[str, Any]:
    worst, high, mean = size.limit
    return {
        "players": size.players,
        "worst": finite(size.worst),
        "typed": finite(size.typed),
        "a_priori": finite(size.a_priori),
        "limit": {"worst": finite(worst), "p95": finite(high), "mean": finite(mean)},
        "finite_N": finite(size.finite),
        "terms": {name: finite(v) for name, v in size.terms.items()},
        "cap": finite(size.cap),
        "vacuous": size.vacuous,
    }


def lines_of(report: "FinitePopulation") -> list[str]:
    """The lines of the report."""
    lines = []
    for among in report.players:
        lines += [*_symmetry(among, report.steps), *_curve(among)]
        if report.target is not None:
            least = f"N = {among.least:,}" if among.least else "no number of players is enough"
            lines.append(f"    for a gain of at most {report.target:g}: {least}")
        if among.simulated is not None:
            s = among.simulated
            lines.append(
                f"    simulated gain of the worst type, N = {s.players:,}: "
                f"{s.mean:.3g} +- {2 * s.std_error:.2g} ({s.games} games)"
            )
        lines += [f"  note      {note}" for note in among.notes]
        lines += [f"  advice    {advice}" for advice in advice_of(among)]
    return lines


def advice_of(among: "Among") -> list[str]:
    """What would make the largest part of the bound smaller."""
    found = (among.dynamics, among.reward)
    traits = dict.fromkeys(t for measured in found if measured for t in measured.traits)
    last = among.sizes[-1]
    if traits and last.terms.get("type incentive", 0.0) > last.finite:
        return [f"policies that `observe {', '.join(traits)}` have no type incentive"]
    if last.finite > last.limit[0]:
        return ["the finite-N term is the largest: it falls with more players and smaller slopes"]
    return []


def _symmetry(among: "Among", steps: int) -> list[str]:
    """How far members are from being alike, and why."""
    if among.dynamics is None or among.reward is None:
        return [f"player    {among.player} ({among.kind})   steps {steps}"]
    lines = [f"symmetry  {verdict_of(among).upper()}   {among.player}, steps {steps}"]
    found = (("dynamics", "alpha", among.dynamics), ("reward  ", "beta ", among.reward))
    for name, symbol, measured in found:
        split = f"heterogeneity {measured.heterogeneity:.3f}"
        split += f"  non-anonymity {measured.anonymity:.3f}"
        centred = "" if measured.centred is None else f"  centred {measured.centred[1]:.3f}"
        bounds = f"[{measured.lower:.3f}, {measured.upper:.3f}]"
        mean = f"mean {measured.mean[1]:.3f}{centred}"
        lines.append(f"  {name}  {symbol} in {bounds}  {mean}   {split}")
    for name, _, measured in found:
        if measured.traits:
            lines.append(f"  because   {', '.join(measured.traits)} -> {name.strip()}")
        if measured.witness is not None:
            shown = ", ".join(f"{k} {_short(v)}" for k, v in measured.witness.items())
            lines.append(f"  witness   {shown}")
    return lines


def _curve(among: "Among") -> list[str]:
    """epsilon(N), and its parts."""
    worst, high, mean = among.sizes[0].limit
    who = "player" if among.kind == "population" else among.player
    gains = f"worst / 95 % / mean {who} {worst:.3g} / {high:.3g} / {mean:.3g}"
    if among.kind == "major":
        gains = f"{worst:.3g}"
    lines = ["  if everybody plays this policy:", f"    gain in the limit: {gains}"]
    for s in among.sizes:
        says = f" (cap {s.cap:.3g}: says nothing)" if s.vacuous else ""
        nobody = f"no {who} gains" if among.kind == "population" else f"{who} gains no"
        lines.append(f"    N = {s.players:,}: {nobody} more than {s.worst:.3g}{says}")
        parts = ", ".join(f"{k} {v:.3g}" for k, v in s.terms.items() if v > 0)
        theorems = f"types looked at {s.typed:.3g}, a priori {s.a_priori:.3g}, "
        shown = theorems if among.dynamics is not None else ""
        lines.append(f"      {shown}finite-N term {s.finite:.3g}; parts: {parts or 'none'}")
    return lines


def _short(value: float | int | str) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
