"""Where an obligation or a claim fails, with the values of variables as a spec writes them."""

import math
from dataclasses import dataclass
from typing import Literal

from mfdsl.compiler.analysis.certificate import Verdict
from mfdsl.compiler.analysis.enclosure import Facts
from mfdsl.compiler.ir.model import Node
from mfdsl.compiler.sema.context import Context
from mfdsl.compiler.sema.sets import value_name

TOLERANCE = 1e-12
# For weights that only their sum makes a law: tables from files carry rounded decimals.
SUM_TOLERANCE = 1e-9
MAX_EXPONENT = 709.0  # exp of more is no float

Missing = Literal["proof", "room"]


@dataclass(frozen=True, slots=True)
class Failure:
    """Where an obligation fails: the enclosure there and the values of the variables, by name.

    `ends` enclose it everywhere. `laws` are the laws there. Where no such point was found,
    `missing` says what is: any proof at all, or one that leaves room for rounding.
    """

    lo: float
    hi: float
    certain: bool
    witness: dict[str, str]
    ends: tuple[float, float] = (-math.inf, math.inf)
    laws: tuple[str, ...] = ()
    missing: Missing | None = None


@dataclass(frozen=True, slots=True)
class KnownRange:
    """What is known of a value beside the range that is claimed of it: a proved enclosure, or
    where it is refuted an `example` that is attained, with `notes` where.
    """

    verdict: Verdict
    lo: float
    hi: float
    methods: tuple[str, ...] = ()
    example: str | None = None
    notes: tuple[str, ...] = ()


def leaf_value(ctx: Context, facts: Facts, node: Node, position: int) -> tuple[str, str]:
    """The name of a finite variable as it is written, and its value at a position."""
    if node.op == "time":
        return "t", str(position)
    type_ = facts.types[node.type]
    return written_name(ctx, node), value_name(ctx, type_, type_.first + position)


def written_name(ctx: Context, node: Node) -> str:
    """A variable by its name; what `x' ~ ...` draws is called `x'`."""
    if node.op == "time":
        return "t"
    if node.op == "index":
        return "index"
    if isinstance(node.attr, tuple):
        owner = "q" if node.op.startswith("peer_") else node.attr[0]
        return f"{owner}.{node.attr[1]}"
    declared = any(node.attr in scope.members for scope in ctx.players.values())
    if node.op == "noise" and not declared:
        return str(node.attr).removesuffix("_next") + "'"
    return str(node.attr)
