"""The matrices of a linear-quadratic player, read off the normal forms of its expressions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from mfdsl.compiler.analysis.intervals import Array
from mfdsl.compiler.analysis.symbolic.decimals import UndefinedError
from mfdsl.compiler.analysis.symbolic.evaluation import Point, value_at
from mfdsl.compiler.analysis.symbolic.terms import Terms
from mfdsl.compiler.ir.model import Model, Player, Variable
from mfdsl.compiler.ir.walk import reachable

MAX_STAGES = 2000

Name = tuple[str, str]  # sort, name: ("state", "x[0]"), ("mean", "x"), ("noise", "weather.shock")


@dataclass(frozen=True)
class Quadratic:
    """constant + linear . z + z' matrix z of a vector z, each with a first axis of stages or 1."""

    constant: Array
    linear: Array
    matrix: Array


@dataclass(frozen=True)
class LinearQuadratic:
    """A linear-quadratic player: `z` names the entries of the vector that everything reads.

    `offset` [stages or 1, states] and `slopes` [stages or 1, states, z] give the next states,
    `running` and `final` the rewards. Sorts of `z` are state, trait, action, mean, common, noise;
    `A`, `B`, `means` and `noises` are the columns of `slopes` by sort.
    """

    player: str
    states: tuple[str, ...]
    z: tuple[Name, ...]
    offset: Array
    slopes: Array
    running: Quadratic
    final: Quadratic

    def columns(self, sort: str) -> list[int]:
        """Positions of the entries of one sort in `z`."""
        return [k for k, (s, _) in enumerate(self.z) if s == sort]

    @property
    def A(self) -> Array:
        """Slopes of next states in states, [stages or 1, states, states]."""
        return np.asarray(self.slopes[:, :, self.columns("state")])

    @property
    def B(self) -> Array:
        """Slopes of next states in actions, [stages or 1, states, actions]."""
        return np.asarray(self.slopes[:, :, self.columns("action")])

    @property
    def means(self) -> Array:
        """Slopes of next states in means, [stages or 1, states, means]."""
        return np.asarray(self.slopes[:, :, self.columns("mean")])

    @property
    def Q(self) -> Array:
        """The quadratic part of the running reward in states, [stages or 1, states, states]."""
        at = self.columns("state")
        return np.asarray(self.running.matrix[:, at][:, :, at])

    @property
    def R(self) -> Array:
        """The quadratic part of the running reward in actions, [stages or 1, actions, actions]."""
        at = self.columns("action")
        return np.asarray(self.running.matrix[:, at][:, :, at])


@dataclass(frozen=True)
class Root:
    """One expression that has to be a polynomial of degree `degree` in z."""

    where: str
    node: int
    degree: int
    place: int
    cut: int | None = None  # the expression before the ends were dropped that may bind


@dataclass
class Reading:
    """The expressions of a player as polynomials; `coefficients` by root and entries of z."""

    terms: Terms
    roots: Sequence[Root]
    terms_of: Sequence[int]
    z: list[Name] = field(default_factory=list)
    coefficients: list[dict[tuple[int, ...], int]] = field(default_factory=list)


def placed(name: str, at: tuple[int, ...]) -> str:
    """The name of an entry of an array, or of a scalar."""
    return f"{name}[{', '.join(map(str, at))}]" if at else name


def matrices_of(model: Model, player: Player, reading: Reading) -> LinearQuadratic:
    """The matrices of expressions that are polynomials of their degrees."""
    own = [("state", name) for s in player.states for name in _state_names(model, s)]
    acts = [("action", name) for a in player.actions for name in _state_names(model, a)]
    order = list(dict.fromkeys([*own, *acts, *sorted(reading.z)]))
    at = [order.index(name) for name in reading.z]
    count = len(order)
    timed = any(
        reading.terms.nodes[i].op == "time"
        for parts in reading.coefficients
        for i in reachable(reading.terms.nodes, list(parts.values()))
    )
    stages = min(model.horizon.steps or 1, MAX_STAGES) if timed else 1
    nexts = [k for k, r in enumerate(reading.roots) if r.degree == 1]
    rewards = [k for k, r in enumerate(reading.roots) if r.degree == 2]
    offset = np.zeros((stages, len(nexts)))
    slopes = np.zeros((stages, len(nexts), count))
    for row, k in enumerate(nexts):
        part = _quadratic(reading, k, at, count, stages)
        offset[:, row], slopes[:, row] = part.constant, part.linear
    finals = [k for k in rewards if reading.roots[k].where.startswith("final ")]
    return LinearQuadratic(
        player.name,
        tuple(name for _, name in own),
        tuple(order),
        offset,
        slopes,
        _summed(reading, [k for k in rewards if k not in finals], at, count, stages),
        _summed(reading, finals, at, count, stages),
    )


def _state_names(model: Model, variable: Variable) -> list[str]:
    dims = model.types[variable.type].dims
    if not dims:
        return [variable.name]
    return [placed(variable.name, place) for place in np.ndindex(*dims)]


def _summed(
    reading: Reading, which: Sequence[int], at: Sequence[int], count: int, stages: int
) -> Quadratic:
    parts = [_quadratic(reading, k, at, count, stages) for k in which]
    return Quadratic(
        np.sum([p.constant for p in parts], axis=0) if parts else np.zeros(stages),
        np.sum([p.linear for p in parts], axis=0) if parts else np.zeros((stages, count)),
        np.sum([p.matrix for p in parts], axis=0) if parts else np.zeros((stages, count, count)),
    )


def _quadratic(reading: Reading, k: int, at: Sequence[int], count: int, stages: int) -> Quadratic:
    constant, linear = np.zeros(stages), np.zeros((stages, count))
    matrix = np.zeros((stages, count, count))
    for entries, node in reading.coefficients[k].items():
        value = np.array([_number(reading.terms, node, t) for t in range(stages)])
        places = [at[e] for e in entries]
        if not places:
            constant += value
        elif len(places) == 1:
            linear[:, places[0]] += value
        else:
            matrix[:, places[0], places[1]] += value / 2
            matrix[:, places[1], places[0]] += value / 2
    return Quadratic(constant, linear, matrix)


def _number(terms: Terms, node: int, stage: int) -> float:
    """The float nearest to a coefficient at a stage; nan where it has no value."""
    exact = terms.builder.exact(node)
    if exact is not None:
        return float(exact)
    own: Mapping[tuple[str, str, tuple[int, ...]], Fraction] = {
        ("time", "None", ()): Fraction(stage)
    }
    try:
        lo, hi = value_at(terms, node, Point(own))
    except UndefinedError:
        return float("nan")
    return float((lo + hi) / 2)
