"""Exact transport: milliseconds per pair of clouds, POT's network simplex beside our operator.

`OMP_NUM_THREADS=1 python bench/transport.py` solves the clouds that the two games with transport
pass through under the uniform policy, one pair after the other, each by both ways in turn, and
pairs of other shapes that are hard for our start. Medians; the largest relative difference of the
values is printed with them.
"""

import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch

from mfdsl.game import load
from mfdsl.runtime import transport
from mfdsl.runtime.behaviours import uniform

STEPS, BATCH = 6, 4
GAMES = (("m3fc_2g", 20), ("m3fc_2g", 300), ("m3fc_2g", 1000))
GAMES += (("m3fc_formation", 300), ("m3fc_formation", 1000))
Clouds = tuple[torch.Tensor, torch.Tensor]


def played(name: str, agents: int) -> list[Clouds]:
    """What a game passes to the operator, pair by pair."""
    simulator = load(name).simulator(agents=agents, batch=BATCH, seed=1)
    state, pairs = simulator.reset(), []
    for t in range(STEPS):
        if name == "m3fc_2g":
            pairs += list(zip(state.drone.x, state.sky.user, strict=True))
        else:
            pairs += list(zip(state.drone.x, state.field.slot, strict=True))
        state, _ = simulator.step(t, state, uniform(simulator.scene(t, state)))
    return pairs


def shapes(count: int) -> Iterator[tuple[str, list[Clouds]]]:
    """Synthetic pairs of `count` points each: the first is easy, the others are not."""
    draw = np.random.default_rng(0)

    def pairs(make: Callable[[], tuple[np.ndarray, np.ndarray]]) -> list[Clouds]:
        made = (make() for _ in range(STEPS))
        return [(torch.from_numpy(a), torch.from_numpy(b)) for a, b in made]

    def normal() -> np.ndarray:
        return draw.normal(size=(count, 2))

    def ring() -> np.ndarray:
        angle = draw.uniform(0, 2 * np.pi, count)
        return np.stack([np.cos(angle), np.sin(angle)], 1) + 0.02 * normal()

    def cross() -> np.ndarray:
        along, side = draw.uniform(-1, 1, count), draw.choice([-1, 1], count)
        return np.stack([along, along * side], 1)

    def clusters() -> np.ndarray:
        return 3 * draw.normal(size=(5, 2))[draw.integers(5, size=count)] + 0.1 * normal()

    yield "normal", pairs(lambda: (normal(), normal()))
    yield "ring, cross", pairs(lambda: (ring(), cross()))
    yield "clusters", pairs(lambda: (clusters(), clusters()))


def row(name: str, pairs: list[Clouds]) -> None:
    """Print times of both sides over pairs of clouds, and how far their values are apart."""
    times: tuple[list[float], list[float]] = ([], [])
    worst = 0.0
    transport.w2_plan(*(v[None] for v in pairs[0]))  # compiled, and loaded
    for x, y in pairs:
        began = time.perf_counter()
        exact = transport._by_simplex(x.numpy(), y.numpy())[0]
        between = time.perf_counter()
        found = transport.w2_plan(x[None], y[None])[0].item()
        times[1].append(time.perf_counter() - between)
        times[0].append(between - began)
        worst = max(worst, abs(found / exact - 1))
    theirs, ours = (1e3 * statistics.median(t) for t in times)
    sizes = f"N={len(pairs[0][0])} M={len(pairs[0][1])}"
    print(
        f"{name:16s} {sizes:14s} POT {theirs:7.3f} ms  ours {ours:7.3f} ms  {theirs / ours:5.1f} x"
        f"  values differ by {worst:.0e}",
        flush=True,
    )


def main() -> None:
    """All rows."""
    torch.set_num_threads(1)
    for name, agents in GAMES:
        row(name, played(name, agents))
    for name, pairs in shapes(300):
        row(name, pairs)


if __name__ == "__main__":
    main()
