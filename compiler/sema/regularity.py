"""Claims about slopes and structure in `require`: read from the tree, decided on the model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.analysis.facts import facts_of
from mfdsl.compiler.analysis.lipschitz import Question, Source, Subject, lipschitz
from mfdsl.compiler.analysis.nearest import nearest_parameter
from mfdsl.compiler.analysis.slopes.search import Budget
from mfdsl.compiler.analysis.subjects import (
    source_names,
    sources_of,
    subject_names,
    subject_of,
)
from mfdsl.compiler.ir.model import Model, Place, Player
from mfdsl.compiler.sema import sets
from mfdsl.compiler.sema.context import Context
from mfdsl.compiler.sema.suggestions import did_you_mean
from mfdsl.compiler.sema.values import Env
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax import ast

SECONDS = 2.0  # for one claim that a spec makes


@dataclass(frozen=True)
class Claim:
    """A claim as it is written: the call, the player it is asked of, and the bound if it has one.

    `asked` is the player of the block, or the only one with rewards outside of all blocks.
    """

    call: ast.Call
    asked: Player | None
    most: float | None
    span: Span


def read_claim(ctx: Context, env: Env, claim: ast.Expr, player: Player | None) -> Claim | None:
    """The claim of a `require` about slopes or structure; None for other claims.

    `lipschitz(reward, mu) <= 5`, `5 >= lipschitz(reward, mu)`, `monotone(reward, mu)`, or a bare
    `lipschitz(reward, mu)`, which claims that there is a constant.
    """
    if isinstance(claim, ast.Call) and claim.function.name in DECIDERS:
        return Claim(claim, player, None, claim.span)
    if not isinstance(claim, ast.Compare) or len(claim.operands) != 2:
        return None
    left, right = claim.operands
    flipped = isinstance(right, ast.Call) and right.function.name in DECIDERS
    call, bound = (right, left) if flipped else (left, right)
    if not isinstance(call, ast.Call) or call.function.name not in DECIDERS:
        return None
    wanted = (">=", ">") if flipped else ("<=", "<")
    if claim.operators[0] not in wanted:
        ctx.error(
            "MFG206",
            f"`{call.function.name}` is bounded from above",
            claim.span,
            "claimed from below",
            helps=[f"write `{call.function.name}(...) <= {_text(ctx, bound)}`"],
        )
        return None
    most = sets.static_real(ctx, Env(file=env.file, static=True), bound, "the bound of a claim")
    return None if most is None else Claim(call, player, most, claim.span)


def _text(ctx: Context, expr: ast.Expr) -> str:
    return "..." if isinstance(expr, ast.Compare) else "bound"


def is_regularity(claim: ast.Expr) -> bool:
    """Whether a claim is about slopes or structure."""
    parts = claim.operands if isinstance(claim, ast.Compare) else (claim,)
    return any(isinstance(p, ast.Call) and p.function.name in DECIDERS for p in parts)


def decide_claims(ctx: Context, model: Model, claims: Sequence[Claim]) -> list[Certificate]:
    """The certificates of all claims; the ones that do not hold are errors."""
    found: list[Certificate] = []
    for claim in claims:
        found += DECIDERS[claim.call.function.name](ctx, model, claim)
    return found


def _lipschitz(ctx: Context, model: Model, claim: Claim) -> list[Certificate]:
    facts = facts_of(model)
    read = _arguments(ctx, model, claim)
    if read is None:
        return []
    _, subject, sources = read
    budget = Budget(seconds=SECONDS / 2)
    found = []
    for source in sources:
        question = Question(facts, subject, source, budget, model.places)
        certificate = lipschitz(question, claim.most)
        found.append(certificate)
        if certificate.verdict != "proved":
            _report_slope(ctx, model, claim, question, certificate)
            break
    return found


def _arguments(
    ctx: Context, model: Model, claim: Claim
) -> tuple[Player, Subject, list[Source]] | None:
    """The player, the subject and the sources that a call of two names is about."""
    call = claim.call
    names = [a.value for a in call.arguments]
    words = [n for n in names if isinstance(n, ast.Name)]
    if len(names) != 2 or len(words) != 2 or any(a.name for a in call.arguments):
        ctx.error(
            "MFG206",
            f"`{call.function.name}` takes what, and with what it varies",
            call.span,
            "two names",
            helps=[f"for example `{call.function.name}(reward, mu)`"],
        )
        return None
    player = claim.asked or _only(model, words[0].name)
    if player is None:
        owners = " and ".join(f"`{p.name}`" for p in model.players if p.rewards)
        ctx.error(
            "MFG103",
            f"`{words[0].name}` belongs to {owners}",
            words[0].span,
            "whose?",
            helps=["move the `require` into the block that it is about"],
        )
        return None
    subject = subject_of(model, player, words[0].name)
    if subject is None:
        _unknown(ctx, words[0], subject_names(player), "no reward, let or dynamics of that name")
        return None
    sources = sources_of(model, facts_of(model), player, words[1].name)
    if not sources:
        _unknown(ctx, words[1], source_names(model, player), "nothing that varies")
        return None
    return player, subject, sources


def _only(model: Model, what: str) -> Player | None:
    """The player that a claim outside of all blocks is about."""
    some = [p for p in model.players if (p.states if what == "dynamics" else p.rewards)]
    if what == "dynamics" and len(some) > 1:
        some = [p for p in some if p.kind == "population"]
    return some[0] if len(some) == 1 else None


def _unknown(ctx: Context, name: ast.Name, known: Sequence[str], label: str) -> None:
    ctx.error(
        "MFG101",
        f"unknown name `{name.name}`",
        name.span,
        label,
        helps=[*did_you_mean(name.name, known, [name.span], "")],
    )


def _report_slope(
    ctx: Context, model: Model, claim: Claim, question: Question, certificate: Certificate
) -> None:
    what = "dynamics are" if question.subject.dynamics else f"`{question.subject.name}` is"
    also = [(claim.span, "required here")]
    span, label = _culprit(ctx, certificate, claim)
    helps = [certificate.fix] if certificate.fix else []
    notes = _notes(certificate)
    code, message = _headline(certificate, what, question.source.name, claim.most)
    if code in ("MFG501", "MFG509") and claim.most is not None:
        near = nearest_parameter(model, question, claim.most)
        helps += [near] if near else []
    if span == claim.span:
        also = []
    ctx.error(code, message, span, label, also=also, notes=notes, helps=helps)


def _notes(certificate: Certificate) -> list[str]:
    """What was found: the bounds, the terms that do not matter, where it is attained."""
    witness = certificate.witness or {}
    if "distance" in witness:
        text = f"values that differ by {witness['change']:.6g} at a distance of "
        return [f"{text}{witness['distance']:.1e} ({certificate.norm}) were found"]
    if certificate.upper is None and not certificate.lower:
        return []
    notes = [_bounds_text(certificate), *_shares_text(certificate)]
    if witness and certificate.lower:
        at = "at least that" if certificate.upper is None else f"{certificate.lower:.6g}"
        notes.append(f"{at} is attained at {_witness_text(witness)}")
    return notes


def _headline(
    certificate: Certificate, what: str, source: str, most: float | None
) -> tuple[str, str]:
    if certificate.verdict == "refuted" and certificate.upper is None:
        jumps = certificate.detail is not None and "jump" in certificate.detail
        code = "MFG502" if jumps else "MFG504"
        return code, f"{what} not Lipschitz in `{source}`"
    if certificate.verdict == "refuted" and most is not None:
        return "MFG501", f"{what} not {most:.6g}-Lipschitz in `{source}`"
    if certificate.detail is not None and "faster than linearly" in certificate.detail:
        return "MFG510", f"{what} not Lipschitz on an unbounded range in `{source}`"
    reason = certificate.detail or f"the budget of {SECONDS:g} s ran out"
    return "MFG509", f"this `require` could not be decided: {reason}"


def _culprit(ctx: Context, certificate: Certificate, claim: Claim) -> tuple[Span, str]:
    """Where it comes from: the part that spoils the slope, the largest term, or the claim."""
    place = certificate.culprit
    if place is not None:
        return _span(place), certificate.detail or ""
    shares = [s for s in certificate.shares if s.place is not None]
    if certificate.shares and shares:
        worst = max(shares, key=lambda s: s.upper)
        if worst.place is not None and worst.upper > 0:
            return _span(worst.place), f"slope up to {worst.upper:.6g} here"
    return claim.span, certificate.detail or "required here"


def _span(place: Place) -> Span:
    return Span(place.file, place.start, place.end)


def _bounds_text(certificate: Certificate) -> str:
    low = f"{certificate.lower:.6g}" if certificate.lower is not None else "0"
    if certificate.upper is None:
        return f"slopes up to {low} were found, and no bound ({certificate.norm})"
    return f"the constant is between {low} and {certificate.upper:.6g} ({certificate.norm})"


def _shares_text(certificate: Certificate) -> list[str]:
    rest = [s for s in certificate.shares if s.upper == 0]
    if not rest or len(rest) == len(certificate.shares):
        return []
    names = ", ".join(f"`{s.term}`" for s in rest)
    return [f"{names} contribute{'s' if len(rest) == 1 else ''} 0"]


def _witness_text(witness: Mapping[str, float | int | str]) -> str:
    parts = []
    for name, value in witness.items():
        shown = f"{value:.6g}" if isinstance(value, float) else str(value)
        parts.append(f"{name}: {shown}" if " " in name or name == "moving" else f"{name} = {shown}")
    return "; ".join(parts)


Decider = Callable[[Context, Model, Claim], list[Certificate]]
DECIDERS: dict[str, Decider] = {"lipschitz": _lipschitz}
