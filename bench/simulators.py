"""Simulated steps per second: our modules of agents, one core, beside other simulators.

`python bench/simulators.py` prints environment steps per second (noise and behaviour included)
of the five major-minor games, of cooperative navigation, and of finite games at growing numbers
of agents, with the time per agent-step against what moving the same bytes through memory costs in
the same run. `--device cuda` gives the column of a GPU. `--reference FILE` reads steps per second
of other code by game and number of agents, {"m3fc_2g": {"20": 1344, ...}, ...}, and prints ratios.
VMAS (`pip install vmas`) is timed when it is installed.
"""

import argparse
import importlib.util
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from mfdsl.game import load
from mfdsl.runtime.behaviours import Behaviour, still, uniform

ROUNDS = 5
BATCHES = {20: (1, 64, 512), 300: (1, 16, 64), 1000: (1, 8, 32)}
TRANSPORT = {20: (1, 16), 300: (1, 4), 1000: (1, 2)}
WORLDS = {30: 3.0, 100: 5.0, 200: 7.0}


def median_seconds(run: Callable[[], object], device: str) -> float:
    """Median time of a call after a warm one."""
    run()
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        run()
        if device != "cpu":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def steps_per_second(
    name: str,
    agents: int,
    batch: int,
    device: str,
    params: dict[str, Any] | None = None,
    behaviour: Behaviour = uniform,
    steps: int = 4,
) -> float:
    """Environment steps per second of a game, everything that a step needs included."""
    game = load(name, params=params or {})
    simulator = game.simulator(agents=agents, batch=batch, seed=1, device=device)  # type: ignore[arg-type]
    start = simulator.reset()

    def run() -> None:
        state = start
        for t in range(steps):
            state, _ = simulator.step(t, state, behaviour(simulator.scene(t, state)))

    return batch * steps / median_seconds(run, device)


def copy_nanoseconds(device: str) -> float:
    """Time to read and write one double in memory beyond the caches."""
    source = torch.rand(2**24, device=device, dtype=torch.float64)
    target = torch.empty_like(source)
    return 1e9 * median_seconds(lambda: target.copy_(source), device) / source.numel()


def major_minor(device: str, reference: dict[str, Any]) -> None:
    """The five games of arXiv:2303.10665 at the best of some batch sizes."""
    for name in ("m3fc_2g", "m3fc_formation", "m3fc_beach", "m3fc_foraging", "m3fc_potential"):
        table = TRANSPORT if name in ("m3fc_2g", "m3fc_formation") else BATCHES
        for agents, batches in table.items():
            rates = {b: steps_per_second(name, agents, b, device) for b in batches}
            best = max(rates, key=lambda b: rates[b])
            other = reference.get(name, {}).get(str(agents))
            ratio = f"  {rates[best] / other:8.1f} x" if other else ""
            print(
                f"{name:16s} N={agents:<5d} {rates[best]:12.0f} steps/s (B={best}){ratio}",
                flush=True,
            )


def navigation(device: str) -> None:
    """Cooperative navigation, and VMAS's when it is installed."""
    for agents, half in WORLDS.items():
        batch = max(1, 2000 // agents)
        params = {"n": agents, "half": half}
        ours = steps_per_second("navigation", agents, batch, device, params)
        line = f"navigation       N={agents:<5d} {ours:12.0f} steps/s (B={batch})"
        if importlib.util.find_spec("vmas") is not None:
            theirs = vmas_steps(agents, batch, device)
            line += f"  VMAS {theirs:10.1f}  {ours / theirs:8.1f} x"
        print(line, flush=True)


def vmas_steps(agents: int, batch: int, device: str) -> float:
    """VMAS simple_spread with as many agents and landmarks."""
    import vmas

    world = vmas.make_env("simple_spread", num_envs=batch, device=device, n_agents=agents)
    world.reset()
    actions = [torch.rand(batch, 2, device=device) * 2 - 1 for _ in range(agents)]
    return batch / median_seconds(lambda: world.step(actions), device)


def finite(device: str) -> None:
    """Time per agent-step of finite games, in units of one double through memory."""
    copy = copy_nanoseconds(device)
    print(f"memory: {copy:.2f} ns to read and write a double")
    for name in ("asymmetric_sis", "crowd"):
        for agents in (10_000, 100_000, 1_000_000):
            rate = steps_per_second(name, agents, 1, device, behaviour=still)
            each = 1e9 / (rate * agents)
            print(
                f"{name:16s} N={agents:<8d} {each:7.1f} ns an agent-step, "
                f"{each / copy:6.1f} doubles",
                flush=True,
            )


def main() -> None:
    """All rows."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--reference", type=Path)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    reference = json.loads(chosen.reference.read_text()) if chosen.reference else {}
    major_minor(chosen.device, reference)
    navigation(chosen.device)
    finite(chosen.device)


if __name__ == "__main__":
    main()
