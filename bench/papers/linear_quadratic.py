"""Learned policies of linear-quadratic teams against closed forms, at three sizes of the crowd.

Policies are trained with 50 agents and played with 10, 50 and 1000. A gap is what they cost above
the planner's optimum with that many agents, in parts of its exact cost (`bench/lq_gains.py`): both
play the same games with the same noise, so that only the difference is estimated. Policies as in Li
et al. 2021 (arXiv:2105.08268); games of Elliott, Li and Ni 2013 (arXiv:1302.6416) and Huang 2010.

    python -m bench.papers.linear_quadratic [--cases lq1b ...] [--methods path ...] [--seeds 3]
        [--record]

With `--record` the rows join those of `results/linear_quadratic.json`, from which the table and the
plot (with matplotlib) beside it are made anew. All that is there:

    python -m bench.papers.linear_quadratic --record
    python -m bench.papers.linear_quadratic --record --cases lq1b --methods marginal team --seeds 5
"""

import argparse
import functools
import json
import math
import platform
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import mfdsl
from bench.lq_cases import SETTINGS, played
from bench.lq_gains import Policy, costs, crowd, team, with_major
from mfdsl.game import Game
from mfdsl.runtime.learning.loop import Learned
from mfdsl.runtime.simulator import Rollout

TRAINED = 50  # agents
GAMES = {10: 2000, 50: 400, 1000: 40}  # by agents: games of a measurement
SEED = 1 << 20  # of measurements; training has small ones
SPECS = {
    "lq1": "lq_control",
    "lq1b": "lq_control",
    "lq1, common noise": "lq_control",
    "lq5": "lq_major_control",
}


@dataclass(frozen=True)
class Method:
    """Options of `mf_ppo` and the number of its iterations."""

    iterations: int
    options: Mapping[str, Any]


PATH = {"gradient": "path", "games": 32, "hidden": 32, "learning_rate": 0.01}
SCORE = {"gradient": "score", "games": 32, "hidden": 48, "learning_rate": 0.005}
SCORE |= {"epochs": 4, "minibatches": 2, "members": 16, "gradient_norm": 5}
METHODS = {
    "path": Method(200, PATH),
    "marginal": Method(150, SCORE | {"credit": "marginal"}),
    "team": Method(150, SCORE | {"credit": "team"}),
}
GOALS = {"path": (0.01, 60.0), "marginal": (0.02, 300.0)}  # largest gap and seconds
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Gap:
    """What a policy costs above the optimum, in parts of the exact optimal cost `exact`.

    `optimum` is how far the simulated optimum is from `exact`, in standard errors.
    """

    agents: int
    gap: float
    std_error: float
    exact: float
    optimum: float


@dataclass(frozen=True)
class Row:
    """One course; seconds are those of the processor, of training alone."""

    method: str
    case: str
    seed: int
    iterations: int
    options: Mapping[str, Any]
    seconds: float
    gaps: tuple[Gap, ...]

    def gap(self, agents: int) -> float:
        """The gap with that many agents."""
        return next(found.gap for found in self.gaps if found.agents == agents)


@functools.cache
def game_of(case: str) -> Game:
    """The compiled game of a case."""
    return mfdsl.load(SPECS[case], params=SETTINGS[case])


@functools.cache
def optimum(case: str) -> tuple[Policy, Mapping[int, float]]:
    """The planner's rows, optimal at any number of agents, and what the team then pays."""
    settings = SETTINGS[case]
    game = with_major(settings) if SPECS[case] == "lq_major_control" else crowd(settings)
    rows = team(game)
    return rows, {agents: sum(costs(game, rows, agents)) for agents in GAMES}


def gap(case: str, learned: Learned, agents: int, games: int) -> Gap:
    """The gap at a number of agents, from `games` pairs of games with the same noise."""
    exact, best = optimum(case)[1][agents], least_costs(case, agents, games)
    above = (team_costs(case, learned, agents, games) - best) / exact
    away = (best.mean().item() - exact) / (best.std().item() / math.sqrt(games))
    return Gap(agents, above.mean().item(), above.std().item() / math.sqrt(games), exact, away)


@functools.cache
def least_costs(case: str, agents: int, games: int) -> Tensor:
    """What the team pays at the optimum in each of the measured games [games]."""
    return team_costs(case, played(SPECS[case], [optimum(case)[0]]), agents, games)


def team_costs(case: str, policy: Any, agents: int, games: int) -> Tensor:
    """What the team pays under a policy in each of the measured games [games]."""
    rollout = mfdsl.simulate(game_of(case), policy, agents=agents, batch=games, seed=SEED)
    assert isinstance(rollout, Rollout) and rollout.team is not None
    return -rollout.team.values


def row(name: str, case: str, seed: int, method: Method) -> Row:
    """Train once and measure."""
    options = {"agents": TRAINED, **method.options}
    began = time.process_time()
    learned = mfdsl.solve(
        game_of(case), "mf_ppo", iterations=method.iterations, options=options, seed=seed
    )
    seconds = time.process_time() - began
    assert isinstance(learned, Learned)
    found = tuple(gap(case, learned, agents, games) for agents, games in GAMES.items())
    return Row(name, case, seed, method.iterations, options, seconds, found)


def line(found: Row) -> str:
    """A row as text: gaps in percent with their standard errors."""
    gaps = "  ".join(
        f"N {g.agents:4d} {100 * g.gap:7.3f} +- {100 * g.std_error:.3f} % ({g.optimum:+.1f} s.e.)"
        for g in found.gaps
    )
    start = f"{found.method:8s}  {found.case:17s}  seed {found.seed}  {found.iterations:4d} it"
    return f"{start}  {found.seconds:6.1f} CPU-s  {gaps}"


def recorded(rows: Sequence[Row]) -> list[Row]:
    """The rows of the file of results with these in the place of their predecessors, saved."""
    path = RESULTS / "linear_quadratic.json"
    kept = {}
    if path.exists():
        for entry in json.loads(path.read_text())["rows"]:
            entry["gaps"] = tuple(Gap(**found) for found in entry["gaps"])
            kept[entry["method"], entry["case"], entry["seed"]] = Row(**entry)
    kept |= {(found.method, found.case, found.seed): found for found in rows}
    order = [(m, c) for m in METHODS for c in SPECS]
    whole = sorted(kept.values(), key=lambda r: (order.index((r.method, r.case)), r.seed))
    device = {
        "device": "CPU, one thread",
        "machine": platform.machine(),
        "torch": torch.__version__,
    }
    RESULTS.mkdir(exist_ok=True)
    entries = {
        **device,
        "torch": torch.__version__,
        "trained": TRAINED,
        "rows": [asdict(found) for found in whole],
    }
    path.write_text(json.dumps(entries, indent=1) + "\n")
    return whole


def table(rows: Sequence[Row]) -> str:
    """What was reached, as Markdown."""
    head = f"""\
# Linear-quadratic teams against closed forms

```console
$ python -m bench.papers.linear_quadratic --record
$ python -m bench.papers.linear_quadratic --record --cases lq1b --methods marginal team --seeds 5
```

![plot](linear_quadratic.svg)

What `mf_ppo` costs above the planner's optimum with N agents, trained with {TRAINED}: the worst of
the seeds, and CPU seconds of training on one thread. Standard errors, options and single seeds are
in `linear_quadratic.json`. Goals: 1 % in 60 s along the path, 2 % in 300 s by PPO. lq5 has a major
player.

| gradient | game | seeds | iterations | CPU s | {" | ".join(f"N = {n}" for n in GAMES)} | goal |
|---|---|---|---|---|{"---|" * len(GAMES)}---|
"""
    lines = []
    for name, (most, seconds) in GOALS.items():
        for case in SPECS:
            found = [r for r in rows if (r.method, r.case) == (name, case)]
            if not found:
                continue
            worst = [max(r.gap(n) for r in found) for n in GAMES]
            slowest = max(r.seconds for r in found)
            goal = "reached" if max(worst) <= most and slowest <= seconds else "missed"
            cells = " | ".join(f"{100 * w:.2f} %" for w in worst)
            label = "path" if name == "path" else "PPO, marginal credit"
            lines.append(
                f"| {label} | {case} | {len(found)} | {found[0].iterations} | {slowest:.1f} |"
                f" {cells} | {goal} |\n"
            )
    return head + "".join(lines) + _credits(rows)


def _credits(rows: Sequence[Row]) -> str:
    """Marginal credit beside that of the team, with equal samples."""
    cells = []
    for name, label in (("marginal", "marginal"), ("team", "the team's")):
        found = [r for r in rows if (r.method, r.case) == (name, "lq1b")]
        if not found:
            return ""
        middle = [statistics.median(r.gap(n) for r in found) for n in GAMES]
        gaps = " | ".join(f"{100 * m:.2f} %" for m in middle)
        cells.append(f"| {label} | {len(found)} | {gaps} |\n")
    head = f"""
Credit on lq1b, equal samples and updates: medians over the seeds. The goal is less than half.

| credit | seeds | {" | ".join(f"N = {n}" for n in GAMES)} |
|---|---|{"---|" * len(GAMES)}
"""
    return head + "".join(cells)


def plot(rows: Sequence[Row], path: Path) -> None:
    """Gaps by the number of agents, a panel for each game and a line for each seed."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = path.name  # the same numbers give the same file
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(SPECS), figsize=(12, 3), sharey=True, layout="tight")
    colours = dict(zip(METHODS, ("tab:blue", "tab:orange", "tab:gray"), strict=True))
    for case, panel in zip(SPECS, panels, strict=True):
        for found in rows:
            if found.case == case:
                gaps = [100 * max(g.gap, 1e-5) for g in found.gaps]
                panel.loglog(list(GAMES), gaps, "o-", color=colours[found.method], alpha=0.6)
        panel.axhline(2, color="black", lw=0.8, ls=":")
        panel.set(title=case, xlabel="agents", xticks=list(GAMES), xticklabels=list(GAMES))
    panels[0].set_ylabel("cost above the optimum, %")
    for name, colour in colours.items():
        panels[-1].plot([], [], "o-", color=colour, label=name)
    panels[-1].legend(fontsize="small")
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Train all cases that are asked for, and print or write their rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", nargs="+", choices=SPECS, default=list(SPECS))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=["path", "marginal"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--iterations", type=int, help="in place of those of the method")
    parser.add_argument("--record", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for case in given.cases:
        for agents, games in GAMES.items():  # compiles before anything is timed
            least_costs(case, agents, games)
        for name in given.methods:
            method = METHODS[name]
            if given.iterations:
                method = replace(method, iterations=given.iterations)
            for seed in range(given.first, given.first + given.seeds):
                found = row(name, case, seed, method)
                print(line(found), flush=True)
                rows.append(found)
    if given.record:
        whole = recorded(rows)
        (RESULTS / "linear_quadratic.md").write_text(table(whole))
        plot(whole, RESULTS / "linear_quadratic.svg")


if __name__ == "__main__":
    main()
