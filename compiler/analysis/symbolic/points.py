"""Rational points at which to look for a counterexample: values of leaves, and laws.

A point is one that the game can be at: leaves lie in their types, laws are any laws over states
and actions of the members, parameters keep the values that they are bound to. Traits and noises
have laws of their own, so means over them have no point.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

import numpy as np

from mfdsl.compiler.analysis.counted import count
from mfdsl.compiler.analysis.symbolic.evaluation import Key, Member, Point, leaf_key
from mfdsl.compiler.analysis.symbolic.terms import (
    Terms,
    UnsupportedError,
    entry_type,
)
from mfdsl.compiler.ir.types import Type
from mfdsl.compiler.ir.walk import MEMBERS, depth_of

A_NODE, A_NUMBER = 3, 10  # steps of a look at a term, and of a number that is drawn
STEPS = 1000  # a continuous leaf takes one of so many values between its ends
REACH = 2  # and lies so far from 0, or from its only end, where it is not bounded
MASSES = ((1,), (1, 1), (2, 3), (1, 9), (5, 3, 2), (1, 2, 4, 3))  # of the members of a law

FREE = ("state", "action")  # what any law of members may give mass to


def points(terms: Terms, roots: Sequence[int], count: int) -> Iterator[Point]:
    """`count` points for the terms `roots`, the same each time.

    Raises UnsupportedError when a mean reads what has a law of its own.
    """
    own, members = _leaves(terms, roots)
    chance = random.Random(0)
    for _ in range(count):
        values = {
            key: _drawn(terms, key, type_, chance)
            for key, type_ in own.items()
            if key[0] != "param"
        }
        laws = {name: _law(terms, leaves, chance) for name, leaves in members.items()}
        yield Point(values, laws)


def own_of_members(terms: Terms, roots: Sequence[int]) -> dict[str, dict[Key, Key]]:
    """By population: variables of members that the player itself has, too, of the same type."""
    own, members = _leaves(terms, roots)
    found: dict[str, dict[Key, Key]] = {}
    for name, leaves in members.items():
        twins = {key: (key[0].removeprefix("peer_"), *key[1:]) for key in leaves}
        found[name] = {k: twin for k, twin in twins.items() if own.get(twin) == leaves[k]}
    return found


def shown(point: Point) -> dict[str, str]:
    """A point by the names of the spec; laws as lists of masses and members."""
    found = {_label(key): str(value) for key, value in point.own.items()}
    for population, law in point.laws.items():
        parts = [
            f"{mass} at " + ", ".join(f"{_label(key)} = {v}" for key, v in member.items())
            for mass, member in law
        ]
        found[f"law of {population}"] = "; ".join(parts)
    return found


def _label(key: Key) -> str:
    op, name, place = key
    whole = "t" if op == "time" else name
    return f"{whole}[{', '.join(map(str, place))}]" if place else whole


def _leaves(
    terms: Terms, roots: Sequence[int]
) -> tuple[dict[Key, Type], dict[str, dict[Key, Type]]]:
    """The leaves outside of means, and those of the members of each population, by key."""
    own: dict[Key, Type] = {}
    members: dict[str, dict[Key, Type]] = {}
    stack: list[tuple[int, tuple[tuple[int, str], ...]]] = [(root, ()) for root in roots]
    seen = set(stack)
    while stack:
        index, scope = stack.pop()
        node = terms.nodes[index]
        count(A_NODE)
        if node.op in MEMBERS:
            assert isinstance(node.attr, tuple)
            members.setdefault(str(node.attr[1]), {})
            kept = tuple(s for s in scope if s[0] != depth_of(node))
            scope = (*kept, (depth_of(node), str(node.attr[1])))
        for key, type_, op, depth in _read_here(terms, index):
            count(A_NODE)
            if depth is None:
                own[key] = type_
                continue
            population = dict(scope).get(depth)
            if population is None:
                raise UnsupportedError("a member that no mean binds")
            if op.removeprefix("peer_") not in FREE:
                raise UnsupportedError(f"a mean over a {op.removeprefix('peer_')}")
            members[population][key] = type_
        whole = node.op == "element" and not terms.nodes[node.args[0]].args
        for argument in node.args[1:] if whole else node.args:
            if (argument, scope) not in seen:
                seen.add((argument, scope))
                stack.append((argument, scope))
    return own, members


def _read_here(terms: Terms, index: int) -> Iterator[tuple[Key, Type, str, int | None]]:
    """The leaf that a term is; all entries of an array that it reads at varying positions."""
    node = terms.nodes[index]
    key = leaf_key(terms, index)
    if key is None and node.op == "element":
        index = node.args[0]
        key = leaf_key(terms, index)
    if key is None:
        return
    node = terms.nodes[index]
    leaf = terms.nodes[node.args[0]] if node.op == "element" else node
    depth = depth_of(leaf) if leaf.op.startswith("peer_") else None
    type_ = terms.builder.type_of(index)
    if not type_.dims:
        yield key, type_, leaf.op, depth
        return
    alike = type_.box is None and type_.ball is None
    shared = type_.scalar if alike else None
    for place in np.ndindex(*type_.dims):
        yield (*key[:2], place), shared or entry_type(type_, place), leaf.op, depth


def _drawn(terms: Terms, key: Key, type: Type, chance: random.Random) -> Fraction:
    count(A_NUMBER)
    if key[0] == "time":
        return Fraction(chance.randint(0, terms.facts.last_time))
    if type.finite:
        return Fraction(chance.randint(type.first, type.first + type.size - 1))
    lo, hi = _ends(type)
    if type.kind == "int":
        return Fraction(chance.randint(int(lo), int(hi)))
    return lo + (hi - lo) * Fraction(chance.randint(1, STEPS - 1), STEPS)


def _ends(type: Type) -> tuple[Fraction, Fraction]:
    """The interval to draw from; floats are fractions, so values are inside for certain."""
    if type.lo is None and type.hi is None:
        return Fraction(-REACH), Fraction(REACH)
    if type.lo is None:
        hi = Fraction(type.hi or 0)
        return hi - REACH, hi
    lo = Fraction(type.lo)
    return lo, lo + REACH if type.hi is None else Fraction(type.hi)


def _law(
    terms: Terms, leaves: Mapping[Key, Type], chance: random.Random
) -> list[tuple[Fraction, Member]]:
    masses = chance.choice(MASSES)
    return [
        (
            Fraction(mass, sum(masses)),
            {key: _drawn(terms, key, type_, chance) for key, type_ in leaves.items()},
        )
        for mass in masses
    ]
