"""Mean-field learners beside IPPO and MAPPO with 20 agents, after equally many steps.

`python bench/papers/baselines.py [--games m3fc_beach ...] [--learners ippo ...] [--seeds 3]
[--first 0] [--scale 1] [--out FILE]` trains each learner on one core with the options below,
measures 100 episodes of the whole game with 20 agents (the same draws for all), and prints returns
beside what the reference measured with 20 agents: the untrained planner and the hand-written rule
of Cui et al. (arXiv:2303.10665, their released code). Learners of one game share all options but
those that make them what they are: who has which credit, whose values critics tell, and whether
gradients run along the path, which baselines have not. `--scale` multiplies the iterations. A step
is one of a whole game, in which all agents move; the paper trains for 500 iterations of 24000.
"""

import argparse
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

import mfdsl
from mfdsl.learning import prepare_training, train
from mfdsl.runtime.learning.loop import Learned
from mfdsl.settings import resolve

AGENTS = 20
EPISODES = 100
SHORT = 0.3  # part of the iterations that shows who is ahead
MEASURED = 10_000  # seed of the episodes that measure
LEARNERS = ("mf_ppo", "m3f_ppo", "ippo", "mappo")

Options = Mapping[str, object]


@dataclass(frozen=True)
class Case:
    """One game: how long all learners train, their options, and those of mean-field learners alone.

    `untrained` and `rule` are returns that the reference measured with 20 agents. `best` is the
    mean-field learner with which the game was solved at larger numbers of agents.
    """

    iterations: int
    common: Options
    ours: Options
    untrained: float
    rule: float
    best: str = "mf_ppo"


ALL: Options = {
    "agents": AGENTS,
    "games": 16,
    "encoder": "histogram",
    "hidden": 64,
    "learning_rate": 0.002,
    "gradient_norm": 1.0,
    "members": AGENTS,
    "evaluate_every": 10,
    "evaluate_games": 16,
}
PATH: Options = {"gradient": "path", "learning_rate": 0.004}
PLANNER: Options = {"rule": "rbf", "log_std": -2.0}  # of a planner along the path
CASES: Mapping[str, Case] = {
    "m3fc_beach": Case(60, {"steps": 100, "discount": 0.95, "entropy": 0.002}, {}, -647, -216.8),
    "m3fc_potential": Case(80, {"discount": 0.97}, {"gradient": "score"}, -116, -35.1),
    # at 0.002 baselines of 2G end below where they began
    "m3fc_2g": Case(60, {"discount": 0.99, "learning_rate": 0.0005}, PATH, -211, -25.6, "m3f_ppo"),
    "m3fc_formation": Case(30, {"discount": 0.99}, PATH, -588, -48.3, "m3f_ppo"),
    "m3fc_foraging": Case(
        80,
        {"steps": 100, "discount": 0.97, "learning_rate": 0.004, "show": "field.pos field.left"}
        | {"encoder": "moments", "fields": True, "games": 8},
        {},
        294,
        2857,
    ),
}


@dataclass(frozen=True)
class Found:
    """The mean return of what was learned, its standard error over games, iterations, steps of
    games and CPU seconds.
    """

    mean: float
    error: float
    games: int
    iterations: int
    steps: int
    seconds: float


def found(spec: str, learner: str, seed: int, scale: float) -> Found:
    """Train one learner in one game, and measure it."""
    case, game = CASES[spec], mfdsl.load(spec)
    options = {**ALL, **case.common}
    if learner in ("mf_ppo", "m3f_ppo"):
        options |= case.ours
    if learner == "m3f_ppo" and options.get("gradient") == "path":
        options |= PLANNER
    iterations = max(1, round(scale * case.iterations))
    settings = resolve(game.model, learner, iterations=iterations, options=options)
    training = prepare_training(game, settings, seed=seed)
    began = time.process_time()
    learned = train(training)
    seconds = time.process_time() - began
    length = int(str(options.get("steps", game.model.horizon.steps)))
    values = returns(game, learned)
    return Found(
        values.mean().item(),
        values.std().item() / math.sqrt(len(values)),
        len(values),
        learned.iterations,
        learned.iterations * int(str(options["games"])) * length,
        seconds,
    )


def returns(game: mfdsl.Game, learned: Learned) -> torch.Tensor:
    """Returns of the team in `EPISODES` episodes."""
    rollout = mfdsl.simulate(game, learned, agents=AGENTS, batch=EPISODES, seed=MEASURED)
    team = rollout.team  # type: ignore[union-attr]
    assert team is not None
    values: torch.Tensor = team.values
    return values


def line(spec: str, learner: str, runs: list[Found]) -> str:
    """One row of the table: the mean over the seeds, and each of them."""
    case = CASES[spec]
    each = ", ".join(f"{run.mean:.1f} ± {run.error:.1f}" for run in runs)
    mean = sum(run.mean for run in runs) / len(runs)
    seconds = sum(run.seconds for run in runs) / len(runs)
    cells = [spec, learner, f"{mean:.1f}", each, f"{runs[0].steps:,}", f"{seconds:.0f}"]
    return "| " + " | ".join([*cells, f"{case.untrained:g}", f"{case.rule:g}"]) + " |"


def main() -> None:
    """Train, measure, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--games", nargs="*", choices=CASES, default=list(CASES))
    parser.add_argument("--learners", nargs="*", choices=LEARNERS, default=list(LEARNERS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    head = ["game", "learner", "mean", "each seed", "steps", "CPU s", "untrained", "hand rule"]
    table = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    print("\n".join(table), flush=True)
    for spec in given.games:
        for learner in given.learners:
            seeds = range(given.first, given.first + given.seeds)
            table.append(line(spec, learner, [found(spec, learner, s, given.scale) for s in seeds]))
            print(table[-1], flush=True)
    if given.out is not None:
        given.out.write_text("\n".join(table) + "\n")


if __name__ == "__main__":
    main()
