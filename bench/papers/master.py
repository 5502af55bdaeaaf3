"""A master policy on the linear-quadratic game: its gains, its flows and laws it never saw.

`python -m bench.papers.master [--seeds 1] [--iterations 48]` trains `master` on `lq_game` with ten
stages (33 points of x and of a in [-4, 4]) from bell curves, and plays it from 12 others. In the
closed form (`bench/lq_gains.py`) agents do a = -K_t x + k_t m; here K_t and k_t are the regression
of the mean action on own state and mean, over the flows of the 12 laws. `flow` is the largest
distance of a mean at any time from that of the closed form. `tables` is damped soft policy
iteration from each of the 12 laws by itself, at the temperature that the networks end at: what
grids and temperature cost without a network.
"""

import argparse
import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

import mfdsl
from bench.lq_gains import crowd, nash
from bench.papers.committed import commit
from mfdsl.runtime.evaluate import Evaluation, build_view
from mfdsl.runtime.policy import softmax_probs
from mfdsl.runtime.solvers.loop import solve
from mfdsl.runtime.solvers.networks.fitting import legal_actions
from mfdsl.runtime.solvers.networks.laws import normal_laws, one_game, with_initial_laws
from mfdsl.runtime.solvers.networks.master import (
    exploitabilities,
    family_of,
    master_shape,
    unrolled,
)
from mfdsl.runtime.solvers.networks.options import MasterConfig
from mfdsl.runtime.views.finite import FiniteView
from mfdsl.settings import resolve

CASE = {"T": 10, "A": 1.0, "B": 0.5, "Ab": 0.1, "Q": 0.2, "Qb": 1.0, "S": 0.8, "R": 1.0}
CASE |= {"QT": 0.5, "QTb": 1.0, "ST": 0.8, "sigma": 0.3, "m0": 1.0, "v0": 0.2}
POINTS, EDGE, HELD, SHOWN = 33, 4.0, 12, (0, 5, 9)
GRID: dict[str, float] = {"bins.x": POINTS, "bins.a": POINTS}
GRID |= {f"{end}.{v}": s * EDGE for end, s in (("low", -1), ("high", 1)) for v in "xa"}
OPTIONS = {"laws": "normal", "number": 12, "temperature": 0.1, "alpha": 0.7, "learning_rate": 5e-3}
LEFT = 0.03  # temperature * (1 - alpha), the price of entropy at the fixed point
PLACES = torch.linspace(-EDGE, EDGE, POINTS, dtype=torch.float64)


def measured(family: FiniteView, probs: Tensor) -> dict[str, Any]:
    """Gains (K_t, k_t) and means of the flows beside the closed form, and exploitability."""
    rows = nash(crowd(CASE)).minor
    policy = family.policy(probs)
    laws = family.laws(policy)
    means, actions = laws @ PLACES, (probs * PLACES).sum(-1)
    games, found = len(probs), []
    for t in range(int(CASE["T"])):
        ones = torch.ones(games, POINTS, dtype=torch.float64)
        seen = torch.stack([PLACES * ones, means[:, t, None] * ones, ones], -1).flatten(0, 1)
        weight = laws[:, t].sqrt().reshape(-1, 1)
        fit = torch.linalg.lstsq(seen * weight, actions[:, t].reshape(-1, 1) * weight).solution
        found.append((-float(fit[0]), float(fit[1])))
    exact = [means[:, 0]]
    for row in rows:
        exact.append(exact[-1] * (CASE["A"] + CASE["Ab"] - CASE["B"] * (row[0] + row[2])))
    return {
        "gains": found,
        "exact": [(float(row[0]), -float(row[2])) for row in rows],
        "flow": float((means - torch.stack(exact, 1)).abs().max()),
        "exploitability": float(family.exploitability(policy).mean()),
    }


def of_tables(family: FiniteView, steps: int = 40) -> dict[str, Any]:
    """Damped soft policy iteration from each law by itself."""
    probs = family.uniform().probs
    for step in range(steps):
        evaluation = Evaluation(family, family.policy(probs))
        kept = 0.3 if step < 0.75 * steps else 0.5
        probs = torch.lerp(softmax_probs(evaluation.q, LEFT), probs, kept)
    return measured(family, probs)


def of_networks(game: Any, seed: int, iterations: int) -> dict[str, Any]:
    """A master policy at the laws that it never saw."""
    settings = resolve(game.model, "master", options={**GRID, **OPTIONS, "seed": seed})
    program = type(game)(game.compilation, game.parameters, settings.bins).program
    began, config = time.process_time(), settings.config
    assert isinstance(config, MasterConfig)
    limits: Mapping[str, Any] = {"iterations": iterations, "tolerance": 0, "patience": None}
    state = solve(program, None, "master", config, **limits).state
    seconds = time.process_time() - began
    view = build_view(program)
    family = held_out(view)
    shape = master_shape(family, config)
    logs, _ = unrolled(family, shape, state["weights"].float(), legal_actions(view))
    trained = family_of(view, config, iterations - 1).tables.initial.t()[1:]
    seen = float(exploitabilities(view, config, state["weights"], trained).mean())
    return {**measured(family, logs.exp()), "trained": seen, "seconds": seconds}


def held_out(view: Any) -> FiniteView:
    """The game from laws that training does not draw."""
    return with_initial_laws(view, normal_laws(one_game(view), HELD, (7, 0, "held out")))


def table(numbers: Mapping[str, Mapping[str, Any]]) -> str:
    """The page's table."""
    gains = [f"K, k at t = {t}" for t in SHOWN]
    head = ["", *gains, "flow", "exploitability, held out", "trained on", "CPU s"]
    exact = [f"{K:.4f}, {k:.4f}" for K, k in (numbers["tables"]["exact"][t] for t in SHOWN)]
    rows = [["closed form", *exact, "0", "0", "", ""]]
    for name, one in numbers.items():
        found = [f"{K:.4f}, {k:.4f}" for K, k in (one["gains"][t] for t in SHOWN)]
        last = [f"{one[k]:.3g}" if k in one else "" for k in ("trained", "seconds")]
        rows.append([name, *found, f"{one['flow']:.3f}", f"{one['exploitability']:.3g}", *last])
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rows))


def main() -> None:
    """Run everything and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1, help="networks")
    parser.add_argument("--iterations", type=int, default=48)
    given = parser.parse_args()
    torch.set_num_threads(1)
    game = mfdsl.load("lq_game", params=CASE)
    bins = resolve(game.model, "master", options=GRID).bins
    numbers = {}
    with torch.no_grad():
        view = build_view(type(game)(game.compilation, game.parameters, bins).program)
        numbers["tables"] = of_tables(held_out(view))
        for seed in range(given.seeds):
            numbers[f"seed {seed}"] = of_networks(game, seed, given.iterations)
            print(table(numbers), flush=True)

    def draw(axes: Any) -> None:
        for place, (name, one) in enumerate(numbers.items()):
            axes.plot([k for _, k in one["gains"]], color=f"C{place}", label=f"k, {name}")
        axes.plot([k for _, k in one["exact"]], color="black", linestyle=":", label="k, exact")
        axes.set(xlabel="stage", ylabel="gain on the mean")
        axes.legend()

    commit(
        "master",
        "A master policy on the linear-quadratic game",
        "python -m bench.papers.master",
        [f"{given.iterations} iterations of 50 steps, {OPTIONS}.", table(numbers)],
        numbers,
        draw,
    )


if __name__ == "__main__":
    main()
