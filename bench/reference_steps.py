"""Steps per second of other simulators, in an interpreter of their own.

`bench/simulators.py` starts this file in the interpreter that holds a reference,

    PYTHON bench/reference_steps.py m3fc CLONE    # a clone of tudkcui/M3FC-MARL
    PYTHON bench/reference_steps.py pic CLONE     # a clone of IouJenLiu/PIC
    PYTHON bench/reference_steps.py vmas          # the package

and writes one question on a line, {"game": "m3fc_2g", "agents": 300, "batch": 1, "seconds": 1};
the answer is one line, {"rate": 312.5}: environment steps per second of computing time, all games
of a batch counted. With "hidden": 64 in the question it is that of `reference_learning.py` training
networks of this width (m3fc and vmas). Each reference is used through its own interface: its
`step`, with the reward and the observations that it gives to a learner. Alone it has actions drawn
beforehand and resets off the clock. Only the standard library is imported before a reference is
chosen.
"""

import importlib
import json
import os
import sys
import time
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

ACTIONS = 64  # drawn beforehand, used in turn
EPISODE = 25  # steps between resets of the particle worlds

Reset = Callable[[], object]
Step = Callable[[int], object]
Make = Callable[[str, int, int], tuple[Reset, Step, int]]
Worlds = Callable[[str, int, int], Any]
"""An environment with `reset` and `step`, by (game, agents, batch)."""


def paced(
    reset: Reset,
    step: Step,
    length: int,
    seconds: float,
    clock: Callable[[], float] = time.process_time,
) -> float:
    """Calls of `step(t)` in a second, from resets every `length` calls that are not counted.

    Seconds are those that this process computes, so that other work on the machine does not count.
    """
    count, spent = 0, 0.0
    while spent < seconds:
        reset()
        began = clock()
        for t in range(length):
            step(t)
            count += 1
            if spent + clock() - began >= seconds:
                break
        spent += clock() - began
    return count / spent


MAJOR_MINOR = {  # game: module and class of the environment, of its wrapper, space dimensions
    "m3fc_2g": (
        ("comms_two_gaussians", "CommsTwoGaussiansEnv"),
        ("wrappers.comms_wrapper_gaussian", "CommsObsGaussianWrapper"),
        2,
    ),
    "m3fc_formation": (
        ("major_minor_formation", "MajorMinorFormationEnv"),
        ("wrappers.major_minor_comms_gaussian", "CommsGaussianMajorMinorMFCEnv"),
        2,
    ),
    "m3fc_beach": (
        ("major_minor_beach_tuple", "MajorMinorBeachTupleEnv"),
        ("wrappers.major_minor_discrete_pure_tuple", "PureDiscreteTupleMajorMinorMFCEnv"),
        2,
    ),
    "m3fc_foraging": (
        ("major_minor_foraging", "MajorMinorForagingEnv"),
        ("wrappers.major_minor_foraging_wrapper", "ForagingMajorMinorMFCEnv"),
        2,
    ),
    "m3fc_potential": (
        ("major_minor_potential_field", "MajorMinorPotentialFieldEnv"),
        ("wrappers.major_minor_discrete_gaussian", "DiscreteGaussianMajorMinorMFCEnv"),
        1,
    ),
}


def wrapped(clone: Path) -> Worlds:
    """The five games of M3FC-MARL, wrapped as its trainer sees them, one at a time.

    A step takes one action of the upper level, samples those of all agents, moves everybody and
    returns histograms and the reward. The training stack (ray, the other environments) is not
    needed: the packages on the way are entered without running their `__init__`.
    """
    root = clone / "marllib"
    for name in ("marllib", "marllib.envs", "marllib.envs.m3fc_envs"):
        _bare(name, root.joinpath(*name.split(".")[1:]))
    _bare("marllib.envs.m3fc_envs.wrappers", root / "envs" / "m3fc_envs" / "wrappers")
    sys.modules["ray"], sys.modules["ray.rllib"] = MagicMock(), types.ModuleType("ray.rllib")
    sys.modules["ray.rllib"].__dict__["MultiAgentEnv"] = object
    sys.modules["matplotlib"] = sys.modules["matplotlib.pyplot"] = MagicMock()
    importlib.import_module("torch").set_num_threads(1)

    def found(place: tuple[str, str]) -> Any:
        return getattr(importlib.import_module(f"marllib.envs.m3fc_envs.{place[0]}"), place[1])

    def make(game: str, agents: int, batch: int) -> Any:
        world, wrapper, axes = MAJOR_MINOR[game]
        options = {"num_agents": agents, "dims": axes, "x_bins_per_dim": 7, "u_bins_per_dim": 3}
        options |= {"obs_time": 0, "unbounded_actions": 0}
        return found(wrapper)(found(world)(**options), **options)

    return make


def major_minor(clone: Path) -> Make:
    """Steps of the games of M3FC-MARL with actions of the upper level drawn beforehand."""
    worlds = wrapped(clone)

    def make(game: str, agents: int, batch: int) -> tuple[Reset, Step, int]:
        env = worlds(game, agents, batch)
        actions = [env.action_space.sample() for _ in range(ACTIONS)]
        return env.reset, lambda t: env.step(actions[t % ACTIONS]), env.env_MARL.time_steps

    return make


def _bare(name: str, folder: Path) -> None:
    """A package whose modules can be imported, without its own code."""
    module = types.ModuleType(name)
    module.__path__ = [str(folder)]
    sys.modules[name] = module


def particles(clone: Path) -> Make:
    """Cooperative navigation of PIC, as its trainer steps it: one game, k nearest neighbours seen.

    numba is only imported by code that no step runs, and old gym's `prng` only by action spaces
    that this game lacks; both may be missing.
    """
    sys.path.insert(0, str(clone / "multiagent-particle-envs"))
    sys.modules["numba"] = sys.modules["gym.spaces.prng"] = MagicMock()
    environment = importlib.import_module("multiagent.environment")
    np = importlib.import_module("numpy")

    def make(game: str, agents: int, batch: int) -> tuple[Reset, Step, int]:
        module = importlib.import_module(f"multiagent.scenarios.simple_spread_n{agents}")
        scenario = module.Scenario()
        world = scenario.make_world()
        env = environment.MultiAgentEnv(
            world, scenario.reset_world, scenario.reward, scenario.observation
        )
        actions = [list(np.random.dirichlet(np.ones(5), agents)) for _ in range(ACTIONS)]
        return env.reset, lambda t: env.step(actions[t % ACTIONS]), EPISODE

    return make


def batched() -> Worlds:
    """simple_spread of VMAS, a batch of games at once; everybody sees all agents and landmarks."""
    vmas = importlib.import_module("vmas")
    importlib.import_module("torch").set_num_threads(1)

    def make(game: str, agents: int, batch: int) -> Any:
        return vmas.make_env("simple_spread", num_envs=batch, device="cpu", n_agents=agents)

    return make


def vectorised() -> Make:
    """Steps of VMAS with actions drawn beforehand."""
    worlds, torch = batched(), importlib.import_module("torch")

    def make(game: str, agents: int, batch: int) -> tuple[Reset, Step, int]:
        env = worlds(game, agents, batch)
        actions = [
            [torch.rand(batch, 2) * 2 - 1 for _ in range(agents)] for _ in range(ACTIONS // 16)
        ]
        return env.reset, lambda t: env.step(list(actions[t % len(actions)])), EPISODE

    return make


def main(wanted: list[str]) -> None:
    """Answer questions until there are no more; what references print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    kinds = {"m3fc": major_minor, "pic": particles}
    make = kinds[wanted[0]](Path(wanted[1])) if wanted[0] in kinds else vectorised()
    kept: dict[tuple[str, int, int], tuple[Reset, Step, int]] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        case = (asked["game"], asked["agents"], asked["batch"])
        if asked.get("hidden"):
            learning = importlib.import_module("reference_learning")
            envs = wrapped(Path(wanted[1])) if wanted[0] == "m3fc" else batched()
            world = learning.upper if wanted[0] == "m3fc" else learning.crowd
            rate = learning.rate(world(envs(*case), case[2]), asked["hidden"], asked["seconds"])
            print(json.dumps({"rate": rate}), file=answers, flush=True)
            continue
        if case not in kept:
            kept = {case: make(*case)}
            kept[case][0]()
            kept[case][1](0)  # warm
        rate = case[2] * paced(*kept[case], asked["seconds"])
        print(json.dumps({"rate": rate}), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
