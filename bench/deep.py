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
steps, they have 13 times its work. Figures of MFAX are not run again here.
"""

import argparse
import statistics
import time
from collections.abc import Mapping
from typing import Any

import torch

from mfdsl.game import Game, load
from mfdsl.learning import prepare_training
from mfdsl.settings import resolve

SPECS = {"mfax_beach_bar": (134_270, 202_100), "mfax_linear_quadratic": (146_260, 234_500)}
GAMES, AGENTS, WIDTH, LAYERS = 8, 128, 128, 3
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


def rate(game: Game, solver: str, options: Mapping[str, Any], rounds: int) -> float:
    """Steps of agents in a second of computing time, the median; the first iteration warms up."""
    known = resolve(game.model, solver).config.model_dump()
    given = {name: value for name, value in options.items() if name in known}
    settings = resolve(game.model, solver, iterations=1000, options=given)
    learner = prepare_training(game, settings).learner
    found = []
    for iteration in range(rounds + 1):
        began = time.process_time()
        learner.step(iteration)
        found.append(time.process_time() - began)
    horizon = game.model.horizon.steps
    assert horizon is not None
    return GAMES * AGENTS * horizon / statistics.median(found[1:])


def main() -> None:
    """One row for each game and learner."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="iterations that are timed")
    parser.add_argument("--only", default="", help="learners whose names start so")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print("| game | learner | steps of agents / s | MFAX, recorded | times |")
    print("|---|---|---|---|---|")
    for spec, (ippo, mirror) in SPECS.items():
        game = load(spec)
        for name, (solver, options) in METHODS.items():
            if not name.startswith(asked.only):
                continue
            ours = rate(game, solver, options, asked.rounds)
            theirs = ippo if solver == "ppo_nash" else mirror
            cells = (spec, name, f"{ours:,.0f}", f"{theirs:,}", f"{ours / theirs:.2f}")
            print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
