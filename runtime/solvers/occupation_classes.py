"""Classes of states between which nobody ever moves: each keeps its mass, whatever is played.

Where the law is one that follows itself, flow equations say nothing of how much mass a class has,
so that Newton's equations are singular unless its mass is prescribed. Under the uniform policy,
which does all that is legal, states that are not left for ever are in closed classes, and those are
closed under every policy (Kemeny and Snell 1960, Finite Markov Chains, chapter II). The mass of
each is what comes there from the initial law by the uniform policy.
"""

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from mfdsl.runtime.layout import inner
from mfdsl.runtime.solvers.occupation_residual import moves_at
from mfdsl.runtime.views.finite import reads_law
from mfdsl.runtime.views.stationary import StationaryView

TRACES = 64  # roundings of 1


@dataclass(frozen=True, eq=False)
class Classes:
    """The law [S] that the uniform policy keeps, and which pairs of states are of the `same` class.

    States that nobody stays in are of none.
    """

    law: Float[Tensor, " states"]
    same: Bool[Tensor, "states states"]

    def refill(self, weights: Float[Tensor, " states"]) -> Float[Tensor, "states states"]:
        """Where the mass goes that a class lacks: to its states, in the shares of the weights."""
        shares = weights[:, None] * self.same
        total = shares.sum(0)
        return shares / total.where(total > 0, 1.0)


def stayed(joint: Tensor) -> Tensor:
    """The joint law without those who are about to leave for ever.

    Pushes towards the law that a policy keeps leave traces below rounding, which no law keeps.
    """
    return torch.where(joint > TRACES * torch.finfo(joint.dtype).eps, joint, 0.0)


def classes_of(view: StationaryView) -> Classes:
    """The classes of one game, found once.

    Where moves read the law, what is closed at one law may be open at another: there a class is a
    population.
    """
    if view not in _found:
        _found[view] = _classes(view)
    return _found[view]


_found: WeakKeyDictionary[StationaryView, Classes] = WeakKeyDictionary()


def _classes(view: StationaryView) -> Classes:
    joint = stayed(view.flow(view.uniform()).joint)
    law = joint[0, 0].sum(-1)
    law = law / law.sum()
    states = len(law)
    each = states // len(view.program.populations)
    labels = torch.arange(states, device=law.device) // each
    if not reads_law(view.tables):
        places, chances = moves_at(view.tables, inner(joint))
        gone = (chances * inner(joint))[:, 0, :, :, 0].cpu().numpy() > 0
        _, _, start = np.nonzero(gone)
        ways = coo_array(
            (np.ones(len(start)), (start, places[:, 0, :, :, 0].cpu().numpy()[gone])),
            shape=(states, states),
        )
        labels = torch.from_numpy(connected_components(ways, directed=False)[1]).to(law.device)
    there = law > 0
    return Classes(law, (labels[:, None] == labels) & there[:, None] & there)
