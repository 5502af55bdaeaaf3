"""Strictly monotone rewards: the inner product is below 0 between laws at which a reward differs.

Stage by stage, for any two laws of states and actions at which the reward of some legal member
differs. Rewards that move with the law in no way that counts, or read none, are not strict.
"""

from collections.abc import Mapping, Sequence

from mfdsl.compiler.analysis.certificate import Certificate, Reason, Verdict
from mfdsl.compiler.analysis.clock import processor_time
from mfdsl.compiler.analysis.structure.forms import Failed, Form, Forms
from mfdsl.compiler.analysis.structure.masses import read_under
from mfdsl.compiler.analysis.structure.monotone import NULL, STATIC, paid_at, refuting, weakest
from mfdsl.compiler.analysis.structure.refute import Pair, level_pair, pair_witness
from mfdsl.compiler.analysis.structure.stages import Part, laws_read
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.ir.model import Model
from mfdsl.compiler.ir.walk import MEANS, MEMBERS, reachable

CLAIM = "strictly_monotone"
NOWHERE = "the rewards move with the law in no way that counts"

Decision = tuple[Verdict, Reason | None, str, Pair | None]


def strictly_monotone(
    model: Model, copies: Copies, stages: Sequence[Forms], weak: Certificate, seconds: float
) -> Certificate:
    """The certificate `strictly_monotone` of the rewards of a model.

    `weak` is the certificate `monotone`: what is not proved there is not proved here.
    """
    if weak.verdict != "proved":
        return weak.model_copy(update={"claim": CLAIM})
    started = processor_time()
    forms = [f for s in stages for f in s.forms]
    verdict, reason, detail, pair = _decided(model, copies, stages, seconds)
    methods = [f.rule for f in forms]
    if verdict == "refuted":
        methods = ["an inner product in decimal intervals" if pair else "vanishing slopes"]
    return Certificate(
        claim=CLAIM,
        subject="reward",
        source="mu",
        verdict=verdict,
        method=tuple(dict.fromkeys(m for m in methods if m)) or (NULL,),
        rigor=weakest([f.rigor for f in forms]) if verdict != "refuted" else "enclosure",
        witness=pair_witness(pair) if pair is not None else None,
        reason=reason,
        detail=detail,
        seconds=round(processor_time() - started, 6),
    )


def _decided(model: Model, copies: Copies, stages: Sequence[Forms], seconds: float) -> Decision:
    """The verdict on rewards that are monotone."""
    forms = [f for s in stages for f in s.forms]
    if all(f.sign == "zero" for f in forms):
        return "refuted", None, NOWHERE, None
    open_ = [(s, part) for s in stages if (part := _loose(copies, s)) is not None]
    if not open_:
        names = ", ".join(dict.fromkeys(p.term for f in forms for p in f.parts))
        if not _differs(model, copies, stages, seconds / 2):
            return "unknown", "unsupported", f"no two laws are known at which {names} differ", None
        detail = f"between laws at which {names} differ; {STATIC}"
        return "proved", None, detail, None
    for stage, part in open_:
        pair = _level(model, copies, stage, seconds / (2 * len(open_)))
        if pair is not None:
            detail = f"{part.term} differs at two laws whose inner product is 0"
            return "refuted", None, detail, pair
    _, part = open_[0]
    detail = f"{part.term} may differ at laws between which the inner product is 0"
    return "unknown", "tight", detail, None


def _differs(model: Model, copies: Copies, stages: Sequence[Forms], seconds: float) -> bool:
    """Whether there are two laws between which a definite form falls: masks may leave one law only,
    and nothing moves traits.
    """
    for form in (f for s in stages for f in s.forms if f.sign == "definite"):
        for name, variables in (form.read or {}).items():
            player = model.player(name)
            if player.legal is None and any(
                v.name in variables and model.types[v.type].size > 1
                for v in (*player.states, *player.actions)
            ):
                return True
    share = seconds / len(stages)
    return any(refuting(model, copies, s.stage, share, (), falling=True) for s in stages)


def _loose(copies: Copies, stage: Forms) -> Part | None:
    """A part that may differ at laws that no definite form tells apart; None without any."""
    definite = [f for f in stage.forms if f.sign == "definite"]
    other = [p for f in stage.forms if f.sign != "definite" for p in f.parts]
    return next((p for p in (*stage.null, *other) if not _is_covered(copies, p, definite)), None)


def _is_covered(copies: Copies, part: Part, definite: Sequence[Form]) -> bool:
    """Whether a part reads only what laws that definite forms do not tell apart agree in."""
    below = (copies.nodes[i].op for i in reachable(copies.nodes, [part.node]))
    if any(op in MEMBERS and op not in MEANS for op in below):
        return False
    for name in laws_read(copies, part.node):
        under = read_under(copies.nodes, part.node, name)
        read = {variable for op, variable in under if op.startswith("peer_")}
        if not any(_tells_apart(f.read, name, read) for f in definite):
            return False
    return True


def _tells_apart(
    told: Mapping[str, frozenset[str]] | None, population: str, read: set[str]
) -> bool:
    return told is not None and population in told and read <= told[population]


def _level(model: Model, copies: Copies, stage: Forms, seconds: float) -> Pair | None:
    try:
        return level_pair(paid_at(model, copies, stage.stage), seconds)
    except Failed:
        return None
