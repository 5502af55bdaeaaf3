"""Images of variables in a question: arithmetic over own variables, parameters and numbers.

`require` knows the whole language; a question is asked of a finished model, where functions and
sets of the spec are gone.
"""

from collections.abc import Sequence

from mfdsl.compiler.analysis.kernels import leaf_of
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.ir.model import Model, Player
from mfdsl.compiler.ir.types import BOOL, INT, REAL, Type
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax import ast

COMPARED = {"==": "eq", "!=": "ne", "<": "lt", "<=": "le"}
CALLED = {"rem": 2, "min": 2, "max": 2, "abs": 1}


class ImageError(ValueError):
    """A part of an image that has no meaning here; `span` is where it stands."""

    def __init__(self, message: str, span: Span) -> None:
        super().__init__(message)
        self.span = span


def image(model: Model, copies: Copies, player: Player, tree: ast.Expr) -> int:
    """The node of an image.

    Raises:
        ImageError: a name that the player does not have, or an operator that is not known here.
    """

    def of(part: ast.Expr) -> int:
        return image(model, copies, player, part)

    match tree:
        case ast.Paren(inner=inner):
            return of(inner)
        case ast.Number(value=value, integral=integral):
            kept = int(value) if integral else float(value)
            return copies.add("const", (), kept, _type(copies, INT if integral else REAL))
        case ast.Boolean(value=value):
            return copies.add("const", (), int(value), _type(copies, BOOL))
        case ast.Name(name=name):
            return _leaf(model, copies, player, name, tree.span)
        case ast.Negate(operand=operand):
            return _numeric(copies, "neg", (of(operand),))
        case ast.Sum(terms=terms, signs=signs):
            parts = [
                of(t) if sign == "+" else _numeric(copies, "neg", (of(t),))
                for t, sign in zip(terms, signs, strict=True)
            ]
            return _numeric(copies, "add", parts)
        case ast.Product(factors=factors, operators=operators):
            found = of(factors[0])
            for factor, operator in zip(factors[1:], operators[-len(factors) + 1 :], strict=True):
                op = "mul" if operator == "*" else "div"
                found = _numeric(copies, op, (found, of(factor)), real=op == "div")
            return found
        case ast.If(condition=condition, then=then, otherwise=otherwise):
            both = _alike(copies, (of(then), of(otherwise)))
            return copies.add("if", (of(condition), *both), None, copies.nodes[both[0]].type)
        case ast.Compare(operands=(left, right), operators=(operator,)):
            return _compared(copies, of(left), of(right), operator)
        case ast.Call(function=function, arguments=arguments):
            if CALLED.get(function.name) == len(arguments):
                return _numeric(copies, function.name, [of(a.value) for a in arguments])
    raise ImageError("not known in a question: write it as `require invariant(...)`", tree.span)


def _leaf(model: Model, copies: Copies, player: Player, name: str, span: Span) -> int:
    for kind, group in (("state", player.states), ("trait", player.traits)):
        for variable in group:
            if variable.name == name:
                leaf = leaf_of(copies.facts, player, name, kind)
                return leaf if leaf is not None else copies.add(kind, (), name, variable.type)
    for action in player.actions:
        if action.name == name:
            leaf = leaf_of(copies.facts, player, name, "action")
            return leaf if leaf is not None else copies.add("action", (), name, action.type)
    for parameter in model.parameters:
        if parameter.name == name and isinstance(parameter.value, int | float):
            real = model.types[parameter.type].kind == "real"
            return copies.add("const", (), parameter.value, _type(copies, REAL if real else INT))
    for enum in model.enums:
        if name in enum.values:
            type_ = Type(kind="enum", lo=0, hi=len(enum.values) - 1, name=enum.name)
            return copies.add("const", (), enum.values.index(name), _type(copies, type_))
    raise ImageError(f"`{player.name}` knows no `{name}`", span)


def _numeric(copies: Copies, op: str, args: Sequence[int], *, real: bool = False) -> int:
    """An operator on numbers, which are whole if all of them are and `real` does not ask else."""
    alike = _alike(copies, args, real=real)
    kind = copies.types[copies.nodes[alike[0]].type].kind
    return copies.add(op, alike, None, _type(copies, REAL if kind == "real" else INT))


def _alike(copies: Copies, args: Sequence[int], *, real: bool = False) -> tuple[int, ...]:
    """Whole numbers as reals where others are reals."""
    kinds = [copies.types[copies.nodes[a].type].kind for a in args]
    if not real and "real" not in kinds:
        return tuple(args)
    to = _type(copies, REAL)
    return tuple(
        a if kind == "real" else copies.add("real", (a,), None, to)
        for a, kind in zip(args, kinds, strict=True)
    )


def _compared(copies: Copies, left: int, right: int, operator: str) -> int:
    if operator in (">", ">="):
        left, right, operator = right, left, operator.replace(">", "<")
    args = _alike(copies, (left, right))
    return copies.add(COMPARED[operator], args, None, _type(copies, BOOL))


def _type(copies: Copies, type_: Type) -> int:
    if type_ not in copies.types:
        copies.types.append(type_)
    return copies.types.index(type_)
