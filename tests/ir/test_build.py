from fractions import Fraction

import pytest

from mfdsl.compiler.ir.build import Builder
from mfdsl.compiler.ir.types import BOOL, INT, REAL, Type


def test_equal_expressions_are_one_node():
    builder = Builder()
    x = builder.add("state", attr="x", type=INT)
    one = builder.const(1, INT)
    first = builder.add("add", (x, one), type=INT)
    assert builder.add("add", (x, one), type=INT) == first
    assert builder.add("state", attr="x", type=INT) == x


def test_int_real_and_bool_constants_stay_apart():
    builder = Builder()
    assert len({builder.const(1, INT), builder.const(1, REAL), builder.const(1, BOOL)}) == 3


def test_decimal_literals_fold_exactly():
    builder = Builder()
    total = builder.add("add", (builder.const(Fraction("0.06")), builder.const(Fraction("0.94"))))
    assert builder.exact(total) == 1
    assert builder.add("eq", (total, builder.const(1)), type=BOOL) == builder.const(1, BOOL)


def test_bounds_of_number_types_do_not_split_constants():
    builder = Builder()
    assert builder.const(3, Type(kind="int", lo=0, hi=9)) == builder.const(3, INT)


@pytest.mark.parametrize("exponent", [65, 10**9])
def test_large_powers_are_not_folded(exponent):
    builder = Builder()
    node = builder.add("pow", (builder.const(9, INT), builder.const(exponent, INT)), type=INT)
    assert builder.nodes[node].op == "pow"


def test_towers_of_powers_stop_growing():
    builder = Builder()
    node = builder.const(9, INT)
    for _ in range(20):
        node = builder.add("pow", (node, builder.const(64, INT)), type=INT)
    assert builder.nodes[node].op == "pow"


@pytest.mark.parametrize("op", ["div", "rem"])
def test_division_by_zero_stays_for_the_checks(op):
    builder = Builder()
    node = builder.add(op, (builder.const(1), builder.const(0)))
    assert builder.nodes[node].op == op


def test_identities_return_the_operand():
    builder = Builder()
    x = builder.add("state", attr="x", type=INT)
    c = builder.add("lt", (x, builder.const(3, INT)), type=BOOL)
    true = builder.const(1, BOOL)
    assert builder.add("mul", (x, builder.const(1, INT)), type=INT) == x
    assert builder.add("add", (builder.const(0, INT), x), type=INT) == x
    assert builder.add("and", (c, true), type=BOOL) == c
    assert builder.add("or", (c, true), type=BOOL) == true
    assert builder.add("if", (true, x, builder.const(7, INT)), type=INT) == x
    assert builder.add("not", (builder.add("not", (c,), type=BOOL),), type=BOOL) == c
    assert builder.add("neg", (builder.add("neg", (x,), type=INT),), type=INT) == x


def test_constants_of_a_sum_gather_in_the_place_of_the_first():
    builder = Builder()
    x, y = (builder.add("state", attr=n, type=INT) for n in "xy")
    node = builder.add("add", (x, builder.const(2, INT), y, builder.const(3, INT)), type=INT)
    assert builder.nodes[node].args == (x, builder.const(5, INT), y)


@pytest.mark.parametrize("value,rounded", [("0.5", 0), ("1.5", 2), ("2.5", 2), ("-0.5", 0)])
def test_round_is_half_to_even(value, rounded):
    builder = Builder()
    node = builder.add("round", (builder.const(Fraction(value)),), type=INT)
    assert node == builder.const(rounded, INT)


def test_remainder_has_the_sign_of_the_divisor():
    builder = Builder()
    node = builder.add("rem", (builder.const(-1, INT), builder.const(5, INT)), type=INT)
    assert node == builder.const(4, INT)


def test_a_single_constant_of_a_minimum_stays():
    builder = Builder()
    x = builder.add("state", attr="x", type=INT)
    two = builder.const(2, INT)
    assert builder.nodes[builder.add("min", (x, two), type=INT)].args == (x, two)


def test_a_number_does_not_take_the_place_of_an_array():
    builder = Builder()
    pair, flags = Type(kind="real", dims=(2,)), Type(kind="bool", dims=(2,))
    array = builder.add("state", attr="y", type=pair)
    truths = builder.add("lt", (array, builder.const(1)), type=flags)
    true, false, one = builder.const(1, BOOL), builder.const(0, BOOL), builder.const(1)
    for op, args, kept in (
        ("if", (true, one, array), pair),
        ("if", (truths, one, one), pair),
        ("and", (truths, false), flags),
        ("or", (truths, true), flags),
    ):
        assert builder.type_of(builder.add(op, args, type=kept)).dims == (2,)
    assert builder.add("if", (true, array, one), type=pair) == array
