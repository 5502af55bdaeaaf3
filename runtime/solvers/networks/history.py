"""The past of a common state in a table: which past each one comes from, and a memory along it."""

import math
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mfdsl.compiler.ir.model import Model
from mfdsl.compiler.ir.walk import reachable
from mfdsl.runtime.program import Program
from mfdsl.runtime.views.finite import FiniteView

GATES = 3


@dataclass(frozen=True, eq=False)
class History:
    """`before` [T, places]: the place at t - 1 from which one at t comes, itself at t = 0.

    `axis` counts from 0; `seen` [T, places, F] is what tables say of the common state there.
    """

    axis: int
    before: Int[Tensor, "stages places"]
    seen: Float[Tensor, "stages places features"] = field(repr=False)

    def remembered(self, inner: Tensor, outer: Tensor, bias: Tensor) -> Tensor:
        """What a gated recurrent unit (Cho et al. 2014, arXiv 1406.1078) keeps of each past.

        Weights [games, F, 3 M], [games, M, 3 M], [games, 1, 3 M] give [games, T, places, M].
        """
        stages, places = self.before.shape
        kept = outer.new_zeros(len(outer), places, outer.shape[1])
        found = []
        for t in range(stages):
            if t:
                kept = kept.index_select(1, self.before[t])
            new = torch.baddbmm(bias, self.seen[t].expand(len(inner), -1, -1), inner)
            reset, update, value = new.chunk(GATES, -1)
            r, u, v = (kept @ outer).chunk(GATES, -1)
            share = torch.sigmoid(update + u)
            kept = torch.lerp(torch.tanh(value + torch.sigmoid(reset + r) * v), kept, share)
            found.append(kept)
        return torch.stack(found, 1)


def past_axis(program: Program) -> str | None:
    """The state variable that moves by itself, by a table of stage, own place and chance.

    That is how tables list the pasts of a common state (each of which comes from one other);
    None where there are none.
    """
    model = program.model
    if model is None or program.kind != "finite":
        return None
    for state in model.population.states:
        if state.next is not None and _listed(model, state.name, state.next):
            return state.name
    return None


def _listed(model: Model, name: str, node: int) -> bool:
    """Whether a next value is an entry of an array at (stage, own place, noises)."""
    top = model.nodes[node]
    if top.op != "element":
        return False
    leaves = [model.nodes[i] for i in reachable(model.nodes, top.args)]
    own = {str(leaf.attr) for leaf in leaves if leaf.op == "state"}
    simple = all(leaf.op in ("array", "time", "state", "noise") for leaf in leaves)
    return simple and own == {name} and any(leaf.op == "time" for leaf in leaves)


def history_of(
    view: FiniteView, axis: str, seen: Float[Tensor, "stages places features"]
) -> History:
    """The tree of pasts along an axis of this game."""
    program, params = view.program, view.tables.params
    sizes = list(program.states.values())
    place = list(program.states).index(axis)
    stride, count = math.prod(sizes[place + 1 :]), sizes[place]
    flow = view.flow(view.uniform())
    laws = flow.laws[0, :-1].reshape(-1, *sizes).movedim(place + 1, 1)
    there = laws.flatten(2).sum(-1) > 0
    joint = flow.joint[0].reshape(view.stages, 1, *sizes, *program.actions.values())
    rows = torch.arange(count, device=laws.device) * stride
    before = torch.arange(count, device=laws.device).repeat(view.stages, 1)
    for t in range(view.stages - 1):
        time = torch.tensor(t, device=laws.device)
        met = program.module.field(params, time, joint[t])
        to = program.module.successors(params, time, met)[0][rows, 0] // stride % count
        likely = program.module.weights(params, time, met)[0].expand(len(rows) * stride, -1, -1)
        chosen = (likely[rows, 0] > 0) & there[t, :, None]
        parents = torch.arange(count, device=laws.device)[:, None].expand_as(to)
        before[t + 1, to[chosen]] = parents[chosen]
    return History(place, before, seen)
