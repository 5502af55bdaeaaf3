"""Two flows that show rewards not to be monotone on flows, or a proof over all stages together."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import numpy as np

from mfdsl.compiler.analysis.certificate import Witness
from mfdsl.compiler.analysis.counted import late
from mfdsl.compiler.analysis.structure.chains import Chain
from mfdsl.compiler.analysis.structure.flows import Cell, Stage, Weights, evenly, flow_of, sequences
from mfdsl.compiler.analysis.structure.jacobian import constant_slopes
from mfdsl.compiler.analysis.structure.masses import InMasses, Kind
from mfdsl.compiler.analysis.structure.matrices import sign_of
from mfdsl.compiler.analysis.structure.refute import Rewards, inner_product, law_text
from mfdsl.compiler.analysis.structure.spans import add_to
from mfdsl.compiler.analysis.symbolic import decimals
from mfdsl.compiler.analysis.symbolic.decimals import Range, UndefinedError
from mfdsl.compiler.analysis.symbolic.evaluation import Key, Law
from mfdsl.compiler.analysis.symbolic.terms import UnsupportedError

MAX_EXACT = 40  # moves of mass whose quadratic form is eliminated in fractions
MAX_MOVES = 400  # of which an eigenvector is looked for
POLICIES = 12
SHARES = (Fraction(1), Fraction(1, 16))
DIGITS = 10**4

Masses = dict[Cell, Fraction]
Flow = list[dict[str, Masses]]  # by stage and population


@dataclass(frozen=True)
class Asked:
    """A game on flows: chains and stages by population, and what is paid at each stage.

    `slopes(t)` are the rewards of stage t in masses, None without any that read a law; `rewards(t)`
    the same for evaluation at laws. `discount` is per stage.
    """

    chains: Mapping[str, Chain]
    stages: Mapping[str, Sequence[Stage]]
    discount: Fraction
    slopes: Callable[[int], InMasses | None]
    rewards: Callable[[int], Rewards | None]
    deadline: float

    @property
    def count(self) -> int:
        """Stages, the one after the last decision among them."""
        return len(next(iter(self.stages.values())))


@dataclass(frozen=True)
class Rising:
    """Two flows whose inner product, enclosed, is above 0."""

    witness: Witness
    product: Range


def together(asked: Asked) -> Rising | bool | None:
    """Whether the quadratic form of all stages together is at most 0 on differences of flows.

    For slopes that are the same at all laws. Two flows where it is not; None where that is open.

    Raises:
        UnsupportedError, TooLargeError, TooManyNodes, UndefinedError: slopes are not known.
    """
    moves = [(name, row) for name, stages in asked.stages.items() for row in sequences(stages)]
    if len(moves) > MAX_MOVES:
        return None
    matrices, vectors = [], []
    for t in range(asked.count):
        game = asked.slopes(t)
        matrix = constant_slopes(game) if game is not None else None
        if game is not None and (matrix is None or not matrix.exact):
            return None
        if game is None or matrix is None:
            continue
        weight = asked.discount**t
        rows = [over_kinds(asked.chains, game.kinds, {name: row[t]}) for name, row in moves]
        vectors.append(rows)
        matrices.append([[weight * v for v in row] for row in matrix.lo])
        if late(asked.deadline):
            return None
    if len(moves) <= MAX_EXACT:
        sign = sign_of(_form(matrices, vectors, len(moves)))
        if sign.sign != "indefinite":
            return True
        direction = sign.direction
    else:
        direction = _steepest(matrices, vectors, len(moves))
    if direction is None:
        return None
    return _along(asked, moves, direction, matrices, vectors)


def over_kinds(
    chains: Mapping[str, Chain], kinds: Sequence[Kind], laws: Mapping[str, Mapping[Cell, Fraction]]
) -> dict[int, Fraction]:
    """Vectors over cells as one over kinds of members.

    Raises:
        UnsupportedError: a cell is of no kind, since a final reward reads actions.
    """
    place = {(k.population, k.values): number for number, k in enumerate(kinds)}
    found: dict[int, Fraction] = {}
    for name, law in laws.items():
        read = next((k.values for k in kinds if k.population == name), None)
        if read is None:
            continue
        for (s, a), mass in law.items():
            own = chains[name].own(s, a)
            values = tuple((variable, own[variable]) for variable, _ in read)
            if (name, values) not in place:
                raise UnsupportedError("a final reward that reads actions")
            add_to(found, {place[name, values]: mass}, Fraction(1))
    return found


Matrices = Sequence[Sequence[Sequence[Fraction]]]
Vectors = Sequence[Sequence[Mapping[int, Fraction]]]


def _form(matrices: Matrices, vectors: Vectors, count: int) -> list[list[Fraction]]:
    """The sum over stages of the symmetric forms, moves by moves."""
    found = [[Fraction(0)] * count for _ in range(count)]
    for matrix, rows in zip(matrices, vectors, strict=True):
        for i, one in enumerate(rows):
            for j, other in enumerate(rows[: i + 1]):
                for k, a in one.items():
                    for m, b in other.items():
                        found[i][j] += a * b * (matrix[k][m] + matrix[m][k]) / 2
    for i in range(count):
        for j in range(i):
            found[j][i] = found[i][j]
    return found


def _steepest(matrices: Matrices, vectors: Vectors, count: int) -> tuple[float, ...] | None:
    """An eigenvector of the largest eigenvalue in floating point, None if that is not above 0."""
    whole = np.zeros((count, count))
    for matrix, rows in zip(matrices, vectors, strict=True):
        dense = np.zeros((count, len(matrix)))
        for i, row in enumerate(rows):
            for k, v in row.items():
                dense[i, k] = float(v)
        slopes = np.array(matrix, dtype=np.float64)
        whole += dense @ (slopes + slopes.T) @ dense.T / 2
    values, columns = np.linalg.eigh(whole)
    return tuple(columns[:, -1].tolist()) if len(values) and values[-1] > 1e-12 else None


def _along(
    asked: Asked,
    moves: Sequence[tuple[str, Sequence[Masses]]],
    direction: Sequence[float],
    matrices: Matrices,
    vectors: Vectors,
) -> Rising | None:
    """The even flow and one a step along a direction, if the form is above 0 there."""
    scale = max(abs(c) for c in direction)
    shares = [Fraction(c / scale).limit_denominator(DIGITS) for c in direction]
    value = Fraction(0)
    for matrix, rows in zip(matrices, vectors, strict=True):
        whole: dict[int, Fraction] = {}
        for share, vector in zip(shares, rows, strict=True):
            add_to(whole, vector, share)
        pairs = ((k, a, m, b) for k, a in whole.items() for m, b in whole.items())
        value += sum((a * b * matrix[k][m] for k, a, m, b in pairs), Fraction(0))
    if value <= 0:
        return None
    moved: Flow = [{name: {} for name in asked.chains} for _ in range(asked.count)]
    for share, (name, row) in zip(shares, moves, strict=True):
        for laws, cells in zip(moved, row, strict=True):
            add_to(laws[name], cells, share)
    base = _flows(asked, evenly)
    length = _room(base, moved)
    for there, here in zip(moved, base, strict=True):
        for name, law in there.items():
            for cell in law:
                law[cell] *= length
            add_to(law, here[name], Fraction(1))
    product = decimals.enclosed(value * length * length)
    return Rising(_witness(asked, moved, base, product), product)


def _room(base: Flow, moved: Flow) -> Fraction:
    """How far a flow can move before a mass is below 0, at most 1."""
    return min(
        (
            here[name][cell] / -v
            for here, there in zip(base, moved, strict=True)
            for name, law in there.items()
            for cell, v in law.items()
            if v < 0
        ),
        default=Fraction(1),
    )


def _flows(asked: Asked, weights: Weights) -> Flow:
    columns = {
        name: flow_of(chain, asked.stages[name], weights) for name, chain in asked.chains.items()
    }
    return [{name: columns[name][t] for name in columns} for t in range(asked.count)]


def rising_flows(asked: Asked) -> Rising | None:
    """Two flows of policies, far from each other or close by, with a positive inner product.

    Raises:
        UnsupportedError, TooManyNodes: the rewards have no written-out form.
    """
    if any(lo != hi for chain in asked.chains.values() for lo, hi in chain.initial):
        return None
    found = [_flows(asked, weights) for weights in _policies(asked)]
    for one, other in _pairs(found):
        for share in SHARES:
            near = [
                {name: _mixed(a[name], b[name], share) for name in b}
                for a, b in zip(one, other, strict=True)
            ]
            if late(asked.deadline):
                return None
            try:
                product = _product(asked, near, other)
            except UndefinedError:
                continue
            if product[0] > 0:
                return Rising(_witness(asked, near, other, product), product)
    return None


def _pairs(flows: Sequence[Flow]) -> Iterator[tuple[Flow, Flow]]:
    for i in range(len(flows)):
        for j in range(i):
            yield flows[i], flows[j]


def _policies(asked: Asked) -> Iterator[Weights]:
    """The even policy, one action throughout, and random choices by stage and state."""
    yield evenly
    most = max(len(chain.actions) for chain in asked.chains.values())
    for k in range(min(most, POLICIES // 2)):
        yield _always(k)
    for seed in range(POLICIES // 2):
        yield _drawn(seed)


def _always(k: int) -> Weights:
    return lambda t, s, n: [Fraction(int(a == min(k, n - 1))) for a in range(n)]


def _drawn(seed: int) -> Weights:
    def weights(t: int, s: int, n: int) -> list[Fraction]:
        chosen = random.Random(f"{seed} {t} {s}").randrange(n)
        return [Fraction(int(a == chosen)) for a in range(n)]

    return weights


def _mixed(one: Masses, other: Masses, share: Fraction) -> Masses:
    found = {cell: (1 - share) * mass for cell, mass in other.items() if share < 1}
    add_to(found, one, share)
    return found


def _product(asked: Asked, one: Flow, other: Flow) -> Range:
    """The inner product of both differences, over all stages."""
    found: Range = (Decimal(0), Decimal(0))
    for t in range(asked.count):
        game = asked.rewards(t)
        if game is None or one[t] == other[t]:
            continue
        shared: dict[Key, Fraction] = {("time", "None", ()): Fraction(t)}
        here = inner_product(game, _laws(asked, one[t]), _laws(asked, other[t]), shared)
        weight = decimals.enclosed(asked.discount**t)
        found = decimals.add(found, decimals.multiply(weight, here))
    return found


def _laws(asked: Asked, laws: Mapping[str, Masses]) -> dict[str, Law]:
    found: dict[str, Law] = {}
    for name, law in laws.items():
        chain = asked.chains[name]
        found[name] = [
            (mass, {(f"peer_{op}", v, ()): Fraction(x) for (op, v), x in chain.own(*cell).items()})
            for cell, mass in law.items()
        ]
    return found


def _witness(asked: Asked, one: Flow, other: Flow, product: Range) -> Witness:
    """The laws at the stage where both flows are farthest apart among those that pay."""
    paid = [t for t in range(asked.count) if asked.rewards(t) is not None]
    far = max(paid, key=lambda t: _distance(one[t], other[t]))
    found: Witness = {"t": far}
    for label, flow in (("law", one), ("other law", other)):
        for name, law in _laws(asked, flow[far]).items():
            found[f"{label} of {name}"] = law_text(law)
    found["inner product"] = float(product[0])
    return found


def _distance(one: Mapping[str, Masses], other: Mapping[str, Masses]) -> Fraction:
    whole = Fraction(0)
    for name in one:
        apart = dict(one[name])
        add_to(apart, other[name], Fraction(-1))
        whole += sum((abs(v) for v in apart.values()), Fraction(0))
    return whole
