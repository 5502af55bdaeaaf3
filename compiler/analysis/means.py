"""Means of next states over their noises, as expressions.

The Wasserstein-1 distance of two laws is at least the distance of their means, since every
coordinate is 1-Lipschitz. So a jump of the mean is one of the law, and a slope of the mean one that
the law has at least. Finite noises are summed out with their masses; of the others a next state has
to be affine, once cuts that no value meets are left out, so that their means stand for them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import prod

import numpy as np

from mfdsl.compiler.analysis.enclosure import Evaluator, Facts
from mfdsl.compiler.analysis.kernels import branches_of, finite_noises, leaf_of
from mfdsl.compiler.analysis.linear import Ends, ends_of
from mfdsl.compiler.analysis.noise import NOISES, reads_noise
from mfdsl.compiler.analysis.slopes.taping import Entry
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.ir.model import Node, NoiseVariable, Player
from mfdsl.compiler.ir.types import REAL
from mfdsl.compiler.ir.walk import reachable

LINEAR = ("add", "neg", "vector", "if")  # a condition that reads a noise is not linear itself
MEANS: dict[str, Callable[..., float]] = {
    "uniform": lambda: 0.5,
    "normal": lambda: 0.0,
    "exponential": lambda: 1.0,
    "gamma": lambda shape: shape,
}


def mean_roots(facts: Facts, player: Player) -> tuple[Copies, list[Entry]]:
    """The entries of the means of the next states that are real and on no ring, where these are
    known as expressions: not where chances read other noises.

    Raises:
        Unsupported: there are too many outcomes of finite noises.
    """
    found = branches_of(facts, player, finite_noises(player))
    copies, roots = found.copies, []
    if any(reads_noise(copies.nodes, weight) for weight in found.weights):
        return copies, []  # such a chance and what happens then go together
    noises = standard_noises(copies, [player])
    for k, state in enumerate(player.states):
        type_ = facts.types[state.type]
        if type_.finite or type_.periodic:
            continue
        parts = [affine_mean(copies, row[k], noises) for row in found.nexts]
        if None not in parts:
            mean = _mixed(copies, found.weights, [p for p in parts if p is not None])
            roots += [(mean, entry) for entry in np.ndindex(*type_.dims)]
    return copies, roots


def finite_mean(facts: Facts, player: Player, name: str) -> tuple[Copies, list[Entry]]:
    """The mean of a next state with finitely many values over its finite noises, none where it
    reads other noises. Its law jumps where this does, since that is a sum over masses.

    Raises:
        Unsupported: there are too many outcomes of finite noises.
    """
    found = branches_of(facts, player, finite_noises(player))
    copies, place = found.copies, [s.name for s in player.states].index(name)
    parts = [_number(copies, row[place]) for row in found.nexts]
    if any(reads_noise(copies.nodes, node) for node in (*found.weights, *parts)):
        return copies, []
    mean = _mixed(copies, found.weights, parts)
    dims = facts.types[player.states[place].type].dims
    return copies, [(mean, entry) for entry in np.ndindex(*dims)]


def _number(copies: Copies, node: int) -> int:
    """A truth as 0 or 1, any other value as it is."""
    if copies.types[copies.nodes[node].type].kind != "bool":
        return node
    return copies.add("ind", (node,), None, copies.type_place(REAL))


@dataclass(frozen=True)
class Noises:
    """The noises that have no masses, by their leaves: their means, and which lie in [0, 1)."""

    means: Mapping[int, int]
    units: frozenset[int]


def standard_noises(copies: Copies, players: Sequence[Player]) -> Noises:
    """The noises of some players with standard laws."""
    means, units = {}, set()
    for player in players:
        for noise in player.noises:
            leaf, mean = leaf_of(copies.facts, player, noise.name), _mean_of(noise)
            if leaf is not None and mean is not None:
                means[leaf] = _filled(copies, leaf, mean)
                units |= {leaf} if noise.law == ("uniform",) else set()
    return Noises(means, frozenset(units))


def _mean_of(noise: NoiseVariable) -> float | None:
    if noise.law is None or noise.law[0] not in MEANS:
        return None
    return MEANS[str(noise.law[0])](*noise.law[1:])


def _filled(copies: Copies, leaf: int, value: float) -> int:
    """An array of the shape of a leaf whose entries are all equal."""
    type_ = copies.types[copies.nodes[leaf].type]
    kind = copies.type_place(type_.scalar.model_copy(update={"lo": None, "hi": None}))
    number = copies.add("const", (), value, kind)
    for k in reversed(range(len(type_.dims))):
        kind = copies.type_place(
            copies.types[kind].model_copy(update={"dims": type_.dims[k:], "box": None})
        )
        number = copies.add("vector", (number,) * type_.dims[k], None, kind)
    return number


def _mixed(copies: Copies, weights: Sequence[int], parts: Sequence[int]) -> int:
    """The mean over outcomes; those with the same value have their masses together."""
    together: dict[int, list[int]] = {}
    for weight, part in zip(weights, parts, strict=True):
        together.setdefault(part, []).append(weight)
    if len(together) == 1:
        return parts[0]
    kind = copies.nodes[parts[0]].type
    return copies.total(
        [copies.add("mul", (copies.total(ws), part), None, kind) for part, ws in together.items()]
    )


def affine_mean(copies: Copies, root: int, noises: Noises) -> int | None:
    """An expression with its noises at their means, None where it is not affine in them."""
    evaluator = Evaluator(copies.facts, {})
    known: dict[int, int] = {}
    for i in reachable(copies.nodes, [root]):
        node = copies.nodes[i]
        noisy = [reads_noise(copies.nodes, a) for a in node.args]
        if node.op in NOISES:
            if i not in noises.means:
                return None
            known[i] = noises.means[i]
            continue
        if not any(noisy):
            known[i] = i
            continue
        if node.op in ("min", "max"):
            kept = _winner(copies.nodes, evaluator, noises, node)
            if kept is None:
                return None
            known[i] = known[kept]
            continue
        first = node.op in ("element", "div") and not any(noisy[1:])
        factor = node.op == "mul" and sum(noisy) == 1
        if not (node.op in LINEAR or first or factor):
            return None
        known[i] = copies.add(node.op, tuple(known[a] for a in node.args), node.attr, node.type)
    return known[root]


def _winner(nodes: Sequence[Node], evaluator: Evaluator, noises: Noises, node: Node) -> int | None:
    """The argument that a minimum or a maximum has always, None where none was shown to be it."""
    up = node.op == "min"
    ends = [_ends(nodes, evaluator, noises, a) for a in node.args]
    for k, mine in enumerate(ends):
        others = [e for j, e in enumerate(ends) if j != k]
        if mine is not None and all(
            other is not None and (mine[1] <= other[0] if up else mine[0] >= other[1])
            for other in others
        ):
            return node.args[k]
    return None


def _ends(nodes: Sequence[Node], evaluator: Evaluator, noises: Noises, root: int) -> Ends | None:
    """Bounds of all entries of an expression: exact where a standard uniform noise is stretched,
    so that its own ends do not count as outside by their rounding.
    """
    exact = _stretched(nodes, noises, root)
    if exact is not None:
        return exact
    value = evaluator.value(root)
    lo, hi = float(np.min(value.lo)), float(np.max(value.hi))
    return (Fraction(lo), Fraction(hi)) if np.isfinite([lo, hi]).all() else None


def _stretched(nodes: Sequence[Node], noises: Noises, root: int) -> Ends | None:
    """The ends of a sum of constants and multiples of uniform noises, as if each were its own."""
    node = nodes[root]
    if node.op == "const" and isinstance(node.attr, int | float):
        return ends_of(node.attr)
    if root in noises.units:
        return Fraction(0), Fraction(1)
    if node.op not in ("add", "mul", "neg"):
        return None
    parts = [_stretched(nodes, noises, a) for a in node.args]
    ends = [p for p in parts if p is not None]
    if len(ends) < len(parts):
        return None
    if node.op == "neg":
        return -ends[0][1], -ends[0][0]
    if node.op == "add":
        return sum((e[0] for e in ends), Fraction(0)), sum((e[1] for e in ends), Fraction(0))
    wide = [e for e in ends if e[0] < e[1]]
    if len(wide) > 1:
        return None
    factor = prod((e[0] for e in ends if e[0] == e[1]), start=Fraction(1))
    lo, hi = wide[0] if wide else (Fraction(1), Fraction(1))
    return min(lo * factor, hi * factor), max(lo * factor, hi * factor)
