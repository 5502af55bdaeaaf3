"""The largest distance of a player from the average one, over states, actions, laws and traits.

Where the difference is affine in the law and in each draw behind the traits, its l1 norm is convex
in each of them, so that it is largest at a vertex of the laws and at an end of the draws: all are
looked at, which is exact up to rounding. Else branch and bound over statistics of the laws.
The mean over players of a convex function of independent uniform draws lies between its values at
the middles of the cells of a grid and its trapezoid sum (Jensen; Hermite and Hadamard).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, prod

import numpy as np

from mfdsl.compiler.analysis.asymmetry.averages import type_index
from mfdsl.compiler.analysis.asymmetry.degrees import degree, law_degree
from mfdsl.compiler.analysis.asymmetry.outputs import Outputs, total
from mfdsl.compiler.analysis.asymmetry.traits import Hidden, masses, uniform_leaves
from mfdsl.compiler.analysis.certificate import Witness
from mfdsl.compiler.analysis.enclosure import Evaluator
from mfdsl.compiler.analysis.opened import is_opened
from mfdsl.compiler.analysis.slopes.domain import STILL, Space, balls_of, members, spaces_of
from mfdsl.compiler.analysis.slopes.forward import Forward, Rows
from mfdsl.compiler.analysis.slopes.search import Budget
from mfdsl.compiler.analysis.slopes.tape import Tape, Unsupported
from mfdsl.compiler.analysis.slopes.taping import make_tape
from mfdsl.compiler.analysis.slopes.value import LargestValue
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.analysis.witness import law_text, place_witness, value_witness
from mfdsl.compiler.ir.model import Player
from mfdsl.compiler.ir.types import REAL

MOST_ROWS = 400_000
CHUNK = 20_000
MOST_KINDS = 512  # values of the draws that are looked at one by one
CELLS = 64  # of the grid of one uniform draw, at most
GAP = 1e-6
VERTICES = "all vertices"


@dataclass(frozen=True)
class Extremes:
    """Enclosures of the largest distance, of its mean over players and of the centred one.

    `players` [rows of the files, 2] encloses the distance of each player that stands in files, in
    their order, else it is None. `centred` is half the range of the signed difference, at the
    worst player; None where there is more than one output.
    """

    lower: float
    upper: float
    mean: tuple[float, float]
    centred: tuple[float, float] | None
    players: np.ndarray | None
    centred_players: np.ndarray | None
    witness: Witness | None
    method: tuple[str, ...]
    boxes: int = 0
    closed: bool = True


def extremes(
    copies: Copies,
    player: Player,
    outputs: Outputs,
    hidden: Hidden,
    populations: Sequence[str],
    seconds: float,
) -> Extremes:
    """Both bounds of the largest l1 norm of the outputs, differences of a player and the mean.

    Raises:
        Unsupported: an output has no tape.
    """
    extra = [player.legal] if player.legal is not None else []
    values = [v for v in hidden.values.values() if not _dims(copies, v)]
    finite = [s.leaf for s in hidden.sources if s.law is None]
    tape = make_tape(copies.facts, [*outputs.roots, *values], also=[*extra, *finite])
    try:
        return _at_vertices(copies, player, outputs, hidden, tape, populations)
    except Unsupported:
        return _searched(copies, player, outputs, hidden, seconds)


def _dims(copies: Copies, node: int) -> tuple[int, ...]:
    return copies.types[copies.nodes[node].type].dims


@dataclass(frozen=True)
class _Vertices:
    """Grid points, ends of the coordinates, vertices of the laws, and all combinations `at`.

    `cell` counts the ends along each moving coordinate, negative where it is no trait.
    """

    places: np.ndarray
    points: np.ndarray
    laws: np.ndarray
    at: np.ndarray
    sizes: Mapping[str, int]
    spaces: Mapping[str, Space]
    cell: tuple[int, ...]


def _at_vertices(
    copies: Copies,
    player: Player,
    outputs: Outputs,
    hidden: Hidden,
    tape: Tape,
    populations: Sequence[str],
) -> Extremes:
    moving = [k for k, c in enumerate(tape.coordinates) if c.statistic is None]
    _check_affine(copies, outputs, hidden, tape, populations, moving)
    finite = tuple(s.leaf for s in hidden.sources if s.law is None and s.leaf in tape.grid)
    weights = masses(copies, hidden, finite)
    all_of = _vertices(tape, hidden, moving)
    low, high = _values(tape, all_of, len(outputs.roots))
    allowed, certain = _allowed(tape, player)
    place_kind = np.zeros(len(all_of.places), dtype=np.int64)
    if finite:
        axes = [tape.grid.index(leaf) for leaf in finite]
        place_kind = np.ravel_multi_index(tuple(all_of.places[:, axes].T), weights.shape)
    kind = place_kind[all_of.at[:, 0]] * len(all_of.points) + all_of.at[:, 1]
    keep = (allowed & (weights.reshape(-1)[place_kind] > 0))[all_of.at[:, 0]]
    low, high, kind, at = low[keep], high[keep], kind[keep], all_of.at[keep]
    if not len(low):
        raise Unsupported("no legal action anywhere")
    small = np.where((low <= 0) & (high >= 0), 0.0, np.minimum(np.abs(low), np.abs(high)))
    bottom, top = small.sum(-1), np.maximum(np.abs(low), np.abs(high)).sum(-1)
    kinds = weights.size * len(all_of.points)
    by_kind = np.zeros((kinds, 2))
    np.maximum.at(by_kind[:, 0], kind, bottom)
    np.maximum.at(by_kind[:, 1], kind, top)
    centred = None
    if low.shape[1] == 1:
        only_traits = all(n > 0 for n in all_of.cell)  # else one player has several kinds
        half = _centred(low[:, 0], high[:, 0], kind, kinds)
        centred = half if only_traits else np.stack([0 * by_kind[:, 1], by_kind[:, 1]], -1)
    attained = outputs.sharp and certain and not balls_of(tape)  # corners lie outside of a ball
    if not attained:
        by_kind[:, 0] = 0.0
        if centred is not None:
            centred[:, 0] = 0.0
    best = int(bottom.argmax())
    given = any(s.rows for s in hidden.sources) and len(finite) == 1 and len(all_of.points) == 1
    return Extremes(
        lower=float(by_kind[:, 0].max()),
        upper=float(by_kind[:, 1].max()),
        mean=_mean(by_kind.reshape(*weights.shape, -1, 2), weights, all_of.cell),
        centred=None if centred is None else (centred[:, 0].max(), centred[:, 1].max()),
        players=by_kind if given else None,
        centred_players=centred if given else None,
        witness=_witness(tape, hidden, all_of, at[best]) | {"distance": float(bottom[best])}
        if attained
        else None,
        method=("affine in the law and in the draws of traits", VERTICES),
    )


def _vertices(tape: Tape, hidden: Hidden, moving: Sequence[int]) -> _Vertices:
    spaces = spaces_of(tape)
    sizes = {name: members(space) for name, space in spaces.items()}
    corners, cell = _points(tape, moving, hidden, prod(tape.sizes) * prod(sizes.values()))
    count = prod(tape.sizes)
    places = np.stack(np.unravel_index(np.arange(count), tape.sizes or (1,)), -1)
    laws = np.stack(np.unravel_index(np.arange(prod(sizes.values())), (*sizes.values(), 1)), -1)
    lengths = (count, len(corners), len(laws))
    if prod(lengths) > MOST_ROWS:
        raise Unsupported(f"{prod(lengths)} vertices")
    points = np.zeros((len(corners), len(tape.coordinates)))
    points[:, moving] = corners
    at = np.indices(lengths).reshape(3, -1).T
    return _Vertices(places[:, : len(tape.grid)], points, laws, at, sizes, spaces, cell)


def _values(tape: Tape, all_of: _Vertices, outputs: int) -> tuple[np.ndarray, np.ndarray]:
    """Enclosures [combinations, outputs] of the first roots, lower and upper ends."""
    ends = []
    for start in range(0, len(all_of.at), CHUNK):
        part = all_of.at[start : start + CHUNK]
        points = all_of.points[part[:, 1]]
        rows = Rows(all_of.places[part[:, 0]], points, points)
        laws = {
            name: np.eye(size)[all_of.laws[part[:, 2], k]]
            for k, (name, size) in enumerate(all_of.sizes.items())
        }
        forward = Forward(tape, rows, STILL, laws, all_of.spaces)
        shape = (len(rows), *(1,) * len(tape.inner))
        found = [forward.value(root) for root in tape.roots[:outputs]]
        ends.append(
            [
                np.stack([np.broadcast_to(end, shape).reshape(-1) for end in column], -1)
                for column in ([v.lo for v in found], [v.hi for v in found])
            ]
        )
    low, high = (np.concatenate([pair[k] for pair in ends]) for k in (0, 1))
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise Unsupported("a value that is not finite")
    return low, high


def _check_affine(
    copies: Copies,
    outputs: Outputs,
    hidden: Hidden,
    tape: Tape,
    populations: Sequence[str],
    moving: Sequence[int],
) -> None:
    if any(s.points for s in tape.statistics):
        raise Unsupported("statistics of continuous members")
    uniform = set(uniform_leaves(hidden))
    for root in outputs.roots:
        if any(law_degree(copies.nodes, root, name) > 1 for name in populations):
            raise Unsupported("not affine in the law")
        for k in moving:
            leaf = tape.coordinates[k].node
            if degree(copies.nodes, root, lambda i, leaf=leaf: i == leaf) > 1:  # type: ignore[misc]
                raise Unsupported("not affine in a variable")
    for k in moving:
        c = tape.coordinates[k]
        if not np.isfinite([c.lo, c.hi]).all():
            raise Unsupported("a variable without ends")
        if copies.nodes[c.node].op == "draw" and c.node not in uniform:
            raise Unsupported("draws that are not uniform")


def _points(
    tape: Tape, moving: Sequence[int], hidden: Hidden, others: int
) -> tuple[np.ndarray, tuple[int, ...]]:
    """Points of all coordinates [points, coordinates], and how many there are along each draw.

    Ends of what is no trait; a grid of an even number of cells along uniform draws.
    """
    uniform = set(uniform_leaves(hidden))
    draws = [k for k in moving if tape.coordinates[k].node in uniform]
    cells = CELLS
    most = min(MOST_KINDS, MOST_ROWS // max(others, 1))
    while cells > 1 and (cells + 1) ** len(draws) * 2 ** (len(moving) - len(draws)) > most:
        cells //= 2
    sides = []
    for k in moving:
        c = tape.coordinates[k]
        sides.append(np.linspace(c.lo, c.hi, cells + 1 if k in draws else 2))
    if prod(map(len, sides)) > MOST_ROWS:
        raise Unsupported("too many corners")
    mesh = np.meshgrid(*sides, indexing="ij") if sides else []
    flat = np.stack([m.reshape(-1) for m in mesh], -1) if sides else np.zeros((1, 0))
    return flat, tuple(
        len(s) if k in draws else -len(s) for k, s in zip(moving, sides, strict=True)
    )


def _allowed(tape: Tape, player: Player) -> tuple[np.ndarray, bool]:
    """Which points of the grid may have a legal action, [grid], and whether they surely have."""
    count = prod(tape.sizes)
    if player.legal is None:
        return np.ones(count, bool), True
    table = Evaluator(tape.facts, {leaf: k for k, leaf in enumerate(tape.grid)})
    value = table.value(player.legal)
    possible = np.broadcast_to(value.hi > 0, tape.sizes or (1,)).reshape(-1)
    return possible, bool(np.array_equal(value.lo > 0, value.hi > 0))


def _centred(low: np.ndarray, high: np.ndarray, kind: np.ndarray, kinds: int) -> np.ndarray:
    """Enclosures [kinds, 2] of half the range of a signed difference."""
    found = np.zeros((kinds, 2))
    for column, (up, down) in enumerate(((low, high), (high, low))):
        top, bottom = np.full(kinds, -inf), np.full(kinds, inf)
        np.maximum.at(top, kind, up)
        np.minimum.at(bottom, kind, down)
        with np.errstate(invalid="ignore"):
            found[:, column] = np.nan_to_num(np.maximum(0.5 * (top - bottom), 0.0))
    return found


def _mean(table: np.ndarray, weights: np.ndarray, cell: tuple[int, ...]) -> tuple[float, float]:
    """Enclosure of the mean over players, from distances [*finite, points, 2] on the grid."""
    sizes = [abs(n) for n in cell]
    grid = table.reshape(*weights.shape, *sizes, 2)
    low, high = grid[..., 0], grid[..., 1]
    for n in reversed(cell):
        if n < 0:  # no trait: the distance is the worst over it
            low, high = low.max(-1), high.max(-1)
            continue
        high = ((high[..., 1:] + high[..., :-1]) / 2).mean(-1)
        # Convexity: the value at a middle of two cells is below its mean over both.
        low = low[..., 1::2].mean(-1) if n > 2 else np.zeros_like(low[..., 0])
    share = weights / weights.sum()
    return float((share * low).sum()), float((share * high).sum())


def _witness(tape: Tape, hidden: Hidden, all_of: _Vertices, at: np.ndarray) -> Witness:
    place, point, vertex = (
        table[k] for table, k in zip((all_of.places, all_of.points, all_of.laws), at, strict=True)
    )
    nodes, types = tape.facts.nodes, tape.facts.types
    rows = {s.leaf for s in hidden.sources if s.rows}
    drawn = {s.leaf for s in hidden.sources}
    found: Witness = {}
    for leaf, (name, value) in zip(tape.grid, place_witness(tape, place).items(), strict=True):
        if leaf in rows:
            found["player"] = int(place[tape.grid.index(leaf)])
        elif leaf not in drawn:
            found[name] = value
    forward = Forward(tape, Rows(place[None], point[None], point[None]), STILL, None, {})
    named = [n for n, v in hidden.values.items() if not types[nodes[v].type].dims]
    for name, step in zip(named, tape.roots[len(tape.roots) - len(named) :], strict=True):
        ends = forward.value(step)
        found[name] = float(np.asarray((ends.lo + ends.hi) / 2).reshape(-1)[0])
    found |= _parameters(tape, point)
    for coordinate, number in zip(tape.coordinates, point, strict=True):
        if coordinate.statistic is None and types[nodes[coordinate.node].type].dims:
            entry = "".join(f"[{k}]" for k in coordinate.entry)
            found[f"draw of {nodes[coordinate.node].attr}{entry}"] = float(number)
    for k, (name, size) in enumerate(all_of.sizes.items()):
        found[f"law of {name}"] = law_text(tape, np.eye(size)[vertex[k]], name, all_of.spaces[name])
    return found


def _searched(
    copies: Copies, player: Player, outputs: Outputs, hidden: Hidden, seconds: float
) -> Extremes:
    real = type_index(copies, REAL)
    sizes = [copies.add("abs", (root,), None, real) for root in outputs.roots]
    problem = LargestValue(make_tape(copies.facts, [total(copies, sizes)]))
    found = problem.found(Budget(seconds=seconds, gap=GAP))
    lower = max(found.lower, 0.0) if outputs.sharp and _attained(copies, hidden) else 0.0
    if player.legal is not None:
        lower = 0.0  # the search does not know which actions are legal
    upper = max(found.upper, lower)
    centred = None
    if len(outputs.roots) == 1:
        centred = (0.0, upper)
    return Extremes(
        lower=lower,
        upper=upper,
        mean=(0.0, upper),
        centred=centred,
        players=None,
        centred_players=None,
        witness=_searched_witness(problem) if lower > 0 else None,
        method=("interval arithmetic", "branch and bound over statistics"),
        boxes=found.boxes,
        closed=found.closed,
    )


def _searched_witness(problem: LargestValue) -> Witness | None:
    found = value_witness(problem)
    if found is None or problem.point is None:
        return found
    return found | _parameters(problem.tape, np.asarray(problem.point))


def _parameters(tape: Tape, point: np.ndarray) -> Witness:
    """The values of the parameters that range over intervals."""
    nodes = tape.facts.nodes
    return {
        str(nodes[c.node].attr[1]): float(number)  # type: ignore[index]
        for c, number in zip(tape.coordinates, point, strict=True)
        if c.statistic is None and is_opened(nodes[c.node])
    }


def _attained(copies: Copies, hidden: Hidden) -> bool:
    """Whether every value of the leaves that are searched belongs to some player."""
    finite = tuple(s.leaf for s in hidden.sources if s.law is None)
    try:
        return bool((masses(copies, hidden, finite) > 0).all())
    except Unsupported:
        return False
