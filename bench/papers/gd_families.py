"""GD5 and GD6 of `gd_mfrl.py`: a game without a closed form, and families of games."""

from collections.abc import Callable, Sequence
from math import cos, pi, sin
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.lq_gains import costs, crowd, nash
from bench.papers.gaussian_flows import rotating_target
from bench.papers.gd_learners import (
    PROBE,
    SAMPLES,
    Row,
    audit_part,
    draws_of,
    fidelity,
    learner_of,
    trained,
)
from mfdsl.game import load
from mfdsl.runtime.learning.gaps import Budget, learned_gap
from mfdsl.runtime.learning.generated.judging import prober_of
from mfdsl.runtime.learning.generated.learner import GeneratedField

TRACKING = Path(__file__).parent / "tracking.mfg"
PARTICLES = 10_000
STARTS = "m0=-1..3 v0=0.5..1.5"
CASE = {"T": 20, "A": 1.0, "B": 0.5, "Ab": 0.1, "Q": 0.2, "Qb": 1.0, "S": 0.8, "R": 1.0}
CASE |= {"QT": 0.5, "QTb": 1.0, "ST": 0.8, "sigma": 0.3, "m0": 2.0, "v0": 1.0}
SHOWN = (0, 5, 9)
HEEDED = {"response": "path", "crowd": 128, "learners": 128, "games": 2, "answers": 8}
HEEDED |= {"learning_rate": 0.01, "paths": 8192, "fit_steps": 200, "final_rate": 0.03}
FAMILY = {"paths": 32_768, "final_rate": 0.03}
ANSWERED: dict[str, dict[str, Any]] = {
    "quadratic": {"crowd": 8192},
    "path": {"response": "path", "crowd": 1024, "learners": 512, "learning_rate": 0.01}
    | {"answers": 30, "final_rate": 0.2},
}


def gd5(seeds: int) -> list[Row]:
    """GD5: flocking with decay on three axes, beside 10,000 particles and a response of its own."""
    return [heeding(seed) for seed in range(seeds)]


def heeding(seed: int, iterations: int = 16) -> Row:
    """Birds who heed those near them more than others, by networks along the path."""
    game, options = load("flocking", params={"d": 3, "beta": 0.5}), dict(HEEDED)
    learner = learner_of(game, options | {"evaluate_every": iterations}, seed, iterations)
    found, seconds = trained(learner, iterations)
    # other starts than those of the generator's draws, which are of episode PROBE
    walks, again = (learner.flow(PARTICLES, PROBE + k)[1:, :SAMPLES] for k in (1, 2))
    row = fidelity(draws_of(learner, SAMPLES)[1:], walks, again, torch.Generator().manual_seed(1))
    budget = Budget(iterations=80, test_games=64)
    gap = learned_gap(
        learner.lesson, learner.behaviour(), agents=100, games=8, seed=seed + 5, budget=budget
    )
    (response,) = gap.responses
    row |= {"return": found["return"], "gain": response.gain, "gain_error": response.std_error}
    row |= {"quarters": list(response.quarters)} | audit_part(found)
    return {"d": 6, "seed": seed, "seconds": seconds} | row


def gd6(seeds: int, iterations: int = 20) -> list[Row]:
    """GD6: one policy for a family of initial laws, exact and by networks, and one of costs."""
    rows = [started(name, seed, iterations) for name in ANSWERED for seed in range(seeds)]
    return rows + [turning(seed, iterations) for seed in range(seeds)]


def started(name: str, seed: int, iterations: int) -> Row:
    """The tracking game from normal laws with many means and variances."""
    options = {"vary": STARTS, "evaluate_every": iterations} | FAMILY | ANSWERED[name]
    learner = learner_of(load(TRACKING), options, seed, iterations)
    found, seconds = trained(learner, iterations)
    row = {"family": "m0, v0", "response": name, "seed": seed, "seconds": seconds}
    return row | gaps_of(learner, found, tracking_cost) | closed_form(learner)


def turning(seed: int, iterations: int) -> Row:
    """The rotating target at many costs of the distance to the mean, which agents know."""
    options = {"vary": "kappa=0.5..2", "evaluate_every": iterations} | FAMILY | ANSWERED["path"]
    learner = learner_of(load("rotating_target"), options, seed, iterations)
    found, seconds = trained(learner, iterations)
    row = {"family": "kappa", "response": "path", "seed": seed, "seconds": seconds}
    return row | gaps_of(learner, found, turning_cost)


def tracking_cost(mean: float, variance: float) -> float:
    """The cost of the tracking game from a normal law, at equilibrium."""
    game = crowd(CASE | {"m0": mean, "v0": variance})
    return costs(game, nash(game))[1]


def turning_cost(kappa: float) -> float:
    """The cost of the rotating target in two dimensions, at equilibrium."""
    dt, spread = 0.1, 0.025  # of a step, and the variance of its noise
    means, variances = rotating_target(2, kappa=kappa)
    kept = ((variances[1:] - spread) / variances[:-1]).sqrt()  # 1 - dt times the gain
    total = 0.0
    for t, variance in enumerate(variances[:-1].tolist()):
        turn = 2 * pi * t / 20
        centre = means.new_tensor([2 * cos(turn), 2 * sin(turn)])
        effort = (means[t + 1] - means[t]) / dt
        gain = (1 - float(kept[t])) / dt
        total += float(effort @ effort) + 2 * gain**2 * variance + 2 * kappa * variance
        total += 2 * variance + float((means[t] - centre) @ (means[t] - centre))
    return dt / 2 * total


def gaps_of(learner: GeneratedField, found: dict[str, float], cost: Callable[..., float]) -> Row:
    """Exploitability on games of the family that were trained on, and on others; and the laws.

    `part_of_cost`: the largest on others, in the cost of the cheapest of these at equilibrium.
    """
    family = learner.family
    trained_on, held = (
        torch.tensor([learner.gap_at(row) or 0.0 for row in values])
        for values in (family.values, family.held)
    )
    least = min(cost(*row) for row in family.held.tolist())
    names = ("sw1", "sw1_floor", "held_sw1", "held_sw1_floor", "c2st", "held_c2st")
    row = {"trained": float(trained_on.mean()), "held": float(held.mean())}
    row |= {"held_most": float(held.max()), "part_of_cost": float(held.max()) / least}
    return row | {name: found[name] for name in names}


def closed_form(learner: GeneratedField) -> Row:
    """Gains and flows on games that nobody trained on, beside those of the closed form."""
    rows, prober = nash(crowd(CASE)).minor, prober_of(learner.arena)
    assert prober is not None
    flows = [learner.flow_in(row, PARTICLES, PROBE) for row in learner.family.held]
    exact = [learner.family.held[:, 0].double()]
    for row in rows:
        exact.append(exact[-1] * (CASE["A"] + CASE["Ab"] - CASE["B"] * (row[0] + row[2])))
    means = torch.stack([flow[..., 0].double().mean(1) for flow in flows])
    apart = means - means[:, :1] - (torch.stack(exact, 1) - exact[0][:, None])
    found: Row = {"flow": float(apart.abs().max())}
    off = []
    for t, row in enumerate(rows):
        own, mean = gains_at(learner, flows, t)
        off.append(max(abs(own / row[0] - 1), abs(mean / -row[2] - 1)))
        if t in SHOWN:
            found |= {f"K{t}": own, f"k{t}": mean, f"off{t}": off[-1]}
    return found | {"off_most": max(off), "off_at": off.index(max(off))}


def gains_at(learner: GeneratedField, flows: Sequence[Tensor], t: int) -> tuple[float, float]:
    """K and k of a = -K x + k m + c, by least squares over agents of all flows."""
    prober = prober_of(learner.arena)
    assert prober is not None
    seen, done = [], []
    for flow in flows:
        x = flow[t].double()
        done.append(prober.chosen(t, flow[t], x, learner.responder.act).detach())
        seen.append(torch.cat([x, x.mean().expand_as(x), torch.ones_like(x)], -1))
    fit = torch.linalg.lstsq(torch.cat(seen), torch.cat(done)).solution
    return -float(fit[0]), float(fit[1])
