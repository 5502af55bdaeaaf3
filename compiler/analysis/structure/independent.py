"""What does not depend on the law of a population, or of any: by its text, by algebra, or not at
all.

The algebra is a normal form in which what cancels, or is multiplied by 0, is gone. Two laws at
which a reward, or the chance of a next state, differs for certain refute.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mfdsl.compiler.analysis.certificate import Certificate, Verdict
from mfdsl.compiler.analysis.clock import processor_time
from mfdsl.compiler.analysis.counted import counted
from mfdsl.compiler.analysis.structure.legal import masks_of, of_legal_majors
from mfdsl.compiler.analysis.structure.stages import (
    draws_from_law,
    is_noisy,
    mean_of,
    reads_law,
)
from mfdsl.compiler.analysis.structure.two_laws import (
    Decision,
    Varied,
    moves,
    two_laws,
)
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.analysis.symbolic.expressions import TooLargeError
from mfdsl.compiler.analysis.symbolic.terms import UnsupportedError, written_out
from mfdsl.compiler.ir.build import TooManyNodes
from mfdsl.compiler.ir.model import Model, Place, Player
from mfdsl.compiler.ir.walk import MEMBERS, reachable

if TYPE_CHECKING:
    from mfdsl.compiler.analysis.lipschitz import Subject

SECONDS = 1.0
Failed = (UnsupportedError, TooLargeError, TooManyNodes)


@dataclass(frozen=True)
class Source:
    """The laws that something may depend on, None for all, under the name of a claim."""

    name: str
    laws: frozenset[str] | None


ANY = Source("mu", None)


def laws_of(model: Model, name: str) -> Source | None:
    """The laws of the populations of a name, a handle or a family; None without any."""
    found = [p.name for p in model.populations if name in (p.handle, p.name, p.family)]
    return Source(name, frozenset(found)) if found else None


def nodes_of(model: Model, copies: Copies, subject: "Subject") -> list[int]:
    """The terms of a subject, those of rewards as means over their noises."""
    if not subject.paid or subject.owner is None:
        return [term.node for term in subject.terms]
    return [mean_of(model, copies, term.node, subject.owner) for term in subject.terms]


def independent_value(
    model: Model,
    copies: Copies,
    name: str,
    nodes: Sequence[int],
    *,
    player: Player | None = None,
    seconds: float = SECONDS,
    source: Source = ANY,
) -> Certificate:
    """The certificate `independent(NAME, mu)` of a sum of nodes: a reward, a `let`."""
    started = processor_time()
    reading = [n for n in nodes if reads_law(copies.facts, n, source.laws)]
    asked = _Reading(model, copies, reading, player, counted() + seconds, source.laws)
    verdict, method, reason, witness, detail = _decided(asked)
    drawn = any(draws_from_law(copies.facts, model.players, n) for n in nodes)
    if drawn and verdict == "proved":
        verdict, reason = "unknown", "unsupported"
        detail = "it reads a noise, and chances of noises depend on a law"
    found = Certificate(
        claim=f"independent({name}, {source.name})",
        subject=name,
        source=source.name,
        verdict=verdict,
        method=(method,),
        rigor="exact",
        witness=witness,
        reason=reason,
        detail=detail,
        culprit=place_of_law(model, reading) if verdict != "proved" else None,
        seconds=round(processor_time() - started, 6),
    )
    return of_legal_majors(model, found)


@dataclass(frozen=True)
class _Reading:
    """Expressions of a player that read a law, and until when they are looked at."""

    model: Model
    copies: Copies
    nodes: Sequence[int]
    player: Player | None
    deadline: float
    laws: frozenset[str] | None


def _decided(asked: _Reading) -> Decision:
    copies, reading, player = asked.copies, asked.nodes, asked.player
    if not reading:
        return "proved", "reads no law", None, None, None
    try:
        legal = [player.legal] if player is not None and player.legal is not None else []
        terms, nodes = written_out(copies.facts, [*reading, *legal], bind=True)
        roots, where = nodes[: len(reading)], nodes[len(reading) :]
        whole = terms.builder.add("add", sorted(roots)) if len(roots) > 1 else roots[0]
        if not moves(terms, whole, asked.laws):
            return "proved", "normal form without a law", None, None, None
        if any(is_noisy(copies.facts, n) for n in reading):
            raise UnsupportedError("a reward that reads a noise and a law")
        masks = masks_of(asked.model, copies)
        varied = Varied(masks, asked.laws, asked.deadline)
        witness = two_laws(terms, [whole], where, varied)
    except Failed as error:
        return "unknown", "normal form", "unsupported", None, str(error)
    if witness is not None:
        return "refuted", "two laws, in decimal intervals", None, witness, None
    return "unknown", "normal form", "unsupported", None, "no two laws were found that differ"


def independent(parts: Sequence[Certificate]) -> Certificate:
    """The certificate `independent`: neither rewards nor dynamics depend on a law."""
    verdict: Verdict = "proved"
    if any(p.verdict == "refuted" for p in parts):
        verdict = "refuted"
    elif any(p.verdict != "proved" for p in parts):
        verdict = "unknown"
    first = next((p for p in parts if p.verdict == verdict), None)
    return Certificate(
        claim="independent",
        subject="game",
        source="mu",
        verdict=verdict,
        method=("rewards and dynamics",),
        rigor="exact",
        witness=first.witness if first is not None and verdict == "refuted" else None,
        reason=first.reason if first is not None and verdict == "unknown" else None,
        detail=f"{first.claim} {first.verdict}"
        if first is not None and verdict != "proved"
        else None,
        culprit=first.culprit if first is not None else None,
        obligations=tuple(parts),
    )


def place_of_law(model: Model, nodes: Sequence[int]) -> Place | None:
    """Where the first mean below some nodes is written."""
    for i in reachable(model.nodes, [n for n in nodes if n < len(model.nodes)]):
        if model.nodes[i].op in MEMBERS and model.places[i] is not None:
            return model.places[i]
    return None
