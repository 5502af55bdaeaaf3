"""What a run found, as parts of a page: figures with their kind, the course, a batch."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from mfdsl.batches import OPTION
from mfdsl.records import games_of
from mfdsl.reporting.charts import Line, lines_chart
from mfdsl.reporting.html import figure, number, paragraph, table
from mfdsl.reporting.reading import ReadRun
from mfdsl.runtime.learning.table import LEARNERS

KINDS = {
    "exact": "exact: computed on all that can happen, up to rounding",
    "estimate": "an estimate: tables stand for a game that is not theirs in all parts, or single"
    " precision does not tell so small a gain",
    "lower_bound": "a bound from below with 95 %: what responses gained that were learned",
    "upper_bound": "a bound from above, the mean over drawn paths of the common noise",
    "between": "the upper end of what it lies between, the mean over drawn paths",
}
MOST_GAMES = 200
MEANING = (
    "Exploitability is what one agent can gain by leaving the crowd: the return of a best response"
    " to the flow minus the return of the policy, at the initial law. It is 0 only at an"
    " equilibrium."
)

TOGETHER = (
    "Of what is best for all together, exploitability is what a planner can gain where this is"
    " exact or the social value is proved to be concave, and else says how the value slopes."
)


def result_parts(run: ReadRun) -> Iterator[str]:
    """The figures of the summary."""
    found = run.summary
    if not found:
        yield paragraph("The run has not ended: there is no summary.")
        return
    gap = found.get("exploitability")
    rows = [(escape(name), value) for name, value in _rows(run, gap)]
    yield table(("", ""), rows)
    if gap is not None:
        together = run.game.model.objective == "team" or getattr(run.row, "social", False)
        yield paragraph(TOGETHER if together else MEANING, "quiet")
    yield from _games(run)


def _rows(run: ReadRun, gap: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    found, many = run.summary, len(run.points) > 1
    yield "status", escape(": ".join(filter(None, (found["status"], found.get("message")))))
    yield "iterations", number(found["iterations"])
    if gap is not None:
        yield "exploitability" + (" (worst game)" if many else ""), number(gap["value"])
        yield "its kind", escape(KINDS[gap["kind"]])
        if gap.get("std_error") is not None:
            yield "its standard error", number(gap["std_error"])
        if len(gap["per_population"]) > 1:
            yield from ((f"of {name}", number(v)) for name, v in gap["per_population"].items())
        for name, value in (gap.get("between") or {}).items():
            yield name.replace("_", " "), number(value)
    value = found.get("value")
    if isinstance(value, dict):
        yield "mean return", number(value["mean"])
        yield "its standard error", number(value["std_error"])
        yield "measured in games", number(value["games"])
    elif not many and not isinstance(value, list):
        yield "return of the policy", number(value)
    for name, cost in (found.get("costs") or {}).items():
        yield f"cost of {name}", number(cost)
    for name, total in (found.get("social") or {}).items():
        if isinstance(total, int | float):
            yield f"everybody together: {name.replace('_', ' ')}", number(total)
    yield "seconds", number(found["seconds"])


def _games(run: ReadRun) -> Iterator[str]:
    """A row for each game of a batch."""
    if not run.points[0]:
        return
    gaps, values, endings = games_of(run.folder, run.options, run.summary)
    axes = [*run.points[0]]
    rows = [
        (
            *(escape(str(point[name])) for name in axes),
            *(number(figure_) for figure_ in figures),
            str(ending["iterations"]),
            escape(ending["status"]),
        )
        for point, *figures, ending in zip(run.points, gaps, values, endings, strict=True)
    ]
    names = [name.removeprefix(OPTION) for name in axes]
    yield "<h3>Games of the batch</h3>"
    yield table((*names, "exploitability", "return", "iterations", "status"), rows[:MOST_GAMES])
    if len(rows) > MOST_GAMES:
        yield paragraph(
            f"The first {MOST_GAMES} of {len(rows):,}; `mfdsl table RUN --part games` has all.",
            "quiet",
        )


def course_parts(run: ReadRun) -> Iterator[str]:
    """How it went: exploitability over iterations, or the returns that a learner measured."""
    if len(run.history) < 2:
        return
    if run.options.solver in LEARNERS:
        yield from _learning(run)
        return
    points = _column(run, "exploitability")
    log = any(y > 0 for _, y in points)
    drawing = lines_chart([Line("", points)], "iteration", "exploitability", log=log)
    worst = ", of the worst game of the batch" if len(run.points) > 1 else ""
    least = sum(y <= 0 for _, y in points)
    hidden = f"; {least} reports of 0 or less have no place on this scale" if log and least else ""
    yield figure(drawing, f"Exploitability at each report{worst}{hidden}.")


def _learning(run: ReadRun) -> Iterator[str]:
    lines = [
        Line("measured", _column(run, "measured")),
        Line("in training", _column(run, "value")),
    ]
    drawing = lines_chart([line for line in lines if line.points], "iteration", "return")
    yield figure(drawing, "Returns in training, and in the games of measurements.")


def _column(run: ReadRun, name: str) -> list[tuple[float, float]]:
    """A figure of the reports that have it, by iteration."""
    return [(r["iteration"], r[name]) for r in run.history if r.get(name) is not None]
