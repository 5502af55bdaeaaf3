"""The page of the five games of major-minor control: tables and a plot of measured rows.

Figures of the reference were measured with its released code (Cui et al. 2024, arXiv:2303.10665,
commit fbef911): means and deviations over episodes, which are few.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from bench.papers.committed import commit

PAPER_STEPS = {"m3fc_foraging": 3.6e8}
USUAL_STEPS = 1.2e8
PARTS = ("start", "trained", "baselines")
OTHERS = ("ippo", "mappo")
ENOUGH = 3.0  # standard errors that make a difference


@dataclass(frozen=True)
class Measured:
    """Returns of a team of `agents`: mean, deviation between games, and number of games."""

    agents: int
    mean: float
    std: float
    games: int

    @property
    def error(self) -> float:
        """The standard error of the mean."""
        return self.std / math.sqrt(self.games)

    def text(self) -> str:
        """Mean and standard error, with a digit below the first of the error."""
        digits = max(0, 1 - math.floor(math.log10(max(self.error, 1e-9)))) if self.error < 10 else 0
        return f"{self.mean:.{min(digits, 2)}f} ± {self.error:.{min(digits, 2)}f}"


@dataclass(frozen=True)
class Row:
    """One run: what was trained, with how many agents and steps, and what came out.

    `execution` says how a planner played: its mean, or draws common to all agents or of each agent.
    """

    part: str
    game: str
    learner: str
    seed: int
    execution: str
    agents: int
    iterations: int
    steps: int
    seconds: float
    measured: tuple[Measured, ...]

    def with_measurements(self, execution: str, found: tuple[Measured, ...]) -> "Row":
        """The row with what was measured."""
        return replace(self, execution=execution, measured=found)

    def at(self, agents: int) -> Measured | None:
        """What was measured with so many agents."""
        return next((one for one in self.measured if one.agents == agents), None)

    def line(self) -> str:
        """The row in words."""
        found = "  ".join(f"N={one.agents}: {one.text()}" for one in self.measured)
        head = f"{self.part} {self.game} {self.learner} seed {self.seed} {self.execution}"
        return f"{head}: {found}; {self.steps:,} steps, {self.seconds:.0f} s"


@dataclass(frozen=True)
class Reference:
    """Returns of the released code with 300 and with 20 agents: of the untrained planner, and of a
    hand-written rule that it could hand out.
    """

    start: Measured
    rule: Measured
    few_start: Measured
    few_rule: Measured


REFERENCES = {
    "m3fc_2g": Reference(
        Measured(300, -196.731, 11.002, 12),
        Measured(300, -21.098, 0.979, 12),
        Measured(20, -210.639, 26.143, 40),
        Measured(20, -25.628, 2.815, 40),
    ),
    "m3fc_formation": Reference(
        Measured(300, -468.077, 118.975, 12),
        Measured(300, -39.857, 9.263, 12),
        Measured(20, -588.211, 195.151, 25),
        Measured(20, -48.298, 11.551, 25),
    ),
    "m3fc_beach": Reference(
        Measured(300, -633.68, 10.95, 30),
        Measured(300, -221.293, 2.431, 30),
        Measured(20, -646.761, 9.446, 30),
        Measured(20, -216.786, 5.753, 30),
    ),
    "m3fc_foraging": Reference(
        Measured(300, 271.425, 119.503, 50),
        Measured(300, 2797.812, 237.354, 30),
        Measured(20, 294.039, 116.894, 30),
        Measured(20, 2857.126, 312.042, 30),
    ),
    "m3fc_potential": Reference(
        Measured(300, -105.863, 60.279, 150),
        Measured(300, -38.263, 16.674, 150),
        Measured(20, -115.6, 54.055, 40),
        Measured(20, -35.142, 18.278, 40),
    ),
}
GAMES = tuple(REFERENCES)


def apart(one: Measured, other: Measured) -> float:
    """By how many standard errors of their difference one return exceeds another."""
    return (one.mean - other.mean) / math.hypot(one.error, other.error)


def verdict(errors: Sequence[float]) -> str:
    """What all seeds did, and by how many standard errors each exceeds the reference: beaten,
    reached (none is short of it by more than three), or not.
    """
    listed = ", ".join(f"{one:+.1f}" for one in errors)
    if min(errors) > ENOUGH:
        return f"beaten ({listed} s.e.)"
    if min(errors) >= -ENOUGH:
        return f"reached ({listed} s.e.)"
    short = sum(one < -ENOUGH for one in errors)
    return f"not reached by {short} of {len(errors)} ({listed} s.e.)"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def pooled(rows: Sequence[Row], agents: int) -> Measured:
    """All seeds together: the mean of means, and an error that holds their spread as well.

    Seeds see the same games, so that errors within them do not shrink with the number of seeds.
    """
    found = [one for row in rows if (one := row.at(agents))]
    mean = sum(one.mean for one in found) / len(found)
    between = sum((one.mean - mean) ** 2 for one in found) / max(1, len(found) - 1)
    within = sum(one.error**2 for one in found) / len(found)
    games = found[0].games
    return Measured(agents, mean, math.sqrt(games * (within + between / len(found))), games)


def each(rows: Sequence[Row], agents: int) -> str:
    """The return of every seed."""
    return ", ".join(one.text() for row in rows if (one := row.at(agents)))


def spread(values: Sequence[float]) -> str:
    """The least and the largest of some numbers."""
    low, high = f"{min(values):,.0f}", f"{max(values):,.0f}"
    return low if low == high else f"{low} to {high}"


def _start(rows: Sequence[Row]) -> str:
    lines = []
    for row in rows:
        reference = REFERENCES[row.game]
        for here, there in ((row.at(300), reference.start), (row.at(20), reference.few_start)):
            if here is not None:
                cells = [row.game, str(here.agents), here.text(), there.text()]
                lines.append([*cells, f"{apart(here, there):+.1f}"])
    head = ["game", "N", "here", "released code", "difference in s.e."]
    return "Where training starts: the untrained planner.\n\n" + table(head, lines)


def _trained(rows: Sequence[Row]) -> str:
    lines = []
    for game, mine in _by_game(rows):
        reference, found = REFERENCES[game].rule, pooled(mine, 300)
        whole = PAPER_STEPS.get(game, USUAL_STEPS)
        seconds = spread([row.seconds for row in mine])
        cells = [game, mine[0].learner, found.text(), each(mine, 300), reference.text()]
        errors = [apart(one, reference) for row in mine if (one := row.at(300))]
        cells += [verdict(errors), f"{mine[0].agents}", f"{mine[0].steps:,}"]
        lines.append([*cells, f"{whole:.1e}", seconds])
    head = [
        "game",
        "learner",
        "all seeds",
        "each seed",
        "hand-written rule",
        "verdict",
        "trained with N",
    ]
    return (
        "Trained, and measured with N = 300 in 100 episodes.\n\n"
        + table([*head, "steps", "steps of the paper", "CPU s"], lines)
        + "\n\nThe rule is one that a planner can hand out, and not the best. A step is one of a"
        " whole game. The error of all seeds holds the spread between them. In Foraging all are"
        " shown the deposits (`show`), which the rule knows and planners of the paper do not see."
    )


def _sizes(rows: Sequence[Row]) -> str:
    sizes = (5, 20, 50, 300, 500)
    lines = [[game, *(pooled(mine, n).text() for n in sizes)] for game, mine in _by_game(rows)]
    head = ["game", *(f"N = {n}" for n in sizes)]
    return "The same networks with other numbers of agents (500: seed 0).\n\n" + table(head, lines)


def _executions(rows: Sequence[Row]) -> str:
    sizes = (5, 20, 50, 300, 500)
    names = ("mean", "centralised", "decentralised")
    lines = []
    for game, mine in _by_game(rows):
        for name in names:
            played = [row for row in mine if row.execution == name]
            lines.append([game, name, *(pooled(played, n).text() for n in sizes)])
    head = ["game", "upper action", *(f"N = {n}" for n in sizes)]
    text = (
        "Planners (`m3f_ppo`, rules smoothed by kernels, seed 0): the mean upper action, one draw"
        " for all agents (centralised), or a draw of each agent's own (decentralised)."
    )
    return text + "\n\n" + table(head, lines)


def _baselines(rows: Sequence[Row]) -> str:
    lines = []
    for game, mine in _by_game(rows):
        names = sorted({row.learner for row in mine}, key=lambda name: name in OTHERS)
        ours = pooled([row for row in mine if row.learner == names[0]], 20)
        for learner in names:
            runs = [row for row in mine if row.learner == learner]
            found = pooled(runs, 20)
            means = [one.mean for row in runs if (one := row.at(20))]
            ahead = f"{apart(ours, found):+.1f}" if learner in OTHERS else ""
            values = ", ".join(f"{value:.1f}" for value in means)
            steps, seconds = f"{runs[0].steps:,}", spread([row.seconds for row in runs])
            lines.append([game, learner, f"{found.mean:.1f}", values, ahead, steps, seconds])
    head = ["game", "learner", "mean", "each seed", "ours ahead by (s.e.)", "steps", "CPU s"]
    text = "Trained and measured with N = 20 for equally many steps (100 episodes)."
    return text + "\n\n" + table(head, lines)


def _by_game(rows: Sequence[Row]) -> Iterable[tuple[str, list[Row]]]:
    for game in GAMES:
        mine = sorted((row for row in rows if row.game == game), key=lambda row: row.seed)
        if mine:
            yield game, mine


def drawn(rows: Sequence[Row]) -> Callable[[Any], None]:
    """The plot: returns against N, where 0 is the untrained planner and 1 the hand-written rule."""

    def draw(axes: Any) -> None:
        for game, mine in _by_game(rows):
            reference = REFERENCES[game]
            low, high = reference.start.mean, reference.rule.mean
            sizes = sorted(one.agents for one in mine[0].measured)
            sizes = [n for n in sizes if all(row.at(n) for row in mine)]
            found = [pooled(mine, n) for n in sizes]
            scaled = [(one.mean - low) / (high - low) for one in found]
            errors = [one.error / (high - low) for one in found]
            axes.errorbar(sizes, scaled, errors, marker="o", capsize=3, label=game[5:])
        axes.axhline(1, color="grey", linestyle=":")
        axes.set_xscale("log")
        axes.set_xticks([5, 20, 50, 300, 500], ["5", "20", "50", "300", "500"])
        axes.set_xlabel("number of agents")
        axes.set_ylabel("0: untrained, 1: hand-written rule (N = 300)")
        axes.legend(ncols=5, loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize="small")

    return draw


def blocks(rows: Sequence[Row]) -> list[str]:
    """The tables of a page, those with rows."""
    parts = {name: [row for row in rows if row.part == name] for name in PARTS}
    usual = [row for row in parts["trained"] if row.execution == "mean"]
    drawn_too = {row.game for row in parts["trained"] if row.execution != "mean"}
    planned = [row for row in parts["trained"] if row.game in drawn_too and row.seed == 0]
    tables = (
        (_start, parts["start"]),
        (_trained, usual),
        (_sizes, usual),
        (_executions, planned),
        (_baselines, parts["baselines"]),
    )
    return [part(mine) for part, mine in tables if mine]


def write(rows: Sequence[Row]) -> None:
    """Write the page, its numbers and its plot."""
    script = "python -m bench.papers.major_minor"
    command = "\n$ ".join(f"{script} {part}" for part in (*PARTS, "page"))
    title = "Five games of major-minor control (arXiv 2303.10665)"
    numbers = [asdict(row) for row in rows]
    trained = [row for row in rows if row.part == "trained" and row.execution == "mean"]
    commit("m3fc", title, command, blocks(rows), numbers, drawn(trained))
