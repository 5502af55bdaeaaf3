"""Which variables are enumerated: those whose values make a table that memory holds."""

from collections.abc import Sequence

from mfdsl.compiler.analysis.enclosure import MAX_POINTS, Facts, listed
from mfdsl.compiler.ir.walk import reachable

MAX_WORK = 1 << 25  # points times nodes: what one evaluator holds in memory at most


def choose_axes(
    facts: Facts,
    leaves: Sequence[int],
    first: Sequence[int] = (),
    *,
    limit: int = MAX_POINTS,
    roots: Sequence[int] | None = None,
) -> dict[int, int]:
    """Axes for as many leaves as fit, smallest first, those in `first` before all.

    There are at most `limit` points, and fewer for many nodes (MAX_WORK): those under `roots`, or
    those of the whole model.
    """

    def size(leaf: int) -> int:
        node = facts.nodes[leaf]
        return facts.last_time + 1 if node.op == "time" else facts.types[node.type].size

    chosen: list[int] = []
    count = len(facts.nodes) if roots is None else len(reachable(facts.nodes, roots))
    points, most = 1, min(limit, MAX_WORK // count)
    nodes, types = facts.nodes, facts.types
    timed = not facts.endless
    axes = [i for i in leaves if (timed if nodes[i].op == "time" else listed(types[nodes[i].type]))]
    for leaf in sorted(axes, key=lambda i: (i not in first, size(i), i)):
        if points * size(leaf) <= most:
            chosen.append(leaf)
            points *= size(leaf)
    return {leaf: axis for axis, leaf in enumerate(sorted(chosen))}
