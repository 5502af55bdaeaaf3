"""Geometry that follows the type: the shortest way round, and back into a domain."""

from mfdsl.compiler.ir.types import INT, REAL, Type
from mfdsl.compiler.sema.context import Context
from mfdsl.compiler.sema.operators import add_terms, common_shape, extremum, shaped, to_real
from mfdsl.compiler.sema.values import POISON, Env, Poison, Term
from mfdsl.compiler.sema.vectors import norm
from mfdsl.compiler.source import Span


def bounds(ctx: Context, type: Type) -> tuple[Term, Term]:
    """The ends of a bounded domain: numbers, or one number for each entry of a box."""
    if type.box is not None:
        lows, highs = ([float(ends[k]) for ends in type.box] for k in (0, 1))
        kept = Type(kind="real", dims=(len(type.box),))
        return (
            Term(ctx.builder.array(kept.dims, lows), kept),
            Term(ctx.builder.array(kept.dims, highs), kept),
        )
    assert type.lo is not None and type.hi is not None
    if type.kind == "real":
        return ctx.constant(type.lo), ctx.constant(type.hi)
    return ctx.integer(int(type.lo)), ctx.integer(int(type.hi))


def displacement(ctx: Context, a: Term, b: Term, span: Span) -> Term | Poison:
    """The way from a to b, the shortest one where both live on a circle or a torus."""
    ring = next((t.type for t in (a, b) if t.type.periodic), None)
    if ring is None:
        return add_terms(ctx, [b, a], ["+", "-"], span)
    real = ring.kind == "real" or "real" in (a.type.kind, b.type.kind)
    plain = [
        Term(t.node, shaped(REAL if t.type.kind == "real" else INT, t.type.dims)) for t in (b, a)
    ]
    gap = add_terms(ctx, plain, ["+", "-"], span)
    if isinstance(gap, Poison):
        return POISON
    assert ring.lo is not None and ring.hi is not None
    if not real:
        half = ctx.integer(ring.size // 2)
        size = ctx.integer(ring.size)
        return _centred(ctx, gap, half, size, INT, span)
    period = ring.hi - ring.lo if ring.kind == "real" else ring.size
    return _centred(
        ctx, to_real(ctx, gap), ctx.constant(period / 2), ctx.constant(period), REAL, span
    )


def _centred(ctx: Context, gap: Term, half: Term, period: Term, kind: Type, span: Span) -> Term:
    """The gap moved by whole periods to where it is shortest."""
    kept = shaped(kind, gap.type.dims)
    moved = ctx.node("add", (gap.node, half.node), kept, span)
    rest = ctx.node("rem", (moved.node, period.node), kept, span)
    back = ctx.node("neg", (half.node,), kind, None)
    return ctx.node("add", (rest.node, back.node), kept, span)


def distance(ctx: Context, a: Term, b: Term, span: Span) -> Term | Poison:
    """The length of the displacement."""
    gap = displacement(ctx, a, b, span)
    if isinstance(gap, Poison):
        return POISON
    if gap.type.dims:
        return norm(ctx, gap, span)
    kind = REAL if gap.type.kind == "real" else INT
    return ctx.node("abs", (gap.node,), kind, span)


def clipped(ctx: Context, term: Term, lo: Term, hi: Term, span: Span) -> Term | Poison:
    """`term` brought between `lo` and `hi`, entry by entry."""
    if common_shape(ctx, (term, lo, hi), (span, span, span)) is None:
        return POISON
    upper = extremum(ctx, "min", [term, hi], span)
    return extremum(ctx, "max", [upper, lo], span)


def into_domain(ctx: Context, term: Term, domain: Type, span: Span) -> Term | Poison:
    """`clip(x)`: the nearest value of the domain."""
    if domain.ball is not None:
        return project(ctx, term, ctx.constant(domain.ball), span, domain.ball)
    made = clipped(ctx, term, *bounds(ctx, domain), span)
    return made if isinstance(made, Poison) else _inside(made, domain)


def _inside(term: Term, domain: Type) -> Term:
    """The term with the ends that its making guarantees."""
    ends = {"lo": domain.lo, "hi": domain.hi, "box": domain.box}
    return Term(term.node, term.type.model_copy(update=ends))


def project(
    ctx: Context, term: Term, radius: Term, span: Span, ball: float | None = None
) -> Term | Poison:
    """`term` scaled back into a ball around 0 where it is longer: v / max(1, |v| / r)."""
    vector = to_real(ctx, term)
    length = norm(ctx, vector, span)
    if isinstance(length, Poison):
        return POISON
    if ctx.exact(radius) != 1:
        length = ctx.node("div", (length.node, radius.node), REAL, span)
    scale = ctx.node("max", (ctx.constant(1).node, length.node), REAL, span)
    made = ctx.node("div", (vector.node, scale.node), vector.type, span)
    if ball is None:
        return made
    ends = {"lo": -ball, "hi": ball, "ball": ball}
    return Term(made.node, made.type.model_copy(update=ends))


def reflected(ctx: Context, term: Term, domain: Type, span: Span) -> Term | Poison:
    """`reflect(x)`: x folded back at the ends of an interval or box, as often as needed."""
    lo, hi = bounds(ctx, domain)
    value = to_real(ctx, term)
    width = add_terms(ctx, [to_real(ctx, hi), to_real(ctx, lo)], ["+", "-"], span)
    start = add_terms(ctx, [value, to_real(ctx, lo)], ["+", "-"], span)
    if isinstance(width, Poison) or isinstance(start, Poison):
        return POISON
    kept = shaped(REAL, start.type.dims or width.type.dims)
    double = ctx.node("mul", (ctx.constant(2).node, width.node), width.type, span)
    phase = ctx.node("rem", (start.node, double.node), kept, span)
    gap = add_terms(ctx, [phase, width], ["+", "-"], span)
    assert isinstance(gap, Term)
    away = ctx.node("abs", (gap.node,), kept, span)
    made = add_terms(ctx, [to_real(ctx, hi), away], ["+", "-"], span)
    if isinstance(made, Poison):
        return POISON
    return into_domain(ctx, made, domain, span)  # rounding may leave it just outside


def wrapped(ctx: Context, term: Term, domain: Type, span: Span) -> Term:
    """`term` on the circle or torus `domain`: lo + rem(x - lo, hi - lo)."""
    assert domain.lo is not None and domain.hi is not None
    if domain.kind == "int":
        first, size = ctx.integer(int(domain.lo)), ctx.integer(domain.size)
        kind = INT
    else:
        first, size = ctx.constant(domain.lo), ctx.constant(domain.hi - domain.lo)
        kind = REAL
    kept = shaped(kind, term.type.dims)
    back = ctx.node("neg", (first.node,), kind, None)
    shifted = ctx.node("add", (term.node, back.node), kept, span)
    rest = ctx.node("rem", (shifted.node, size.node), kept, span)
    made = ctx.node("add", (rest.node, first.node), kept, span)
    return Term(made.node, shaped(domain, term.type.dims))


def lies_inside(value: Type, domain: Type) -> bool:
    """Whether values of one type are values of the domain by their types alone."""
    if domain.ball is not None:
        return value.ball is not None and value.ball <= domain.ball
    if domain.lo is None or domain.hi is None:
        return True
    if domain.box is not None:
        if value.box is None:
            low = max(ends[0] for ends in domain.box)
            high = min(ends[1] for ends in domain.box)
            return (
                value.lo is not None
                and value.hi is not None
                and (low <= value.lo and value.hi <= high)
            )
        return all(
            a[0] <= b[0] and b[1] <= a[1] for a, b in zip(domain.box, value.box, strict=True)
        )
    if value.lo is None or value.hi is None:
        return False
    return domain.lo <= value.lo and value.hi <= domain.hi


def clip_target(env: Env) -> Type | None:
    """The domain that `clip(x)` brings back into, None where there is none."""
    target = env.target
    if target is None or not target.numeric or target.periodic:
        return None
    return target if target.lo is not None and target.hi is not None else None
