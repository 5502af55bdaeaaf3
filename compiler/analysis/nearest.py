"""The nearest value of a parameter at which a claim on a slope passes."""

from dataclasses import replace
from math import isfinite

import numpy as np

from mfdsl.compiler.analysis.counted import counted, late
from mfdsl.compiler.analysis.lipschitz import Question, lipschitz
from mfdsl.compiler.analysis.slopes.search import Budget
from mfdsl.compiler.ir.model import Model, Parameter
from mfdsl.compiler.ir.walk import reachable

SECONDS = 1.0
STEPS = 12
QUICK = Budget(boxes=2_000, seconds=0.05)


def nearest_parameter(model: Model, question: Question, most: float) -> str | None:
    """A help that names one parameter and a value nearby at which the claim holds, if there is one.

    Every scalar parameter that the subject reads is tried towards both ends of its range.
    """
    deadline, best = counted() + SECONDS, None
    for parameter in _read(model, question):
        kind = model.types[parameter.type]
        now = float(np.asarray(parameter.value))
        for end in (kind.lo, kind.hi):
            if late(deadline) or end is None or float(end) == now:
                continue
            value = _passing(
                question, parameter.name, now, float(end), most, whole=kind.kind == "int"
            )
            if value is not None:
                away = abs(value - now) / max(abs(now), abs(float(end) - now))
                if best is None or away < best[0]:
                    best = (away, parameter.name, value)
    if best is None:
        return None
    _, name, value = best
    return f"`{name} = {value:.4g}` would do: try `--set {name}={value:.4g}`"


def _read(model: Model, question: Question) -> list[Parameter]:
    roots = [t.node for t in question.subject.terms]
    player = question.subject.dynamics
    if player is not None:
        roots += [s.next for s in player.states if s.next is not None]
        roots += [n.density for n in player.noises if n.density is not None]
    below = (model.nodes[i] for i in reachable(model.nodes, roots))
    names = {str(n.attr) for n in below if n.op == "param"}
    return [
        p
        for p in model.parameters
        if p.name in names and not p.structural and not model.types[p.type].dims
    ]


def _passing(
    question: Question, name: str, now: float, end: float, most: float, *, whole: bool
) -> float | None:
    """The value closest to `now` on the way to `end` that passes, by halving."""
    if not _holds(question, name, end, most):
        return None
    passing, failing = end, now
    for _ in range(STEPS):
        middle = _between(failing, passing)
        if whole:
            middle = float(round(middle))
        if middle in (passing, failing):
            break
        if _holds(question, name, middle, most):
            passing = middle
        else:
            failing = middle
    return _rounded(question, name, passing, most)


def _between(a: float, b: float) -> float:
    """The middle, on a logarithmic scale where both are positive and far apart."""
    if a > 0 and b > 0 and max(a, b) > 10 * min(a, b):
        return float((a * b) ** 0.5)
    return (a + b) / 2


def _rounded(question: Question, name: str, value: float, most: float) -> float:
    """The shortest decimal close by that passes, too."""
    for digits in (1, 2, 3):
        short = float(f"{value:.{digits}g}")
        near = abs(short - value) <= 0.3 * abs(value)
        if near and _holds(question, name, short, most):
            return short
    return value


def _holds(question: Question, name: str, value: float, most: float) -> bool:
    facts = question.facts
    parameters = dict(facts.parameters) | {name: np.asarray(value)}
    found = lipschitz(
        replace(question, facts=replace(facts, parameters=parameters), budget=QUICK), most
    )
    return found.verdict == "proved" and found.upper is not None and isfinite(found.upper)
