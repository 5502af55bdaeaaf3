"""How far apart next states can be: the Dobrushin coefficient of the kernels, over all laws.

delta_P is the largest of half the l1 distances between the laws of the next state of two members
(Dobrushin, Central limit theorem for nonstationary Markov chains, 1956). Two laws have in common at
least the sum of the smaller of certified lower bounds of each chance.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product as joint
from math import prod

import numpy as np

from mfdsl.compiler.analysis.enclosure import Evaluator
from mfdsl.compiler.analysis.intervals import Array, multiply
from mfdsl.compiler.analysis.kernels import (
    finite_moving,
    leaf_of,
    make_kernel,
    moving_noises,
    reads_means,
)
from mfdsl.compiler.analysis.slopes.domain import root_rows
from mfdsl.compiler.analysis.slopes.law_slope import LawSlope
from mfdsl.compiler.analysis.slopes.tape import Unsupported
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.ir.model import Model, NoiseVariable, Player
from mfdsl.compiler.ir.walk import given

MAX_OUTCOMES = 64
MAX_NUMBERS = 2**23  # of one table of chances
MAX_PAIRS = 2**26  # comparisons of chances
SLACK = 1e-9


@dataclass(frozen=True)
class Mixing:
    """Upper bounds of distances of next states, at most 1.

    `members` is that of any two members (delta_P), `actions` that of two actions at one state.
    """

    members: float
    actions: float
    detail: str | None = None


def mixing(model: Model, copies: Copies, player: Player) -> Mixing:
    """The coefficients of a population with finite scalar variables; 1 where they are not known."""
    try:
        chances = lower_chances(copies, player)
    except Unsupported as error:
        return Mixing(1.0, 1.0, str(error))
    states, actions, after = chances.shape
    flat = chances.reshape(states * actions, after)
    within = max((_farthest(chances[s]) for s in range(states)), default=0.0)
    if len(flat) ** 2 * after > MAX_PAIRS:
        return Mixing(1.0, within, f"{len(flat)} kinds of members are too many to compare")
    return Mixing(_farthest(flat), within)


def _farthest(chances: Array) -> float:
    """1 less the least that two rows have in common."""
    least = 1.0
    for k in range(len(chances)):
        common = np.minimum(chances[k], chances[k:]).sum(1)
        least = min(least, float(common.min()))
    return min(1.0, max(0.0, 1.0 - least + SLACK) if least < 1.0 - SLACK else SLACK)


def lower_chances(copies: Copies, player: Player) -> Array:
    """Lower bounds of the chance of each next state over all laws, [states, actions, states].

    Raises:
        Unsupported: there are too many, or a next state depends on a law or on time.
    """
    noises = finite_moving(copies.nodes, player)
    states = [copies.types[s.type] for s in player.states]
    actions = [copies.types[a.type] for a in player.actions]
    sizes = [t.size for t in (*states, *actions)]
    after = prod(t.size for t in states)
    if prod(sizes) * after > MAX_NUMBERS or len(noises) < len(moving_noises(copies.nodes, player)):
        raise Unsupported(f"{prod(sizes) * after:,} chances")
    outcomes = prod(copies.types[n.type].size for n in noises)
    if outcomes > MAX_OUTCOMES:
        raise Unsupported(f"a law over {outcomes} outcomes")
    found = np.zeros((prod(sizes), after))
    axes = _axes(copies, player)
    for masses, nexts in _outcomes(copies, player, noises):
        evaluator = Evaluator(copies.facts, axes)
        chance = _lower(evaluator, masses, sizes)
        place = np.zeros(prod(sizes), dtype=np.int64)
        for type_, node in zip(states, nexts, strict=True):
            value = evaluator.value(node)
            if np.any(value.lo != value.hi):
                raise Unsupported("a next state that depends on a law or on time")
            exact = np.broadcast_to(value.lo, tuple(sizes)).reshape(-1)
            place = place * type_.size + exact.astype(np.int64) - type_.first
        np.add.at(found, (np.arange(len(place)), place), chance)
    return found.reshape(prod(t.size for t in states), -1, after)


def _lower(evaluator: Evaluator, masses: Sequence[int], sizes: Sequence[int]) -> Array:
    values = [evaluator.value(node) for node in masses]
    if not values:
        return np.ones(prod(sizes))
    whole = multiply(*values) if len(values) > 1 else values[0]
    return np.broadcast_to(np.maximum(whole.lo, 0.0), tuple(sizes)).reshape(-1)


def _axes(copies: Copies, player: Player) -> Mapping[int, int]:
    """Own states and actions, in order, as axes."""
    names = [("state", s.name) for s in player.states]
    names += [("action", a.name) for a in player.actions]
    found = {}
    for axis, (kind, name) in enumerate(names):
        leaf = leaf_of(copies.facts, player, name, kind)
        if leaf is None:
            type_ = next(v.type for v in (*player.states, *player.actions) if v.name == name)
            leaf = copies.add(kind, (), name, type_)
        found[leaf] = axis
    return found


def _outcomes(
    copies: Copies, player: Player, noises: Sequence[NoiseVariable]
) -> list[tuple[list[int], list[int]]]:
    """Chances and next states for each joint value of the noises."""
    leaves = [leaf_of(copies.facts, player, n.name) for n in noises]
    types = [copies.types[n.type] for n in noises]
    found = []
    for values in joint(*(range(t.first, t.first + t.size) for t in types)):
        instead = {
            leaf: copies.const(v, leaf)
            for leaf, v in zip(leaves, values, strict=True)
            if leaf is not None
        }
        masses = [copies.replaced(given(n.density), instead) for n in noises]
        nexts = [copies.replaced(given(s.next), instead) for s in player.states]
        found.append((masses, nexts))
    return found


def kernel_modulus(copies: Copies, player: Player) -> float:
    """K_mu, jointly over all noises where there are few outcomes, else noise by noise."""
    noises = finite_moving(copies.nodes, player)
    moving = [n for n in noises if reads_means(copies.facts, given(n.density), player.name)]
    if not moving:
        return 0.0
    try:
        kernels = [make_kernel(copies.facts, player, noises)]
    except Unsupported:
        kernels = [make_kernel(copies.facts, player, [n]) for n in moving]
    total = 0.0
    for kernel in kernels:
        problem = LawSlope(kernel.tape, player.name, kernel.outcomes)
        total += float(problem.bound(root_rows(kernel.tape)).max())
    return total
