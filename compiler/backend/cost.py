"""What a step costs: pairs of values in tables, pairs of agents in simulations.

Both are read off the plan that the emitter follows: `make_plan` for tables, the roots of
`particles` for agents.
"""

from collections.abc import Mapping, Sequence
from math import prod

from mfdsl.compiler.backend.particles.means import MOST_VALUES
from mfdsl.compiler.backend.particles.quadratic import PairMean, pair_means
from mfdsl.compiler.backend.plan import Plan, make_plan, table_entries
from mfdsl.compiler.diagnostics import Sink
from mfdsl.compiler.ir.model import DEFAULT_AGENTS, Model, Place
from mfdsl.compiler.ir.walk import reachable
from mfdsl.compiler.source import Span

LARGE_PAIRS = 1 << 22
MOST_PAIRS = 1 << 28
FEW_COMBINATIONS = 10_000  # of agents: as many take less time than all else in a step


def report_cost(model: Model, sink: Sink) -> None:
    """Warn of terms that compare everything with everything (MFG804).

    In tables these are pairs of values: beyond 2^28 of them the table does not fit into memory,
    which is an error (MFG701). In games that have no tables they are pairs of
    agents, from 10,000 on.
    """
    if model.tabular:
        _report_tables(model, sink)
    else:
        _report_agents(model, sink)


def _report_tables(model: Model, sink: Sink) -> None:
    plan = make_plan(model)
    for position, statistic in enumerate(plan.statistics):
        pairs = table_entries(plan, statistic) if statistic.residual else 0
        if pairs <= LARGE_PAIRS:
            continue
        refused = pairs > MOST_PAIRS
        sink.report(
            "MFG701" if refused else "MFG804",
            f"this term compares {pairs:,} pairs of values in every step",
            _span(_place(plan, position)),
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


def _report_agents(model: Model, sink: Sink) -> None:
    """One warning for each place; a mean of a family is one place for all of its members."""
    places: dict[Place | None, list[PairMean]] = {}
    for mean in pair_means(model):
        places.setdefault(model.places[mean.node], []).append(mean)
    written = {p.name: p.agents for p in model.populations}
    for place, means in places.items():
        first = means[0]
        count = sum(prod(_agents(written, p) for p in mean.populations) for mean in means)
        if count < FEW_COMBINATIONS:
            continue
        size = len(first.populations)
        tuples = "pairs of agents" if size == 2 else f"groups of {size} agents"
        assumed = [name for name in dict.fromkeys(first.populations) if written[name] is None]
        sink.report(
            "MFG804",
            f"{first.term} compares {count:,} {tuples} {first.when}",
            _span(place),
            _sizes(written, means),
            severity="warning",
            notes=[f"`{name}` has no `agents`: {DEFAULT_AGENTS:,} are assumed" for name in assumed],
            helps=_helps(first),
        )


def _agents(written: Mapping[str, int | None], population: str) -> int:
    return written[population] or DEFAULT_AGENTS


def _sizes(written: Mapping[str, int | None], means: Sequence[PairMean]) -> str:
    if len(means) > 1:
        return f"added up over {len(means)} combinations of populations"
    return " x ".join(f"{_agents(written, p):,} `{p}`" for p in means[0].populations)


def _helps(mean: PairMean) -> Sequence[str]:
    """Forms that take time in proportion to the agents, and the way out that always works."""
    fewer = "or simulate fewer agents: `agents 100` here, `--agents 100` on the command line"
    if mean.extreme:
        return [
            "an extreme of a value of `q` alone, `min(q.x for ...)`, sees each agent once",
            fewer,
        ]
    return [
        "sums of products, such as `dist(q.x, x)^2` or `cos(q.x - x)`, see each agent once",
        f"so do masses at a value, `prob(q.k == k for ...)`, and anything that reads of `q` only"
        f" finite variables with at most {MOST_VALUES} values",
        fewer,
    ]


def _span(place: Place | None) -> Span | None:
    return None if place is None else Span(place.file, place.start, place.end)
