"""Which solvers are proved to work on a game, from its certificates and the decision table.

A rule of the table whose properties are not all proved makes a heuristic, and no rate is stated for
it. Nothing here imports torch.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from mfdsl.compiler.analysis.certificate import Certificate, Verdict
from mfdsl.findings import (
    FINAL_MODULUS,
    FREE,
    NUMBERS,
    REWARD_MODULUS,
    REWARD_RANGE,
    STRENGTH,
    Finding,
    findings,
)
from mfdsl.product import added_up
from mfdsl.rules import RULES, Case, Constants, NotApplicable, Rule, constants_of
from mfdsl.runtime.solvers import rates
from mfdsl.runtime.solvers.table import SOLVERS, Config

SHOWN = 10**9

Status = Literal["licensed", "heuristic", "no"]


@dataclass(frozen=True)
class Licence:
    """What is known of one solver on one game.

    `missing` holds the needs that are not proved, with what is known of them. `options` are those
    of the proved schedule, `iterations` the count after which the exploitability is at most the
    tolerance, `bound` that promise as a function of T; empty or None unless licensed.
    """

    solver: str
    status: Status
    needs: tuple[str, ...]
    verdict: Verdict
    because: str
    guarantee: str
    missing: Mapping[str, str]
    options: Mapping[str, Any]
    iterations: int | None
    bound: rates.Bound | None = field(default=None, repr=False)

    def to_json(self) -> dict[str, Any]:
        """The entry of `mfdsl solvers SPEC --json`."""
        return {
            "solver": self.solver,
            "applies": self.status,
            "needs": list(self.needs),
            "verdict": self.verdict,
            "because": self.because,
            "missing": dict(self.missing),
            "guarantee": self.guarantee,
            "options": dict(self.options),
            "iterations": self.iterations,
        }


def licences(certificates: Sequence[Certificate], case: Case) -> tuple[Licence, ...]:
    """One entry for each solver of the table: licensed ones first, the fewest iterations first.

    Raises:
        ContradictionError: a property is both proved and refuted.
    """
    best: dict[str, Licence] = {}
    for entry in _entries(certificates, case):
        if SOLVERS[entry.solver].social != case.team:
            continue
        if entry.solver not in best or _order(entry) < _order(best[entry.solver]):
            best[entry.solver] = entry
    for solver, row in SOLVERS.items():
        best.setdefault(solver, _unruled(solver) if row.social == case.team else _other(solver))
    return tuple(sorted(best.values(), key=_order))


def licence_for(
    solver: str, config: Config, certificates: Sequence[Certificate], case: Case
) -> Licence:
    """What is known of a solver with these options: licensed only under those of a proof.

    Raises:
        ContradictionError: a property is both proved and refuted.
    """
    entries = sorted((e for e in _entries(certificates, case) if e.solver == solver), key=_order)
    if not entries:
        return _unruled(solver)
    entry = entries[0]
    if entry.status != "licensed":
        return entry
    for proved in entries:
        options = SOLVERS[solver].config(**proved.options)
        if proved.status == "licensed" and config == options:
            return proved
    shown = options_text(entry.options) or "the defaults"
    return replace(
        entry,
        status="heuristic",
        verdict="unknown",
        because=f"{entry.because}, but the proof is for {shown}",
        options={},
        iterations=None,
        bound=None,
    )


def claims_read(solver: str) -> frozenset[str] | None:
    """The claims about the structure of a game that the licence of a solver rests on.

    None where a proof comes with a rate or options, for which the slopes count as well.
    """
    rules = [rule for rule in RULES if rule.solver == solver]
    if any(rule.proved for rule in rules):
        return None
    return frozenset(need for rule in rules for need in rule.needs)


def chosen(entries: Iterable[Licence], limit: int) -> Licence | None:
    """The licensed solver that keeps its promise within the limit; without any such promise, one
    that converges for certain at a rate that is not stated; None where nothing is licensed so.
    """
    licensed = [e for e in entries if e.status == "licensed"]
    timely = [e for e in licensed if e.iterations is not None and e.iterations <= limit]
    return next(iter([*timely, *(e for e in licensed if e.bound is None)]), None)


def licence_text(entry: Licence, tolerance: float) -> str:
    """Why the solver may be trusted or not, and what is promised, in a line."""
    if entry.status != "licensed":
        return entry.because
    return f"{promise_text(entry, tolerance)} ({entry.guarantee})"


def promise_text(entry: Licence, tolerance: float) -> str:
    """The certificates behind a licence and the count they promise."""
    if entry.iterations is None:
        return entry.because
    return f"{entry.because}: at most {tolerance:g} by iteration {count_text(entry)}"


def count_text(entry: Licence) -> str:
    """The promised number of iterations, a dash where none is promised."""
    if entry.iterations is None:
        return "-"
    return f"{entry.iterations:,}" if entry.iterations < SHOWN else f"{entry.iterations:.3g}"


def options_text(options: Mapping[str, Any]) -> str:
    """Options for a message, numbers to six digits."""
    return " ".join(
        f"{name}={value:.6g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in options.items()
    )


def _entries(certificates: Sequence[Certificate], case: Case) -> list[Licence]:
    known = findings(added_up(certificates, case))
    rules = [r for r in RULES if r.horizon != "stationary" or case.horizon == "stationary"]
    return [_applied(rule, known, case) for rule in rules]


def _unruled(solver: str) -> Licence:
    return Licence(solver, "heuristic", (), "unknown", "no theorem here", "", {}, {}, None)


def _other(solver: str) -> Licence:
    """A solver that looks for something else than what the players want."""
    if SOLVERS[solver].social:
        because = "it finds what is best for all together, and the objective is nash"
    else:
        because = "it finds an equilibrium, and the players are a team"
    return Licence(solver, "no", (), "unknown", because, "", {}, {}, None)


def _order(entry: Licence) -> tuple[int, float, int]:
    rank = ("licensed", "heuristic", "no").index(entry.status)
    count = math.inf if entry.iterations is None else entry.iterations
    return rank, count, len(entry.missing)


def _applied(rule: Rule, known: Mapping[str, Finding], case: Case) -> Licence:
    """What the rule gives on a game."""
    found = {need: known.get(need, Finding()) for need in rule.needs}
    missing = {n: str(f.verdict) for n, f in found.items() if f.verdict != "proved"}
    verdict = min((f.verdict for f in found.values()), key=STRENGTH.index)
    entry = Licence(
        rule.solver, "heuristic", rule.needs, verdict, "", rule.guarantee, missing, {}, None
    )
    if SOLVERS[rule.solver].over_stages and case.horizon == "stationary":
        why = "it needs stages in time, and the horizon is stationary"
        return replace(entry, status="no", verdict="unknown", because=why)
    if SOLVERS[rule.solver].averages_flows:
        if case.horizon == "stationary":
            why = "it averages flows over time, and the horizon is stationary"
            return replace(entry, status="no", verdict="unknown", because=why)
        if found[FREE].verdict == "refuted":
            why = "it averages flows, and the moves depend on the population"
            return replace(entry, status="no", because=why)
    if missing:
        return replace(entry, because=", ".join(f"{n} {SAID[v]}" for n, v in missing.items()))
    proved = ", ".join(_shown(name, finding) for name, finding in found.items())
    if not rule.proved:
        return replace(entry, verdict="unknown", because=f"{proved}, which gives no rate")
    if (reason := _outside(rule, case)) is not None:
        return replace(entry, verdict="unknown", because=f"{proved}, but {reason}")
    constants = constants_of(known, case)
    if case.final and (unbounded := _unbounded(rule, constants)) is not None:
        return replace(entry, verdict="unknown", because=f"{proved}, but {unbounded}")
    try:
        options = rule.schedule(constants)
    except NotApplicable as error:
        return replace(entry, verdict="unknown", because=f"{proved}, but {error}")
    if case.estimated is not None:
        proved = f"{proved}, but {case.estimated}"
        return replace(entry, status="licensed", because=proved, options=options)
    bound = rule.bound(constants, options)
    count = None if bound is None else rates.least_iterations(bound, case.tolerance)
    return replace(
        entry, status="licensed", because=proved, options=options, iterations=count, bound=bound
    )


SAID = {"unknown": "not known", "tested": "tested, not proved", "refuted": "refuted"}


def _shown(name: str, finding: Finding) -> str:
    return f"{name} <= {finding.upper:.4g}" if name in NUMBERS else f"{name} proved"


def _unbounded(rule: Rule, constants: Constants) -> str | None:
    """The number of the final rewards that the rule needs and that is not bounded."""
    if REWARD_MODULUS in rule.needs and math.isinf(constants.modulus):
        return f"{FINAL_MODULUS} is not known"
    if REWARD_RANGE in rule.needs and math.isinf(constants.span):
        return "the range of the final rewards is not used yet"
    return None


def _outside(rule: Rule, case: Case) -> str | None:
    """Why the theorem does not cover the game, None when it does."""
    if rule.horizon == "any":
        return case.entangled
    if rule.horizon == "stages":
        wrong = case.horizon == "stationary"
    else:
        wrong = case.horizon != rule.horizon
    if wrong:
        return f"the rate is proved for finite horizons, not for {case.horizon} ones"
    if not case.plain:
        return (
            "the proof is for populations with finite variables, without majors, common states or "
            "anything hidden"
        )
    return None
