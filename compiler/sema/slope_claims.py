"""`require lipschitz(what, source) <= L`: what it is about, its certificate, and what to say."""

from collections.abc import Mapping

from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.analysis.facts import facts_of
from mfdsl.compiler.analysis.lipschitz import Question, Source, Subject, lipschitz
from mfdsl.compiler.analysis.nearest import nearest_parameter
from mfdsl.compiler.analysis.slopes.search import Budget
from mfdsl.compiler.analysis.subjects import source_names, sources_of, subject_names, subject_of
from mfdsl.compiler.ir.model import Model
from mfdsl.compiler.sema.claim import (
    SECONDS,
    Claim,
    culprit_of,
    only_player,
    span_of,
    unknown_word,
    words,
)
from mfdsl.compiler.sema.context import Context
from mfdsl.compiler.source import Span


def slopes(ctx: Context, model: Model, claim: Claim) -> list[Certificate]:
    """The certificates of a Lipschitz claim, one for each source; what fails is an error."""
    read = _arguments(ctx, model, claim)
    if read is None:
        return []
    subject, sources = read
    facts, budget = facts_of(model), Budget(seconds=SECONDS / 2)
    found = []
    for source in sources:
        question = Question(facts, subject, source, budget, model.places)
        certificate = lipschitz(question, claim.most)
        found.append(certificate)
        if certificate.verdict != "proved":
            _report_slope(ctx, model, claim, question, certificate)
            break
    return found


def _arguments(ctx: Context, model: Model, claim: Claim) -> tuple[Subject, list[Source]] | None:
    """The subject and the sources that a call of two names is about."""
    call, names = claim.call, words(claim)
    if len(call.arguments) != 2 or len(names) != 2:
        ctx.error(
            "MFG206",
            f"`{call.function.name}` takes what, and with what it varies",
            call.span,
            "two names",
            helps=[f"for example `{call.function.name}(reward, mu)`"],
        )
        return None
    player = claim.asked or only_player(ctx, model, names[0])
    if player is None:
        return None
    subject = subject_of(model, player, names[0].name)
    if subject is None:
        known = subject_names(player)
        unknown_word(ctx, names[0], known, "no reward, let or dynamics of that name")
        return None
    sources = sources_of(model, facts_of(model), player, names[1].name)
    if not sources:
        unknown_word(ctx, names[1], source_names(model, player), "nothing that varies")
        return None
    return subject, sources


def _report_slope(
    ctx: Context, model: Model, claim: Claim, question: Question, certificate: Certificate
) -> None:
    what = "dynamics are" if question.subject.dynamics else f"`{question.subject.name}` is"
    also = [(claim.span, "required here")]
    span, label = _culprit(certificate, claim)
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
    reason = certificate.detail or f"the budget of {SECONDS:g} counted seconds ran out"
    return "MFG509", f"this `require` could not be decided: {reason}"


def _culprit(certificate: Certificate, claim: Claim) -> tuple[Span, str]:
    """Where it comes from: the part that spoils the slope, the largest term, or the claim."""
    if certificate.culprit is not None:
        return culprit_of(certificate, claim.span)
    shares = [s for s in certificate.shares if s.place is not None]
    if certificate.shares and shares:
        worst = max(shares, key=lambda s: s.upper)
        if worst.place is not None and worst.upper > 0:
            return span_of(worst.place), f"slope up to {worst.upper:.6g} here"
    return claim.span, certificate.detail or "required here"


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
