"""Monotone rewards in the sense of Lasry and Lions, stage by stage, on all laws.

`monotone`: the sum over x of (r(x, mu) - r(x, nu)) (mu - nu)(x) is at most 0 for all laws mu, nu of
states and actions (Lasry and Lions, Mean field games, 2007); of several populations the sum over
all, each with the same weight. With `strictly` it is below 0 for laws that differ in what the
rewards read. What all share (time, common states) is held fixed.
"""

import time
from collections.abc import Sequence

from mfdsl.compiler.analysis.certificate import Certificate, Reason, Rigor, Verdict
from mfdsl.compiler.analysis.structure.forms import (
    Failed,
    Form,
    Forms,
    rewards_by_population,
)
from mfdsl.compiler.analysis.structure.refute import Pair, pair_witness, rewards_of, rising_pair
from mfdsl.compiler.analysis.structure.stages import Stage, laws_read, total_of
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.ir.model import Model, Place

NULL = "no part of a reward reads oneself and a law"
STATIC = "about rewards at fixed laws: says nothing of dynamics that depend on the law"


def monotone(
    model: Model,
    copies: Copies,
    stages: Sequence[Forms],
    seconds: float,
    *,
    strictly: bool = False,
    weak: Certificate | None = None,
) -> Certificate:
    """The certificate `monotone`, or `strictly_monotone`, of the rewards of a model.

    `weak` is the certificate `monotone`, if it is known: what is refuted there is refuted here.
    """
    started = time.perf_counter()
    if strictly and weak is not None and weak.verdict != "proved":
        return weak.model_copy(update={"claim": "strictly_monotone"})
    claim = "strictly_monotone" if strictly else "monotone"
    rigors: list[Rigor] = []
    methods: list[str] = []
    unknown: Form | None = None
    for stage in stages:
        for form in stage.forms:
            if form.sign not in ("zero", "negative", "definite"):
                unknown = unknown or form
            rigors.append(form.rigor)
            methods.append(form.rule)
    pair, where = None, None
    if unknown is not None:
        for stage in stages:
            directions = [f.direction for f in stage.forms if f.direction is not None]
            pair = refuting(model, copies, stage.stage, seconds / 2, directions)
            if pair is not None:
                where = stage
                break
    verdict, reason, detail = _verdict(stages, unknown, pair, strictly)
    if verdict == "refuted":
        methods = ["an inner product in decimal intervals" if pair else "vanishing slopes"]
    return Certificate(
        claim=claim,
        subject="reward",
        source="mu",
        verdict=verdict,
        method=tuple(dict.fromkeys(m for m in methods if m)) or (NULL,),
        rigor=_weakest(rigors) if verdict != "refuted" else "enclosure",
        witness=pair_witness(pair) if pair is not None else None,
        reason=reason,
        detail=detail,
        culprit=place_of(model, unknown),
        fix=_fix(where),
        boxes=sum(f.boxes for s in stages for f in s.forms),
        seconds=round(time.perf_counter() - started, 6),
    )


def refuting(
    model: Model,
    copies: Copies,
    stage: Stage,
    seconds: float,
    directions: Sequence[object],
    *,
    falling: bool = False,
) -> Pair | None:
    """Two laws that show the rewards of a stage not to be monotone; with `falling` two between
    which they fall.
    """
    rewards = rewards_by_population(copies, stage.parts)
    reads = {n for p in stage.parts for n in laws_read(copies, p.node)} | set(rewards)
    players = [p for p in model.populations if p.name in reads]
    for player in players:
        rewards.setdefault(player.name, total_of(copies, []))
    try:
        game = rewards_of(copies, rewards, players)
        return rising_pair(game, seconds, directions, falling=falling)  # type: ignore[arg-type]
    except Failed:
        return None


def _verdict(
    stages: Sequence[Forms], unknown: Form | None, pair: Pair | None, strictly: bool
) -> tuple[Verdict, Reason | None, str | None]:
    if pair is not None:
        text = f"the inner product of both differences is {float(pair.product[0]):.4g}"
        return "refuted", None, text
    if unknown is not None:
        why = unknown.detail or "no rule covers it, and no pair of laws refutes it"
        return "unknown", unknown.reason or "unsupported", f"{unknown.parts[0].term}: {why}"
    if not strictly:
        return "proved", None, STATIC
    running = [s for s in stages if s.stage.name == "running"]
    if not running or all(f.sign == "zero" for f in running[0].forms):
        return "refuted", None, "the rewards move with the law in no way that counts"
    strict = [f for f in running[0].forms if f.sign == "definite"]
    covered = {p.player.name for f in strict for p in f.parts}
    if covered == {p.player.name for f in running[0].forms for p in f.parts}:
        names = ", ".join(dict.fromkeys(p.term for f in strict for p in f.parts))
        return "proved", None, f"between laws that differ in what {names} read; {STATIC}"
    return "unknown", "tight", "the slopes may vanish"


def _weakest(rigors: Sequence[Rigor]) -> Rigor:
    return "enclosure" if any(r != "exact" for r in rigors) else "exact"


def place_of(model: Model, form: Form | None) -> Place | None:
    """Where the first part of a form is written."""
    if form is None:
        return None
    node = form.parts[0].node
    return model.places[node] if node < len(model.places) else None


def _fix(where: Forms | None) -> str | None:
    if where is None:
        return None
    return "let the reward fall, not rise, with the mass at one's own place"
