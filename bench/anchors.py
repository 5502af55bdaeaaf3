"""Returns and costs of shipped games against figures measured elsewhere or known in closed form.

`python bench/anchors.py [m3fc] [navigation] [push] [lq]` prints one row for each figure: ours, the
other, and how far apart they are in standard errors (or in per cent). Sources: the five
major-minor games under the still policy, from the code released with arXiv:2303.10665; navigation
and push under untrained policies, from a vectorised copy of the particle physics of
arXiv:1911.00025; the LQ games from their Riccati equations.
"""

import math
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from mfdsl.game import load
from mfdsl.runtime.behaviours import Scene, calling, still
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
PUSH = {  # agents: half-width, radius of an agent, of the ball, its mass, return after 25 steps
    3: (1.0, 0.06, 0.1, 2.0, -57.0),
    6: (1.0, 0.04, 0.1, 4.0, -57.0),
    15: (2.0, 0.02, 0.2, 8.0, -107.0),
    30: (2.0, 0.06, 0.7, 4.0, -97.0),
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
    return calling(lambda t, seen: {"a": (-u.log()).softmax(-1)})(scene)


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
    for agents, (half, r_agent, r_ball, m_ball, mean) in PUSH.items():
        sizes = {"half": half, "r_agent": r_agent, "r_ball": r_ball, "m_ball": m_ball}
        game = load("push", params={"n": agents, **sizes})
        found = total(game.simulator(batch=1000, seed=1).rollout(untrained))
        off = 100 * (found.mean / mean - 1)
        yield Row(f"push, {agents} agents", found.mean, found.std_error, mean, off, "%")


def scalar_gains(case: Mapping[str, float], team: bool) -> list[tuple[float, float]]:
    """(K_t, k_t) of a = -K x - k m, of the game or of the planner (backward Riccati equations)."""
    a, b, ab = case["A"], case["B"], case["Ab"]
    p, pi = case["QT"] + case["QTb"], -case["QTb"] * case["ST"]
    whole = case["QT"] + case["QTb"] * (1 - case["ST"]) ** 2
    gains: list[tuple[float, float]] = []
    for _ in range(int(case["T"])):
        d = case["R"] + b * b * p
        gain = a * b * p / d
        if team:
            drift = a + ab
            mean_gain = drift * b * whole / (case["R"] + b * b * whole)
            gains.append((gain, mean_gain - gain))
            weight = case["Q"] + case["Qb"] * (1 - case["S"]) ** 2
            down = case["R"] + b * b * whole
            whole = weight + drift**2 * whole - (drift * b * whole) ** 2 / down
        else:
            phi = (a + ab - b * gain - b * b * p * ab / d) / (1 + b * b * pi / d)
            gains.append((gain, b * (p * ab + pi * phi) / d))
            pi = -case["Qb"] * case["S"] + (a - b * gain) * (p * ab + pi * phi)
        p = case["Q"] + case["Qb"] + a * a * p - (a * b * p) ** 2 / d
    return gains[::-1]


def tracking(gains: list[tuple[float, float]]) -> Callable[[int, Any], dict[str, Tensor]]:
    """The closed-form policy a = -K x - k m."""

    def act(t: int, seen: Any) -> dict[str, Tensor]:
        own = seen["agent"]
        return {"a": -gains[t][0] * own["x"] - gains[t][1] * own["m"]}

    return act


LQ1 = {
    "A": 1,
    "B": 0.5,
    "Ab": 0.1,
    "Q": 0.2,
    "Qb": 1,
    "S": 0.8,
    "R": 1,
    "QT": 0.5,
    "QTb": 1,
    "ST": 0.8,
}
LQ1B = {"A": 1, "B": 1, "Ab": 0, "Q": 0.3, "Qb": 1, "S": 1.2, "R": 1, "QT": 0, "QTb": 1, "ST": 1.2}
SETTINGS = {
    "lq1": {**LQ1, "sigma": 0.3, "T": 20, "m0": 2, "v0": 1},
    "lq1b": {**LQ1B, "sigma": 0.2, "T": 10, "m0": 1, "v0": 0.2},
}
PLANNED = {  # cost of the planner with N agents, and in the limit
    "lq1": {
        1: 5.47459491943,
        2: 6.35471610034,
        10: 7.05881304506,
        50: 7.199632434,
        1000: 7.23307703888,
    },
    "lq1b": {
        1: 0.594224627429,
        2: 0.774346495562,
        10: 0.91844399007,
        50: 0.947263488971,
        1000: 0.95410811996,
    },
}
LIMITS = {
    ("lq1", False): 7.23724785513,
    ("lq1b", False): 1.06373580072,
    ("lq1", True): 7.23483728124,
    ("lq1b", True): 0.954468363696,
}


def lq() -> Iterator[Row]:
    """LQ game and control under their closed-form policies."""
    for case, values in SETTINGS.items():
        for agents, mean in PLANNED[case].items():
            yield lq_row("lq_control", case, values, agents, mean, {})
        for team in (False, True):
            spec = "lq_control" if team else "lq_game"
            yield lq_row(spec, case, values, 20_000, LIMITS[case, team], {})
    yield lq_row("lq_control", "lq1", SETTINGS["lq1"], 20_000, 7.82504167346, {"common": 0.2})


def lq_row(
    spec: str,
    case: str,
    values: Mapping[str, float],
    agents: int,
    mean: float,
    more: Mapping[str, float],
) -> Row:
    """Costs of one setting in standard errors."""
    game = load(spec, params={**values, **more})
    games = max(64, min(200_000, 4_000_000 // agents))
    gains = scalar_gains(values, spec == "lq_control")
    simulator = game.simulator(agents=agents, batch=games, seed=1)
    found = simulator.rollout(calling(tracking(gains))).returns["agent"]
    off = (-found.mean - mean) / found.std_error
    name = f"{spec} {case}, {agents} agents{', common noise' if more else ''}"
    return Row(name, -found.mean, found.std_error, mean, off, "standard errors")


def main(wanted: list[str]) -> None:
    """Print the rows of the parts that are asked for."""
    parts = {"m3fc": m3fc, "navigation": navigation, "push": push, "lq": lq}
    for name, part in parts.items():
        if not wanted or name in wanted:
            for row in part():
                print(
                    f"{row.name:38s} {row.ours:12.5g} ± {row.error:<9.2g} other {row.other:12.6g}"
                    f"  off {row.off:6.2f} {row.unit}",
                    flush=True,
                )


if __name__ == "__main__":
    main(sys.argv[1:])
