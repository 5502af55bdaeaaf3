"""Certificates: what was established about a model, how, and within which bounds."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, model_validator

from mfdsl.compiler.ir.model import Place

Verdict = Literal["proved", "tested", "refuted", "unknown"]
Rigor = Literal["exact", "balls", "enclosure", "float64", "samples"]
Reason = Literal["budget", "tight", "continuity", "domain", "unsupported", "dimension", "worker"]
Witness = dict[str, float | int | str]


class ContradictionError(AssertionError):
    """Two proved bounds exclude each other: a mistake in mfdsl, never in a spec."""


class Share(BaseModel):
    """What one term of a sum contributes to a constant; `slope` says where it comes from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    term: str
    upper: float
    slope: str | None = None
    place: Place | None = None


class Certificate(BaseModel):
    """One claim and its verdict.

    `lower` and `upper` enclose the quantity that the claim is about, `norm` names the distance it
    is stated in (None where there is none), `method` the steps that led here, `rigor` what the
    arithmetic guarantees, `witness` values by name that refute or attain it.

    `reason` says why a claim is unknown and `detail` what to know in a line; `shares` splits a
    constant by terms, `culprit` is the part of the spec that spoils it, `fix` an edit that mends
    it. `assumptions` hold besides the spec, `obligations` are certificates that this one rests on.

    Raises:
        ContradictionError: `lower` lies above `upper`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    claim: str
    subject: str
    source: str | None = None
    verdict: Verdict
    lower: float | None = None
    upper: float | None = None
    norm: str | None = None
    method: tuple[str, ...] = ()
    rigor: Rigor = "float64"
    witness: Witness | None = None
    reason: Reason | None = None
    detail: str | None = None
    shares: tuple[Share, ...] = ()
    culprit: Place | None = None
    fix: str | None = None
    assumptions: tuple[str, ...] = ()
    obligations: tuple["Certificate", ...] = ()
    boxes: int = 0
    seconds: float = 0.0

    @model_validator(mode="after")
    def _consistent(self) -> "Certificate":
        if self.lower is not None and self.upper is not None and self.lower > self.upper:
            raise ContradictionError(
                f"{self.claim} of {self.subject}: {self.lower!r} is above {self.upper!r}"
            )
        if self.verdict == "proved" and self.rigor == "samples":
            raise ContradictionError(f"{self.claim} of {self.subject}: samples prove nothing")
        if self.verdict == "proved" and any(o.verdict != "proved" for o in self.obligations):
            raise ContradictionError(f"{self.claim} of {self.subject} rests on what is not proved")
        return self
