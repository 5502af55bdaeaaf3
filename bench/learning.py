"""Moves of agents per second in training, beside what other simulators step without any learning.

`python bench/learning.py [navigation] [major_minor]` prints, for one core, agents times environment
steps per second of whole iterations of `mf_ppo` (play, credit, losses, updates of the networks)
along the path and by score, with team credit and with that of the team's marginals, in episodes of
`--steps` steps. `move` is our simulator alone under the networks, without gradients. References
step with actions drawn beforehand, and learn nothing:

    pip install vmas                                    # --vmas-python PYTHON
    git clone https://github.com/tudkcui/M3FC-MARL      # --m3fc CLONE --m3fc-python PYTHON

see `simulators.py` for what that last PYTHON needs. Seconds are computing time of the process (wall
time on a GPU, `--device cuda`, where only ours run); figures are medians of `--rounds`.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from reference_process import Rate
from reference_sides import figure, row
from simulators import references, unusable

from mfdsl.errors import UsageError
from mfdsl.game import Game, load
from mfdsl.learning import Training, prepare_training
from mfdsl.runtime.learning.engine import measured
from mfdsl.settings import resolve

WORLDS = {15: (2.2, 16), 50: (3.6, 8), 200: (7.0, 2)}  # agents: half-width, games side by side
VMAS_BATCH = {15: 4096, 50: 2048, 200: 512}
MAJOR_MINOR = {"m3fc_2g": 8, "m3fc_formation": 2, "m3fc_beach": 8}  # games side by side
MAJOR_MINOR |= {"m3fc_foraging": 8, "m3fc_potential": 8}
AGENTS = 300
METHODS: Mapping[str, Mapping[str, Any]] = {
    "path": {"gradient": "path"},
    "score, team": {"gradient": "score", "credit": "team"},
    "score, marginal": {"gradient": "score", "credit": "marginal"},
}
HEADER = ["game", "agents", "games", "move", *METHODS, "theirs", "their games"]


def rate(moves: int, asked: argparse.Namespace, one: Callable[[int], object]) -> str:
    """Moves of agents in a second of `one(k)`, an episode in every game; the first warms up."""
    clock = time.process_time if asked.device == "cpu" else time.perf_counter
    found = []
    for k in range(asked.rounds + 1):
        began = clock()
        one(k)
        if asked.device != "cpu":
            torch.cuda.synchronize(asked.device)
        found.append(moves / (clock() - began))
    return figure(statistics.median(found[1:]))


def playing(training: Training) -> Callable[[int], object]:
    """Episodes that networks play in the games of training, without gradients."""
    learner = training.learner
    engine, behaviour = training.course.lesson.engine(learner.config), learner.behaviour()
    return lambda k: measured(engine, lambda scene, number: behaviour(scene))


def trained(game: Game, agents: int, games: int, asked: argparse.Namespace) -> list[str]:
    """The cells of ours: moving alone, then each method, "-" where it is not defined."""
    moved, cells = "", []
    for method in METHODS.values():
        given = {**method, "games": games, "agents": agents, "steps": asked.steps}
        try:
            settings = resolve(game.model, "mf_ppo", iterations=1000, options=given)
            training = prepare_training(game, settings, device=asked.device)
        except UsageError:
            cells.append("-")
            continue
        moves = games * agents * asked.steps
        if not moved:
            moved = rate(moves, asked, playing(training))
        cells.append(rate(moves, asked, training.learner.step))
    return [moved or "-", *cells]


def compared(theirs: Rate | None, name: str, agents: int, batch: int, rounds: int) -> list[str]:
    """The cells of a reference: moves of agents per second, and its games side by side."""
    if theirs is None:
        return ["-", "-"]
    found = statistics.median(theirs(name, agents, batch, 1.0) for _ in range(rounds))
    return [figure(found * agents), str(batch)]


def navigation(asked: argparse.Namespace, beside: Mapping[str, Rate]) -> None:
    """Cooperative navigation, beside VMAS."""
    for agents, (half, games) in WORLDS.items():
        game = load("navigation", params={"n": agents, "half": half})
        cells = trained(game, agents, games, asked)
        batch = VMAS_BATCH[agents]
        theirs = compared(beside.get("vmas"), "navigation", agents, batch, asked.rounds)
        print(row(["navigation", str(agents), str(games), *cells, *theirs]), flush=True)


def major_minor(asked: argparse.Namespace, beside: Mapping[str, Rate]) -> None:
    """The five major-minor games, beside the wrapper of the code of arXiv:2303.10665."""
    for name, games in MAJOR_MINOR.items():
        cells = trained(load(name), AGENTS, games, asked)
        theirs = compared(beside.get("m3fc"), name, AGENTS, 1, asked.rounds)
        print(row([name, str(AGENTS), str(games), *cells, *theirs]), flush=True)


PARTS = {"navigation": navigation, "major_minor": major_minor}


def main() -> None:
    """The tables of the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("parts", nargs="*", metavar="|".join(PARTS))
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--core", type=int, help="run everything on this core")
    parser.add_argument("--steps", type=int, default=25, help="length of an episode")
    parser.add_argument("--rounds", type=int, default=3)
    for name in ("m3fc", "pic", "vmas"):
        parser.add_argument(f"--{name}-python", metavar="PYTHON")
        if name != "vmas":
            parser.add_argument(f"--{name}", type=Path, metavar="CLONE")
    parser.add_argument("--reference", type=Path, help="rates of the games, measured before")
    asked = parser.parse_args()
    for part in set(asked.parts) - set(PARTS):
        parser.error(f"there is no part {part}")
    problem = unusable(asked.device)
    if problem:
        parser.error(problem)
    if asked.core is not None:
        os.sched_setaffinity(0, {asked.core})
    torch.set_num_threads(1)
    beside = references(asked) if asked.device == "cpu" else {}
    print(row(HEADER))
    print("|" + "---|" * len(HEADER))
    for part in asked.parts or PARTS:
        PARTS[part](asked, beside)


if __name__ == "__main__":
    main()
