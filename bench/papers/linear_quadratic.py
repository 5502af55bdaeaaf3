"""Learned policies of linear-quadratic teams against closed forms, at three sizes of the crowd.

Policies are trained with 50 agents and played with 10, 50 and 1000. A gap is what they cost above
the planner's optimum with that many agents, in parts of its exact cost (`bench/lq_gains.py`): both
play the same games with the same noise, so that only the difference is estimated. Policies as in Li
et al. 2021 (arXiv:2105.08268); games of Elliott, Li and Ni 2013 (arXiv:1302.6416) and Huang 2010.

    python -m bench.papers.linear_quadratic [--cases lq1b ...] [--methods path ...] [--seeds 3]
        [--json]
"""

import argparse
import functools
import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
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


COMMON = {"agents": TRAINED, "hidden": 32, "learning_rate": 0.01}
PATH = {"gradient": "path", "games": 32}
SCORE = {"gradient": "score", "games": 16, "epochs": 6, "minibatches": 1}
METHODS = {
    "path": Method(200, COMMON | PATH),
    "marginal": Method(80, COMMON | SCORE | {"credit": "marginal"}),
    "team": Method(80, COMMON | SCORE | {"credit": "team"}),
}
STEADY = {"games": 32, "epochs": 8, "learning_rate": 5e-3, "hidden": 48}
HARD = ("lq1", "lq1, common noise")  # states grow when nobody acts: PPO takes smaller steps


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
    """One line of the table; seconds are those of the processor, of training alone."""

    method: str
    case: str
    seed: int
    iterations: int
    seconds: float
    gaps: tuple[Gap, ...]


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
    began = time.process_time()
    learned = mfdsl.solve(
        game_of(case), "mf_ppo", iterations=method.iterations, options=method.options, seed=seed
    )
    seconds = time.process_time() - began
    assert isinstance(learned, Learned)
    found = tuple(gap(case, learned, agents, games) for agents, games in GAMES.items())
    return Row(name, case, seed, method.iterations, seconds, found)


def method_of(name: str, case: str) -> Method:
    """A method with the options that a case needs."""
    method = METHODS[name]
    if name == "path" or case not in HARD:
        return method
    return Method(100, {**method.options, **STEADY})


def line(found: Row) -> str:
    """A row as text: gaps in percent with their standard errors."""
    gaps = "  ".join(
        f"N {g.agents:4d} {100 * g.gap:7.3f} +- {100 * g.std_error:.3f} % ({g.optimum:+.1f} s.e.)"
        for g in found.gaps
    )
    start = f"{found.method:8s}  {found.case:17s}  seed {found.seed}  {found.iterations:4d} it"
    return f"{start}  {found.seconds:6.1f} CPU-s  {gaps}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", nargs="+", choices=SPECS, default=list(SPECS))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=["path", "marginal"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--iterations", type=int, help="in place of those of the method")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    for case in given.cases:
        for agents, games in GAMES.items():  # compiles before anything is timed
            least_costs(case, agents, games)
        for name in given.methods:
            method = method_of(name, case)
            if given.iterations:
                method = replace(method, iterations=given.iterations)
            for seed in range(given.first, given.first + given.seeds):
                found = row(name, case, seed, method)
                print(json.dumps(asdict(found)) if given.json else line(found), flush=True)


if __name__ == "__main__":
    main()
