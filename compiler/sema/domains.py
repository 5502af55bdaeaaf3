"""Checks that need ranges: weights, next values, divisions, indices, legal actions.

Every obligation that lowering left behind is decided over all values of the finite variables; the
law of the population is an interval. What fails is reported with a witness by name.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from mfdsl.compiler.analysis.axes import choose_axes
from mfdsl.compiler.analysis.enclosure import Evaluator, Facts, Guard, leaves_of
from mfdsl.compiler.analysis.grid_intervals import cell_codes
from mfdsl.compiler.analysis.intervals import Array, Interval, Mask, add, point
from mfdsl.compiler.analysis.narrowing import narrowed
from mfdsl.compiler.analysis.opened import OpenedNodes
from mfdsl.compiler.analysis.rounding import for_floats, rounding
from mfdsl.compiler.analysis.written import written
from mfdsl.compiler.diagnostics import Help
from mfdsl.compiler.ir.fold import carried
from mfdsl.compiler.ir.model import Node
from mfdsl.compiler.ir.types import Type
from mfdsl.compiler.ir.walk import MEMBERS
from mfdsl.compiler.sema.context import Context, ParameterSymbol
from mfdsl.compiler.sema.failures import (
    MAX_EXPONENT,
    MISSING,
    ROOM,
    SUM_TOLERANCE,
    TOLERANCE,
    Failure,
    at_text,
    leaf_value,
    notes_of,
    reach,
)
from mfdsl.compiler.sema.suggestions import around
from mfdsl.compiler.sema.values import EnumName, Obligation
from mfdsl.compiler.syntax.limits import MAX_REPORTS

LONGEST_RUN = 2**26  # stages of an infinite horizon that anybody plays
MAX_WHOLE = 2.0**53  # whole numbers up to here are exact in floats, and far from overflow
FATAL = ("positive", "nonzero", "nonnegative")  # a value on the wrong side is no number

Wording = tuple[str, str, str, list[Help | str]]  # code, headline, label, helps


def facts_of(ctx: Context, file: str) -> Facts:
    """The evaluator's view of the model under construction."""
    parameters: dict[str, Array] = {}
    for name, symbol in ctx.scopes[file].items():
        if isinstance(symbol, ParameterSymbol):
            value = symbol.value
            flat = [carried(value)] if isinstance(value, Fraction) else list(value)
            parameters[name] = np.array(flat).reshape(symbol.type.dims)
    arrays = [np.array(a.values).reshape(a.dims) for a in ctx.builder.arrays]
    last = (ctx.steps - 1) if ctx.steps is not None else LONGEST_RUN
    nodes: Sequence[Node] = ctx.builder.nodes
    if ctx.spread:
        ends = (Type(kind="real", lo=lo, hi=hi) for lo, hi in ctx.spread.values())
        nodes = OpenedNodes(
            nodes, dict(zip(ctx.spread, map(ctx.builder.type_index, ends), strict=True))
        )
    symbols = ctx.scopes[file].values()
    names = {str(s.type.name): s.values for s in symbols if isinstance(s, EnumName)}
    return Facts(nodes, ctx.builder.types, parameters, arrays, ctx.grids, last, names)


def check_obligations(ctx: Context, file: str) -> None:
    """Decide every obligation and report the ones that can fail."""
    facts = facts_of(ctx, file)
    reported: set[tuple[str, int, int]] = set()
    for obligation in ctx.obligations:
        key = (obligation.kind, obligation.span.start, obligation.span.end)
        if key in reported:
            continue
        failure = find_failure(ctx, facts, obligation)
        if failure is not None:
            failure = _looked_at_again(ctx, facts, obligation, failure)
        if failure is not None:
            reported.add(key)
            _report(ctx, facts, obligation, failure)
            if len(reported) == MAX_REPORTS:
                return


def _looked_at_again(
    ctx: Context, facts: Facts, obligation: Obligation, failure: Failure
) -> Failure | None:
    """The failure after a second look, of which the tools are imported when one is needed."""
    from mfdsl.compiler.sema.second_looks import second_look

    return second_look(ctx, facts, obligation, failure)


def find_failure(ctx: Context, facts: Facts, obligation: Obligation) -> Failure | None:
    """The worst point at which the obligation can fail, or None when it holds everywhere.

    Where members of a mean took the room for a variable of the agent, its own come first then.
    """
    roots = [obligation.node, *(g.node for g in obligation.guards)]
    if obligation.other is not None:
        roots.append(obligation.other)
    leaves = leaves_of(facts.nodes, roots)
    own = leaves_of(facts.nodes, [obligation.node])
    axes = choose_axes(facts, leaves, own)
    failure = _failure(ctx, facts, obligation, axes)
    if failure is None or failure.certain:
        return failure
    bound = _bound_leaves(facts.nodes, obligation.node)
    others = choose_axes(facts, leaves, [leaf for leaf in own if leaf not in bound])
    return failure if others == axes else _failure(ctx, facts, obligation, others)


def _failure(
    ctx: Context, facts: Facts, obligation: Obligation, axes: Mapping[int, int]
) -> Failure | None:
    """The worst point of the enumerated variables at which the obligation can fail, by ranges."""
    own = leaves_of(facts.nodes, [obligation.node])
    evaluator = Evaluator(facts, axes, narrowed(facts, obligation.guards))
    value = for_floats(evaluator, obligation.node, 0.0 if obligation.kind in FATAL else ROOM)
    reached = _reached(evaluator, obligation)
    excess, certain = _excess(facts, evaluator, obligation, value)
    lo, hi, excess, certain, reached = np.broadcast_arrays(
        value.lo, value.hi, excess, certain, reached
    )
    empty = lo > hi
    bad = (excess > 0) & reached & ~empty
    if not bad.any():
        return None
    score = np.where(bad, np.where(np.isnan(excess), np.inf, excess), -np.inf)
    at = np.unravel_index(int(np.argmax(score)), score.shape) if score.shape else ()
    names = {}
    bound = _bound_leaves(facts.nodes, obligation.node)
    for leaf, axis in axes.items():
        if len(at) == len(axes) and leaf in own and leaf not in bound:
            name, shown = leaf_value(ctx, facts, facts.nodes[leaf], int(at[axis]))
            names[name] = shown
    met = reached & ~empty
    ends = float(lo[met].min()), float(hi[met].max())
    return Failure(float(lo[at]), float(hi[at]), bool(certain[at]), names, ends)


def _bound_leaves(nodes: Sequence[Node], root: int) -> set[int]:
    """Leaves that only occur inside means and sums: their value at one point says nothing."""
    open_, seen, stack = set(), set(), [root]
    while stack:
        index = stack.pop()
        if index in seen:
            continue
        seen.add(index)
        node = nodes[index]
        if node.op.startswith("peer_") or node.op == "index":
            open_.add(index)
        elif node.op not in MEMBERS and not node.op.endswith("_over"):
            stack.extend(node.args)
    inside = {
        leaf
        for leaf in leaves_of(nodes, [root])
        if nodes[leaf].op.startswith("peer_") or nodes[leaf].op == "index"
    }
    return inside - open_


def _reached(evaluator: Evaluator, obligation: Obligation) -> Mask:
    """Where the conditions on the path may all hold."""
    reached = np.asarray(True)
    plain = Evaluator(evaluator.facts, evaluator.axes)
    for guard in obligation.guards:
        condition = plain.value(guard.node)
        possible = condition.hi > 0 if guard.positive else condition.lo <= 0
        reached = reached & possible
    return np.asarray(reached)


def _excess(
    facts: Facts, evaluator: Evaluator, obligation: Obligation, value: Interval
) -> tuple[Array, Mask]:
    """How far the obligation can fail at each point (0 where it holds), and whether it must."""
    kind, lo, hi = obligation.kind, value.lo, value.hi
    if kind == "probability":
        return np.where(lo < -TOLERANCE, -lo, 0.0), hi < -TOLERANCE
    if kind == "total":
        return np.where(hi > 1 + TOLERANCE, hi - 1, 0.0), lo > 1 + TOLERANCE
    if kind == "one":
        off = np.maximum(np.abs(lo - 1), np.abs(hi - 1))
        return np.where(off > SUM_TOLERANCE, off, 0.0), (lo > 1 + SUM_TOLERANCE) | (
            hi < 1 - SUM_TOLERANCE
        )
    if kind == "nonzero":
        return np.where((lo <= 0) & (hi >= 0), 1.0, 0.0), (lo == 0) & (hi == 0)
    if kind in ("positive", "mass"):
        return np.where(lo <= 0, 1.0 - lo, 0.0), hi <= 0
    if kind == "nonnegative":
        return np.where(lo < 0, -lo, 0.0), hi < 0
    if kind == "distinct":
        return hi, lo > 0
    if kind == "exponent":
        return np.where(hi > MAX_EXPONENT, hi, 0.0), lo > MAX_EXPONENT
    if kind == "finite":
        return np.where(np.isfinite(lo) & np.isfinite(hi), 0.0, np.inf), lo > hi
    if kind == "size":
        reach_ = np.maximum(-lo, hi)
        return np.where(reach_ > MAX_WHOLE, reach_, 0.0), (lo > MAX_WHOLE) | (hi < -MAX_WHOLE)
    if kind in ("index", "range", "ball"):
        least = np.float64(-np.inf if kind == "ball" else obligation.lo)
        low, high = written(least).lo, written(np.float64(obligation.hi)).hi
        over = np.maximum(low - lo, hi - high)
        sure = (hi < low) | (lo > high)
        return np.where(over > 0, over, 0.0), sure
    assert kind == "cell" and obligation.other is not None
    return _outside_cells(facts, obligation, value, evaluator.value(obligation.other))


def _outside_cells(
    facts: Facts, obligation: Obligation, row: Interval, column: Interval
) -> tuple[Array, Mask]:
    space = facts.grids[obligation.name]
    height, width = space.grid.height, space.grid.width
    inside = (row.lo >= 0) & (row.hi < height) & (column.lo >= 0) & (column.hi < width)
    if space.grid.rows is not None:
        points = (row.lo == row.hi) & (column.lo == column.hi)
        r = np.clip(row.lo, 0, height - 1).astype(np.int64)
        c = np.clip(column.lo, 0, width - 1).astype(np.int64)
        inside = inside & points & (cell_codes(space)[r, c] >= 0)
    return np.where(inside, 0.0, 1.0), ~inside


def _to_one(o: Obligation, f: Failure) -> list[Help | str]:
    """How weights come to add up to 1."""
    if o.text == "choose":
        return ["`normalize` in the place of `choose` divides the weights by their sum"]
    rest = "end with an `else` arm, which takes the remaining mass"
    divide = "divide each by their sum: `mix { a / (a + b) -> this, else -> that }`"
    return [rest] if f.hi <= 1 else [divide, rest]


def _total_failure(ctx: Context, o: Obligation, f: Failure) -> Wording:
    if o.kind == "one":
        many = "weights" if o.text == "choose" else "weights without `else`"
        low, high = reach(f.lo), reach(f.hi)
        total = low if low == high else f"between {low} and {high}"
        return (
            "MFG301",
            f"the {many} must add up to 1",
            f"add up to {total}",
            _to_one(o, f),
        )
    if o.name:  # one number
        cap = around(o.span, "min(1, ", ")", "cap it", applicable=False)
        return (
            "MFG301",
            f"this {o.name} {'is' if f.certain else 'can be'} more than 1",
            f"{'is' if f.certain else 'up to'} {reach(f.hi)}",
            ["a probability is a number from 0 to 1"]
            if f.certain
            else [cap, "state what the parameters obey with `assume`"],
        )
    return (
        "MFG301",
        "weights can add up to more than 1",
        f"up to {reach(f.hi)}",
        [
            "cap one of them with `min`, divide them by the most that they can add up to, or"
            " state what the parameters obey with `assume`"
        ],
    )


def _range_failure(ctx: Context, o: Obligation, f: Failure) -> Wording:
    below = f.lo < o.lo
    shown = reach(f.lo if below and (f.lo - o.lo < o.hi - f.hi or f.hi <= o.hi) else f.hi)
    sure = f.certain and not f.witness
    helps: list[Help | str] = ["give it a domain that holds all its values"]
    if o.text.startswith("the next"):
        helps = [
            around(o.span, "clip(", ")", "keep it inside", applicable=False),
            "let it live on a ring: `int mod n`, or forbid the action with `where`",
        ]
    return (
        "MFG303",
        f"{o.text} {'leaves' if sure else 'may leave'} its domain",
        f"{'is' if sure else 'can be'} {shown}, the domain is {_interval(ctx, o)}",
        helps,
    )


def _interval(ctx: Context, o: Obligation) -> str:
    """The domain as the language writes it: a range of integers or an interval of reals."""
    if ctx.builder.type_of(o.node).kind == "real":
        return f"[{o.lo:g}, {o.hi:g}]"
    return f"{o.lo:g}..{o.hi:g}"


def _ball_failure(ctx: Context, o: Obligation, f: Failure) -> Wording:
    return (
        "MFG303",
        f"{o.text} may leave its domain",
        f"can be {reach(f.hi)} long, the ball has radius {o.hi:g}",
        [around(o.span, "clip(", ")", "scale it back into the ball", applicable=False)],
    )


def _negative(ctx: Context, o: Obligation, f: Failure) -> Wording:
    help_ = around(o.span, "max(0, ", ")", "keep it from going below 0", applicable=False)
    if o.text == "standard deviation":
        shown = f"{'is' if f.certain else 'can be'} {reach(f.lo)}"
        return "MFG308", "a standard deviation can be negative", shown, [help_]
    return (
        "MFG304",
        f"{_of(o)} a value that can be {reach(f.lo)}",
        "must not be negative",
        [help_],
    )


def _of(o: Obligation) -> str:
    """What is taken of a value: a function by its name, `^` in words."""
    return "a real power of" if o.text == "power" else f"`{o.text}` of"


def _log_floor(ctx: Context, o: Obligation, f: Failure) -> str:
    """A sum keeps what can be 0 above it, a maximum what can be below it, too."""
    cut = f"`log(max({ctx.written(o.span)}, 1e-6))`"
    if f.lo < 0:
        return f"add a floor: {cut}"
    return f"add a floor: `log({ctx.operand(o.span)} + 1e-6)`, or {cut}"


_Report = Callable[[Context, Obligation, Failure], Wording]

_REPORTS: dict[str, _Report] = {
    "ball": _ball_failure,
    "probability": lambda ctx, o, f: (
        "MFG302",
        f"this weight {'is' if f.certain else 'can be'} negative: {reach(f.lo)}"
        + at_text(f.witness),
        "is negative" if f.certain else "can be negative",
        [around(o.span, "max(0, ", ")", "keep it from going below 0", applicable=False)],
    ),
    "total": _total_failure,
    "one": _total_failure,
    "range": _range_failure,
    "nonzero": lambda ctx, o, f: (
        "MFG304",
        "divides by a value that can be 0",
        "is 0" if f.certain else "can be 0",
        [
            f"keep it away from 0, for example with `max({ctx.written(o.span)}, 0.01)`, or guard it"
            f" with `if {ctx.operand(o.span)} > 0`"
        ],
    ),
    "positive": lambda ctx, o, f: (
        "MFG304",
        f"{_of(o)} a value that can be {reach(min(f.lo, 0.0))}",
        "must be positive",
        [_log_floor(ctx, o, f)]
        if o.text == "log"
        else [around(o.span, "max(", ", 1e-6)", "keep it above 0", applicable=False)],
    ),
    "nonnegative": _negative,
    "mass": lambda ctx, o, f: (
        "MFG405",
        "the condition can have probability 0, then this mean is undefined",
        "an average over nobody",
        [f"guard it: `if {o.text} > 0 then {ctx.written(o.span)} else 0`"],
    ),
    "distinct": lambda ctx, o, f: (
        "MFG301",
        f"two elements of this set can be the same{at_text(f.witness)}",
        "not so many different values",
        [f"give each value of `{ctx.written(o.span)}` its own weight, with `mix`"],
    ),
    "exponent": lambda ctx, o, f: (
        "MFG304",
        f"`exp` of a value that can be {reach(f.hi)}",
        f"no number is larger than `exp({MAX_EXPONENT:g})`",
        [f"cap it: `exp(min({ctx.written(o.span)}, 100))`"],
    ),
    "finite": lambda ctx, o, f: (
        "MFG304",
        f"this {o.text} can be infinite",
        "must be finite",
        [
            "keep what it divides by away from 0, or cap it:"
            f" `clip({ctx.written(o.span)}, -1e6, 1e6)`"
        ],
    ),
    "size": lambda ctx, o, f: (
        "MFG304",
        f"this whole number can be {reach(f.hi if f.hi >= -f.lo else f.lo)}",
        "too large to be exact",
        ["compute with real numbers: write `1.0 *` before it"],
    ),
    "index": lambda ctx, o, f: (
        "MFG212",
        f"the index can be outside {o.lo:g}..{o.hi:g}",
        f"can be {reach(f.lo if f.lo < o.lo else f.hi)}",
        ["`clip(i, lo, hi)` keeps it inside"],
    ),
    "cell": lambda ctx, o, f: (
        "MFG303",
        f"this may lie outside grid `{o.name}` or on a wall",
        "not always a free cell",
        ["clip the row and the column, or use `step(x, move)`"],
    ),
}


def _report(ctx: Context, facts: Facts, obligation: Obligation, failure: Failure) -> None:
    """Report a failure, at a legal action if there is one."""
    guarded = _where_legal(ctx, obligation)
    legal = None if guarded is None else find_failure(ctx, facts, guarded)
    if legal is not None and legal.missing == failure.missing:
        failure = legal
    code, message, label, helps = _REPORTS[obligation.kind](ctx, obligation, failure)
    if failure.missing is not None:
        headline = MISSING[failure.missing][obligation.kind]
        message = headline.format(o=obligation, of=_of(obligation))
        label = f"between {reach(failure.lo)} and {reach(failure.hi)}"
        helps = helps[:1]
    notes = notes_of(obligation.kind, failure)
    if guarded is not None and legal is None:
        notes.append("no legal action leads there, but this value is computed for the others too")
    ctx.error(code, message, obligation.span, label, notes=notes, helps=helps)


def _where_legal(ctx: Context, obligation: Obligation) -> Obligation | None:
    """The obligation at legal actions only; None where all are."""
    scope = ctx.players.get(obligation.player or "")
    if scope is None or scope.legal is None:
        return None
    return replace(obligation, guards=(*obligation.guards, Guard(scope.legal, True)))


def enclosure(facts: Facts, roots: Sequence[int]) -> tuple[float, float]:
    """The range of the sum of the nodes `roots` over everything they read."""
    leaves = leaves_of(facts.nodes, roots)
    evaluator = Evaluator(facts, choose_axes(facts, leaves))
    values = [evaluator.value(root) for root in roots]
    total = add(point(np.float64(0.0)), *values)
    size = max(1.0, *(reach_ for reach_ in map(abs, (np.min(total.lo), np.max(total.hi)))))
    if evaluator.simplified and rounding(facts, roots) > ROOM * size:
        total = add(point(np.float64(0.0)), *(for_floats(evaluator, r, 0.0) for r in roots))
    return float(np.min(total.lo)), float(np.max(total.hi))
