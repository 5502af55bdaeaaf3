"""Monotone rewards in the sense of Lasry and Lions, stage by stage, on all laws.

The sum over x of (r(x, mu) - r(x, nu)) (mu - nu)(x) is at most 0 for all laws mu, nu of
states and actions (Lasry and Lions, Mean field games, 2007); of several populations the sum over
all, each with the same weight. What all share (time, common states) is held fixed.
"""

from collections.abc import Sequence

from mfdsl.compiler.analysis.certificate import Certificate, Reason, Rigor, Verdict
from mfdsl.compiler.analysis.clock import processor_time
from mfdsl.compiler.analysis.structure.forms import (
    Failed,
    Form,
    Forms,
    rewards_by_population,
)
from mfdsl.compiler.analysis.structure.refute import (
    Pair,
    Rewards,
    pair_witness,
    rewards_of,
    rising_pair,
)
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
) -> Certificate:
    """The certificate `monotone` of the rewards of a model."""
    started = processor_time()
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
    verdict, reason, detail = _verdict(unknown, pair)
    if verdict == "refuted":
        methods = ["an inner product in decimal intervals" if pair else "vanishing slopes"]
    return Certificate(
        claim="monotone",
        subject="reward",
        source="mu",
        verdict=verdict,
        method=tuple(dict.fromkeys(m for m in methods if m)) or (NULL,),
        rigor=weakest(rigors) if verdict != "refuted" else "enclosure",
        witness=pair_witness(pair) if pair is not None else None,
        reason=reason,
        detail=detail,
        culprit=place_of(model, unknown),
        fix=_fix(where),
        boxes=sum(f.boxes for s in stages for f in s.forms),
        seconds=round(processor_time() - started, 6),
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
    try:
        game = paid_at(model, copies, stage)
        return rising_pair(game, seconds, directions, falling=falling)  # type: ignore[arg-type]
    except Failed:
        return None


def paid_at(model: Model, copies: Copies, stage: Stage) -> Rewards:
    """All that a stage pays and that reads a law, for evaluation at laws.

    Raises:
        UnsupportedError, TooManyNodes: the rewards have no written-out form.
    """
    rewards = rewards_by_population(copies, stage.parts)
    reads = {n for p in stage.parts for n in laws_read(copies, p.node)} | set(rewards)
    players = [p for p in model.populations if p.name in reads]
    for player in players:
        rewards.setdefault(player.name, total_of(copies, []))
    return rewards_of(copies, rewards, players)


def _verdict(unknown: Form | None, pair: Pair | None) -> tuple[Verdict, Reason | None, str | None]:
    if pair is not None:
        text = f"the inner product of both differences is {float(pair.product[0]):.4g}"
        return "refuted", None, text
    if unknown is not None:
        why = unknown.detail or "no rule covers it, and no pair of laws refutes it"
        return "unknown", unknown.reason or "unsupported", f"{unknown.parts[0].term}: {why}"
    return "proved", None, STATIC


def weakest(rigors: Sequence[Rigor]) -> Rigor:
    """Exact where all are."""
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
