"""Where everybody is over time and what they do; of a batch in its first game."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True, eq=False)
class Marginal:
    """Shares [T, values] of a variable; `whose` is empty where there is one player."""

    whose: str
    axis: Axis
    shares: Shares

    def to_json(self) -> dict[str, Any]:
        """What a chart of it shows, with all values."""
        return {
            "player": self.whose or None,
            "variable": self.axis.name,
            "values": [self.axis.value(k) for k in range(self.axis.size)],
            "shares": self.shares.tolist(),
        }


@dataclass(frozen=True, eq=False)
class Means:
    """Means [T, states] of states without tables."""

    names: tuple[str, ...]
    means: Shares

    def to_json(self) -> dict[str, Any]:
        """What its chart shows, with all states."""
        return {"states": list(self.names), "means": self.means.tolist()}


def flows_of(run: ReadRun) -> Iterator[Marginal | Means]:
    """Where everybody is and what they do, in the first game of a batch."""
    if not run.summary or not (run.folder.path / "flow.npz").is_file():
        return
    if run.options.solver in EXACT:
        yield _means(run)
    elif run.options.solver in SOLVERS and not goes_along(run.options):
        yield from _shares(run)


def flow_parts(run: ReadRun) -> Iterator[str]:
    """The charts of a run that has a flow."""
    found = list(flows_of(run))
    if found and (point := ", ".join(f"{name} = {v}" for name, v in run.points[0].items())):
        yield paragraph(f"The first game of the batch: {point}.", "quiet")
    for part in found:
        yield _means_chart(part) if isinstance(part, Means) else _variable(part)


def _shares(run: ReadRun) -> Iterator[Marginal]:
    """The shares of the values of each variable, summed over all others; where tables hold several
    players, of each one among its own. The same for actions.
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
        yield from _marginals(rest, own, _used(rest, own), name)
        alone = np.zeros_like(whole)
        np.moveaxis(alone, who + 1, 0)[k] = own
        taken = _taken(policy, alone)
        yield from _marginals(policy.actions, taken, _used(policy.actions, taken), name)


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
) -> Iterator[Marginal]:
    """The shares of the variables that are `shown`; `whole` is [T, *sizes of the axes]."""
    for k, axis in enumerate(axes):
        if axis.name in shown and axis.size > 1:
            others = tuple(j + 1 for j in range(len(axes)) if j != k)
            yield Marginal(whose, axis, whole.sum(axis=others))


def _variable(part: Marginal) -> str:
    """Lines for few values or names, a heat map for many numbers, a table for a law that stays."""
    axis, shares = part.axis, part.shares
    whose = f"{part.whose}: " if part.whose else ""
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


def _means(run: ReadRun) -> Means:
    with explained(), np.load(run.folder.path / "flow.npz", allow_pickle=False) as file:
        names, means = [str(name) for name in file["names"]][:-1], file["means"]
    return Means(tuple(names), (means[0] if run.points[0] else means)[:, : len(names)])


def _means_chart(part: Means) -> str:
    """The means of the dozen states that move most."""
    spread, names = np.ptp(part.means, axis=0), part.names
    moved = sorted(np.argsort(-spread, kind="stable")[:MOST_LINES].tolist())
    lines = [Line(names[k], list(enumerate(part.means[:, k].tolist()))) for k in moved]
    cut = f", the {MOST_LINES} of {len(names):,} that move most" if len(names) > MOST_LINES else ""
    return figure(lines_chart(lines, "stage", "mean"), f"Means of states{cut}, by stage.")
