"""Distributions on finite sets become probability nodes.

A draw over a small type is described by the probability of each value. A draw over a large type
with few outcomes (a step to one of five cells of a big grid) is described by its outcomes, in
`sema.outcomes`, so that its table has one column for each outcome and not one for each value.
"""

from dataclasses import replace
from fractions import Fraction

from mfdsl.compiler.ir.types import REAL, Type
from mfdsl.compiler.sema import expressions, names
from mfdsl.compiler.sema.arms import match_arms, one_else
from mfdsl.compiler.sema.context import Context
from mfdsl.compiler.sema.finite_laws import NAMED_LAWS, density_over, indicator, total_of
from mfdsl.compiler.sema.fitting import fitted
from mfdsl.compiler.sema.operators import (
    add_terms,
    choose,
    compare,
    describe,
)
from mfdsl.compiler.sema.values import POISON, Env, Poison, Term
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax import ast

CONTINUOUS = frozenset({"normal", "exponential", "beta", "gamma", "disc"})
WHOLE = frozenset({"dither", "poisson"})
NAMED = frozenset({"uniform", "bernoulli"}) | WHOLE | CONTINUOUS


def density(ctx: Context, env: Env, expr: ast.Expr, leaf: Term, target: Type) -> Term | Poison:
    """The probability that the value drawn from `expr` is `leaf`."""
    env = replace(env, target=target)
    if isinstance(expr, ast.Paren):
        return density(ctx, env, expr.inner, leaf, target)
    if isinstance(expr, ast.If):
        return _density_if(ctx, env, expr, leaf, target)
    if isinstance(expr, ast.Match):
        return _density_match(ctx, env, expr, leaf, target)
    if isinstance(expr, ast.Mix):
        return _density_mix(ctx, env, expr, leaf, target)
    if isinstance(expr, ast.CallIn):
        return density_over(ctx, env, expr, leaf, target)
    if isinstance(expr, ast.Name) and expr.name == "uniform":
        return ctx.constant(Fraction(1, target.size))
    if isinstance(expr, ast.Call) and names.find(ctx, env, expr.function.name) is None:
        rule = NAMED_LAWS.get(expr.function.name)
        if rule is not None:
            return rule(ctx, env, expr, leaf, target)
        if expr.function.name in CONTINUOUS:
            return ctx.error(
                "MFG201",
                f"`{expr.function.name}` draws real numbers, not {describe(target)}",
                expr.span,
                "continuous",
                helps=["finite laws are `uniform`, `bernoulli`, `mix`, `choose`, `poisson`"],
            )
    return _density_value(ctx, env, expr, leaf, target)


def _density_value(
    ctx: Context, env: Env, expr: ast.Expr, leaf: Term, target: Type
) -> Term | Poison:
    value = fitted(ctx, env, expressions.lower(ctx, env, expr), target, expr.span)
    if isinstance(value, Poison):
        return POISON
    hit = compare(ctx, "==", leaf, value, expr.span)
    return POISON if isinstance(hit, Poison) else indicator(ctx, hit)


def _density_if(ctx: Context, env: Env, expr: ast.If, leaf: Term, target: Type) -> Term | Poison:
    condition = expressions.lower_condition(ctx, env, expr.condition)
    if isinstance(condition, Poison):
        return POISON
    yes = density(ctx, expressions.guarded(env, condition, True), expr.then, leaf, target)
    no = density(ctx, expressions.guarded(env, condition, False), expr.otherwise, leaf, target)
    if isinstance(yes, Poison) or isinstance(no, Poison):
        return POISON
    return choose(ctx, condition, yes, no, expr.span, expr.span)


def _density_match(
    ctx: Context, env: Env, expr: ast.Match, leaf: Term, target: Type
) -> Term | Poison:
    arms = match_arms(ctx, env, expr)
    if arms is None:
        return POISON
    parts: list[tuple[Term | None, Term]] = []
    for condition, value in arms:
        inner = env if condition is None else expressions.guarded(env, condition, True)
        part = density(ctx, inner, value, leaf, target)
        if isinstance(part, Poison):
            return POISON
        parts.append((condition, part))
        if condition is not None:
            env = expressions.guarded(env, condition, False)
    result = parts[-1][1]
    for condition, part in reversed(parts[:-1]):
        assert condition is not None
        chosen = choose(ctx, condition, part, result, expr.span, expr.span)
        if isinstance(chosen, Poison):
            return POISON
        result = chosen
    return result


def mix_weights(ctx: Context, env: Env, expr: ast.Mix) -> list[Term] | None:
    """The weights of the arms; the `else` arm takes the remaining mass."""
    if not one_else(ctx, expr):
        return None
    weights: list[Term | None] = []
    for arm in expr.arms:
        if arm.guard is None:
            weights.append(None)
            continue
        weight = expressions.lower_real(ctx, replace(env, target=None), arm.guard)
        if isinstance(weight, Poison):
            return None
        ctx.oblige("probability", weight, arm.guard.span, env)
        weights.append(weight)
    given = [w for w in weights if w is not None]
    total = total_of(ctx, given, expr.span)
    if None in weights:
        alone = "weight" if len(given) == 1 else ""
        ctx.oblige("total", total, _weights_span(expr), env, name=alone)
    else:
        ctx.oblige("one", total, _weights_span(expr), env)
    rest = add_terms(ctx, [ctx.constant(1), *given], ["+", *["-"] * len(given)], expr.span)
    assert isinstance(rest, Term)
    return [w if w is not None else rest for w in weights]


def _weights_span(expr: ast.Mix) -> Span:
    given = [arm.guard.span for arm in expr.arms if arm.guard is not None]
    return given[0] if len(given) == 1 else (given[0].to(given[-1]) if given else expr.span)


def _density_mix(ctx: Context, env: Env, expr: ast.Mix, leaf: Term, target: Type) -> Term | Poison:
    weights = mix_weights(ctx, env, expr)
    if weights is None:
        return POISON
    parts = []
    for arm, weight in zip(expr.arms, weights, strict=True):
        inner = density(ctx, env, arm.value, leaf, target)
        if isinstance(inner, Poison):
            return POISON
        parts.append(ctx.node("mul", (weight.node, inner.node), REAL, arm.span))
    return total_of(ctx, parts, expr.span)


def drawn_from(ctx: Context, env: Env, expr: ast.Expr) -> Span | None:
    """The place of the first distribution that `expr` can be as a whole, None for a value."""
    if isinstance(expr, ast.Paren):
        return drawn_from(ctx, env, expr.inner)
    branches: list[ast.Expr] = []
    if isinstance(expr, ast.If):
        branches = [expr.then, expr.otherwise]
    if isinstance(expr, ast.Match):
        branches = [arm.value for arm in expr.arms]
    if branches:
        places = (drawn_from(ctx, env, branch) for branch in branches)
        return next((place for place in places if place is not None), None)
    name = expr.name if isinstance(expr, ast.Name) else ""
    name = expr.function.name if isinstance(expr, ast.Call) else name
    listed = isinstance(expr, ast.Mix | ast.CallIn)
    if listed or (name in NAMED and names.find(ctx, env, name) is None):
        return expr.span
    return None
