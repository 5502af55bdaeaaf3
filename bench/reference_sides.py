"""Both sides of a comparison of simulators, timed in turn.

On a CPU seconds are computing time. A GPU is waited for at both ends of a stretch of steps and not
between them, so that it never stands still for the clock; steps before the first end warm it up.
"""

import functools
import math
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from reference_process import Rate
from reference_steps import Reset, Step, paced

from mfdsl.game import Dtype, load
from mfdsl.runtime.behaviours import Behaviour, Scene, observation, uniform
from mfdsl.runtime.simulator import Simulator

MORE_ON_GPU = (8, 64)
WARM = 5  # steps: compiling, recording a graph, and replaying it
PATIENCE = 90.0  # seconds after which a case gets no further round

Side = tuple[Reset, Step, int]
Timed = Callable[[float], float]
"""Environment steps per second, measured for so many seconds."""
Rates = Mapping[str, list[float]]
"""Environment steps per second of the sides of a comparison, round by round."""
Params = tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Setting:
    """How long a side is timed in a round, how often, how we run, beside whom (by name), and in
    which numbers.
    """

    seconds: float
    rounds: int
    device: str
    compile: bool
    beside: Mapping[str, Rate]
    dtype: Dtype = "float64"

    def wait(self) -> None:
        """Until a GPU has done what it was given."""
        if self.device != "cpu":
            torch.cuda.synchronize(self.device)

    def pace(self, side: Side, seconds: float) -> float:
        """Steps of a side of ours in a second."""
        if self.device == "cpu":
            return paced(*side, seconds)
        return unwatched(side, seconds, self.wait)

    def headed(self, cells: Iterable[str]) -> str:
        """The head of a table, which names a GPU and has the memory of its rows."""
        names = [*cells, *([] if self.device == "cpu" else [f"{device_name(self.device)}, GiB"])]
        return f"{row(names)}\n|{'---|' * len(names)}"

    def lined(self, cells: Iterable[str]) -> str:
        """A row of a table, with the largest memory of a GPU since the row before."""
        if self.device == "cpu":
            return row(cells)
        return row([*cells, f"{peak(self.device):.3g}"])


def unwatched(side: Side, seconds: float, wait: Callable[[], None]) -> float:
    """Calls of `step(t)` in a second of wall time, from stretches until one lasts long enough."""
    reset, step, length = side

    def stretch(count: int) -> float:
        wait()
        began = time.perf_counter()
        for t in range(count):
            if t % length == 0:
                reset()
            step(t % length)
        wait()
        return time.perf_counter() - began

    stretch(WARM)
    count = WARM
    while True:
        spent = stretch(count)
        if spent >= seconds:
            return count / spent
        count = max(2 * count, math.ceil(1.1 * count * seconds / spent))


def device_name(device: str) -> str:
    """What a GPU is called."""
    return str(torch.cuda.get_device_name(torch.device(device)))


def peak(device: str) -> float:
    """GiB that tensors took at most since this was asked before."""
    most = torch.cuda.max_memory_allocated(torch.device(device)) / 2**30
    torch.cuda.reset_peak_memory_stats(torch.device(device))
    return float(most)


@functools.lru_cache(maxsize=8)
def players(
    name: str, agents: int, batch: int, device: str, compile: bool, params: Params, dtype: Dtype
) -> Simulator:
    """A simulator, made once for all sides that use it."""
    return load(name, params=dict(params)).simulator(
        agents=agents,
        batch=batch,
        seed=1,
        device=device,  # type: ignore[arg-type]
        dtype=dtype,
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
    how = (setting.device, setting.compile, params, setting.dtype)
    simulator = players(name, agents, batch, *how)
    start = simulator.reset()
    state = [start]

    def reset() -> None:
        state[0] = start

    def step(t: int) -> None:
        scene = simulator.scene(t, state[0])
        state[0], _ = simulator.step(t, state[0], behaviour(scene))
        look(simulator.scene(t + 1, state[0]))

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
