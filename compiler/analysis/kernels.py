"""Transition laws as expressions: masses of joint outcomes of the noises of one player."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np

from mfdsl.compiler.analysis.enclosure import Evaluator, Facts, leaves_of
from mfdsl.compiler.analysis.noise import reads_noise
from mfdsl.compiler.analysis.slopes.tape import Tape, Unsupported
from mfdsl.compiler.analysis.slopes.taping import make_tape
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.ir.model import Node, NoiseVariable, Player, Variable
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


def finite_noises(player: Player) -> list[NoiseVariable]:
    """The noises of a player that have a mass for each value."""
    return [n for n in player.noises if n.density is not None]


def moving_noises(nodes: Sequence[Node], player: Player) -> list[NoiseVariable]:
    """The noises that next states of a player may depend on, directly or by chances of others.

    What a population draws for its rewards alone moves nobody. Noises of majors and environments
    are all kept, since others may read them, and so are all where members' noises are read.
    """
    if player.kind != "population":
        return list(player.noises)
    known = {n.name: n for n in player.noises}
    read: set[str] = set()
    open_ = [given(s.next) for s in player.states]
    while open_:
        below = [nodes[i] for i in reachable(nodes, open_)]
        if any(n.op == "peer_noise" for n in below):
            return list(player.noises)
        found = {str(n.attr) for n in below if n.op == "noise"} - read
        read |= found
        open_ = [d for name in found if (d := known[name].density) is not None]
    return [n for n in player.noises if n.name in read]


def finite_moving(nodes: Sequence[Node], player: Player) -> list[NoiseVariable]:
    """The noises that have a mass for each value and that next states may depend on."""
    return [n for n in moving_noises(nodes, player) if n.density is not None]


def leaf_of(facts: Facts, player: Player, name: str, kind: str = "noise") -> int | None:
    """The leaf node of an own variable of a player, if it is read anywhere.

    Populations may have variables of the same name: these are one leaf where their types agree.
    """
    op, attr = (
        (kind, name) if player.kind == "population" else (f"common_{kind}", (player.name, name))
    )
    groups: Mapping[str, Sequence[Variable]] = {
        "state": player.states,
        "trait": player.traits,
        "action": player.actions,
        "noise": player.noises,
        "draw": player.draws,
    }
    types = [facts.types[v.type] for v in groups[kind] if v.name == name]
    for i, node in enumerate(facts.nodes):
        if node.op == op and node.attr == attr and facts.types[node.type] in types:
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

    @property
    def mixed(self) -> bool:
        """Whether the law is a mixture over noises that are held fixed: bounds from above hold for
        it, bounds from below and jumps do not, since what noises do may even out.
        """
        nodes = [*self.weights, *(node for row in self.nexts for node in row)]
        return any(reads_noise(self.copies.nodes, node) for node in nodes)


def branches_of(facts: Facts, player: Player, wanted: Sequence[NoiseVariable]) -> Branches:
    """The joint outcomes of some noises of a player.

    Raises:
        Unsupported: there are too many.
    """
    copies = Copies(facts)
    weights, nexts = [], []
    for instead, weight in outcomes_of(
        copies, [(leaf_of(facts, player, n.name), n) for n in wanted]
    ):
        weights.append(weight)
        nexts.append([copies.replaced(given(s.next), instead) for s in player.states])
    return Branches(copies, weights, nexts)


def outcomes_of(
    copies: Copies, noises: Sequence[tuple[int | None, NoiseVariable]]
) -> Iterator[tuple[dict[int, int], int]]:
    """The joint outcomes of some finite noises at their leaves: values, and the node of the mass.

    Raises:
        Unsupported: there are too many.
    """
    types = copies.types
    sizes = [types[n.type].size for _, n in noises]
    if prod(sizes) > MAX_OUTCOMES:
        raise Unsupported(f"a law over {prod(sizes)} outcomes")
    for values in product(*(range(size) for size in sizes)):
        instead = {
            leaf: copies.const(types[n.type].first + value, leaf)
            for (leaf, n), value in zip(noises, values, strict=True)
            if leaf is not None
        }
        masses = [copies.replaced(given(n.density), instead) for _, n in noises]
        yield instead, copies.product(masses)


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
    exact = outcomes is not None and not found.mixed
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
