"""From a model to the text of a standalone module of agents (contract: docs/architecture.md)."""

from mfdsl.compiler.backend.fold_lines import folded
from mfdsl.compiler.backend.particles import functions
from mfdsl.compiler.backend.particles.cuts import cuts_of
from mfdsl.compiler.backend.particles.header import arrays, batched, classes, constants
from mfdsl.compiler.backend.particles.helpers import NEEDS, PARTICLE_HELPERS
from mfdsl.compiler.backend.particles.module import LineOf, Module, make_module
from mfdsl.compiler.backend.particles.sampling import SAMPLERS, sampler
from mfdsl.compiler.backend.torch_header import default_params, heading
from mfdsl.compiler.ir.model import Model, Place


def _no_line(place: Place) -> int | None:
    return None


def emit_particles(
    model: Model, *, source_name: str, digest: str, line_of: LineOf = _no_line
) -> str:
    """The module of the agents of a game: deterministic text that imports torch and typing only.

    `line_of` gives the line of a place in the spec for trailing comments, or None.
    """
    module = make_module(model, line_of)
    public = [
        sampler(module, "draw_initial", "Initial", "i"),
        functions.init(module),
        sampler(module, "draw_noise", "Noise", "z"),
        *functions.step(module),
        functions.play(module),
        functions.final_rewards(module),
        functions.legal(module),
        functions.observe(module),
    ]
    private = [*module.blocks, batched(module), *_helpers(module)]
    private += [text for grid in module.grids.values() for text in grid.definitions()]
    tops = [line for grid in module.grids.values() for line in grid.constants()] + arrays(module)
    tabled = any("_TABLES[" in text for text in private)
    if tabled:
        tops.append("_TABLES: dict[tuple[str, str], Any] = {}")
    loose = tabled or any("[Any, " in text for text in private)
    first = heading(model, source_name, digest, "Any, NamedTuple" if loose else "NamedTuple")
    parts = [first + "\n" + folded(constants(module, cuts_of(module)))]
    parts += ["\n".join(tops)] if tops else []
    parts += classes(module)
    parts += [default_params(model, module.parameters)]
    parts += [folded(text) for text in (*public, *private)]
    return "\n\n".join(part if part.endswith("\n") else part + "\n" for part in parts)


def _helpers(module: Module) -> list[str]:
    used = {need for name in module.helpers for need in (name, *NEEDS.get(name, ()))}
    known = {**PARTICLE_HELPERS, **SAMPLERS}
    return [text for name, text in known.items() if name in used]
