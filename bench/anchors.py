"""Returns and costs of shipped games against figures measured elsewhere or known in closed form.

`python bench/anchors.py [m3fc] [navigation] [push] [lq]` prints one row for each figure: ours, the
other, and how far apart they are in standard errors (or in per cent). Sources: the five
major-minor games under the still policy, from the code released with arXiv:2303.10665; navigation
under an untrained policy, from a vectorised copy of the particle physics of arXiv:1911.00025; push
under an untrained policy, from the code released with that paper itself; the linear-quadratic games
from their Riccati equations (`lq_gains.py`).
"""

import itertools
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lq_cases import COSTS, LIMIT, SETTINGS, played
from lq_gains import Game, Policy, chase, costs, crowd, flock, nash, team, unseen, with_major

from mfdsl.game import load
from mfdsl.runtime.behaviours import Scene, still
from mfdsl.runtime.own_policies import OwnPolicy
from mfdsl.runtime.simulator import Rollout
from mfdsl.runtime.streams import draw

STILL = {  # game: mean, sample standard deviation, episodes (300 agents)
    "m3fc_2g": (-190.086, 10.042, 12),
    "m3fc_formation": (-558.46, 200.116, 12),
    "m3fc_beach": (-626.223, 30.072, 40),
    "m3fc_foraging": (132.208, 98.423, 40),
    "m3fc_potential": (-108.723, 55.527, 200),
}
NAVIGATION = {
    3: (3.0, -143.5),
    15: (2.2, -243.9),
    30: (3.0, -462.7),
    100: (5.0, -1429),
    200: (7.0, -2776),
}
PUSH: dict[int, tuple[dict[str, float], float, float]] = {
    # agents: parameters; return of 20,000 games (40,000 for six) of 25 steps, its standard error
    3: (
        {"half": 1.0, "r_agent": 0.06, "r_ball": 0.1, "m_ball": 2.0, "gap": 0.8, "tries": 64},
        -57.693,
        0.084,
    ),
    6: (
        {"half": 1.0, "r_agent": 0.04, "r_ball": 0.1, "m_ball": 4.0, "gap": 0.8, "tries": 64},
        -57.168,
        0.059,
    ),
    15: ({}, -105.810, 0.273),
    30: (
        {"r_agent": 0.06, "r_ball": 0.7, "m_ball": 4.0, "gap": 1.2, "ghosts": 1 / 3},
        -99.949,
        0.273,
    ),
}


@dataclass(frozen=True)
class Row:
    """One comparison; `off` in combined standard errors, or in per cent of the other figure."""

    name: str
    ours: float
    error: float
    other: float
    off: float
    unit: str


def m3fc(episodes: int = 200) -> Iterator[Row]:
    """The five games when nobody moves, undiscounted."""
    for name, (mean, spread, count) in STILL.items():
        found = total(load(name).simulator(batch=episodes, seed=1).rollout(still))
        error = math.hypot(found.std_error, spread / math.sqrt(count))
        off = (found.mean - mean) / error
        yield Row(name, found.mean, found.std_error, mean, off, "standard errors")


def total(rollout: Rollout) -> Any:
    """The team's return."""
    assert rollout.team is not None
    return rollout.team


def untrained(scene: Scene) -> Any:
    """A softmax of Gumbel noise on equal logits over the five moves: PIC's policy at the start."""
    shape = (scene.batch, scene.agents["agent"], 5)
    u = draw(("exponential",), shape, (scene.seed, scene.t, "gumbel"))
    return OwnPolicy(lambda t, seen: {"a": (-u.log()).softmax(-1)})(scene)


def navigation() -> Iterator[Row]:
    """Cooperative navigation, 25 steps, untrained policy."""
    for agents, (half, mean) in NAVIGATION.items():
        game = load("navigation", params={"n": agents, "half": half})
        episodes = max(16, 3000 // agents)
        found = total(game.simulator(batch=episodes, seed=1).rollout(untrained))
        off = 100 * (found.mean / mean - 1)
        yield Row(f"navigation, {agents} agents", found.mean, found.std_error, mean, off, "%")


def push() -> Iterator[Row]:
    """Cooperative push, 25 steps, untrained policy."""
    for agents, (sizes, mean, error) in PUSH.items():
        game = load("push", params={"n": agents, **sizes})
        found = total(game.simulator(batch=4000, seed=1).rollout(untrained))
        off = (found.mean - mean) / math.hypot(found.std_error, error)
        name = f"push, {agents} agents"
        yield Row(name, found.mean, found.std_error, mean, off, "standard errors")


def lq() -> Iterator[Row]:
    """Costs of the linear-quadratic games under their closed-form policies, each with a seed.

    They are compared with the figures of `lq_cases.py`, else with `lq_gains.costs`, which agrees
    with all of those figures.
    """
    runs = itertools.product(solved(), (1, 2, 10, 50, 1000, LIMIT))
    for seed, ((spec, case, policies, axes), agents) in enumerate(runs):
        yield from lq_rows(spec, case, agents, policies, axes, seed)


def solved() -> Iterator[tuple[str, str, list[Policy], list[Game]]]:
    """Specs, settings, policies and games, one for each axis."""
    for case in ("lq1", "lq1b", "lq1, common noise"):
        game = crowd(SETTINGS[case])
        yield "lq_game", case, [nash(game)], [game]
        yield "lq_control", case, [team(game)], [game]
    game = with_major(SETTINGS["lq5"])
    yield "lq_major", "lq5", [nash(game)], [game]
    yield "lq_major_control", "lq5", [team(game)], [game]
    game = flock(SETTINGS["lq3"])
    yield "flocking", "lq3", 3 * [unseen(game, nash(game))], 3 * [game]
    games = [chase(SETTINGS["lq4"], axis) for axis in (0, 1)]
    yield "rotating_target", "lq4", [unseen(g, nash(g)) for g in games], games


def played_size(spec: str, game: Game, agents: float) -> tuple[int, int]:
    """Agents and games: few birds, which look at each other in pairs, many games of a shared noise.

    What stands for the limit is so large that its distance to the limit is below the error.
    """
    if spec == "flocking":
        if agents == LIMIT:
            return 2000, 1
        return int(agents), max(8, min(20_000, int(4_000_000 / agents**2)))
    if agents == LIMIT:
        return (2000, 2000) if game.common or game.s0 else (20_000, 200)
    return int(agents), min(200_000, 4_000_000 // int(agents))


def lq_rows(
    spec: str, case: str, agents: float, policies: list[Policy], axes: list[Game], seed: int
) -> Iterator[Row]:
    """Costs of all players of one setting."""
    many, games = played_size(spec, axes[0], agents)
    simulator = load(spec, params=SETTINGS[case]).simulator(agents=many, batch=games, seed=seed)
    found = simulator.rollout(OwnPolicy(played(spec, policies))).returns
    both = [costs(game, policy, agents) for game, policy in zip(axes, policies, strict=True)]
    for player, value in found.items():
        exact = sum(pair[0 if player == "leader" else 1] for pair in both)
        other = COSTS.get((spec, case, player), {}).get(agents, exact)
        off = (-value.mean - other) / value.std_error
        name = f"{spec} {case}, {player}, {'limit' if agents == LIMIT else f'{agents} agents'}"
        yield Row(name, -value.mean, value.std_error, other, off, "standard errors")


def main(wanted: list[str]) -> None:
    """Print the rows of the parts that are asked for."""
    parts = {"m3fc": m3fc, "navigation": navigation, "push": push, "lq": lq}
    for name, part in parts.items():
        if not wanted or name in wanted:
            for row in part():
                print(
                    f"{row.name:48s} {row.ours:13.7g} ± {row.error:<9.2g} other {row.other:13.7g}"
                    f"  off {row.off:6.2f} {row.unit}",
                    flush=True,
                )


if __name__ == "__main__":
    main(sys.argv[1:])
