"""Built-in functions: how many arguments each takes, and what it becomes."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from mfdsl.compiler.diagnostics import Help
from mfdsl.compiler.ir.fold import carried
from mfdsl.compiler.ir.types import BOOL, INT, REAL, Type
from mfdsl.compiler.sema import expressions, geometry, graphs, vectors
from mfdsl.compiler.sema.context import Context
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
    common_shape,
    compare,
    extremum,
    plain,
    shaped,
    to_real,
    wrap,
)
from mfdsl.compiler.sema.suggestions import between
from mfdsl.compiler.sema.transport import lower_w2
from mfdsl.compiler.sema.values import (
    POISON,
    Env,
    Poison,
    Term,
    Value,
)
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax import ast

REAL_FUNCTIONS = ("exp", "log", "sqrt", "sin", "cos", "tanh", "softplus")
ROUNDING = ("floor", "ceil", "round")


@dataclass(frozen=True, slots=True)
class Rule:
    """A built-in: its number of arguments (`most` None: any from `least`) and its lowering."""

    least: int
    most: int | None
    lower: Callable[[Context, Env, ast.Call], Value]
    signature: str


def arity_fits(ctx: Context, rule: Rule, expr: ast.Call) -> bool:
    """Whether the arguments of a call are as many as the rule takes, without names."""
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
    """The arguments as numbers and arrays of one shape; None after an error."""
    values = [expressions.lower_numeric(ctx, env, a.value) for a in expr.arguments]
    terms = [v for v in values if isinstance(v, Term)]
    if len(terms) < len(values):
        return None
    spans = [a.value.span for a in expr.arguments]
    return None if common_shape(ctx, terms, spans) is None else terms


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
    return ctx.node(name, (operand.node,), plain(operand.type), expr.span)


def _rounding(ctx: Context, env: Env, expr: ast.Call) -> Value:
    terms = _numbers(ctx, env, expr)
    if terms is None:
        return POISON
    if terms[0].type.kind == "int":
        return terms[0]
    kept = shaped(INT, terms[0].type.dims)
    rounded = ctx.node(expr.function.name, (terms[0].node,), kept, expr.span)
    if ctx.exact(rounded) is None:
        ctx.oblige("size", rounded, expr.span, env)
    return rounded


def _off_rings(ctx: Context, env: Env, expr: ast.Call, missing: str, instead: str) -> Term | None:
    """The one argument, which is on no ring; None after an error."""
    terms = _numbers(ctx, env, expr)
    if terms is None:
        return None
    if terms[0].type.periodic:
        ctx.error(
            "MFG201",
            f"a position on a ring has no {missing}",
            expr.span,
            "differences on a ring wrap around",
            helps=[instead],
        )
        return None
    return Term(terms[0].node, plain(terms[0].type))


def _abs(ctx: Context, env: Env, expr: ast.Call) -> Value:
    x = _off_rings(ctx, env, expr, "size", "the distance on the ring is `dist(a, b)`")
    return POISON if x is None else ctx.node("abs", (x.node,), x.type, expr.span)


def _sign(ctx: Context, env: Env, expr: ast.Call) -> Value:
    """-1, 0 or 1; of one number by cases, so that only one of them changes where it jumps."""
    way = "the shorter way round has one: `sign(displacement(a, b))`"
    x, zero = _off_rings(ctx, env, expr, "sign", way), ctx.constant(0)
    if x is None:
        return POISON
    above, below = (compare(ctx, operator, x, zero, expr.span) for operator in (">", "<"))
    if isinstance(above, Poison) or isinstance(below, Poison):
        return POISON
    kept = shaped(INT, x.type.dims)
    if kept.dims:
        more, less = (ctx.node("ind", (side.node,), kept, expr.span) for side in (above, below))
        return add_terms(ctx, [more, less], ("+", "-"), expr.span)
    minus, none, plus = (ctx.integer(value).node for value in (-1, 0, 1))
    rest = ctx.node("if", (below.node, minus, none), kept, expr.span)
    return ctx.node("if", (above.node, plus, rest.node), kept, expr.span)


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
        guarded = bool(env.guards) and not real and not b.type.dims
        where = env if real or guarded else replace(env, guards=())
        ctx.oblige("nonzero", b, expr.arguments[1].span, where)
        b = _never_zero(ctx, b, expr.span) if guarded else b
    kept = shaped(REAL if real else INT, a.type.dims or b.type.dims)
    return ctx.node("rem", (a.node, b.node), kept, expr.span)


def _never_zero(ctx: Context, b: Term, span: Span) -> Term:
    """1 in the place of 0: code computes both branches of an `if`, and whole numbers have no
    quotient by 0.
    """
    zero = ctx.node("eq", (b.node, ctx.integer(0).node), BOOL, span)
    return ctx.node("if", (zero.node, ctx.integer(1).node, b.node), b.type, span)


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
    if len(terms) == 3:
        return geometry.clipped(ctx, terms[0], terms[1], terms[2], expr.span)
    domain = _domain(ctx, env, expr)
    return POISON if domain is None else geometry.into_domain(ctx, terms[0], domain, expr.span)


def _domain(ctx: Context, env: Env, expr: ast.Call) -> Type | None:
    """The domain of the state that is set; an error where there is none."""
    domain = geometry.clip_target(env)
    if domain is None:
        name = expr.function.name
        ctx.error(
            "MFG206",
            f"`{name}` with one argument {'clips' if name == 'clip' else 'folds'} to the domain of"
            " the state that is set",
            expr.span,
            "no such domain here",
            helps=["write `clip(x, lo, hi)`"] if name == "clip" else [],
        )
    return domain


def _reflect(ctx: Context, env: Env, expr: ast.Call) -> Value:
    terms = _numbers(ctx, env, expr)
    domain = None if terms is None else _domain(ctx, env, expr)
    if terms is None or domain is None:
        return POISON
    if domain.ball is not None or domain.kind != "real":
        return ctx.error(
            "MFG206", "`reflect` folds back into an interval or a box", expr.span, "not a box"
        )
    return geometry.reflected(ctx, terms[0], domain, expr.span)


def _project(ctx: Context, env: Env, expr: ast.Call) -> Value:
    vector = expressions.lower_numeric(ctx, env, expr.arguments[0].value)
    radius = expressions.lower_real(ctx, env, expr.arguments[1].value)
    if isinstance(vector, Poison) or isinstance(radius, Poison):
        return POISON
    ctx.oblige("positive", radius, expr.arguments[1].value.span, env, text="radius")
    exact = ctx.exact(radius)
    ball = None if exact is None else carried(exact)
    return geometry.project(ctx, vector, radius, expr.span, ball)


def _norm(ctx: Context, env: Env, expr: ast.Call) -> Value:
    terms = _numbers(ctx, env, expr)
    return POISON if terms is None else vectors.norm(ctx, terms[0], expr.span)


def _dot(ctx: Context, env: Env, expr: ast.Call) -> Value:
    terms = _numbers(ctx, env, expr)
    return POISON if terms is None else vectors.dot(ctx, terms[0], terms[1], expr.span)


def _atan2(ctx: Context, env: Env, expr: ast.Call) -> Value:
    terms = _numbers(ctx, env, expr)
    if terms is None:
        return POISON
    y, x = (to_real(ctx, term) for term in terms)
    kept = shaped(REAL, y.type.dims or x.type.dims)
    return ctx.node("atan2", (y.node, x.node), kept, expr.span)


def _ind(ctx: Context, env: Env, expr: ast.Call) -> Value:
    condition = expressions.lower_conditions(ctx, env, expr.arguments[0].value)
    if isinstance(condition, Poison):
        return POISON
    kept = shaped(INT, condition.type.dims)
    return ctx.node("ind", (condition.node,), kept, expr.span)


def _dist(ctx: Context, env: Env, expr: ast.Call) -> Value:
    left = expressions.lower(ctx, env, expr.arguments[0].value)
    right = expressions.lower(ctx, env, expr.arguments[1].value)
    if isinstance(left, Poison) or isinstance(right, Poison):
        return POISON
    if isinstance(left, Term) and left.type.kind == "cell":
        return cell_distance(ctx, left, right, expr)
    a = vectors.numeric(ctx, env, left, expr.arguments[0].span)
    b = vectors.numeric(ctx, env, right, expr.arguments[1].span)
    if isinstance(a, Poison) or isinstance(b, Poison):
        return POISON
    if a.type.kind == b.type.kind == "int" and (a.type.periodic or b.type.periodic):
        return _ring_distance(ctx, a, b, expr.span)
    if not a.type.periodic or not b.type.periodic or "int" in (a.type.kind, b.type.kind):
        a, b = _as_plain(a, b)
    return geometry.distance(ctx, a, b, expr.span)


def _as_plain(a: Term, b: Term) -> tuple[Term, Term]:
    """Positions on an integer ring count as numbers beside real ones."""
    if "int" not in (a.type.kind, b.type.kind) and (a.type.periodic or b.type.periodic):
        return a, b
    return Term(a.node, plain(a.type)), Term(b.node, plain(b.type))


def _ring_distance(ctx: Context, a: Term, b: Term, span: Span) -> Value:
    """The smaller of the two ways round."""
    ring = a.type if a.type.periodic else b.type
    forth = add_terms(ctx, [Term(a.node, INT), Term(b.node, INT)], ("+", "-"), span)
    back = add_terms(ctx, [Term(b.node, INT), Term(a.node, INT)], ("+", "-"), span)
    if isinstance(forth, Poison) or isinstance(back, Poison):
        return POISON
    circle = Type(kind="int", lo=0, hi=ring.size - 1, periodic=True)
    ways = [wrap(ctx, gap, circle, span) for gap in (forth, back)]
    return extremum(ctx, "min", [Term(w.node, INT) for w in ways], span)


def _displacement(ctx: Context, env: Env, expr: ast.Call) -> Value:
    terms = _numbers(ctx, env, expr)
    return POISON if terms is None else geometry.displacement(ctx, terms[0], terms[1], expr.span)


def _link_end(ctx: Context, env: Env, expr: ast.Call) -> Value:
    value = expressions.lower(ctx, env, expr.arguments[0].value)
    return graphs.lower_end(ctx, value, expr.function.name, expr.span)


BUILTINS: dict[str, Rule] = {
    **{f: Rule(1, 1, _real_function, f"{f}(x)") for f in REAL_FUNCTIONS},
    **{f: Rule(1, 1, _rounding, f"{f}(x)") for f in ROUNDING},
    "abs": Rule(1, 1, _abs, "abs(x)"),
    "sign": Rule(1, 1, _sign, "sign(x)"),
    "min": Rule(2, None, _extremum, "min(a, b, ...)"),
    "max": Rule(2, None, _extremum, "max(a, b, ...)"),
    "rem": Rule(2, 2, _rem, "rem(a, b)"),
    "clip": Rule(1, 3, _clip, "clip(x, lo, hi)"),
    "ind": Rule(1, 1, _ind, "ind(condition)"),
    "dist": Rule(2, 2, _dist, "dist(a, b)"),
    "displacement": Rule(2, 2, _displacement, "displacement(from, to)"),
    "norm": Rule(1, 1, _norm, "norm(v)"),
    "dot": Rule(2, 2, _dot, "dot(u, v)"),
    "project": Rule(2, 2, _project, "project(v, radius)"),
    "reflect": Rule(1, 1, _reflect, "reflect(x)"),
    "atan2": Rule(2, 2, _atan2, "atan2(y, x)"),
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
