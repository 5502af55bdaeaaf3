"""Monotonicity of few kinds of members by branch and bound over their masses.

On a box of laws the slope matrix is an interval matrix; where its symmetric part on moves of mass
is definite for certain the box is done, otherwise it is halved.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product as joint
from math import isqrt

import numpy as np

from mfdsl.compiler.analysis.counted import counted, late
from mfdsl.compiler.analysis.intervals import Array
from mfdsl.compiler.analysis.slopes.domain import STILL, root_rows, spaces_of
from mfdsl.compiler.analysis.slopes.forward import Forward, Rows
from mfdsl.compiler.analysis.slopes.search import split
from mfdsl.compiler.analysis.slopes.tape import Tape, Unsupported
from mfdsl.compiler.analysis.slopes.taping import make_tape
from mfdsl.compiler.analysis.structure.features import tidied
from mfdsl.compiler.analysis.structure.jacobian import entry_terms
from mfdsl.compiler.analysis.structure.masses import InMasses, rebuilt
from mfdsl.compiler.analysis.structure.matrices import proved_negative, tangent_pairs
from mfdsl.compiler.analysis.symbolic.terms import (
    Terms,
    UnsupportedError,
    product,
    total,
)
from mfdsl.compiler.ir.walk import MEMBERS, reachable

MAX_KINDS = 5
MAX_BOXES = 20_000
CHUNK = 512
Moves = Sequence[Sequence[Fraction]]  # of mass: [vectors, kinds]
SMOOTH = ("add", "mul", "neg", "div", "pow", "exp", "log", "sqrt", "sin", "cos", "tanh", "softplus")


@dataclass(frozen=True)
class Branched:
    """`proved` when the game is strictly monotone at all laws; else a direction that may rise."""

    proved: bool
    boxes: int
    direction: tuple[float, ...] | None = None


def is_smooth(game: InMasses) -> bool:
    """Whether the rewards are smooth in the masses, by their operators."""
    nodes = game.terms.nodes
    masses = set(game.masses)
    for reward in game.rewards:
        stack, seen = [reward], {reward}
        while stack:
            index = stack.pop()
            if index in masses:
                continue
            if any(nodes[i].op in MEMBERS for i in reachable(nodes, [index])):
                if nodes[index].op not in SMOOTH:
                    return False
            for argument in nodes[index].args:
                if argument not in seen:
                    seen.add(argument)
                    stack.append(argument)
    return True


def branched(
    game: InMasses,
    seconds: float,
    basis: Moves | None = None,
    empty: Sequence[int] = (),
) -> Branched:
    """Search all laws for a place where the slope matrix is not proved definite.

    `basis` spans the moves of mass that count, all that keep the masses of populations if it is
    None. Nobody is of the kinds `empty`.

    Raises:
        UnsupportedError: too many kinds, or rewards that are not smooth.
    """
    if len(game.kinds) - len(empty) > MAX_KINDS or not is_smooth(game):
        raise UnsupportedError("a search over masses of few kinds and smooth rewards only")
    deadline = counted() + seconds
    if basis is None:
        basis = _tangent(game.groups)
    if not basis:
        raise UnsupportedError("no mass moves between kinds")
    try:
        tape = make_tape(game.terms.as_facts(), projected_terms(game, basis, empty))
        return _search(tape, _simplices(tape, game, empty), deadline)
    except Unsupported as error:
        raise UnsupportedError(str(error)) from error


def definite_on_boxes(terms: Terms, matrix: Sequence[int], seconds: float) -> bool:
    """Whether a symmetric matrix, row by row, is negative definite at all laws.

    Raises:
        UnsupportedError: an entry has no enclosure.
    """
    deadline = counted() + seconds
    try:
        return _search(make_tape(terms.as_facts(), matrix), (), deadline).proved
    except Unsupported as error:
        raise UnsupportedError(str(error)) from error


def _search(tape: Tape, groups: Sequence[Sequence[int]], deadline: float) -> Branched:
    if tape.several:
        raise UnsupportedError("means that depend on members are not searched")
    rows = root_rows(tape)
    first = rows.hi[0] - rows.lo[0]
    whole = np.array([c.whole for c in tape.coordinates], bool)
    done = 0
    while len(rows):
        if late(deadline) or done + len(rows) > MAX_BOXES:
            return Branched(False, done, _worst(tape, rows.take(np.arange(1))))
        part = rows.take(np.arange(min(CHUNK, len(rows))))
        rest = rows.take(np.arange(len(part), len(rows)))
        done += len(part)
        middle, radius = _matrices(tape, part)
        open_ = np.array(
            [not proved_negative(m, r) for m, r in zip(middle, radius, strict=True)], bool
        )
        left = part.take(np.flatnonzero(open_))
        if len(left) and not tape.coordinates:
            return Branched(False, done, _worst(tape, left))
        if len(left):
            left = _inside(split(left, np.maximum(first, 1e-300), whole), groups)
        rows = Rows(
            np.concatenate([rest.places, left.places]),
            np.concatenate([rest.lo, left.lo]),
            np.concatenate([rest.hi, left.hi]),
        )
    return Branched(True, done)


def _tangent(groups: Sequence[int]) -> Moves:
    """The vectors e_i - e_n, n the last of the group of i."""
    found = []
    for i, n in tangent_pairs(groups):
        row = [Fraction(0)] * len(groups)
        row[i], row[n] = Fraction(1), Fraction(-1)
        found.append(row)
    return found


def _simplices(tape: Tape, game: InMasses, empty: Sequence[int]) -> list[list[int]]:
    """Coordinates that are all the masses of a population."""
    where = {s.node: s.coordinate for s in tape.statistics}
    found = []
    for group in dict.fromkeys(game.groups):
        masses = [
            m
            for k, (m, g) in enumerate(zip(game.masses, game.groups, strict=True))
            if g == group and k not in empty
        ]
        places = [where.get(m) for m in masses]
        if all(p is not None for p in places):
            found.append([p for p in places if p is not None])
    return found


def _inside(rows: Rows, groups: Sequence[Sequence[int]]) -> Rows:
    """Boxes cut down to the laws in them; boxes without any are dropped."""
    lo, hi = rows.lo.copy(), rows.hi.copy()
    ok = np.ones(len(rows), bool)
    for group in groups:
        at = list(group)
        low, high = lo[:, at], hi[:, at]
        slack = 1e-12
        ok &= (low.sum(1) <= 1 + slack) & (high.sum(1) >= 1 - slack)
        lo[:, at] = np.maximum(low, 1 - slack - (high.sum(1)[:, None] - high))
        hi[:, at] = np.minimum(high, 1 + slack - (low.sum(1)[:, None] - low))
    return Rows(rows.places[ok], lo[ok], hi[ok])


def _matrices(tape: Tape, rows: Rows) -> tuple[Array, Array]:
    """The matrices of the roots of a tape, row by row: middles and radii [rows, n, n]."""
    count, size = len(rows), isqrt(len(tape.roots))
    forward = Forward(tape, rows, STILL, None, spaces_of(tape))
    shape = (count, *(1,) * len(tape.inner))
    middle, radius = np.zeros((count, size, size)), np.zeros((count, size, size))
    for k, root in enumerate(tape.roots):
        value = forward.value(root)
        lo, hi = (np.broadcast_to(e, shape).reshape(count) for e in (value.lo, value.hi))
        at = (slice(None), k // size, k % size)
        with np.errstate(invalid="ignore"):
            middle[at] = lo / 2 + hi / 2
            radius[at] = (hi - lo) / 2 * (1 + 1e-14) + np.abs(middle[at]) * 1e-15
    return middle, radius


def projected_terms(game: InMasses, basis: Moves, empty: Sequence[int] = ()) -> list[int]:
    """The symmetric part of the slope matrix on moves of mass, row by row, in normal form."""
    terms, jac = game.terms, entry_terms(game)
    none = {game.masses[k]: terms.builder.const(0) for k in empty}
    found: dict[tuple[int, int], int] = {}
    for a, one in enumerate(basis):
        for b, other in enumerate(basis[: a + 1]):
            parts = []
            for (i, v), (j, w) in joint(enumerate(one), enumerate(other)):
                if v and w:
                    slope = total(terms, (jac[i][j], jac[j][i]))
                    parts.append(product(terms, (terms.builder.const(v * w / 2), slope)))
            whole = total(terms, parts)
            if none:
                whole = rebuilt(terms, whole, none.get)
            found[a, b] = found[b, a] = tidied(terms, whole)
    size = len(basis)
    return [found[a, b] for a in range(size) for b in range(size)]


def _worst(tape: Tape, row: Rows) -> tuple[float, ...] | None:
    middle, _ = _matrices(tape, row)
    if not np.isfinite(middle).all():
        return None
    _, vectors = np.linalg.eigh(middle[0])
    return tuple(vectors[:, -1].tolist())
