"""Loading emitted text, and laws and parameters to try it on."""

import types
from collections.abc import Mapping

import torch

from mfdsl.compiler.backend.torch_emit import emit_torch
from mfdsl.compiler.ir.meaning import joint_actions, joint_states
from mfdsl.compiler.ir.model import Model

Law = dict[tuple[tuple[int, ...], tuple[int, ...]], float]


def load(model: Model) -> types.ModuleType:
    text = emit_torch(model, source_name=f"{model.name}.mfg", digest="0" * 64)
    module = types.ModuleType(model.name)
    exec(compile(text, f"{model.name}.py", "exec"), module.__dict__)
    return module


def shapes(model: Model) -> tuple[list[int], list[int]]:
    sizes = lambda group: [model.types[v.type].size for v in group]  # noqa: E731
    return sizes(model.population.states), sizes(model.population.actions)


def random_law(model: Model, batch: int, seed: int = 0) -> torch.Tensor:
    """Joint laws [B, *S, *A], all positive."""
    generator = torch.Generator().manual_seed(seed)
    states, actions = shapes(model)
    law = torch.rand(batch, *states, *actions, generator=generator, dtype=torch.float64) + 0.05
    return law / law.flatten(1).sum(1).reshape(-1, *[1] * (law.dim() - 1))


def as_law(model: Model, table: torch.Tensor) -> Law:
    """One joint law [*S, *A] as a dictionary by value."""
    keys = [(s, a) for s in joint_states(model) for a in joint_actions(model)]
    return dict(zip(keys, table.flatten().tolist(), strict=True))


def batched_parameters(model: Model, module: types.ModuleType) -> tuple[object, list[dict]]:
    """Parameters [2] that differ, and the same for the interpreter."""
    p = module.default_params()
    changed: dict[str, torch.Tensor] = {}
    plain: list[dict[str, object]] = [{}, {}]
    names = p._fields[1:]
    for parameter, name in zip(model.parameters, names, strict=True):
        value = getattr(p, name)
        other = value if parameter.name == "P" else value * 0.75
        changed[name] = torch.stack([value, other])
        for k, kept in enumerate((value, other)):
            flat = kept.flatten().tolist()
            plain[k][parameter.name] = tuple(flat) if parameter.name == "P" else flat[0]
    return p._replace(**changed), plain


def rows(mapping: Mapping[tuple[int, ...], float]) -> torch.Tensor:
    return torch.tensor(list(mapping.values()), dtype=torch.float64)


def agents(model: Model, module: types.ModuleType, batch: int, count: int, seed: int = 0):
    """Random states and actions [B, N] over all values."""
    generator = torch.Generator().manual_seed(seed)

    def draw(group):
        return [
            torch.randint(0, model.types[v.type].size, (batch, count), generator=generator)
            + model.types[v.type].first
            for v in group
        ]

    population = model.population
    return module.State(*draw(population.states)), module.Action(*draw(population.actions))


def flat(model: Model, group, values) -> torch.Tensor:
    """Flat position of joint values, row-major."""
    found = torch.zeros_like(values[0])
    for variable, value in zip(group, values, strict=True):
        type = model.types[variable.type]
        found = found * type.size + value - type.first
    return found
