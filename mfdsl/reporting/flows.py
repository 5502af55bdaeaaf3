"""Where everybody is over time and what they do; of a batch in its first game."""

from collections.abc import Iterator, Sequence

import numpy as np

from mfdsl.records import explained, goes_along
from mfdsl.reporting.charts import Line, heat_map, lines_chart
from mfdsl.reporting.html import figure, number, paragraph, table
from mfdsl.reporting.reading import ReadRun
from mfdsl.runtime.policy import Axis, TabularPolicy
from mfdsl.runtime.solvers.riccati.table import EXACT
from mfdsl.runtime.solvers.table import SOLVERS

Shares = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

MOST_LINES = 12
HISTORY = "past"  # the axis of histories of a common noise


def flow_parts(run: ReadRun) -> Iterator[str]:
    """The charts of a run that has a flow."""
    if not run.summary or not (run.folder.path / "flow.npz").is_file():
        return
    first = [*_first(run)]
    yield paragraph(f"The first game of the batch: {', '.join(first)}." if first else "", "quiet")
    if run.options.solver in EXACT:
        yield from _means(run)
    elif run.options.solver in SOLVERS and not goes_along(run.options):
        yield from _shares(run)


def _first(run: ReadRun) -> Iterator[str]:
    for name, value in run.points[0].items():
        yield f"{name} = {value}"


def _shares(run: ReadRun) -> Iterator[str]:
    """A chart for each variable: the shares of its values, summed over all others; where tables
    hold several players, of each one among its own. The same for actions.
    """
    with explained():
        laws = run.folder.laws()[0].numpy()
        policy = run.folder.saved_policy()
    axes = policy.states
    whole = laws.reshape(len(laws), *(axis.size for axis in axes))
    players = {player.name: player for player in run.game.model.players}
    who = next((k for k, a in enumerate(axes) if a.labels and players.keys() >= {*a.labels}), None)
    if who is None:
        shown = [a.name for a in axes if a.name != HISTORY or len(players) == 1]
        yield from _marginals(axes, whole, shown, "")
        taken = _taken(policy, whole)
        yield from _marginals(policy.actions, taken, [a.name for a in policy.actions], "")
        return
    rest = (*axes[:who], *axes[who + 1 :])
    for k, name in enumerate(axes[who].labels):
        own = whole.take(k, axis=who + 1)
        own = own / own.sum(axis=tuple(range(1, own.ndim)), keepdims=True)
        yield from _marginals(rest, own, _used(rest, own), f"{name}: ")
        alone = np.zeros_like(whole)
        np.moveaxis(alone, who + 1, 0)[k] = own
        taken = _taken(policy, alone)
        yield from _marginals(policy.actions, taken, _used(policy.actions, taken), f"{name}: ")


def _taken(policy: TabularPolicy, shares: Shares) -> Shares:
    """The shares [T, *actions] that take each action, of shares [T + 1, *states] or stationary."""
    stages = policy.stages
    laws = shares[:stages].reshape(stages, -1)
    taken = np.einsum("ts,tsa->ta", laws, policy.probs[0].numpy())
    by_action: Shares = taken.reshape(stages, *(axis.size for axis in policy.actions))
    return by_action


def _used(axes: Sequence[Axis], own: Shares) -> list[str]:
    """The axes on which a player leaves the first place: of one that it has not, or that it shares
    under the names of several variables (`x_y`), the name alone does not tell.
    """
    moved = [own.take(range(1, axis.size), axis=k + 1).any() for k, axis in enumerate(axes)]
    return [a.name for a, there in zip(axes, moved, strict=True) if there and a.name != HISTORY]


def _marginals(
    axes: Sequence[Axis], whole: Shares, shown: Sequence[str], whose: str
) -> Iterator[str]:
    """The charts of the variables that are `shown`; `whole` is [T, *sizes of the axes]."""
    for k, axis in enumerate(axes):
        if axis.name in shown and axis.size > 1:
            others = tuple(j + 1 for j in range(len(axes)) if j != k)
            yield _variable(axis, whole.sum(axis=others), whose)


def _variable(axis: Axis, shares: Shares, whose: str) -> str:
    """Lines for few values or names, a heat map for many numbers, a table for a law that stays."""
    names = [_name(axis, k) for k in range(axis.size)]
    largest = sorted(np.argsort(-shares.max(axis=0), kind="stable")[:MOST_LINES].tolist())
    cut = f", the {MOST_LINES} largest of {axis.size:,}" if axis.size > MOST_LINES else ""
    if len(shares) == 1:
        rows = [(names[k], number(float(shares[0, k]))) for k in largest]
        return table((f"{whose}{axis.name}", f"share{cut}"), rows)
    if axis.size > MOST_LINES and not axis.labels:
        drawing, notes = heat_map(shares.tolist(), names, "stage", axis.name)
        text = f"{whose}share at each value of {axis.name}, by stage" + (
            f"; {notes}" if notes else ""
        )
        return figure(drawing, f"{text}.")
    lines = [Line(names[k], list(enumerate(shares[:, k].tolist()))) for k in largest]
    drawing = lines_chart(lines, "stage", "share", least=0.0)
    return figure(drawing, f"{whose}share at each value of {axis.name}{cut}, by stage.")


def _name(axis: Axis, place: int) -> str:
    value = axis.value(place)
    return value if isinstance(value, str) else f"{value:g}"


def _means(run: ReadRun) -> Iterator[str]:
    """The means of all states without tables, the dozen that moves most."""
    with explained(), np.load(run.folder.path / "flow.npz", allow_pickle=False) as file:
        names, means = [str(name) for name in file["names"]][:-1], file["means"]
    means = (means[0] if run.points[0] else means)[:, : len(names)]
    spread = np.ptp(means, axis=0)
    moved = sorted(np.argsort(-spread, kind="stable")[:MOST_LINES].tolist())
    lines = [Line(names[k], list(enumerate(means[:, k].tolist()))) for k in moved]
    cut = f", the {MOST_LINES} of {len(names):,} that move most" if len(names) > MOST_LINES else ""
    yield figure(lines_chart(lines, "stage", "mean"), f"Means of states{cut}, by stage.")
