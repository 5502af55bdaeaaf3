"""What certificates say of the properties that solvers need, and what follows from it."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from mfdsl.compiler.analysis.certificate import Certificate, ContradictionError, Verdict

FREE = "dynamics_independent_of_mu"
REWARD_MODULUS = "lipschitz(reward, mu)"
FINAL_MODULUS = "lipschitz(final, mu)"
CONCAVE_SOCIAL = "concave_social_value"
REWARD_RANGE = "range of the reward"
# `lipschitz(reward, mu) <= 3`: the subject, the name of the law, and the bound of a `require`.
MODULUS = re.compile(r"lipschitz\((?P<subject>reward|final), [^)]*\)( <= \S+)?")
NUMBERS = (REWARD_MODULUS, FINAL_MODULUS, REWARD_RANGE)

# What follows from a property, and what follows from two together.
IMPLIES = {
    "independent": ("dynamics_independent_of_mu",),
    "strictly_monotone": ("monotone",),
    "skew_affine": ("monotone",),
    "concave_potential": ("potential", "monotone"),
}
TOGETHER = {"concave_potential": ("potential", "monotone")}

STRENGTH: tuple[Verdict, ...] = ("refuted", "unknown", "tested", "proved")


@dataclass(frozen=True)
class Finding:
    """The verdict on a property, and the proved bound where it is about a number."""

    verdict: Verdict = "unknown"
    upper: float = math.inf


def findings(certificates: Sequence[Certificate]) -> dict[str, Finding]:
    """What the certificates say of each property, and what follows from that.

    Raises:
        ContradictionError: a property is both proved and refuted.
    """
    known: dict[str, Finding] = {}
    for certificate in certificates:
        name = _property(certificate)
        if name is not None:
            found = _finding(name, certificate)
            known[name] = _merged(name, known.get(name, Finding()), found)
    _conclude(known)
    for whole, parts in TOGETHER.items():
        if all(known.get(part, Finding()).verdict == "proved" for part in parts):
            known[whole] = _merged(whole, known.get(whole, Finding()), Finding("proved"))
    _conclude(known)
    return known


def _conclude(known: dict[str, Finding]) -> None:
    """Add what follows from a property that is proved, or from one that is refuted."""
    for strong, weaker in IMPLIES.items():
        for weak in weaker:
            if known.get(strong, Finding()).verdict == "proved":
                known[weak] = _merged(weak, known.get(weak, Finding()), Finding("proved"))
            if known.get(weak, Finding()).verdict == "refuted":
                known[strong] = _merged(strong, known.get(strong, Finding()), Finding("refuted"))


def _property(certificate: Certificate) -> str | None:
    """The name under which rules look for a claim; None for claims of other kinds or norms.

    Moduli count in l1 only, whatever name the spec gives to the law, with or without a bound that
    was asked for.
    """
    if certificate.claim == "range":
        return REWARD_RANGE if certificate.subject == "reward" else None
    modulus = MODULUS.fullmatch(certificate.claim)
    if modulus is None:
        return certificate.claim
    if certificate.norm != "l1":
        return None
    return REWARD_MODULUS if modulus["subject"] == "reward" else FINAL_MODULUS


def _finding(name: str, certificate: Certificate) -> Finding:
    if certificate.verdict != "proved":
        # A refuted bound on a number says that the number is larger, not that there is none.
        verdict: Verdict = "unknown" if name in NUMBERS else certificate.verdict
        return Finding(verdict)
    upper = math.inf if certificate.upper is None else certificate.upper
    if name == REWARD_RANGE:
        upper -= -math.inf if certificate.lower is None else certificate.lower
    if name in NUMBERS and not math.isfinite(upper):
        return Finding()
    return Finding("proved", upper)


def _merged(name: str, one: Finding, other: Finding) -> Finding:
    if {one.verdict, other.verdict} == {"proved", "refuted"}:
        raise ContradictionError(f"`{name}` is both proved and refuted")
    # What is refuted stays refuted whatever was only tested.
    decided = [f.verdict for f in (one, other) if f.verdict in ("proved", "refuted")]
    verdict = decided[0] if decided else max(one.verdict, other.verdict, key=STRENGTH.index)
    return Finding(verdict, min(one.upper, other.upper))
