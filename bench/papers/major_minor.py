"""The five games of major-minor control, trained and measured as in the paper's figures.

    python -m bench.papers.major_minor start|trained|baselines [--games NAME ...]
        [--seeds 0 1 2] [--rows FILE]
    python -m bench.papers.major_minor page [--rows FILE]

The first writes a line for each run to the file of rows, `reproduced/m3fc.jsonl`; the second makes
`bench/papers/results/m3fc.md`, `.json` and `.svg` of them. `start` measures the untrained planner,
where training starts (Cui et al. 2024, arXiv:2303.10665; their released code); `trained` the
experiments of `mfdsl reproduce m3fc`, with other numbers of agents as well, and planners at the
first seed also with an upper action that is drawn once for all agents, or by each of them;
`baselines` what `baselines.py` trains with 20 agents. All of it runs on one core; seconds are those
of the processor, in training.
"""

import argparse
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

import mfdsl
from bench.papers import baselines
from bench.papers.major_minor_page import GAMES, Measured, Row, write
from mfdsl.experiments import M3FC, Experiment
from mfdsl.learning import prepare_training, train
from mfdsl.reproducing import steps_of
from mfdsl.runtime.learning.loop import Learned
from mfdsl.runtime.learning.planner import Execution
from mfdsl.settings import resolve

EPISODES, FEW = 100, 40  # of a measurement, and with more agents than the spec has
SLICE = 20  # of them side by side
MEASURED = 1 << 20  # seed of the games that measure; training has small ones
SIZES = (300, 5, 20, 50, 500)  # the last at the first seed alone
EXECUTIONS: Mapping[str, Execution | None] = {
    "mean": None,
    "centralised": "centralised",
    "decentralised": "decentralised",
}


def measured(
    game: mfdsl.Game, learned: Learned, agents: int, execution: Execution | None = None
) -> Measured:
    """The return of the team with so many agents, in games that training never saw."""
    values: list[torch.Tensor] = []
    games = EPISODES if agents <= (game.model.populations[0].agents or agents) else FEW
    for part in range(math.ceil(games / SLICE)):
        rollout = mfdsl.simulate(
            game, learned, agents=agents, batch=SLICE, seed=MEASURED + part, execution=execution
        )
        team = rollout.team  # type: ignore[union-attr]
        assert team is not None
        values.append(team.values)
    found = torch.cat(values)
    return Measured(agents, found.mean().item(), found.std().item(), len(found))


def learned_row(
    part: str,
    spec: str,
    solver: str,
    seed: int,
    iterations: int,
    options: Mapping[str, Any],
) -> tuple[Row, mfdsl.Game, Learned]:
    """Train once; the row has no measurement yet."""
    game = mfdsl.load(spec)
    settings = resolve(game.model, solver, iterations=iterations, options=options)
    training = prepare_training(game, settings, seed=seed)
    began = time.process_time()
    learned = train(training)
    seconds = time.process_time() - began
    (agents,) = learned.agents.values()
    steps = learned.iterations * steps_of(game, settings)
    row = Row(part, spec, solver, seed, "mean", agents, learned.iterations, steps, seconds, ())
    return row, game, learned


def start(spec: str, seed: int) -> list[Row]:
    """The planner before training, as released: standard normal numbers, clipped (then tanh but in
    Beach and Foraging), and cells as there.
    """
    clipped = spec in ("m3fc_beach", "m3fc_foraging")
    options: dict[str, Any] = {"entries": "clip" if clipped else "released", "log_std": 0.0}
    options |= {"cells": "q=2"} if spec == "m3fc_foraging" else {}
    options |= {"agents": 2, "games": 2, "evaluate_games": 2, "gradient": "score"}
    row, game, learned = learned_row("start", spec, "m3f_ppo", seed, 0, options)
    found = tuple(measured(game, learned, n, "centralised") for n in (300, 20))
    return [row.with_measurements("centralised", found)]


def trained(spec: str, seed: int) -> list[Row]:
    """What `mfdsl reproduce m3fc --budget paper` trains, measured with all numbers of agents; a
    planner by its mean and by its draws.
    """
    experiment = experiment_of(spec)
    course, solver = experiment.courses["paper"], experiment.solver
    options = {**experiment.options, **course.options}
    row, game, learned = learned_row("trained", spec, solver, seed, course.iterations, options)
    played = EXECUTIONS if solver == "m3f_ppo" and seed == 0 else {"mean": None}
    sizes = SIZES if seed == 0 else SIZES[:-1]
    return [
        row.with_measurements(name, tuple(measured(game, learned, n, kind) for n in sizes))
        for name, kind in played.items()
    ]


def twenty(spec: str, seed: int) -> list[Row]:
    """Learners with 20 agents and equally many steps."""
    rows = []
    for learner in (baselines.CASES[spec].best, "ippo", "mappo"):
        found = baselines.found(spec, learner, seed, baselines.SHORT)
        std = found.error * math.sqrt(found.games)
        at = (Measured(baselines.AGENTS, found.mean, std, found.games),)
        made = (found.iterations, found.steps, found.seconds, at)
        rows.append(Row("baselines", spec, learner, seed, "mean", baselines.AGENTS, *made))
    return rows


def experiment_of(spec: str) -> Experiment:
    """The experiment of a game."""
    (found,) = [experiment for experiment in M3FC if experiment.name == spec]
    return found


PARTS = {"start": start, "trained": trained, "baselines": twenty}


def append(path: Path, rows: Sequence[Row]) -> None:
    """Add rows to a file, one JSON object on each line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        for row in rows:
            file.write(json.dumps(asdict(row)) + "\n")


def read(path: Path) -> list[Row]:
    """The rows of a file; of rows for the same run the last one counts."""
    found: dict[tuple[object, ...], Row] = {}
    for line in path.read_text().splitlines():
        entries = json.loads(line)
        entries["measured"] = tuple(Measured(**one) for one in entries["measured"])
        row = Row(**entries)
        found[row.part, row.game, row.learner, row.seed, row.execution] = row
    return list(found.values())


def main() -> None:
    """Run parts, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=[*PARTS, "page"])
    parser.add_argument("--games", nargs="*", choices=GAMES)
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--rows", type=Path, default=Path("reproduced/m3fc.jsonl"))
    given = parser.parse_args()
    if given.part == "page":
        write(read(given.rows))
        return
    torch.set_num_threads(1)
    for spec in given.games or GAMES:
        for seed in given.seeds:
            rows = PARTS[given.part](spec, seed)
            append(given.rows, rows)
            for row in rows:
                print(row.line(), flush=True)


if __name__ == "__main__":
    main()
