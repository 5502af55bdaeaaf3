"""Certificates: what was established about a model, how, and within which bounds."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Verdict = Literal["proved", "tested", "refuted", "unknown"]


class Certificate(BaseModel):
    """One claim and its verdict.

    `lower` and `upper` enclose the quantity that the claim is about, `norm` names the distance it
    is stated in (None where there is none), `method` the steps that led here, `rigor` what the
    arithmetic guarantees, `witness` values by name that refute or attain it.
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
    rigor: Literal["exact", "enclosure", "float64"] = "float64"
    witness: dict[str, float | int | str] | None = None
    seconds: float = 0.0
