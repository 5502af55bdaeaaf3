"""Arrays: written lists and comprehensions become array nodes, and arrays meet numbers."""

from dataclasses import replace
from math import prod

from mfdsl.compiler.ir.fold import carried
from mfdsl.compiler.ir.types import Type
from mfdsl.compiler.sema.context import Context
from mfdsl.compiler.sema.operators import common_shape, describe, found, number, shaped, to_real
from mfdsl.compiler.sema.values import POISON, Env, Items, Mapped, Poison, Term, Value
from mfdsl.compiler.source import Span

WRITTEN_OUT = 8


def as_array(ctx: Context, env: Env, value: Value, span: Span) -> Value:
    """A written list or a comprehension as an array term; other values as they are."""
    if isinstance(value, Items):
        return _stacked(ctx, env, list(value.items), span)
    if isinstance(value, Mapped):
        return _mapped(ctx, env, value, span)
    return value


def numeric(ctx: Context, env: Env, value: Value, span: Span) -> Term | Poison:
    """`value` as a number or an array of numbers, or an error that says what it is instead."""
    made = as_array(ctx, env, value, span)
    if isinstance(made, Term) and made.type.numeric and made.type.dims:
        return made
    return number(ctx, made, span)


def _mapped(ctx: Context, env: Env, mapped: Mapped, span: Span) -> Value:
    """`[body for i in S]`: written out when short, else along an axis."""
    if mapped.size <= WRITTEN_OUT or mapped.unrolls:
        items = [mapped.at(ctx.integer(k).node, env.depth) for k in range(mapped.size)]
        return _stacked(ctx, env, items, span)
    axis = Type(kind="int", lo=0, hi=mapped.size - 1)
    index = ctx.node("index", (), axis, None, env.depth)
    inner = replace(env, depth=env.depth + 1)
    body = as_array(ctx, inner, mapped.at(index.node, env.depth + 1), span)
    if not isinstance(body, Term):
        return body if isinstance(body, Poison) else _no_entry(ctx, body, span)
    kept = Type(kind=body.type.kind, name=body.type.name, dims=(mapped.size, *body.type.dims))
    if body.type.kind not in ("real", "int"):
        kept = kept.model_copy(update={"lo": body.type.lo, "hi": body.type.hi})
    return ctx.node("array_over", (body.node, index.node), kept, span, env.depth)


def _stacked(ctx: Context, env: Env, items: list[Value], span: Span) -> Value:
    terms: list[Term] = []
    for item in items:
        made = as_array(ctx, env, item, span)
        if isinstance(made, Poison):
            return POISON
        if not isinstance(made, Term):
            return _no_entry(ctx, made, span)
        terms.append(made)
    shapes = {term.type.dims for term in terms}
    if len(shapes) > 1:
        shown = " and ".join(str(list(s)) if s else "a number" for s in sorted(shapes)[:2])
        return ctx.error("MFG202", f"the rows of a list differ: {shown}", span, "not a rectangle")
    first = terms[0].type
    if first.numeric and all(term.type.numeric for term in terms):
        real = any(term.type.kind == "real" for term in terms)
        terms = [to_real(ctx, term) if real else term for term in terms]
        kept = Type(kind="real" if real else "int", dims=(len(terms), *first.dims))
        return ctx.node("vector", [term.node for term in terms], kept, span)
    for term in terms:
        if (term.type.kind, term.type.name) != (first.kind, first.name):
            return ctx.error(
                "MFG205",
                f"the elements disagree: {describe(first.scalar)} and {describe(term.type.scalar)}",
                span,
                "one type is needed",
            )
    kept = shaped(first.scalar, (len(terms), *first.dims))
    return ctx.node("vector", [term.node for term in terms], kept, span)


def _no_entry(ctx: Context, value: Value, span: Span) -> Poison:
    return ctx.error(
        "MFG201", f"an array holds values, found {found(value)}", span, "not an entry of an array"
    )


def spread(ctx: Context, env: Env, term: Term, dims: tuple[int, ...], span: Span) -> Term | Poison:
    """A number as every entry of an array of shape `dims`; an array of that shape as it is."""
    if term.type.dims == dims:
        return term
    if term.type.dims:
        return ctx.error(
            "MFG202",
            f"expected an array of shape {list(dims)}, found {describe(term.type)}",
            span,
            f"shape {list(term.type.dims)}",
        )
    exact = ctx.exact(term)
    if exact is not None and term.type.kind in ("real", "int"):
        array = ctx.builder.array(dims, [carried(exact)] * prod(dims), kind=term.type.kind)
        return Term(array, Type(kind=term.type.kind, dims=dims))
    made = term
    for place, size in reversed(list(enumerate(dims))):
        axis = Type(kind="int", lo=0, hi=size - 1)
        index = ctx.node("index", (), axis, None, env.depth + place)
        kept = shaped(term.type.scalar, dims[place:])
        made = ctx.node("array_over", (made.node, index.node), kept, span, env.depth + place)
    return made


def dot(ctx: Context, a: Term, b: Term, span: Span) -> Term | Poison:
    """The inner product of two vectors of one length."""
    dims = common_shape(ctx, (a, b), (span, span))
    if dims is None:
        return POISON
    if len(a.type.dims) != 1 or len(b.type.dims) != 1:
        return ctx.error("MFG202", "`dot` takes two vectors", span, "one axis each")
    operands = (to_real(ctx, a).node, to_real(ctx, b).node)
    return ctx.node("dot", operands, Type(kind="real"), span)


def norm(ctx: Context, a: Term, span: Span) -> Term | Poison:
    """The Euclidean norm of a vector; the absolute value of a number."""
    a = to_real(ctx, a)
    if not a.type.dims:
        return ctx.node("abs", (a.node,), Type(kind="real"), span)
    if len(a.type.dims) != 1:
        return ctx.error(
            "MFG202", "`norm` takes a vector", span, f"shape {list(a.type.dims)}, take a row"
        )
    return ctx.node("norm", (a.node,), Type(kind="real"), span)
