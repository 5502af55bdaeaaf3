"""Typing of operators: what may be added, compared and chosen between, and how ints become real."""

from collections.abc import Sequence

from mfdsl.compiler.ir.types import BOOL, INT, REAL, Type
from mfdsl.compiler.sema.context import Context
from mfdsl.compiler.sema.suggestions import around, insertion
from mfdsl.compiler.sema.values import POISON, Builtin, Env, Poison, SetValue, Term, Value
from mfdsl.compiler.source import Span

_KIND_WORDS = {"real": "a real number", "int": "an integer", "bool": "a truth value"}


def describe(type: Type) -> str:
    """A type in the words of the spec language, with its article."""
    if type.dims:
        return f"an array of shape {list(type.dims)}"
    if type.kind == "enum":
        return f"a `{type.name}`"
    if type.kind in ("cell", "move", "node", "link"):
        return f"a `{type.name}.{type.kind}`"
    return _KIND_WORDS[type.kind]


def to_real(ctx: Context, term: Term) -> Term:
    """The same number as a real."""
    if term.type.kind == "real":
        return term
    return ctx.node("real", (term.node,), shaped(REAL, term.type.dims), None)


def shaped(type: Type, dims: tuple[int, ...]) -> Type:
    """Arrays of `type`, or the type itself without dimensions."""
    return type.model_copy(update={"dims": dims}) if dims else type


def common_shape(
    ctx: Context, terms: Sequence[Term], spans: Sequence[Span]
) -> tuple[int, ...] | None:
    """The shape that arrays share; scalars meet every entry. None after an error."""
    arrays = [(t, s) for t, s in zip(terms, spans, strict=True) if t.type.dims]
    if not arrays:
        return ()
    first, place = arrays[0]
    for term, where in arrays[1:]:
        if term.type.dims != first.type.dims:
            ctx.error(
                "MFG202",
                f"the shapes {list(first.type.dims)} and {list(term.type.dims)} do not fit",
                where,
                f"shape {list(term.type.dims)}",
                also=[(place, f"shape {list(first.type.dims)}")],
                helps=[
                    "operators work entry by entry; take a row or an entry, as"
                    f" `{ctx.written(where)}[0]`"
                ],
            )
            return None
    return first.type.dims


def plain(type: Type) -> Type:
    """The numeric type without its range: an arithmetic result is a plain number."""
    return shaped(REAL if type.kind == "real" else INT, type.dims)


def number(ctx: Context, value: Value, span: Span) -> Term | Poison:
    """`value` as a scalar number, or an error that says what it is instead."""
    if isinstance(value, Poison):
        return POISON
    if isinstance(value, Term) and value.type.numeric and not value.type.dims:
        return value
    if isinstance(value, Term) and value.type.kind == "bool" and not value.type.dims:
        return ctx.error(
            "MFG201",
            "expected a number, found a truth value",
            span,
            "true or false",
            helps=[
                around(
                    span,
                    "ind(",
                    ")",
                    f"`ind({ctx.written(span)})` is 1 where it holds and 0 elsewhere",
                )
            ],
        )
    if isinstance(value, Builtin) and value.name == "uniform":
        return ctx.error(
            "MFG207",
            "`uniform` is a distribution, not a value",
            span,
            "a value is needed here",
            helps=["declare `noise z : real in [0, 1] ~ uniform` and use `z`"],
        )
    helps = []
    if isinstance(value, Builtin):
        helps = [f"functions are called with brackets: `{value.name}(x)`"]
    if isinstance(value, SetValue):
        helps = [f"whether something lies there is written `x in {ctx.written(span)}`"]
    return ctx.error(
        "MFG201", f"expected a number, found {found(value)}", span, "not a number", helps=helps
    )


def truth(ctx: Context, value: Value, span: Span, *, arrays: bool = False) -> Term | Poison:
    """`value` as a truth value (or an array of them), or an error."""
    if isinstance(value, Poison):
        return POISON
    if isinstance(value, Term) and value.type.kind == "bool" and (arrays or not value.type.dims):
        return value
    numeric = isinstance(value, Term) and value.type.numeric and not value.type.dims
    words = f"numbers are not true or false, compare them: `{ctx.operand(span)} != 0`"
    return ctx.error(
        "MFG201",
        f"expected a condition, found {found(value)}",
        span,
        "neither true nor false",
        helps=[insertion(span, " != 0", words)] if numeric else [],
    )


def found(value: Value) -> str:
    """What a value is, for messages."""
    if isinstance(value, Term):
        return describe(value.type)
    words = {
        "Items": "a list",
        "Mapped": "an array",
        "SetValue": "a set",
        "EnumName": "the name of an enum",
        "GridName": "the name of a grid",
        "GraphName": "the name of a graph",
        "Handle": "the law of the population",
        "Peer": "a member of the population",
        "PopulationName": "a population",
        "PlayerName": "a player",
        "FamilyName": "a family of players",
        "MemberPick": "a member of a family",
        "WeightsName": "the name of weights",
        "Function": "the name of a function",
        "Builtin": "the name of a function",
    }
    return words[type(value).__name__]


def add_terms(
    ctx: Context,
    terms: Sequence[Term],
    signs: Sequence[str],
    span: Span,
    spans: Sequence[Span] = (),
) -> Term | Poison:
    """`a + b - c`. Integers stay integers, and stay on the ring when one of them lives on one."""
    dims = common_shape(ctx, terms, spans or [span] * len(terms))
    if dims is None:
        return POISON
    real = any(term.type.kind == "real" for term in terms)
    rings = {(t.type.lo, t.type.hi) for t in terms if t.type.periodic and not dims}
    if not real and len(rings) > 1:
        return ctx.error(
            "MFG201", "adds positions on rings of different length", span, "two different rings"
        )
    nodes = []
    for term, sign in zip(terms, signs, strict=True):
        operand = to_real(ctx, term) if real else term
        kind = shaped(REAL if real else INT, operand.type.dims)
        nodes.append(
            operand.node if sign == "+" else ctx.node("neg", (operand.node,), kind, span).node
        )
    total = ctx.node("add", nodes, shaped(REAL if real else INT, dims), span)
    if real or not rings:
        return total
    ring = next(t.type for t in terms if t.type.periodic)
    return wrap(ctx, total, ring, span)


def wrap(ctx: Context, term: Term, ring: Type, span: Span) -> Term:
    """The position on `ring` of the whole number `term`."""
    size, first = ctx.integer(ring.size), ctx.integer(ring.first)
    shifted = term
    if ring.first:
        back = ctx.integer(-ring.first)
        shifted = ctx.node("add", (term.node, back.node), INT, span)
    rest = ctx.node("rem", (shifted.node, size.node), INT, span)
    if not ring.first:
        return Term(rest.node, ring)
    return Term(ctx.node("add", (rest.node, first.node), INT, span).node, ring)


def same_kind(ctx: Context, left: Term, right: Term) -> tuple[Term, Term] | None:
    """Both terms in one kind, ints made real where needed; None when they cannot be compared."""
    if left.type.dims and right.type.dims and left.type.dims != right.type.dims:
        return None
    if left.type.numeric and right.type.numeric:
        if left.type.kind == right.type.kind:
            return left, right
        return to_real(ctx, left), to_real(ctx, right)
    if (left.type.kind, left.type.name) == (right.type.kind, right.type.name):
        return left, right
    return None


def compare(
    ctx: Context,
    operator: str,
    left: Term,
    right: Term,
    span: Span,
    places: tuple[Span, Span] | None = None,
) -> Term | Poison:
    """One comparison. Order exists for numbers only, equality for any one type.

    `places` are those of the two sides, when both are written.
    """
    pair = same_kind(ctx, left, right)
    if pair is None:
        grid = next((t.type.name for t in (left, right) if t.type.kind == "cell"), None)
        return ctx.error(
            "MFG201",
            f"compares {describe(left.type)} with {describe(right.type)}",
            span if places is None else places[1],
            "different types" if places is None else describe(right.type),
            also=[] if places is None else [(places[0], describe(left.type))],
            helps=_time_as_node(ctx, left, right)
            if grid is None
            else [f"cells are written `{grid}[row, column]`"],
        )
    a, b = pair
    kept = shaped(BOOL, a.type.dims or b.type.dims)
    if operator in ("==", "!="):
        if continuous(ctx, a) or continuous(ctx, b):
            return ctx.error(
                "MFG208",
                "compares continuous values, which are almost never equal",
                span,
                "true with probability 0",
                helps=["test a distance: `dist(a, b) <= r`, or use a ramp"],
            )
        return ctx.node("eq" if operator == "==" else "ne", (a.node, b.node), kept, span)
    if not a.type.numeric:
        return ctx.error(
            "MFG201", f"{describe(a.type)} has no order", span, "only `==` and `!=` apply"
        )
    if operator in (">", ">="):
        a, b = b, a
    return ctx.node("lt" if operator in ("<", ">") else "le", (a.node, b.node), kept, span)


def _time_as_node(ctx: Context, left: Term, right: Term) -> list[str]:
    """`x == t` where `t` is meant to be a node of that name."""
    for one, other in ((left, right), (right, left)):
        graph = ctx.graphs.get(one.type.name or "") if one.type.kind == "node" else None
        if graph and "t" in graph.nodes and ctx.builder.nodes[other.node].op == "time":
            return [f"`t` is the time, the place of this name is `{graph.name}.t`"]
    return []


def continuous(ctx: Context, term: Term) -> bool:
    """Whether a term is a plain read of a continuous variable."""
    node = ctx.builder.nodes[term.node]
    op = ctx.builder.nodes[node.args[0]].op if node.op == "element" else node.op
    reads = op.endswith(("state", "trait", "action", "noise", "draw"))
    return term.type.kind == "real" and reads


def choose(
    ctx: Context, condition: Term, then: Term, otherwise: Term, span: Span, then_span: Span
) -> Term | Poison:
    """`if condition then a else b` with both branches in one type."""
    pair = same_kind(ctx, then, otherwise)
    if pair is None:
        return ctx.error(
            "MFG205",
            f"branches disagree: the first is {describe(then.type)},"
            f" the second {describe(otherwise.type)}",
            span,
            "one value of one type is needed",
            also=[(then_span, describe(then.type))],
        )
    a, b = pair
    dims = common_shape(ctx, (condition, a, b), (span, then_span, span))
    if dims is None:
        return POISON
    joined = _joined(ctx, a, b)
    kept = shaped(joined.scalar, dims) if dims else joined
    node = ctx.node("if", (condition.node, a.node, b.node), kept, span)
    return Term(node.node, joined) if joined.dims == dims else node


def _joined(ctx: Context, a: Term, b: Term) -> Type:
    """The type of a value that is one of two of one kind.

    A position or a number is a position only when the number is one for certain.
    """
    if a.type == b.type or a.type.kind not in ("real", "int"):
        return a.type
    dims = a.type.dims or b.type.dims
    if a.type.kind == "real" or dims:
        return plain(shaped(a.type, dims))
    for ring, other in ((a.type, b), (b.type, a)):
        exact = ctx.exact(other)
        if ring.periodic and exact is not None and ring.first <= exact < ring.first + ring.size:
            return ring
    return INT


def extremum(ctx: Context, op: str, terms: Sequence[Term], span: Span) -> Term:
    """`min` or `max` of numbers."""
    real = any(term.type.kind == "real" for term in terms)
    dims = next((term.type.dims for term in terms if term.type.dims), ())
    nodes = [(to_real(ctx, term) if real else term).node for term in terms]
    return ctx.node(op, nodes, shaped(REAL if real else INT, dims), span)


def multiply(
    ctx: Context,
    terms: Sequence[Term],
    operators: Sequence[str],
    spans: Sequence[Span],
    span: Span,
    env: Env,
) -> Term | Poison:
    """`a * b / c`, from left to right; a division makes everything real."""
    if common_shape(ctx, terms, spans) is None:
        return POISON
    real = "/" in operators or any(term.type.kind == "real" for term in terms)
    kind = REAL if real else INT
    group: list[int] = []
    result: Term | None = None
    for term, operator, where in zip(terms, operators, spans, strict=True):
        operand = to_real(ctx, term) if real else term
        if operator == "*":
            group.append(operand.node)
            kind = shaped(kind, kind.dims or operand.type.dims)
            continue
        if ctx.exact(operand) == 0:
            return ctx.error("MFG304", "divides by 0", where, "this is 0")
        if ctx.exact(operand) is None:
            ctx.oblige("nonzero", operand, where, env)
        numerator = ctx.node("mul", group, kind, span) if len(group) > 1 else Term(group[0], kind)
        kind = shaped(kind, kind.dims or operand.type.dims)
        group = [ctx.node("div", (numerator.node, operand.node), kind, span).node]
    if len(group) > 1:
        result = ctx.node("mul", group, kind, span)
        if not real:
            ctx.oblige("size", result, span, env)
    return result or Term(group[0], kind)
