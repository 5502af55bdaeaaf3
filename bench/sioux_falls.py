"""Sioux Falls to a thousandth: `successive_averages` where cars decide, measured on the whole game.

`python -m bench.sioux_falls [--iterations 400]` solves `specs/sioux_falls.mfg` with the solver of
that name. A car that waits has one action, so that a stage needs no table of the 80 waiting times:
who enters a link at stage t decides again as many stages later as the link takes. This states the
pass forward and the passes backward in that form, for this game alone; an evaluation takes a
hundredth of the time that the tables of all states take, and the iterates are the same. The policy
found is then put into those tables, and its exploitability is computed there. With `--goal 0
--rest` it goes on, and says what the best policy still loses.
"""

import argparse
import csv
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import torch
from torch import Tensor

import mfdsl
from mfdsl.runtime.evaluate import Evaluation, build_view
from mfdsl.runtime.solvers.base import make_solver

DATA = Path(mfdsl.__file__).parent / "specs" / "data"
GOAL = 1e-3
STAGES, STEP, VEHICLES, LONGEST = 81, 0.5, 360600.0, 80
GOALS, RANKS = 24, 6
FEW, SHARES = 50, (1.0, 0.3, 0.03)


@dataclass(frozen=True, eq=False)
class Network:
    """Links with free time and congestion; `following` [links, ranks] are the legal ones."""

    free: Tensor
    congestion: Tensor
    following: Tensor
    legal: Tensor
    start: Tensor  # [links, goals], the law at t = 0
    cost: Tensor  # [links, goals], of a stage on the link

    @classmethod
    def read(cls) -> "Network":
        """The network and the trips of the spec."""
        links = list(csv.DictReader((DATA / "sioux_falls.csv").read_text().splitlines()))
        rows = csv.reader((DATA / "sioux_falls_demand.csv").read_text().splitlines())
        trips = torch.tensor([[float(x) for x in row] for row in rows], dtype=torch.float64)
        following = torch.zeros(len(links), RANKS, dtype=torch.int64)
        legal = torch.zeros(len(links), RANKS, dtype=torch.bool)
        start = torch.zeros(len(links), GOALS, dtype=torch.float64)
        for i, link in enumerate(links):
            ahead = [j for j, other in enumerate(links) if other["from"] == link["to"]] or [i]
            following[i] = ahead[0]
            following[i, : len(ahead)] = torch.tensor(ahead)
            legal[i, : len(ahead)] = True
            if int(link["source"]) > 0:
                start[i] = trips[int(link["source"]) - 1] / trips.sum()
        sink = torch.tensor([int(link["sink"]) for link in links])
        away = sink[:, None] != torch.arange(1, GOALS + 1)
        free, congestion = (
            torch.tensor([float(link[name]) for link in links], dtype=torch.float64)
            for name in ("free", "a")
        )
        return cls(free, congestion, following, legal, start, STEP * away.double())


@dataclass(frozen=True, eq=False)
class Decisions:
    """What one policy [stages, links, goals, ranks] is worth, for the solver to read."""

    network: Network
    probs: Tensor

    @property
    def policy(self) -> SimpleNamespace:
        """The policy as the solver holds it."""
        return SimpleNamespace(probs=flat(self.probs))

    @property
    def view(self) -> SimpleNamespace:
        """The sizes of the tables, and the uniform policy."""
        sizes = {"e": len(self.network.free), "goal": GOALS}
        program = SimpleNamespace(states=sizes, discount=1.0)
        return SimpleNamespace(program=program, uniform=lambda: self.policy)

    @cached_property
    def _flow(self) -> tuple[Tensor, Tensor]:
        """Mass that decides [stages, links, goals], and stages until the next decision."""
        network, links = self.network, len(self.network.free)
        deciding = torch.zeros(STAGES + LONGEST + 2, links, GOALS, dtype=torch.float64)
        deciding[0] = network.start
        leaving = torch.zeros(len(deciding), links, dtype=torch.float64)
        waiting = torch.zeros(links, dtype=torch.float64)
        longer = torch.zeros(STAGES, links, dtype=torch.int64)
        places = network.following.reshape(-1)
        for t in range(STAGES):
            mass = (deciding[t][..., None] * self.probs[t]).transpose(1, 2).reshape(-1, GOALS)
            entered = torch.zeros_like(deciding[t]).index_add_(0, places, mass)
            waiting = waiting - leaving[t]
            volume = VEHICLES * (entered.sum(1) + waiting)
            travel = network.free * (1 + network.congestion * volume**4)
            longer[t] = (torch.floor(travel / STEP) - 1).clamp(0, LONGEST).long()
            then = t + 1 + longer[t], torch.arange(links)
            deciding.index_put_(then, entered, accumulate=True)
            leaving.index_put_(then, entered.sum(1), accumulate=True)
            waiting = waiting + entered.sum(1)
        return deciding[:STAGES], longer

    def _back(self, probs: Tensor | None) -> tuple[Tensor, Tensor]:
        """Q [stages, links, goals, ranks] and the values at t = 0, of the best response or not."""
        network, links = self.network, len(self.network.free)
        values = torch.zeros(STAGES + 1, links, GOALS, dtype=torch.float64)
        values[STAGES] = -network.cost
        q = torch.empty_like(self.probs)
        for t in reversed(range(STAGES)):
            then = (t + 1 + self._flow[1][t]).clamp(max=STAGES)
            entering = values[then, torch.arange(links)] - network.cost * (then - t)[:, None]
            q[t] = entering[network.following].transpose(1, 2)
            q[t].masked_fill_(~network.legal[:, None], -torch.inf)
            own = None if probs is None else (probs[t] * q[t]).where(probs[t] > 0, 0).sum(-1)
            values[t] = q[t].amax(-1) if own is None else own
        return q, (values[0] * network.start).sum()[None]

    @cached_property
    def _best(self) -> tuple[Tensor, Tensor]:
        return self._back(None)

    @property
    def best_q(self) -> Tensor:
        """Q of the best response."""
        return flat(self._best[0])

    @property
    def best_value(self) -> Tensor:
        """What the best response earns."""
        return self._best[1]

    @cached_property
    def value(self) -> Tensor:
        """What the policy earns."""
        return self._back(self.probs)[1]

    @property
    def laws(self) -> Tensor:
        """The mass that decides."""
        return self._flow[0].flatten(1)[None]


def flat(table: Tensor) -> Tensor:
    """A table [stages, links, goals, ranks] in the shape and order of the solver."""
    return table.flatten(1, 2)[None].permute(1, 3, 2, 0).contiguous().permute(3, 0, 2, 1)


def whole(probs: Tensor) -> float:
    """The exploitability of a policy of decisions, by the tables of all states."""
    with torch.no_grad():
        view = build_view(mfdsl.load("sioux_falls").program)
        full = view.uniform().probs
        cube = full.permute(1, 3, 2, 0)[..., 0].view(STAGES, RANKS, -1, GOALS, LONGEST + 1)
        cube[..., 0] = probs.permute(0, 3, 1, 2)
        return Evaluation(view, view.policy(full)).exploitability.value


def told_rest(now: Decisions) -> None:
    """Print who loses how many whole stages, and whether one state alone could lose less."""
    stages, lost = _losses(now)
    parts = [f"{lost[stages == n].sum():.5f} by {n}" for n in range(1, 5)]
    print(f"lost, by stages that cars arrive late: {', '.join(parts)} of {lost.sum():.5f}")
    gap, by_state = (now.best_value - now.value).item(), lost.sum(-1)
    worst = by_state.flatten().topk(FEW).indices
    helped = gained = 0.0
    for place in zip(*torch.unravel_index(worst, by_state.shape), strict=True):
        after = min(_gap_after(now, place, share) for share in SHARES)
        helped += by_state[place].item() * (after < gap - 1e-9)
        gained += max(0.0, gap - after)
    tried = by_state.flatten()[worst].sum().item()
    print(
        f"{FEW} states lose {tried / gap:.3f} of it; those that would lose less by moving alone "
        f"have {helped / gap:.3f}, and gain {gained / gap:.4f} in all"
    )


def _losses(now: Decisions) -> tuple[Tensor, Tensor]:
    """By decision the whole stages that are lost, and what that is times the mass."""
    q, _ = now._best
    lost = (q.amax(-1, keepdim=True) - q).masked_fill(~now.network.legal[:, None], 0)
    return (lost / STEP).round(), now._flow[0][..., None] * now.probs * lost


def _gap_after(now: Decisions, place: tuple[Tensor, ...], share: float) -> float:
    """The exploitability after a share of those who lose at a state does what is best there."""
    probs, q = now.probs.clone(), now._best[0][place]
    row, best = probs[place], q.masked_fill(~now.network.legal[place[1]], -torch.inf)
    losing = best < best.max() - 1e-12
    moved = share * row.where(losing, 0)
    row = row - moved
    row[best.argmax()] += moved.sum()
    probs[place] = row
    then = Decisions(now.network, probs)
    return (then.best_value - then.value).item()


def main() -> None:
    """Solve, and print the way there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--iterations", type=int, default=400, help="at most so many")
    parser.add_argument("--goal", type=float, default=GOAL, help="of the start, where to end")
    parser.add_argument("--rest", action="store_true", help="say what the best policy still loses")
    given = parser.parse_args()
    torch.set_num_threads(1)
    began = time.process_time()
    network = Network.read()
    legal = network.legal[:, None].expand(STAGES, -1, GOALS, -1).double()
    now = Decisions(network, legal / legal.sum(-1, keepdim=True))
    solver = make_solver("successive_averages")
    state = solver.init(cast(Any, now.view))
    start = (now.best_value - now.value).item()
    least, found_best = 1.0, now
    for k in range(given.iterations + 1):
        gap = (now.best_value - now.value).item() / start
        if gap < least:
            least, found_best = gap, now
        if k % 10 == 0 or gap <= given.goal:
            seconds = time.process_time() - began
            print(f"{k:4d}  now {gap:.3e}  least {least:.3e}  {seconds:.0f} s", flush=True)
        if gap <= given.goal:
            break
        state = solver.step(cast(Any, now), state)
        now = Decisions(network, state.probs[0].unflatten(1, (-1, GOALS)).contiguous())
    if given.rest:
        told_rest(found_best)
        return
    found = whole(now.probs)
    seconds = time.process_time() - began
    print(f"tables of all states: {found:.6f} of {start:.6f}, {found / start:.3e}, {seconds:.0f} s")


if __name__ == "__main__":
    main()
