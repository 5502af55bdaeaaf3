"""A proof checked again: bounds of leaves, witnesses and rules, without a search."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from mfdsl.compiler.analysis import balls
from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.analysis.facts import facts_of
from mfdsl.compiler.analysis.lipschitz import Question, Subject, lipschitz
from mfdsl.compiler.analysis.opened import box_of
from mfdsl.compiler.analysis.proofs.archive import answering
from mfdsl.compiler.analysis.proofs.proof import Asked, Claimed, Proof, model_hash
from mfdsl.compiler.analysis.proofs.replay import ReplayError, replayer_of
from mfdsl.compiler.analysis.subjects import sources_of, subject_of
from mfdsl.compiler.analysis.whole_box import over_box
from mfdsl.compiler.ir.model import Model


@dataclass(frozen=True)
class Rechecked:
    """Whether a certificate holds again. `rigor` is that of the arithmetic now, `why` says what is
    wrong. A certificate that decides nothing claims its bounds only. In a proof over the box of
    parameters it may hold `as_bound` only: at the values that are bound.
    """

    certificate: Certificate
    ok: bool
    rigor: Literal["exact", "balls", "enclosure", "float64", "samples"]
    why: str | None = None
    as_bound: bool = False


class WrongModelError(ValueError):
    """A proof of another model."""


def recheck(
    model: Model,
    proof: Proof,
    rules: Sequence[Certificate] = (),
    bound: Sequence[Certificate] = (),
) -> tuple[Rechecked, ...]:
    """Every certificate of a proof, checked against a model.

    Lipschitz constants are bounded again on the boxes of the proof, and their witnesses evaluated
    again, in balls if python-flint is installed. What needs no search is compared with `rules`, the
    same certificates made anew, and with those that are `bound`: made at the bound values of the
    parameters, whatever the proof is over.

    Raises:
        WrongModelError: the proof is of another model, or of other values of its parameters.
    """
    if model_hash(model) != proof.model:
        raise WrongModelError(f"the proof is of another model than `{model.name}`")
    over = proof.whole_box
    rows = (_checked(model, claimed, rules, bound, over=over) for claimed in proof.claims)
    return tuple(row if proof.whole_box else replace(row, as_bound=False) for row in rows)


def claims_nothing(certificate: Certificate) -> bool:
    """Whether a certificate is neither a verdict nor a bound."""
    return certificate.verdict == "unknown" and certificate.upper is None and not certificate.lower


def _checked(
    model: Model,
    claimed: Claimed,
    rules: Sequence[Certificate],
    bound: Sequence[Certificate],
    *,
    over: bool,
) -> Rechecked:
    if claims_nothing(claimed.certificate):
        return Rechecked(claimed.certificate, True, claimed.certificate.rigor)
    if claimed.asked is not None:
        return _by_replay(model, claimed, claimed.asked, over=over)
    found = _by_rule(claimed, rules)
    if found.ok:
        return found
    here = _by_rule(claimed, bound)
    return replace(here, as_bound=True) if here.ok or not _named(claimed, rules) else found


def _by_rule(claimed: Claimed, rules: Sequence[Certificate]) -> Rechecked:
    old = claimed.certificate
    why = f"no rule gives `{old.claim}` of {old.subject}"
    for new in _named(claimed, rules):
        problem = difference(old, new)
        if problem is None:
            return Rechecked(old, True, new.rigor)
        why = problem
    return Rechecked(old, False, old.rigor, why)


def _named(claimed: Claimed, rules: Sequence[Certificate]) -> list[Certificate]:
    """The rules that are about what a certificate is about."""
    return [rule for rule in rules if _name(rule) == _name(claimed.certificate)]


def _name(certificate: Certificate) -> tuple[object, ...]:
    return certificate.claim, certificate.subject, certificate.source, certificate.norm


def _by_replay(model: Model, claimed: Claimed, asked: Asked, *, over: bool) -> Rechecked:
    """A constant from its kept searches: `over` the box where the proof is, else at the values."""
    old, ranges = claimed.certificate, asked.free == box_of(model) and (over or bool(asked.free))
    rigor: Literal["balls", "enclosure"] = "balls" if balls.available() else "enclosure"
    question = question_of(model, asked)
    if question is None:
        return Rechecked(old, False, rigor, "it asks about what the model does not have")
    if old.subject not in subjects(model, asked):
        return Rechecked(old, False, rigor, f"the proof is not of {old.subject}", not ranges)
    try:
        with answering(replayer_of(claimed.searches)):
            new = lipschitz(question, asked.most)
    except ReplayError as error:
        return Rechecked(old, False, rigor, str(error), not ranges)
    if not ranges:
        why = _missing(old, new)
        return Rechecked(old, why is None, rigor, why, True)
    why = _missing(old, *over_box(model, [new]))
    if why is not None and not asked.free and _missing(old, new) is None:
        return Rechecked(old, True, rigor, None, True)
    return Rechecked(old, why is None, rigor, why)


def _missing(old: Certificate, new: Certificate) -> str | None:
    """What a constant claims that another one does not, each of the same and in the same norm."""
    if (new.claim, new.norm, new.assumptions) != (old.claim, old.norm, old.assumptions):
        return f"the proof is of `{new.claim}` ({new.norm})"
    return difference(old, new)


def question_of(model: Model, asked: Asked) -> Question | None:
    """The question that was asked of a model, None if the model does not have what it names.

    Nodes are those that the model has under these names: a proof cannot choose others.
    """
    facts = facts_of(model)
    if asked.free not in ({}, box_of(model)):
        return None
    for player in model.players:
        subject = subject_of(model, player, asked.subject)
        if subject is None or not _meant(asked, subject):
            continue
        for source in sources_of(model, facts, player, asked.source):
            population = source.population.name if source.population is not None else None
            if (population, source.leaves) == (asked.population, asked.leaves):
                return Question(facts, subject, source, places=model.places, free=asked.free)
    return None


def subjects(model: Model, asked: Asked) -> frozenset[str]:
    """What certificates call the subject of a question, with the name of its player or without."""
    name = asked.subject
    owners = (p for p in model.players if (s := subject_of(model, p, name)) and _meant(asked, s))
    return frozenset({name, *(f"{name} of {owner.name}" for owner in owners)})


def _meant(asked: Asked, subject: Subject) -> bool:
    dynamics = subject.dynamics.name if subject.dynamics is not None else None
    terms = tuple((t.name, t.node) for t in subject.terms)
    return (dynamics, terms) == (asked.dynamics, asked.terms)


def difference(old: Certificate, new: Certificate) -> str | None:
    """What an old certificate claims that a new one does not; None where there is nothing.

    Bounds have to be met: a file may hold one that is no number, which is neither met nor missed.
    """
    decided = old.verdict in ("proved", "refuted", "tested")
    if decided and new.verdict != old.verdict:
        because = f": {new.detail}" if new.detail else ""
        return f"it is {new.verdict}, not {old.verdict}{because}"
    if old.upper is not None and not (new.upper is not None and new.upper <= old.upper):
        return f"the bound from above is {new.upper!r}, not {old.upper!r}"
    for share in old.shares:
        if not any(s.term == share.term and s.upper <= share.upper for s in new.shares):
            return f"the share of `{share.term}` is not at most {share.upper!r}"
    for part in old.obligations:
        same = (o for o in new.obligations if _name(o) == _name(part))
        if all(difference(part, o) is not None for o in same):
            return f"it does not rest on `{part.claim}` of {part.subject}"
    if new.assumptions != old.assumptions:
        return f"it assumes {', '.join(new.assumptions) or 'nothing'}"
    if old.lower is not None and not (new.lower is not None and new.lower >= old.lower):
        return f"the bound from below is {new.lower!r}, not {old.lower!r}"
    jumps = new.upper is None and new.claim.startswith("lipschitz(")
    if not jumps and old.witness is not None and new.witness != old.witness:
        return "the witness is another one"  # pairs across a jump are narrowed to other points
    return None
