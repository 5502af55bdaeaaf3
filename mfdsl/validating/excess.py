"""Proved bounds beside values of the running game: rewards in their ranges, secants below slopes.

A certificate is about all laws and states, so whatever happens in a game must lie inside. An excess
is a mistake in mfdsl (MFG904), never in the spec.
"""

import hashlib
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mfdsl import __version__
from mfdsl.bundle import bundle_of
from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.runtime.simulator import Simulator
from mfdsl.validating.outcome import Excess, Row, Trial, left
from mfdsl.validating.stages import Stage, horizon_of, stages

CODE = "MFG904"
MESSAGE = "a proved bound was exceeded at run time; this is a bug in mfdsl"
NAME = "ranges"
SLACK = 1e-9
AGENTS = 100
GAMES = 16
STEPS = 200


def range_row(
    trial: Trial, certificates: Sequence[Certificate], until: float
) -> tuple[Row, tuple[Excess, ...]]:
    """Rewards of simulated games beside the ranges that are proved for them."""
    program = trial.game.agents
    paid = [p.name for p in trial.game.model.players if any(not t.final for t in p.rewards)]
    claims: dict[str, Certificate] = {}
    for certificate in certificates:
        player = _player(certificate, paid)
        if player is not None and _bounded(certificate):
            claims[player] = _tighter(claims.get(player), certificate)
    if not claims:
        return Row(NAME, "not applicable", "no range of a reward is proved"), ()
    fixed = {program.names[f]: program.module.AGENTS[f] for f in program.fixed}
    wanted = {p.name: fixed.get(p.name, AGENTS) for p in trial.game.model.populations}
    simulator = trial.game.simulator(agents=wanted, batch=trial.games or GAMES, seed=trial.seed)
    last, seen = (
        horizon_of(simulator, STEPS),
        {name: (float("inf"), -float("inf")) for name in claims},
    )
    for stage in stages(simulator, trial.behaviour, last):
        for name, certificate in claims.items():
            excess = _outside(simulator, stage, name, certificate, trial)
            if excess is not None:
                detail = f"a reward of {name} is {excess.found:.9g}, beyond {excess.bound:.9g}"
                return Row(NAME, "failed", f"{CODE}: {detail}"), (excess,)
            values = _rewards(simulator, stage, name)
            low, high = seen[name]
            seen[name] = min(low, float(values.min())), max(high, float(values.max()))
        if left(until) <= 0:
            last = stage.t + 1
            break
    shown = ", ".join(
        f"{name} in [{seen[name][0] + 0.0:.4g}, {seen[name][1] + 0.0:.4g}] of"
        f" [{_end(c.lower)}, {_end(c.upper)}]"
        for name, c in claims.items()
    )
    figures = {
        name: {"seen": list(seen[name]), "proved": [c.lower, c.upper]} for name, c in claims.items()
    }
    detail = f"rewards of {last} steps: {shown}"
    return Row(NAME, "passed", detail, {"steps": last, "rewards": figures}), ()


def _player(certificate: Certificate, paid: Sequence[str]) -> str | None:
    """The player whose reward a certificate is about."""
    if certificate.claim != "range":
        return None
    if certificate.subject == "reward":
        return paid[0] if len(paid) == 1 else None
    name = certificate.subject.removeprefix("reward of ")
    return name if name != certificate.subject and name in paid else None


def _bounded(certificate: Certificate) -> bool:
    """Whether an end is known; of an unbounded range the verdict is unknown, the end proved."""
    return certificate.lower is not None or certificate.upper is not None


def _tighter(one: Certificate | None, other: Certificate) -> Certificate:
    """The narrower of two ranges of one reward."""
    if one is None:
        return other
    lows = [c.lower for c in (one, other) if c.lower is not None]
    highs = [c.upper for c in (one, other) if c.upper is not None]
    ends = {"lower": max(lows, default=None), "upper": min(highs, default=None)}
    return one.model_copy(update=ends)


def _rewards(simulator: Simulator, stage: Stage, name: str) -> Any:
    field = next(f for f, shown in simulator.program.names.items() if shown == name)
    return getattr(stage.rewards, field)


def _outside(
    simulator: Simulator, stage: Stage, name: str, certificate: Certificate, trial: Trial
) -> Excess | None:
    values = _rewards(simulator, stage, name)
    for bound, found, beyond in (
        (certificate.upper, values.max(), 1.0),
        (certificate.lower, values.min(), -1.0),
    ):
        if bound is None or beyond * (float(found) - bound) <= SLACK * (1 + abs(bound)):
            continue
        place = (values == found).nonzero()[0].tolist()
        where = {
            "t": stage.t,
            "place": place,
            "agents": dict(simulator.agents),
            "games": simulator.batch,
            "policy": trial.policy,
        }
        return Excess("range", f"reward of {name}", bound, float(found), where)
    return None


def _end(value: float | None) -> str:
    return "?" if value is None else f"{value:.4g}"


def write_reproduction(trial: Trial, exceeded: Sequence[Excess]) -> Path | None:
    """Write a file with the spec, the parameters, the seed and the values that exceed a bound.

    It is written where the user is, or among temporary files; None when neither can be written.
    """
    bundle = bundle_of(trial.game.compilation)
    document = {
        "code": CODE,
        "message": MESSAGE,
        "mfdsl": __version__,
        "files": {name: content.decode("utf-8", "replace") for name, content in bundle.items()},
        "parameters": {p.name: p.value for p in trial.game.model.parameters},
        "policy": trial.policy,
        "seed": trial.seed,
        "exceeded": [excess.to_json() for excess in exceeded],
    }
    text = json.dumps(document, indent=1) + "\n"
    name = f"mfdsl-bound-{hashlib.sha256(text.encode()).hexdigest()[:8]}.json"
    for folder in (Path.cwd(), Path(tempfile.gettempdir())):
        try:
            (folder / name).write_text(text, encoding="utf-8")
        except OSError:
            continue
        return folder / name
    return None
