"""Whether forms say what the simulator does: next states and rewards at random points."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mfdsl.runtime.agents import AgentProgram
from mfdsl.runtime.program import Params
from mfdsl.runtime.solvers.base import SolverError
from mfdsl.runtime.solvers.riccati.forms import Array, Form, Quadratic, at
from mfdsl.runtime.solvers.riccati.simulated import draws, flat, nested, width

GAMES, MEMBERS = 4, 3
AGREE = 1e-10  # of the largest value
LATER = 7  # a stage to look at where there is no end


def check(forms: Sequence[Form], program: AgentProgram, params: Params) -> None:
    """Compare forms with the simulator at random states, actions and draws, with three agents.

    Raises:
        SolverError: a next state or a reward is another one.
    """
    last = program.horizon
    stages = (0, 1, LATER) if last is None else tuple(sorted({0, last // 2, last - 1}))
    for t in stages:
        generator = torch.Generator().manual_seed(t)
        state = _vectors(program, "State", generator)
        action = _vectors(program, "Action", generator)
        noise = _noises(program, generator)
        drawn = draws(program, "Noise", program.module.NOISES, noise)
        after, rewards = program.module.step(
            params,
            torch.tensor(t),
            nested(program, "State", state),
            nested(program, "Action", action),
            drawn,
        )
        later, paid = flat(program, after), rewards._asdict()
        paid = {program.names[f]: v for f, v in paid.items()}
        for form in forms:
            z = _z(form, forms, state, action, noise)
            if form.states:
                wanted = at(form.offset, t) + z @ at(form.slopes, t).T
                _agree(
                    form, "the next state", t, later[form.player][..., : len(form.states)], wanted
                )
            if form.player in paid:
                _agree(form, "the reward", t, paid[form.player], _value(form.running, t, z))
    if last is not None and program.module.HAS_FINAL:
        _check_final(forms, program, params, last)


def _check_final(forms: Sequence[Form], program: AgentProgram, params: Params, last: int) -> None:
    generator = torch.Generator().manual_seed(last)
    state = _vectors(program, "State", generator)
    paid = program.module.final_rewards(params, torch.tensor(last), nested(program, "State", state))
    action = _vectors(program, "Action", generator)
    noise = _noises(program, generator)
    for field, found in paid._asdict().items():
        form = next(f for f in forms if f.player == program.names[field])
        _agree(
            form,
            "the final reward",
            last,
            found,
            _value(form.final, 0, _z(form, forms, state, action, noise)),
        )


def _vectors(program: AgentProgram, kind: str, generator: torch.Generator) -> dict[str, Tensor]:
    """Standard normal vectors of states or actions by player."""
    found = {}
    for field in getattr(program.module, kind).__annotations__:
        lead = (GAMES, MEMBERS) if program.players[field] == "population" else (GAMES,)
        size = (*lead, width(program, field, kind))
        found[program.names[field]] = torch.randn(size, generator=generator, dtype=torch.float64)
    return found


def _noises(program: AgentProgram, generator: torch.Generator) -> dict[str, Tensor]:
    """Points of (0, 1), which every standard law has."""
    found = {}
    for field, variables in program.module.NOISES.items():
        lead = (GAMES, MEMBERS) if program.players[field] == "population" else (GAMES,)
        count = sum(int(np.prod(dims)) for _, dims in variables.values())
        found[program.names[field]] = torch.rand((*lead, count), generator=generator).double()
    return found


def _z(
    form: Form,
    forms: Sequence[Form],
    state: Mapping[str, Tensor],
    action: Mapping[str, Tensor],
    noise: Mapping[str, Tensor],
) -> Array:
    """Everything that a player reads, [B, N, z], of a major [B, z]."""
    population = form.kind == "population"
    shape = (GAMES, MEMBERS) if population else (GAMES,)
    named: dict[tuple[str, str], Any] = {}
    for other in forms:
        values = {}
        for names, vectors in (
            (other.own, state),
            (other.actions, action),
            (tuple(other.noises), noise),
        ):
            for k, name in enumerate(names):
                values[name] = vectors[other.player][..., k]
        for name, value in values.items():
            if other is form:
                sorts = ("state", "trait", "action", "noise")
                named |= {(sort, name): value for sort in sorts}
            if other.kind == "population":
                named["mean", f"{other.player}.{name}"] = _wide(value.mean(1), population)
            else:
                for sort in ("common", "noise"):
                    named[sort, f"{other.player}.{name}"] = _wide(value, population)
    parts = [named[name].expand(shape) for name in form.z]
    whole: Array = torch.stack(parts, -1).numpy() if parts else np.zeros((*shape, 0))
    return whole


def _wide(value: Tensor, population: bool) -> Tensor:
    """Values of games beside their members."""
    return value[:, None] if population else value


def _value(paid: Quadratic, t: int, z: Array) -> Array:
    found: Array = (
        at(paid.constant, t)
        + z @ at(paid.linear, t)
        + np.einsum("...i,ij,...j->...", z, at(paid.matrix, t), z)
    )
    return found


def _agree(form: Form, what: str, t: int, found: Tensor, wanted: Array) -> None:
    value = np.broadcast_to(found.numpy(), wanted.shape)
    off = float(np.abs(value - wanted).max(initial=0.0))
    if not off <= AGREE * (1.0 + float(np.abs(wanted).max(initial=0.0))):
        raise SolverError(
            f"{what} of {form.player} at t = {t} is not that of its linear-quadratic form: at a"
            f" random point they are {off:.3g} apart (what depends on time needs a finite horizon)"
        )
