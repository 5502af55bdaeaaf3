"""Draws described by their outcomes: each is a weight and a value, and branches share columns."""

from dataclasses import replace

from mfdsl.compiler.ir.types import BOOL, REAL, Type
from mfdsl.compiler.sema import expressions
from mfdsl.compiler.sema.arms import match_arms
from mfdsl.compiler.sema.context import Context
from mfdsl.compiler.sema.distributions import NAMED, mix_weights
from mfdsl.compiler.sema.fitting import fitted
from mfdsl.compiler.sema.values import Env, Poison, Term
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax import ast

SMALL_TYPE = 16


def outcome_count(expr: ast.Expr) -> int | None:
    """How many outcomes `expr` lists, None when they are not listed one by one."""
    if isinstance(expr, ast.Paren):
        return outcome_count(expr.inner)
    if isinstance(expr, ast.If):
        return _largest([outcome_count(expr.then), outcome_count(expr.otherwise)])
    if isinstance(expr, ast.Match):
        return _largest([outcome_count(arm.value) for arm in expr.arms])
    if isinstance(expr, ast.Mix):
        counts = [outcome_count(arm.value) for arm in expr.arms]
        return None if None in counts else sum(c for c in counts if c is not None)
    if isinstance(expr, ast.CallIn):
        return None
    if isinstance(expr, ast.Name | ast.Call):
        name = expr.name if isinstance(expr, ast.Name) else expr.function.name
        return None if name in NAMED else 1
    return 1


def _largest(counts: list[int | None]) -> int | None:
    return None if None in counts else max(c for c in counts if c is not None)


def by_outcome(target: Type, expr: ast.Expr) -> int | None:
    """The number of outcomes when listing them beats one probability for each value."""
    count = outcome_count(expr)
    if count is None or target.size <= SMALL_TYPE or count >= target.size:
        return None
    return count


Outcomes = list[tuple[Term, Term]]


def outcomes(ctx: Context, env: Env, expr: ast.Expr, target: Type) -> Outcomes | None:
    """The listed outcomes as (weight, value); branches share columns."""
    env = replace(env, target=target)
    if isinstance(expr, ast.Paren):
        return outcomes(ctx, env, expr.inner, target)
    if isinstance(expr, ast.If):
        condition = expressions.lower_condition(ctx, env, expr.condition)
        if isinstance(condition, Poison):
            return None
        yes = outcomes(ctx, expressions.guarded(env, condition, True), expr.then, target)
        no = outcomes(ctx, expressions.guarded(env, condition, False), expr.otherwise, target)
        return _either(ctx, condition, yes, no, expr.span)
    if isinstance(expr, ast.Match):
        return _outcomes_match(ctx, env, expr, target)
    if isinstance(expr, ast.Mix):
        weights = mix_weights(ctx, env, expr)
        if weights is None:
            return None
        listed: Outcomes = []
        for arm, weight in zip(expr.arms, weights, strict=True):
            inner = outcomes(ctx, env, arm.value, target)
            if inner is None:
                return None
            listed += [
                (ctx.node("mul", (weight.node, w.node), REAL, arm.span), v) for w, v in inner
            ]
        return listed
    value = fitted(ctx, env, expressions.lower(ctx, env, expr), target, expr.span)
    return None if isinstance(value, Poison) else [(ctx.constant(1), value)]


def _outcomes_match(ctx: Context, env: Env, expr: ast.Match, target: Type) -> Outcomes | None:
    arms = match_arms(ctx, env, expr)
    if arms is None:
        return None
    lists = []
    for condition, value in arms:
        inner = env if condition is None else expressions.guarded(env, condition, True)
        lists.append(outcomes(ctx, inner, value, target))
        if condition is not None:
            env = expressions.guarded(env, condition, False)
    result = lists[-1]
    for (condition, _), listed in reversed(list(zip(arms[:-1], lists[:-1], strict=True))):
        assert condition is not None
        result = _either(ctx, condition, listed, result, expr.span)
    return result


def _either(
    ctx: Context, condition: Term, yes: Outcomes | None, no: Outcomes | None, span: Span
) -> Outcomes | None:
    if yes is None or no is None:
        return None
    zero = ctx.constant(0)
    size = max(len(yes), len(no))
    yes = yes + [(zero, yes[0][1])] * (size - len(yes))
    no = no + [(zero, no[0][1])] * (size - len(no))
    merged: Outcomes = []
    for (w1, v1), (w2, v2) in zip(yes, no, strict=True):
        weight = ctx.node("if", (condition.node, w1.node, w2.node), REAL, span)
        value = ctx.node("if", (condition.node, v1.node, v2.node), v1.type, span)
        merged.append((weight, value))
    return merged


def pick(ctx: Context, leaf: Term, terms: list[Term], span: Span) -> Term:
    """The term whose position is `leaf`."""
    result = terms[-1]
    for position in reversed(range(len(terms) - 1)):
        here = ctx.node("eq", (leaf.node, ctx.integer(position).node), BOOL, None)
        result = ctx.node("if", (here.node, terms[position].node, result.node), result.type, span)
    return result
