"""Classes of states that keep their mass whatever is played, as long as all that is legal is.

States that nobody leaves for ever are in closed classes (Kemeny and Snell 1960, Finite Markov
Chains, chapter II). A part of the game that has one of these keeps the mass of all its states; of a
part that has several each keeps its own as long as nobody begins between them.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor


def kept_classes(
    places: Int[Tensor, "states actions ways"],
    chances: Float[Tensor, "states actions ways"],
    initial: Float[Tensor, " states"],
) -> Float[Tensor, "classes states"] | None:
    """The classes (1 where a state is in it) of moves `places` with these chances under a policy
    that plays all; None where mass begins between several. Tables may be short of actions and ways.
    """
    states = len(initial)
    gone, ends = np.broadcast_arrays(chances.detach().cpu().numpy() > 0, places.cpu().numpy())
    start = np.broadcast_to(np.arange(states)[:, None, None], gone.shape)[gone]
    end = ends[gone]
    ways = coo_array((np.ones(len(start)), (start, end)), shape=(states, states))
    _, parts = connected_components(ways, directed=False)
    _, strong = connected_components(ways, connection="strong")
    left = np.unique(strong[start[strong[start] != strong[end]]])
    closed = np.setdiff1d(strong, left)
    begins = initial.detach().cpu().numpy() > 0
    found: list[np.ndarray] = []
    for part in np.unique(parts):
        inside = parts == part
        own = np.intersect1d(closed, strong[inside])
        if len(own) == 1:
            found.append(inside)
            continue
        if (begins & inside & ~np.isin(strong, own)).any():
            return None
        found += [strong == each for each in own]
    return torch.from_numpy(np.array(found)).to(initial)
