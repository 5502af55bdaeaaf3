"""Is the generated law that of the agents? Asked by those who did not train the generator.

SW1: sliced Wasserstein distance at each time, beside the floor, which is that of two samples of
agents. C2ST: how often a fresh classifier tells held-out points apart, .5 where it cannot
(Lopez-Paz and Oquab 2017, arXiv:1610.06545). Coverage: the part of the agents within whose five
nearest neighbours a generated point lies (Naeem et al. 2020, arXiv:2002.09797), some .97 for equal
laws; it falls where a part of the law is missing.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mfdsl.runtime.learning.generated.distances import sliced_wasserstein
from mfdsl.runtime.learning.generated.generators import beside
from mfdsl.runtime.learning.networks import Mlp
from mfdsl.runtime.rng import seeded

MOST_C2ST = 0.55
LEAST_COVERAGE = 0.9
MOST_FLOORS = 3.0  # mean SW1 in floors
NEIGHBOURS = 5
COVERED = 512  # points of which coverage is asked
TIMES = 8  # of them at so many times
LESSONS, PUPILS = 200, 1024  # steps of the classifier, and points of each


@dataclass(frozen=True)
class Verdict:
    """What the auditor found; `failed` says which figures are out of bounds, "" if none is."""

    sw1: float
    sw1_max: float
    floor: float
    c2st: float
    coverage: float

    @property
    def failed(self) -> str:
        """The figures that speak against the generator."""
        found = []
        if not self.c2st <= MOST_C2ST:
            found.append(f"a classifier tells points apart in {self.c2st:.0%} of cases")
        if not self.coverage >= LEAST_COVERAGE:
            found.append(f"{1 - self.coverage:.0%} of the agents have no generated point near them")
        if not self.sw1 <= MOST_FLOORS * self.floor:
            found.append(f"SW1 is {self.sw1:.3g}, {self.sw1 / self.floor:.1f} times its floor")
        return "; ".join(found)

    def to_record(self) -> Mapping[str, float]:
        """The figures by name; `audit_failed` is 1 or 0."""
        return {
            "sw1": self.sw1,
            "sw1_max": self.sw1_max,
            "sw1_floor": self.floor,
            "c2st": self.c2st,
            "coverage": self.coverage,
            "audit_failed": float(bool(self.failed)),
        }


def fault_of(record: Mapping[str, float]) -> str:
    """What a verdict in a record says against the law, "" if nothing, or if there is none."""
    if "audit_failed" not in record:
        return ""
    names = ("sw1", "sw1_max", "sw1_floor", "c2st", "coverage")
    fault = Verdict(*(record[name] for name in names)).failed
    if record.get("split_error", 0.0) > record.get("split_bound", 0.0):
        return f"{fault}; the error split is violated, which is a fault of the program".lstrip("; ")
    return fault


def audited(
    made: Tensor, real: Tensor, again: Tensor, draws: torch.Generator, share: Tensor | None = None
) -> Verdict:
    """The verdict on generated points, from points of agents and as many of other agents; all are
    [T, n, d] at times after the start. `share` [T, 1 + k] are the times with what is told of the
    games, where there are several.
    """
    apart = [sliced_wasserstein(m, r, draws) for m, r in zip(made, real, strict=True)]
    floors = [sliced_wasserstein(a, r, draws) for a, r in zip(again, real, strict=True)]
    times = torch.linspace(0, len(real) - 1, min(TIMES, len(real))).round().long().tolist()
    inside = [coverage(made[t], real[t]) for t in times]
    count = len(apart)
    return Verdict(
        sum(apart) / count,
        max(apart),
        max(sum(floors) / count, 1e-12),
        two_sample(made, real, draws, share),
        sum(inside) / len(inside),
    )


def coverage(made: Tensor, real: Tensor) -> float:
    """The part of the points [n, d] of agents that have a generated one in their neighbourhood."""
    made, real = made[:COVERED], real[:COVERED]
    reach = torch.cdist(real, real).kthvalue(min(NEIGHBOURS + 1, len(real))).values
    return float((torch.cdist(real, made).min(1).values <= reach).float().mean())


def two_sample(
    made: Tensor, real: Tensor, draws: torch.Generator, share: Tensor | None = None
) -> float:
    """How often a classifier that learns on one half is right on the other; time is told to it,
    and what else is in `share` [T, 1 + k].
    """
    both = torch.stack([made, real])  # [2, T, n, d]
    mean, deviation = both.flatten(0, 2).mean(0), both.flatten(0, 2).std(0).clamp(min=1e-6)
    both = (both - mean) / deviation
    half = both.shape[2] // 2
    if share is None:
        share = torch.arange(1, both.shape[1] + 1).to(both) / both.shape[1]
    inputs = torch.cat([both, beside(share, both.shape[2]).expand(2, -1, -1, -1)], -1)
    width = inputs.shape[-1]
    train = inputs[:, :, :half].reshape(2, -1, width)
    test = inputs[:, :, half:].reshape(2, -1, width)
    with seeded(int(torch.randint(1 << 31, (), generator=draws))):
        network = Mlp(width, [64, 64], 1, "silu").to(train)
    with torch.enable_grad():
        optimizer = torch.optim.Adam(network.parameters(), 3e-3)
        goal = train.new_tensor([[0.0], [1.0]]).expand(2, PUPILS)
        for _ in range(LESSONS):
            chosen = torch.randint(train.shape[1], (2, PUPILS), generator=draws).to(train.device)
            pupils = torch.stack([train[0][chosen[0]], train[1][chosen[1]]])
            loss = nn.functional.binary_cross_entropy_with_logits(network(pupils)[..., 0], goal)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    with torch.no_grad():
        scores = network(test)[..., 0]
    return float(((scores[0] < 0).float().mean() + (scores[1] >= 0).float().mean()) / 2)
