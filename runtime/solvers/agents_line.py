"""A step of all agents as arithmetic on one row of numbers for each value, for compiled games.

The step of a module runs once on a single agent, and what it does is written down as in
`views/tape.py`; here each place of the tape is a row over agents, and means over agents and
histograms of them are numbers of the game. `agents_native.py` plays whole games along such lines;
`episodes.py` has the tensors.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mfdsl.runtime.agents import AgentProgram
from mfdsl.runtime.program import Params
from mfdsl.runtime.simulator import Simulator
from mfdsl.runtime.tabled import Places as Standing
from mfdsl.runtime.views.shortening import steps_of
from mfdsl.runtime.views.tape import Line, NotTaped, Places, Recorder

OVER_AGENTS = frozenset("sum amax amin any all prod cumsum std var einsum".split())


class AgentsLine(NamedTuple):
    """Instructions [n, 7] as on a tape, the first `acting` of them before agents act.

    Rows are `own` where agents have numbers of their own, else one stands for all; `spread` are
    those of the second kind that are read agent by agent, `means` those that are means over agents.
    `states`, `noises`, `taken` and `time` are rows of inputs, `after`, `place` and `reward` of
    results.
    """

    code: NDArray[np.int64]
    places: NDArray[np.int64]
    memory: NDArray[np.float64]
    own: NDArray[np.bool_]
    spread: NDArray[np.bool_]
    means: NDArray[np.bool_]
    acting: int
    states: NDArray[np.int64]
    after: NDArray[np.int64]
    noises: NDArray[np.int64]
    taken: int
    time: int
    place: int
    reward: int


class AgentRecorder(Recorder):
    """Writes down what is done to values of one agent, among them means over all agents."""

    def __init__(self) -> None:
        super().__init__()
        self.means: list[int] = []

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """As on any tape; reductions over agents are means and histograms only."""
        name, options = func.__name__, kwargs or {}
        if not self.knows(args):
            return super().__torch_function__(func, types, args, options)
        if name == "as_tensor":
            return args[0]
        if name in OVER_AGENTS and _reduces_agents(args, options):
            raise NotTaped(f"{name} over agents")
        if name not in AGENT_ROWS:
            return super().__torch_function__(func, types, args, options)
        value = func(*args, **options)
        self._keep(value, AGENT_ROWS[name](self, args, options).view(value.shape))
        return value


def _meant(tape: AgentRecorder, args: Sequence[Any], options: Any) -> Places:
    """The mean over agents, of one of them here: a copy that is marked."""
    if list(args[1:]) != [1] or options:
        raise NotTaped("a mean over other axes")
    given = tape.places_of(args[0])
    found = tape.fresh(given)
    tape.instruct("copy", int(found.view(-1)[0]), found.numel(), 1, given.reshape(-1).numpy())
    tape.means += found.view(-1).tolist()
    return found.select(1, 0)


def _tallied(tape: AgentRecorder, args: Sequence[Any], options: Any) -> Places:
    """Which share of the agents, or of their weights, stands at each place.

    Modules divide what they count by the number of agents, which is one here.
    """
    table, axis, index, source = args
    if axis != 1 or table.ndim != 2 or index.shape != (1, 1) or tape.knows(table) or table.any():
        raise NotTaped("numbers that are added to places")
    found = tape.fresh(torch.zeros(table.shape, dtype=torch.int64))
    rows = [tape.places_of(part).expand(table.shape).flatten() for part in (index, source)]
    start, count = int(found.view(-1)[0]), found.numel()
    tape.instruct("scatter", start, count, 1, *(row.numpy() for row in rows))
    return found


def _looked_up(tape: AgentRecorder, args: Sequence[Any], options: Any) -> Places:
    """Entries of a table of the game at the places of agents."""
    if len(args) != 3 or args[2] != 1 or args[0].ndim != 2 or args[1].ndim != 2:
        raise NotTaped("entries of a table of several axes")
    table = tape.places_of(args[0])
    room = tape.fresh(table)
    begin = int(room.view(-1)[0])
    tape.instruct("copy", begin, room.numel(), 1, table.reshape(-1).contiguous().numpy())
    places = tape.places_of(args[1])
    address = tape.calculated("add", places, tape.places_of(begin).expand(places.shape))
    return tape.calculated("fetch", address)


def _floored(tape: AgentRecorder, args: Sequence[Any], options: Any) -> Places:
    """The whole part of a quotient, as `//` has it."""
    given = [tape.places_of(part) for part in args]
    shape = np.broadcast_shapes(*(part.shape for part in given))
    parts = [part.expand(shape) for part in given]
    return tape.calculated("floor", tape.calculated("div", *parts))


AGENT_ROWS: dict[str, Callable[[AgentRecorder, Sequence[Any], Any], Places]] = {
    **{"mean": _meant, "scatter_add": _tallied, "take_along_dim": _looked_up},
    **{"__floordiv__": _floored, "floor_divide": _floored},
}


def agents_line(
    program: AgentProgram, params: Params, standing: Standing, seed: int
) -> AgentsLine | None:
    """The line of a game of one population, None where tensors play it.

    These are several players, a past, states on grids, numbers that are not float64 on a CPU,
    several settings at once, and operations that have no instruction. Modules may read how many
    agents there are, who is one here: a line is to be compared with tensors before it is used.
    """
    reduced, unit = standing.reduced, params.unit
    simple = (
        list(program.players.values()) == ["population"]
        and not program.fixed
        and reduced.past is None
        and reduced.choices is None
        and all(axis.step is None for axis in (*reduced.states, *reduced.actions))
        and (unit.device.type, unit.dtype) == ("cpu", torch.float64)
        and program.batch_of(params) == 1
        and "torch.ops.mfdsl" not in program.text
    )
    if not simple:
        return None
    try:
        return _recorded(Simulator(program, params, agents=1, seed=seed), standing)
    except NotTaped:
        return None


def _recorded(simulator: Simulator, standing: Standing) -> AgentsLine:
    recorder, module = AgentRecorder(), simulator.program.module
    (name,) = simulator.agents
    scene, noise = simulator.scene(0, simulator.reset(0)), _apart(simulator.noise(0))
    scene = replace(scene, state=_apart(scene.state))
    taken = torch.zeros(1, 1, dtype=torch.int64)
    held, drawn = list(scene.state[0]), [value for group in noise for value in group]
    states = _rows([recorder.input(value) for value in held], held)
    noises = _rows([recorder.input(value) for value in drawn], drawn)
    chosen, time = recorder.input(taken), recorder.input(scene.time)
    with recorder:
        place = recorder.places_of(standing.standing(scene)[name])
        acting = len(recorder.line().code)
        action = standing.moves(scene, {name: taken})
        after, rewards = module.step(simulator.params, scene.time, scene.state, action, noise)
    if len(rewards) != 1 or recorder.places_of(rewards[0]).shape != (1, 1):
        raise NotTaped("rewards of nobody")
    paid = int(recorder.places_of(rewards[0]))
    moved = torch.cat([recorder.places_of(value).reshape(-1) for value in after[0]]).numpy()
    line = recorder.line()
    means = np.zeros(len(line.memory), dtype=bool)
    means[recorder.means] = True
    own = _own(line, means, np.concatenate([states, noises, [chosen]]))
    spread = _spread(line, own, np.array([int(place), paid, *moved]))
    return AgentsLine(
        *line, own, spread, means, acting, states, moved, noises, chosen, time, int(place), paid
    )


def _apart(group: Any) -> Any:
    """Nested tensors, each dense in memory of its own."""
    if isinstance(group, Tensor):
        return group.clone(memory_format=torch.contiguous_format)
    return type(group)(*(_apart(part) for part in group))


def _rows(starts: Sequence[int], values: Sequence[Tensor]) -> NDArray[np.int64]:
    """The rows of inputs, entry by entry."""
    ranges = [np.arange(s, s + v.numel()) for s, v in zip(starts, values, strict=True)]
    return np.concatenate([np.zeros(0, dtype=np.int64), *ranges])


def _reduces_agents(args: Sequence[Any], options: Any) -> bool:
    """Whether a reduction goes over the second axis, or over all axes."""
    value = args[0]
    if not isinstance(value, Tensor):
        return True
    chosen = options.get("dim", args[1] if len(args) > 1 else None)
    if not isinstance(chosen, int | tuple | list):
        return True
    axes = (chosen,) if isinstance(chosen, int) else chosen
    return any(axis % value.ndim < 2 for axis in axes)


def _own(line: Line, means: NDArray[np.bool_], inputs: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which rows differ between agents."""
    own = np.zeros(len(means), dtype=bool)
    own[inputs] = True
    for step in steps_of(line):
        if step.name == "scatter":  # a histogram
            continue
        own[step.results] = own[step.arguments].any((0, 2)) & ~means[step.results]
    return own


def _spread(line: Line, own: NDArray[np.bool_], results: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which numbers of a game are read agent by agent."""
    read = np.zeros(len(own), dtype=bool)
    read[results] = True
    for step in steps_of(line):
        each = own[step.results] | (step.name == "scatter")
        read[step.arguments[:, each]] = True
    return read & ~own
