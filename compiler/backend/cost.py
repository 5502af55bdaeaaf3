"""What a step costs: tables over pairs of values, warned of early and refused before they burst."""

from mfdsl.compiler.backend.plan import Plan, make_plan, table_entries
from mfdsl.compiler.diagnostics import Sink
from mfdsl.compiler.ir.model import Model, Place
from mfdsl.compiler.ir.walk import reachable
from mfdsl.compiler.source import Span

LARGE_PAIRS = 1 << 22
MOST_PAIRS = 1 << 28


def report_cost(model: Model, sink: Sink) -> None:
    """Warn of terms that compare every value with every value of another member (MFG804).

    Beyond 2^28 pairs the table does not fit into memory, which is an error (MFG701).
    """
    plan = make_plan(model)
    for position, statistic in enumerate(plan.statistics):
        pairs = table_entries(plan, statistic) if statistic.residual else 0
        if pairs <= LARGE_PAIRS:
            continue
        place = _place(plan, position)
        span = None if place is None else Span(place.file, place.start, place.end)
        refused = pairs > MOST_PAIRS
        sink.report(
            "MFG701" if refused else "MFG804",
            f"this term compares {pairs:,} pairs of values in every step",
            span,
            f"the limit is {MOST_PAIRS:,}" if refused else f"{pairs * 8 / 2**20:,.0f} MiB a step",
            severity="error" if refused else "warning",
            helps=["write it with moments, `mean(q.x for ...)`, or with the mass at single values"],
        )


def _place(plan: Plan, position: int) -> Place | None:
    """The first written expression that looks the statistic up."""
    for index in sorted(plan.places):
        below = reachable(plan.nodes, [index])
        if any(plan.nodes[i].op == "table" and plan.nodes[i].attr == position for i in below):
            return plan.places[index]
    return None
