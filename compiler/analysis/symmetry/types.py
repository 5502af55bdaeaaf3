"""Exchangeable types of players with pairwise couplings.

Players i and j are exchangeable when the transposition (i j) is a symmetry: then
(i k) = (i j)(j k)(i j) makes it an equivalence, and every permutation inside the classes is a
symmetry, so that each class is a population. Being moved onto each other by some automorphism (the
orbits) is less: all players of a ring are alike, but no two can be swapped.

The transposition test is that for twins: w[i, k] = w[j, k] and w[k, i] = w[k, j] for all other k,
w[i, j] = w[j, i], w[i, i] = w[j, j], and equal parameters. With c = w[i, j] it says that rows
and columns i and j are equal once their diagonal entries are replaced by c; a class has one c.
So it is enough to hash every row and column with each value that occurs in the row, and to compare
within equal hashes: O(N^2) operations.
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mfdsl.compiler.analysis.symmetry.orbits import Codes, hashed, orbits

if TYPE_CHECKING:
    import networkx

Classes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Types:
    """The exchangeable classes of players, largest first, beside what automorphisms allow.

    `colours` is the number of classes of colour refinement: every orbit lies inside one of them, so
    there are at least as many orbits. `orbits` is None when the search for them was given up.
    """

    classes: Classes
    colours: int
    orbits: int | None

    @property
    def sizes(self) -> tuple[int, ...]:
        """The numbers of players of the classes."""
        return tuple(len(members) for members in self.classes)


def exchangeable_types(
    weights: NDArray[Any], parameters: Sequence[Hashable] | None = None
) -> Types:
    """The types of players coupled by weights [N, N] or several [N, N, L]; row i is what i reads.

    `parameters` are the players' own coefficients. Entries are compared exactly.

    Raises:
        ValueError: the weights are not square or hold nan, or a player has no parameters.
    """
    codes = coded(weights, parameters)
    classes = transposition_classes(codes)
    found = orbits(codes, classes)
    return Types(classes, found.colours, found.count)


def graph_types(graph: "networkx.Graph[Any]", weight: str = "weight") -> Types:
    """The types of the nodes of a networkx graph, in its order; links without weight count 1.

    All attributes of a node are its parameters.

    Raises:
        ValueError: the graph has several links between two nodes.
    """
    import networkx

    if graph.is_multigraph():
        raise ValueError("several links between two nodes are not one weight: add them up first")
    nodes = list(graph.nodes)
    matrix = networkx.to_numpy_array(graph, nodelist=nodes, weight=weight)
    return exchangeable_types(matrix, [tuple(sorted(graph.nodes[n].items())) for n in nodes])


def coded(weights: NDArray[Any], parameters: Sequence[Hashable] | None = None) -> Codes:
    """Equal weights as equal integers [N, N], the parameters within the diagonal entries.

    Raises:
        ValueError: the weights are not square or hold nan, or a player has no parameters.
    """
    layers = np.asarray(weights, dtype=float)
    layers = layers[..., None] if layers.ndim == 2 else layers
    if layers.ndim != 3 or layers.shape[0] != layers.shape[1] or not len(layers):
        raise ValueError(f"weights between N players are N by N, not {np.shape(weights)}")
    if np.isnan(layers).any():
        raise ValueError("weights are numbers, some are nan")
    count = len(layers)
    own: Sequence[Hashable] = [()] * count if parameters is None else parameters
    if len(own) != count:
        raise ValueError(f"{len(own)} parameters for {count} players")
    codes = np.zeros((count, count), dtype=np.int64)
    for layer in np.moveaxis(layers, -1, 0):
        codes = _joined(codes, np.unique(layer, return_inverse=True)[1].reshape(count, count))
    numbers: dict[Hashable, int] = {}
    kinds = np.array([numbers.setdefault(value, len(numbers)) for value in own])
    diagonal = _joined(np.diagonal(codes), kinds)
    np.fill_diagonal(codes, codes.max() + 1 + diagonal)
    return codes


def transposition_classes(codes: Codes) -> Classes:
    """The exchangeable classes of a matrix of codes, largest first, then by their first member."""
    parent = list(range(len(codes)))
    for value, members in _candidates(codes):
        heads: list[int] = []
        for member in members:
            twin = next((h for h in heads if _twins(codes, h, member, value)), None)
            if twin is None:
                heads.append(member)
            else:
                parent[_top(parent, member)] = _top(parent, twin)
    classes = defaultdict(list)
    for player in range(len(codes)):
        classes[_top(parent, player)].append(player)
    return tuple(sorted((tuple(c) for c in classes.values()), key=lambda c: (-len(c), c[0])))


def exchangeable(codes: Codes, i: int, j: int) -> bool:
    """Whether the transposition (i j) is a symmetry, by trying it."""
    order = np.arange(len(codes))
    order[[i, j]] = order[[j, i]]
    return bool(np.array_equal(codes[np.ix_(order, order)], codes))


def advice(types: Types) -> tuple[str, ...]:
    """What the types suggest, in a line or two."""
    players, count = sum(types.sizes), len(types.classes)
    if count == 1:
        return (f"all {players} players are exchangeable: compile as one population",)
    if count < players:
        shown = ", ".join(map(str, types.sizes[:8])) + (", ..." if count > 8 else "")
        lines = [f"{count} exchangeable types ({shown}): compile as a {count}-population game"]
        if types.orbits is not None and types.orbits < count:
            lines.append(
                "automorphisms exchange whole types: some of the populations have the same rules"
            )
        return tuple(lines)
    if types.orbits == 1:
        return ("vertex-transitive but not exchangeable: a graphon or long-range model",)
    if types.orbits is None and types.colours == 1:
        return ("regular but not exchangeable: perhaps a graphon or long-range model",)
    return ("no two players are exchangeable: see how far the game is from a symmetric one",)


def _joined(first: Codes, second: Codes) -> Codes:
    """Equal pairs of codes as equal codes from 0."""
    pairs = first * (second.max() + 1) + second
    return np.unique(pairs, return_inverse=True)[1].reshape(first.shape).astype(np.int64)


def _candidates(codes: Codes) -> list[tuple[int, list[int]]]:
    """Groups of players with equal own codes whose rows and columns may be equal with a value on
    the diagonal.

    A row is hashed as the sum of a hash of each (place, code), so that replacing the diagonal is
    one addition.
    """
    places = np.arange(len(codes))
    out, into = hashed(places, codes), hashed(places, codes.T)
    np.fill_diagonal(out, 0)
    np.fill_diagonal(into, 0)
    rows, columns = out.sum(1), into.sum(1)
    groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for i in _repeated(codes):
        values = np.unique(np.delete(codes[i], i))
        added = hashed(places[i : i + 1], values)
        kind, row, column = int(codes[i, i]), rows[i] + added, columns[i] + added
        for value, a, b in zip(values.tolist(), row.tolist(), column.tolist(), strict=True):
            groups[value, kind, a, b].append(i)
    return [(key[0], members) for key, members in groups.items() if len(members) > 1]


def _repeated(codes: Codes) -> list[int]:
    """Players whose own code and whose row without its order occur more than once, as for twins."""
    mixed = hashed(np.zeros_like(codes), codes)
    kinds = np.stack([np.diagonal(codes).astype(np.uint64), mixed.sum(1)], 1)
    _, place, count = np.unique(kinds, axis=0, return_inverse=True, return_counts=True)
    return [int(i) for i in np.flatnonzero(count[place.reshape(-1)] > 1)]


def _twins(codes: Codes, i: int, j: int, value: int) -> bool:
    """Whether rows and columns i and j are equal with `value` on their diagonal."""
    if codes[i, j] != value or codes[j, i] != value:
        return False
    others = np.ones(len(codes), dtype=bool)
    others[[i, j]] = False
    same_rows = np.array_equal(codes[i, others], codes[j, others])
    return same_rows and np.array_equal(codes[others, i], codes[others, j])


def _top(parent: list[int], player: int) -> int:
    while parent[player] != player:
        parent[player] = parent[parent[player]]
        player = parent[player]
    return player
