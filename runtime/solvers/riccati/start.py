"""The laws of states at t = 0, read off the simulator: affine functions of independent draws.

Only means and covariances count, and these are exact where states are affine in their draws, which
is checked at other draws.
"""

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mfdsl.runtime.agents import AgentProgram
from mfdsl.runtime.program import Params
from mfdsl.runtime.solvers.base import SolverError
from mfdsl.runtime.solvers.riccati.forms import Start
from mfdsl.runtime.solvers.riccati.simulated import draws, flat, law_of, width

AGREE = 1e-9  # of the largest value
TRIED = 8
STEP = 0.25  # from the mean of a draw, so that uniform ones stay in their interval


def starts(program: AgentProgram, params: Params) -> dict[str, Start]:
    """The law of each player at t = 0, by the names of the spec.

    Raises:
        SolverError: a state is no affine function of independent draws.
    """
    laws = {field: _laws(program, field) for field in program.module.INITIALS}
    means = {f: torch.tensor([m for m, _ in each], dtype=torch.float64) for f, each in laws.items()}
    places = [(f, k) for f, each in laws.items() for k in range(len(each))]
    moved = {f: m.repeat(1 + len(places) + TRIED, 1) for f, m in means.items()}
    for row, (f, k) in enumerate(places):
        moved[f][1 + row, k] += STEP
    generator = torch.Generator().manual_seed(0)
    for m in moved.values():
        shape = (TRIED, m.shape[1])
        m[-TRIED:] += STEP * (2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1)
    states = _states(program, params, moved)
    found = {}
    for field, kind in program.players.items():
        name = program.names[field]
        value = states.get(name, torch.zeros(len(next(iter(moved.values()), [0])), 0))
        found[name] = _start(program, field, kind, value, laws, moved, places)
    return found


def _laws(program: AgentProgram, field: str) -> list[tuple[float, float]]:
    """Mean and standard deviation of each entry of a player's draws at t = 0."""
    found = []
    for name, (law, dims) in program.module.INITIALS[field].items():
        moments = law_of(tuple(law))
        if moments is None:
            raise SolverError(
                f"`{name}` of {program.names[field]} is drawn from `{law[0]}`, whose covariance is"
                " not known in closed form"
            )
        found += [moments] * prod(dims)
    return found


def _states(program: AgentProgram, params: Params, moved: Mapping[str, Tensor]) -> dict[str, Any]:
    """States of one member of each, [rows, entries], for each row of draws."""
    given = {}
    for field, values in moved.items():
        population = program.players[field] == "population"
        given[program.names[field]] = values[:, None] if population else values
    drawn = draws(program, "Initial", program.module.INITIALS, given)
    state = program.module.init(params, drawn)
    rows = len(next(iter(moved.values()))) if moved else 1
    found = {}
    for name, value in flat(program, state).items():
        value = value[:, 0] if value.ndim == 3 else value
        found[name] = value.expand(rows, value.shape[-1])
    return found


def _start(
    program: AgentProgram,
    field: str,
    kind: str,
    value: Tensor,
    laws: Mapping[str, list[tuple[float, float]]],
    moved: Mapping[str, Tensor],
    places: list[tuple[str, int]],
) -> Start:
    d = width(program, field, "State")
    if not d:
        value = torch.zeros(1 + len(places) + TRIED, 0, dtype=torch.float64)
    elif len(value) == 1:
        value = value.expand(1 + len(places) + TRIED, d)
    slopes = (value[1 : 1 + len(places)] - value[0]) / STEP
    apart = torch.zeros(TRIED, len(places), dtype=torch.float64)
    for k, (f, entry) in enumerate(places):
        apart[:, k] = moved[f][-TRIED:, entry] - moved[f][0, entry]
    wanted = value[0] + apart @ slopes
    off = (value[-TRIED:] - wanted).abs().max().item() if d else 0.0
    if not off <= AGREE * (1 + value.abs().max().item() if d else 1):
        raise SolverError(
            f"the states of {program.names[field]} at t = 0 are no affine function of their draws"
        )
    spread = np.array([laws[f][k][1] for f, k in places])
    loads = slopes.T.numpy() * spread
    population = [kind == "population" and f == field for f, _ in places]
    common = [program.players[f] != "population" for f, _ in places]
    return Start(
        value[0].numpy().copy(),
        loads[:, np.array(population, bool)],
        loads[:, np.array(common, bool)],
    )
