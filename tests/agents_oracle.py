"""Emitted modules of agents against the loops of `compiler.ir.play`, from the same draws."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from mfdsl.compiler.ir import play
from mfdsl.compiler.ir.model import Model
from mfdsl.runtime.agents import AgentProgram
from mfdsl.runtime.behaviours import still, uniform
from mfdsl.runtime.simulator import Simulator

Nested = dict[str, dict[str, Any]]


def plain(program: AgentProgram, group: Any, game: int) -> Nested:
    """The tensors of one game of nested tuples as numbers, lists and arrays, by spec names."""
    found: Nested = {}
    for field, values in group._asdict().items():
        name = program.names[field]
        agents = program.players[field] == "population"
        found[name] = {}
        for key, value in zip(_names(program, group, field), values, strict=True):
            row = value[min(game, len(value) - 1)].detach().numpy()
            entries = list(row) if agents else row
            found[name][key] = [_number(e) for e in entries] if agents else _number(entries)
    return found


def _names(program: AgentProgram, group: Any, field: str) -> tuple[str, ...]:
    """Names in the spec of the entries of a player's tuple, in their order."""
    assert program.model is not None
    player = program.model.player(program.names[field])
    kind = type(group).__name__
    if kind in ("State", "Action"):
        return program.variables(field, "state" if kind == "State" else "action")
    if kind == "Noise":
        return tuple(noise.name for noise in player.noises)
    tabled = [v.name for v in (*player.traits, *player.states) if v.initial is not None]
    drawn = [*tabled, *(draw.name for draw in player.draws if draw.given is None)]
    return tuple(drawn) or ("agents",)


def _number(value: Any) -> Any:
    return value.item() if np.ndim(value) == 0 else value


def compared(
    model: Model, simulator: Simulator, *, steps: int = 2, game: int = 0
) -> tuple[float, int]:
    """Largest difference between module and loops over some steps, and how many values were
    compared. Raises AssertionError on differing finite values.
    """
    program = simulator.program
    bounded = all(model.types[a.type].lo is not None for p in model.players for a in p.actions)
    behaviour = uniform if bounded else still
    initial = simulator._draws(program.module.Initial, program.module.INITIALS, 0, "initial")
    state = simulator.reset()
    worst, count = _difference(
        play.initial_states(model, plain(program, initial, game), simulator.agents),
        plain(program, state, game),
    )
    for t in range(steps):
        action = behaviour(simulator.scene(t, state))
        noise, now = simulator.noise(t), simulator.time(t)
        after, _ = program.module.step(simulator.params, now, state, action, noise)
        terms = program.module.reward_terms(simulator.params, now, state, action, noise)
        expected, rewards = play.step(
            model,
            t,
            plain(program, state, game),
            plain(program, action, game),
            plain(program, noise, game),
        )
        found = {
            program.names[field]: {n: _rows(v, game) for n, v in group.items()}
            for field, group in terms.items()
        }
        for a, b in ((expected, plain(program, after, game)), (rewards, found)):
            gap, more = _difference(a, b)
            worst, count = max(worst, gap), count + more
        state = simulator.whole(after)
    return worst, count


def _rows(value: torch.Tensor, game: int) -> Any:
    row = value[min(game, len(value) - 1)]
    return [x.item() for x in row] if row.ndim else row.item()


def _difference(expected: Mapping[str, Any], found: Mapping[str, Any]) -> tuple[float, int]:
    worst, count = 0.0, 0
    for player, values in expected.items():
        for name, value in values.items():
            a, b = np.asarray(value, dtype=float), np.asarray(found[player][name], dtype=float)
            assert a.shape == b.shape, (player, name, a.shape, b.shape)
            both = np.isfinite(a) & np.isfinite(b)
            assert np.array_equal(np.isfinite(a), np.isfinite(b)), (player, name, a, b)
            scale = 1 + np.abs(a[both])
            gap = float((np.abs(a - b)[both] / scale).max(initial=0.0))
            assert gap < 1e-9, (player, name, a, b)
            worst, count = max(worst, gap), count + a.size
    return worst, count
