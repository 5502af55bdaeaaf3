"""Cooperative navigation: one local policy learned along the path, played at other sizes.

    python -m bench.papers.navigation [--seeds 3] [--scale 1] [--anchors] [--write]

Navigation (25 steps): all agents share a network of their velocity, five nearest agents and five
nearest landmarks; it is trained with 15 agents, whose collisions a sigmoid counts (`soft`), and
measured, collisions counted one by one, at all sizes. Its score is (R - R_random) / (R_oracle -
R_random), R the mean return of the team. Anchors up to 200 agents come from a copy of the physics
of PIC (Liu and others 2019, arXiv:1911.00025) that shares no code with ours, those of 500 from
`--anchors`, which measures all of them here: `random` is PIC's untrained policy, `oracle` assigns
landmarks once, at least total distance, and steers there. That is no bound: with sharper gains,
(60, 6), it gets -59 with 15.

`--scale` multiplies the iterations; seconds are computing time of the process.
"""

import argparse
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]
from torch import Tensor

import mfdsl
from bench.papers.committed import commit
from mfdsl.learning import learned_behaviour, prepare_training, train
from mfdsl.runtime.behaviours import Behaviour, Scene
from mfdsl.runtime.learning.loop import Learned, LearningRecord
from mfdsl.runtime.own_policies import OwnPolicy
from mfdsl.runtime.streams import draw
from mfdsl.settings import resolve

SOFT = 0.05
OPTIONS: dict[str, Any] = {
    "gradient": "path",
    "games": 32,
    "learning_rate": 2e-3,
    "final_rate": 0.1,
    "hidden": 128,
    "squash": "simplex",
    "laws": False,
    "evaluate_every": 50,
    "evaluate_games": 128,
    "nearest": 5,
    "hide": "x",
}
ITERATIONS = 900
GAINS = (40.0, 10.0)  # of the oracle of navigation: on the distance and on the velocity
PAIRS = 4_000_000  # in games side by side


@dataclass(frozen=True)
class Size:
    """A number of agents: half-width of its world, games of a measurement, returns of anchors."""

    agents: int
    half: float
    games: int
    random: float
    oracle: float


@dataclass(frozen=True)
class Found:
    """A return, its standard error and the score at one size."""

    agents: int
    mean: float
    error: float
    score: float


@dataclass(frozen=True)
class Row:
    """One course: what was found at all sizes; seconds are those of training."""

    seed: int
    seconds: float
    found: tuple[Found, ...]


SIZES = (
    Size(15, 2.2, 1000, -243.9, -66.2),
    Size(30, 3.0, 500, -462.7, -129.8),
    Size(100, 5.0, 200, -1429.0, -418.5),
    Size(200, 7.0, 100, -2776.0, -825.0),
    Size(500, 11.0, 40, -6773.0, -2102.0),
)


def measured(game: mfdsl.Game, behaviour: Behaviour, games: int) -> tuple[float, float]:
    """The team's mean return in `games` games and its standard error."""
    values = returns(game, behaviour, games)
    return values.mean().item(), values.std().item() / math.sqrt(len(values))


def returns(game: mfdsl.Game, behaviour: Behaviour, games: int) -> Tensor:
    """Returns of the team in `games` games [games], the same ones for every behaviour."""
    (agents,) = game.simulator(batch=1).agents.values()
    side = max(1, min(games, PAIRS // agents**2))
    found = []
    for part in range(math.ceil(games / side)):
        rollout = game.simulator(batch=side, seed=10_000 + part).rollout(behaviour)
        assert rollout.team is not None
        found.append(rollout.team.values)
    return torch.cat(found)


def untrained(scene: Scene) -> Any:
    """A softmax of Gumbel noise on equal logits over the five moves: PIC's policy at the start."""
    shape = (scene.batch, scene.agents["agent"], 5)
    u = draw(("exponential",), shape, (scene.seed, scene.t, "gumbel"))
    return acting(scene, (-u.log()).softmax(-1))


def acting(scene: Scene, shares: Tensor) -> Any:
    """The action of all agents from shares of the five moves [B, N, 5]."""
    return OwnPolicy(lambda t, seen: {"a": shares})(scene)


def shares_of(force: Tensor) -> Tensor:
    """Shares [..., 5] whose force, in units of the thrust, is this one [..., 2], shortened."""
    force = force / force.abs().sum(-1, keepdim=True).clamp(min=1)
    moves = torch.stack([force, -force], -1).clamp(min=0).flatten(-2)
    return torch.cat([1 - moves.sum(-1, keepdim=True), moves], -1)


def steering(state: Any, goal: Tensor, gains: tuple[float, float], thrust: Tensor) -> Tensor:
    """The force towards a goal [B, N, 2] that a spring and a damper exert, over the thrust."""
    force: Tensor = (gains[0] * (goal - state.x) - gains[1] * state.v) / thrust
    return force


def assigned() -> Behaviour:
    """The oracle of navigation."""
    goals: list[Tensor] = []

    def behave(scene: Scene) -> Any:
        agents, landmarks = scene.state.agent, scene.state.world.landmark
        if scene.t == 0:
            far = torch.cdist(agents.x, landmarks)
            order = [torch.as_tensor(linear_sum_assignment(d.numpy())[1]) for d in far]
            goals[:] = [torch.stack([m[k] for m, k in zip(landmarks, order, strict=True)])]
        return acting(scene, shares_of(steering(agents, goals[0], GAINS, scene.params.thrust)))

    return behave


def trained(iterations: int, seed: int) -> tuple[Learned, float]:
    """A policy and the computing time that it took, in seconds."""
    game = mfdsl.load("navigation", params={"soft": SOFT})
    settings = resolve(game.model, "mf_ppo", iterations=max(1, iterations), options=OPTIONS)
    training = prepare_training(game, settings, seed=seed)
    began = time.process_time()
    learned = train(training, on_progress=_shown)
    return learned, time.process_time() - began


def _shown(record: LearningRecord) -> None:
    if not math.isnan(record.measured):
        print(f"    {record.iteration:>5}  {record.measured:10.2f}", flush=True)


def world(size: Size) -> mfdsl.Game:
    """Navigation of a size, as it is measured."""
    return mfdsl.load("navigation", params={"n": size.agents, "half": size.half})


def anchors() -> list[str]:
    """Returns of both anchors of navigation, measured."""
    lines = ["| N | half-width | games | random | oracle |", "|---|---|---|---|---|"]
    for size in SIZES:
        game = world(size)
        pair = [measured(game, play, size.games) for play in (untrained, assigned())]
        cells = [f"{mean:.1f} ± {error:.1f}" for mean, error in pair]
        lines.append(f"| {size.agents} | {size.half:g} | {size.games} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    return lines


def course(iterations: int, seed: int) -> Row:
    """Train once and measure at all sizes."""
    learned, seconds = trained(iterations, seed)
    found = []
    for size in SIZES:
        game = world(size)
        mean, error = measured(game, learned_behaviour(game, learned), size.games)
        score = (mean - size.random) / (size.oracle - size.random)
        found.append(Found(size.agents, mean, error, score))
        print(f"    N = {size.agents}: {mean:.1f} ± {error:.1f}, {score:.3f}", flush=True)
    return Row(seed, seconds, tuple(found))


def table(rows: Sequence[Row]) -> list[str]:
    """One line for each seed: computing time, and return and score at each size."""
    head = ["seed", "CPU s", *(f"N = {s.agents}, R | score" for s in SIZES)]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * (2 + 2 * len(SIZES))]
    for row in rows:
        cells = [str(row.seed), f"{row.seconds:.0f}"]
        for found in row.found:
            cells += [f"{found.mean:.1f} ± {found.error:.1f}", f"**{found.score:.3f}**"]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def plot(axes: Any, rows: Sequence[Row]) -> None:
    """Scores against the number of agents."""
    for row in rows:
        agents, scores = zip(*((f.agents, f.score) for f in row.found), strict=True)
        axes.semilogx(agents, scores, "o-", label=f"seed {row.seed}")
    axes.axvline(SIZES[0].agents, color="0.7", linewidth=0.8, label="trained here")
    axes.set_ylim(0, 1)
    axes.set_xlabel("agents")
    axes.set_ylabel("score: 0 random moves, 1 assigned landmarks")
    axes.legend(fontsize="small")


def main() -> None:
    """Train, measure, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--anchors", action="store_true", help="measure the anchors, too")
    parser.add_argument("--write", action="store_true", help="write the committed results")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.anchors:
        print("\n".join(anchors()))
    rows = []
    for seed in range(given.seeds):
        print(f"navigation, seed {seed}", flush=True)
        rows.append(course(round(given.scale * ITERATIONS), seed))
    lines = table(rows)
    print("\n".join(lines))
    if given.write:
        numbers = {"sizes": [asdict(s) for s in SIZES], "rows": [asdict(row) for row in rows]}
        text = __doc__.split("\n\n", 2)[2].strip()
        commit(
            "navigation",
            "Cooperative navigation, trained with 15 agents",
            f"python -m bench.papers.navigation --seeds {given.seeds} --write",
            [text, "\n".join(lines)],
            numbers,
            lambda axes: plot(axes, rows),
        )


if __name__ == "__main__":
    main()
