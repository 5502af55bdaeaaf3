"""Both sides of a comparison of simulators, timed in turn."""

import functools
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from reference_process import Rate
from reference_steps import Reset, Step, paced

from mfdsl.game import load
from mfdsl.runtime.behaviours import Behaviour, Scene, observation, uniform
from mfdsl.runtime.simulator import Simulator

MORE_ON_GPU = (8, 64)
PATIENCE = 90.0  # seconds after which a case gets no further round

Side = tuple[Reset, Step, int]
Timed = Callable[[float], float]
"""Environment steps per second, measured for so many seconds."""
Rates = Mapping[str, list[float]]
"""Environment steps per second of the sides of a comparison, round by round."""
Params = tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Setting:
    """How long a side is timed in a round, how often, how we run, beside whom (by name)."""

    seconds: float
    rounds: int
    device: str
    compile: bool
    beside: Mapping[str, Rate]

    def wait(self) -> None:
        """Until a GPU has done what it was given."""
        if self.device != "cpu":
            torch.cuda.synchronize(self.device)

    def pace(self, side: Side, seconds: float) -> float:
        """Steps of a side of ours in a second."""
        clock = time.process_time if self.device == "cpu" else time.perf_counter
        return paced(*side, seconds, clock)


@functools.lru_cache(maxsize=8)
def players(
    name: str, agents: int, batch: int, device: str, compile: bool, params: Params
) -> Simulator:
    """A simulator, made once for all sides that use it."""
    return load(name, params=dict(params)).simulator(
        agents=agents,
        batch=batch,
        seed=1,
        device=device,  # type: ignore[arg-type]
        compile=compile,
    )


def ours(
    setting: Setting,
    name: str,
    agents: int,
    batch: int,
    params: Params = (),
    behaviour: Behaviour = uniform,
    look: Callable[[Scene], object] = observation,
) -> Side:
    """Our step with its behaviour, its noise, its rewards and a look at what comes next."""
    simulator = players(name, agents, batch, setting.device, setting.compile, params)
    start = simulator.reset()
    state = [start]

    def reset() -> None:
        state[0] = start

    def step(t: int) -> None:
        scene = simulator.scene(t, state[0])
        state[0], _ = simulator.step(t, state[0], behaviour(scene))
        look(simulator.scene(t + 1, state[0]))
        setting.wait()

    step(0)
    return reset, step, simulator.program.horizon or 25


def rate_of(setting: Setting, side: Side, batch: int) -> Timed:
    """A side of ours, all games of the batch counted."""
    return lambda seconds: batch * setting.pace(side, seconds)


def asked(theirs: Rate, name: str, agents: int, batch: int) -> Timed:
    """The side of a reference."""
    return lambda seconds: theirs(name, agents, batch, seconds)


def fastest(setting: Setting, batches: Iterable[int], make: Callable[[int], Side]) -> int:
    """The number of games at once that gives the most steps; a GPU is tried with more of them."""
    tried = tuple(batches)
    if setting.device != "cpu":
        tried += tuple(more * max(tried) for more in MORE_ON_GPU)
    return max(tried, key=lambda b: b * setting.pace(make(b), setting.seconds / 2))


def alternately(setting: Setting, sides: Mapping[str, Timed]) -> Rates:
    """Rates of all sides, one after another in every round."""
    rates: dict[str, list[float]] = {label: [] for label in sides}
    began = time.perf_counter()
    for _ in range(setting.rounds):
        for label, side in sides.items():
            rates[label].append(side(setting.seconds))
        if time.perf_counter() - began > PATIENCE:
            break
    return rates


def times(found: Rates, side: str) -> str:
    """How many times faster than theirs a side of ours is: the median of the ratios of rounds."""
    if side not in found or "theirs" not in found:
        return "-"
    pairs = zip(found[side], found["theirs"], strict=True)
    return figure(statistics.median(ours / theirs for ours, theirs in pairs))


def shown(found: Rates, side: str) -> str:
    """The median rate of a side, if it ran."""
    return figure(statistics.median(found[side])) if side in found else "-"


def figure(value: float) -> str:
    """Three digits, thousands apart."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def row(cells: Iterable[str]) -> str:
    """A row of a table."""
    return f"| {' | '.join(cells)} |"
