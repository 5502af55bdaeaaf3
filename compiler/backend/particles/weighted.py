"""Weighted means: a product of the matrix of weights with values of the members.

`mean(w[q] * f(own, q) for q in p)` takes one product for each term of f as a sum of own values
times values of the member, or one for each value that the member can have; never a tensor over
pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

from mfdsl.compiler.backend.particles.separable import expanded
from mfdsl.compiler.ir.types import BOOL, INT

if TYPE_CHECKING:
    from mfdsl.compiler.backend.particles.means import Expectation

MOST_VALUES = 64


def weighted(
    mean: Expectation, weight: int, factors: Sequence[int], conditions: Sequence[int]
) -> int | None:
    """The mean of `weight` times the factors where the conditions hold, None when only pairs do."""
    arena = mean.arena
    whole = mean.weighted(factors, conditions)
    if not arena.varies(whole, mean.depth) or arena.closed(whole, mean.depth):
        mean.chosen("weights")
        return _share(mean, weight, arena.member(whole, mean.depth))
    if arena.type_of(whole).dims:
        return None
    terms = expanded(arena, factors, conditions, mean.depth, mean.population)
    if terms is not None:
        mean.chosen("weights", len(terms))
        parts = [mean.op("mul", own, _share(mean, weight, part)) for own, part in terms]
        return mean.op("add", *parts) if parts else arena.const(0)
    return _by_pin(mean, weight, factors, conditions) or _by_value(mean, weight, whole)


def _share(mean: Expectation, weight: int, value: int) -> int:
    """The weighted mean of a member's value."""
    arena = mean.arena
    attr = arena.node(weight).attr
    assert isinstance(attr, tuple)
    matrix = (str(attr[1]), int(attr[2]))
    if arena.facts(value).common:
        total = mean.op("mul", value, arena.add("weight_sum", (), matrix))
    else:
        total = arena.add("weighted_of", (value,), matrix, arena.type_of(value))
    if mean.others:
        total = mean.less(total, mean.op("mul", arena.add("own_weight", (), matrix), value))
    return mean.op("div", total, mean.count())


def _by_pin(
    mean: Expectation, weight: int, factors: Sequence[int], conditions: Sequence[int]
) -> int | None:
    """The weighted means at each value of a variable that must have a given one, and that entry."""
    arena = mean.arena
    pins, rest = mean.pins(conditions)
    if not pins:
        return None
    (key, value), *others = pins.items()
    type = arena.type_of(key)
    if type.size > MOST_VALUES:
        return None
    index = arena.index(type)
    members = {k: arena.add("peer", (k,), mean.depth, arena.type_of(k)) for k in pins}
    kept = [arena.add("eq", (members[k], v), None, BOOL) for k, v in others]
    here = arena.add("eq", (members[key], index), None, BOOL)
    entry = weighted(mean, weight, factors, [*rest, *kept, here])
    if entry is None:
        return None
    chosen = arena.add("eq", (value, index), None, BOOL)
    total = arena.add("if", (chosen, entry, arena.const(0)))
    return arena.add("sum_over", (total, index), arena.node(index).attr)


def _by_value(mean: Expectation, weight: int, whole: int) -> int | None:
    """The sum over all values of the finite variables of a member, by their weighted shares."""
    arena = mean.arena
    peers = mean.peers(whole)
    atoms = mean.atoms([arena.node(i).args[0] for i in peers])
    if atoms is None or prod(arena.type_of(a).size for a in atoms) > MOST_VALUES:
        return None
    indices = {atom: arena.index(arena.type_of(atom)) for atom in atoms}
    seen = {i: arena.replace(arena.node(i).args[0], indices) for i in peers}
    here = [arena.add("eq", (atom, index), None, BOOL) for atom, index in indices.items()]
    there = arena.add("real", (arena.add("ind", (mean.all(here),), None, INT),))
    total = mean.op("mul", arena.replace(whole, seen), _share(mean, weight, there))
    for index in indices.values():
        total = arena.add("sum_over", (total, index), arena.node(index).attr)
    mean.chosen("weights", prod(arena.type_of(a).size for a in atoms))
    return total
