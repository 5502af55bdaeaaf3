"""One row per elementwise operator: the torch text of its value.

Rows get the texts of the arguments, lifted to common axes, and `unit`, the text of the number 1 in
the dtype of the call, which keeps literals from falling to torch's default dtype.
"""

import re
from collections.abc import Callable, Sequence

from mfdsl.compiler.backend.torch_text import (
    ADD,
    AND,
    ATOM,
    COMPARE,
    MUL,
    OR,
    POWER,
    UNARY,
    Text,
    call,
)

Row = Callable[[Sequence[Text], Text], tuple[str, int]]


def _add(args: Sequence[Text], unit: Text) -> tuple[str, int]:
    code = args[0].at(ADD)
    for arg in args[1:]:
        code += f" - {arg.minus.at(MUL)}" if arg.minus else f" + {arg.at(ADD)}"
    return code, ADD


def _mul(args: Sequence[Text], unit: Text) -> tuple[str, int]:
    return " * ".join([args[0].at(MUL), *(a.at(UNARY) for a in args[1:])]), MUL


def _infix(symbol: str) -> Row:
    return lambda args, unit: (f"{args[0].at(MUL)} {symbol} {args[1].at(UNARY)}", MUL)


def _power(args: Sequence[Text], unit: Text) -> tuple[str, int]:
    exponent = args[1].at(UNARY)
    if args[1].literal is not None and args[1].literal == int(args[1].literal):
        exponent = str(int(args[1].literal))
    return f"{args[0].at(ATOM)} ** {exponent}", POWER


def _compare(symbol: str) -> Row:
    return lambda args, unit: (f"{args[0].at(OR)} {symbol} {args[1].at(OR)}", COMPARE)


def _equal(args: Sequence[Text], unit: Text) -> tuple[str, int]:
    for one, other in (args, args[::-1]):
        if other.literal is True:
            return one.code, one.level
        if other.literal is False:
            return f"~{one.at(UNARY)}", UNARY
    return f"{args[0].at(OR)} == {args[1].at(OR)}", COMPARE


def _logic(symbol: str, level: int) -> Row:
    return lambda args, unit: (f" {symbol} ".join(a.at(level + 1) for a in args), level)


def _function(name: str) -> Row:
    return lambda args, unit: (call(f"torch.{name}", args[0].code), ATOM)


def _whole(name: str) -> Row:
    return lambda args, unit: (f"torch.{name}({args[0].code}).long()", ATOM)


def _method(name: str) -> Row:
    return lambda args, unit: (f"{args[0].at(ATOM)}.{name}()", ATOM)


def _extremum(name: str, clamp: str) -> Row:
    def row(args: Sequence[Text], unit: Text) -> tuple[str, int]:
        tensors = [a for a in args if a.literal is None]
        code, level = tensors[0].code, tensors[0].level
        for other in tensors[1:]:
            code, level = call(f"torch.{name}", code, other.code), ATOM
        for literal in (a for a in args if a.literal is not None):
            method = "clamp_" if level in (ADD, MUL) else "clamp"  # nobody else has a sum as such
            inner = code if level == ATOM else f"({code})"
            code, level = _clamped(inner, method, clamp, literal), ATOM
        return code, level

    return row


def scales_unit(op: str, args: Sequence[Text]) -> bool:
    """Whether a row needs `unit` as an operand: a choice between two numbers other than 0 and 1."""
    if op != "if" or not all(isinstance(a.literal, float) for a in args[1:]):
        return False
    return {args[1].literal, args[2].literal} != {0.0, 1.0}


def _angle(args: Sequence[Text], unit: Text) -> tuple[str, int]:
    return call("torch.atan2", *(as_tensor(a) for a in args)), ATOM


def as_tensor(text: Text) -> str:
    """The code of an operand where torch takes no plain numbers."""
    return text.code if text.literal is None else f"p.unit.new_tensor({text.code})"


def _softplus(args: Sequence[Text], unit: Text) -> tuple[str, int]:
    """Exact everywhere; torch's own `softplus` is a straight line from 20 on."""
    return f"-torch.nn.functional.logsigmoid(-{args[0].at(UNARY)})", UNARY


def _clamped(code: str, method: str, end: str, literal: Text) -> str:
    """Clamp at one end; a clamp at the other end before it makes one of both."""
    other = {"min": "max", "max": "min"}[end]
    before = re.search(rf"\.(clamp_?)\({other}=(-?[\d.e-]+)\)$", code)
    assert literal.literal is not None
    if before:
        first = before.group(2)
        bound = float(first)
        ends = (literal.code, first) if end == "min" else (first, literal.code)
        ordered = literal.literal <= bound if end == "min" else bound <= literal.literal
        if ordered:
            return f"{code[: before.start()]}.{before.group(1)}({ends[0]}, {ends[1]})"
    return f"{code}.{method}({end}={literal.code})"


def _where(args: Sequence[Text], unit: Text) -> tuple[str, int]:
    condition, then, otherwise = args
    a, b = then.literal, otherwise.literal
    if isinstance(a, bool) and isinstance(b, bool):
        return (condition.code, condition.level) if a else (f"~{condition.at(UNARY)}", UNARY)
    if isinstance(a, float) and isinstance(b, float):
        if not scales_unit("if", args):
            kept = condition.at(ATOM) if a else f"(~{condition.at(UNARY)})"
            return f"{kept}.to(p.unit)", ATOM
        scaled = unit.code if a == 1.0 else f"{then.code} * {unit.code}"
        return call("torch.where", condition.code, scaled, otherwise.code), ATOM
    return call("torch.where", condition.code, then.code, otherwise.code), ATOM


ROWS: dict[str, Row] = {
    "add": _add,
    "mul": _mul,
    "min": _extremum("minimum", "max"),
    "max": _extremum("maximum", "min"),
    "and": _logic("&", AND),
    "or": _logic("|", OR),
    "neg": lambda args, unit: (f"-{args[0].at(UNARY)}", UNARY),
    "abs": _method("abs"),
    "sign": _method("sign"),
    "exp": _function("exp"),
    "log": _function("log"),
    "sqrt": _function("sqrt"),
    "sin": _function("sin"),
    "cos": _function("cos"),
    "tanh": _function("tanh"),
    "softplus": _softplus,
    "atan2": _angle,
    "floor": _whole("floor"),
    "ceil": _whole("ceil"),
    "round": _whole("round"),
    "not": lambda args, unit: (f"~{args[0].at(UNARY)}", UNARY),
    "div": _infix("/"),
    "rem": _infix("%"),
    "pow": _power,
    "eq": _equal,
    "ne": _compare("!="),
    "lt": _compare("<"),
    "le": _compare("<="),
    "if": _where,
    "real": lambda args, unit: (f"{args[0].at(ATOM)}.to(p.unit)", ATOM),
    "ind": _method("long"),
}

REDUCTIONS = {
    "sum_over": "sum",
    "prod_over": "prod",
    "min_over": "amin",
    "max_over": "amax",
    "any_over": "any",
    "all_over": "all",
}
GRID = ("row", "col", "drow", "dcol", "cell", "step", "free", "cell_dist", "path_dist", "region")
