"""Calls: built-in functions and functions of the spec."""

from dataclasses import replace

from mfdsl.compiler.diagnostics import Edit, Help
from mfdsl.compiler.sema import expressions, names, sets
from mfdsl.compiler.sema.builtins import BUILTINS, arity_fits
from mfdsl.compiler.sema.comprehensions import OVER_SETS
from mfdsl.compiler.sema.context import Context, LetSymbol, ParameterSymbol, VariableSymbol
from mfdsl.compiler.sema.dependencies import identifiers
from mfdsl.compiler.sema.distributions import NAMED, WHOLE
from mfdsl.compiler.sema.unknown_names import unknown_name
from mfdsl.compiler.sema.values import (
    POISON,
    Env,
    Function,
    Handle,
    Poison,
    Term,
    Value,
)
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax import ast

MAX_EXPANSIONS = 10_000


def lower_call(ctx: Context, env: Env, expr: ast.Call) -> Value:
    """A call with ordinary arguments."""
    name = expr.function.name
    symbol = names.find(ctx, env, name)
    if isinstance(symbol, Function):
        return _expand(ctx, env, symbol, expr)
    if isinstance(symbol, Poison):
        return POISON
    if symbol is not None:
        place = symbol.span if isinstance(symbol, VariableSymbol) else None
        return ctx.error(
            "MFG206",
            f"`{name}` is not a function",
            expr.function.span,
            "it cannot be called",
            also=[(place, f"`{name}` is this {symbol.kind} here")]
            if isinstance(symbol, VariableSymbol) and place is not None
            else [],
            helps=_in_brackets(ctx, symbol, expr),
        )
    if name in NAMED:
        kind = "bool" if name == "bernoulli" else "int" if name in WHOLE else "real"
        return ctx.error(
            "MFG207",
            f"`{ctx.written(expr.span)}` is a distribution, not a value",
            expr.span,
            "a value is needed here",
            helps=[
                f"declare `noise z : {kind} ~ {ctx.written(expr.span)}` in the block, and use `z`"
            ],
        )
    rule = BUILTINS.get(name)
    if rule is None:
        return _unknown_function(ctx, env, expr)
    if not arity_fits(ctx, rule, expr):
        return POISON
    return rule.lower(ctx, env, expr)


def _in_brackets(ctx: Context, symbol: Value | object, expr: ast.Call) -> list[Help | str]:
    """`mu(I)` means `mu[h = I]`, and `price(t)` means `price[t]`."""
    if isinstance(symbol, ParameterSymbol | VariableSymbol) and symbol.axes and expr.arguments:
        file, last = expr.span.file, expr.arguments[-1].span.end
        edits = (
            Edit(Span(file, expr.function.span.end, expr.arguments[0].span.start), "["),
            Edit(Span(file, last, expr.span.end), "]"),
        )
        return [Help(f"entries are `{ctx.written(expr.span, edits)}`", edits, applicable=True)]
    if not isinstance(symbol, Handle) or len(expr.arguments) != 1:
        return []
    states = list(ctx.players[symbol.player].states)
    argument = expr.arguments[0].value
    if not states:
        return []
    value = ctx.written(argument.span)
    words = f"the mass at a value is `{expr.function.name}[{states[0]} = {value}]`"
    file, end = expr.span.file, expr.span.end
    edits = (
        Edit(Span(file, expr.function.span.end, argument.span.start), f"[{states[0]} = "),
        Edit(Span(file, argument.span.end, end), "]"),
    )
    return [Help(words, edits, applicable=True)]


def _unknown_function(ctx: Context, env: Env, expr: ast.Call) -> Poison:
    name = expr.function.name
    if name in ("mean", "prob", *OVER_SETS):
        return ctx.error(
            "MFG206",
            f"`{name}` needs `for`",
            expr.span,
            "over what?",
            helps=_for_members(ctx, expr),
        )
    return unknown_name(ctx, env, name, expr.function.span)


def _for_members(ctx: Context, expr: ast.Call) -> list[Help | str]:
    """`prob(h == I)` means `prob(q.h == I for q in person)`."""
    name = expr.function.name
    helps: list[Help | str] = []
    populations = [scope for scope in ctx.players.values() if scope.kind == "population"]
    end = Span(expr.span.file, expr.span.end - 1, expr.span.end - 1)
    for scope in populations[:2]:
        edits = [
            Edit(Span(span.file, span.start, span.start), "q.")
            for argument in expr.arguments
            for word, span in identifiers(argument.value, plain=True)
            if isinstance(scope.members.get(word), VariableSymbol | LetSymbol)
        ]
        if not edits and name not in ("mean", "prob"):
            continue
        if name == "mean" and isinstance(expr.arguments[0].value, ast.Compare | ast.Not):
            edits.append(Edit(expr.function.span, "prob"))
        edits.append(Edit(end, f" for q in {scope.name}"))
        words = f"go over all members: `{ctx.written(expr.span, edits)}`"
        sure = name in ("mean", "prob") and len(populations) == 1
        helps.append(Help(words, tuple(edits), applicable=True) if sure else words)
    return helps


def _expand(ctx: Context, env: Env, function: Function, expr: ast.Call) -> Value:
    """The body of a function of the spec with the arguments in place of its names."""
    declaration = function.declaration
    name = declaration.name.name
    ctx.used.add(expr.function.name)
    if len(expr.arguments) != len(declaration.arguments):
        count = len(declaration.arguments)
        return ctx.error(
            "MFG206",
            f"`{name}` takes {count} argument{'s' * (count != 1)}, got {len(expr.arguments)}",
            expr.span,
            f"{len(expr.arguments)} here",
            also=[(declaration.name.span, "defined here")],
        )
    if any(open_ is declaration for open_ in ctx.open_functions):
        return ctx.error(
            "MFG210",
            f"`{name}` calls itself, through a `let` that it reads",
            expr.span,
            "called again",
            also=[(declaration.name.span, "defined here")],
            helps=["functions are expanded where they are called, so recursion is not possible"],
        )
    ctx.expansions += 1
    if not ctx.may_nest(expr.span) or not _expansions_fit(ctx, expr):
        return POISON
    bound: dict[str, Value] = {}
    for parameter, argument in zip(declaration.arguments, expr.arguments, strict=True):
        if argument.name is not None:
            return ctx.error("MFG206", f"`{name}` takes unnamed arguments", argument.name.span)
        value = _argument(ctx, env, argument.value)
        if isinstance(value, Term) and parameter.type is not None and not parameter.type.dims:
            home = Env(file=function.file, static=True)
            place = argument.value.span
            value = expressions.declared(ctx, home, parameter.name, parameter.type, value, place)
        if isinstance(value, Poison):
            return POISON
        bound[parameter.name.name] = value
    ctx.open_functions.append(declaration)
    ctx.open_definitions += 1
    inner = replace(env, file=function.file, player=None, view=None, locals=bound, target=None)
    result = expressions.lower(ctx, inner, declaration.body)
    ctx.open_definitions -= 1
    ctx.open_functions.pop()
    return result


def _expansions_fit(ctx: Context, expr: ast.Call) -> bool:
    if ctx.expansions == MAX_EXPANSIONS + 1:
        ctx.error(
            "MFG703",
            f"functions are expanded more than {MAX_EXPANSIONS:,} times",
            expr.span,
            "one expansion too many",
            helps=["a function that calls another one twice doubles the work: name it with `let`"],
        )
    return ctx.expansions <= MAX_EXPANSIONS


def _argument(ctx: Context, env: Env, expr: ast.Expr) -> Value:
    if isinstance(expr, ast.Range | ast.FiniteSet):
        return sets.lower_set(ctx, env, expr)
    return expressions.lower(ctx, env, expr)
