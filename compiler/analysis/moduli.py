"""Bounds of one constant: which search answers it, and what it found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING

import numpy as np

from mfdsl.compiler.analysis.certificate import Reason, Witness
from mfdsl.compiler.analysis.continuity import Gap, gap_of, steep_of
from mfdsl.compiler.analysis.enclosure import Facts
from mfdsl.compiler.analysis.pairs import farthest
from mfdsl.compiler.analysis.slopes.law_slope import LawSlope
from mfdsl.compiler.analysis.slopes.point_slope import PointSlope
from mfdsl.compiler.analysis.slopes.search import Found
from mfdsl.compiler.analysis.slopes.segments import Problem
from mfdsl.compiler.analysis.slopes.tape import Tape, Unsupported
from mfdsl.compiler.analysis.slopes.taping import Root, make_tape
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.analysis.witness import law_witness, point_witness
from mfdsl.compiler.ir.model import Player
from mfdsl.compiler.ir.walk import reachable

if TYPE_CHECKING:
    from mfdsl.compiler.analysis.lipschitz import Question

SEARCH = ("interval derivatives with Clarke rules", "branch and bound over statistics")
PAIRS = ("differences of two values", "branch and bound")


@dataclass(frozen=True)
class Bounds:
    """Both bounds of one constant, and what is known besides."""

    lower: float
    upper: float
    boxes: int = 0
    witness: Witness | None = None
    gap: Gap | None = None
    steep: Gap | None = None
    reason: Reason | None = None
    detail: str | None = None
    method: tuple[str, ...] = SEARCH
    distance: str | None = None

    @staticmethod
    def zero() -> Bounds:
        """Of what does not depend on the source."""
        return Bounds(0.0, 0.0, method=("independent",))

    @staticmethod
    def none(error: Unsupported) -> Bounds:
        """Of what has no search."""
        return Bounds(0.0, inf, reason="unsupported", detail=str(error))


def even(bounds: Bounds, why: str) -> Bounds:
    """Bounds from above of what may be less or smoother than what was looked at: lower bounds and
    jumps do not hold for it.
    """
    gap = bounds.gap
    if gap is not None:
        gap = replace(gap, text=f"{gap.text} {why}", certain=False, slope=0.0)
    return replace(bounds, lower=0.0, witness=None, gap=gap)


def legal_only(
    facts: Facts, players: Sequence[Player], nodes: Sequence[int], bounds: Bounds
) -> Bounds:
    """Bounds where some actions are illegal: slopes were looked for at these, too."""
    below = reachable(facts.nodes, list(nodes))
    acted = any(facts.nodes[i].op in ("action", "peer_action", "common_action") for i in below)
    if not acted or all(player.legal is None for player in players):
        return bounds
    return even(bounds, "where actions may be illegal")


def value_bounds(question: Question, nodes: Sequence[int]) -> Bounds:
    """The constant of a sum of nodes."""
    try:
        copies = Copies(question.facts)
        kind = question.facts.nodes[nodes[0]].type
        total = nodes[0] if len(nodes) == 1 else copies.add("add", tuple(nodes), None, kind)
        if question.source.kind == "law":
            return in_law(question, make_tape(copies.facts, [total], question.free), None)
        return _in_variables(question, copies, total)
    except Unsupported as error:
        return Bounds.none(error)


def in_law(question: Question, tape: Tape, outcomes: np.ndarray | None) -> Bounds:
    """The constant in the law of a population.

    Statistics of finite variables have one in l1, whatever else members have.
    """
    population = question.source.population
    assert population is not None
    moving = member_coordinates(tape, population.name)
    if not moving:
        return replace(_by_laws(question, tape, outcomes), distance="l1")
    found = by_points(question, tape, moving, population.name)
    if reads_finite(tape, population.name):  # members that differ in such a variable are 1 apart
        other = _by_laws(question, tape, outcomes)
        found = larger(found, replace(other, lower=2 * other.lower, upper=2 * other.upper))
    return replace(found, distance="W1")


def member_coordinates(tape: Tape, population: str) -> list[int]:
    """Coordinates of the members of a population that statistics read."""
    found = set()
    for k, coordinate in enumerate(tape.coordinates):
        node = tape.facts.nodes[coordinate.node]
        if node.op.startswith("peer_") and population in tape.read.get(k, ()):
            found.add(k)
    return sorted(found)


def reads_finite(tape: Tape, population: str) -> bool:
    """Whether means or transport of a population read finite variables of its members."""
    means = any(s.population == population and s.axes for s in tape.statistics)
    transports = (s.attr for s in tape.steps if s.op == "w2")
    return means or any(name == population and own for _, _, own, name in transports)


def larger(one: Bounds, other: Bounds) -> Bounds:
    """The bounds of the larger of two constants."""
    best = one if one.upper >= other.upper else other
    attained = one if one.lower >= other.lower else other
    return replace(
        best,
        lower=attained.lower,
        witness=attained.witness,
        boxes=one.boxes + other.boxes,
        gap=one.gap or other.gap,
        reason=one.reason or other.reason,
    )


def _by_laws(question: Question, tape: Tape, outcomes: np.ndarray | None) -> Bounds:
    population = question.source.population
    assert population is not None
    problem = LawSlope(tape, population.name, outcomes)
    found = problem.found(question.budget)
    return _bounds(question, problem, found, law_witness(problem))


def by_points(
    question: Question, tape: Tape, moving: Sequence[int], concentrated: str | None
) -> Bounds:
    """The constant of the roots of a tape in some of its coordinates."""
    problem = PointSlope(tape, moving, concentrated)
    found = problem.found(question.budget)
    return _bounds(question, problem, found, point_witness(problem))


def _bounds(question: Question, problem: Problem, found: Found, witness: Witness | None) -> Bounds:
    seconds = 2 * question.budget.seconds
    gap = gap_of(problem, found, question.places, seconds)
    if gap is None:
        return _steep(
            Bounds(found.lower, found.upper, found.boxes, witness),
            steep_of(problem, found, question.places, seconds),
        )
    shown = gap.witness if gap.witness is not None else witness
    reason: Reason = "continuity" if np.isfinite(found.upper) else "domain"
    return Bounds(max(found.lower, gap.slope), inf, found.boxes, shown, gap, reason=reason)


def _steep(bounds: Bounds, steep: Gap | None) -> Bounds:
    """Bounds with what makes the slope steep, and the slope that was attained there."""
    if steep is None:
        return bounds
    lower, witness = bounds.lower, bounds.witness
    if steep.slope > lower and steep.witness is not None:
        lower, witness = steep.slope, steep.witness
    return replace(bounds, lower=lower, witness=witness, steep=steep)


def _in_variables(question: Question, copies: Copies, total: int) -> Bounds:
    """The constant in variables: continuous ones together, finite ones a pair of values each."""
    facts, found = question.facts, Bounds.zero()
    leaves = question.source.leaves
    real = [i for i in leaves if not facts.types[facts.nodes[i].type].finite]
    if real:
        tape = make_tape(copies.facts, [total], question.free)
        moving = [k for k, c in enumerate(tape.coordinates) if c.node in real]
        if moving:
            found = by_points(question, tape, moving, None)
    for leaf in leaves:
        if leaf not in real:
            found = larger(found, by_pairs(question, copies, [total], leaf))
    return found


def by_pairs(question: Question, copies: Copies, roots: Sequence[Root], leaf: int) -> Bounds:
    """The constant of a vector in a finite variable, by all pairs of its values."""
    lower, upper, boxes, witness = farthest(question, copies, roots, leaf)
    reason: Reason | None = None if np.isfinite(upper) else "budget"
    return Bounds(lower, upper, boxes, witness, reason=reason, method=PAIRS)
