"""Critics of joint observations and actions in reinforcement learning: cooperative navigation.

The claim of Li et al. 2021 (arXiv:2105.08268, Fig. 3): with the same off-policy learner and equal
numbers of parameters, agents taught by a permutation-invariant critic do better than those taught
by a concatenation or by the graph network of PIC (Liu et al. 2019, arXiv:1911.00025), the more so
the more agents there are. Here `maddpg` runs with each critic, everything else equal, for the same
number of environment steps and updates, far fewer than in the paper (60,000 episodes). With 15
agents all options are the first that were tried. With 200 all critics start beside one actor, which
learned with 15 agents for 600 episodes beside a critic that is not compared with (`vdn`): from
scratch 720 episodes taught nothing. The critic alone learns in the first 160 episodes. As many
scenes enter updates for each one played as with 15 agents; ten times fewer, with 40,000 parameters,
taught nothing either, and this is the first setting with as many that was tried. With 10,000
parameters a row of 200 agents leaves one unit to the first layer of `mlp`. `--rates` runs all
critics with other learning rates.

Scores are (R - R_random) / (R_oracle - R_random) with the anchors of `navigation.py`. `final` is
the mean of the last four measurements of training, so that nothing is chosen; `best` measures the
best policy of training again, in games that nothing was chosen by: the actor that critics start
beside, where none that followed measured better. P is the share of all bootstrap samples of the
seeds in which deep sets have the larger final mean. Agents that stand still score 0.07 with 15 and
0.12 with 200, where the actor at the start scores 0.14.

    python -m bench.papers.critics_in_training [--agents 15 200] [--seeds 3] [--critics mlp]
        [--rates 1e-3] [--out rows.jsonl] [--write]

Rows are kept in `--out` as they come, and what is there is not trained again.
"""

import argparse
import itertools
import json
import math
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import mfdsl
from bench.papers.committed import commit
from bench.papers.navigation import SIZES, Size, measured
from mfdsl.learning import Training, learned_behaviour, prepare_training, train
from mfdsl.runtime.learning.loop import LearningRecord
from mfdsl.runtime.learning.networks import parameter_count
from mfdsl.runtime.learning.off_policy import OffPolicy
from mfdsl.runtime.learning.set_critics import CriticKind
from mfdsl.settings import resolve

ALL: tuple[CriticKind, ...] = ("deepsets", "mlp", "gcn_pic", "gcn", "mf_a", "vdn")
OPTIONS: dict[str, Any] = {
    "nearest": 5,
    "hidden": 64,
    "final_rate": 1.0,
    "paid": "arrival",
}
TITLE = "Critics in training: cooperative navigation"
COMMAND = """python -m bench.papers.critics_in_training --agents 15
$ python -m bench.papers.critics_in_training --agents 200 --seeds 3 \\
    --critics deepsets mlp gcn_pic gcn
$ python -m bench.papers.critics_in_training --agents --write"""
RATE = 1e-3
STEPS = 25
LAST = 4  # measurements whose mean is the final score


@dataclass(frozen=True)
class Setting:
    """How one size is trained: iterations of `games` episodes, parameters of the critic, and so on.

    With 200 agents critics are smaller, and an update is of half as many scenes, which have more
    agents. There all start beside one actor, which learned with 15 agents for `START` iterations,
    and are alone to learn in the first `critic_first` iterations.
    """

    iterations: int
    parameters: int
    batch: int
    games: int
    updates: int
    discount: float
    soft: float
    evaluate_every: int
    evaluate_games: int
    critic_first: int


SETTINGS = {
    15: Setting(200, 20_000, 128, 8, 8, 0.9, 0.01, 10, 64, 0),
    200: Setting(180, 10_000, 64, 4, 16, 0.9, 0.01, 15, 16, 40),
}
FEW, TEACHER, START = 15, "vdn", 75  # of the actor that many agents start with


@dataclass(frozen=True)
class Row:
    """One course: its critic, and scores of its last policies and of its best one."""

    agents: int
    critic: str
    rate: float
    seed: int
    parameters: int
    episodes: int
    updates: int
    seconds: float
    final: float
    best: float
    curve: tuple[float, ...]


def size_of(agents: int) -> Size:
    """The world of a number of agents, with its anchors."""
    return next(size for size in SIZES if size.agents == agents)


def prepared(size: Size, kind: CriticKind, rate: float, seed: int) -> Training:
    """The course of one critic before its first iteration."""
    game = mfdsl.load("navigation", params={"n": size.agents, "half": size.half})
    own = {"critic": kind, "learning_rate": rate} | asdict(SETTINGS[size.agents])
    iterations = own.pop("iterations")
    settings = resolve(game.model, "maddpg", iterations=iterations, options=OPTIONS | own)
    return prepare_training(game, settings, seed=seed)


def started(path: Path) -> dict[str, Tensor]:
    """The networks of the actor that many agents start with; they are learned and written where
    there is no such file.
    """
    if path.exists():
        return load_file(path)
    learner = learner_of(prepared(size_of(FEW), TEACHER, RATE, 0))
    for iteration in range(START):
        learner.step(iteration)
    networks = learner.networks.actor.net.state_dict()
    save_file(networks, path)
    return networks


def learner_of(training: Training) -> OffPolicy:
    """The learner of a course of this page."""
    assert isinstance(training.learner, OffPolicy)
    return training.learner


def course(
    size: Size, kind: CriticKind, rate: float, seed: int, start: Mapping[str, Tensor] | None
) -> Row:
    """Train with one critic, from the networks of an actor where there are some; seconds are
    computing time, measurements on the way included.
    """
    setting = SETTINGS[size.agents]
    training = prepared(size, kind, rate, seed)
    game, networks = training.game, learner_of(training).networks
    if start is not None:
        for actor in (networks.actor, networks.target_actor):
            actor.net.load_state_dict(start)
    began, seen = time.process_time(), []

    def heard(record: LearningRecord) -> None:
        if not math.isnan(record.measured):
            seen.append(score(size, record.measured))

    learned = train(training, on_progress=heard)
    seconds = time.process_time() - began
    mean, _ = measured(game, learned_behaviour(game, learned), max(20, size.games // 4))
    episodes = setting.iterations * setting.games
    updates = setting.updates * episodes * STEPS // 100
    size_found = parameter_count(networks.critic)
    final = statistics.fmean(seen[-LAST:])
    figures = (size_found, episodes, updates, seconds, final, score(size, mean), tuple(seen))
    return Row(size.agents, kind, rate, seed, *figures)


def score(size: Size, value: float) -> float:
    """0 for random moves, 1 for assigned landmarks."""
    return (value - size.random) / (size.oracle - size.random)


def chance(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The share of bootstrap samples (all of them, of seeds) in which the mean of ours is larger.

    Ties count half.
    """
    means = [
        [statistics.fmean(s) for s in itertools.product(values, repeat=len(values))]
        for values in (ours, theirs)
    ]
    wins = [(a > b) + 0.5 * (a == b) for a in means[0] for b in means[1]]
    return statistics.fmean(wins)


def table(rows: Sequence[Row]) -> list[str]:
    """One line for each size, rate and critic, as Markdown."""
    lines = [
        "| N | rate | critic | parameters | seeds | episodes | CPU s | final score (each seed) "
        "| spread | best policy | P(deepsets ahead) |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for agents, rate in sorted({(r.agents, r.rate) for r in rows}):
        here = [r for r in rows if (r.agents, r.rate) == (agents, rate)]
        ours = [r.final for r in here if r.critic == "deepsets"]
        for kind in ALL:
            found = sorted((r for r in here if r.critic == kind), key=lambda r: r.seed)
            if found:
                lines.append(_line(found, ours))
    return lines


def _line(found: Sequence[Row], ours: Sequence[float]) -> str:
    first, finals = found[0], [r.final for r in found]
    spread = f"{statistics.stdev(finals):.3f}" if len(finals) > 1 else "-"
    known = first.critic != "deepsets" and min(len(ours), len(finals)) > 1
    ahead = f"{chance(ours, finals):.2f}" if known else "-"
    each = " ".join(f"{value:.2f}" for value in finals)
    best = statistics.fmean(r.best for r in found)
    seconds = statistics.fmean(r.seconds for r in found)
    cells = (
        f"{first.agents}",
        f"{first.rate:g}",
        first.critic,
        f"{first.parameters:,}",
        f"{len(found)}",
        f"{first.episodes:,}",
        f"{seconds:.0f}",
        f"**{statistics.fmean(finals):.3f}** ({each})",
        spread,
        f"{best:.3f}",
        ahead,
    )
    return f"| {' | '.join(cells)} |"


def draw(axes: Any, rows: Sequence[Row]) -> None:
    """Courses of the scores, the mean over seeds: whole lines for few agents, dashed for many."""
    shown = [r for r in rows if r.rate == RATE]
    for agents, style in zip(sorted({r.agents for r in shown}), ("-", "--"), strict=False):
        for place, kind in enumerate(ALL):
            curves = [r.curve for r in shown if (r.agents, r.critic) == (agents, kind)]
            if curves:
                mean = [statistics.fmean(values) for values in zip(*curves, strict=True)]
                setting = SETTINGS[agents]
                each = setting.games * setting.evaluate_every
                episodes = [each * (k + 1) for k in range(len(mean))]
                axes.plot(episodes, mean, style, color=f"C{place}", label=f"{kind}, N = {agents}")
    axes.set_xlabel("episodes")
    axes.set_ylabel("score: 0 random moves, 1 assigned landmarks")
    axes.axhline(0, color="0.7", linewidth=0.8)
    axes.legend(fontsize="x-small", ncols=2)


def read(path: Path) -> list[Row]:
    """Rows that earlier runs wrote."""
    found = [json.loads(line) for line in path.read_text().splitlines()]
    return [Row(**{**entry, "curve": tuple(entry["curve"])}) for entry in found]


def main() -> None:
    """Train what is not in the file yet, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, nargs="*", choices=tuple(SETTINGS), default=[15, 200])
    parser.add_argument("--critics", nargs="*", choices=ALL, default=list(ALL))
    parser.add_argument("--rates", type=float, nargs="*", default=[RATE])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("critics_in_training.jsonl"))
    parser.add_argument("--start", type=Path, default=Path("critics_in_training.safetensors"))
    parser.add_argument("--write", action="store_true", help="write the committed results")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = read(given.out) if given.out.exists() else []
    done = {(r.agents, r.rate, r.seed, r.critic) for r in rows}
    wanted = itertools.product(given.agents, given.rates, range(given.seeds), given.critics)
    for agents, rate, seed, kind in wanted:
        if (agents, rate, seed, kind) in done:
            continue
        start = started(given.start) if SETTINGS[agents].critic_first else None
        row = course(size_of(agents), kind, rate, seed, start)
        rows.append(row)
        with given.out.open("a") as file:
            file.write(json.dumps(asdict(row)) + "\n")
        print(
            f"N {agents} {kind} {rate:g} seed {seed}: {row.final:.3f}, {row.best:.3f}", flush=True
        )
    print("\n".join(table(rows)))
    if given.write:
        text = __doc__.partition("    python")[0].partition("\n\n")[2].strip()
        numbers = [asdict(row) for row in rows]
        commit(
            "critics_in_training",
            TITLE,
            COMMAND,
            [text, "\n".join(table(rows))],
            numbers,
            lambda axes: draw(axes, rows),
        )


if __name__ == "__main__":
    main()
