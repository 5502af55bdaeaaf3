"""Mistakes put into the slope engine one at a time: some layer of tests has to see each.

Run as `python -m tests.analysis.mutations`; it exits with 1 when a mistake goes unseen.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np

from mfdsl.compiler.analysis import directed, intervals
from mfdsl.compiler.analysis.certificate import ContradictionError
from mfdsl.compiler.analysis.intervals import Interval, multiply, point
from mfdsl.compiler.analysis.slopes import (
    atoms,
    bends,
    curvature,
    directions,
    domain,
    forward,
    law_slope,
    mean_value,
    problem,
    ranges,
    rules,
    shares,
    speeds,
    totals,
    value,
)
from tests.analysis.slopes import layers, zoo
from tests.analysis.slopes.random_expressions import Shape

LAYERS: tuple[Callable[[layers.Case], object], ...] = (
    layers.enclosed,
    layers.thin,
    layers.bent,
    layers.slopes_in_law,
)
FOCUS: dict[str, tuple[Callable[[layers.Case], object], ...]] = {  # where others see nothing
    "mean value on half the box": (layers.bent, layers.slopes_in_law),
    "speeds do not change": (layers.bent,),
    "kinks are straight": (layers.bent,),
    "shares at one end": (),
}
SEEDS = 250
FIRST = {  # seeds that saw a mistake; should they not see it any more, all are tried
    "abs' = sign": 10,
    "max' by the middle": 31,
    "logistic peak forgotten": 36,
    "even power ignores 0": 41,
    "infinite slope made finite": 80,
    "over-pruned simplex": 12,
    "second derivative of mul dropped": 29,
    "bends of arguments dropped": 8,
    "mean value on half the box": 30,
    "speeds do not change": 134,
    "kinks are straight": 135,
    "totals cut too much": 7,
    "all statistics change places": 7,
}
Patch = tuple[Any, str, Any]


def sign_of_abs() -> list[Patch]:
    """The slope of abs is 0 at its kink, where it may be anything between -1 and 1."""

    def mutant(args: Any, value: Any) -> list[Interval]:
        a = args[0]
        return [point(np.where(a.lo >= 0, 1.0, np.where(a.hi <= 0, -1.0, 0.0)))]

    return [_atom("abs", mutant)]


def middle_of_max() -> list[Patch]:
    """A maximum has the slope of the branch that is higher in the middle of the box."""

    def mutant(self: Any, step: Any, args: Any, value: Any, parts: Any) -> Interval:
        sign = 1 if step.op == "max" else -1
        middles = [sign * (a.lo + a.hi) / 2 for a in args]
        best = np.argmax(np.stack(np.broadcast_arrays(*middles)), 0)
        found = None
        for k, part in enumerate(parts):
            here = atoms.ZERO if part is None else part
            mask = (best == k)[..., None]
            at = Interval(np.where(mask, here.lo, np.inf), np.where(mask, here.hi, -np.inf))
            found = at if found is None else intervals.joined(found, at)
        assert found is not None
        return found

    return [(forward.Forward, "_extreme", mutant)]


def one_factor_of_products() -> list[Patch]:
    """The product rule forgets all but the first term."""

    def mutant(args: Any, value: Any) -> list[Interval]:
        first = multiply(*args[1:])
        return [first, *[atoms.ZERO] * (len(args) - 1)]

    return [_atom("mul", mutant)]


def peak_of_logistic() -> list[Patch]:
    """The slope p (1 - p) is taken at the ends only, and not at one half."""

    def mutant(share: Interval) -> Interval:
        ends = [e * (1 - e) for e in (share.lo, share.hi)]
        return Interval(np.minimum(*ends) * (1 - 1e-12), np.maximum(*ends) * (1 + 1e-12))

    return [(m, "bump", mutant) for m in (atoms, bends, forward, shares)]


def zero_of_even_powers() -> list[Patch]:
    """An even power, and a square, has its extremes at the ends only."""

    def ends(a: Interval) -> Interval:
        both = a.lo * a.lo, a.hi * a.hi
        return Interval(np.minimum(*both) * (1 - 1e-15), np.maximum(*both) * (1 + 1e-15))

    def mutant(a: Interval, b: Interval) -> Interval:
        even = np.all(b.lo == b.hi) and np.all(b.lo % 2 == 0) and np.all(b.lo > 0)
        if not even:
            return _rule("pow")(a, b)
        both = a.lo**b.lo, a.hi**b.lo
        return Interval(np.minimum(*both) * (1 - 1e-15), np.maximum(*both) * (1 + 1e-15))

    return [_entry(intervals.RULES, "pow", mutant), (rules, "squared", ends)]


def two_of_four_products() -> list[Patch]:
    """A product of intervals multiplies lower with lower and upper with upper ends only."""

    def mutant(*arguments: Interval) -> Interval:
        lo, hi = arguments[0].lo, arguments[0].hi
        for other in arguments[1:]:
            with np.errstate(invalid="ignore", over="ignore"):
                one, two = lo * other.lo, hi * other.hi
            one, two = (np.where(np.isnan(e), 0.0, e) for e in (one, two))
            lo, hi = np.minimum(one, two), np.maximum(one, two)
        return Interval(lo, hi)

    return [
        (forward, "multiply", mutant),
        (ranges, "multiply", mutant),
        (rules, "multiply", mutant),
        (atoms, "multiply", mutant),
        _entry(intervals.RULES, "mul", mutant),
    ]


def missing_directions() -> list[Patch]:
    """Mass moves from the first kind of members only, and spans are not taken."""
    real = directions.law_directions

    def mutant(tape: Any, population: str) -> Any:
        found = real(tape, population)
        if found.span:
            return replace(found, span=False)
        some = found.off[0] == found.off[0, 0]
        some &= found.to[0] == found.to[0, 0]
        some[:2] = True
        return replace(found, to=found.to[:, some], off=found.off[:, some])

    return [(directions, "law_directions", mutant), (law_slope, "law_directions", mutant)]


def finite_infinities() -> list[Patch]:
    """Unbounded slopes are replaced by a large number that is not an upper bound."""
    real = law_slope.LawSlope.flat

    def mutant(self: Any, rate: Any, count: int) -> Interval:
        flat = real(self, rate, count)
        return Interval(*(np.nan_to_num(e, posinf=1e3, neginf=-1e3) for e in (flat.lo, flat.hi)))

    return [(law_slope.LawSlope, "flat", mutant)]


def pruned_simplex() -> list[Patch]:
    """Boxes are dropped that laws do reach."""
    real = domain.feasible_in

    def mutant(tape: Any, templates: Any, rows: Any) -> np.ndarray:
        tight = [replace(t, top=t.top - 0.2 * np.abs(t.top) - 0.05) for t in templates]
        return real(tape, tight, rows)

    return [(m, "feasible_in", mutant) for m in (problem, value)]


def one_order_of_pairs() -> list[Patch]:
    """The second derivative of a product is left out, as if its factors did not meet."""
    return [_entry(bends.RULE, "mul", lambda args, value: {})]


def bends_of_arguments() -> list[Patch]:
    """Second derivatives of arguments do not pass through an operator."""
    real = curvature.Curvature._first_order

    def mutant(self: Any, index: int, parts: Any, more: int) -> Any:
        return None if more == 2 else real(self, index, parts, more)

    return [(curvature.Curvature, "_first_order", mutant)]


def half_of_the_box() -> list[Patch]:
    """The mean-value form goes half as far from the middle as the box."""
    real = mean_value._reach

    def mutant(*args: Any) -> Any:
        found = real(*args)
        return replace(found, low=found.low / 2, high=found.high / 2)

    return [(mean_value, "_reach", mutant)]


def constant_speeds() -> list[Patch]:
    """How fast statistics move is taken in the middle, though it depends on the box."""
    real = speeds._assembled

    def mutant(*args: Any) -> Any:
        return replace(real(*args), change=None)

    return [(speeds, "_assembled", mutant)]


def smooth_kinks() -> list[Patch]:
    """Kinks and jumps have no second derivative, as if they were straight."""
    return [(bends, "_pieces", lambda op, args, value: {})]


def tight_totals() -> list[Patch]:
    """Boxes are cut smaller than the sum of all statistics allows."""
    real = totals.ends_of

    def mutant(*args: Any) -> Any:
        return [
            (lo + 0.1 * abs(lo) + 0.05, hi - 0.1 * abs(hi) - 0.05, t) for lo, hi, t in real(*args)
        ]

    return [(m, "ends_of", mutant) for m in (totals, mean_value)]


def all_change_places() -> list[Patch]:
    """All statistics of a law are looked at in one order."""

    def mutant(tape: Any, population: str, space: Any) -> list[list[int]]:
        mine = [s.coordinate for s in tape.statistics if s.population == population]
        return [[k for k in mine if k is not None]]

    return [(law_slope, "classes_of", mutant)]


def own_share_twice() -> list[Patch]:
    """A share is bounded with its own argument at the same end as all others."""
    real = shares._share

    def mutant(own: Any, others: Any, down: bool) -> Any:
        return real(own, own, down)

    return [(shares, "_share", mutant)]


def no_rounding() -> list[Patch]:
    """Ends of intervals are rounded to nearest."""
    return [
        (directed, "nudged", lambda value, down: value),
        (directed, "nextafter", lambda value, away: value),
        (intervals, "nudged", lambda value, down: value),
    ]


MUTATIONS: dict[str, Callable[[], list[Patch]]] = {
    "abs' = sign": sign_of_abs,
    "max' by the middle": middle_of_max,
    "product rule term dropped": one_factor_of_products,
    "logistic peak forgotten": peak_of_logistic,
    "even power ignores 0": zero_of_even_powers,
    "mul uses 2 of 4 products": two_of_four_products,
    "directions miss pairs": missing_directions,
    "infinite slope made finite": finite_infinities,
    "over-pruned simplex": pruned_simplex,
    "no outward rounding": no_rounding,
    "second derivative of mul dropped": one_order_of_pairs,
    "bends of arguments dropped": bends_of_arguments,
    "mean value on half the box": half_of_the_box,
    "speeds do not change": constant_speeds,
    "kinks are straight": smooth_kinks,
    "totals cut too much": tight_totals,
    "all statistics change places": all_change_places,
    "shares at one end": own_share_twice,
}


class _Entry:
    """A table and a key, patched like an attribute."""

    def __init__(self, table: dict[str, Any], key: str) -> None:
        self.table, self.key = table, key


def _entry(table: dict[str, Any], key: str, mutant: Any) -> Patch:
    return _Entry(table, key), key, mutant


def _atom(op: str, mutant: Any) -> Patch:
    return _entry(atoms.ATOMS, op, replace(atoms.ATOMS[op], slopes=mutant))


_RULES = dict(intervals.RULES)


def _rule(op: str) -> Any:
    return _RULES[op]


@contextmanager
def applied(patches: list[Patch]) -> Iterator[None]:
    """The engine with a mistake in it."""
    undo = []
    for target, name, mutant in patches:
        one = (
            mock.patch.dict(target.table, {target.key: mutant})
            if isinstance(target, _Entry)
            else mock.patch.object(target, name, mutant)
        )
        one.start()
        undo.append(one)
    try:
        yield
    finally:
        for one in reversed(undo):
            one.stop()


def seen_by(seed: int, some: Sequence[Callable[[layers.Case], object]] = LAYERS) -> str | None:
    """The layer that sees something wrong at a seed."""
    shape = Shape(kinds=2 + seed % 3, wild=0.0 if seed % 2 else 0.1)
    for layer in some:
        try:
            layer(layers.drawn(seed, shape))
        except layers.Caught:
            return layer.__name__
        except ContradictionError:
            return "lower above upper"
    return None


def seen_in_zoo() -> str | None:
    """The entry of the zoo whose constant is wrong."""
    for name, (build, constant) in (*zoo.LAW.items(), ("routes", (zoo.routed, 0.46831))):
        try:
            found = zoo.in_law(build)
        except ContradictionError:
            return f"zoo, {name}: lower above upper"
        if found.upper is not None and found.upper < constant * (1 - 1e-9):
            return f"zoo, {name}"
    for name, build in zoo.POLES.items():
        if zoo.in_law(build).upper is not None:
            return f"zoo, {name}"
    return None


def killer(name: str, seeds: int = SEEDS) -> str | None:
    """What sees a mistake first, None when nothing does."""
    with applied(MUTATIONS[name]()):
        some = FOCUS.get(name, LAYERS)
        for seed in (FIRST.get(name, 0), *range(seeds)) if some else ():
            seen = seen_by(seed, some)
            if seen is not None:
                return f"{seen} (seed {seed})"
        return seen_in_zoo()


def main() -> int:
    """Apply all mistakes; the number of those that nothing sees."""
    survived = 0
    for name in MUTATIONS:
        began = time.perf_counter()
        seen = killer(name)
        survived += seen is None
        print(f"{name:28s} {seen or 'SURVIVED':44s} {time.perf_counter() - began:5.1f} s")
    return survived


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
