"""All shares of a softmax at once, and what their slopes are.

A share is extreme where its own argument is at one end and all others at the other: with the
exponentials of both ends there are two sums per share. On a direction the slope is p0 times the
sum of p_j (c0' - c_j'), and p0 (1 - p0) times a mean of c0' - c_j' over the others, at most a
quarter of the largest of these.
"""

from collections.abc import Sequence

import numpy as np

from mfdsl.compiler.analysis.intervals import RULES, Array, Interval, add, multiply, point
from mfdsl.compiler.analysis.slopes.atoms import ZERO, bump, hulled, meet
from mfdsl.compiler.analysis.slopes.rules import lifted


def shares(args: Sequence[Interval]) -> list[Interval]:
    """Exponentials of all arguments over their sum."""
    lo = np.stack(np.broadcast_arrays(*(a.lo for a in args)))
    hi = np.stack(np.broadcast_arrays(*(a.hi for a in args)))
    top = point(-hi.max(0))
    least, most = (RULES["exp"](add(point(end), top)) for end in (lo, hi))
    low = _share(least.lo, most.hi, True)
    high = _share(most.hi, least.lo, False)
    return [Interval(low[k], high[k]) for k in range(len(args))]


def _share(own: Array, others: Array, down: bool) -> Array:
    """Own over own plus the others, rounded down or up; 0 or 1 where that is not known."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        rest = np.stack([np.delete(others, k, 0).sum(0) for k in range(len(others))])
        lost = 2.0**-51 * (len(others) + 2)  # of the sum and the quotient, relative
        rest = rest * (1 + lost if down else 1 - lost)
        share = 1.0 / (1.0 + rest / own)
        share = share * (1 - lost) if down else share * (1 + lost)
        clear = np.isfinite(share) & (own > 1e-290)
    share = np.where(clear, share, 0.0 if down else 1.0)
    return np.clip(share, 0.0, 1.0)


def share_slopes(found: Sequence[Interval]) -> list[Interval]:
    """Slopes of the first share in all arguments: p0 (1 - p0), and -p0 p_k."""
    products = [multiply(found[0], share) for share in found[1:]]
    return [bump(found[0]), *(Interval(-p.hi, -p.lo) for p in products)]


def share_tangent(found: Sequence[Interval], parts: Sequence[Interval | None]) -> Interval:
    """The slope of the first share along directions, from those of the arguments."""
    first = ZERO if parts[0] is None else parts[0]
    rest = [ZERO if p is None else p for p in parts[1:]]
    faster = [add(first, RULES["neg"](other)) for other in rest]
    apart = add(*(multiply(lifted(p), d) for p, d in zip(found[1:], faster, strict=True)))
    return meet(multiply(lifted(found[0]), apart), multiply(lifted(bump(found[0])), hulled(faster)))
