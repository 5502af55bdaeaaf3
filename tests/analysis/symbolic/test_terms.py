"""What the author wrote, written out: sums, arrays, means; and its values at points."""

import random
from fractions import Fraction as F

import numpy as np
import pytest

from mfdsl.compiler.analysis.symbolic.decimals import UndefinedError
from mfdsl.compiler.analysis.symbolic.evaluation import Member, Point, value_at
from mfdsl.compiler.analysis.symbolic.points import points
from mfdsl.compiler.analysis.symbolic.terms import (
    UnsupportedError,
    decimal,
    difference,
    total,
    written_out,
)
from mfdsl.compiler.ir.build import TooManyNodes
from mfdsl.compiler.ir.interpret import Environment, evaluate
from mfdsl.compiler.ir.model import ABI, Horizon, Model
from mfdsl.compiler.ir.types import REAL, Type
from tests.analysis.symbolic.algebra import Algebra, ints

FOUR = ints(0, 3)


def test_constants_are_the_decimals_that_were_written() -> None:
    assert decimal(0.1) == F(1, 10)
    assert decimal(1e-6) == F(1, 10**6)
    assert decimal(0.1 + 0.2) is None
    assert decimal(1 / 3) is None
    assert decimal(float("inf")) is None
    a = Algebra()
    tenths = a.b.add("const", (), 0.1)
    third = a.b.add("const", (), 1 / 3)
    terms, (one, other) = written_out(a.facts, (tenths, third))
    assert terms.builder.exact(one) == F(1, 10)
    assert terms.builder.exact(other) is None
    lo, hi = value_at(terms, other, Point({}))
    assert F(lo) < F(1, 3) < F(hi)


def test_a_sum_over_an_index_is_the_sum_of_its_terms() -> None:
    a = Algebra()
    x = a.x()
    summed = a.over("sum_over", FOUR, lambda k: a.mul(x, a.op("real", k)))
    written = a.add(a.mul(x, a.n(0)), x, a.mul(x, a.n(2)), a.mul(x, a.n(3)))
    terms, (one, other) = a.terms(summed, written)
    at = Point({("state", "x", ()): F(1, 7)})
    assert value_at(terms, one, at)[0] == value_at(terms, other, at)[0]
    assert F(value_at(terms, one, at)[1]) >= F(6, 7)


def test_masses_inside_and_outside_of_a_sum_are_one_term() -> None:
    a = Algebra()
    inside = a.over("sum_over", FOUR, lambda k: a.mass(k, FOUR, depth=1))
    outside = a.add(*(a.mass(a.n(k), FOUR) for k in range(4)))
    _, (one, other) = a.terms(inside, outside)
    assert one == other


def test_means_are_linear() -> None:
    a = Algebra()
    x, peer = a.x(), a.peer()
    left = a.mean(a.add(a.mul(x, peer, a.n(3)), a.op("div", peer, a.n(2)), x))
    right = a.add(a.mul(a.n(3), x, a.mean(peer)), a.op("div", a.mean(peer), a.n(2)), x)
    _, (one, other) = a.terms(left, right)
    assert one == other


def test_the_mean_over_nobody_else_is_not_split_off() -> None:
    a = Algebra()
    others = a.b.add("mean_others", (a.n(1),), (0, "people"))
    terms, (root,) = a.terms(others)
    assert terms.nodes[root].op == "mean_others"


def test_arrays_are_their_entries() -> None:
    a = Algebra()
    a.arrays.append(np.array([[1.0, 2.0], [0.1, 1 / 3]]))
    table = a.b.add("array", (), 0, Type(kind="real", dims=(2, 2)))
    spot = a.b.add("state", (), "spot", Type(kind="real", dims=(2,), box=((0, 1), (-2, -1))))
    row = a.b.add("element", (table, a.n(0)), None, Type(kind="real", dims=(2,)))
    product = a.op("dot", row, spot)
    length = a.op("norm", spot)
    terms, (one, two) = a.terms(product, length)
    at = Point({("state", "spot", (0,)): F(3), ("state", "spot", (1,)): F(-4)})
    assert value_at(terms, one, at) == (-5, -5)
    assert value_at(terms, two, at) == (5, 5)
    for point in points(terms, (one,), 5):
        assert 0 < point.own["state", "spot", (0,)] < 1
        assert -2 < point.own["state", "spot", (1,)] < -1


def test_a_table_read_at_a_state_stays_one_term() -> None:
    a = Algebra()
    a.arrays.append(np.array([0.5, 2.0, 7.0, 1.0]))
    table = a.b.add("array", (), 0, Type(kind="real", dims=(4,)))
    x = a.x("x", FOUR)
    read = a.b.add("element", (table, x), None, REAL)
    terms, (root,) = a.terms(read)
    assert terms.nodes[root].op == "element"
    assert value_at(terms, root, Point({("state", "x", ()): F(2)})) == (7, 7)
    with pytest.raises(UndefinedError):
        value_at(terms, root, Point({("state", "x", ()): F(9)}))


def test_an_array_is_not_a_number() -> None:
    a = Algebra()
    spot = a.b.add("state", (), "spot", Type(kind="real", dims=(2,)))
    with pytest.raises(UnsupportedError, match="not a number"):
        a.terms(spot)


def test_sums_too_long_to_write_out_are_refused() -> None:
    a = Algebra()
    wide = ints(0, 299)
    body = a.over(
        "sum_over",
        wide,
        lambda i: a.over("sum_over", wide, lambda j: a.op("exp", a.mul(i, j, a.x())), depth=1),
    )
    with pytest.raises(TooManyNodes):
        a.terms(body)


def random_game_term(a: Algebra, chance: random.Random, depth: int, *, member: bool) -> int:
    """A random expression with choices, means and tables over integers."""
    if depth == 0:
        leaves = [a.x("x", FOUR), a.n(chance.randint(-3, 3)), a.p("p", 0.3)]
        return chance.choice([*leaves, a.peer("x", FOUR)] if member else leaves)
    sub = [random_game_term(a, chance, depth - 1, member=member) for _ in range(3)]
    op = chance.choice("add mul if max min abs neg floor mean sum not".split())
    if op == "if":
        return a.op("if", a.op(chance.choice(["lt", "le", "eq", "ne"]), *sub[:2]), sub[1], sub[2])
    if op == "not":
        both = a.op("and", *(a.op("lt", s, sub[0]) for s in sub[1:]))
        return a.op("real", a.op("ind", a.op("not", both)))
    if op == "mean":
        return sub[0] if member else a.mean(random_game_term(a, chance, depth - 1, member=True))
    if op == "sum":
        return a.over("sum_over", FOUR, lambda k: a.mul(sub[0], a.op("real", k)))
    return a.op(op, *sub[: 1 if op in ("abs", "neg", "floor") else 2])


def plain(member: Member) -> dict[tuple[str, str], float]:
    return {(op.removeprefix("peer_"), name): float(v) for (op, name, _), v in member.items()}


@pytest.mark.parametrize("seed", range(60))
def test_certified_values_hold_those_of_the_interpreter(seed: int) -> None:
    chance = random.Random(seed)
    a = Algebra()
    root = random_game_term(a, chance, 3, member=False)
    terms, (kept,) = a.terms(root)
    model = Model.model_construct(
        abi=ABI,
        nodes=tuple(a.b.nodes),
        types=tuple(a.b.types),
        arrays=(),
        grids=(),
        parameters=(),
        players=(),
        horizon=Horizon(kind="finite", steps=10),
    )
    for point in points(terms, (kept,), 5):
        own = {(op, name): float(v) for (op, name, _), v in point.own.items() if op == "state"}
        laws = {
            population: [(plain(member), float(mass)) for mass, member in law]
            for population, law in point.laws.items()
        }
        own.setdefault(("state", "x"), 0.0)
        laws.setdefault("people", [({("state", "x"): 0.0}, 1.0)])
        where = Environment(own=own, laws=laws, parameters={"p": 0.3})
        expected = evaluate(model, root, where)
        lo, hi = value_at(terms, kept, point)
        assert float(lo) - 1e-9 <= expected <= float(hi) + 1e-9


def test_points_are_the_same_each_time_and_use_bound_parameters() -> None:
    a = Algebra()
    terms, (root,) = a.terms(a.mul(a.p("p", 0.3), a.x(), a.mean(a.peer())))
    first, again = (list(points(terms, (root,), 4)) for _ in range(2))
    assert first == again
    assert all(set(p.own) == {("state", "x", ())} for p in first)
    at = Point({("state", "x", ()): F(2)}, {"people": [(F(1), {("peer_state", "x", ()): F(5)})]})
    assert value_at(terms, root, at) == (3, 3)
    other = Point({**at.own, ("param", "p", ()): F(1)}, at.laws)
    assert value_at(terms, root, other) == (10, 10)
    assert all(sum(mass for mass, _ in p.laws["people"]) == 1 for p in first)


def test_traits_of_others_have_a_law_of_their_own() -> None:
    a = Algebra()
    trait = a.mean(a.b.add("peer_trait", (), (0, "beta"), REAL))
    terms, (root,) = a.terms(trait)
    with pytest.raises(UnsupportedError, match="mean over a trait"):
        list(points(terms, (root,), 1))


def test_sums_and_differences_of_terms() -> None:
    a = Algebra()
    terms, (x, y) = a.terms(a.x("x"), a.x("y"))
    assert terms.builder.exact(total(terms, ())) == 0
    at = Point({("state", "x", ()): F(5), ("state", "y", ()): F(3)})
    assert value_at(terms, difference(terms, x, y), at) == (2, 2)
