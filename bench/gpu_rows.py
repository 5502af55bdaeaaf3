"""What `gpu_day.py` measures: one function for each row, which yields its figures one by one.

A GPU is waited for at both ends of what is timed, and each figure makes what it needs by itself, so
that one that fails takes no other along. Goals are those of rows 17 to 19 of `docs/results.md`.
"""

import statistics
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import deep
import learning
import torch
from reference_sides import MORE_ON_GPU, Setting, Side, fastest, ours, rate_of
from simulators import BATCHES, GAMES, TRANSPORT, WORLDS, drawn
from torch import Tensor

from mfdsl.game import load
from mfdsl.learning import prepare_training
from mfdsl.runtime.behaviours import still, uniform
from mfdsl.runtime.evaluate import build_view
from mfdsl.runtime.solvers.loop import solve
from mfdsl.runtime.streams import draw
from mfdsl.settings import resolve

HERE = Path(__file__).parent
ROOMS = HERE / "specs" / "four_rooms_obstacles.mfg"
CITY = HERE / "specs" / "city.mfg"
ONE = "mfglib_beach_bar", "left_right", "rock_paper_scissors", "lasry_lions_chain", "predator_prey"
STEPPED = "sis", "m3fc_beach", "m3fc_potential", "m3fc_foraging", "navigation", "push"
CALLS = 3  # of which the median is taken, after one to warm up


@dataclass(frozen=True)
class Case:
    """One figure: what it is of, its unit, what measures it (None where that is not defined), and
    the goal, where there is one.
    """

    what: str
    unit: str
    work: Callable[[], float | None]
    goal: float | None = None


@dataclass(frozen=True)
class Day:
    """Where all is measured, and the sizes of the rows."""

    device: str = "cuda"
    seconds: float = 0.5
    policies: int = 16_384
    side: int = 1000
    stages: int = 100
    iterations: int = 100
    agents: tuple[int, ...] = (10**6, 10**7, 10**8)
    crowd: int = 300
    worlds: tuple[int, ...] = tuple(WORLDS)
    crowds: int = 256
    learners: tuple[int, ...] = tuple(learning.WORLDS)
    games: tuple[str, ...] = GAMES
    players: tuple[str, ...] = tuple(deep.METHODS)
    steps: int = 25

    def wait(self) -> None:
        """Until the GPU has done what it was given."""
        torch.cuda.synchronize(torch.device(self.device))

    def taken(self, work: Callable[[], object]) -> float:
        """Seconds of wall time of a call."""
        self.wait()
        began = time.perf_counter()
        work()
        self.wait()
        return time.perf_counter() - began

    def median(self, work: Callable[[], object]) -> float:
        """Median seconds of a call."""
        work()
        return statistics.median(self.taken(work) for _ in range(CALLS))

    def setting(self, *, compile: bool) -> Setting:
        """How simulators are timed: in single precision, as GPUs are made for."""
        return Setting(self.seconds, 1, self.device, compile, {}, "float32")


def agreement(day: Day) -> Iterator[Case]:
    """Exploitabilities of tables, and steps of agents from the same draws, beside the CPU's."""
    for name in ONE:
        what = f"{name}: exploitability of the uniform policy beside the CPU's"
        yield Case(what, "relative difference", partial(_gap_apart, name, day.device), 1e-9)
    for name in STEPPED:
        what = f"{name}: a step of 6 agents in 2 games beside the CPU's, same draws"
        yield Case(what, "largest difference", partial(_step_apart, name, day.device), 1e-9)


def _gap_apart(name: str, device: str) -> float:
    here, there = (_score(name, where) for where in ("cpu", device))
    return abs(there - here) / max(abs(here), 1e-12)


def _score(name: str, device: str) -> float:
    program = load(name).program
    with torch.no_grad():
        view = build_view(program, program.params(device=device))
        return float(view.exploitability(view.uniform()).item())


def _step_apart(name: str, device: str) -> float:
    """How far states and rewards after a step are from those of the CPU, at most."""
    game = load(name)
    agents = None if game.agents.fixed else 6
    here, there = (game.simulator(agents=agents, batch=2, device=d) for d in ("cpu", device))  # type: ignore[arg-type]
    state, noise = here.reset(), here.noise(0)
    action = uniform(here.scene(0, state))
    module: Any = game.agents.module
    own = module.step(here.params, here.time(0), state, action, noise)
    sent = [_sent(group, device) for group in (state, action, noise)]
    found = module.step(there.params, there.time(0), *sent)
    pairs = zip(_leaves(own), _leaves(found), strict=True)
    return max(float((a.double() - b.cpu().double()).abs().max()) for a, b in pairs)


def _sent(group: Any, device: str) -> Any:
    if isinstance(group, Tensor):
        return group.to(device)
    return type(group)(*(_sent(part, device) for part in group))


def _leaves(group: Any) -> Iterator[Tensor]:
    if isinstance(group, Tensor):
        yield group
    else:
        for part in group:
            yield from _leaves(part)


def policies(day: Day) -> Iterator[Case]:
    """Row 17: many policies of one game scored together."""
    for dtype in (torch.float32, torch.float64):
        what = f"row 17, four_rooms_obstacles: {day.policies:,} policies, {str(dtype)[6:]}"
        yield Case(what, "µs a policy", partial(_scored, day, dtype), 2.0)


def _scored(day: Day, dtype: torch.dtype) -> float:
    program = load(ROOMS).program
    view = build_view(program, program.params(dtype=dtype, device=day.device))
    shape = (day.policies, *view.uniform().probs.shape[1:])
    law = draw(("exponential",), shape, (0, 0, "policies"), dtype=dtype, device=day.device)
    policy = view.policy(law / law.sum(-1, keepdim=True))
    with torch.no_grad():
        return 1e6 * day.median(lambda: view.exploitability(policy)) / day.policies


def million(day: Day) -> Iterator[Case]:
    """Row 18: mirror descent in a game of a million states, with its score each time: the whole
    course from a twentieth of it, and from half of it.
    """
    what = f"row 18, city: {day.side**2:,} states, {day.stages} stages, omd"
    for part in (20, 2):
        count = max(1, day.iterations // part)
        unit = f"s for {day.iterations} iterations"
        yield Case(f"{what}, from {count}", unit, partial(_descended, day, count), 2.0)


def _descended(day: Day, count: int) -> float:
    program = load(CITY, params={"n": day.side, "H": day.stages}).program
    view = build_view(program, program.params(dtype=torch.float32, device=day.device))

    def run(count: int) -> None:
        limits: dict[str, Any] = {"iterations": count, "tolerance": -1.0, "patience": None}
        solve(program, None, "omd", {"learning_rate": 0.5}, view=view, **limits)

    run(1)
    return day.taken(lambda: run(count)) * day.iterations / count


def tables_of_agents(day: Day, *, compile: bool = False) -> Iterator[Case]:
    """Row 19: agents of finite games."""
    for name in ("asymmetric_sis", "crowd"):
        for agents in day.agents:
            what = f"row 19, {name}: {agents:,} agents, {_how(compile)}"
            work = partial(_moved, day, name, agents, compile)
            yield Case(what, "agent-steps a second", work, 5e9)


def _moved(day: Day, name: str, agents: int, compile: bool) -> float:
    setting = day.setting(compile=compile)
    side = ours(setting, name, agents, 1, (), still, lambda scene: None)
    return agents * setting.pace(side, day.seconds)


def simulated(day: Day, *, compile: bool = False) -> Iterator[Case]:
    """Steps of the major-minor games, one and the best batch or (compiled) the largest, and of
    navigation.
    """
    unit = "environment steps a second"
    for name in day.games:
        what = f"{name}: {day.crowd} agents, {_how(compile)}"
        yield Case(f"{what}, one game", unit, partial(_stepped, day, name, (1,), compile))
        batches = (TRANSPORT if name in GAMES[:2] else BATCHES)[300]
        tried = (MORE_ON_GPU[0] * max(batches),) if compile else batches
        yield Case(f"{what}, B games", unit, partial(_stepped, day, name, tried, compile))
    for agents in day.worlds:
        what = f"navigation: {agents} agents, {day.crowds} games, {_how(compile)}"
        yield Case(what, unit, partial(_steered, day, agents, compile))


def compiled(day: Day) -> Iterator[Case]:
    """Both again as CUDA graphs of compiled code: last, for each takes time to compile."""
    yield from tables_of_agents(day, compile=True)
    yield from simulated(day, compile=True)


def _stepped(day: Day, name: str, batches: tuple[int, ...], compile: bool) -> float:
    setting = day.setting(compile=compile)

    def make(batch: int) -> Side:
        return ours(setting, name, day.crowd, batch)

    best = batches[0] if len(batches) == 1 else fastest(setting, batches, make)
    return rate_of(setting, make(best), best)(day.seconds)


def _steered(day: Day, agents: int, compile: bool) -> float:
    setting, params = day.setting(compile=compile), (("n", agents), ("half", WORLDS[agents]))
    side = ours(setting, "navigation", agents, day.crowds, params, drawn(), lambda scene: None)
    return rate_of(setting, side, day.crowds)(day.seconds)


def _how(compile: bool) -> str:
    return "compiled" if compile else "eager"


def learned(day: Day) -> Iterator[Case]:
    """Moves of agents a second in training, of teams and of learners in games."""
    for agents, (half, games) in learning.WORLDS.items():
        values = {"n": agents, "half": half}
        for method in ("move", *learning.METHODS):
            if agents in day.learners and not method.startswith("planner"):
                yield _taught(day, "navigation", agents, games, values, method)
    for name, games in learning.MAJOR_MINOR.items():
        for method in ("move", *learning.METHODS):
            if name in day.games:
                yield _taught(day, name, learning.AGENTS, games, {}, method)
    for name in deep.SPECS:
        for method in day.players:
            what = f"{name}: {deep.GAMES} games of {deep.AGENTS} agents, {method}"
            yield Case(what, "steps of agents a second", partial(_played, day, name, method))


def _taught(
    day: Day, name: str, agents: int, games: int, values: Mapping[str, float], method: str
) -> Case:
    what = f"{name}: {agents} agents, {games} games, {method}"

    def work() -> float | None:
        asked = Namespace(device=day.device, methods=[method], steps=day.steps)
        if method == "move":
            asked.methods = ["score, team"]
        found = learning.trained(load(name, params=values), agents, games, asked)
        return found[method]() if method in found else None

    return Case(what, "moves of agents a second", work)


def _played(day: Day, name: str, method: str) -> float:
    game, (solver, options) = load(name), deep.METHODS[method]
    known = resolve(game.model, solver).config.model_dump()
    given = {key: value for key, value in options.items() if key in known}
    settings = resolve(game.model, solver, iterations=1000, options=given)
    learner = prepare_training(game, settings, device=day.device).learner  # type: ignore[arg-type]
    learner.step(0)
    moves = deep.GAMES * deep.AGENTS * (game.program.horizon or 1)
    return moves / day.taken(lambda: learner.step(1))


ROWS: dict[str, Callable[[Day], Iterator[Case]]] = {
    "agreement": agreement,
    "policies": policies,
    "agents": tables_of_agents,
    "million": million,
    "simulators": simulated,
    "learning": learned,
    "compiled": compiled,
}
