"""What a proof is made of: claims, the searches that they rest on, and what these found.

A search for the largest slope over a domain leaves a tree of boxes: every inner box was cut in
halves, every leaf has a bound or holds no point of the domain. The tree is kept, not the boxes:
those follow from the domain, so that leaves cover it whatever the tree is.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.analysis.proofs.packing import Packed
from mfdsl.compiler.ir.model import Model

FORMAT = 1


class Data(BaseModel):
    """Frozen record that refuses unknown keys; numbers without bounds are written out."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class Attainment(Data):
    """Where a search attained its best value, by kind of search.

    `laws`: the value at `laws` and at those with `shift` of the mass moved `to` from `off`.
    `points`: the value at `point` and a `way` from there. `value`: the value at `laws`.
    """

    kind: Literal["laws", "points", "value"]
    place: tuple[int, ...]
    point: Packed
    laws: dict[str, Packed] = {}
    to: int = 0
    off: int = 0
    shift: float = 0.0
    way: Packed | None = None


class Searched(Data):
    """One search: which problem it was of, the bound that it found, and its tree.

    `cuts` are codes level by level from the first boxes on: the coordinate along which a box is cut
    in halves, or one of `tree.LEAF` and `tree.EMPTY`. Without a bound there are none.
    """

    problem: str
    upper: float | None
    cuts: Packed | None
    attained: Attainment | None


class Asked(Data):
    """The question of a Lipschitz certificate in terms of nodes, players and leaves of a model."""

    subject: str
    terms: tuple[tuple[str, int], ...]
    dynamics: str | None
    source: str
    population: str | None
    leaves: tuple[int, ...]
    most: float | None
    free: dict[str, tuple[float, float]]


class Claimed(Data):
    """A certificate, and what it rests on; a rule that needs no search is run again."""

    certificate: Certificate
    asked: Asked | None = None
    searches: tuple[Searched, ...] = ()


class Proof(Data):
    """Everything that was certified of one model."""

    format: Literal[1] = 1
    version: str
    name: str
    model: str
    parameters: dict[str, int | float | str | tuple[float, ...]]
    whole_box: bool
    claims: tuple[Claimed, ...]


def model_hash(model: Model) -> str:
    """The identity of a model: all but its words, its solver, and where its nodes are written."""
    data: Mapping[str, object] = model.model_dump(mode="json", exclude={"places", "solver", "doc"})
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
