"""Rewards that only the masses at the own place change, of several populations that meet there.

Kinds of members whose masses move each other's rewards make a block, and blocks do not touch: the
slope matrix J is made of the blocks D. In a game of congestion all entries of a block are one slope
d, and v' D v = d (sum of v)^2; other blocks are enclosed, with Gershgorin's discs.
"""

from collections.abc import Sequence

import numpy as np

from mfdsl.compiler.analysis.counted import counted
from mfdsl.compiler.analysis.enclosure import Evaluator
from mfdsl.compiler.analysis.slopes.search import Budget
from mfdsl.compiler.analysis.slopes.tape import Unsupported
from mfdsl.compiler.analysis.slopes.taping import make_tape
from mfdsl.compiler.analysis.slopes.value import LargestValue
from mfdsl.compiler.analysis.structure.branching import is_smooth
from mfdsl.compiler.analysis.structure.features import tidied
from mfdsl.compiler.analysis.structure.jacobian import entry_terms
from mfdsl.compiler.analysis.structure.masses import InMasses
from mfdsl.compiler.analysis.symbolic.terms import Terms, UnsupportedError, product, total

MAX_KINDS = 48
ROUNDING = 1e-12  # relative, of sums of a few ends


def largest_block(game: InMasses, seconds: float) -> float:
    """An upper bound of v' D v over all blocks, laws and v of length 1; at most 0 is monotone.

    Raises:
        UnsupportedError: there are too many kinds, rewards are not smooth, or one block has all.
    """
    if len(game.kinds) > MAX_KINDS or not is_smooth(game):
        raise UnsupportedError("masses of few kinds and smooth rewards only")
    deadline = counted() + seconds
    terms = game.terms
    slopes = [[tidied(terms, e) for e in row] for row in entry_terms(game)]
    bounds: dict[int, tuple[float, float]] = {}
    if not all(np.isfinite(_ends(terms, e, bounds)).all() for row in slopes for e in row):
        raise UnsupportedError("a slope without bounds, so that there may be a pole")
    blocks = _blocks(terms, slopes)
    if len(blocks) < 2:
        raise UnsupportedError("every mass moves every reward")
    tops = []
    for block in blocks:
        entries = {slopes[i][j] for i in block for j in block}
        if len(entries) == 1:
            (entry,) = entries
            top = largest(terms, entry, max(deadline - counted(), 0.01))
            tops.append(len(block) * top if top > 0 else top)
            continue
        tops.append(_disc(terms, slopes, block, bounds))
    return max(tops)


def _blocks(terms: Terms, slopes: Sequence[Sequence[int]]) -> list[list[int]]:
    """Kinds that slopes that are not 0 connect, directly or not."""
    zero = terms.builder.const(0)
    left = set(range(len(slopes)))
    found = []
    while left:
        block, todo = [], [min(left)]
        left.discard(todo[0])
        while todo:
            i = todo.pop()
            block.append(i)
            near = {j for j in left if slopes[i][j] != zero or slopes[j][i] != zero}
            left -= near
            todo += sorted(near)
        found.append(sorted(block))
    return found


def _disc(
    terms: Terms,
    slopes: Sequence[Sequence[int]],
    block: Sequence[int],
    bounds: dict[int, tuple[float, float]],
) -> float:
    """The largest end of the discs of the symmetric part of a block."""
    top = -np.inf
    for i in block:
        end = _ends(terms, slopes[i][i], bounds)[1]
        for j in block:
            if j != i:
                half = product(
                    terms,
                    (
                        terms.builder.const(0.5),
                        total(terms, (slopes[i][j], slopes[j][i])),
                    ),
                )
                end += max(abs(e) for e in _ends(terms, half, bounds))
        top = max(top, end + ROUNDING * abs(end))
    return float(top)


def _ends(terms: Terms, node: int, bounds: dict[int, tuple[float, float]]) -> tuple[float, float]:
    if node not in bounds:
        value = Evaluator(terms.as_facts(), {}).value(node)
        bounds[node] = float(np.min(value.lo)), float(np.max(value.hi))
    return bounds[node]


def largest(terms: Terms, node: int, seconds: float) -> float:
    """An upper bound of a term over all values of its leaves and all laws.

    Raises:
        UnsupportedError: it has no enclosure.
    """
    facts = terms.as_facts()
    top = float(np.max(Evaluator(facts, {}).value(node).hi))
    if top <= 0:
        return top
    try:
        problem = LargestValue(make_tape(facts, [node]))
        return min(top, problem.found(Budget(boxes=20_000, seconds=seconds)).upper)
    except Unsupported as error:
        raise UnsupportedError(str(error)) from error
