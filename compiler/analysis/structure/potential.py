"""Potentials: rewards that are the slopes of one function of the law, stage by stage.

A reward has a potential just when its slope matrix is symmetric on moves of mass (Sandholm,
Population games and evolutionary dynamics, 2010, 3.1). With a potential and monotone rewards the
potential is concave. Rewards are skew-affine when they are affine in the law and the matrix is
antisymmetric there: all inner products of differences are 0, as in zero-sum matrix games.
"""

from collections.abc import Sequence

from mfdsl.compiler.analysis.certificate import Certificate, Reason, Rigor, Verdict
from mfdsl.compiler.analysis.clock import processor_time
from mfdsl.compiler.analysis.structure.forms import Form, Forms
from mfdsl.compiler.analysis.structure.monotone import NULL, place_of, refuting
from mfdsl.compiler.analysis.structure.refute import Pair, pair_witness
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.ir.model import Model
from mfdsl.compiler.ir.walk import reachable


def potential(model: Model, stages: Sequence[Forms]) -> Certificate:
    """The certificate `potential` of the rewards of a model."""
    started = processor_time()
    forms = [f for s in stages for f in s.forms]
    bad = next((f for f in forms if f.symmetric is False), None)
    open_ = next((f for f in forms if f.symmetric is None), None)
    verdict: Verdict = "proved"
    reason: Reason | None = None
    detail = None
    if bad is not None and _alone(stages, bad):
        verdict, detail = "refuted", f"{bad.parts[0].term}: slopes in two masses differ crosswise"
    elif bad is not None or open_ is not None:
        form = open_ or bad
        assert form is not None
        verdict, reason = "unknown", form.reason or "unsupported"
        detail = f"{form.parts[0].term}: {form.detail or 'no rule says whether slopes agree'}"
    return Certificate(
        claim="potential",
        subject="reward",
        source="mu",
        verdict=verdict,
        method=_methods(forms),
        rigor=_rigor(forms),
        reason=reason,
        detail=detail,
        culprit=place_of(model, bad if bad is not None else open_),
        seconds=round(processor_time() - started, 6),
    )


def _alone(stages: Sequence[Forms], bad: Form) -> bool:
    """Whether all other parts of its stage are symmetric, so that the whole is not."""
    stage = next(s for s in stages if bad in s.forms)
    return all(f is bad or f.symmetric for f in stage.forms)


def concave_potential(one: Certificate, other: Certificate) -> Certificate:
    """The certificate `concave_potential` from those of `potential` and `monotone`."""
    verdicts = (one.verdict, other.verdict)
    verdict: Verdict = "unknown"
    if verdicts == ("proved", "proved"):
        verdict = "proved"
    elif "refuted" in verdicts:
        verdict = "refuted"
    reason = one.reason or other.reason or "unsupported" if verdict == "unknown" else None
    return Certificate(
        claim="concave_potential",
        subject="reward",
        source="mu",
        verdict=verdict,
        method=("a potential with monotone slopes is concave",),
        rigor="exact" if one.rigor == other.rigor == "exact" else "enclosure",
        witness=other.witness if verdict == "refuted" else None,
        reason=reason,
        detail=f"potential {one.verdict}, monotone {other.verdict}",
        obligations=(one, other),
    )


def skew_affine(
    model: Model, copies: Copies, stages: Sequence[Forms], monotone: Certificate, seconds: float
) -> Certificate:
    """The certificate `skew_affine` of the rewards of a model."""
    started = processor_time()
    forms = [f for s in stages for f in s.forms]
    verdict: Verdict = "unknown"
    reason: Reason | None = None
    detail, witness = None, monotone.witness
    if all(f.sign == "zero" and f.constant for f in forms):
        verdict = "proved"
    elif monotone.verdict == "refuted":
        verdict, detail = "refuted", monotone.detail
    elif all(f.sign in ("zero", "definite", "negative") for f in forms) and any(
        f.sign == "definite" and _moves(copies, f) for f in forms
    ):
        verdict, detail = "refuted", "some inner products are below 0"
    else:
        reason, detail = "unsupported", "the slopes are not known to be antisymmetric"
        pair = _falling(model, copies, stages, seconds)
        if pair is not None:
            verdict, reason, witness = "refuted", None, pair_witness(pair)
            detail = f"the inner product of two differences is {float(pair.product[1]):.4g}"
    return Certificate(
        claim="skew_affine",
        subject="reward",
        source="mu",
        verdict=verdict,
        method=_methods(forms),
        rigor=_rigor(forms),
        witness=witness if verdict == "refuted" else None,
        reason=reason,
        detail=detail,
        culprit=place_of(model, next((f for f in forms if f.sign != "zero"), None)),
        seconds=round(processor_time() - started, 6),
    )


def _moves(copies: Copies, form: Form) -> bool:
    """Whether there are laws that differ where a form reads them: with actions that are illegal,
    or traits, there may be none.
    """
    below = reachable(copies.nodes, [p.node for p in form.parts])
    traits = any(copies.nodes[i].op in ("trait", "peer_trait") for i in below)
    return not traits and all(p.player.legal is None for p in form.parts)


def _falling(model: Model, copies: Copies, stages: Sequence[Forms], seconds: float) -> Pair | None:
    """Two laws whose inner product is below 0 for certain."""
    for stage in stages:
        pair = refuting(model, copies, stage.stage, seconds / len(stages), (), falling=True)
        if pair is not None:
            return pair
    return None


def _methods(forms: Sequence[Form]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f.rule for f in forms if f.rule)) or (NULL,)


def _rigor(forms: Sequence[Form]) -> Rigor:
    return "exact" if all(f.rigor == "exact" for f in forms) else "enclosure"
