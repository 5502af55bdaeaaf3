"""Bounds of one constant: which search answers it, and what it found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from math import inf
from typing import TYPE_CHECKING

import numpy as np

from mfdsl.compiler.analysis.certificate import Reason, Witness
from mfdsl.compiler.analysis.continuity import Gap, gap_of, steep_of
from mfdsl.compiler.analysis.enclosure import Facts
from mfdsl.compiler.analysis.kernels import Kernel, finite_noises, make_kernel
from mfdsl.compiler.analysis.slopes.law_slope import LawSlope
from mfdsl.compiler.analysis.slopes.point_slope import PointSlope
from mfdsl.compiler.analysis.slopes.search import Budget, Found
from mfdsl.compiler.analysis.slopes.segments import Problem
from mfdsl.compiler.analysis.slopes.tape import Tape, Unsupported
from mfdsl.compiler.analysis.slopes.taping import make_tape
from mfdsl.compiler.analysis.slopes.value import LargestValue
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.analysis.witness import law_witness, point_witness, value_witness
from mfdsl.compiler.ir.model import Player
from mfdsl.compiler.ir.types import Type
from mfdsl.compiler.ir.walk import given

if TYPE_CHECKING:
    from mfdsl.compiler.analysis.lipschitz import Question

MAX_PAIRS = 66
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


def finite_law(facts: Facts, player: Player) -> bool:
    """Whether a population has finitely many kinds of members."""
    variables = (*player.states, *player.traits, *player.actions)
    return all(facts.types[v.type].finite for v in variables)


def value_bounds(question: Question, nodes: Sequence[int]) -> Bounds:
    """The constant of a sum of nodes."""
    try:
        copies = Copies(question.facts)
        kind = question.facts.nodes[nodes[0]].type
        total = nodes[0] if len(nodes) == 1 else copies.add("add", tuple(nodes), None, kind)
        if question.source.kind == "law":
            return _in_law(question, make_tape(copies.facts, [total], question.free), None)
        return _in_variables(question, copies, total)
    except Unsupported as error:
        return Bounds.none(error)


def _in_law(question: Question, tape: Tape, outcomes: np.ndarray | None) -> Bounds:
    """The constant in the law of a population.

    Statistics of finite variables have one in l1, whatever else members have.
    """
    population = question.source.population
    assert population is not None
    mine = [s for s in tape.statistics if s.population == population.name]
    moving = member_coordinates(tape, population.name)
    if not moving:
        return replace(_by_laws(question, tape, outcomes), distance="l1")
    found = _by_points(question, tape, moving, population.name)
    if any(s.axes for s in mine):  # members that differ in a finite variable are 1 apart
        other = _by_laws(question, tape, outcomes)
        found = _larger(found, replace(other, lower=2 * other.lower, upper=2 * other.upper))
    return replace(found, distance="W1")


def member_coordinates(tape: Tape, population: str) -> list[int]:
    """Coordinates of the members of a population that statistics read."""
    found = set()
    for k, coordinate in enumerate(tape.coordinates):
        node = tape.facts.nodes[coordinate.node]
        if node.op.startswith("peer_") and population in tape.read.get(k, ()):
            found.add(k)
    return sorted(found)


def _larger(one: Bounds, other: Bounds) -> Bounds:
    best = one if one.upper >= other.upper else other
    return replace(
        best,
        lower=max(one.lower, other.lower),
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


def _by_points(
    question: Question, tape: Tape, moving: Sequence[int], concentrated: str | None
) -> Bounds:
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
            found = _by_points(question, tape, moving, None)
    for leaf in leaves:
        if leaf not in real:
            found = _larger(found, _by_pairs(question, copies, total, leaf))
    return found


def _by_pairs(question: Question, copies: Copies, total: int, leaf: int) -> Bounds:
    """The largest difference of two values of a finite variable, over their distance."""
    pairs = list(_pairs(question.facts.types[question.facts.nodes[leaf].type]))
    if len(pairs) > MAX_PAIRS:
        raise Unsupported(f"{len(pairs)} pairs of values of a variable")
    budget = replace(question.budget, seconds=question.budget.seconds / len(pairs))
    best = Bounds(0.0, 0.0, method=PAIRS)
    kind = question.facts.nodes[total].type
    for one, other in pairs:
        parts = [copies.replaced(total, {leaf: copies.const(v, leaf)}) for v in (one, other)]
        apart = copies.add(
            "add", (parts[0], copies.add("neg", (parts[1],), None, kind)), None, kind
        )
        for least in (False, True):
            tape = make_tape(copies.facts, [apart], question.free)
            best = _larger(best, _largest(tape, least, budget))
    return best


def _largest(tape: Tape, least: bool, budget: Budget) -> Bounds:
    problem = LargestValue(tape, least)
    found = problem.found(budget)
    lower = max(found.lower, 0.0)
    return Bounds(lower, max(found.upper, lower), found.boxes, value_witness(problem), method=PAIRS)


def _pairs(type_: Type) -> Iterator[tuple[int, int]]:
    """Pairs of values at distance 1: neighbours of numbers, any two values of other types."""
    values = range(type_.first, type_.first + type_.size)
    if type_.kind == "int":
        yield from pairwise(values)
        if type_.periodic and type_.size > 2:
            yield values[-1], values[0]
    else:
        yield from combinations(values, 2)


def dynamics_bounds(question: Question, player: Player) -> Bounds:
    """The constant of the law of the next states of a player."""
    facts, source = question.facts, question.source
    real = [s for s in player.states if not facts.types[s.type].finite]
    noises = finite_noises(facts, player)
    try:
        if source.kind != "law" and len(real) < len(player.states):
            raise Unsupported("laws of finite next states in a variable")
        for state in player.states:
            if state not in real and source.read_by(facts, given(state.next)):
                found = value_bounds(question, [given(state.next)])
                if found.upper > 0:
                    return _jumping(found, state.name)
        moving = [n for n in noises if source.read_by(facts, given(n.density))]
        if not real:
            return _finite_dynamics(question, player)
        if moving:
            raise Unsupported("real next states beside a noise whose law moves")
        return _real_dynamics(question, player)
    except Unsupported as error:
        return Bounds.none(error)


def _jumping(found: Bounds, name: str) -> Bounds:
    """A finite next state that depends on a law is constant or jumps."""
    text = f"the next `{name}` takes whole values and depends on the law, so that it jumps"
    certain = found.gap is not None and found.gap.certain
    gap = Gap(text, found.gap.place if found.gap else None, certain, found.lower)
    if certain and found.gap is not None:
        gap = replace(found.gap, text=f"{text}: {found.gap.text}")
    return replace(found, upper=inf, gap=gap)


def _finite_dynamics(question: Question, player: Player) -> Bounds:
    """Masses of outcomes; where there are too many, the sum over noises one by one."""
    facts = question.facts
    noises = finite_noises(facts, player)
    moving = [n for n in noises if question.source.read_by(facts, given(n.density))]
    if not moving:
        return Bounds.zero()
    for wanted in (noises, moving):
        try:
            return _of_kernel(question, make_kernel(facts, player, wanted, question.free))
        except Unsupported:
            continue
    found = [_of_kernel(question, make_kernel(facts, player, [n], question.free)) for n in moving]
    total = sum(b.upper for b in found)
    gap = next((b.gap for b in found if b.gap is not None), None)
    reason = next((b.reason for b in found if b.reason is not None), None)
    boxes = sum(b.boxes for b in found)
    return replace(found[0], lower=0.0, upper=total, boxes=boxes, gap=gap, reason=reason)


def _of_kernel(question: Question, kernel: Kernel) -> Bounds:
    found = _in_law(question, kernel.tape, kernel.outcomes)
    if kernel.exact:
        return found
    gap = found.gap and replace(found.gap, certain=False)
    return replace(found, lower=0.0, witness=None, gap=gap)


def _real_dynamics(question: Question, player: Player) -> Bounds:
    """Real next states with the same noise."""
    facts = question.facts
    roots = [
        (unwrapped(facts, given(s.next), facts.types[s.type]), entry)
        for s in player.states
        if not facts.types[s.type].finite
        for entry in np.ndindex(*facts.types[s.type].dims)
        if question.source.read_by(facts, given(s.next))
    ]
    tape = make_tape(Copies(facts).facts, roots, question.free)
    if question.source.kind == "law":
        return _in_law(question, tape, np.zeros((0, 0), dtype=np.int64))
    moving = [k for k, c in enumerate(tape.coordinates) if c.node in question.source.leaves]
    if not moving:
        raise Unsupported("real next states in a finite variable")
    return _by_points(question, tape, moving, None)


def unwrapped(facts: Facts, node: int, type: Type) -> int:
    """The value before it is put back on a ring: the distance on the ring is no larger."""
    here = facts.nodes[node]
    if not type.periodic:
        return node
    for part in here.args if here.op == "add" else (node,):
        if facts.nodes[part].op == "rem":
            return facts.nodes[part].args[0]
    return node
