"""A claim about slopes or structure as it is written, and what its words mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.ir.model import Model, Place, Player
from mfdsl.compiler.sema.context import Context
from mfdsl.compiler.sema.suggestions import did_you_mean
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax import ast

SECONDS = 2.0  # counted, for one claim that a spec makes
NAMES = frozenset(
    "asymmetry contraction independent invariant linear_quadratic lipschitz monotone"
    " monotone_on_flows potential".split()
)
BOUNDED = frozenset("asymmetry contraction lipschitz".split())


@dataclass(frozen=True)
class Claim:
    """A claim as it is written: the call, the player it is asked of, and the bound if it has one.

    `asked` is the player of the block, or the only one with rewards outside of all blocks. `images`
    are the nodes that variables go to, where the call has named arguments.
    """

    call: ast.Call
    asked: Player | None
    most: float | None
    span: Span
    images: Mapping[str, int] = field(default_factory=dict)


def words(claim: Claim) -> list[ast.Name]:
    """The plain names among the arguments of the call."""
    values = [a.value for a in claim.call.arguments if a.name is None]
    return [v for v in values if isinstance(v, ast.Name)]


def only_player(ctx: Context, model: Model, word: ast.Name) -> Player | None:
    """The player that a claim outside of all blocks is about; an error where there are several."""
    what = word.name
    some = [p for p in model.players if (p.states if what == "dynamics" else p.rewards)]
    if what == "dynamics" and len(some) > 1:
        some = [p for p in some if p.kind == "population"]
    if len(some) == 1:
        return some[0]
    owners = " and ".join(f"`{p.name}`" for p in some)
    ctx.error(
        "MFG103",
        f"`{what}` belongs to {owners}",
        word.span,
        "whose?",
        helps=["move the `require` into the block that it is about"],
    )
    return None


def unknown_word(ctx: Context, word: ast.Name, known: Sequence[str], label: str) -> None:
    """Report a name that means nothing in a claim."""
    ctx.error(
        "MFG101",
        f"unknown name `{word.name}`",
        word.span,
        label,
        helps=[*did_you_mean(word.name, known, [word.span], "")],
    )


def culprit_of(certificate: Certificate, span: Span) -> tuple[Span, str]:
    """The part of the spec that spoils a claim, or the claim itself, and what to say there."""
    place = certificate.culprit
    if place is not None:
        return span_of(place), certificate.detail or ""
    return span, certificate.detail or "required here"


def span_of(place: Place) -> Span:
    """Where a node is written."""
    return Span(place.file, place.start, place.end)
