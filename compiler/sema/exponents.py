"""What is known of the exponent of a power whatever values its parameters get."""

import math
from functools import partial

import numpy as np

from mfdsl.compiler.analysis.intervals import RULES, Interval, point
from mfdsl.compiler.ir.types import Type
from mfdsl.compiler.sema.context import Context, ParameterSymbol
from mfdsl.compiler.sema.values import Term

_PLAIN = ("add", "mul", "neg", "div", "min", "max", "real")


def is_count(ctx: Context, exponent: Term) -> bool:
    """Whether an exponent is a parameter that is a whole number from 0 on."""
    node = ctx.builder.nodes[exponent.node]
    if node.op != "param" or exponent.type.kind != "int":
        return False
    lowest = _declared(ctx, str(node.attr)).lo
    return lowest is not None and lowest >= 0


def is_positive(ctx: Context, exponent: Term) -> bool:
    """Whether an exponent of numbers and parameters is above 0 in all of their ranges.

    0 has such a power.
    """
    value = _enclosed(ctx, exponent.node)
    return value is not None and bool(value.lo > 0)


def _enclosed(ctx: Context, at: int) -> Interval | None:
    """The values of a node of numbers and parameters over the ranges of these."""
    node = ctx.builder.nodes[at]
    exact = ctx.builder.exact(at)
    if exact is not None:
        return point(np.float64(float(exact)))
    if node.op == "param" and not ctx.builder.types[node.type].dims:
        declared = _declared(ctx, str(node.attr))
        lo = -math.inf if declared.lo is None else declared.lo
        hi = math.inf if declared.hi is None else declared.hi
        return Interval(np.asarray(float(lo)), np.asarray(float(hi)))
    if node.op not in _PLAIN:
        return None
    args = [value for value in map(partial(_enclosed, ctx), node.args) if value is not None]
    if len(args) < len(node.args):
        return None
    return RULES[node.op](*args)


def _declared(ctx: Context, name: str) -> Type:
    """The type of a parameter, with its range."""
    symbols = (scope.get(name) for scope in ctx.scopes.values())
    return next(s.type for s in symbols if isinstance(s, ParameterSymbol))
