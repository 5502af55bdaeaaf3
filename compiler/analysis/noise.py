"""Noise in real next states: what a coupling with the same noise shows.

With the same noise on both sides the distance of the next states bounds the Wasserstein-1 distance
of their laws. Where noise is added to what varies, the laws are shifted and that is their distance;
elsewhere it is a bound from above only. A next state a + b xi, or one brought into bounds after,
moves by at most |change of a| + E|xi| |change of b| on average.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import nextafter, pi, prod, sqrt

from mfdsl.compiler.analysis.asymmetry.degrees import degree
from mfdsl.compiler.analysis.slopes.taping import Entry
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.ir.model import Node, NoiseVariable, Player
from mfdsl.compiler.ir.walk import reachable

NOISES = ("noise", "common_noise")
SIZES = {"normal": nextafter(sqrt(2 / pi), 1.0), "uniform": 0.5}  # E|xi| of standard laws

Reads = Callable[[int], bool]
"""Whether an expression depends on the source."""


def is_shift(nodes: Sequence[Node], root: int, reads: Reads) -> bool:
    """Whether an expression is a sum of parts that read the source or noise, but not both."""
    here = nodes[root]
    if not reads(root) or not reads_noise(nodes, root):
        return True
    if here.op == "add":
        return all(is_shift(nodes, part, reads) for part in here.args)
    return here.op == "neg" and is_shift(nodes, here.args[0], reads)


def reads_noise(nodes: Sequence[Node], root: int) -> bool:
    """Whether an expression reads a noise."""
    return any(nodes[i].op in NOISES for i in reachable(nodes, [root]))


def unclipped(nodes: Sequence[Node], root: int) -> int:
    """What is brought between bounds that read neither states nor laws nor noise."""
    here = nodes[root]
    if here.op in ("min", "max"):
        open_ = [a for a in here.args if not _is_constant(nodes, a)]
        if len(open_) == 1:
            return unclipped(nodes, open_[0])
    return root


def _is_constant(nodes: Sequence[Node], root: int) -> bool:
    return all(
        nodes[i].args or nodes[i].op in ("const", "param", "array", "index")
        for i in reachable(nodes, [root])
    )


def scales(
    copies: Copies, player: Player, roots: Sequence[Entry], reads: Reads
) -> tuple[list[Entry], list[tuple[float, list[Entry]]]] | None:
    """The part of some next states without unbounded noise, and E|xi| with the factors of each
    entry xi of such a noise that the source moves; None where they are not affine in it.
    """
    still = [(unclipped(copies.nodes, node), entry) for node, entry in roots]
    factors: list[tuple[float, list[Entry]]] = []
    for noise in player.noises:
        leaf = _leaf(copies, player, noise)
        law = noise.law[0] if noise.law else None
        if leaf is None or law not in SIZES:
            continue
        dims = copies.types[copies.nodes[leaf].type].dims
        if len(dims) > 1 or any(_degree(copies.nodes, node, leaf) > 1 for node, _ in still):
            return None
        zero = _unit(copies, leaf, None)
        for k in range(prod(dims)):
            one = _unit(copies, leaf, k)
            parts: list[Entry] = []
            for node, entry in still:
                ends = [copies.replaced(node, {leaf: value}) for value in (one, zero)]
                factor = copies.less(*ends)
                if reads(node) and ends[0] != ends[1]:
                    parts.append((factor, entry))
            if parts:
                factors.append((SIZES[law], parts))
        still = [(copies.replaced(node, {leaf: zero}), entry) for node, entry in still]
    return still, factors


def _degree(nodes: Sequence[Node], root: int, leaf: int) -> float:
    return degree(nodes, root, lambda i: i == leaf)


def _leaf(copies: Copies, player: Player, noise: NoiseVariable) -> int | None:
    """The leaf of a noise: others of its name have types of their own."""
    attr = noise.name if player.kind == "population" else (player.name, noise.name)
    alike = (i for i, n in enumerate(copies.nodes) if n.op in NOISES and n.attr == attr)
    kind = copies.types[noise.type]
    return next((i for i in alike if copies.types[copies.nodes[i].type] == kind), None)


def _unit(copies: Copies, leaf: int, place: int | None) -> int:
    """A noise that is 0, but 1 at one place."""
    type_ = copies.types[copies.nodes[leaf].type]
    kind = copies.type_place(type_.scalar.model_copy(update={"lo": None, "hi": None}))
    numbers = [
        copies.add("const", (), 1.0 if k == place else 0.0, kind) for k in range(prod(type_.dims))
    ]
    if not type_.dims:
        return numbers[0]
    return copies.add("vector", tuple(numbers), None, copies.nodes[leaf].type)
