"""Which part of an expression may read what of whom, as one table."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from mfdsl.compiler.sema.values import Stage

Relation = Literal["own", "member", "common", "environment"]

ALWAYS: frozenset[Stage] = frozenset(
    ("start", "legal", "noise", "next", "reward", "final", "let", "observe")
)
DURING: frozenset[Stage] = frozenset(("noise", "next", "reward", "let"))
AFTER_NOISE: frozenset[Stage] = frozenset(("next", "reward", "let"))
LAW: frozenset[Stage] = DURING | {"final", "observe"}
NEVER: frozenset[Stage] = frozenset()

READABLE: Mapping[tuple[Relation, str], frozenset[Stage]] = MappingProxyType(
    {
        # plain names inside the block that declares them; a noise also by later noises
        ("own", "state"): ALWAYS,
        ("own", "trait"): ALWAYS,
        ("own", "action"): DURING | {"legal"},
        ("own", "noise"): DURING,
        ("own", "let"): ALWAYS,
        # `q.v` inside `mean` and `prob`
        ("member", "state"): LAW,
        ("member", "trait"): LAW,
        ("member", "action"): DURING,
        ("member", "noise"): NEVER,
        ("member", "let"): LAW,
        # `truck[0].v`
        ("common", "state"): LAW | {"start"},
        ("common", "action"): DURING,
        ("common", "noise"): NEVER,
        ("common", "let"): LAW | {"start"},
        # `market.v`
        ("environment", "state"): LAW | {"start"},
        ("environment", "noise"): AFTER_NOISE,
        ("environment", "let"): LAW | {"start"},
    }
)


def readable(relation: Relation, kind: str, stage: Stage) -> bool:
    """Whether an expression of `stage` may read a `kind` of somebody in that `relation`."""
    return stage in READABLE[relation, kind]
