"""What the analysis knows of a finished model."""

import numpy as np

from mfdsl.compiler.analysis.enclosure import Facts
from mfdsl.compiler.ir.model import Model
from mfdsl.compiler.ir.spaces import grid_space

LONGEST_RUN = 2**26  # stages of an infinite horizon that anybody plays


def parameter_box(model: Model) -> dict[str, tuple[float, float]]:
    """The ranges of the scalar parameters that fix no sizes and have both ends."""
    found = {}
    for parameter in model.parameters:
        kind = model.types[parameter.type]
        bounded = kind.lo is not None and kind.hi is not None
        if not parameter.structural and not kind.dims and kind.kind == "real" and bounded:
            assert kind.lo is not None and kind.hi is not None
            found[parameter.name] = (float(kind.lo), float(kind.hi))
    return found


def facts_of(model: Model) -> Facts:
    """The facts of a model at the bound values of its parameters."""
    sizes = {p.name: model.types[p.type].dims for p in model.parameters if hasattr(p, "type")}
    parameters = {
        p.name: np.asarray(p.value, dtype=np.float64).reshape(sizes.get(p.name, np.shape(p.value)))
        for p in model.parameters
    }
    arrays = [np.array(a.values).reshape(a.dims) for a in model.arrays]
    grids = {g.name: grid_space(g) for g in model.grids}
    last = (model.horizon.steps or LONGEST_RUN) - 1
    names = {e.name: e.values for e in model.enums}
    nodes, types, endless = list(model.nodes), list(model.types), model.horizon.steps is None
    return Facts(nodes, types, parameters, arrays, grids, last, names, endless)
