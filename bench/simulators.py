"""Simulated steps per second: our modules of agents beside other simulators, one core each.

`python bench/simulators.py [major_minor] [navigation] [finite]` prints environment steps per second
(all agents of a game move in one): the five major-minor games beside the code of arXiv:2303.10665,
cooperative navigation beside PIC (arXiv:1911.00025) and VMAS, and finite games at growing numbers
of agents, with the time per agent-step against what moving a double through memory costs.

A reference runs in an interpreter of its own (`reference_steps.py`) and is asked in turn with us:
medians of rounds, ours and theirs right after one another, on the same core with `--core`; times
faster is the median of the ratios within rounds. Seconds are computing time of the process (wall
time on a GPU), resets are off the clock on both sides.

    git clone https://github.com/tudkcui/M3FC-MARL          # --m3fc CLONE --m3fc-python PYTHON
    pip install "numpy<2" gym==0.26.2 POT scipy torch       # what that PYTHON needs (3.11)
    git clone https://github.com/IouJenLiu/PIC              # --pic CLONE --pic-python PYTHON
    pip install "numpy<2" gym==0.26.2 bridson               # what that one needs (3.11)
    pip install vmas                                        # --vmas-python PYTHON

The major-minor step of theirs takes one action of the upper level, samples those of the agents,
moves them, and returns histograms and the reward; ours samples an action for each agent, moves
them, and returns the reward and what `observe` lists. The step of navigation takes actions drawn
beforehand and returns rewards and observations: k nearest agents and landmarks for PIC, all of
them for VMAS. Ours is timed without observations, with those of the spec, and with theirs.
VMAS computes in float32, all others in float64 (ours in float32 with `--dtype`). `--compile` puts
our step through torch.compile. `--device cuda` gives our columns of a GPU, with a column that has
its name and the memory that the sides of a row took at most: it is waited for at both ends of a
stretch of steps only, and compiled steps are CUDA graphs there.
"""

import argparse
import os
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from reference_process import Rate, live, written
from reference_sides import (
    Rates,
    Setting,
    Side,
    alternately,
    asked,
    fastest,
    ours,
    rate_of,
    shown,
    times,
)
from reference_views import everything, nearest
from torch import Tensor

from mfdsl.runtime.behaviours import Behaviour, Scene, observation, still, uniform

GAMES = ("m3fc_2g", "m3fc_formation", "m3fc_beach", "m3fc_foraging", "m3fc_potential")
BATCHES = {20: (64, 512), 300: (16, 64, 128), 1000: (8, 32, 64)}
TRANSPORT = {20: (16, 128), 300: (4, 16), 1000: (2, 8)}
WORLDS = {30: 3.0, 100: 5.0, 200: 7.0}  # agents: half-width in PIC
CROWDS = {30: (64, 256, 1024), 100: (4, 16), 200: (1, 4)}
VMAS_BATCH = {30: 4096, 100: 1024, 200: 512}


def major_minor(setting: Setting) -> None:
    """The five games: one at a time, and the best of some batch sizes."""
    theirs = setting.beside.get("m3fc")
    heads = ("game", "agents", "ours, one game", "ours, B games", "B", "theirs")
    print(setting.headed([*heads, "times: one", "times: B"]))
    for name in GAMES:
        table = TRANSPORT if name in GAMES[:2] else BATCHES
        for agents, batches in table.items():

            def make(batch: int, name: str = name, agents: int = agents) -> Side:
                return ours(setting, name, agents, batch)

            best = fastest(setting, batches, make)
            sides = {
                "one": rate_of(setting, make(1), 1),
                "many": rate_of(setting, make(best), best),
            }
            if theirs is not None:
                sides["theirs"] = asked(theirs, name, agents, 1)
            found = alternately(setting, sides)
            cells = [name, str(agents), shown(found, "one"), shown(found, "many"), str(best)]
            cells += [shown(found, "theirs"), times(found, "one"), times(found, "many")]
            print(setting.lined(cells), flush=True)


VIEWS = {"pic": nearest, "vmas": everything}


def navigation(setting: Setting) -> None:
    """Cooperative navigation beside each reference, without and with observations."""
    heads = ("beside", "agents", "B", "ours, step", "ours, `observe`", "ours, their observations")
    more = ("one game", "theirs", "their B", "times: one", "times: B")
    print(setting.headed([*heads, *more]))
    for beside in [kind for kind in VIEWS if kind in setting.beside] or ["pic"]:
        for agents in WORLDS:
            found, best, other = beside_one(setting, beside, agents)
            cells = [beside, str(agents), str(best)]
            cells += [shown(found, side) for side in ("step", "observe", "many", "one", "theirs")]
            cells += [str(other), times(found, "one"), times(found, "many")]
            print(setting.lined(cells), flush=True)


def beside_one(setting: Setting, beside: str, agents: int) -> tuple[Rates, int, int]:
    """Rates of our sides and of theirs, our best batch, and theirs."""
    params = (("n", agents), ("half", WORLDS[agents]))
    view = VIEWS[beside]

    def make(batch: int, look: Callable[[Scene], object]) -> Side:
        return ours(setting, "navigation", agents, batch, params, drawn(), look)

    def theirs_seen(scene: Scene) -> Tensor:
        return view(observation(scene)["agent"])

    best = fastest(setting, CROWDS[agents], lambda batch: make(batch, theirs_seen))
    sides = {
        "step": rate_of(setting, make(best, lambda scene: None), best),
        "observe": rate_of(setting, make(best, observation), best),
        "many": rate_of(setting, make(best, theirs_seen), best),
    }
    other = VMAS_BATCH[agents] if beside == "vmas" else 1
    if other == 1:
        sides["one"] = rate_of(setting, make(1, theirs_seen), 1)
    if beside in setting.beside:
        sides["theirs"] = asked(setting.beside[beside], "navigation", agents, other)
    return alternately(setting, sides), best, other


def drawn() -> Behaviour:
    """Uniform actions, drawn at the first step and kept: the references' are drawn beforehand."""
    kept: list[Any] = []

    def behave(scene: Scene) -> Any:
        if not kept:
            kept.append(uniform(scene))
        return kept[0]

    return behave


def copy_nanoseconds(setting: Setting) -> float:
    """Time to read and write one double in memory beyond the caches."""
    source = torch.rand(2**24, device=setting.device, dtype=torch.float64)
    target = torch.empty_like(source)
    target.copy_(source)

    def step(t: int) -> None:
        target.copy_(source)

    return 1e9 / (setting.pace((lambda: None, step, 100), setting.seconds) * source.numel())


def finite(setting: Setting) -> None:
    """Time per agent-step of finite games, in units of one double through memory."""
    copy = copy_nanoseconds(setting)
    print(f"memory: {copy:.2f} ns to read and write a double")
    print(setting.headed(["game", "agents", "ns an agent-step", "doubles"]))
    for name in ("asymmetric_sis", "crowd"):
        for agents in (10_000, 100_000, 1_000_000):
            side = ours(setting, name, agents, 1, (), still, lambda scene: None)
            found = alternately(setting, {"ours": rate_of(setting, side, 1)})
            each = 1e9 / (statistics.median(found["ours"]) * agents)
            cells = [name, f"{agents:,}", f"{each:.1f}", f"{each / copy:.1f}"]
            print(setting.lined(cells), flush=True)


PARTS = {"major_minor": major_minor, "navigation": navigation, "finite": finite}


def main() -> None:
    """The tables of the parts that are asked for."""
    parser = parser_of(__doc__, PARTS)
    parser.add_argument("--compile", action="store_true", help="our step through torch.compile")
    parser.add_argument("--seconds", type=float, default=1.0, help="for a side in a round")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float64")
    chosen = asked_of(parser, PARTS)
    how = (chosen.seconds, chosen.rounds, chosen.device, chosen.compile)
    setting = Setting(*how, references(chosen), chosen.dtype)
    for part in chosen.parts or PARTS:
        PARTS[part](setting)


def parser_of(doc: str, parts: Mapping[str, object], rounds: int = 5) -> argparse.ArgumentParser:
    """What benchmarks beside references are asked by."""
    parser = argparse.ArgumentParser(description=doc.split("\n\n")[0])
    parser.add_argument("parts", nargs="*", metavar="|".join(parts))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--core", type=int, help="run everything on this core")
    parser.add_argument("--rounds", type=int, default=rounds)
    for name in ("m3fc", "pic", "vmas"):
        parser.add_argument(f"--{name}-python", metavar="PYTHON")
        if name != "vmas":
            parser.add_argument(f"--{name}", type=Path, metavar="CLONE")
    parser.add_argument("--reference", type=Path, help="rates of the games, measured before")
    return parser


def asked_of(parser: argparse.ArgumentParser, parts: Mapping[str, object]) -> argparse.Namespace:
    """What was asked, on one core with one thread; ends with a message where nothing can run."""
    asked = parser.parse_args()
    for part in set(asked.parts) - set(parts):
        parser.error(f"there is no part {part}")
    problem = unusable(asked.device)
    if problem:
        parser.error(problem)
    if asked.core is not None:
        os.sched_setaffinity(0, {asked.core})
    torch.set_num_threads(1)
    return asked


def unusable(device: str) -> str | None:
    """Why nothing can run on a device, None where it can."""
    try:
        place = torch.device(device)
    except RuntimeError:
        return f"there is no device {device!r}: it is cpu, cuda or cuda:1"
    if device != "cpu" and place.type != "cuda":
        return f"this script times cpu and cuda, not {device}"
    found = torch.cuda.device_count()
    if place.type == "cuda" and not torch.cuda.is_available():
        return f"{device} is not there: torch {torch.__version__} sees no GPU on this machine"
    if place.type == "cuda" and (place.index or 0) >= found:
        return f"{device} is not there: torch sees {found} GPU"
    return None


def references(chosen: argparse.Namespace) -> dict[str, Rate]:
    """The references that are asked for."""
    found: dict[str, Rate] = {}
    if chosen.reference:
        found["m3fc"] = written(chosen.reference)
    for name in ("m3fc", "pic"):
        clone, python = getattr(chosen, name), getattr(chosen, f"{name}_python")
        if bool(clone) != bool(python):
            raise SystemExit(f"--{name} and --{name}-python go together")
        if clone:
            found[name] = live(python, name, str(clone.resolve()))
    if chosen.vmas_python:
        found["vmas"] = live(chosen.vmas_python, "vmas")
    return found


if __name__ == "__main__":
    main()
