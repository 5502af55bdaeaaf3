"""Finite laws with a name: the probability that `uniform`, `softmax`, ... draw a value."""

from dataclasses import replace
from fractions import Fraction

from mfdsl.compiler.ir.types import BOOL, INT, REAL, Type
from mfdsl.compiler.sema import expressions, sets
from mfdsl.compiler.sema.context import Context
from mfdsl.compiler.sema.fitting import fitted
from mfdsl.compiler.sema.operators import add_terms, compare, describe, extremum, to_real, wrap
from mfdsl.compiler.sema.suggestions import as_range_of_two
from mfdsl.compiler.sema.values import POISON, Env, Poison, SetValue, Term
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax import ast


def indicator(ctx: Context, condition: Term) -> Term:
    """1 where the condition holds, as a real."""
    return to_real(ctx, ctx.node("ind", (condition.node,), INT, None))


def total_of(ctx: Context, weights: list[Term], span: Span) -> Term:
    """The sum of weights; 0 without any."""
    if not weights:
        return ctx.constant(0)
    total = add_terms(ctx, weights, ["+"] * len(weights), span)
    assert isinstance(total, Term)
    return total


def _uniform(ctx: Context, env: Env, expr: ast.Call, leaf: Term, target: Type) -> Term | Poison:
    if len(expr.arguments) != 1:
        return ctx.error(
            "MFG206",
            f"`uniform` takes one set, got {len(expr.arguments)}",
            expr.span,
            notes=["written `uniform` for the whole domain, or `uniform(rooms.E)` for a region"],
            helps=as_range_of_two(expr),
        )
    argument = expr.arguments[0]
    domain = sets.lower_set(ctx, env, argument.value)
    if isinstance(domain, Poison):
        return POISON
    if not _is_subset(ctx, domain, target, argument.span):
        return POISON
    if domain.nodes is not None:
        return _uniform_listed(ctx, env, domain, leaf, target, argument.span)
    inside = sets.contains(ctx, domain, leaf, argument.span)
    if isinstance(inside, Poison):
        return POISON
    share = ctx.constant(Fraction(1, domain.size))
    hit = indicator(ctx, inside)
    return ctx.node("mul", (share.node, hit.node), REAL, expr.span)


def _uniform_listed(
    ctx: Context, env: Env, domain: SetValue, leaf: Term, target: Type, span: Span
) -> Term | Poison:
    """The same share for each listed element; they must lie in the domain and differ."""
    assert domain.nodes is not None
    hits: list[Term] = []
    values: list[Term] = []
    for node in domain.nodes:
        value = fitted(ctx, env, Term(node, domain.type), target, span)
        if isinstance(value, Poison):
            return POISON
        hit = compare(ctx, "==", leaf, value, span)
        assert isinstance(hit, Term)
        for other in values:
            same = ctx.node("eq", (value.node, other.node), BOOL, span)
            if ctx.exact(value) is None or ctx.exact(other) is None:
                ctx.oblige("distinct", same, span, env)
        hits.append(indicator(ctx, hit))
        values.append(value)
    share = ctx.constant(Fraction(1, len(hits)))
    return ctx.node("mul", (share.node, total_of(ctx, hits, span).node), REAL, span)


def _is_subset(ctx: Context, domain: SetValue, target: Type, span: Span) -> bool:
    """Whether all elements are values of `target`: what is drawn elsewhere would be lost."""
    if (domain.type.kind, domain.type.name) != (target.kind, target.name):
        ctx.error(
            "MFG201",
            f"expected a set of values of {describe(target)}",
            span,
            f"holds {describe(domain.type)}",
        )
        return False
    if domain.bounds is None or target.kind != "int":
        return True
    lo, hi = domain.bounds
    assert target.lo is not None and target.hi is not None
    if target.lo <= lo and hi <= target.hi:
        return True
    ctx.error(
        "MFG303",
        f"the set {lo}..{hi} is not inside {target.lo:g}..{target.hi:g}",
        span,
        "leaves the domain",
    )
    return False


def _bernoulli(ctx: Context, env: Env, expr: ast.Call, leaf: Term, target: Type) -> Term | Poison:
    if target.kind != "bool":
        return ctx.error(
            "MFG201",
            f"`bernoulli` draws true or false, not {describe(target)}",
            expr.span,
            "draws a `bool`",
            helps=["write `mix { p -> one_value, else -> another }`"],
        )
    if len(expr.arguments) != 1:
        return ctx.error(
            "MFG206", f"`bernoulli` takes 1 argument, got {len(expr.arguments)}", expr.span
        )
    chance = expressions.lower_real(ctx, replace(env, target=None), expr.arguments[0].value)
    if isinstance(chance, Poison):
        return POISON
    ctx.oblige("probability", chance, expr.arguments[0].span, env)
    ctx.oblige("total", chance, expr.arguments[0].span, env, name="probability")
    rest = add_terms(ctx, [ctx.constant(1), chance], ["+", "-"], expr.span)
    assert isinstance(rest, Term)
    return ctx.node("if", (leaf.node, chance.node, rest.node), REAL, expr.span)


def _dither(ctx: Context, env: Env, expr: ast.Call, leaf: Term, target: Type) -> Term | Poison:
    """The two integers around z, with mean z."""
    if target.kind != "int" or len(expr.arguments) != 1:
        return ctx.error("MFG206", "`dither` takes one number and draws an int", expr.span)
    centre = expressions.lower_real(ctx, replace(env, target=None), expr.arguments[0].value)
    if isinstance(centre, Poison):
        return POISON
    below = ctx.node("floor", (centre.node,), INT, expr.span)
    ceiling = ctx.node("ceil", (centre.node,), INT, expr.span)
    assert target.lo is not None and target.hi is not None
    if not target.periodic:
        span = expr.arguments[0].span
        ctx.oblige("range", below, span, env, lo=float(target.lo), hi=float(target.hi))
        ctx.oblige("range", ceiling, span, env, lo=float(target.lo), hi=float(target.hi))
    above = ctx.node("add", (below.node, ctx.integer(1).node), INT, expr.span)
    part = add_terms(ctx, [centre, to_real(ctx, below)], ["+", "-"], expr.span)
    rest = add_terms(
        ctx, [ctx.constant(1), centre, to_real(ctx, below)], ["+", "-", "+"], expr.span
    )
    assert isinstance(part, Term) and isinstance(rest, Term)
    if target.size == 1:  # both ends are the one value
        return ctx.constant(1)
    ends = [wrap(ctx, end, target, expr.span) if target.periodic else end for end in (below, above)]
    at_low = compare(ctx, "==", leaf, ends[0], expr.span)
    at_high = compare(ctx, "==", leaf, ends[1], expr.span)
    assert isinstance(at_low, Term) and isinstance(at_high, Term)
    high = ctx.node("if", (at_high.node, part.node, ctx.constant(0).node), REAL, expr.span)
    return ctx.node("if", (at_low.node, rest.node, high.node), REAL, expr.span)


def _poisson(ctx: Context, env: Env, expr: ast.Call, leaf: Term, target: Type) -> Term | Poison:
    """exp(-r) r^k / k! for k below the last value, which holds what is left."""
    if target.kind != "int" or target.periodic or target.lo != 0 or len(expr.arguments) != 1:
        return ctx.error(
            "MFG201",
            "`poisson(rate)` draws into `int in 0..K`",
            expr.span,
            f"the value is {describe(target)}",
            notes=["what lies above K counts as K"],
        )
    rate = expressions.lower_real(ctx, replace(env, target=None), expr.arguments[0].value)
    if isinstance(rate, Poison):
        return POISON
    ctx.oblige("nonnegative", rate, expr.arguments[0].span, env, text="rate")
    minus = ctx.node("neg", (rate.node,), REAL, None)
    chance = ctx.node("exp", (minus.node,), REAL, expr.span)
    masses = [chance]
    for k in range(1, target.size - 1):
        share = ctx.node("mul", (masses[-1].node, rate.node), REAL, expr.span)
        masses.append(ctx.node("div", (share.node, ctx.constant(k).node), REAL, expr.span))
    masses = masses[: target.size - 1]
    rest = add_terms(ctx, [ctx.constant(1), *masses], ["+", *["-"] * len(masses)], expr.span)
    assert isinstance(rest, Term)
    left = extremum(ctx, "max", [rest, ctx.constant(0)], expr.span)
    result = left
    for k in reversed(range(len(masses))):
        here = ctx.node("eq", (leaf.node, ctx.integer(k).node), BOOL, None)
        result = ctx.node("if", (here.node, masses[k].node, result.node), REAL, expr.span)
    return result


NAMED_LAWS = {
    "uniform": _uniform,
    "bernoulli": _bernoulli,
    "dither": _dither,
    "poisson": _poisson,
}


_OVER = {"choose": "weight", "normalize": "weight", "softmax": "score"}


def density_over(
    ctx: Context, env: Env, expr: ast.CallIn, leaf: Term, target: Type
) -> Term | Poison:
    """`choose(y in S, weight = w(y))`, `normalize(...)`, `softmax(y in S, score = s(y))`."""
    name = expr.function.name
    key = _OVER.get(name)
    given = [a for a in expr.arguments if a.name is not None and a.name.name == key]
    if key is None or len(given) != 1 or len(expr.arguments) != 1:
        wanted = f"{name}(y in set, {key} = ...)" if key else "choose(y in set, weight = ...)"
        return ctx.error(
            "MFG206", f"`{name}` is not used like this", expr.span, f"write `{wanted}`"
        )
    domain = sets.lower_set(ctx, env, expr.domain)
    if isinstance(domain, Poison) or not _is_subset(ctx, domain, target, expr.domain.span):
        return POISON
    inside = sets.contains(ctx, domain, leaf, expr.domain.span)
    if isinstance(inside, Poison):
        return POISON

    def at(item: Term, where: Env) -> Term | Poison:
        inner = replace(where, target=None, locals={**where.locals, expr.name.name: item})
        return expressions.lower_real(ctx, inner, given[0].value)

    plain = Term(leaf.node, INT if leaf.type.kind == "int" else leaf.type)
    here = at(plain, expressions.guarded(env, inside, True))
    index = ctx.node("index", (), _index_type(target, domain), None, env.depth)
    item = Term(index.node, INT if index.type.kind == "int" else index.type)
    there = at(item, replace(env, depth=env.depth + 1))
    if isinstance(here, Poison) or isinstance(there, Poison):
        return POISON
    if domain.bounds is None:
        return ctx.error(
            "MFG201", f"`{name}` goes over a range or an enum", expr.domain.span, "not a range"
        )
    whole = domain.size == target.size
    value = _normalised(ctx, env, name, here, there, index, given[0].span)
    if whole:
        return value
    zero = ctx.constant(0)
    return ctx.node("if", (inside.node, value.node, zero.node), REAL, expr.span)


def _index_type(target: Type, domain: SetValue) -> Type:
    if target.kind != "int" or domain.bounds is None:
        return target
    return Type(kind="int", lo=domain.bounds[0], hi=domain.bounds[1])


def _normalised(
    ctx: Context, env: Env, name: str, here: Term, there: Term, index: Term, span: Span
) -> Term:
    depth = env.depth
    ctx.oblige("finite", here, span, env, text="score" if name == "softmax" else "weight")
    if name == "softmax":
        top = ctx.node("max_over", (there.node, index.node), REAL, span, depth)
        here, there = (
            ctx.node(
                "exp",
                (
                    ctx.node(
                        "add", (s.node, ctx.node("neg", (top.node,), REAL, span).node), REAL, span
                    ).node,
                ),
                REAL,
                span,
            )
            for s in (here, there)
        )
        # the maximum stays at the depth of the sum: both are over the very same scores
        args, place = (there.node, index.node), ctx.place(span)
        total = Term(ctx.builder.add("sum_over", args, depth, REAL, place), REAL)
        return ctx.node("div", (here.node, total.node), REAL, span)
    total = ctx.node("sum_over", (there.node, index.node), REAL, span, depth)
    ctx.oblige("probability", here, span, env)
    if name == "normalize":
        ctx.oblige("positive", total, span, env, text="normalize")
        return ctx.node("div", (here.node, total.node), REAL, span)
    ctx.oblige("one", total, span, env, text="choose")
    return here
