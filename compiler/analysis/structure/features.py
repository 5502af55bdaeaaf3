"""Rewards as sums of functions of oneself times functions of means, on any space.

With `m` monomials of own variables and statistics `s = E[f]` of polynomials `f = F m` of a member,
a reward `sum_i m_i(x) phi_i(s)` has the slope `m(x)' G m(y)` in the mass of y, where
`G = (d phi / d s) F`. A law moves by v along w = integral of m dv, so whatever the symmetric matrix
G does to all w, the game does to all laws: the game is monotone if G is negative semidefinite, and
has a potential if G is symmetric.
"""

from dataclasses import dataclass
from fractions import Fraction

from mfdsl.compiler.analysis.structure.masses import OWN, rebuilt
from mfdsl.compiler.analysis.structure.ranks import independent
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.analysis.symbolic.differentiation import partial
from mfdsl.compiler.analysis.symbolic.expressions import TooLargeError
from mfdsl.compiler.analysis.symbolic.polynomials import Polynomial, polynomials
from mfdsl.compiler.analysis.symbolic.terms import (
    Terms,
    UnsupportedError,
    product,
    total,
    written_out,
)
from mfdsl.compiler.ir.model import Player
from mfdsl.compiler.ir.walk import MEMBERS, reachable

MAX_MONOMIALS = 40
SMOOTH = (
    *("const", "param", "time", "add", "mul", "neg", "div", "pow", "exp", "log", "sqrt"),
    *("sin", "cos", "tanh", "softplus", "min", "max", "abs", "mean", "mean_others", "element"),
)

Monomial = tuple[tuple[int, int], ...]  # factors: term, exponent


@dataclass(frozen=True)
class Features:
    """The matrix G, entries as terms; its rows and columns are monomials of own variables.

    `means` is the matrix F: what each statistic is made of, [statistics, monomials].
    """

    terms: Terms
    monomials: tuple[Monomial, ...]
    matrix: tuple[tuple[int, ...], ...]
    means: tuple[tuple[Fraction, ...], ...]

    @property
    def independent(self) -> bool:
        """Whether no combination of the monomials is a constant."""
        return independent(self.terms, self.monomials)

    def constant(self) -> list[list[Fraction]] | None:
        """The entries as numbers, None where they vary."""
        found = []
        for row in self.matrix:
            exact = [_number(self.terms, entry) for entry in row]
            if any(e is None for e in exact):
                return None
            found.append([e for e in exact if e is not None])
        return found


def features(copies: Copies, player: Player, root: int) -> Features:
    """The features of a reward that reads the law of its own population only.

    Raises:
        UnsupportedError: a part reads oneself and the law in one function that is no product, or
            reads a noise, or jumps, or another population.
        TooLargeError: the reward is too long when it is multiplied out.
    """
    terms, (node,) = written_out(copies.facts, [root], bind=True)
    found = polynomials(terms, [node], opaque=True)
    assert found is not None
    outer = _outer(terms, found[0])
    means = sorted({i for phi in outer.values() for i in _means(terms, phi, player)})
    inner = {mean: _inner(terms, mean, player) for mean in means}
    names = list(dict.fromkeys([*outer, *(m for f in inner.values() for m in f)]))
    if len(names) > MAX_MONOMIALS:
        raise UnsupportedError(f"{len(names)} functions of own variables")
    zero = terms.builder.const(0)
    matrix = []
    for name in names:
        phi = outer.get(name, zero)
        slopes = {mean: partial(terms, phi, mean) for mean in means}
        row = []
        for other in names:
            parts = [
                product(terms, (slopes[mean], terms.builder.const(inner[mean][other])))
                for mean in means
                if other in inner[mean]
            ]
            row.append(tidied(terms, total(terms, parts)))
        matrix.append(tuple(row))
    made_of = tuple(tuple(inner[mean].get(name, Fraction(0)) for name in names) for mean in means)
    return Features(terms, tuple(names), tuple(matrix), made_of)


def _outer(terms: Terms, whole: Polynomial) -> dict[Monomial, int]:
    """By monomial of own variables: the function of means that it is multiplied with."""
    sorts = [_sort(terms, variable) for variable in whole.variables]
    groups: dict[Monomial, dict[tuple[int, ...], Fraction]] = {}
    for exponents, coefficient in whole.terms.items():
        used = {s for s, e in zip(sorts, exponents, strict=True) if e}
        if "both" in used:
            raise UnsupportedError("a function of oneself and the law that is no product")
        own = tuple(
            (v, e)
            for v, e, s in zip(whole.variables, exponents, sorts, strict=True)
            if e and s == "own"
        )
        rest = tuple(0 if s == "own" else e for e, s in zip(exponents, sorts, strict=True))
        groups.setdefault(own, {})[rest] = coefficient
    found = {}
    for own, parts in groups.items():
        moving = any(e and s == "law" for rest in parts for e, s in zip(rest, sorts, strict=True))
        if own and moving:
            found[own] = term_of(terms, Polynomial(whole.variables, parts))
    return found


def _sort(terms: Terms, variable: int) -> str:
    """What an atom reads: `own` variables, a `law`, `both`, or `none` of them."""
    below = [terms.nodes[i] for i in reachable(terms.nodes, [variable])]
    own = any(node.op in OWN for node in below)
    law = any(node.op in MEMBERS for node in below)
    if any(node.op in ("noise", "weight") or node.op.endswith("_noise") for node in below):
        raise UnsupportedError("a reward that reads a noise or single agents")
    return "both" if own and law else "own" if own else "law" if law else "none"


def _means(terms: Terms, phi: int, player: Player) -> list[int]:
    """The statistics that a function of the law reads."""
    found = []
    for index in outside_of_means(terms, phi):
        node = terms.nodes[index]
        if node.op in MEMBERS:
            if node.op not in ("mean", "mean_others"):
                raise UnsupportedError(f"`{node.op}` over members")
            assert isinstance(node.attr, tuple)
            if node.attr[1] != player.name:
                raise UnsupportedError("the law of another population")
            found.append(index)
        elif any(terms.nodes[i].op in MEMBERS for i in reachable(terms.nodes, [index])):
            if node.op not in SMOOTH:
                raise UnsupportedError(f"`{node.op}` of a law may jump")
    return found


def outside_of_means(terms: Terms, root: int) -> list[int]:
    """What a term reaches outside of means."""
    seen, stack = {root}, [root]
    while stack:
        node = terms.nodes[stack.pop()]
        if node.op in MEMBERS:
            continue
        for argument in node.args:
            if argument not in seen:
                seen.add(argument)
                stack.append(argument)
    return sorted(seen)


def _inner(terms: Terms, mean: int, player: Player) -> dict[Monomial, Fraction]:
    """The body of a mean as a combination of monomials of own variables."""
    names = {
        **{("peer_state", s.name): "state" for s in player.states},
        **{("peer_trait", s.name): "trait" for s in player.traits},
        **{("peer_action", a.name): "action" for a in player.actions},
    }
    body = terms.nodes[mean].args[0]
    for index in reachable(terms.nodes, [body]):
        node = terms.nodes[index]
        if node.op in (*MEMBERS, *OWN, "time", "noise", "peer_noise") or node.op.startswith(
            "common_"
        ):
            raise UnsupportedError("a statistic that reads more than its members")

    def own(index: int) -> int | None:
        node = terms.nodes[index]
        if not node.op.startswith("peer_"):
            return None
        assert isinstance(node.attr, tuple)
        name = str(node.attr[1])
        return terms.builder.add(names[node.op, name], (), name, terms.builder.type_of(index))

    found = polynomials(terms, [rebuilt(terms, body, own)], opaque=True)
    assert found is not None
    (whole,) = found
    monomials: dict[Monomial, Fraction] = {}
    for exponents, coefficient in whole.terms.items():
        used = tuple((v, e) for v, e in zip(whole.variables, exponents, strict=True) if e)
        if any(_sort(terms, v) != "own" for v, _ in used):
            raise UnsupportedError("a statistic with weights that are no fractions")
        if used:
            monomials[used] = coefficient
    return monomials


def term_of(terms: Terms, whole: Polynomial) -> int:
    """A polynomial as a term."""
    parts = []
    for exponents, coefficient in whole.terms.items():
        factors = [terms.builder.const(coefficient)] if coefficient != 1 else []
        for variable, exponent in zip(whole.variables, exponents, strict=True):
            if exponent == 1:
                factors.append(variable)
            elif exponent:
                power = (variable, terms.builder.const(exponent))
                factors.append(terms.builder.add("pow", power))
        parts.append(product(terms, factors))
    return total(terms, parts)


def tidied(terms: Terms, node: int) -> int:
    """The same term in normal form, where that is short."""
    try:
        found = polynomials(terms, [node], opaque=True)
    except TooLargeError:
        return node
    assert found is not None
    return term_of(terms, found[0])


def _number(terms: Terms, node: int) -> Fraction | None:
    return terms.builder.exact(node)
