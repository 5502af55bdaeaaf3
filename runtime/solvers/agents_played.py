"""Games of N agents played by a compiled loop, the same as by the tensors of `episodes.py`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mfdsl.runtime.simulator import Simulator
from mfdsl.runtime.solvers.agents_line import AgentsLine, agents_line
from mfdsl.runtime.solvers.followed import Followed, shared
from mfdsl.runtime.streams import beginning

if TYPE_CHECKING:
    from mfdsl.runtime.solvers.episodes import Crowd, Episodes

TRIED = (3, 7)  # games and agents that a line is compared with tensors on
CLOSE = 1e-12
MOST_MEMORY = 1 << 22  # numbers on the rows of a game; more of them do not stay in a cache
MOST_DRAWN = 1 << 22  # numbers that are drawn ahead


def line_of(crowd: "Crowd") -> AgentsLine | None:
    """The line of a step, None where there is none or a few random agents end elsewhere along it.

    The latter is so where a module reads how many agents there are.
    """
    from mfdsl.runtime.solvers.episodes import played_by_tensors

    line = agents_line(crowd.program, crowd.params, crowd.places(), crowd.seed)
    if line is None:
        return None
    games, agents = TRIED
    simulator = Simulator(crowd.program, crowd.params, agents=agents, batch=games, seed=crowd.seed)
    sizes = [[axis.size for axis in axes] for axes in (crowd.states, crowd.actions)]
    states, actions = (int(np.prod(each)) for each in sizes)
    weights = torch.linspace(1, 2, states * actions, dtype=torch.float64)
    policy = (weights / weights.sum()).view(1, states, actions).expand(crowd.stages, -1, -1)
    first = played_by_tensors(crowd, simulator, shared(policy), 0)
    other = played_by_loops(crowd, line, simulator, shared(policy), 0)
    same = (
        torch.equal(first.places, other.places)
        and torch.equal(first.actions, other.actions)
        and torch.allclose(first.rewards, other.rewards, rtol=CLOSE, atol=CLOSE, equal_nan=True)
    )
    return line if same else None


def fits(line: AgentsLine, simulator: Simulator) -> bool:
    """Whether the rows of a game are short enough to stay in a cache."""
    return len(line.memory) * max(simulator.agents.values()) <= MOST_MEMORY


def played_by_loops(
    crowd: "Crowd", line: AgentsLine, simulator: Simulator, policies: Followed, number: int
) -> "Episodes":
    """As `played_by_tensors`, from the same draws; means over agents are rounded otherwise."""
    from mfdsl.runtime.solvers.agents_native import stages  # needs numba
    from mfdsl.runtime.solvers.episodes import Episodes, paid_to

    start = simulator.reset(number)
    games, agents = simulator.batch, simulator.agents[crowd.acting[0]]
    states = np.empty((games, len(line.states), agents))
    _write(start[0], states)
    shape = (crowd.stages, games, agents)
    places, actions = (torch.empty(shape, dtype=torch.int64) for _ in range(2))
    rewards = torch.empty(shape, dtype=torch.float64)
    chances, begin = policies.chances.contiguous().numpy(), policies.first.contiguous().numpy()
    chunk = max(1, MOST_DRAWN // max(1, len(line.noises) * games * agents))
    for t in range(0, crowd.stages, chunk):
        number_of = number * (crowd.stages + 1) + t
        steps = range(number_of, number_of + min(chunk, crowd.stages - t))
        streams = np.array([beginning(crowd.key(step)) for step in steps]).view(np.uint64)
        noises = np.empty((len(steps), games, len(line.noises), agents))
        for row, step in zip(noises, steps, strict=True):
            _write([value for group in simulator.noise(step) for value in group], row)
        part = slice(t, t + len(steps))
        found = (each[part].numpy() for each in (places, actions, rewards))
        stages(line, t, chances, begin, streams, noises, states, *found)
    ended = torch.zeros_like(rewards[0])
    if crowd.program.module.HAS_FINAL:
        after = _unrowed(states, start)
        time = simulator.time(crowd.stages)
        last = crowd.program.module.final_rewards(crowd.params, time, after)
        ended = paid_to(crowd, simulator, last)
    return Episodes(places, actions, rewards, ended)


def _write(values: Sequence[Tensor], rows: NDArray[np.float64]) -> None:
    """Write values [B, N, ...] of agents to rows [B, rows, N], entry by entry."""
    done = 0
    for value in values:
        flat = value.reshape(*value.shape[:2], -1).numpy()
        rows[:, done : done + flat.shape[2]] = flat.transpose(0, 2, 1)
        done += flat.shape[2]


def _unrowed(rows: NDArray[np.float64], like: Any) -> Any:
    """States of this shape from rows."""
    found, done = [], 0
    for value in like[0]:
        count = value[0, 0].numel()
        part = torch.from_numpy(rows[:, done : done + count]).transpose(1, 2)
        found.append(part.reshape(value.shape).to(value.dtype))
        done += count
    return type(like)(type(like[0])(*found))
