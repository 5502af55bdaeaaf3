"""The domain of a tape: its first rows, and which boxes of statistics some law can reach."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from mfdsl.compiler.analysis.intervals import Array
from mfdsl.compiler.analysis.slopes.forward import Forward, Moves, Rows
from mfdsl.compiler.analysis.slopes.tape import Statistic, Tape, Unsupported, size_of

Space = Sequence[tuple[tuple[str, str], int]]
MAX_MEMBERS = 4096
MAX_TEMPLATE = 4  # statistics that are bounded together
NEARING = 60  # steps towards the statistics that a law is to have
STILL = Moves(0)
LARGEST = 1e100  # beyond this an end counts as infinite where points are tried


def spaces_of(tape: Tape) -> dict[str, Space]:
    """By population: the member variables that statistics read, with their sizes."""
    found: dict[str, dict[tuple[str, str], int]] = {}
    for statistic in tape.statistics:
        space = found.setdefault(statistic.population, {})
        for variable, axis in statistic.axes.items():
            space[variable] = size_of(tape.facts, tape.inner[axis - len(tape.grid)])
    return {name: tuple(sorted(space.items())) for name, space in found.items()}


def members(space: Space) -> int:
    """How many kinds of members there are.

    Raises:
        Unsupported: more than MAX_MEMBERS.
    """
    count = int(np.prod([size for _, size in space])) if space else 1
    if count > MAX_MEMBERS:
        raise Unsupported(f"statistics over {count} kinds of members")
    return count


def root_rows(tape: Tape) -> Rows:
    """A row for every point of the grid with the whole box; statistics between their extremes."""
    sizes = tape.sizes
    count = int(np.prod(sizes)) if sizes else 1
    places = (
        np.stack(np.unravel_index(np.arange(count), sizes), -1) if sizes else np.zeros((1, 0), int)
    )
    lo = np.array([c.lo for c in tape.coordinates], dtype=np.float64)
    hi = np.array([c.hi for c in tape.coordinates], dtype=np.float64)
    rows = Rows(places, np.tile(lo, (count, 1)), np.tile(hi, (count, 1)))
    spaces = spaces_of(tape)
    for i, step in enumerate(tape.steps):
        if step.op != "statistic":
            continue
        statistic = tape.statistics[step.attr]
        if statistic.coordinate is None:
            continue
        lo, hi = _extremes(Forward(tape, rows, STILL, None, spaces), statistic, i)
        rows.lo[:, statistic.coordinate] = lo
        rows.hi[:, statistic.coordinate] = hi
    return rows


def _extremes(forward: Forward, statistic: Statistic, step: int) -> tuple[Array, Array]:
    args = [forward.value(a) for a in forward.tape.steps[step].args]
    body = args[0]
    if statistic.mass is not None:
        possible = args[1].hi > 0
        some = possible.any(axis=tuple(range(1, possible.ndim)), keepdims=True)
        lo = np.where(possible, body.lo, np.inf)
        hi = np.where(possible, body.hi, -np.inf)
        lo, hi = np.where(some, lo, 0.0), np.where(some, hi, 0.0)
    else:
        lo, hi = body.lo, body.hi
    count = len(forward.rows)
    ends = []
    for end, pick in ((lo, np.min), (hi, np.max)):
        flat = end.reshape(len(end), -1)
        ends.append(np.broadcast_to(pick(flat, axis=1), (count,)))
    return ends[0], ends[1]


def middle_of(rows: Rows, tape: Tape, share: float = 0.5) -> Array:
    """A point of each box that lies in the domain: its middle, or another share of the way, 0 where
    a side has no end; rounded for whole numbers, and drawn into balls.
    """
    lo, hi = np.maximum(rows.lo, -LARGEST), np.minimum(rows.hi, LARGEST)
    bounded = (rows.lo >= -LARGEST) & (rows.hi <= LARGEST)
    inside = np.clip(0.0, rows.lo, rows.hi)
    point = np.where(bounded, np.clip((1 - share) * lo + share * hi, rows.lo, rows.hi), inside)
    whole = np.array([c.whole for c in tape.coordinates], bool)
    return in_balls(np.where(whole, np.clip(np.floor(point), rows.lo, rows.hi), point), tape)


def in_balls(points: Array, tape: Tape) -> Array:
    """Points [rows, coordinates] with vectors that are too long for their type shortened."""
    for places, radius in balls_of(tape):
        length = np.linalg.norm(points[:, places], axis=1, keepdims=True)
        shrink = np.minimum(1.0, radius / np.maximum(length, 1e-300)) * (1 - 1e-12)
        points[:, places] *= np.where(length > radius * (1 - 1e-12), shrink, 1.0)
    return points


def balls_of(tape: Tape) -> list[tuple[list[int], float]]:
    """Coordinates of vectors that lie in a ball, and its radius."""
    found: dict[tuple[int, tuple[int, ...]], list[int]] = {}
    for k, c in enumerate(tape.coordinates):
        node = tape.facts.nodes[c.node]
        if c.entry and tape.facts.types[node.type].ball is not None:
            found.setdefault((c.node, c.entry[:-1]), []).append(k)
    kinds = tape.facts.types, tape.facts.nodes
    return [
        (places, kinds[0][kinds[1][node].type].ball or 0.0) for (node, _), places in found.items()
    ]


@dataclass(frozen=True)
class Template:
    """Sums and differences of statistics of one law, which have joint bounds [grid, forms]."""

    coordinates: tuple[int, ...]
    forms: np.ndarray
    top: Array


def templates_of(tape: Tape) -> list[Template]:
    """Joint bounds of the statistics of each population whose bodies are tables."""
    found = []
    spaces = spaces_of(tape)
    for population in spaces:
        linear = tabled(tape, population)
        if 2 <= len(linear) <= MAX_TEMPLATE:
            found.append(_template(tape, linear, spaces[population]))
    return found


def tabled(tape: Tape, population: str) -> list[Statistic]:
    """The statistics of a population that are means of tables over kinds of members."""
    return [
        s
        for s in tape.statistics
        if s.population == population
        and s.mass is None
        and s.coordinate is not None
        and not tape.touched[s.body]
        and s.axes
    ]


def _template(tape: Tape, linear: Sequence[Statistic], space: Space) -> Template:
    low, high = table_columns(tape, linear, space)  # [grid, members, statistics]
    forms = np.array(
        [f for f in product((-1, 0, 1), repeat=len(linear)) if sum(map(abs, f)) >= 2], float
    )
    with np.errstate(invalid="ignore"):
        values = high @ np.maximum(forms, 0).T + low @ np.minimum(forms, 0).T
        size = np.maximum(np.abs(low), np.abs(high)).max((1, 2))
        top = values.max(1) + (1e-12 * len(linear) * size)[:, None]
    top = np.where(np.isnan(top), np.inf, top)
    return Template(tuple(s.coordinate or 0 for s in linear), forms, top)


def table_columns(tape: Tape, linear: Sequence[Statistic], space: Space) -> tuple[Array, Array]:
    """Ends of the bodies of statistics at each kind of member, [grid, members, statistics]."""
    count = int(np.prod(tape.sizes)) if tape.sizes else 1
    sizes = tape.sizes
    places = (
        np.stack(np.unravel_index(np.arange(count), sizes), -1) if sizes else np.zeros((1, 0), int)
    )
    empty = np.zeros((count, len(tape.coordinates)))
    forward = Forward(tape, Rows(places, empty, empty), STILL, None, {})
    ends = [forward.value(s.body) for s in linear]
    pairs = [
        [_at_members(forward, s, space, end) for s, end in zip(linear, part, strict=True)]
        for part in ([e.lo for e in ends], [e.hi for e in ends])
    ]
    return np.stack(pairs[0], -1), np.stack(pairs[1], -1)


def columns_at(forward: Forward, statistic: Statistic, space: Space) -> Array:
    """The body of a scalar statistic at every kind of member, [rows, members]: middles."""
    value = forward.value(statistic.body)
    with np.errstate(over="ignore", invalid="ignore"):
        middle = np.where(value.lo == value.hi, value.lo, value.lo / 2 + value.hi / 2)
    return _at_members(forward, statistic, space, middle)


def _at_members(forward: Forward, statistic: Statistic, space: Space, middle: Array) -> Array:
    shape = [len(forward.rows), *forward._shape()]
    order = []
    for variable, size in space:
        axis = statistic.axes.get(variable)
        if axis is not None:
            shape[forward._place(axis)] = size
            order.append(forward._place(axis))
    wide = np.broadcast_to(middle, shape)
    own = wide.transpose(0, *order, *(k for k in range(1, len(shape)) if k not in order))
    own = own.reshape(len(forward.rows), *(shape[k] for k in order))
    full = [len(forward.rows), *(size for _, size in space)]
    lifted = [len(forward.rows), *(size if v in statistic.axes else 1 for v, size in space)]
    return np.broadcast_to(own.reshape(lifted), full).reshape(len(forward.rows), -1)


def feasible_in(tape: Tape, templates: Sequence[Template], rows: Rows) -> np.ndarray:
    """Rows whose statistics may belong to a law."""
    ok = np.ones(len(rows), bool)
    flat = grid_index(tape, rows)
    for template in templates:
        at = list(template.coordinates)
        lo, hi = rows.lo[:, at], rows.hi[:, at]
        with np.errstate(invalid="ignore"):
            least = lo @ np.maximum(template.forms, 0).T + hi @ np.minimum(template.forms, 0).T
        ok &= ~(least > template.top[flat]).any(1)
    return ok


def grid_index(tape: Tape, rows: Rows) -> np.ndarray:
    """The number of the grid point of each row."""
    if not tape.grid:
        return np.zeros(len(rows), dtype=np.int64)
    return np.asarray(np.ravel_multi_index(tuple(rows.places.T), tape.sizes))


def midpoint_laws(
    forward: Forward, targets: Array, spaces: Mapping[str, Space]
) -> dict[str, Array]:
    """Laws [rows, members] of all populations whose statistics come close to `targets`."""
    tape = forward.tape
    found = {}
    for population, space in spaces.items():
        linear = [
            s
            for s in tape.statistics
            if s.population == population and s.mass is None and s.coordinate is not None
        ]
        count = members(space)
        if not linear:
            found[population] = dyadic(np.full((len(targets), count), 1.0 / count))
            continue
        columns = np.stack([columns_at(forward, s, space) for s in linear], -1)
        wanted = targets[:, [s.coordinate or 0 for s in linear]]
        found[population] = dyadic(nearest_law(columns, wanted))
    return found


def nearest_law(columns: Array, wanted: Array) -> Array:
    """Laws whose statistics come close to `wanted` [rows, statistics] (Frank and Wolfe 1956)."""
    rows = np.arange(len(columns))
    columns = np.nan_to_num(columns, posinf=LARGEST, neginf=-LARGEST)
    scale = np.maximum(np.ptp(columns, axis=1, keepdims=True), 1e-100)
    with np.errstate(over="ignore", invalid="ignore"):
        columns, wanted = columns / scale, wanted / scale[:, 0]
    columns, wanted = np.clip(columns, -1e9, 1e9), np.clip(np.nan_to_num(wanted), -1e9, 1e9)
    start = np.argmin(((columns - wanted[:, None]) ** 2).sum(-1), 1)
    law = np.zeros(columns.shape[:2])
    law[rows, start] = 1.0
    for _ in range(NEARING):
        reached = np.einsum("ry,ryk->rk", law, columns)
        off = reached - wanted
        vertex = np.argmin(np.einsum("ryk,rk->ry", columns, off), 1)
        way = columns[rows, vertex] - reached
        size = (way**2).sum(-1)
        step = np.clip(-(off * way).sum(-1) / np.where(size > 0, size, 1.0), 0.0, 1.0)
        law *= (1 - step)[:, None]
        law[rows, vertex] += step
    return law


def dyadic(law: Array) -> Array:
    """Laws rounded to multiples of 2**-30, so that their sums are exactly 1."""
    unit = 2.0**30
    whole = np.floor(np.maximum(law, 0.0) * unit)
    top = np.argmax(whole, 1)
    rows = np.arange(len(law))
    whole[rows, top] += unit - whole.sum(1)
    return whole / unit


def sample_laws(count: int) -> Array:
    """Vertices, middles of edges and random laws over `count` kinds of members, [laws, kinds]."""
    source = np.random.default_rng(0)
    few = np.arange(min(count, 64))
    vertices = np.eye(count)[few]
    one, other = np.triu_indices(min(count, 12), 1)
    edges = (np.eye(count)[one] + np.eye(count)[other]) / 2
    inside = source.dirichlet(np.ones(count), 64) if count < 256 else np.zeros((0, count))
    sparse = source.dirichlet(np.full(count, 0.2), 64) if count < 256 else np.zeros((0, count))
    return dyadic(np.nan_to_num(np.concatenate([vertices, edges, inside, sparse])))
