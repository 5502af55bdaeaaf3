"""What a part needs of the others at each stage: the values, or the masses, where its moves lead.

The places where moves from the part land are its own states and, in other parts, its halo. Inside,
own states come first and the halo after them, in the order of those who own it. So a stage is one
exchange: values come in before an expectation, and masses go home after a push.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mfdsl.runtime.distributed.group import Group


@dataclass(frozen=True, eq=False)
class Halo:
    """`asked` are own states that other parts lead to, one after another for each of them.

    `lent` says how many of them each rank asks for, `held` how many of this halo each rank owns.
    """

    group: Group
    own: int
    held: tuple[int, ...]
    lent: tuple[int, ...]
    asked: Int[Tensor, " asked"] = field(repr=False)

    @property
    def reach(self) -> int:
        """The number of own states and of those of the halo."""
        return self.own + sum(self.held)

    def extended(self, values: Float[Tensor, "own games"]) -> Float[Tensor, "reach games"]:
        """Values of own states, and after them those of the halo."""
        lent = values.index_select(0, self.asked)
        return torch.cat([values, self.group.swap(lent, self.lent, self.held)])

    def returned(self, masses: Float[Tensor, "reach games"]) -> Float[Tensor, "own games"]:
        """Masses that arrived at own states, from this part and from the others."""
        home = self.group.swap(masses[self.own :], self.held, self.lent)
        return masses[: self.own].index_add(0, self.asked, home)


def build_halo(
    group: Group, places: Sequence[Int[Tensor, " part"]], lands: Int[Tensor, "..."]
) -> tuple[Halo, Int[Tensor, " states"]]:
    """The halo of moves that land at some states of the whole game, and where these are inside.

    `places` has the states of all parts in the order of their owners.
    """
    sizes = [len(part) for part in places]
    count, own = sum(sizes), sizes[group.rank]
    order = torch.cat([part.to(lands.device) for part in places])
    rank_of = torch.empty(count, dtype=torch.int64, device=lands.device)
    rank_of[order] = torch.arange(count, device=lands.device)  # by owner, then in its own order
    first = sum(sizes[: group.rank])
    reached = torch.zeros(count, dtype=torch.bool, device=lands.device)
    reached[rank_of[lands.reshape(-1)]] = True
    reached[first : first + own] = False
    ghosts = reached.nonzero().squeeze(1)
    inside = torch.zeros_like(rank_of)
    inside[ghosts] = own + torch.arange(len(ghosts), device=lands.device)
    inside[first : first + own] = torch.arange(own, device=lands.device)
    ends = [sum(sizes[: k + 1]) for k in range(len(sizes))]
    held = [
        int(((ghosts >= end - size) & (ghosts < end)).sum())
        for end, size in zip(ends, sizes, strict=True)
    ]
    one = torch.tensor(held, device=lands.device)
    lent = group.swap(one, [1] * group.size, [1] * group.size).tolist()
    asked = group.swap(ghosts, held, lent) - first
    halo = Halo(group, own, tuple(held), tuple(lent), asked)
    return halo, inside[rank_of]
