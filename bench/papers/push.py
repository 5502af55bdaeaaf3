"""Cooperative push: one local policy learned along the path, from an easy ball to that of PIC.

    python -m bench.papers.push [--seeds 3] [--scale 1] [--out rows.jsonl] [--write]

15 agents bump a heavy ball to a target (50 steps; Liu et al. 2019, arXiv:1911.00025). Contact is
stiff and of a point: gradients along the path explode at it and say nothing before it. So training
begins with a light, large ball of soft contact, whose gradients are tame, and goes on with heavier,
smaller and stiffer ones; each stage starts with the networks of the one before. Only parameters of
the spec change, discounting keeps gradients short, and what is measured is the spec's game; games
that are not measured choose among the networks on the way, whose returns go up and down.

Beside the learned policy stand PIC's untrained one and an oracle that goes behind the ball, seen
from the target, and pushes, all in the same games: returns differ mostly by where ball and target
start, so the difference to the oracle is far better known than either return. `--scale` multiplies
the iterations; seconds are computing time of the process. Rows are kept in `--out` as they come,
and seeds that are there are not trained again.
"""

import argparse
import itertools
import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import mfdsl
from bench.papers.committed import commit
from bench.papers.navigation import acting, returns, shares_of, steering, untrained
from mfdsl.learning import prepare_training
from mfdsl.runtime.behaviours import Behaviour, Scene
from mfdsl.runtime.learning.base import Learner
from mfdsl.settings import resolve

STEPS = 50
GAMES = 1000
CHOICE = 256  # games by which networks are chosen
CHECK = 30  # iterations between two of their measurements
BEHIND = 0.1  # where the oracle goes, in units of length behind the ball
GAINS = (40.0, 4.0)  # of the oracle: on the distance and on the velocity
OPTIONS: dict[str, Any] = {
    "gradient": "path",
    "games": 32,
    "hidden": 64,
    "squash": "simplex",
    "laws": False,
    "nearest": 2,
    "discount": 0.93,
    "final_rate": 1.0,
}


@dataclass(frozen=True)
class Stage:
    """Parameters of the game for so many iterations, and the learning rate."""

    margin: float
    stiff: float
    m_ball: float
    r_ball: float
    iterations: int
    rate: float

    @property
    def params(self) -> dict[str, Any]:
        """Those of the spec; contact is at the radius of the ball, which shrinks to PIC's."""
        names = ("margin", "stiff", "m_ball", "r_ball")
        return {name: getattr(self, name) for name in names} | {"pic_contact": False, "T": STEPS}


STAGES = (
    Stage(0.1, 30, 1, 0.4, 300, 5e-3),
    Stage(0.1, 30, 2, 0.2, 180, 3e-3),
    Stage(0.05, 30, 4, 0.1, 180, 2e-3),
    Stage(0.05, 30, 8, 0.06, 300, 1e-3),
    Stage(0.03, 30, 8, 0.04, 150, 1e-3),
)


@dataclass(frozen=True)
class Row:
    """One course: the return, and how far it is above the oracle's, with standard errors.

    `curve` has the difference on the way, in the games of the choice.
    """

    seed: int
    seconds: float
    learned: tuple[float, float]
    above: tuple[float, float]
    curve: tuple[float, ...]


def from_behind(scene: Scene) -> Any:
    """The oracle: go behind the ball, then through it to the target."""
    world, agents = scene.state.world, scene.state.agent
    ball, way = world.ball[:, None], (world.target - world.ball)[:, None]
    way = way / way.norm(dim=-1, keepdim=True).clamp(min=1e-9)
    apart = agents.x - ball
    along = (apart * way).sum(-1, keepdim=True)
    beside = (apart - along * way).norm(dim=-1, keepdim=True)
    ready = (along < 0) & (beside < BEHIND / 3)
    force = steering(agents, ball - BEHIND * way, GAINS, scene.params.thrust)
    push = GAINS[0] * (ball - agents.x) / scene.params.thrust + way
    return acting(scene, shares_of(torch.where(ready, push, force)))


def learner_of(stage: Stage, scale: float, seed: int) -> Learner:
    """Untrained networks in the game of a stage."""
    game = mfdsl.load("push", params=stage.params)
    iterations = max(1, round(scale * stage.iterations))
    options = OPTIONS | {"learning_rate": stage.rate}
    settings = resolve(game.model, "mf_ppo", iterations=iterations, options=options)
    return prepare_training(game, settings, seed=seed).learner


def course(game: mfdsl.Game, oracle: Tensor, scale: float, seed: int) -> Row:
    """All stages; the networks that do best on the way in other games than the measured ones."""
    seconds, curve, beside = 0.0, [], chosen(game, from_behind)
    learner = learner_of(STAGES[0], scale, seed)
    best = (-math.inf, weights(learner))
    for stage in STAGES:
        began, before = time.process_time(), weights(learner)
        learner = learner_of(stage, scale, seed)
        learner.policy.load_state_dict(before)
        iterations = max(1, round(scale * stage.iterations))
        for k in range(iterations):
            learner.step(k)
            if (k + 1) % CHECK == 0 or k + 1 == iterations:
                above = (chosen(game, learner.behaviour()) - beside).mean().item()
                best = max(best, (above, weights(learner)), key=lambda pair: pair[0])
                curve.append(above)
        seconds += time.process_time() - began
        print(
            f"    seed {seed}, {seconds:.0f} CPU s: {curve[-1]:.2f} above from behind", flush=True
        )
    learner.policy.load_state_dict(best[1])
    found = returns(game, learner.behaviour(), len(oracle))
    return Row(seed, seconds, with_error(found), with_error(found - oracle), tuple(curve))


def weights(learner: Learner) -> dict[str, Tensor]:
    """What the networks that play are now."""
    return {name: value.clone() for name, value in learner.policy.state_dict().items()}


def chosen(game: mfdsl.Game, behaviour: Behaviour) -> Tensor:
    """Returns in the games by which networks are chosen."""
    rollout = game.simulator(batch=CHOICE, seed=1).rollout(behaviour)
    assert rollout.team is not None
    return rollout.team.values


def with_error(values: Tensor) -> tuple[float, float]:
    """A mean and its standard error."""
    return values.mean().item(), values.std().item() / math.sqrt(len(values))


def read(path: Path) -> list[Row]:
    """Rows that earlier runs wrote."""
    found = [json.loads(line) for line in path.read_text().splitlines()]
    return [
        Row(r["seed"], r["seconds"], tuple(r["learned"]), tuple(r["above"]), tuple(r["curve"]))
        for r in found
    ]


def table(rows: list[Row], random: Tensor, oracle: Tensor) -> list[str]:
    """One line for each seed, as Markdown."""
    beside = [f"{mean:.1f} ± {error:.1f}" for mean, error in map(with_error, (random, oracle))]
    lines = [
        "| seed | CPU s | untrained | from behind | learned | learned above from behind |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        mean, above = (f"{m:.1f} ± {e:.1f}" for m, e in (row.learned, row.above))
        cells = (str(row.seed), f"{row.seconds:.0f}", *beside, mean, f"**{above}**")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def draw(axes: Any, rows: list[Row]) -> None:
    """Returns on the way less those of the oracle."""
    for row in rows:
        axes.plot(
            [CHECK * (k + 1) for k in range(len(row.curve))], row.curve, label=f"seed {row.seed}"
        )
    axes.axhline(0, color="k", linewidth=0.8, label="from behind")
    for end in itertools.accumulate(stage.iterations for stage in STAGES[:-1]):
        axes.axvline(end, color="0.8", linewidth=0.8)
    axes.set_xlabel("iterations; lines are between stages")
    axes.set_ylabel("return in the game of the spec, above from behind")
    axes.legend(fontsize="small")


def main() -> None:
    """Train, measure, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--out", type=Path, default=Path("push.jsonl"))
    parser.add_argument("--write", action="store_true", help="write the committed results")
    given = parser.parse_args()
    torch.set_num_threads(1)
    game = mfdsl.load("push", params={"T": STEPS})
    random, oracle = (returns(game, play, GAMES) for play in (untrained, from_behind))
    rows = read(given.out) if given.out.exists() else []
    for seed in set(range(given.seeds)) - {row.seed for row in rows}:
        rows.append(course(game, oracle, given.scale, seed))
        with given.out.open("a") as file:
            file.write(json.dumps(asdict(rows[-1])) + "\n")
    lines = table(rows, random, oracle)
    print("\n".join(lines))
    if given.write:
        numbers = {
            "untrained": with_error(random),
            "from_behind": with_error(oracle),
            "games": GAMES,
            "stages": [asdict(stage) for stage in STAGES],
            "rows": [asdict(row) for row in rows],
        }
        text = __doc__.split("\n\n", 2)[2].strip()
        commit(
            "push",
            "Cooperative push with 50 steps",
            f"python -m bench.papers.push --seeds {len(rows)} --write",
            [text, "\n".join(lines)],
            numbers,
            lambda axes: draw(axes, rows),
        )


if __name__ == "__main__":
    main()
