"""Transition laws as expressions: masses of joint outcomes of the noises of one player."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np

from mfdsl.compiler.analysis.enclosure import Evaluator, Facts, leaves_of
from mfdsl.compiler.analysis.slopes.tape import Tape, Unsupported
from mfdsl.compiler.analysis.slopes.taping import make_tape
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.ir.model import NoiseVariable, Player
from mfdsl.compiler.ir.walk import MEMBERS, given, reachable

MAX_OUTCOMES = 64


@dataclass(frozen=True)
class Kernel:
    """Masses of outcomes, one root of the tape each; `outcomes` [grid, roots] numbers next states.

    Equal numbers at one grid point are the same next state. Where it is not `exact` some next
    states are told apart that may be the same, or noises held fixed: bounds from above stay bounds.
    """

    tape: Tape
    outcomes: np.ndarray
    exact: bool


def finite_noises(facts: Facts, player: Player) -> list[NoiseVariable]:
    """The noises of a player that have a mass for each value."""
    return [n for n in player.noises if n.density is not None]


def leaf_of(facts: Facts, player: Player, name: str, kind: str = "noise") -> int | None:
    """The leaf node of an own variable of a player, if it is read anywhere."""
    op, attr = (
        (kind, name) if player.kind == "population" else (f"common_{kind}", (player.name, name))
    )
    for i, node in enumerate(facts.nodes):
        if node.op == op and node.attr == attr:
            return i
    return None


def reads_means(facts: Facts, root: int, population: str) -> bool:
    """Whether an expression reads the law of a population."""
    below = (facts.nodes[i] for i in reachable(facts.nodes, [root]))
    attrs = (node.attr for node in below if node.op in MEMBERS)
    return any(isinstance(attr, tuple) and attr[1] == population for attr in attrs)


@dataclass(frozen=True)
class Branches:
    """Joint outcomes of noises as expressions: the mass of each, and the next states after it."""

    copies: Copies
    weights: list[int]
    nexts: list[list[int]]


def branches_of(facts: Facts, player: Player, wanted: Sequence[NoiseVariable]) -> Branches:
    """The joint outcomes of some noises of a player.

    Raises:
        Unsupported: there are too many.
    """
    sizes = [facts.types[n.type].size for n in wanted]
    if prod(sizes) > MAX_OUTCOMES:
        raise Unsupported(f"a law over {prod(sizes)} outcomes")
    copies = Copies(facts)
    leaves = [leaf_of(facts, player, n.name) for n in wanted]
    weights, nexts = [], []
    for values in product(*(range(size) for size in sizes)):
        instead = {
            leaf: copies.const(facts.types[n.type].first + value, leaf)
            for n, leaf, value in zip(wanted, leaves, values, strict=True)
            if leaf is not None
        }
        masses = [copies.replaced(given(n.density), instead) for n in wanted]
        weights.append(copies.product(masses))
        nexts.append([copies.replaced(given(s.next), instead) for s in player.states])
    return Branches(copies, weights, nexts)


def make_kernel(
    facts: Facts,
    player: Player,
    wanted: Sequence[NoiseVariable],
    free: Mapping[str, tuple[float, float]] | None = None,
) -> Kernel:
    """The law of the next states of a player as masses of the joint outcomes of `wanted` noises.

    Parameters in `free` range over these intervals. Other noises are held fixed, each value a point
    of the grid: a law is a mixture over them.

    Raises:
        Unsupported: there are too many outcomes, or a next state depends on a law directly.
    """
    found = branches_of(facts, player, wanted)
    also = [node for row in found.nexts for node in row]
    tape = make_tape(found.copies.facts, found.weights, free, also)
    outcomes = numbers_of(tape, found.nexts)
    exact = outcomes is not None and len(wanted) == len(finite_noises(facts, player))
    if outcomes is None:
        outcomes = different(tape, len(found.nexts))
    return Kernel(tape, outcomes, exact)


def different(tape: Tape, count: int) -> np.ndarray:
    """Numbers of next states [grid, outcomes] that are all taken for different ones."""
    grid = int(np.prod(tape.sizes)) if tape.sizes else 1
    return np.tile(np.arange(count), (grid, 1))


def numbers_of(tape: Tape, nexts: Sequence[Sequence[int]]) -> np.ndarray | None:
    """Numbers of the next states at each grid point, for each outcome; None if not known there."""
    count = int(np.prod(tape.sizes)) if tape.sizes else 1
    nodes = tape.facts.nodes
    roots = [node for row in nexts for node in row]
    below = (nodes[i] for i in reachable(nodes, roots))
    moved = any(n.op == "param" and str(n.attr) in tape.free for n in below)
    axes = set(tape.grid)
    inside = {
        leaf
        for row in nexts
        for node in row
        for leaf in leaves_of(tape.facts.nodes, [node])
        if leaf not in axes
    }
    if inside or moved:
        return None
    evaluator = Evaluator(tape.facts, {leaf: k for k, leaf in enumerate(tape.grid)})
    columns = []
    for row in nexts:
        flat = [_flat(evaluator, node, tape.sizes) for node in row]
        columns.append(np.stack(flat, -1) if flat else np.zeros((count, 0)))
    values = np.stack(columns, 1)  # [grid, outcomes, variables]
    numbers = np.zeros(values.shape[:2], dtype=np.int64)
    for k in range(values.shape[1]):
        same = (values[:, : k + 1] == values[:, k : k + 1]).all(-1)
        numbers[:, k] = same.argmax(1)
    return numbers


def _flat(evaluator: Evaluator, node: int, sizes: tuple[int, ...]) -> np.ndarray:
    value = evaluator.value(node)
    if np.any(value.lo != value.hi):
        raise Unsupported("a next state that depends on a law")
    return np.broadcast_to(value.lo, sizes if sizes else (1,)).reshape(-1)
