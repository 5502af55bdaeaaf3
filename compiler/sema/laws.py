"""Laws of continuous and array variables as functions of standard draws, one rule for each."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from mfdsl.compiler.ir.fold import carried
from mfdsl.compiler.ir.model import NoiseVariable
from mfdsl.compiler.ir.types import BOOL, INT, REAL, Type
from mfdsl.compiler.sema import expressions, geometry, names, sets, vectors
from mfdsl.compiler.sema.context import Context
from mfdsl.compiler.sema.operators import add_terms, compare, describe, shaped, to_real
from mfdsl.compiler.sema.suggestions import as_interval_of_two, as_range_of_two, insertion
from mfdsl.compiler.sema.values import POISON, Env, Poison, Term
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax import ast


@dataclass(slots=True)
class Draw:
    """One draw on its way: what it is called, the standard draws it has used so far, and whether
    what is drawn is brought back into the domain afterwards.
    """

    ctx: Context
    name: str
    kind: str
    target: Type
    used: list[NoiseVariable]
    brought_back: bool = False

    def standard(self, env: Env, law: tuple[str | float, ...], type: Type) -> Term:
        """A fresh leaf with a standard law; `type` has the support as its ends."""
        name = self.name if not self.used else f"{self.name}_{len(self.used)}"
        leaf = names.leaf(self.ctx, env, self.kind, name, type)
        index = self.ctx.builder.type_index(type)
        self.used.append(NoiseVariable(name=name, type=index, doc="", density=None, law=law))
        return Term(leaf.node, shaped(REAL, type.dims))

    def uniform(self, env: Env, dims: tuple[int, ...]) -> Term:
        """Uniform on [0, 1), entry by entry."""
        return self.standard(env, ("uniform",), Type(kind="real", lo=0, hi=1, dims=dims))

    def normal(self, env: Env, dims: tuple[int, ...]) -> Term:
        """Standard normal, entry by entry."""
        return self.standard(env, ("normal",), Type(kind="real", dims=dims))


def _number(made: Draw, env: Env, argument: ast.Argument) -> Term | Poison:
    """A parameter of a law: a number, or an array of the shape of the variable."""
    ctx, span = made.ctx, argument.value.span
    value = expressions.lower(ctx, replace(env, target=None), argument.value)
    term = vectors.numeric(ctx, env, value, span)
    if isinstance(term, Poison):
        return POISON
    if term.type.dims and term.type.dims != made.target.dims:
        return vectors.spread(ctx, env, term, made.target.dims, span)
    return to_real(ctx, term)


def _arguments(made: Draw, expr: ast.Call, written: str, *, keys: tuple[str, ...]) -> bool:
    """Whether the call has one argument for each key; None stands for an unnamed one."""
    given = tuple("" if a.name is None else a.name.name for a in expr.arguments)
    if given == keys:
        return True
    made.ctx.error(
        "MFG206",
        f"`{expr.function.name}` is not written like this",
        expr.span,
        f"written `{written}`",
    )
    return False


def _real_target(made: Draw, expr: ast.Call) -> bool:
    if made.target.kind == "real":
        return True
    made.ctx.error(
        "MFG201",
        f"`{expr.function.name}` draws real numbers, not {describe(made.target)}",
        expr.span,
        "continuous",
    )
    return False


def _normal(made: Draw, env: Env, expr: ast.Call) -> Term | Poison:
    ctx = made.ctx
    bare = [a.name is None for a in expr.arguments]
    if bare == [True, True]:
        span = expr.arguments[1].value.span
        here = Span(span.file, span.start, span.start)
        return ctx.error(
            "MFG206",
            "is the second number of `normal` a standard deviation or a variance?",
            span,
            "needs its name",
            helps=[
                insertion(here, "std = ", f"write `std = {ctx.written(span)}` if it is the former")
            ],
        )
    if not _arguments(made, expr, "normal(mean, std = s)", keys=("", "std")):
        return POISON
    if not _real_target(made, expr):
        return POISON
    mean, std = (_number(made, env, a) for a in expr.arguments)
    if isinstance(mean, Poison) or isinstance(std, Poison):
        return POISON
    ctx.oblige("nonnegative", std, expr.arguments[1].value.span, env, text="standard deviation")
    z = made.normal(env, made.target.dims)
    scaled = ctx.node("mul", (std.node, z.node), shaped(REAL, z.type.dims), expr.span)
    moved = add_terms(ctx, [mean, scaled], ["+", "+"], expr.span)
    return moved if isinstance(moved, Poison) else _unbounded(made, env, moved, expr)


def _unbounded(made: Draw, env: Env, value: Term, expr: ast.Call) -> Term | Poison:
    """A law without bounds cannot fill a bounded domain, unless it is brought back into it."""
    target = made.target
    if made.brought_back or target.periodic or target.lo is None:
        return value
    law = made.ctx.written(expr.span)
    return made.ctx.error(
        "MFG305",
        f"`{expr.function.name}` has unbounded support, the value lives in a bounded domain",
        expr.span,
        "can be anything",
        helps=[f"bring it back: `clip({law})` or `reflect({law})`, or drop the domain"],
    )


def _exponential(made: Draw, env: Env, expr: ast.Call) -> Term | Poison:
    if not _arguments(made, expr, "exponential(rate = r)", keys=("rate",)):
        return POISON
    if not _real_target(made, expr):
        return POISON
    ctx = made.ctx
    rate = _number(made, env, expr.arguments[0])
    if isinstance(rate, Poison):
        return POISON
    ctx.oblige("positive", rate, expr.arguments[0].value.span, env, text="rate")
    z = made.standard(env, ("exponential",), Type(kind="real", lo=0, dims=made.target.dims))
    value = ctx.node("div", (z.node, rate.node), z.type, expr.span)
    return _unbounded(made, env, value, expr)


def _constants(
    made: Draw, env: Env, expr: ast.Call, written: str, count: int
) -> list[float] | None:
    """Parameters of a law that are known before the run and positive."""
    if not _arguments(made, expr, written, keys=("",) * count) or not _real_target(made, expr):
        return None
    values = []
    for argument in expr.arguments:
        value = sets.static_real(made.ctx, env, argument.value, f"a parameter of `{written}`")
        if value is None:
            return None
        if value <= 0:
            made.ctx.error(
                "MFG213", f"this parameter is {value:g}", argument.value.span, "must be positive"
            )
            return None
        values.append(value)
    return values


def _gamma(made: Draw, env: Env, expr: ast.Call) -> Term | Poison:
    values = _constants(made, env, expr, "gamma(k)", 1)
    if values is None:
        return POISON
    type = Type(kind="real", lo=0, dims=made.target.dims)
    return _unbounded(made, env, made.standard(env, ("gamma", *values), type), expr)


def _beta(made: Draw, env: Env, expr: ast.Call) -> Term | Poison:
    values = _constants(made, env, expr, "beta(a, b)", 2)
    if values is None:
        return POISON
    type = Type(kind="real", lo=0, hi=1, dims=made.target.dims)
    drawn = made.standard(env, ("beta", *values), type)
    return Term(drawn.node, drawn.type.model_copy(update={"lo": 0, "hi": 1}))


def _uniform(made: Draw, env: Env, expr: ast.Call) -> Term | Poison:
    """`uniform([lo, hi])` or `uniform(lo..hi)` inside of the domain."""
    ctx = made.ctx
    if len(expr.arguments) != 1 or expr.arguments[0].name is not None:
        return ctx.error(
            "MFG206",
            "`uniform` takes one set",
            expr.span,
            "written `uniform([lo, hi])`",
            helps=(as_range_of_two if made.target.kind == "int" else as_interval_of_two)(expr),
        )
    inner = expr.arguments[0].value
    if made.target.kind == "int" and isinstance(inner, ast.Range):
        ends = [
            sets.static_integer(ctx, env, end, "the end of a range") for end in (inner.lo, inner.hi)
        ]
        if ends[0] is None or ends[1] is None:
            return POISON
        domain = Type(kind="int", lo=ends[0], hi=ends[1], dims=made.target.dims)
        return uniform_domain(made, env, domain, expr.span)
    if not isinstance(inner, ast.Vector) or len(inner.items) != 2 or made.target.kind != "real":
        return ctx.error(
            "MFG201",
            f"`uniform` of {describe(made.target)} takes an interval",
            inner.span,
            "written `uniform([lo, hi])`",
        )
    low, high = (_number(made, env, ast.Argument(i.span, None, i)) for i in inner.items)
    if isinstance(low, Poison) or isinstance(high, Poison):
        return POISON
    u = made.uniform(env, made.target.dims)
    return _between(made, env, u, low, high, expr.span)


def _between(made: Draw, env: Env, u: Term, low: Term, high: Term, span: Span) -> Term | Poison:
    """`low + (high - low) u`; ends that are known show in the type of the result."""
    ctx = made.ctx
    width = add_terms(ctx, [high, low], ["+", "-"], span)
    if isinstance(width, Poison):
        return POISON
    ctx.oblige("nonnegative", width, span, env, text="length of the interval")
    kept = shaped(REAL, u.type.dims)
    scaled = ctx.node("mul", (width.node, u.node), kept, span)
    moved = add_terms(ctx, [low, scaled], ["+", "+"], span)
    if isinstance(moved, Poison):
        return POISON
    ends = [ctx.exact(low), ctx.exact(high)]
    if ends[0] is None or ends[1] is None:
        return moved
    top = ctx.node("min", (moved.node, high.node), kept, span)  # rounding may pass the end
    known = {"lo": carried(ends[0]), "hi": carried(ends[1])}
    return Term(top.node, kept.model_copy(update=known))


def uniform_domain(made: Draw, env: Env, domain: Type, span: Span) -> Term | Poison:
    """`uniform` over an interval, box, torus, ball, or entries of a finite type."""
    ctx = made.ctx
    if domain.kind != "real":
        return _uniform_finite(made, env, domain, span)
    if domain.ball is not None:
        return _uniform_ball(made, env, domain, span)
    if domain.lo is None or domain.hi is None:
        return ctx.error(
            "MFG305",
            "`uniform` needs a bounded domain",
            span,
            "every real number is possible",
            helps=["give the type a domain: `real in [0, 1]`"],
        )
    u = made.uniform(env, domain.dims)
    made_value = _between(made, env, u, *geometry.bounds(ctx, domain), span)
    if isinstance(made_value, Poison):
        return POISON
    kept = made_value.type.model_copy(
        update={"lo": domain.lo, "hi": domain.hi, "box": domain.box, "periodic": domain.periodic}
    )
    if domain.box is not None:
        _, high = geometry.bounds(ctx, domain)
        top = ctx.node("min", (made_value.node, high.node), shaped(REAL, domain.dims), span)
        return Term(top.node, kept)
    return Term(made_value.node, kept)


def _uniform_finite(made: Draw, env: Env, domain: Type, span: Span) -> Term | Poison:
    """Equal weights on the values of a finite type, each entry on its own."""
    ctx = made.ctx
    if not domain.finite:
        return ctx.error("MFG305", "`uniform` needs a finite domain", span, "infinitely many")
    u = made.uniform(env, made.target.dims)
    if domain.kind == "bool":
        node = ctx.node("lt", (u.node, ctx.constant(0.5).node), shaped(BOOL, u.type.dims), span)
        return node
    scaled = ctx.node("mul", (ctx.constant(domain.size).node, u.node), u.type, span)
    whole = shaped(INT, u.type.dims)
    floor = ctx.node("floor", (scaled.node,), whole, span)
    low = ctx.integer(domain.first)
    kept = ctx.node("min", (floor.node, ctx.integer(domain.size - 1).node), whole, span)
    moved = ctx.node("add", (kept.node, low.node), whole, span)
    return Term(moved.node, shaped(domain.scalar, u.type.dims))


def _uniform_ball(made: Draw, env: Env, domain: Type, span: Span) -> Term | Poison:
    """A point of the ball: a normal direction, and a radius with density r^(d - 1)."""
    ctx = made.ctx
    assert domain.ball is not None
    if len(domain.dims) != 1:
        return ctx.error("MFG201", "a ball holds vectors", span, "not a vector")
    z = made.normal(env, domain.dims)
    u = made.uniform(env, ())
    length = vectors.norm(ctx, z, span)
    assert isinstance(length, Term)
    safe = ctx.node("max", (length.node, ctx.constant(1e-12).node), REAL, span)
    direction = ctx.node("div", (z.node, safe.node), z.type, span)
    power = ctx.constant(1 / domain.dims[0])
    radius = ctx.node("pow", (u.node, power.node), REAL, span)
    scaled = ctx.node("mul", (radius.node, ctx.constant(domain.ball).node), REAL, span)
    value = ctx.node("mul", (scaled.node, direction.node), z.type, span)
    return geometry.project(ctx, value, ctx.constant(domain.ball), span, domain.ball)


def _bernoulli(made: Draw, env: Env, expr: ast.Call) -> Term | Poison:
    """True with a probability, each entry on its own."""
    ctx = made.ctx
    if made.target.kind != "bool":
        return ctx.error(
            "MFG201",
            f"`bernoulli` draws true or false, not {describe(made.target)}",
            expr.span,
            "draws a `bool`",
        )
    if not _arguments(made, expr, "bernoulli(p)", keys=("",)):
        return POISON
    chance = _number(made, env, expr.arguments[0])
    if isinstance(chance, Poison):
        return POISON
    ctx.oblige("probability", chance, expr.arguments[0].value.span, env)
    ctx.oblige("total", chance, expr.arguments[0].value.span, env, name="probability")
    u = made.uniform(env, made.target.dims)
    below = compare(ctx, "<", u, chance, expr.span)
    return below


def _disc(made: Draw, env: Env, expr: ast.Call) -> Term | Poison:
    """Points of a box, one after another, none closer than the spacing to those before."""
    ctx, target = made.ctx, made.target
    if not _arguments(made, expr, "disc(spacing = d)", keys=("spacing",)):
        return POISON
    bounded = target.lo is not None and target.hi is not None and target.box is None
    if target.kind != "real" or len(target.dims) != 2 or not bounded or target.ball is not None:
        return ctx.error(
            "MFG201",
            "`disc` draws points: `real[n, 2] in [lo, hi]`",
            expr.span,
            f"the variable is {describe(target)}",
        )
    spacing = sets.static_real(ctx, env, expr.arguments[0].value, "the spacing")
    if spacing is None:
        return POISON
    assert target.lo is not None and target.hi is not None
    low, high = float(target.lo), float(target.hi)
    count, axes = target.dims
    if spacing < 0 or count * spacing**axes > 2 * (high - low + spacing) ** axes:
        return ctx.error(
            "MFG213",
            f"{count} points at a distance of {spacing:g} do not fit",
            expr.arguments[0].value.span,
            f"the box is {high - low:g} wide",
            helps=["take fewer points, a smaller spacing, or a larger box"],
        )
    type = Type(kind="real", lo=low, hi=high, dims=target.dims)
    drawn = made.standard(env, ("disc", spacing, low, high), type)
    return Term(drawn.node, type)


LAWS: dict[str, Callable[[Draw, Env, ast.Call], Term | Poison]] = {
    "normal": _normal,
    "exponential": _exponential,
    "gamma": _gamma,
    "beta": _beta,
    "uniform": _uniform,
    "bernoulli": _bernoulli,
    "disc": _disc,
}
