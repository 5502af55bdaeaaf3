"""Operators that stand for several of the model, whose kinks and jumps cancel.

The distance on a ring does not jump where the way does, and u / (|u| + c) is steepest at 0, with
slope 1 / c: neither shows in rules for the parts.
"""

from collections.abc import Sequence

import numpy as np

from mfdsl.compiler.analysis.intervals import RULES, Array, Interval
from mfdsl.compiler.ir.model import Node

ROUNDED = 8 * np.finfo(float).eps  # relative error of a few operations


def ring_gap(a: Interval, period: Interval) -> Interval:
    """How far the middle of its ring is from a number: |a mod period - period / 2|."""
    lo, hi, turn = _on_ring(a, period)
    half = turn / 2
    ends = [np.abs(lo - np.floor(lo / turn) * turn - half) for lo in (lo, hi)]
    slack = 8 * np.spacing(np.maximum(np.maximum(np.abs(lo), np.abs(hi)), turn))
    top = np.floor(lo / turn) != np.floor(hi / turn)  # a whole turn lies between the ends
    bottom = np.floor((lo + half) / turn) != np.floor((hi + half) / turn)
    least = np.where(bottom, 0.0, np.maximum(np.minimum(*ends) - slack, 0.0))
    return Interval(least, np.where(top, half, np.minimum(np.maximum(*ends) + slack, half)))


def ring_gap_slopes(a: Interval, period: Interval) -> list[Interval]:
    """Its slope: -1 in the first half of a turn, 1 in the second."""
    lo, hi, turn = _on_ring(a, period)
    same = np.floor(2 * lo / turn) == np.floor(2 * hi / turn)
    rising = np.mod(np.floor(2 * lo / turn), 2) == 1
    return [
        Interval(np.where(same & rising, 1.0, -1.0), np.where(same & ~rising, -1.0, 1.0)),
        Interval(np.asarray(-np.inf), np.asarray(np.inf)),
    ]


def _on_ring(a: Interval, period: Interval) -> tuple[Array, Array, Array]:
    """Ends that are a little further out, so that no multiple of the period is rounded across."""
    turn = np.maximum(period.lo, np.finfo(float).tiny)
    with np.errstate(invalid="ignore", over="ignore"):
        slack = 4 * np.spacing(np.maximum(np.maximum(np.abs(a.lo), np.abs(a.hi)), turn))
        lo, hi = a.lo - slack, a.hi + slack
    wide = ~(hi - lo < turn)
    return np.where(wide, 0.0, lo), np.where(wide, turn, hi), turn


def soft_sign(a: Interval, floor: Interval) -> Interval:
    """The number a / (|a| + floor), which rises from -1 to 1; the floor is one positive number."""
    lo, hi = (_soft_sign(end, floor.lo) for end in (a.lo, a.hi))
    return Interval(
        np.maximum(lo - ROUNDED * np.abs(lo), -1.0), np.minimum(hi + ROUNDED * np.abs(hi), 1.0)
    )


def _soft_sign(a: Array, floor: Array) -> Array:
    with np.errstate(invalid="ignore"):
        return np.where(np.isfinite(a), a / (np.abs(a) + floor), np.sign(a))


def soft_sign_slopes(a: Interval, floor: Interval) -> list[Interval]:
    """Its slope floor / (|a| + floor)^2; the floor does not move."""
    size = RULES["abs"](a)
    most, least = (floor.lo / (end + floor.lo) ** 2 for end in (size.lo, size.hi))
    rate = Interval(least * (1 - ROUNDED), most * (1 + ROUNDED))
    return [rate, Interval(np.asarray(-np.inf), np.asarray(np.inf))]


def merged_atom(nodes: Sequence[Node], here: Node) -> tuple[str, tuple[int, ...]] | None:
    """An operator that stands for several: `1 / (1 + exp(u))` is a logistic function of -u."""
    if here.op == "div":
        top, bottom = nodes[here.args[0]], nodes[here.args[1]]
        if bottom.op == "add" and len(bottom.args) == 2:
            for one, other in (bottom.args, bottom.args[::-1]):
                unit = nodes[one].op == "const" and nodes[one].attr == 1
                if unit and nodes[other].op == "exp" and top.op == "const" and top.attr == 1:
                    return "logistic_down", (nodes[other].args[0],)
        if top.op == "exp" and bottom.op == "add" and here.args[0] in bottom.args:
            rest = list(bottom.args)
            rest.remove(here.args[0])
            if all(nodes[i].op == "exp" for i in rest):
                return "softmax", (top.args[0], *(nodes[i].args[0] for i in rest))
    if here.op == "mul" and len(here.args) == 2:
        for one, other in (here.args, here.args[::-1]):
            if nodes[other].op == "log" and nodes[other].args[0] == one:
                return "xlogx", (one,)
    return None
