"""Rewards that only the mass at one's own place changes: what a mass there does, with its sign.

At every own place x the slope of the reward in the mass at y is the same for all y other than x, up
to one number d at y = x. Moves of mass keep the total, so the slope matrix acts as the diagonal of
these numbers: the game is monotone if they are at most 0, and has a potential in any case.
"""

from dataclasses import dataclass

import numpy as np

from mfdsl.compiler.analysis.counted import counted, late
from mfdsl.compiler.analysis.faces import continuous_at
from mfdsl.compiler.analysis.intervals import Array
from mfdsl.compiler.analysis.slopes.domain import Space, root_rows, spaces_of
from mfdsl.compiler.analysis.slopes.forward import Forward, Moves, Rows
from mfdsl.compiler.analysis.slopes.tape import Tape, Unsupported
from mfdsl.compiler.analysis.slopes.taping import make_tape
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.analysis.symbolic.terms import UnsupportedError
from mfdsl.compiler.ir.model import Player
from mfdsl.compiler.ir.walk import MEMBERS, reachable

MAX_ENTRIES = 4_000_000
ENTRIES = 1 << 19  # of one pass


@dataclass(frozen=True)
class Diagonal:
    """The range of the slope in the mass at one's own place, over all places and laws."""

    lo: float
    hi: float
    variables: tuple[str, ...]
    proved: bool  # that it covers jumps and places where branches meet, too


def separable(copies: Copies, player: Player, root: int, seconds: float) -> Diagonal | None:
    """The diagonal of a reward, None if other masses than that at the own place change it.

    Raises:
        UnsupportedError: there are too many places, or the reward has no interval slopes.
    """
    deadline = counted() + seconds
    try:
        tape = make_tape(copies.facts, [root])
        return _diagonal(tape, player, deadline)
    except Unsupported as error:
        raise UnsupportedError(str(error)) from error


def _diagonal(tape: Tape, player: Player, deadline: float) -> Diagonal | None:
    spaces = spaces_of(tape)
    nodes = tape.facts.nodes
    for i in reachable(nodes, [tape.steps[r].node for r in tape.roots]):
        attr = nodes[i].attr
        if nodes[i].op in MEMBERS and (not isinstance(attr, tuple) or attr[1] != player.name):
            return None
    space = spaces.get(player.name, ())
    own = [(nodes[leaf].op, str(nodes[leaf].attr)) for leaf in tape.grid]
    axes = [k for k, (op, _) in enumerate(own) if op in ("state", "trait", "action")]
    loose = any(nodes[c.node].op in ("state", "trait", "action") for c in tape.coordinates)
    if loose or not space or {own[k] for k in axes} != {v for v, _ in space}:
        return None
    if any(s.points for s in tape.statistics):
        return None
    sizes = [size for _, size in space]
    count = int(np.prod(sizes))
    rows = root_rows(tape)
    if len(rows) * count > MAX_ENTRIES or count < 2:
        raise UnsupportedError(f"{len(rows)} x {count} places")
    order = [own.index(v) for v, _ in space]
    place = np.ravel_multi_index(tuple(rows.places[:, k] for k in order), sizes)
    found = _ranges(tape, player.name, space, rows, place, deadline)
    if found is None:
        return None
    lo, hi, jumps, joints = found
    smooth = not jumps and all(continuous_at(tape, j, deadline) for j in sorted(joints))
    return Diagonal(lo, hi, tuple(name for (_, name), _ in space), smooth)


Ranges = tuple[float, float, set[int], set[int]]


def _ranges(
    tape: Tape, population: str, space: Space, rows: Rows, place: np.ndarray, deadline: float
) -> Ranges | None:
    """The ends of the diagonal over all rows, and what may spoil it; None where it is none."""
    count = int(np.prod([size for _, size in space]))
    lows, highs, jumps, joints = [], [], set[int](), set[int]()
    inner = _inner(tape)
    tables = not any(tape.touched[s.body] for s in tape.statistics)
    chunk = max(1, ENTRIES // (inner + count if tables else inner * count))
    for start in range(0, len(rows), chunk):
        if late(deadline):
            raise UnsupportedError("no steps for all places")
        part = rows.take(np.arange(start, min(start + chunk, len(rows))))
        own = place[start : start + chunk]
        base = np.where(own == 0, 1, 0)
        to = np.tile(np.arange(count), (len(part), 1))
        off = np.repeat(base[:, None], count, 1)
        moves = Moves(count, population, tuple(v for v, _ in space), to, off)
        spaces = {population: space}
        forward = Forward(tape, part, moves, None, spaces)
        rate = forward.tangent(tape.roots[0])
        if _has_pole(tape, forward):
            return None
        jumps |= forward.jumps
        joints |= forward.joints
        if rate is None:
            lows.append(np.zeros(1))
            highs.append(np.zeros(1))
            continue
        shape = (len(part), *(1,) * len(tape.inner), count)
        lo, hi = (np.broadcast_to(e, shape).reshape(len(part), count) for e in (rate.lo, rate.hi))
        away = np.arange(count)[None] != own[:, None]
        if np.any(away & ((lo != 0) | (hi != 0))):
            return None
        lows.append(_at(lo, own))
        highs.append(_at(hi, own))
    return float(np.concatenate(lows).min()), float(np.concatenate(highs).max()), jumps, joints


def _has_pole(tape: Tape, forward: Forward) -> bool:
    """Whether a divisor that moves may be 0: slopes say nothing of values beyond a pole."""
    for step in tape.steps:
        if step.op == "div" or (step.op == "pow" and not _is_whole(forward, step.args[1])):
            below = step.args[1 if step.op == "div" else 0]
            value = forward.values.get(below)
            if value is not None and forward.tangents.get(below) is not None:
                floor = value.lo >= 0 if step.op == "pow" else value.lo > 0
                if not (np.all(floor) or np.all(value.hi < 0)):
                    return True
    return False


def _is_whole(forward: Forward, exponent: int) -> bool:
    """Whether an exponent is a whole number that is not negative."""
    value = forward.values.get(exponent)
    if value is None:
        return True
    return bool(np.all(value.lo >= 0) and np.all(value.lo == np.floor(value.lo)))


def _at(ends: Array, own: np.ndarray) -> Array:
    return np.asarray(ends[np.arange(len(ends)), own])


def _inner(tape: Tape) -> int:
    """Numbers of a row of the widest step."""
    widest = 1
    for axes in tape.inside:
        size = 1
        for axis in axes:
            leaf = tape.inner[axis - len(tape.grid)]
            size *= tape.facts.types[tape.facts.nodes[leaf].type].size
        widest = max(widest, size)
    return widest
