"""Moves of agents per second in training, beside other simulators alone and in training.

`python bench/learning.py [navigation] [major_minor]` prints, for one core, agents times environment
steps per second of whole iterations (play, credit, losses, updates of the networks): of `mf_ppo`
along the path and by score, with team credit and with that of the team's marginals, and of the
planner `m3f_ppo` along the path and by score, in episodes of `--steps` steps. `move` is our
simulator alone under the networks of mf_ppo, without gradients. References need

    pip install vmas                                    # --vmas-python PYTHON
    git clone https://github.com/tudkcui/M3FC-MARL      # --m3fc CLONE --m3fc-python PYTHON

and see `simulators.py` for what that last PYTHON needs. `alone` they step with actions drawn
beforehand, and learn nothing; `trained` they are the games of a PPO whose networks have as many
hidden layers, as wide, and as many passes and minibatches as ours (`reference_learning.py`): one
upper policy of histograms for the wrapper of M3FC, whose counterpart is the planner, and one policy
of all agents for VMAS, whose counterpart is `score, team`. `times` is our fastest method beside
their training, `PPO` our counterpart. Both sides choose how many games they play side by side.
Beside the wrapper, a batch has as many games on both sides, rules have as many cells, and no pass
over it is left out.
Seconds are computing time of the process (wall time on a GPU, `--device cuda`, where only ours
run). In each of `--rounds` all of ours have a go and then the reference; figures are medians of the
rounds, and so are `times` and `PPO` of the ratios within rounds.
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from reference_process import Rate
from reference_sides import figure, row
from simulators import asked_of, parser_of, references

from mfdsl.errors import UsageError
from mfdsl.game import Game, load
from mfdsl.learning import Training, prepare_training
from mfdsl.runtime.learning.engine import measured
from mfdsl.settings import resolve

WORLDS = {15: (2.2, 256), 50: (3.6, 64), 200: (7.0, 8)}  # agents: half-width, games side by side
VMAS_BATCH = {15: (4096, 1024), 50: (2048, 256), 200: (512, 16)}  # alone, in training
MAJOR_MINOR = {"m3fc_2g": 64, "m3fc_formation": 16, "m3fc_beach": 64}  # games side by side
MAJOR_MINOR |= {"m3fc_foraging": 256, "m3fc_potential": 256}
RULES = {"m3fc_foraging": {"cells": "q=2"}}  # as many cells as the wrapper has
AGENTS = 300
HIDDEN, UPPER = 64, 256  # width of policies of agents, and of upper ones
MEMBERS = 16  # agents of each scene in an update
EVERY = 1e9  # of `kl`: no pass is left out, as in their training
SCORE = {"gradient": "score", "members": MEMBERS, "epochs": 4, "minibatches": 4, "kl": EVERY}
METHODS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "path": ("mf_ppo", {"gradient": "path", "hidden": HIDDEN}),
    "score, team": ("mf_ppo", SCORE | {"credit": "team", "hidden": HIDDEN}),
    "score, marginal": ("mf_ppo", SCORE | {"credit": "marginal", "hidden": HIDDEN}),
    "planner, path": ("m3f_ppo", {"gradient": "path", "hidden": UPPER}),
    "planner, score": ("m3f_ppo", SCORE | {"hidden": UPPER}),
}
THEIRS = ("alone", "trained")
HEADER = ["game", "agents", "games", "move", *METHODS, *THEIRS, "times", "PPO"]


Go = Callable[[], float]
"""One episode in every game; its moves of agents in a second."""


def going(moves: int, asked: argparse.Namespace, one: Callable[[int], object]) -> Go:
    """Goes of `one(k)`, k = 1, 2, ...; the first of all, which warms up, is made here."""
    clock = time.process_time if asked.device == "cpu" else time.perf_counter
    numbers = itertools.count()

    def go() -> float:
        began = clock()
        one(next(numbers))
        if asked.device != "cpu":
            torch.cuda.synchronize(asked.device)
        return moves / (clock() - began)

    go()
    return go


def playing(training: Training) -> Callable[[int], object]:
    """Episodes that networks play in the games of training, without gradients."""
    learner = training.learner
    engine, behaviour = training.course.lesson.engine(learner.config), learner.behaviour()
    return lambda k: measured(engine, lambda scene, number: behaviour(scene))


def trained(game: Game, agents: int, games: int, asked: argparse.Namespace) -> dict[str, Go]:
    """Ours: `move`, and each method that is defined."""
    found: dict[str, Go] = {}
    moves = games * agents * asked.steps
    for name, (solver, method) in METHODS.items():
        if asked.methods and name not in asked.methods:
            continue
        rules = RULES.get(game.model.name, {}) if solver == "m3f_ppo" else {}
        given = {**method, **rules, "games": games, "agents": agents, "steps": asked.steps}
        try:
            settings = resolve(game.model, solver, iterations=1000, options=given)
            training = prepare_training(game, settings, device=asked.device)
        except UsageError:
            continue
        if not found:
            found["move"] = going(moves, asked, playing(training))
        found[name] = going(moves, asked, training.learner.step)
    return found


@dataclass(frozen=True)
class Case:
    """A game with its number of agents: ours side by side, theirs alone and in training, how wide
    their networks are, and which of ours is trained as they are.
    """

    name: str
    agents: int
    games: int
    theirs: tuple[int, int]
    width: int
    counterpart: str


def line(case: Case, ours: Mapping[str, Go], theirs: Rate | None, rounds: int) -> str:
    """A row; with a reference both sides take turns."""
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        for kind, go in ours.items():
            found.setdefault(kind, []).append(go())
        if theirs is None:
            continue
        for kind, batch, width in zip(THEIRS, case.theirs, (0, case.width), strict=True):
            steps = theirs(case.name, case.agents, batch, 1.0, width)
            found.setdefault(kind, []).append(case.agents * steps)
    middle = {kind: statistics.median(values) for kind, values in found.items()}
    cells = [case.name, str(case.agents), str(case.games)]
    cells += [figure(middle[k]) if k in middle else "-" for k in ("move", *METHODS, *THEIRS)]
    best = max((k for k in middle if k in METHODS), key=lambda k: middle[k])
    for kind in (best, case.counterpart):
        if "trained" in found and kind in found:
            pairs = zip(found[kind], found["trained"], strict=True)
            cells.append(f"{statistics.median(a / b for a, b in pairs):.1f}")
        else:
            cells.append("-")
    return row(cells)


def navigation(asked: argparse.Namespace, beside: Mapping[str, Rate]) -> None:
    """Cooperative navigation, beside VMAS."""
    for agents, (half, games) in WORLDS.items():
        if asked.agents and agents not in asked.agents:
            continue
        game = load("navigation", params={"n": agents, "half": half})
        case = Case("navigation", agents, games, VMAS_BATCH[agents], HIDDEN, "score, team")
        ours = trained(game, agents, games, asked)
        print(line(case, ours, beside.get("vmas"), asked.rounds), flush=True)


def major_minor(asked: argparse.Namespace, beside: Mapping[str, Rate]) -> None:
    """The five major-minor games, beside the wrapper of the code of arXiv:2303.10665."""
    for name, games in MAJOR_MINOR.items():
        if asked.games and name not in asked.games:
            continue
        case = Case(name, AGENTS, games, (1, games), UPPER, "planner, score")
        ours = trained(load(name), AGENTS, games, asked)
        print(line(case, ours, beside.get("m3fc"), asked.rounds), flush=True)


PARTS = {"navigation": navigation, "major_minor": major_minor}


def main() -> None:
    """The tables of the parts that are asked for."""
    parser = parser_of(__doc__, PARTS, rounds=3)
    parser.add_argument("--games", nargs="+", choices=MAJOR_MINOR, help="of the major-minor ones")
    parser.add_argument("--agents", nargs="+", type=int, choices=WORLDS, help="of navigation")
    parser.add_argument("--methods", nargs="+", choices=METHODS, help="of ours, else all")
    parser.add_argument("--steps", type=int, default=25, help="length of an episode")
    asked = asked_of(parser, PARTS)
    beside = references(asked) if asked.device == "cpu" else {}
    print(row(HEADER))
    print("|" + "---|" * len(HEADER))
    for part in asked.parts or PARTS:
        PARTS[part](asked, beside)


if __name__ == "__main__":
    main()
