"""How long to look for what nobody asked for, and a look at the structure alone."""

from collections.abc import Collection

from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.analysis.structure import structure_certificates
from mfdsl.compiler.ir.model import Model

SECONDS = {"none": 0.0, "solve": 0.5, "default": 0.8, "high": 30.0}
STRUCTURE = 0.4  # of the time, for the structure


def structure(model: Model, claims: Collection[str], effort: str) -> tuple[Certificate, ...]:
    """What `regularity` finds of these claims about the structure, without the slopes."""
    return structure_certificates(model, STRUCTURE * SECONDS[effort], claims=claims)
