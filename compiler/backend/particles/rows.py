"""Texts of elementwise operators of agents, with slopes that stay finite.

A slope is 0 where the root or the length of 0 has none. In a branch that may not be taken, what
would divide by 0 there gets another operand, so that no nan comes back through `torch.where`.
"""

from collections.abc import Sequence

from mfdsl.compiler.backend.torch_ops import ROWS, Row, as_tensor
from mfdsl.compiler.backend.torch_text import ADD, ATOM, MUL, Text, call


def _helper(name: str) -> Row:
    return lambda args, unit: (call(name, *(a.code for a in args)), ATOM)


def _of_components(name: str) -> Row:
    """A helper that may write over its first argument, where that is a sum made for it."""

    def row(args: Sequence[Text], unit: Text) -> tuple[str, int]:
        codes = [as_tensor(a) for a in args]
        return call(name, *codes, *(["over=True"] if args[0].level == ADD else [])), ATOM

    return row


PARTICLE_ROWS: dict[str, Row] = {
    **ROWS,
    "softplus": _helper("_softplus"),
    "sqrt": _helper("_sqrt"),
    "length": _of_components("_length"),
    "square": _of_components("_square"),
    "hold": lambda args, unit: (f"{args[0].at(ATOM)}.detach()", ATOM),
}
UNTAKEN_ROWS: dict[str, Row] = {
    "sqrt": _helper("_sqrt_or_0"),
    "log": _helper("_log_or_0"),
    "div": _helper("_quotient"),
    "rem": _helper("_remainder"),
    "pow": _helper("_power"),
}


def guarded(op: str, args: Sequence[Text]) -> bool:
    """Whether an operator needs its guarded form in a branch that may not be taken."""
    if op not in UNTAKEN_ROWS:
        return False
    if op == "rem":
        return args[1].literal is None
    if op == "div":
        count = ".shape[" in args[1].code and not args[1].batch  # a number of agents, at least 1
        return args[1].literal is None and not count
    if op == "pow":
        exponent = args[1].literal
        return exponent is None or exponent < 1 or exponent != int(exponent)
    return True


def _is_root(op: str, args: Sequence[Text]) -> bool:
    """Whether it is a power that has a value but no slope at 0."""
    exponent = args[1].literal if op == "pow" else None
    return exponent is not None and 0 < exponent < 1


def row_of(op: str, args: Sequence[Text], unit: Text, untaken: bool) -> tuple[str, int, str]:
    """The code of an operator, its precedence, and the helper that it calls, if any."""
    if _is_root(op, args) or (untaken and guarded(op, args)):
        if args[0].literal is not None and op != "rem":
            args = [Text(f"{args[0].code} * {unit.code}", MUL), *args[1:]]
        code, level = UNTAKEN_ROWS[op](args, unit)
    else:
        code, level = PARTICLE_ROWS[op](args, unit)
    helper = code.split("(")[0] if code.startswith("_") else ""
    return code, level, helper
