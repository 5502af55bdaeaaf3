"""Certificates that laws have mass 1, and of the range of a value, asked for one by one."""

import math
import time
from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np

from mfdsl.compiler.analysis.asymmetry.asymmetry import value_range
from mfdsl.compiler.analysis.certificate import Certificate, Reason, Verdict
from mfdsl.compiler.analysis.counted import counted, late
from mfdsl.compiler.analysis.enclosure import MAX_POINTS, Evaluator, leaves_of
from mfdsl.compiler.analysis.facts import facts_of
from mfdsl.compiler.analysis.kernels import leaf_of
from mfdsl.compiler.analysis.structure.stages import total_of
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.analysis.symbolic.identities import is_zero
from mfdsl.compiler.analysis.symbolic.terms import UnsupportedError, difference, written_out
from mfdsl.compiler.ir.build import TooManyNodes
from mfdsl.compiler.ir.model import Model, Player

MAX_VALUES = 256
OWN = ("state", "trait", "action", "noise")
ROUNDED = 1e-9  # how far weights of a spec may be from adding up to 1


def value_range_of(model: Model, name: str, nodes: Sequence[int], seconds: float) -> Certificate:
    """The certificate `range` of the sum of some expressions."""
    started = time.perf_counter()
    lo, hi = value_range(model, list(nodes), seconds / 2) if nodes else (0.0, 0.0)
    closed = math.isfinite(lo) and math.isfinite(hi)
    return Certificate(
        claim="range",
        subject=name,
        verdict="proved" if closed else "unknown",
        lower=lo if math.isfinite(lo) else None,
        upper=hi if math.isfinite(hi) else None,
        method=("interval arithmetic", "branch and bound over statistics"),
        rigor="enclosure",
        reason=None if closed else "domain",
        detail=None if closed else "no bound was found on one side",
        seconds=round(time.perf_counter() - started, 6),
    )


def normalised(model: Model, player: Player, what: str, seconds: float) -> list[Certificate]:
    """The certificates `normalised` of the laws of that name, all of a player for `dynamics`."""
    laws = [
        (name, leaf_kind, node)
        for name, leaf_kind, node in _laws(player)
        if what in ("dynamics", name, name.removesuffix("_next"))
    ]
    share = seconds / max(len(laws), 1)
    return [_mass(model, player, name, kind, node, share) for name, kind, node in laws]


def _laws(player: Player) -> Iterator[tuple[str, str, int]]:
    """Laws that the spec gives by the probability of each value: name, leaf, density."""
    for noise in player.noises:
        if noise.density is not None:
            yield noise.name, "noise", noise.density
    for kind, group in (("state", player.states), ("trait", player.traits)):
        for variable in group:
            if variable.initial is not None:
                yield variable.name, kind, variable.initial


def _mass(
    model: Model, player: Player, name: str, kind: str, density: int, seconds: float
) -> Certificate:
    """Whether the masses of all values add up to 1, whatever they depend on."""
    started = time.perf_counter()
    copies = Copies(facts_of(model))
    verdict: Verdict = "unknown"
    method, detail = "identities at all finite values", None
    lower, upper = -math.inf, math.inf
    reason: Reason | None = None
    try:
        whole = _whole(copies, player, name, kind, density)
        lower, upper = _ends(copies, whole)
        if 1 - ROUNDED <= lower and upper <= 1 + ROUNDED:
            verdict, method = "proved", "interval arithmetic at all finite values"
        elif _is_one(copies, whole, counted() + seconds):
            verdict, lower, upper = "proved", 1.0, 1.0
        else:
            reason, detail = "tight", "the weights are not seen to add up to 1"
    except (UnsupportedError, TooManyNodes) as error:
        reason, detail = "unsupported", str(error)
    return Certificate(
        claim="normalised",
        subject=f"{name.removesuffix('_next')} of {player.name}",
        verdict=verdict,
        lower=lower if math.isfinite(lower) else None,
        upper=upper if math.isfinite(upper) else None,
        method=(method, "weights that are not negative, by the checks of the spec"),
        rigor="exact" if method.startswith("identities") else "enclosure",
        reason=reason,
        detail=detail,
        seconds=round(time.perf_counter() - started, 6),
    )


def _whole(copies: Copies, player: Player, name: str, kind: str, density: int) -> int:
    """The sum of a density over the values of its own variable."""
    group = player.noises if kind == "noise" else (*player.states, *player.traits)
    type_ = copies.types[next(v.type for v in group if v.name == name)]
    if type_.size > MAX_VALUES:
        raise UnsupportedError(f"a law of {type_.size} values")
    leaf = leaf_of(copies.facts, player, name, kind)
    parts = [
        density
        if leaf is None
        else copies.replaced(density, {leaf: copies.const(type_.first + k, leaf)})
        for k in range(type_.size)
    ]
    return total_of(copies, parts)


def _finite_leaves(copies: Copies, root: int) -> list[int]:
    """The own finite variables that an expression reads."""
    found = []
    for i in sorted(leaves_of(copies.nodes, [root])):
        type_ = copies.types[copies.nodes[i].type]
        if copies.nodes[i].op in OWN and type_.finite and not type_.dims:
            found.append(i)
    return found


def _ends(copies: Copies, root: int) -> tuple[float, float]:
    """The ends of an expression, enclosed at all its own finite values where they are not many."""
    leaves = _finite_leaves(copies, root)
    count = math.prod(copies.types[copies.nodes[i].type].size for i in leaves)
    axes = {leaf: k for k, leaf in enumerate(leaves)} if count <= MAX_POINTS else {}
    value = Evaluator(copies.facts, axes).value(root)
    return float(np.min(value.lo)), float(np.max(value.hi))


def _is_one(copies: Copies, root: int, deadline: float) -> bool:
    """Whether an expression is 1 at all its own finite values, as identities."""
    leaves = _finite_leaves(copies, root)
    types = [copies.types[copies.nodes[i].type] for i in leaves]
    if math.prod(t.size for t in types) > MAX_VALUES:
        return False
    for values in product(*(range(t.first, t.first + t.size) for t in types)):
        if late(deadline):
            return False
        constants = {i: copies.const(v, i) for i, v in zip(leaves, values, strict=True)}
        terms, (node,) = written_out(copies.facts, [copies.replaced(root, constants)], bind=True)
        apart = difference(terms, node, terms.builder.const(1))
        if not is_zero(terms, apart, seconds=max(deadline - counted(), 0.01)).holds:
            return False
    return True
