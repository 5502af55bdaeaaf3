"""Steps of agents per second in training in games, beside MFAX's.

`python -m bench.deep [--rounds 3] [--only mf_]` prints, for one core, agents times environment
steps per second of computing time of whole iterations (play, advantages, losses, updates of the
networks): of `ppo_nash` in its four kinds of networks and of `mf_q`, `mf_ac` on the two games of
MFAX that agents play, with MFAX's 8 games of 128 agents. `PPO, all` has networks and batches as
MFAX's IPPO: three layers of 128 units, one pass in 8 parts over every step of every agent; `PPO` is
the same with 16 agents of each scene in the losses, as is the default here. Measurements of
exploitability are left out on both sides.

Figures of MFAX (Wibault et al. 2026, arXiv 2602.20141, commit e22ab469, jax 0.5.3) are recorded
ones, of one core of the same kind of machine under other load, `--num-envs 8 --num-agents-per-env
128`: IPPO with `--num-steps 64 --num-minibatches 8`, and for learners of values its Munchausen
mirror descent with `--batch-size 2048`, which makes an update after every 8 steps of all agents.
So do `mf_q` and `mf_ac`, with 4 after each episode of 30. With 50, as many as MFAX makes after 400
steps, they have 13 times its work.

With `--mfax CLONE --mfax-python PYTHON` (a clone of CWibault/mfax, and a Python that has what it
needs) it runs beside ours, with the same options: in each round all of ours have a go, and then
MFAX. Figures are medians of the rounds, and `times` of the ratios within rounds.
"""

import argparse
import itertools
import json
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mfdsl.game import Game, load
from mfdsl.learning import prepare_training
from mfdsl.settings import resolve

GAMES, AGENTS, WIDTH, LAYERS = 8, 128, 128, 3
SECONDS = 0.5  # of computing time that ours has at least in a go
NETWORKS: dict[str, Any] = {
    "games": GAMES,
    "agents": AGENTS,
    "hidden": WIDTH,
    "layers": LAYERS,
    "gap": "none",
}
PPO = NETWORKS | {"epochs": 1, "minibatches": 8}
# one update for 8 steps of all agents, as MFAX's `learn_every`, from as many of their steps
VALUES = NETWORKS | {"batch": 128, "members": 16, "updates": 4}
OFTEN = VALUES | {"updates": 50}
METHODS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "PPO, all": ("ppo_nash", PPO | {"members": AGENTS}),
    "PPO": ("ppo_nash", PPO),
    "PPO, one_hot": ("ppo_nash", PPO | {"network": "one_hot"}),
    "PPO, individual": ("ppo_nash", PPO | {"network": "individual"}),
    "mf_q": ("mf_q", VALUES),
    "mf_ac": ("mf_ac", VALUES),
    "mf_q, 50 updates": ("mf_q", OFTEN),
    "mf_ac, 50 updates": ("mf_ac", OFTEN),
}

Go = Callable[[], float]
"""Some iterations; their steps of agents in a second."""


@dataclass(frozen=True)
class Theirs:
    """A learner of MFAX: its script and options, and the environment steps of an iteration."""

    script: str
    options: tuple[str, ...]
    steps: int


IPPO = Theirs(  # 80 updates are those of 10 rollouts
    "ippo",
    ("--num-steps", "64", "--num-minibatches", "8", "--num-updates-per-iteration", "80"),
    10 * 64,
)
MIRROR = Theirs("m_omd", ("--batch-size", "2048", "--num-updates-per-iteration", "50"), 50 * 8)
SPECS = {  # the task of MFAX, and recorded rates of its two learners
    "mfax_beach_bar": ("beach_bar_1d", {IPPO: 134_270, MIRROR: 202_100}),
    "mfax_linear_quadratic": ("linear_quadratic", {IPPO: 146_260, MIRROR: 234_500}),
}


def beside(solver: str) -> Theirs:
    """The learner of MFAX that does what a solver of ours does."""
    return IPPO if solver == "ppo_nash" else MIRROR


def ours(game: Game, solver: str, options: Mapping[str, Any]) -> Go:
    """Goes of a learner; its first iteration, which warms up, is made here."""
    known = resolve(game.model, solver).config.model_dump()
    given = {name: value for name, value in options.items() if name in known}
    settings = resolve(game.model, solver, iterations=1000, options=given)
    learner = prepare_training(game, settings).learner
    horizon = game.model.horizon.steps
    assert horizon is not None
    moves, numbers = GAMES * AGENTS * horizon, itertools.count()
    learner.step(next(numbers))

    def go() -> float:
        count, began = 0, time.process_time()
        while (spent := time.process_time() - began) < SECONDS:
            learner.step(next(numbers))
            count += 1
        return count * moves / spent

    return go


def theirs(asked: argparse.Namespace, task: str, learner: Theirs, ends: ExitStack) -> Go:
    """Goes of MFAX in a process that `ends` with them, an iteration each; the first one compiles.

    Raises:
        RuntimeError: it stopped; its own message is on standard error.
    """
    given = ["--task", task, "--state-type", "indices", "--discount-factor", "0.99"]
    given += ["--num-envs", str(GAMES), "--num-agents-per-env", str(AGENTS)]
    given += ["--num-iterations", "1000", "--eval-frequency", "1", "--no-evaluate", "--no-save"]
    script = Path(__file__).with_name("reference_mfax.py")
    process = ends.enter_context(
        subprocess.Popen(
            [asked.mfax_python, script, asked.mfax, learner.script, *given, *learner.options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
    )

    def go() -> float:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{asked.mfax_python} stopped in {learner.script} of {asked.mfax}")
        return GAMES * AGENTS * learner.steps / float(json.loads(answer)["seconds"])

    go()
    return go


def compared(spec: str, asked: argparse.Namespace) -> list[list[str]]:
    """The rows of a game."""
    game, (task, recorded) = load(spec), SPECS[spec]
    methods = {k: m for k, m in METHODS.items() if k.startswith(asked.only)}
    sides = {name: ours(game, *method) for name, method in methods.items()}
    wanted = {beside(solver) for solver, _ in methods.values()}
    rounds, rows = [], []
    with ExitStack() as ends:
        live = {one: theirs(asked, task, one, ends) for one in wanted} if asked.mfax else {}
        for _ in range(asked.rounds):
            rates = {name: go() for name, go in sides.items()}
            peers = {one: live[one]() if live else float(recorded[one]) for one in wanted}
            rounds.append((rates, peers))
    for name, (solver, _) in methods.items():
        pairs = [(rates[name], peers[beside(solver)]) for rates, peers in rounds]
        mine, other = (statistics.median(side) for side in zip(*pairs, strict=True))
        times = statistics.median(a / b for a, b in pairs)
        rows.append([spec, name, f"{mine:,.0f}", f"{other:,.0f}", f"{times:.2f}"])
    return rows


def main() -> None:
    """One row for each game and learner."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="goes of each learner")
    parser.add_argument("--only", default="", help="learners whose names start so")
    parser.add_argument("--mfax", metavar="CLONE", help="run MFAX, too")
    parser.add_argument("--mfax-python", metavar="PYTHON", help="what runs it")
    asked = parser.parse_args()
    if (asked.mfax is None) != (asked.mfax_python is None):
        parser.error("--mfax and --mfax-python go together")
    torch.set_num_threads(1)
    kind = "MFAX, beside" if asked.mfax else "MFAX, recorded"
    print(f"| game | learner | steps of agents / s | {kind} | times |")
    print("|---|---|---|---|---|")
    for spec in SPECS:
        for row in compared(spec, asked):
            print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
