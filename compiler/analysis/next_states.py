"""The law of finite next states in own or common variables: K_s and K_a, in l1.

For a finite variable the constant is the largest l1 distance between the laws at two of its values
over their distance, found by enumeration beside a search over laws and all else. For continuous
ones the l1 norm of a change of masses that add up to 0 is twice the largest sum over some outcomes,
so the constant is twice the largest constant of the mass of a set of outcomes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from mfdsl.compiler.analysis.kernels import (
    Branches,
    branches_of,
    different,
    finite_moving,
    numbers_of,
)
from mfdsl.compiler.analysis.pairs import Largest, over_pairs, pairs_at, shifted
from mfdsl.compiler.analysis.slopes.tape import Tape, Unsupported, with_distance
from mfdsl.compiler.analysis.slopes.taping import make_tape
from mfdsl.compiler.ir.model import Player

if TYPE_CHECKING:
    from mfdsl.compiler.analysis.lipschitz import Question

MOST = 2.0  # the l1 distance of any two laws
MAX_SETS = 6  # outcomes, of which all sets are looked at


def in_finite(question: Question, player: Player, leaf: int) -> Largest:
    """The constant in a finite variable; at most 2, whatever the laws are."""

    def tape_of(by: int) -> Tape:
        found = branches_of(question.facts, player, finite_moving(question.facts.nodes, player))
        copies = found.copies
        instead = {leaf: shifted(copies, leaf, by)}
        weights = [*found.weights, *(copies.replaced(w, instead) for w in found.weights)]
        nexts = [*found.nexts, *([copies.replaced(n, instead) for n in r] for r in found.nexts)]
        also = [leaf, *(node for row in nexts for node in row)]
        tape = make_tape(copies.facts, weights, question.free, also)
        numbers = numbers_of(tape, nexts)
        if numbers is None:
            raise Unsupported("next states that are not known where the variable is")
        here = np.where(pairs_at(tape, leaf, by)[:, None], numbers, -1)
        return with_distance(tape, here, "l1")

    try:
        lower, upper, boxes, witness = over_pairs(question, leaf, tape_of, MOST)
        if branches_of(question.facts, player, finite_moving(question.facts.nodes, player)).mixed:
            return 0.0, upper, boxes, None
        return lower, upper, boxes, witness
    except Unsupported:
        return 0.0, MOST, 0, None


def sets_of(found: Branches, tape: Tape) -> tuple[list[list[int]], bool]:
    """Weights of the outcomes with different next states, and whether these are known."""
    numbers = numbers_of(tape, found.nexts)
    known = numbers is not None and bool((numbers == numbers[:1]).all())
    row = numbers[0] if numbers is not None and known else different(tape, len(found.nexts))[0]
    groups = [[w for w, n in zip(found.weights, row, strict=True) if n == k] for k in set(row)]
    return groups, known and not found.mixed


def subsets(count: int) -> Iterator[Sequence[int]]:
    """Sets of outcomes up to their complements, not the empty one; single ones where there are
    more than MAX_SETS.
    """
    if count > MAX_SETS:
        yield from ((k,) for k in range(count))
        return
    for size in range(1, count // 2 + 1):
        for chosen in combinations(range(count), size):
            if 2 * size < count or 0 in chosen:
                yield chosen
