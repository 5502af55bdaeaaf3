"""Certificates of several populations as those of one game on the product of their flows."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.findings import FINAL_MODULUS, MODULUS, REWARD_MODULUS
from mfdsl.rules import Case


def added_up(certificates: Sequence[Certificate], case: Case) -> Sequence[Certificate]:
    """The certificates with moduli and ranges of all populations replaced by their sums.

    Certificates of one population stay as they are. A sum is left out unless every part is proved.
    Why sums are what the rates need is said in `runtime.solvers.rates`.
    """
    if not case.populations:
        return certificates
    single = [c for c in certificates if MODULUS.fullmatch(c.claim) or _is_range(c)]
    rest = [c for c in certificates if c not in single]
    return [*rest, *_moduli(single, case), *_ranges(single, case)]


def _moduli(certificates: Iterable[Certificate], case: Case) -> Iterator[Certificate]:
    """The sum of the l1 moduli of all rewards, and of all final rewards, in all laws they read.

    The laws of the members of a family share a name, so that several certificates of one claim and
    subject are told apart by their number only: more or fewer than there are laws prove nothing.
    """
    found: dict[tuple[str, str], list[Certificate]] = {}
    for certificate in certificates:
        if certificate.norm == "l1":
            found.setdefault((certificate.claim, certificate.subject), []).append(certificate)
    for claim, start in ((REWARD_MODULUS, "lipschitz(reward,"), (FINAL_MODULUS, "lipschitz(final")):
        wanted = Counter(key for key in case.readings if key[0].startswith(start))
        parts = [part for key in wanted for part in found.get(key, ())]
        if all(len(found.get(key, ())) == count for key, count in wanted.items()):
            upper = math.fsum(_proved_upper(part) for part in parts)
            if math.isfinite(upper):
                yield _sum(claim, "reward", parts, math.nextafter(upper, math.inf) if upper else 0)


def _ranges(certificates: Iterable[Certificate], case: Case) -> Iterator[Certificate]:
    """A range as wide as those of all populations together; where it lies does not matter."""
    found = {c.subject: c for c in certificates if _is_range(c) and c.verdict == "proved"}
    parts = [found.get(f"reward of {name}") for name in case.populations]
    known = [p for p in parts if p is not None and p.lower is not None and p.upper is not None]
    if len(known) == len(parts):
        width = math.fsum((p.upper or 0.0) - (p.lower or 0.0) for p in known)
        wide = _sum("range", "reward", known, math.nextafter(width, math.inf))
        yield wide.model_copy(update={"lower": 0.0})


def _is_range(certificate: Certificate) -> bool:
    return certificate.claim == "range" and certificate.subject.startswith("reward")


def _proved_upper(certificate: Certificate) -> float:
    proved = certificate.verdict == "proved" and certificate.upper is not None
    return certificate.upper if proved and certificate.upper is not None else math.inf


def _sum(claim: str, subject: str, parts: Sequence[Certificate], upper: float) -> Certificate:
    return Certificate(
        claim=claim,
        subject=subject,
        verdict="proved",
        upper=upper,
        norm="l1" if claim != "range" else None,
        method=("sum over populations",),
        rigor="exact" if all(p.rigor == "exact" for p in parts) else "enclosure",
        obligations=tuple(parts),
    )
