"""How far the exploitability against a generated law may be from that against the true one.

If the law enters rewards only, with slope L(t) in the 1-Wasserstein distance, then for the law G of
the generator and the flow m of the policy

    | E_m(pi) - E_G(pi) |  <=  2 sum over t of L(t) W1(G_t, m_t),

for rewards of any policy that does not read the law move by at most L(t) W1 at each time. Both
sides are estimated; W1 of samples is on average too large, and slopes are the steepest ones met, so
that a violated inequality is an error in the program and not an accident.
"""

from dataclasses import dataclass
from math import nan

import numpy as np
import ot
import torch
from torch import Tensor

from mfdsl.runtime.learning.generated.distances import wasserstein_line
from mfdsl.runtime.learning.generated.frozen import Act, Arena

MATCHED = 256  # points that are matched for W1, and agents of the crowd whose slopes are taken
STEEP = 6  # agents whose rewards are differentiated


@dataclass(frozen=True)
class Split:
    """Both sides of the inequality; `error` is of exploitabilities where `exact`, else of values of
    the policy, whose bound has no factor 2. nan where the law enters the dynamics.
    """

    error: float
    bound: float
    exact: bool

    @property
    def holds(self) -> bool:
        """Whether the inequality holds, or says nothing."""
        return not self.error > self.bound


def nothing_split() -> Split:
    """Where the inequality does not apply."""
    return Split(nan, nan, False)


def matched_distance(x: Tensor, y: Tensor) -> float:
    """The 1-Wasserstein distance of equally many points [n, d]: exact on a line, else the best
    matching of some of them.
    """
    if x.shape[1] == 1:
        return float(wasserstein_line(x[:, 0], y[:, 0]))
    x, y = x[:MATCHED].double().cpu(), y[:MATCHED].double().cpu()
    mass = np.full(len(x), 1 / len(x))
    return float(ot.emd2(mass, mass, torch.cdist(x, y).numpy()))


def transport_bound(arena: Arena, act: Act, made: Tensor, true: Tensor, episode: int) -> float:
    """Sum over t of L(t) W1(G_t, m_t), from points [T + 1, n, d] of both laws."""
    slopes = [steepest(arena, act, points, episode) for points in (made, true)]
    total, weight = 0.0, 1.0
    for t, (one, other) in enumerate(zip(*slopes, strict=True)):
        apart = matched_distance(made[t], true[t]) if max(one, other) > 0 else 0.0
        total += weight * max(one, other) * apart
        weight *= arena.discount
    return total


def steepest(arena: Arena, act: Act, points: Tensor, episode: int) -> list[float]:
    """At each time the steepest slope of a reward in the place of a member of the crowd, times the
    number of members: the slope in W1; the last is of what the end pays.
    """
    crowd = points[:, None, :MATCHED]
    found: list[float] = []
    for turn in arena.turns(crowd, STEEP, episode, act, moving=True):
        if turn.paid is None or not turn.paid.requires_grad:
            found.append(0.0)
            continue
        most = 0.0
        for reward in turn.paid[0]:
            (slope,) = torch.autograd.grad(reward, turn.members, retain_graph=True)
            most = max(most, float(slope.norm(dim=-1).max()) * crowd.shape[2])
        found.append(most)
    return found
