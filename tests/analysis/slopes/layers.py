"""The layers of tests that no mistake in the engine should pass: each raises `Caught`."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.analysis.slopes.directions import law_directions
from mfdsl.compiler.analysis.slopes.domain import root_rows, spaces_of
from mfdsl.compiler.analysis.slopes.forward import Forward, Rows
from mfdsl.compiler.analysis.slopes.law_slope import LawSlope
from mfdsl.compiler.analysis.slopes.mean_value import sharpened
from mfdsl.compiler.analysis.slopes.search import Budget
from mfdsl.compiler.analysis.slopes.tape import Tape, Unsupported
from mfdsl.compiler.analysis.slopes.taping import make_tape
from tests.analysis.slopes import worlds
from tests.analysis.slopes.random_expressions import (
    Expression,
    Generator,
    Shape,
    World,
    sixty_digits,
)

QUICK = Budget(boxes=300, seconds=0.05)
SAMPLES = 160


class Caught(AssertionError):
    """A bound that does not hold."""


@dataclass(frozen=True)
class Case:
    """A random expression, and everything drawn for it."""

    seed: int
    shape: Shape
    generator: Generator
    expression: Expression


def drawn(seed: int, shape: Shape, size: int | None = None) -> Case:
    """The expression of a seed."""
    random = np.random.default_rng(seed)
    generator = Generator(random, shape)
    size = int(random.integers(1, 8)) if size is None else size
    return Case(seed, shape, generator, generator.real(size))


def evaluated(case: Case, world: World, count: int) -> np.ndarray:
    """Values of the expression, [samples]."""
    with np.errstate(all="ignore"):
        values = np.broadcast_to(case.expression.value(world), (count,)).astype(float)
        for where in world.undefined:
            values = np.where(where, np.nan, values)
        return values


def checked_slopes(
    case: Case, found: Certificate, values: list[np.ndarray], distance: np.ndarray
) -> None:
    """No sampled slope is above a certified bound."""
    if found.upper is None:
        return
    with np.errstate(all="ignore"):
        slopes = np.abs(values[1] - values[0]) / distance
        slack = 1e-12 * (1 + np.abs(values[0])) / distance
    ok = np.isfinite(slopes) & (distance > 0)
    worst = np.max(np.where(ok, slopes - slack, 0.0), initial=0.0)
    if worst > found.upper * (1 + 1e-9) + 1e-12:
        raise Caught(f"seed {case.seed}: a slope of {worst} is above {found.upper}")
    if found.verdict == "refuted" and not found.lower:
        raise Caught(f"seed {case.seed}: refuted without a slope")


def slopes_in_law(case: Case, budget: Budget = QUICK) -> Certificate:
    """Layer 3: secants between laws of finitely many kinds of members."""
    random, shape = np.random.default_rng([case.seed, 1]), case.shape
    found = case.generator.spec.in_law(case.expression.node, budget=budget)
    one, other, distance = worlds.law_pairs(random, SAMPLES, shape.kinds)
    own = worlds.own_values(random, shape, SAMPLES)
    rest, time = worlds.random_laws(random, SAMPLES, shape.kinds), int(random.integers(10))
    values = [
        evaluated(case, worlds.finite_world(shape, own, law, rest, time), SAMPLES)
        for law in (one, other)
    ]
    checked_slopes(case, found, values, distance)
    return found


def slopes_at_own_place(case: Case, budget: Budget = QUICK) -> Certificate:
    """Layer 3: secants in one's own continuous variable."""
    random, shape = np.random.default_rng([case.seed, 2]), case.shape
    leaf = case.generator.spec.own("z", worlds_place())
    found = case.generator.spec.in_variables(case.expression.node, [leaf], budget)
    own = worlds.own_values(random, shape, SAMPLES)
    near = np.clip(own["z"] + random.choice([2.0**-9, -(2.0**-9), 0.25], SAMPLES), -1, 1)
    law, rest = (worlds.random_laws(random, SAMPLES, shape.kinds) for _ in range(2))
    time = int(random.integers(10))
    values = [
        evaluated(case, worlds.finite_world(shape, {**own, "z": z}, law, rest, time), SAMPLES)
        for z in (own["z"], near)
    ]
    checked_slopes(case, found, values, np.abs(near - own["z"]))
    return found


def slopes_at_own_kind(case: Case, budget: Budget = QUICK) -> Certificate:
    """Layer 3: differences of neighbouring values of one's own finite variable."""
    random, shape = np.random.default_rng([case.seed, 3]), case.shape
    leaf = case.generator.own_kind()[0]
    found = case.generator.spec.in_variables(case.expression.node, [leaf], budget)
    own = worlds.own_values(random, shape, SAMPLES)
    law, rest = (worlds.random_laws(random, SAMPLES, shape.kinds) for _ in range(2))
    time = int(random.integers(10))
    y = random.integers(shape.kinds, size=(2, SAMPLES))
    values = [
        evaluated(case, worlds.finite_world(shape, {**own, "y": k}, law, rest, time), SAMPLES)
        for k in y
    ]
    checked_slopes(case, found, values, np.abs(y[1] - y[0]) * 1.0)
    return found


def slopes_in_places(case: Case, budget: Budget = QUICK) -> Certificate:
    """Layer 3: secants between laws of members with a place, moved one by one or together."""
    random, shape = np.random.default_rng([case.seed, 4]), case.shape
    found = case.generator.spec.in_law(case.expression.node, budget=budget)
    members = int(random.integers(1, 5))
    kinds, nu = random.integers(shape.kinds, size=(2, SAMPLES, members))
    corner = random.random((SAMPLES, 1)) < 0.3
    places = random.random((SAMPLES, members))
    places = np.where(corner, np.round(places * 4) / 4, places)
    step = random.choice([2.0**-9, -(2.0**-9), 0.2, 1.0], (SAMPLES, members))
    step *= random.random((SAMPLES, members)) < random.choice([0.2, 1.0], (SAMPLES, 1))
    moved = np.clip(places + step, 0, 1)
    other = np.where(random.random((SAMPLES, members)) < 0.1, random.integers(shape.kinds), kinds)
    if found.norm.startswith("l1"):  # only the law of the kinds is read
        share = [
            np.stack([(k == v).mean(1) for v in range(shape.kinds)], 1) for k in (kinds, other)
        ]
        distance = np.abs(share[0] - share[1]).sum(1)
    else:
        distance = (np.abs(moved - places) + (other != kinds)).mean(1)
    own, time = worlds.own_values(random, shape, SAMPLES), int(random.integers(10))
    rest = nu, 2 * random.random((SAMPLES, members))
    values = [
        evaluated(case, worlds.placed_world(shape, own, x, s, rest, time), SAMPLES)
        for x, s in ((kinds, places), (other, moved))
    ]
    checked_slopes(case, found, values, distance)
    return found


def worlds_place() -> Any:
    """The type of one's own place."""
    from tests.analysis.slopes.spec import reals

    return reals(-1, 1)


@dataclass(frozen=True)
class Boxes:
    """Rows around pairs of laws, one for each direction, and the worlds at both ends."""

    rows: Rows
    laws: np.ndarray
    ends: np.ndarray
    share: np.ndarray
    own: dict[str, np.ndarray]
    rest: np.ndarray
    time: int


def enclosed(case: Case) -> bool:
    """Layer 1: values and secants along each direction lie in the enclosures of a box.

    False where the expression has no tape, or a jump in the boxes.
    """
    tape = make_tape(case.generator.spec.facts(), [case.expression.node])
    shape, random = case.shape, np.random.default_rng([case.seed, 5])
    if not any(s.population == "mu" for s in tape.statistics):
        return False
    directions = law_directions(tape, "mu")
    count = directions.to.shape[1]
    boxes = _boxes(case, tape, directions, random)
    forward = Forward(tape, boxes.rows, directions.moves(tape, boxes.rows), None, spaces_of(tape))
    value, rate = forward.value(tape.roots[0]), forward.tangent(tape.roots[0])
    flat = [np.broadcast_to(e.reshape(len(e), -1)[:, 0], (count,)) for e in (value.lo, value.hi)]
    found = [
        evaluated(case, worlds.finite_world(shape, boxes.own, law, boxes.rest, boxes.time), count)
        for law in (boxes.laws, boxes.ends)
    ]
    size = 1e-12 * (1 + np.abs(found[0]))
    for values in found:
        outside = (values < flat[0] - size) | (values > flat[1] + size)
        if np.any(outside & np.isfinite(values)):
            raise Caught(f"seed {case.seed}: a value lies outside its enclosure")
    if forward.joints or forward.jumps or rate is None:
        return False
    full = (count, *(1,) * len(tape.inner), count)
    rates = [np.broadcast_to(e, full).reshape(count, count) for e in (rate.lo, rate.hi)]
    _secants_inside(case, found, boxes.share, *rates)
    return True


def _secants_inside(
    case: Case, values: list[np.ndarray], share: np.ndarray, lo: np.ndarray, hi: np.ndarray
) -> None:
    """Secants along the direction of each row, within its rates [rows, directions]."""
    with np.errstate(all="ignore"):
        secant = (values[1] - values[0]) / share
        slack = 1e-12 * (1 + np.abs(values[0])) / share
    outside = (secant < lo.diagonal() - slack) | (secant > hi.diagonal() + slack)
    if np.any(outside & (share > 0) & np.isfinite(secant)):
        raise Caught(f"seed {case.seed}: a secant lies outside the enclosure of slopes")


def bent(case: Case) -> bool:
    """Layer 1 for the mean-value form: secants in boxes that shrink around pairs of laws.

    False where the expression has no such form.
    """
    tape = make_tape(case.generator.spec.facts(), [case.expression.node])
    shape, random = case.shape, np.random.default_rng([case.seed, 8])
    if not any(s.population == "mu" for s in tape.statistics):
        return False
    problem = LawSlope(tape, "mu")
    if problem.speeds is None:
        return False
    count = problem.width
    boxes = _boxes(case, tape, problem.directions, random)
    moves = problem.moves_in(boxes.rows)
    try:
        rate = sharpened(tape, boxes.rows, moves, problem.spaces, problem.speeds, problem.totals)[0]
    except Unsupported:
        return False
    values = [
        evaluated(case, worlds.finite_world(shape, boxes.own, law, boxes.rest, boxes.time), count)
        for law in (boxes.laws, boxes.ends)
    ]
    _secants_inside(case, values, boxes.share, rate.lo, rate.hi)
    return bool(np.isfinite(rate.hi).any())


def _boxes(case: Case, tape: Tape, directions: Any, random: np.random.Generator) -> Boxes:
    """Pairs of laws along each direction, and boxes around both."""
    shape, count = case.shape, directions.to.shape[1]
    spaces = spaces_of(tape)
    places = (
        np.stack([random.integers(size, size=count) for size in tape.sizes], -1)
        if (tape.sizes)
        else np.zeros((count, 0), dtype=np.int64)
    )
    # one grid point for all rows, so that the world has one time
    places = np.repeat(places[:1], count, 0)
    at = (
        np.zeros(count, int) if not tape.grid else np.ravel_multi_index(tuple(places.T), tape.sizes)
    )
    to, off = (
        d[at if len(d) > 1 else np.zeros(count, int), np.arange(count)]
        for d in (directions.to, directions.off)
    )
    laws = worlds.random_laws(random, count, shape.kinds)
    ends, share = laws.copy(), np.zeros(count)
    if spaces["mu"]:
        index = np.arange(count)
        share = np.where(to != off, laws[index, off] * random.choice([0.5, 2.0**-6], count), 0.0)
        share = np.floor(share / worlds.UNIT) * worlds.UNIT
        ends[index, off] -= share
        ends[index, to] += share
    rest = worlds.random_laws(random, count, shape.kinds)
    own = worlds.own_values(random, shape, count)
    time = 0
    for k, leaf in enumerate(tape.grid):
        node = tape.facts.nodes[leaf]
        if node.op == "time":
            time = int(places[0, k])
        else:
            own[str(node.attr)] = places[:, k]
    lo = np.array([[c.lo for c in tape.coordinates]] * count).reshape(count, -1)
    hi = np.array([[c.hi for c in tape.coordinates]] * count).reshape(count, -1)
    for k, coordinate in enumerate(tape.coordinates):
        if coordinate.statistic is None:
            width = random.uniform(0, 0.5, count)
            lo[:, k], hi[:, k] = own["z"] - width, own["z"] + random.uniform(0, 0.5, count)
    for law in (laws, ends):
        weights = {name: {"mu": law, "nu": rest}[name] for name in spaces}
        weights = {n: w if spaces[n] else np.ones((count, 1)) for n, w in weights.items()}
        point = Rows(places, np.where(np.isinf(lo), 0, lo), np.where(np.isinf(hi), 0, hi))
        still = Forward(tape, point, directions.moves(tape, point), weights, spaces)
        for step_index, step in enumerate(tape.steps):
            if step.op != "statistic" or tape.statistics[step.attr].coordinate is None:
                continue
            k = tape.statistics[step.attr].coordinate
            value = still.value(step_index)
            ends_ = [
                np.broadcast_to(e.reshape(len(e), -1)[:, 0], (count,)) for e in (value.lo, value.hi)
            ]
            pad = random.choice([0.0, 0.01, 0.2], count)
            lo[:, k] = np.where(np.isinf(lo[:, k]), ends_[0], np.minimum(lo[:, k], ends_[0])) - pad
            hi[:, k] = np.where(np.isinf(hi[:, k]), ends_[1], np.maximum(hi[:, k], ends_[1])) + pad
    return Boxes(Rows(places, lo, hi), laws, ends, share, own, rest, time)


def thin(case: Case) -> bool:
    """Layer 2: at one law the enclosure of the value and of the slopes hold 60-digit numbers."""
    spec, shape = case.generator.spec, case.shape
    tape = make_tape(spec.facts(), [case.expression.node])
    spaces = spaces_of(tape)
    if not spaces.get("mu"):
        return False
    random, lib = np.random.default_rng([case.seed, 6]), sixty_digits()
    directions = law_directions(tape, "mu")
    place = np.array([[random.integers(size) for size in tape.sizes]]).reshape(1, -1)
    own: dict[str, Any] = {"z": lib.number(0.375), "y": int(random.integers(shape.kinds))}
    time = 0
    for k, leaf in enumerate(tape.grid):
        node = tape.facts.nodes[leaf]
        if node.op == "time":
            time = int(place[0, k])
        else:
            own[str(node.attr)] = int(place[0, k])
    inside = (worlds.random_laws(random, 1, shape.kinds)[0] * 3 + 1 / shape.kinds) / 4
    law = worlds.dyadic(inside[None])[0]
    rest = worlds.random_laws(random, 1, shape.kinds)[0]
    members = worlds.members_of(shape)

    def exact(mine: list[Any]) -> Any:
        laws = {
            "mu": list(zip(members, mine, strict=True)),
            "nu": [(m, lib.number(float(w))) for m, w in zip(members, rest, strict=True)],
        }
        return case.expression.value(World(lib, own, laws, time=time))

    masses = [lib.number(float(w)) for w in law]
    try:
        truth = exact(masses)
    except (ZeroDivisionError, ValueError, OverflowError):
        return False
    point = np.full((1, len(tape.coordinates)), 0.375)
    rows = Rows(place, point, point)
    weights = {n: ({"mu": law, "nu": rest}[n] if spaces[n] else np.ones(1))[None] for n in spaces}
    forward = Forward(tape, rows, directions.moves(tape, rows), weights, spaces)
    value, rate = forward.value(tape.roots[0]), forward.tangent(tape.roots[0])
    if not (value.lo.min() <= truth <= value.hi.max()):
        raise Caught(f"seed {case.seed}: {truth} is outside [{value.lo.min()}, {value.hi.max()}]")
    if rate is None or forward.joints or forward.jumps:
        return True
    width = directions.to.shape[1]
    ends = [np.broadcast_to(e.reshape(1, -1), (1, width))[0] for e in (rate.lo, rate.hi)]
    step = lib.number(10) ** -25
    row = 0 if len(directions.to) == 1 else int(np.ravel_multi_index(place[0], tape.sizes))
    for d in range(width):
        moved = list(masses)
        moved[directions.to[row, d]] += step
        moved[directions.off[row, d]] -= step
        slope = (exact(moved) - truth) / step
        slack = lib.number(10) ** -18 * (1 + abs(slope))
        if not (ends[0][d] - slack <= slope <= ends[1][d] + slack):
            raise Caught(f"seed {case.seed}: slope {slope} outside [{ends[0][d]}, {ends[1][d]}]")
    return True


def nested(case: Case) -> None:
    """A box inside another has enclosures inside its enclosures."""
    tape = make_tape(case.generator.spec.facts(), [case.expression.node])
    if not any(s.population == "mu" for s in tape.statistics):
        return
    random = np.random.default_rng([case.seed, 7])
    rows, directions = root_rows(tape), law_directions(tape, "mu")
    share = np.sort(random.random((2, *rows.lo.shape)), 0)
    wide = rows.hi - rows.lo
    part = Rows(rows.places, rows.lo + share[0] * wide, rows.lo + share[1] * wide)
    found = []
    for some in (part, rows):
        pass_ = Forward(tape, some, directions.moves(tape, some), None, spaces_of(tape))
        found.append((pass_.value(tape.roots[0]), pass_.tangent(tape.roots[0])))
    for inner, outer in zip(*found, strict=True):
        if inner is None or outer is None:
            continue
        slack = 1e-9 * (1 + np.where(np.isfinite(outer.hi), np.abs(outer.hi), 0.0))
        if np.any(inner.hi > outer.hi + slack) or np.any(inner.lo < outer.lo - slack):
            raise Caught(f"seed {case.seed}: a part has a larger bound than the whole")
