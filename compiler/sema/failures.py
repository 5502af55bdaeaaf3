"""Where an obligation or a claim fails, with the values of variables as a spec writes them."""

import math
from collections.abc import Mapping
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
ROOM = 1e-9  # for rounding, beside 1 and numbers below it

Missing = Literal["proof", "room"]

MISSING = {
    "proof": {
        "probability": "this weight could not be shown to be at least 0",
        "total": "these weights could not be shown to add up to at most 1",
        "one": "these weights could not be shown to add up to 1",
        "range": "{o.text} could not be shown to stay in its domain",
        "ball": "{o.text} could not be shown to stay in its domain",
        "nonnegative": "{of} a value that could not be shown to be at least 0",
        "positive": "{of} a value that could not be shown to be positive",
        "exponent": "`exp` of a value that could not be shown to be small enough",
    },
    "room": {
        "probability": "this weight may be rounded below 0",
        "total": "these weights may be rounded to more than 1",
        "one": "these weights may be rounded to another sum than 1",
        "exponent": "`exp` of a value that may be rounded to one that is too large",
        "range": "{o.text} may be rounded out of its domain",
        "ball": "{o.text} may be rounded out of its domain",
        "nonnegative": "{of} a value that may be rounded below 0",
        "nonzero": "divides by a value that may be rounded to 0",
        "positive": "{of} a value that may be rounded to 0",
    },
}


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


def reach(value: float) -> str:
    """A value for people; the outward rounding of enclosures is not shown."""
    return "0" if abs(value) < 1e-300 else f"{value:.6g}"


def at_text(witness: Mapping[str, str]) -> str:
    """Where that is, in values of variables."""
    shown = ", ".join(f"{name} = {value}" for name, value in list(witness.items())[:6])
    return f" at {shown}" if shown else ""


def notes_of(kind: str, f: Failure) -> list[str]:
    """Where it fails, and that this is not known where no such place was found."""
    at = "" if kind == "probability" else at_text(f.witness)
    if f.laws:
        return [f"for example{at}, where {', and '.join(f.laws)}".replace("example, ", "example ")]
    if f.missing == "room":
        return ["this is where the formula stays; its sums and products are rounded when it runs"]
    if f.missing == "proof":
        return ["these bounds are proved, but no values were found that break the rule"]
    return [f"for example{at}"] if at else []
