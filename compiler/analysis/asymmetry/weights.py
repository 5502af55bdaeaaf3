"""Pairwise weights from files: the distance from anonymity as a half-sum, exactly.

R^i = r(s, a) + 1/K sum over others j of w[i, j] psi(s, a, x_j). The average game has one weight,
the mean w of all entries off the diagonal, in the place of all. Every x_j may be anything, so that
the largest of sum_j c_j psi(x_j) with c = w[i] - w is
(sum of positive c) max psi - (sum of negative |c|) min psi; of the l1 norm of several outputs it
is the largest such value over their signs. Source: design note "approximate symmetry", 3.1.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np

from mfdsl.compiler.analysis.asymmetry.averages import type_index
from mfdsl.compiler.analysis.asymmetry.degrees import degree, law_degree, means_reading
from mfdsl.compiler.analysis.asymmetry.outputs import Outputs, difference
from mfdsl.compiler.analysis.certificate import Witness
from mfdsl.compiler.analysis.slopes.domain import STILL, Space, members, spaces_of
from mfdsl.compiler.analysis.slopes.forward import Forward, Rows
from mfdsl.compiler.analysis.slopes.tape import Tape, Unsupported
from mfdsl.compiler.analysis.slopes.taping import make_tape
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.analysis.witness import member_text, place_witness
from mfdsl.compiler.ir.model import Model, Player
from mfdsl.compiler.ir.types import REAL
from mfdsl.compiler.ir.walk import depth_of, reachable

MOST_SIGNS = 10
TINY = 1e-12


@dataclass(frozen=True)
class Weighted:
    """Distances [players, 2] of each player, enclosed; their split, and half the signed range."""

    players: np.ndarray
    heterogeneity: np.ndarray
    anonymity: np.ndarray
    centred: np.ndarray | None
    witness: Witness


@dataclass(frozen=True)
class _Names:
    """How to call situations and members."""

    tape: Tape
    places: np.ndarray
    population: str
    space: Space

    def member(self, number: int) -> str:
        """A member by its values."""
        return member_text(self.tape, number, self.population, self.space)


def weighted(copies: Copies, model: Model, player: Player, outputs: Outputs) -> Weighted:
    """Distances where all that differs between players are their weights.

    Raises:
        Unsupported: not affine in one weighted mean, or the factor of the weights reads a law.
    """
    if len(outputs.roots) > MOST_SIGNS:
        raise Unsupported(f"weights in a law of {len(outputs.roots)} next states")
    means = sorted({m for r in outputs.roots for m in means_reading(copies.nodes, r, "weight")})
    name, itself = _check(copies, player, outputs, means)
    psi, witness_of = _factors(copies, player, outputs, means)
    array = next(w.array for w in player.weights if w.name == name)
    given = model.arrays[array]
    table = np.array(given.values).reshape(given.dims)
    return _half_sums(table, psi, itself, witness_of)


def _check(copies: Copies, player: Player, outputs: Outputs, means: list[int]) -> tuple[str, bool]:
    names, itself = set(), set()
    for mean in means:
        node = copies.nodes[mean]
        if node.op not in ("mean", "mean_others"):
            raise Unsupported("a conditional mean with weights")
        own = {
            i
            for i in reachable(copies.nodes, node.args)
            if copies.nodes[i].op == "weight" and depth_of(copies.nodes[i]) == depth_of(node)
        }
        if degree(copies.nodes, node.args[0], lambda i, own=own: i in own) > 1:  # type: ignore[misc]
            raise Unsupported("a mean that is not linear in its weights")
        names |= {str(copies.nodes[i].attr[2]) for i in own}  # type: ignore[index]
        itself.add(node.op == "mean")
    if len(names) != 1 or len(itself) != 1:
        raise Unsupported("several weights at once")
    marked = set(means)
    for root in outputs.roots:
        if degree(copies.nodes, root, lambda i: i in marked) > 1:
            raise Unsupported("not affine in a weighted mean")
    return names.pop(), itself.pop()


def _factors(
    copies: Copies, player: Player, outputs: Outputs, means: list[int]
) -> tuple[np.ndarray, _Names]:
    """Psi [situations, members, outputs] where the weights are 1, less where they are 0."""
    real = type_index(copies, REAL)
    roots = []
    for root in outputs.roots:
        versions = []
        for value in (1.0, 0.0):
            instead = {
                i: copies.add("const", (), value, real)
                for m in means
                for i in reachable(copies.nodes, [m])
                if copies.nodes[i].op == "weight"
            }
            versions.append(copies.replaced(root, instead))
        apart = difference(copies, versions[0], versions[1])
        if law_degree(copies.nodes, apart, player.name) > 1:
            raise Unsupported("the factor of the weights reads the law")
        roots.append(apart)
    tape = make_tape(copies.facts, roots)
    if any(c.statistic is None for c in tape.coordinates) or any(s.points for s in tape.statistics):
        raise Unsupported("weights between members that are not finite")
    spaces = spaces_of(tape)
    if set(spaces) != {player.name}:
        raise Unsupported("weights beside the law of another population")
    size = members(spaces[player.name])
    count = int(np.prod(tape.sizes)) if tape.sizes else 1
    places = np.stack(np.unravel_index(np.arange(count), tape.sizes or (1,)), -1)
    places = places[:, : len(tape.grid)]
    at = np.indices((count, size)).reshape(2, -1).T
    empty = np.zeros((len(at), len(tape.coordinates)))
    laws = {player.name: np.eye(size)[at[:, 1]]}
    forward = Forward(tape, Rows(places[at[:, 0]], empty, empty), STILL, laws, spaces)
    values = []
    for step in tape.roots:
        enclosed = forward.value(step)
        shape = (len(at), *(1,) * len(tape.inner))
        middle = np.broadcast_to((enclosed.lo + enclosed.hi) / 2, shape).reshape(count, size)
        values.append(middle)
    return np.stack(values, -1), _Names(tape, places, player.name, spaces[player.name])


def _half_sums(table: np.ndarray, psi: np.ndarray, itself: bool, names: _Names) -> Weighted:
    number = len(table)
    others = ~np.eye(number, dtype=bool)
    count = number if itself else number - 1
    mean = float(table[others].mean())
    own_mean = np.where(others, table, 0.0).sum(1) / (number - 1)
    self_gap = np.abs(np.diag(table) - np.diag(table).mean()) if itself else np.zeros(number)
    extra = self_gap / count * float(np.abs(psi).sum(-1).max())
    rounding = TINY * (1 + float(np.abs(table).sum(1).max()) * float(np.abs(psi).sum(-1).max()))

    def largest(centre: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
        """[players]: the largest l1 norm of 1/K sum of (w - centre) psi, and where."""
        away = np.where(others, table - centre[:, None], 0.0)
        up, down = np.maximum(away, 0).sum(1) / count, np.maximum(-away, 0).sum(1) / count
        best, where = np.full(number, -np.inf), np.zeros((number, 3), dtype=int)
        for signs in product((1.0, -1.0), repeat=psi.shape[-1]):
            signed = psi @ np.array(signs)
            top, bottom = signed.max(1), signed.min(1)
            value = up[:, None] * top - down[:, None] * bottom
            place = value.argmax(1)
            better = value.max(1) > best
            best = np.where(better, value.max(1), best)
            found = np.stack([place, signed.argmax(1)[place], signed.argmin(1)[place]], -1)
            where[better] = found[better]
        worst = int(best.argmax())
        return best, (worst, *(int(k) for k in where[worst]))

    total, at = largest(np.full(number, mean))
    apart, _ = largest(own_mean)
    unlike = np.abs(own_mean - mean) * (number - 1) / count * np.abs(psi).sum(-1).max()
    centred = None
    if psi.shape[-1] == 1:
        centred = _centred(table, psi[..., 0], others, mean, count) + extra
    enclosed = np.stack([np.maximum(total - extra - rounding, 0.0), total + extra + rounding], -1)
    return Weighted(enclosed, unlike + extra, apart, centred, _witness(names, at, total))


def _centred(
    table: np.ndarray, psi: np.ndarray, others: np.ndarray, mean: float, count: int
) -> np.ndarray:
    away = np.where(others, table - mean, 0.0)
    up, down = np.maximum(away, 0).sum(1) / count, np.maximum(-away, 0).sum(1) / count
    top = (up[:, None] * psi.max(1) - down[:, None] * psi.min(1)).max(1)
    bottom = (up[:, None] * psi.min(1) - down[:, None] * psi.max(1)).min(1)
    found: np.ndarray = 0.5 * (top - bottom)
    return found


def _witness(names: _Names, at: tuple[int, ...], total: np.ndarray) -> Witness:
    worst, place, most, least = at
    found: Witness = {"player": worst}
    found |= place_witness(names.tape, tuple(int(p) for p in names.places[place]))
    found["others with more weight"] = names.member(most)
    found["others with less weight"] = names.member(least)
    found["distance"] = float(total[worst])
    return found
