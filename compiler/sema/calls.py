"""Calls: built-in functions and functions of the spec."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from mfdsl.compiler.diagnostics import Edit, Help
from mfdsl.compiler.ir.types import INT, REAL, Type
from mfdsl.compiler.sema import expressions, graphs, names, sets
from mfdsl.compiler.sema.comprehensions import OVER_SETS
from mfdsl.compiler.sema.context import Context, LetSymbol, VariableSymbol
from mfdsl.compiler.sema.dependencies import identifiers
from mfdsl.compiler.sema.grids import (
    call_col,
    call_dcol,
    call_drow,
    call_free,
    call_path_dist,
    call_row,
    call_step,
    cell_distance,
)
from mfdsl.compiler.sema.operators import (
    add_terms,
    extremum,
    number,
    plain,
    to_real,
    wrap,
)
from mfdsl.compiler.sema.suggestions import between
from mfdsl.compiler.sema.transport import lower_w2
from mfdsl.compiler.sema.unknown_names import unknown_name
from mfdsl.compiler.sema.values import (
    POISON,
    Env,
    Function,
    Poison,
    Term,
    Value,
)
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax import ast

DISTRIBUTIONS = frozenset({"uniform", "bernoulli", "dither"})
REAL_FUNCTIONS = ("exp", "log", "sqrt", "sin", "cos", "tanh")
ROUNDING = ("floor", "ceil", "round")
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
        )
    if name in DISTRIBUTIONS:
        return ctx.error(
            "MFG207",
            f"`{name}(...)` is a distribution, not a value",
            expr.span,
            "a value is needed here",
            helps=["declare `noise z : ... ~ ...` and use `z`"],
        )
    rule = _BUILTINS.get(name)
    if rule is None:
        return _unknown_function(ctx, env, expr)
    if not _arity_fits(ctx, rule, expr):
        return POISON
    return rule.lower(ctx, env, expr)


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
    populations = [scope for scope in ctx.players.values() if scope.kind == "population"]
    if len(populations) != 1:
        return [f"write `{expr.function.name}(... for q in ...)`"]
    owner = populations[0].name
    edits = [
        Edit(Span(span.file, span.start, span.start), "q.")
        for argument in expr.arguments
        for name, span in identifiers(argument.value, plain=True)
        if isinstance(populations[0].members.get(name), VariableSymbol | LetSymbol)
    ]
    end = Span(expr.span.file, expr.span.end - 1, expr.span.end - 1)
    words = f"go over all members: `{expr.function.name}(... for q in {owner})`"
    edits.append(Edit(end, f" for q in {owner}"))
    over_members = expr.function.name in ("mean", "prob")
    return [Help(words, tuple(edits), applicable=over_members)] if over_members else [words]


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
    if name in ctx.open_functions:
        return POISON  # the pass over cycles has reported it
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
    ctx.open_functions.append(name)
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


@dataclass(frozen=True, slots=True)
class Rule:
    """A built-in: its number of arguments (`most` None: any from `least`) and its lowering."""

    least: int
    most: int | None
    lower: Callable[[Context, Env, ast.Call], Value]
    signature: str


def _arity_fits(ctx: Context, rule: Rule, expr: ast.Call) -> bool:
    count = len(expr.arguments)
    named = next((a.name for a in expr.arguments if a.name is not None), None)
    if named is not None:
        ctx.error(
            "MFG206",
            f"`{expr.function.name}` has no argument called `{named.name}`",
            named.span,
            f"written `{rule.signature}`",
            helps=_compared(expr),
        )
        return False
    if count >= rule.least and (rule.most is None or count <= rule.most):
        return True
    wanted = str(rule.least) if rule.most == rule.least else f"at least {rule.least}"
    if rule.most is not None and rule.most != rule.least:
        wanted = f"{rule.least} to {rule.most}"
    ctx.error(
        "MFG206",
        f"`{expr.function.name}` takes {wanted} argument{'s' * (wanted != '1')}, got {count}",
        expr.span,
        f"{count} here",
        notes=[f"written `{rule.signature}`"],
    )
    return False


def _compared(expr: ast.Call) -> list[Help]:
    """`ind(a = home)` means `ind(a == home)`."""
    pairs = [(a.name.span, a.value.span) for a in expr.arguments if a.name is not None]
    return [between(*pairs[0], " == ", "comparisons are written `==`")] if pairs else []


def _numbers(ctx: Context, env: Env, expr: ast.Call) -> list[Term] | None:
    values = [expressions.lower_number(ctx, env, a.value) for a in expr.arguments]
    terms = [v for v in values if isinstance(v, Term)]
    return terms if len(terms) == len(values) else None


def _real_function(ctx: Context, env: Env, expr: ast.Call) -> Value:
    terms = _numbers(ctx, env, expr)
    if terms is None:
        return POISON
    operand = to_real(ctx, terms[0])
    name = expr.function.name
    if name == "log":
        ctx.oblige("positive", operand, expr.arguments[0].span, env, text="log")
    if name == "exp" and ctx.exact(operand) is None:
        ctx.oblige("exponent", operand, expr.arguments[0].span, env)
    if name == "sqrt":
        ctx.oblige("nonnegative", operand, expr.arguments[0].span, env, text="sqrt")
    return ctx.node(name, (operand.node,), REAL, expr.span)


def _rounding(ctx: Context, env: Env, expr: ast.Call) -> Value:
    terms = _numbers(ctx, env, expr)
    if terms is None:
        return POISON
    if terms[0].type.kind == "int":
        return terms[0]
    rounded = ctx.node(expr.function.name, (terms[0].node,), INT, expr.span)
    if ctx.exact(rounded) is None:
        ctx.oblige("size", rounded, expr.span, env)
    return rounded


def _abs(ctx: Context, env: Env, expr: ast.Call) -> Value:
    terms = _numbers(ctx, env, expr)
    if terms is None:
        return POISON
    if terms[0].type.periodic:
        return ctx.error(
            "MFG201",
            "a position on a ring has no size",
            expr.span,
            "differences on a ring wrap around",
            helps=["the distance on the ring is `dist(a, b)`"],
        )
    return ctx.node("abs", (terms[0].node,), plain(terms[0].type), expr.span)


def _extremum(ctx: Context, env: Env, expr: ast.Call) -> Value:
    terms = _numbers(ctx, env, expr)
    return POISON if terms is None else extremum(ctx, expr.function.name, terms, expr.span)


def _rem(ctx: Context, env: Env, expr: ast.Call) -> Value:
    terms = _numbers(ctx, env, expr)
    if terms is None:
        return POISON
    real = any(t.type.kind == "real" for t in terms)
    a, b = (to_real(ctx, t) if real else t for t in terms)
    if ctx.exact(b) == 0:
        return ctx.error("MFG304", "divides by 0", expr.arguments[1].span, "this is 0")
    if ctx.exact(b) is None:
        # code computes both branches of an `if`, and whole numbers have no quotient by 0
        where = env if real else replace(env, guards=())
        ctx.oblige("nonzero", b, expr.arguments[1].span, where)
    return ctx.node("rem", (a.node, b.node), REAL if real else INT, expr.span)


def _clip(ctx: Context, env: Env, expr: ast.Call) -> Value:
    terms = _numbers(ctx, env, expr)
    if terms is None:
        return POISON
    if len(terms) == 2:
        return ctx.error(
            "MFG206",
            "`clip` takes 1 or 3 arguments, got 2",
            expr.span,
            "the upper or the lower end is missing",
            notes=["written `clip(x, lo, hi)`"],
        )
    if len(terms) == 1:
        target = env.target
        if target is None or not target.numeric or target.lo is None or target.periodic:
            return ctx.error(
                "MFG206",
                "`clip` with one argument clips to the domain of the state that is set",
                expr.span,
                "no such domain here",
                helps=["write `clip(x, lo, hi)`"],
            )
        assert target.hi is not None
        terms = [terms[0], ctx.integer(int(target.lo)), ctx.integer(int(target.hi))]
    upper = extremum(ctx, "min", [terms[0], terms[2]], expr.span)
    return extremum(ctx, "max", [upper, terms[1]], expr.span)


def _ind(ctx: Context, env: Env, expr: ast.Call) -> Value:
    condition = expressions.lower_condition(ctx, env, expr.arguments[0].value)
    if isinstance(condition, Poison):
        return POISON
    return ctx.node("ind", (condition.node,), INT, expr.span)


def _dist(ctx: Context, env: Env, expr: ast.Call) -> Value:
    left = expressions.lower(ctx, env, expr.arguments[0].value)
    right = expressions.lower(ctx, env, expr.arguments[1].value)
    if isinstance(left, Poison) or isinstance(right, Poison):
        return POISON
    if isinstance(left, Term) and left.type.kind == "cell":
        return cell_distance(ctx, left, right, expr)
    a = number(ctx, left, expr.arguments[0].span)
    b = number(ctx, right, expr.arguments[1].span)
    if isinstance(a, Poison) or isinstance(b, Poison):
        return POISON
    rings = [t.type for t in (a, b) if t.type.periodic]
    if not rings or REAL.kind in (a.type.kind, b.type.kind):
        numbers = [Term(t.node, plain(t.type)) for t in (a, b)]
        gap = add_terms(ctx, numbers, ("+", "-"), expr.span)
        if isinstance(gap, Poison):
            return POISON
        return ctx.node("abs", (gap.node,), plain(gap.type), expr.span)
    forth = add_terms(ctx, [Term(a.node, INT), Term(b.node, INT)], ("+", "-"), expr.span)
    back = add_terms(ctx, [Term(b.node, INT), Term(a.node, INT)], ("+", "-"), expr.span)
    if isinstance(forth, Poison) or isinstance(back, Poison):
        return POISON
    ring = Type(kind="int", lo=0, hi=rings[0].size - 1, periodic=True)
    ways = [wrap(ctx, gap, ring, expr.span) for gap in (forth, back)]
    return extremum(ctx, "min", [Term(w.node, INT) for w in ways], expr.span)


def _link_end(ctx: Context, env: Env, expr: ast.Call) -> Value:
    value = expressions.lower(ctx, env, expr.arguments[0].value)
    return graphs.lower_end(ctx, value, expr.function.name, expr.span)


_BUILTINS: dict[str, Rule] = {
    **{f: Rule(1, 1, _real_function, f"{f}(x)") for f in REAL_FUNCTIONS},
    **{f: Rule(1, 1, _rounding, f"{f}(x)") for f in ROUNDING},
    "abs": Rule(1, 1, _abs, "abs(x)"),
    "min": Rule(2, None, _extremum, "min(a, b, ...)"),
    "max": Rule(2, None, _extremum, "max(a, b, ...)"),
    "rem": Rule(2, 2, _rem, "rem(a, b)"),
    "clip": Rule(1, 3, _clip, "clip(x, lo, hi)"),
    "ind": Rule(1, 1, _ind, "ind(condition)"),
    "dist": Rule(2, 2, _dist, "dist(a, b)"),
    "tail": Rule(1, 1, _link_end, "tail(link)"),
    "head": Rule(1, 1, _link_end, "head(link)"),
    "row": Rule(1, 1, call_row, "row(cell)"),
    "col": Rule(1, 1, call_col, "col(cell)"),
    "drow": Rule(1, 1, call_drow, "drow(move)"),
    "dcol": Rule(1, 1, call_dcol, "dcol(move)"),
    "step": Rule(2, 2, call_step, "step(cell, move)"),
    "free": Rule(2, 2, call_free, "free(cell, move)"),
    "w2": Rule(2, 2, lower_w2, "w2(population.variable, points)"),
    "path_dist": Rule(2, 2, call_path_dist, "path_dist(cell, region)"),
}
