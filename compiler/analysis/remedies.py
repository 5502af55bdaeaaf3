"""What spoils a slope as a spec writes it, and what to write instead."""

from mfdsl.compiler.analysis.slopes.tape import BOOLEAN

WRITTEN = {
    "xlogx": "log",
    "ind": "a condition",
    "pow": "^",
    "div": "/",
    "soft_sign": "/",
    "extreme": "the extreme over members",
}
FIXES = {
    "log": "keep its argument away from 0: `log(... + eps)` has slope at most 1/eps",
    "xlogx": "keep its argument away from 0: `log(... + eps)`",
    "sqrt": "keep its argument away from 0: `sqrt(... + eps)`",
    "pow": "keep the base away from 0, or raise the exponent to at least 1",
    "div": "keep the divisor away from 0: `max(..., eps)`",
    "floor": "round at random: `noise r : int ~ dither(...)`",
    "round": "round at random: `noise r : int ~ dither(...)`",
    "ceil": "round at random: `noise r : int ~ dither(...)`",
    "ind": "use a ramp in the place of the condition: `clip((a - b) / width, 0, 1)`",
    "extreme": "few members decide it: with N agents only, or smooth it as a mean of exponentials",
    "rem": "let what is multiplied with it vanish where it goes around",
    "soft_sign": "raise what is added to the divisor",
    "if": "let both branches meet where the condition changes, or use a ramp",
}


def fix_of(op: str) -> str | None:
    """What mends a step that jumps or has a pole."""
    return FIXES.get("ind" if op in BOOLEAN else op)


def written(op: str) -> str:
    """An operator as a spec writes it, in quotes, or what it is in words."""
    if op in BOOLEAN:
        return "a condition"
    word = WRITTEN.get(op, op)
    return word if " " in word else f"`{word}`"
