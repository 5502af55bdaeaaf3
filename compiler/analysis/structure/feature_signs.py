"""The sign of the matrix of features, at all laws, times and common states.

The matrix is looked at for each time and common state that it reads. Where the reward is made of
functions of statistics times what these are the means of, their smaller matrix is looked at. It is
constant, or one function of the law times a constant matrix, as where a price falls with a weighted
sum of means, or diagonal; any other is searched on boxes of means, where it is proved to be
definite or nothing is proved.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import product as joint
from math import prod

from mfdsl.compiler.analysis.counted import counted
from mfdsl.compiler.analysis.slopes.enumerated import is_listed
from mfdsl.compiler.analysis.slopes.tape import first_of, size_of
from mfdsl.compiler.analysis.structure.branching import definite_on_boxes
from mfdsl.compiler.analysis.structure.congestion import largest
from mfdsl.compiler.analysis.structure.features import Features, outside_of_means, term_of
from mfdsl.compiler.analysis.structure.masses import rebuilt
from mfdsl.compiler.analysis.structure.matrices import Exact, Sign, sign_of
from mfdsl.compiler.analysis.structure.spans import span_of
from mfdsl.compiler.analysis.symbolic.polynomials import (
    Polynomial,
    add,
    constant,
    polynomials,
    scale,
)
from mfdsl.compiler.analysis.symbolic.terms import Terms

MAX_CASES = 2_000
MAX_SUMS = 200_000  # terms of the matrix of statistics
HALF = Fraction(1, 2)

Matrix = Sequence[Sequence[int]]
Entries = Sequence[Sequence[Polynomial]]


def sign_at_all_laws(found: Features, deadline: float) -> Sign | None:
    """What v' G v is for all v: `zero`, `negative` or `definite` at all laws, None where open.

    Raises:
        UnsupportedError: an entry has no enclosure.
        TooLargeError: an entry is too long when it is multiplied out.
    """
    signs = set[Sign]()
    cases = list(_cases(found))
    for k, matrix in enumerate(cases):
        left = max(deadline - counted(), 0.01) / (len(cases) - k)
        sign = _sign(found.terms, found, matrix, left)
        if sign is None:
            return None
        signs.add(sign)
    return signs.pop() if len(signs) == 1 else "negative"


def _cases(found: Features) -> Iterator[Matrix]:
    """The matrix at each time and common state that it reads, those that are few."""
    terms, facts = found.terms, found.terms.as_facts()
    read = {i for row in found.matrix for entry in row for i in outside_of_means(terms, entry)}
    leaves = [i for i in sorted(read) if not terms.nodes[i].args and is_listed(facts, i)]
    leaves.sort(key=lambda leaf: size_of(facts, leaf))
    while prod(size_of(facts, leaf) for leaf in leaves) > MAX_CASES:
        leaves.pop()
    values = [range(first_of(facts, i), first_of(facts, i) + size_of(facts, i)) for i in leaves]
    for case in joint(*values):
        known = {i: terms.builder.const(v) for i, v in zip(leaves, case, strict=True)}
        yield [[rebuilt(terms, entry, known.get) for entry in row] for row in found.matrix]


def _sign(terms: Terms, found: Features, matrix: Matrix, seconds: float) -> Sign | None:
    """The sign of one matrix at all laws."""
    flat = polynomials(terms, [entry for row in matrix for entry in row], opaque=True)
    assert flat is not None
    count = len(matrix)
    whole = [flat[i * count : (i + 1) * count] for i in range(count)]
    even = [
        [scale(add(a, b), HALF) for a, b in zip(*lines, strict=True)]
        for lines in zip(whole, zip(*whole, strict=True), strict=True)
    ]
    smaller = _of_statistics(found, even)
    sign = _of_entries(terms, even if smaller is None else smaller, seconds)
    fewer = smaller is not None and len(found.means) != count
    return "negative" if sign == "definite" and fewer else sign


def _of_statistics(found: Features, even: Entries) -> Entries | None:
    """The matrix H of statistics with G = F' H F, None where there is none.

    Statistics that are independent are combined to E = C F with unit vectors in the columns P, so
    that G = E' G[P, P] E where there is an H; that is C' G[P, P] C.
    """
    count, means = len(even), len(found.means)
    rows = span_of(
        {**{k: v for k, v in enumerate(made_of) if v}, count + j: Fraction(1)}
        for j, made_of in enumerate(found.means)
    )
    basis = [dict(row) for row in rows if row[0][0] < count]
    places = [min(row) for row in basis]
    if not basis or len(basis) ** 2 * count**2 > MAX_SUMS:
        return None
    inner = [[even[p][q] for q in places] for p in places]
    into = [[row.get(k, Fraction(0)) for k in range(count)] for row in basis]
    if _both_sides(inner, into) != even:
        return None
    made = [[row.get(count + j, Fraction(0)) for j in range(means)] for row in basis]
    return _both_sides(inner, made)


def _both_sides(inner: Entries, by: Exact) -> Entries:
    """A' M A for a matrix M of polynomials and A of numbers."""
    zero = constant(inner[0][0].variables, 0)
    width = range(len(by[0]))
    return [
        [
            add(
                zero,
                *(
                    scale(entry, left[i] * right[j])
                    for left, row in zip(by, inner, strict=True)
                    for right, entry in zip(by, row, strict=True)
                    if left[i] and right[j]
                ),
            )
            for j in width
        ]
        for i in width
    ]


def _of_entries(terms: Terms, even: Entries, seconds: float) -> Sign | None:
    """The sign of a symmetric matrix of polynomials."""
    count, flat = len(even), [entry for row in even for entry in row]
    if not any(entry.terms for entry in flat):
        return "zero"
    scaled = _scaled(flat, count)
    if scaled is not None:
        return _of_scaled(terms, *scaled, seconds)
    if not any(even[i][j].terms for i in range(count) for j in range(count) if i != j):
        own = [term_of(terms, even[k][k]) for k in range(count)]
        tops = [largest(terms, entry, seconds / count) for entry in own]
        return "definite" if max(tops) < 0 else "negative" if max(tops) <= 0 else None
    matrix = [term_of(terms, entry) for entry in flat]
    return "definite" if definite_on_boxes(terms, matrix, seconds) else None


def _scaled(flat: Sequence[Polynomial], count: int) -> tuple[Polynomial, Exact] | None:
    """A function and a constant matrix whose product the entries are, None where there is none."""
    unit = next(entry for entry in flat if entry.terms)
    lead = next(iter(unit.terms))
    ratios = []
    for entry in flat:
        ratio = entry.terms.get(lead, Fraction(0)) / unit.terms[lead]
        if entry.terms != {e: c * ratio for e, c in unit.terms.items() if ratio}:
            return None
        ratios.append(ratio)
    return unit, [ratios[i * count : (i + 1) * count] for i in range(count)]


def _of_scaled(terms: Terms, unit: Polynomial, matrix: Exact, seconds: float) -> Sign | None:
    """The sign of a function of the law times a constant matrix."""
    function = term_of(terms, unit)
    sign, other = sign_of(matrix).sign, sign_of([[-entry for entry in row] for row in matrix]).sign
    if sign != "indefinite":
        top = largest(terms, terms.builder.add("neg", (function,)), seconds)
    elif other != "indefinite":
        sign, top = other, largest(terms, function, seconds)
    else:
        return None
    return None if top > 0 else sign if top < 0 else "negative"
