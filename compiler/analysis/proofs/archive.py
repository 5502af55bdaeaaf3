"""What becomes of a Lipschitz question: searched, searched and kept, or answered from a proof."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import TYPE_CHECKING

import numpy as np

from mfdsl.compiler.analysis import balls
from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.analysis.proofs.attained import kept as attained_by
from mfdsl.compiler.analysis.proofs.fingerprint import Problem, fingerprint
from mfdsl.compiler.analysis.proofs.packing import pack
from mfdsl.compiler.analysis.proofs.proof import Asked, Claimed, Searched
from mfdsl.compiler.analysis.proofs.replay import ReplayError, replayer_of
from mfdsl.compiler.analysis.proofs.tree import CutError, cuts_to
from mfdsl.compiler.analysis.slopes.domain import root_rows
from mfdsl.compiler.analysis.slopes.search import Budget, Found

if TYPE_CHECKING:
    from mfdsl.compiler.analysis.lipschitz import Question

Answer = Callable[[Problem, Budget], Found]
Decide = Callable[["Question", float | None], Certificate]
REPLAYED = 4000  # boxes of a certificate whose replay nobody notices, about 0.1 s
SECONDS = 2.0  # for what a recheck computes besides bounds: identities, pairs across a jump


@dataclass
class Archive:
    """Certificates with what they rest on; in balls, where python-flint is installed.

    What took more boxes than `most` is neither kept nor replayed.
    """

    most: int | None = None
    claims: list[Claimed] = field(default_factory=list)


_KEEPING: ContextVar[Archive | None] = ContextVar("keeping", default=None)
_ANSWERING: ContextVar[Answer | None] = ContextVar("answering", default=None)
_LEAVING_OUT: ContextVar[bool] = ContextVar("leaving out", default=False)


@contextmanager
def keeping(archive: Archive | None) -> Iterator[None]:
    """Lipschitz certificates made inside are kept with their searches, if there is an archive."""
    token = _KEEPING.set(archive)
    try:
        yield
    finally:
        _KEEPING.reset(token)


@contextmanager
def answering(answer: Answer) -> Iterator[None]:
    """Lipschitz certificates made inside are answered from a proof, without a search."""
    token = _ANSWERING.set(answer)
    try:
        yield
    finally:
        _ANSWERING.reset(token)


@contextmanager
def leaving_out() -> Iterator[None]:
    """Lipschitz certificates made inside are unknown: nobody looks for their constants."""
    token = _LEAVING_OUT.set(True)
    try:
        yield
    finally:
        _LEAVING_OUT.reset(token)


def kept(decide: Decide) -> "Callable[..., Certificate]":
    """A decision that is kept or answered from a proof where that is asked for."""

    @wraps(decide)
    def wrapped(question: "Question", most: float | None = None) -> Certificate:
        if _LEAVING_OUT.get():
            return left_out(question)
        answer, archive = _ANSWERING.get(), _KEEPING.get()
        if answer is not None:
            return replayed(decide, question, most, answer)
        if archive is None:
            return decide(question, most)
        searches: list[Searched] = []
        whole: list[bool] = []  # for each search, whether it is kept

        def by(problem: Problem, budget: Budget) -> Found:
            found = problem.found(replace(budget, by=None, keep=True))
            whole.append(archive.most is None or found.boxes <= archive.most)
            if whole[-1]:
                searches.append(searched(problem, found))
            return replace(found, leaves=None)

        certificate = decide(replace(question, budget=replace(question.budget, by=by)), most)
        if all(whole):
            certificate = in_balls(decide, question, most, certificate, searches)
        asked = asked_of(question, most)
        archive.claims.append(
            Claimed(certificate=certificate, asked=asked, searches=tuple(searches))
        )
        return certificate

    return wrapped


def left_out(question: "Question") -> Certificate:
    """The certificate of a question that nobody looked into."""
    return Certificate(
        claim=f"lipschitz({question.subject.name}, {question.source.name})",
        subject=question.subject.name,
        source=question.source.name,
        verdict="unknown",
        reason="budget",
    )


def replayed(
    decide: Decide, question: "Question", most: float | None, answer: Answer
) -> Certificate:
    """The certificate of a question from a proof, in balls where python-flint is installed."""
    with balls.rigorous() as rigorous:
        budget = Budget(seconds=SECONDS, by=answer)
        certificate = decide(replace(question, budget=budget), most)
    return certificate.model_copy(update={"rigor": "balls"}) if rigorous else certificate


def in_balls(
    decide: Decide,
    question: "Question",
    most: float | None,
    certificate: Certificate,
    searches: list[Searched],
) -> Certificate:
    """The certificate with rigor `balls`, if it is proved and its replay in balls agrees."""
    if certificate.verdict != "proved" or not balls.available():
        return certificate
    try:
        other = replayed(decide, question, most, replayer_of(searches))
    except ReplayError:
        return certificate
    agrees = other.verdict == "proved"
    return certificate.model_copy(update={"rigor": other.rigor}) if agrees else certificate


def searched(problem: Problem, found: Found) -> Searched:
    """What is kept of one search; without a tree where the boxes do not come from halving."""
    cuts = None
    bounded = bool(np.isfinite(found.upper))
    if bounded and found.leaves is not None:
        whole = np.array([c.whole for c in problem.tape.coordinates], bool)
        try:
            cuts = pack(cuts_to(found.leaves, root_rows(problem.tape), whole))
        except CutError:
            cuts = None  # a recheck then says that the first boxes are too large
    upper = found.upper if bounded else None
    return Searched(
        problem=fingerprint(problem), upper=upper, cuts=cuts, attained=attained_by(problem)
    )


def asked_of(question: "Question", most: float | None) -> Asked:
    """A question as data."""
    subject, source = question.subject, question.source
    return Asked(
        subject=subject.name,
        terms=tuple((t.name, t.node) for t in subject.terms),
        dynamics=subject.dynamics.name if subject.dynamics is not None else None,
        source=source.name,
        population=source.population.name if source.population is not None else None,
        leaves=tuple(source.leaves),
        most=most,
        free=dict(question.free),
    )
