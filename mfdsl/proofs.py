"""Proofs as files: what a check established, kept so that it can be checked again.

Rechecking looks for nothing: constants are bounded again on the boxes of the proof, in ball
arithmetic where python-flint is installed, witnesses are evaluated again, rules applied again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

import mfdsl
from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.analysis.proofs.archive import answering, leaving_out
from mfdsl.compiler.analysis.proofs.fingerprint import Problem
from mfdsl.compiler.analysis.proofs.proof import FORMAT, Claimed, Proof, model_hash
from mfdsl.compiler.analysis.proofs.recheck import (
    Rechecked,
    WrongModelError,
    claims_nothing,
    recheck,
    subjects,
)
from mfdsl.compiler.analysis.proofs.replay import Replayer, ReplayError, replayer_of
from mfdsl.compiler.analysis.regularity import regularity
from mfdsl.compiler.analysis.slopes.search import Budget, Found
from mfdsl.compiler.analysis.slopes.tape import Unsupported
from mfdsl.compiler.analysis.whole_box import over_box
from mfdsl.compiler.driver import Options, ParameterValue, compile_file
from mfdsl.compiler.ir.model import Model
from mfdsl.errors import UsageError
from mfdsl.files import read_text, write_text
from mfdsl.settings import with_settings_checked
from mfdsl.shipped import find_spec
from mfdsl.summary import certificate_text

EFFORT = "high"  # of the rules, which end by themselves


@dataclass(frozen=True)
class Recheck:
    """The outcome of checking a proof again: a row for each certificate."""

    spec: str
    proof: Proof
    rows: tuple[Rechecked, ...]

    @property
    def ok(self) -> bool:
        """True when every certificate holds again."""
        return all(row.ok for row in self.rows)

    def to_json(self) -> dict[str, Any]:
        """The JSON contract of `mfdsl recheck`."""
        return {
            "spec": self.spec,
            "ok": self.ok,
            "model": self.proof.model,
            "certificates": [
                {
                    "claim": row.certificate.claim,
                    "subject": row.certificate.subject,
                    "verdict": row.certificate.verdict,
                    "lower": row.certificate.lower,
                    "upper": row.certificate.upper,
                    "norm": row.certificate.norm,
                    "ok": row.ok,
                    "as_bound": row.as_bound,
                    "rigor": row.rigor,
                    "why": row.why,
                }
                for row in self.rows
            ],
        }

    def screen(self) -> str:
        """A row for each certificate, and the verdict."""
        shown = [(r.certificate.claim, _text(r), _outcome(r)) for r in self.rows]
        claim, text = (max((len(row[k]) for row in shown), default=0) for k in (0, 1))
        lines = [f"  {c:<{claim}}  {t:<{text}}  {o}" for c, t, o in dict.fromkeys(shown)]
        failed = sum(not row.ok for row in self.rows)
        count = f"{len(self.rows)} certificate{'' if len(self.rows) == 1 else 's'}"
        words = f"failed: {failed} of {count}" if failed else f"ok: {count}"
        head = f"{self.proof.name}: proof of mfdsl {self.proof.version}"
        return "\n".join([head, *lines, words])


def _text(row: Rechecked) -> str:
    as_bound = " as bound" if row.as_bound else ""
    return f"{certificate_text(row.certificate)}, {row.certificate.verdict}{as_bound}"


def _outcome(row: Rechecked) -> str:
    return f"holds ({row.rigor})" if row.ok else f"does not hold: {row.why}"


def proof_of(
    model: Model,
    certificates: Sequence[Certificate],
    kept: Sequence[Claimed],
    *,
    parameters: Mapping[str, ParameterValue],
    whole_box: bool,
) -> Proof:
    """The proof of what certificates of a model claim, with what was kept of their searches."""
    by_name: dict[str, list[Claimed]] = {}
    for claimed in kept:
        by_name.setdefault(_key(claimed.certificate), []).append(claimed)
    for claimed in kept if whole_box else ():
        (told,) = over_box(model, [claimed.certificate])
        by_name.setdefault(_key(told), []).append(claimed)
    claims = []
    for certificate in certificates:
        if claims_nothing(certificate):
            continue
        claimed = _of_player(model, certificate, by_name.get(_key(certificate), []))
        claims.append(claimed.model_copy(update={"certificate": certificate}))
    return Proof(
        version=mfdsl.__version__,
        name=model.name,
        model=model_hash(model),
        parameters=dict(parameters),
        whole_box=whole_box,
        claims=tuple(claims),
    )


def _of_player(model: Model, certificate: Certificate, kept: Sequence[Claimed]) -> Claimed:
    """The first of some equal claims that is about the subject of a certificate, if there is one.

    Two players may be told the same, and their expressions are not.
    """
    alike = (c for c in kept if c.asked and certificate.subject in subjects(model, c.asked))
    return next(alike, Claimed(certificate=certificate))


def _key(certificate: Certificate) -> str:
    """What a certificate says, whatever its player and however long it took."""
    return certificate.model_dump_json(exclude={"subject", "seconds"})


def write_proof(path: str | Path, proof: Proof) -> None:
    """Write a proof to a file.

    Raises:
        UsageError: the file cannot be written.
    """
    write_text(Path(path), proof.model_dump_json(indent=1) + "\n")


def read_proof(path: str | Path) -> Proof:
    """The proof in a file.

    Raises:
        UsageError: the file cannot be read, or is no proof.
    """
    try:
        return Proof.model_validate_json(read_text(Path(path)))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise UsageError(
            f"`{path}` is no proof: {where}: {first['msg'].lower()}",
            f"`mfdsl check SPEC --keep-proof FILE` writes proofs of format {FORMAT}",
        ) from None


def recheck_file(
    spec: str | Path, path: str | Path, parameters: Mapping[str, ParameterValue]
) -> Recheck:
    """Check the proof in a file against a spec, at its parameters if none are given.

    Raises:
        CompileError: the spec has errors.
        UsageError: the file is no proof, or one of another game or of other parameters.
    """
    proof = read_proof(path)
    options = Options(parameters=dict(proof.parameters) | dict(parameters))
    searches = [s for claimed in proof.claims for s in claimed.searches]
    with answering(_or_search(replayer_of(searches))):
        compilation = with_settings_checked(compile_file(find_spec(spec), options))
    model = compilation.require_model()
    bound = [c for c in compilation.certificates if not c.claim.startswith("lipschitz(")]
    with leaving_out():  # constants are replayed from the proof
        rules = regularity(model, EFFORT, whole_box=proof.whole_box)
    try:
        rows = recheck(model, proof, rules, bound)
    except WrongModelError as error:
        hint = "the spec, its files or its parameters have changed: check it again"
        raise UsageError(str(error), hint) from None
    return Recheck(compilation.name, proof, rows)


def _or_search(replayer: Replayer) -> Callable[[Problem, Budget], Found]:
    """Answers from a proof, and searches for what it has none of: a changed spec compiles, too."""

    def by(problem: Problem, budget: Budget) -> Found:
        try:
            return replayer(problem, budget)
        except (ReplayError, Unsupported):
            return problem.found(replace(budget, by=None))

    return by
