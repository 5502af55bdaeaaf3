"""Continuous and array draws: each is a function of standard draws without parameters."""

from dataclasses import replace

from mfdsl.compiler.ir.model import NoiseVariable
from mfdsl.compiler.ir.types import BOOL, REAL, Type
from mfdsl.compiler.sema import expressions, geometry, names, vectors
from mfdsl.compiler.sema.arms import match_arms
from mfdsl.compiler.sema.context import Context
from mfdsl.compiler.sema.distributions import mix_weights
from mfdsl.compiler.sema.laws import LAWS, Draw, uniform_domain
from mfdsl.compiler.sema.operators import add_terms, choose, describe, found, to_real
from mfdsl.compiler.sema.values import POISON, Builtin, Env, Poison, Term, Value
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax import ast

Drawn = tuple[Term, list[NoiseVariable]] | Poison


def draw(ctx: Context, env: Env, expr: ast.Expr, target: Type, name: str, kind: str) -> Drawn:
    """The value drawn from `expr` for a variable of type `target`, and the standard draws it uses.

    `kind` is "noise" or "draw"; the draws are called `name`, `name_1`, ... in the order of use.
    """
    made = Draw(ctx, name, kind, target, [])
    value = _law(made, replace(env, target=target), expr)
    if isinstance(value, Poison):
        return POISON
    fitted = fitted_real(ctx, env, value, target, expr.span)
    return POISON if isinstance(fitted, Poison) else (fitted, made.used)


def fitted_real(ctx: Context, env: Env, value: Value, target: Type, span: Span) -> Term | Poison:
    """A value for a continuous or array variable: of its shape, wrapped or obliged inside."""
    term = vectors.as_array(ctx, env, value, span)
    if isinstance(term, Poison):
        return POISON
    if not isinstance(term, Term) or not _fits_kind(term.type, target):
        return _wrong_kind(ctx, term, target, span)
    if target.kind == "real":
        term = to_real(ctx, term)
    known = term.type
    if target.dims:
        spread = vectors.spread(ctx, env, term, target.dims, span)
        if isinstance(spread, Poison):
            return POISON
        term = spread
    elif term.type.dims:
        return _wrong_kind(ctx, term, target, span)
    if not target.numeric:
        return Term(term.node, target)
    if target.periodic:
        same = (known.periodic, known.lo, known.hi) == (True, target.lo, target.hi)
        return term if same else geometry.wrapped(ctx, term, target, span)
    if not geometry.lies_inside(known, target):
        _oblige_inside(ctx, env, term, target, span)
    return Term(term.node, target)


def _fits_kind(value: Type, target: Type) -> bool:
    if target.kind == "real":
        return value.numeric
    if target.kind == "int":
        return value.kind == "int"
    return (value.kind, value.name) == (target.kind, target.name)


def _wrong_kind(ctx: Context, value: Value, target: Type, span: Span) -> Poison:
    if isinstance(value, Builtin) and value.name == "uniform":
        return ctx.error(
            "MFG207",
            "`uniform` is a distribution, not a value",
            span,
            "drawn, so it is written with `~`",
        )
    what = describe(value.type) if isinstance(value, Term) else found(value)
    return ctx.error("MFG201", f"expected {describe(target)}, found {what}", span, what)


def _oblige_inside(ctx: Context, env: Env, term: Term, target: Type, span: Span) -> None:
    """Remember that the value must lie in its domain wherever the action is legal."""
    legal = ctx.legal(env)
    if legal is not None and env.stage == "next":
        env = expressions.guarded(env, Term(legal, BOOL), True)
    if target.ball is not None:
        length = vectors.norm(ctx, term, span)
        assert isinstance(length, Term)
        ctx.oblige("ball", length, span, env, hi=target.ball)
    elif target.box is not None:
        for place, (low, high) in enumerate(target.box):
            position = ctx.integer(place)
            entry = ctx.node("element", (term.node, position.node), REAL, span)
            ctx.oblige("range", entry, span, env, lo=low, hi=high)
    elif target.lo is not None and target.hi is not None:
        ctx.oblige("range", term, span, env, lo=float(target.lo), hi=float(target.hi))


def _law(made: Draw, env: Env, expr: ast.Expr) -> Term | Poison:
    """The value drawn from a law, or a value that is given."""
    if isinstance(expr, ast.Paren):
        return _law(made, env, expr.inner)
    if isinstance(expr, ast.If):
        return _if(made, env, expr)
    if isinstance(expr, ast.Match):
        return _match(made, env, expr)
    if isinstance(expr, ast.Mix):
        return _mix(made, env, expr)
    if isinstance(expr, ast.Name) and expr.name == "uniform":
        return uniform_domain(made, env, made.target, expr.span)
    if isinstance(expr, ast.Call) and names.find(made.ctx, env, expr.function.name) is None:
        if expr.function.name in ("clip", "reflect"):
            return _brought_back(made, env, expr)
        rule = LAWS.get(expr.function.name)
        if rule is not None:
            return rule(made, env, expr)
    value = vectors.as_array(made.ctx, env, expressions.lower(made.ctx, env, expr), expr.span)
    if isinstance(value, Term) and _fits_kind(value.type, made.target):
        return to_real(made.ctx, value) if made.target.kind == "real" else value
    return (
        POISON
        if isinstance(value, Poison)
        else _wrong_kind(made.ctx, value, made.target, expr.span)
    )


def _if(made: Draw, env: Env, expr: ast.If) -> Term | Poison:
    condition = expressions.lower_condition(made.ctx, env, expr.condition)
    if isinstance(condition, Poison):
        return POISON
    yes = _law(made, expressions.guarded(env, condition, True), expr.then)
    no = _law(made, expressions.guarded(env, condition, False), expr.otherwise)
    if isinstance(yes, Poison) or isinstance(no, Poison):
        return POISON
    return choose(made.ctx, condition, yes, no, expr.otherwise.span, expr.then.span)


def _match(made: Draw, env: Env, expr: ast.Match) -> Term | Poison:
    arms = match_arms(made.ctx, env, expr)
    if arms is None:
        return POISON
    parts: list[tuple[Term | None, Term]] = []
    for condition, arm in arms:
        inner = env if condition is None else expressions.guarded(env, condition, True)
        value = _law(made, inner, arm)
        if isinstance(value, Poison):
            return POISON
        parts.append((condition, value))
        if condition is not None:
            env = expressions.guarded(env, condition, False)
    return _chain(made, parts, expr.span)


def _chain(made: Draw, parts: list[tuple[Term | None, Term]], span: Span) -> Term | Poison:
    """The first value whose condition holds; the last one otherwise."""
    result = parts[-1][1]
    for condition, value in reversed(parts[:-1]):
        assert condition is not None
        chosen = choose(made.ctx, condition, value, result, span, span)
        if isinstance(chosen, Poison):
            return POISON
        result = chosen
    return result


def _mix(made: Draw, env: Env, expr: ast.Mix) -> Term | Poison:
    """One uniform number picks the arm; each arm has draws of its own."""
    ctx = made.ctx
    weights = mix_weights(ctx, env, expr)
    if weights is None:
        return POISON
    pick = made.uniform(env, ())
    values = [_law(made, env, arm.value) for arm in expr.arms]
    parts: list[tuple[Term | None, Term]] = []
    reached: list[Term] = []
    for place, (weight, value) in enumerate(zip(weights, values, strict=True)):
        if isinstance(value, Poison):
            return POISON
        reached.append(weight)
        total = add_terms(ctx, reached, ["+"] * len(reached), expr.span)
        assert isinstance(total, Term)
        last = place == len(weights) - 1
        below = ctx.node("lt", (pick.node, total.node), BOOL, expr.span)
        parts.append((None if last else below, value))
    return _chain(made, parts, expr.span)


def _brought_back(made: Draw, env: Env, expr: ast.Call) -> Term | Poison:
    """`clip(law)` and `reflect(law)`: drawn, then brought into the domain."""
    ctx = made.ctx
    if len(expr.arguments) != 1 or expr.arguments[0].name is not None:
        return _given(made, env, expr)
    before, made.brought_back = made.brought_back, True
    inner = _law(made, env, expr.arguments[0].value)
    made.brought_back = before
    if isinstance(inner, Poison):
        return POISON
    domain = geometry.clip_target(replace(env, target=made.target))
    if domain is None:
        return ctx.error(
            "MFG206",
            f"`{expr.function.name}` brings back into the domain of the variable",
            expr.span,
            "it has no bounds",
            helps=["give the type a domain: `real in [0, 1]`"],
        )
    rule = geometry.into_domain if expr.function.name == "clip" else geometry.reflected
    return rule(ctx, inner, domain, expr.span)


def _given(made: Draw, env: Env, expr: ast.Call) -> Term | Poison:
    value = expressions.lower(made.ctx, env, expr)
    return value if isinstance(value, Term) else POISON
