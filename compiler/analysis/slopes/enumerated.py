"""What is gone through value by value on a tape, and which coordinates are several numbers."""

from collections.abc import Collection, Sequence
from math import prod

from mfdsl.compiler.analysis.enclosure import Facts, leaves_of, listed
from mfdsl.compiler.analysis.slopes.tape import Statistic, Tape, size_of
from mfdsl.compiler.ir.model import Node

MAX_GRID = 20_000  # rows before any split
MAX_TABLE = 1_000_000  # numbers of one table
MAX_MEMBERS = 500  # kinds of members for whom the grid is made smaller


def enumerated(
    facts: Facts, roots: Sequence[int], also: Sequence[int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Leaves of the grid, and leaves of bound members and indices, that are enumerated."""
    nodes = facts.nodes
    read = leaves_of(nodes, roots)
    known = [i for i in leaves_of(nodes, [*roots, *also]) if is_listed(facts, i)]
    own = [i for i in known if not is_bound(nodes[i])]
    bound = [i for i in known if is_bound(nodes[i]) and i in read]
    members = prod(size_of(facts, i) for i in bound)
    # rather all members and fewer rows: what is left of the grid is searched in boxes
    most = min(MAX_GRID, MAX_TABLE // members) if members <= MAX_MEMBERS else MAX_GRID
    grid, count = _that_fit(facts, own, read, 1, most)
    inner, _ = _that_fit(facts, bound, read, count, MAX_TABLE)
    return grid, inner


def _that_fit(
    facts: Facts, leaves: Sequence[int], read: Collection[int], count: int, most: int
) -> tuple[tuple[int, ...], int]:
    """Leaves whose values times `count` are at most `most`, small ones first, and that product."""
    found = []
    for leaf in sorted(leaves, key=lambda i: (i not in read, size_of(facts, i), i)):
        if count * size_of(facts, leaf) <= most:
            found.append(leaf)
            count *= size_of(facts, leaf)
    return tuple(sorted(found)), count


def repeated(tape: Tape) -> frozenset[int]:
    """Coordinates that are several numbers: indices that are not enumerated, members of a law that
    meet other members of it, and means that depend on a member.
    """
    nodes = tape.facts.nodes
    found = {k for k, c in enumerate(tape.coordinates) if nodes[c.node].op == "index"}
    below: list[frozenset[int]] = []
    for i, step in enumerate(tape.steps):
        inside = frozenset[int]().union(*(below[a] for a in step.args))
        if step.op == "statistic":
            outer = tape.statistics[step.attr]
            for k in inside:
                found |= _met(tape, outer, k)
        below.append(inside | {i} if step.op in ("statistic", "w2") else inside)
    return frozenset(found)


def _met(tape: Tape, outer: Statistic, step: int) -> set[int]:
    """Coordinates that are several numbers since one mean, a step, is inside another."""
    mine = {place for places in outer.points.values() for place in places}
    if tape.steps[step].op == "w2":
        return mine | (tape.touched[step] & set(tape.read))
    inner = tape.statistics[tape.steps[step].attr]
    theirs = {place for places in inner.points.values() for place in places}
    read = tape.touched[inner.body]
    if inner.mass is not None:
        read |= tape.touched[inner.mass]
    same = outer.population == inner.population and bool(mine | theirs)
    found = (mine | theirs) if same else set()
    if inner.coordinate is not None and (same or mine & read):
        found.add(inner.coordinate)
    return found


def is_listed(facts: Facts, leaf: int) -> bool:
    """Whether the values of a leaf can be gone through one by one."""
    return facts.nodes[leaf].op == "time" or listed(facts.types[facts.nodes[leaf].type])


def is_bound(node: Node) -> bool:
    """Whether a leaf is an index or belongs to a member of a mean."""
    return node.op == "index" or node.op.startswith("peer_")
