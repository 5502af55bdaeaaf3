"""Costs of routes: sums over links of what one uses of a link times a function of its flow.

Theorem. Let rewards be r(x, m) = sum over l of c_l(x) g_l(<v_l, m>) + <L(x), m> over kinds x of any
populations with masses m. If on moves of mass (sums 0 in each population) c_l = k_l v_l and
k_l g_l' <= 0 on all laws for each l, and the symmetric part of L is at most 0, rewards are monotone
in the sense of Lasry and Lions, all populations with weight 1; if L is symmetric there too, the sum
of k_l G_l(<v_l, m>), G_l' = g_l, and half of <L m, m> is a potential.
Proof. With s_l, s_l' the flows at laws m, m', the inner product of differences is the sum of
k_l (g_l(s_l) - g_l(s_l')) (s_l - s_l'), each at most 0, and (m - m')' L (m - m') <= 0. The slopes
are k_l g_l' v_l v_l' and L, symmetric matrices (Beckmann, McGuire and Winsten, Studies in the
economics of transportation, 1956; Sandholm, Population games and evolutionary dynamics, 2010, 3.1).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from mfdsl.compiler.analysis.counted import counted, late
from mfdsl.compiler.analysis.enclosure import Evaluator
from mfdsl.compiler.analysis.structure.congestion import largest
from mfdsl.compiler.analysis.structure.features import tidied
from mfdsl.compiler.analysis.structure.masses import InMasses
from mfdsl.compiler.analysis.structure.matrices import (
    projected as symmetric_part,
    sign_of,
    skew_part,
    tangent_pairs,
)
from mfdsl.compiler.analysis.symbolic.differentiation import partial
from mfdsl.compiler.analysis.symbolic.terms import Terms, UnsupportedError, product, total
from mfdsl.compiler.ir.walk import reachable

SMOOTH = ("add", "mul", "neg", "div", "pow", "exp", "log", "sqrt", "tanh", "softplus")
ONE = Fraction(1)

Vector = tuple[Fraction, ...]  # by kind


@dataclass
class _Sums:
    """Rewards as `linear` [kinds, kinds] in masses, and coefficients [kinds] of other terms."""

    game: InMasses
    linear: list[list[Fraction]]
    others: dict[int, list[Fraction]] = field(default_factory=dict)
    known: dict[int, Vector | None] = field(default_factory=dict)


def along_links(game: InMasses, seconds: float) -> bool:
    """Whether the theorem proves rewards monotone with a potential; False where it does not.

    Raises:
        UnsupportedError: a term has no slope or no enclosure.
        TooManyNodes: the slopes are too long.
    """
    deadline = counted() + seconds
    count = len(game.kinds)
    sums = _Sums(game, [[Fraction(0)] * count for _ in range(count)])
    for kind, reward in enumerate(game.rewards):
        _collect(sums, kind, reward, ONE)
    if any(e for row in skew_part(sums.linear, game.groups) for e in row):
        return False
    if sign_of(symmetric_part(sums.linear, game.groups)).sign == "indefinite":
        return False
    pairs = tangent_pairs(game.groups)
    for term, coefficients in sums.others.items():
        if late(deadline):
            return False
        cost = tuple(coefficients[i] - coefficients[n] for i, n in pairs)
        if any(cost) and not _falls(sums, term, cost, deadline):
            return False
    return True


def _collect(sums: _Sums, kind: int, node: int, factor: Fraction) -> None:
    """Add `factor` times a term to the reward of a kind."""
    terms = sums.game.terms
    if not _moves(sums, node):
        return _add_other(sums, kind, node, factor)
    flow = _affine(sums, node)
    if flow is not None:
        row = sums.linear[kind]
        for k, v in enumerate(flow):
            row[k] += factor * v
        return None
    here = terms.nodes[node]
    if here.op in ("add", "neg"):
        for argument in here.args:
            _collect(sums, kind, argument, -factor if here.op == "neg" else factor)
        return None
    if here.op == "mul":
        numbers = [terms.builder.exact(a) for a in here.args]
        rest = [a for a, n in zip(here.args, numbers, strict=True) if n is None]
        if len(rest) < len(here.args):
            for n in numbers:
                factor *= n if n is not None else 1
            return _collect(sums, kind, product(terms, rest), factor)
    below = terms.builder.exact(here.args[1]) if here.op == "div" else None
    if below:
        return _collect(sums, kind, here.args[0], factor / below)
    return _add_other(sums, kind, node, factor)


def _add_other(sums: _Sums, kind: int, node: int, factor: Fraction) -> None:
    if _moves(sums, node):
        row = sums.others.setdefault(node, [Fraction(0)] * len(sums.game.kinds))
        row[kind] += factor


def _moves(sums: _Sums, node: int) -> bool:
    return bool(set(sums.game.masses) & set(reachable(sums.game.terms.nodes, [node])))


def _affine(sums: _Sums, node: int) -> Vector | None:
    """The coefficients of the masses in a term that is affine in them, with numbers."""
    if node not in sums.known:
        sums.known[node] = _coefficients(sums, node)
    return sums.known[node]


def _coefficients(sums: _Sums, node: int) -> Vector | None:
    terms, masses = sums.game.terms, sums.game.masses
    if node in masses:
        return tuple(Fraction(int(m == node)) for m in masses)
    zero = (Fraction(0),) * len(masses)
    here = terms.nodes[node]
    if not _moves(sums, node):
        return zero
    if here.op in ("add", "neg"):
        parts = [_affine(sums, a) for a in here.args]
        found = [p for p in parts if p is not None]
        if len(found) < len(parts):
            return None
        sign = -1 if here.op == "neg" else 1
        return tuple(sign * sum(column, Fraction(0)) for column in zip(*found, strict=True))
    if here.op not in ("mul", "div"):
        return None
    factor, flow = ONE, None
    for k, argument in enumerate(here.args):
        number = terms.builder.exact(argument)
        if number is not None and not (here.op == "div" and (k == 0 or number == 0)):
            factor *= 1 / number if here.op == "div" else number
        elif flow is None and not (here.op == "div" and k):
            flow = _affine(sums, argument)
            if flow is None:
                return None
        else:
            return None
    return None if flow is None else tuple(factor * v for v in flow)


def _falls(sums: _Sums, term: int, cost: Vector, deadline: float) -> bool:
    """Whether a term is a function of one flow along `cost`, and falls with it there."""
    terms, pairs = sums.game.terms, tangent_pairs(sums.game.groups)
    flows = _flows(sums, term)
    if flows is None:
        return False
    first = next(k for k, c in enumerate(cost) if c)
    slopes = []
    for node, coefficients in flows.items():
        flow = tuple(coefficients[i] - coefficients[n] for i, n in pairs)
        share = flow[first] / cost[first]
        if any(f != share * c for f, c in zip(flow, cost, strict=True)):
            return False
        if share:
            slope = partial(terms, term, node)
            slopes.append(product(terms, (terms.builder.const(share), slope)))
    return _at_most_zero(terms, total(terms, slopes), deadline)


def _flows(sums: _Sums, term: int) -> dict[int, Vector] | None:
    """The largest affine terms in a term; None where it may jump, reads oneself, or they nest."""
    nodes = sums.game.terms.nodes
    found: dict[int, Vector] = {}
    stack, seen = [term], {term}
    while stack:
        node = stack.pop()
        if not _moves(sums, node):
            continue
        flow = _affine(sums, node)
        if flow is not None:
            found[node] = flow
            continue
        if nodes[node].op not in SMOOTH:
            return None
        for argument in nodes[node].args:
            if argument not in seen:
                seen.add(argument)
                stack.append(argument)
    for node in found:
        if len(set(reachable(nodes, [node])) & set(found)) > 1:
            return None
    own = ("state", "trait", "action", "noise", "weight")
    below = reachable(nodes, [term])
    return None if any(nodes[i].op in own for i in below) else found


def _at_most_zero(terms: Terms, slope: int, deadline: float) -> bool:
    """Whether a slope is at most 0 at all laws, and has bounds, so that there is no pole."""
    value = Evaluator(terms.as_facts(), {}).value(slope)
    if not _finite((value.lo, value.hi)):
        return False
    left = max(deadline - counted(), 0.01)
    try:
        return min(largest(terms, n, left / 2) for n in (slope, tidied(terms, slope))) <= 0
    except UnsupportedError:
        return False


def _finite(ends: Sequence[object]) -> bool:
    return all(bool(np.isfinite(np.asarray(e, dtype=np.float64)).all()) for e in ends)
