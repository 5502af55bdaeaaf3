"""The constant of the law of the next states of a player.

Finite next states are compared in l1, by the masses of outcomes. Real ones are compared with the
same noise, which bounds the Wasserstein-1 distance of their laws (synchronous coupling); where a
finite noise has a law that moves, too, the outcomes of both sides agree but for a mass of half the
l1 distance of the laws, and those that do not are at most the diameter of all outcomes apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING

import numpy as np

from mfdsl.compiler.analysis.continuity import Gap
from mfdsl.compiler.analysis.enclosure import Evaluator, Facts
from mfdsl.compiler.analysis.kernels import (
    Branches,
    Kernel,
    branches_of,
    finite_moving,
    leaf_of,
    make_kernel,
)
from mfdsl.compiler.analysis.means import finite_mean, mean_roots
from mfdsl.compiler.analysis.moduli import (
    PAIRS,
    Bounds,
    by_pairs,
    by_points,
    even,
    in_law,
    larger,
    member_coordinates,
    value_bounds,
)
from mfdsl.compiler.analysis.next_states import MAX_SETS, in_finite, sets_of, subsets
from mfdsl.compiler.analysis.noise import is_shift, reads_noise, scales
from mfdsl.compiler.analysis.slopes.search import Budget
from mfdsl.compiler.analysis.slopes.tape import Unsupported, with_distance
from mfdsl.compiler.analysis.slopes.taping import Entry, make_tape
from mfdsl.compiler.analysis.slopes.value import LargestValue
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.ir.model import NoiseVariable, Player, StateVariable
from mfdsl.compiler.ir.types import Type
from mfdsl.compiler.ir.walk import given, reachable

if TYPE_CHECKING:
    from mfdsl.compiler.analysis.lipschitz import Question

COUPLED = ("synchronous coupling",)
MEANS = ("means of next states",)
MAX_DIAMETER = 28  # pairs of outcomes whose distance is bounded


def dynamics_bounds(question: Question, player: Player) -> Bounds:
    """The constant of the law of the next states of a player."""
    facts, source = question.facts, question.source
    real = [s for s in player.states if not facts.types[s.type].finite]
    smooth = _continuous_part(question)
    try:
        for state in player.states:
            if state not in real and smooth is not None:
                if smooth.source.read_by(facts, given(state.next)):
                    found = value_bounds(smooth, [given(state.next)])
                    if found.upper > 0:
                        return _jumping(smooth, player, state, found)
        moving = [
            n for n in finite_moving(facts.nodes, player) if source.read_by(facts, given(n.density))
        ]
        if not real and source.kind == "law":
            return _finite_dynamics(question, player)
        if not real:
            return _in_own_variables(question, player)
        found = _coupled(question, player) if moving else _real_dynamics(question, player)
        return found if found.lower else _attained_by_means(question, player, found)
    except Unsupported as error:
        return Bounds.none(error)


def _continuous_part(question: Question) -> Question | None:
    """The question in what varies continuously: a law, or the real variables of its source."""
    source, facts = question.source, question.facts
    if source.kind == "law":
        return question
    real = tuple(i for i in source.leaves if not facts.types[facts.nodes[i].type].finite)
    return replace(question, source=replace(source, leaves=real)) if real else None


def _in_own_variables(question: Question, player: Player) -> Bounds:
    """Finite next states in variables: the largest constant in any of them."""
    found = Bounds.zero()
    smooth = _continuous_part(question)
    if smooth is not None:
        branches = branches_of(question.facts, player, finite_moving(question.facts.nodes, player))
        found = larger(found, _of_masses(smooth, branches))
    for leaf in question.source.leaves:
        type_ = question.facts.types[question.facts.nodes[leaf].type]
        if type_.finite:
            lower, upper, boxes, witness = in_finite(question, player, leaf)
            distance = "|.|" if type_.kind == "int" else "0-1"
            found = larger(
                found, Bounds(lower, upper, boxes, witness, method=PAIRS, distance=distance)
            )
    return found


def _of_masses(question: Question, branches: Branches, *, merged: bool = True) -> Bounds:
    """The l1 constant of the masses of outcomes in what varies continuously: twice the largest
    constant of the mass of any set of them.
    """
    facts = branches.copies.facts
    tape = make_tape(facts, branches.weights, question.free, [n for r in branches.nexts for n in r])
    groups, exact = sets_of(branches, tape) if merged else ([[w] for w in branches.weights], False)
    chosen = list(subsets(len(groups)))
    budget = replace(question.budget, seconds=question.budget.seconds / max(1, len(chosen)))
    asked = replace(question, facts=facts, budget=budget)
    best, total = Bounds.zero(), 0.0
    for some in chosen:
        node = branches.copies.total([w for k in some for w in groups[k]])
        if question.source.read_by(facts, node):
            found = value_bounds(asked, [node])
            best, total = larger(best, found), total + found.upper
    upper = 2 * best.upper if len(groups) <= MAX_SETS else total
    gap = best.gap if exact or best.gap is None else replace(best.gap, certain=False)
    lower, witness = (2 * best.lower, best.witness) if exact else (0.0, None)
    return replace(best, lower=lower, upper=max(upper, lower), witness=witness, gap=gap)


def _coupled(question: Question, player: Player) -> Bounds:
    """Real next states beside finite noises whose law moves."""
    facts = question.facts
    noises = finite_moving(facts.nodes, player)
    moving = [n for n in noises if question.source.read_by(facts, given(n.density))]
    branches = branches_of(facts, player, moving)
    same = _real_dynamics(question, player)
    masses = Bounds.zero()
    smooth = _continuous_part(question)
    if smooth is not None:
        masses = _of_masses(smooth, branches, merged=False)
    if any(facts.types[facts.nodes[leaf].type].finite for leaf in question.source.leaves):
        masses = replace(masses, upper=max(masses.upper, 2.0))  # of any two laws
    same, masses = _in_one_norm(same, masses)
    far = _diameter(question, player, branches)
    gap = same.gap or (masses.gap and replace(masses.gap, certain=False))
    return replace(
        same,
        lower=0.0,
        upper=same.upper + masses.upper / 2 * far if masses.upper else same.upper,
        witness=None,
        gap=gap,
        reason=same.reason or masses.reason,
        method=(*same.method, *COUPLED),
        boxes=same.boxes + masses.boxes,
    )


def _in_one_norm(one: Bounds, other: Bounds) -> tuple[Bounds, Bounds]:
    """Constants in W1 where either is: that distance is at least half of the one in l1."""
    both = [b.distance for b in (one, other) if b.distance is not None]
    norm = "W1" if "W1" in both else both[0] if both else None
    found = (
        replace(b, distance=norm, upper=b.upper * (2 if b.distance == "l1" and norm == "W1" else 1))
        for b in (one, other)
    )
    first, second = found
    return first, second


def _diameter(question: Question, player: Player, branches: Branches) -> float:
    """How far next states after different outcomes are apart at most, with equal other noises.

    Raises:
        Unsupported: there are too many outcomes, or no bound was found.
    """
    facts, copies = question.facts, branches.copies
    count = len(branches.weights)
    pairs = [(i, j) for i in range(count) for j in range(i)]
    if len(pairs) > MAX_DIAMETER:
        raise Unsupported(f"distances of {len(pairs)} pairs of outcomes")
    budget = replace(question.budget, seconds=question.budget.seconds / max(1, len(pairs)))
    most = 0.0
    for i, j in pairs:
        squares, jump = 0.0, 0.0
        for k, state in enumerate(player.states):
            ends = branches.nexts[i][k], branches.nexts[j][k]
            if ends[0] == ends[1]:
                continue
            if facts.types[state.type].finite:
                jump = 1.0
                continue
            for entry in np.ndindex(*facts.types[state.type].dims):
                far = _farthest(question, copies, ends, entry, budget)
                squares += far * far
        most = max(most, jump + float(np.sqrt(squares)) * (1 + 1e-14))
    if not most < inf:
        raise Unsupported("next states that have no bounds beside a noise whose law moves")
    return most


def _farthest(
    question: Question,
    copies: Copies,
    ends: tuple[int, int],
    entry: tuple[int, ...],
    budget: Budget,
) -> float:
    """The largest distance of one entry of two expressions."""
    tape = make_tape(copies.facts, [(end, entry) for end in ends], question.free)
    numbers = np.zeros((int(np.prod(tape.sizes)) if tape.sizes else 1, 2), dtype=np.int64)
    return LargestValue(with_distance(tape, numbers, "l1")).found(budget).upper


def _jumping(question: Question, player: Player, state: StateVariable, found: Bounds) -> Bounds:
    """A finite next state that depends on a law is constant or jumps: so does its law where it
    reads no noise, or where its mean over its noises jumps, too. `u < m` jumps at every u, and its
    chance is smooth.
    """
    text = f"the next `{state.name}` takes whole values and depends on the law, so that it jumps"
    if reads_noise(question.facts.nodes, given(state.next)):
        copies, roots = finite_mean(question.facts, player, state.name)
        mean = _same_noise(question, player, copies, roots)
        if mean.gap is None or not mean.gap.certain:
            text = f"the next `{state.name}` jumps with its noise held fixed: its law may not"
            gap = Gap(text, found.gap.place if found.gap else None, False, 0.0)
            return replace(found, lower=0.0, upper=inf, witness=None, gap=gap, reason="continuity")
        found = mean
    certain = found.gap is not None and found.gap.certain
    gap = Gap(text, found.gap.place if found.gap else None, certain, found.lower)
    if certain and found.gap is not None:
        gap = replace(found.gap, text=f"{text}: {found.gap.text}")
    return replace(found, upper=inf, gap=gap)


def _finite_dynamics(question: Question, player: Player) -> Bounds:
    """Masses of outcomes; where there are too many, the sum over noises one by one."""
    facts = question.facts
    noises = finite_moving(facts.nodes, player)
    moving = [n for n in noises if question.source.read_by(facts, given(n.density))]
    if not moving:
        return Bounds.zero()
    for wanted in (noises, moving):
        try:
            return _of_outcomes(question, player, wanted)
        except Unsupported:
            continue
    found = [_of_outcomes(question, player, [n]) for n in moving]
    total = sum(b.upper for b in found)
    gap = next((b.gap for b in found if b.gap is not None), None)
    reason = next((b.reason for b in found if b.reason is not None), None)
    boxes = sum(b.boxes for b in found)
    return replace(found[0], lower=0.0, upper=total, boxes=boxes, gap=gap, reason=reason)


def _of_outcomes(question: Question, player: Player, wanted: Sequence[NoiseVariable]) -> Bounds:
    """The l1 constant of the masses of the joint outcomes of some noises: in one search where laws
    differ in masses, by sets of outcomes where members move.
    """
    kernel = make_kernel(question.facts, player, wanted, question.free)
    population = question.source.population
    assert population is not None
    if member_coordinates(kernel.tape, population.name):
        return _of_masses(question, branches_of(question.facts, player, wanted))
    return _of_kernel(question, kernel)


def _of_kernel(question: Question, kernel: Kernel) -> Bounds:
    found = in_law(question, kernel.tape, kernel.outcomes)
    if kernel.exact:
        return found
    gap = found.gap and replace(found.gap, certain=False)
    return replace(found, lower=0.0, witness=None, gap=gap)


def _real_dynamics(question: Question, player: Player) -> Bounds:
    """Real next states with the same noise."""
    facts = question.facts
    roots: list[Entry] = [
        (unwrapped(facts, given(s.next), facts.types[s.type]), entry)
        for s in player.states
        if not facts.types[s.type].finite
        for entry in np.ndindex(*facts.types[s.type].dims)
        if question.source.read_by(facts, given(s.next))
    ]
    copies = Copies(facts)

    def reads(node: int) -> bool:
        return question.source.read_by(copies.facts, node)

    if all(is_shift(copies.nodes, node, reads) for node, _ in roots):
        return _with_finite(question, player, roots, _same_noise(question, player, copies, roots))
    split = scales(copies, player, roots, reads)
    found = _same_noise(question, player, copies, roots if split is None else split[0])
    for size, parts in split[1] if split is not None else ():
        one, other = _in_one_norm(found, _same_noise(question, player, copies, parts))
        upper = one.upper + size * other.upper
        gap, reason = one.gap or other.gap, one.reason or other.reason
        found = replace(one, upper=upper, gap=gap, reason=reason, boxes=one.boxes + other.boxes)
    gap = found.gap and replace(
        found.gap, certain=False, text=f"with the same noise on both sides {found.gap.text}"
    )
    found = replace(found, lower=0.0, witness=None, gap=gap, method=(*found.method, *COUPLED))
    return _with_finite(question, player, roots, found)


def _with_finite(
    question: Question, player: Player, roots: Sequence[Entry], found: Bounds
) -> Bounds:
    """Bounds for next states of which some are finite, and on rings.

    Finite ones that differ are 1 apart, and so are two values of what alone they read. A jump by a
    whole turn is none on a ring.
    """
    facts = question.facts
    finite = [given(s.next) for s in player.states if facts.types[s.type].finite]
    mine = set(question.source.leaves) & set(reachable(facts.nodes, finite))
    alone = {leaf for leaf in mine if facts.types[facts.nodes[leaf].type].finite}
    alone -= set(reachable(facts.nodes, [node for node, _ in roots]))
    if alone:
        found = larger(found, Bounds(0.0, 1.0, method=COUPLED, distance=found.distance))
    if found.gap is not None and any(_may_turn(facts, player, s) for s in player.states):
        return even(found, "before it is put back on its ring")
    return found


def _may_turn(facts: Facts, player: Player, state: StateVariable) -> bool:
    """Whether what is added to a state on a ring spans a whole turn, so that a jump may be one."""
    kind = facts.types[state.type]
    if not kind.periodic or kind.lo is None or kind.hi is None:
        return kind.periodic
    own = leaf_of(facts, player, state.name, "state")
    node = unwrapped(facts, given(state.next), kind)
    parts = [node]
    while any(facts.nodes[p].op == "add" for p in parts):
        nested = (facts.nodes[p].args if facts.nodes[p].op == "add" else (p,) for p in parts)
        parts = [part for some in nested for part in some]
    evaluator = Evaluator(facts, {})
    added = [evaluator.value(part) for part in parts if part != own]
    return not sum(float(np.max(v.hi - v.lo)) for v in added) < kind.hi - kind.lo


def _attained_by_means(question: Question, player: Player, found: Bounds) -> Bounds:
    """Bounds from above by a coupling, with what the means of the next states attain."""
    if found.reason not in (None, "continuity") or (found.gap is not None and found.gap.certain):
        return found
    try:
        copies, roots = mean_roots(question.facts, player)
        means = _same_noise(question, player, copies, roots)
    except Unsupported:
        return found
    if means.gap is not None and means.gap.certain:
        gap = replace(means.gap, text=f"the mean of the next state {means.gap.text}")
        return replace(means, gap=gap, method=(*means.method, *MEANS))
    one, other = _in_one_norm(found, means)
    if one.distance != found.distance or other.distance != means.distance:
        return found
    return replace(found, lower=means.lower, witness=means.witness)


def _same_noise(
    question: Question, player: Player, copies: Copies, roots: Sequence[Entry]
) -> Bounds:
    """The constant of some entries of next states with all noises held fixed."""
    asked = replace(question, facts=copies.facts)
    roots = [r for r in roots if question.source.read_by(copies.facts, r[0])]
    if not roots:
        return Bounds.zero()
    tape = make_tape(copies.facts, roots, question.free)
    if question.source.kind == "law":
        return in_law(asked, tape, np.zeros((0, 0), dtype=np.int64))
    moving = [k for k, c in enumerate(tape.coordinates) if c.node in question.source.leaves]
    found = by_points(asked, tape, moving, None) if moving else Bounds.zero()
    for leaf in question.source.leaves:
        if copies.types[copies.nodes[leaf].type].finite:
            found = larger(found, _in_pairs(asked, player, copies, roots, leaf))
    return found


def _in_pairs(
    question: Question, player: Player, copies: Copies, roots: Sequence[Entry], leaf: int
) -> Bounds:
    """Real next states in a finite variable; finite ones that differ are 1 apart besides."""
    facts = question.facts
    read = [r for r in roots if leaf in reachable(facts.nodes, [r[0]])]
    found = by_pairs(question, copies, read, leaf) if read else Bounds.zero()
    finite = [given(s.next) for s in player.states if facts.types[s.type].finite]
    if leaf in reachable(facts.nodes, finite):
        found = replace(found, lower=0.0, upper=found.upper + 1.0, witness=None)
    return found


def unwrapped(facts: Facts, node: int, type: Type) -> int:
    """The value before it is put back on a ring: the distance on the ring is no larger."""
    here = facts.nodes[node]
    if not type.periodic:
        return node
    for part in here.args if here.op == "add" else (node,):
        if facts.nodes[part].op == "rem":
            return facts.nodes[part].args[0]
    return node
