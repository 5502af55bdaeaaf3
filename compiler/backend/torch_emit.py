"""From a model to the text of a standalone torch module (contract: docs/architecture.md)."""

from collections.abc import Callable

from mfdsl.compiler.backend import torch_tables as tables
from mfdsl.compiler.backend.fold_lines import folded
from mfdsl.compiler.backend.names import field_names, identifier
from mfdsl.compiler.backend.plan import Plan, make_plan
from mfdsl.compiler.backend.torch_agents import fields, init, observe, sample, step, uniforms
from mfdsl.compiler.backend.torch_field import name_fields
from mfdsl.compiler.backend.torch_grid import GridText
from mfdsl.compiler.backend.torch_header import classes, constants, default_params, heading
from mfdsl.compiler.backend.torch_helpers import HELPERS
from mfdsl.compiler.backend.torch_scope import Shared
from mfdsl.compiler.backend.torch_text import wrapped
from mfdsl.compiler.backend.torch_wide import wide_functions
from mfdsl.compiler.backend.torch_writer import Writer
from mfdsl.compiler.ir.model import Model, Place

LineOf = Callable[[Place], int | None]


def _no_line(place: Place) -> int | None:
    return None


def emit_torch(model: Model, *, source_name: str, digest: str, line_of: LineOf = _no_line) -> str:
    """The module of a game: deterministic text that imports torch and typing only.

    `line_of` gives the line of a place in the spec for trailing comments, or None.
    """
    plan = make_plan(model)
    shared = _shared(plan, line_of)
    running = name_fields(plan, plan.running)
    final = name_fields(plan, plan.final)
    writer = Writer(shared, running, final)
    members = _members(writer)
    public = _public(writer)
    private = [sample(writer)] if plan.model.population.noises else []
    private += wide_functions(writer)
    grids = [text for grid in shared.grids.values() for text in grid.definitions()]
    tops = [line for grid in shared.grids.values() for line in grid.constants()]
    tops += _arrays(plan, shared)
    if any("_TABLES[" in text for text in grids) or "_array" in shared.helpers:
        tops.append("_TABLES: dict[tuple[str, str], Any] = {}")
    used = [HELPERS[name] for name in HELPERS if name in shared.helpers]
    typing = "Any, NamedTuple" if any("_TABLES" in top for top in tops) else "NamedTuple"
    first = heading(model, source_name, digest, typing)
    parts = [first + "\n" + constants(plan, shared), *_joined(tops)]
    parts += classes(plan, shared, running, final)
    parts += [folded(text) for text in (*members, *public, *private, *used, *grids)]
    return "\n\n".join(part if part.endswith("\n") else part + "\n" for part in parts)


def _members(w: Writer) -> list[str]:
    """What the game is about: parameters, the functions of one member, the statistics."""
    functions = [w.next, *w.chances, *w.initials]
    functions += [w.terms] if w.has_running() else []
    functions += [w.final] if w.has_final() else []
    functions += [w.legal] if w.legal else []
    functions += [w.observed] if w.population.observe else []
    texts = [
        default_params(w.plan.model, w.shared.parameters),
        *(function.text for function in functions),
    ]
    return texts + (w.running_field if w.plan.running.marginals else []) + w.final_field


def _public(w: Writer) -> list[str]:
    """All functions of the contract but for the parameters, which come first."""
    return [
        tables.initial_law(w),
        uniforms(w, "draw_initial", "Initial", w.states),
        init(w),
        uniforms(w, "draw_noise", "Noise", w.population.noises),
        *fields(w),
        tables.legal(w),
        tables.successors(w),
        tables.weights(w),
        *tables.rewards(w),
        tables.final_rewards(w),
        tables.kernel(w),
        tables.push(w),
        step(w),
        observe(w),
    ]


def _joined(tops: list[str]) -> list[str]:
    return ["\n".join(tops)] if tops else []


def _shared(plan: Plan, line_of: LineOf) -> Shared:
    """Names of everything that functions of the module share."""
    model = plan.model
    population = model.population
    parameters = field_names(p.name for p in model.parameters if not p.structural)
    groups = (population.states, population.actions, population.noises)
    variables: dict[str, str] = {}
    for group in groups:
        variables |= field_names(v.name for v in group)
    grids = {g.name: GridText(g, identifier(g.name)) for g in model.grids}
    return Shared(plan, grids, parameters, variables, line_of)


def _arrays(plan: Plan, shared: Shared) -> list[str]:
    """The constant arrays that the module looks up."""
    if not shared.arrays:
        return []
    lines = ["_ARRAYS: tuple[tuple[tuple[int, ...], tuple[float, ...]], ...] = ("]
    for number in shared.arrays:
        array = plan.arrays[number]
        values = wrapped([repr(float(v)) for v in array.values], "            ")
        lines += [f"    (\n        {array.dims!r},\n        (\n{values}\n        ),\n    ),"]
    return ["\n".join([*lines, ")"])]
