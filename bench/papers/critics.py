"""Which critics learn joint returns from few samples, at equal numbers of parameters.

The supervised core of the claim of Li et al. 2021 (arXiv:2105.08268) that permutation-invariant
critics do better with many agents: in cooperative navigation, whose agents act at random, the
discounted team return of the next three steps is fitted from all observations (PIC's) and actions.
Prints the best R^2 on test samples for each size of team, budget and critic, the mean over seeds.

    python -m bench.papers.critics [--budget small|paper] [--seeds 3] [--json] [--write]
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

import mfdsl
from bench.papers.committed import commit
from mfdsl.runtime.learning.networks import parameter_count
from mfdsl.runtime.learning.set_critics import CriticKind, sized
from mfdsl.runtime.simulator import Simulator

HALF_WIDTHS = {3: 3.0, 6: 1.5, 15: 2.2, 30: 3.0, 100: 5.0, 200: 7.0}
NEIGHBOURS = {3: 2, 6: 5, 15: 5, 30: 5, 100: 5, 200: 5}
STEPS, AHEAD, DISCOUNT = 25, 3, 0.95
TESTED = 2048
EPOCHS, BATCH, RATE = 40, 64, 1e-3
ALL: tuple[CriticKind, ...] = ("deepsets", "mlp", "gcn_pic", "gcn", "mf_a", "vdn")


@dataclass(frozen=True)
class Row:
    """One line of the table: team, samples, parameters allowed and had, mean and worst R^2."""

    agents: int
    samples: int
    budget: int
    critic: str
    parameters: int
    mean: float
    least: float
    seconds: float


@dataclass(frozen=True, eq=False)
class Samples:
    """Observations [K, N, o], actions [K, N, 5], returns [K]."""

    observations: Tensor
    actions: Tensor
    returns: Tensor

    def __getitem__(self, part: slice | Tensor) -> "Samples":
        return Samples(self.observations[part], self.actions[part], self.returns[part])


def drawn(agents: int, count: int, seed: int) -> Samples:
    """One scene of each of `count` games, at a random time, with what the team is paid after it."""
    params = {"n": agents, "half": HALF_WIDTHS[agents]}
    game = mfdsl.load("navigation", params=params)
    program = game.agents
    simulator = Simulator(program, program.params(dtype=torch.float32), batch=count, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randint(STEPS - AHEAD, (count,), generator=generator)
    width = 6 + 4 * NEIGHBOURS[agents]
    shown, acts = torch.empty(count, agents, width), torch.empty(count, agents, 5)
    returns = torch.zeros(count)
    state = simulator.reset()
    for t in range(STEPS):
        action = at_random(count, agents, generator)
        here = chosen == t
        x, v, marks = state.agent.x[here], state.agent.v[here], state.world.landmark[here]
        shown[here], acts[here] = observed(x, v, marks, NEIGHBOURS[agents]), action[here]
        moves = program.module.Action(agent=program.module.AgentAction(a=action))
        state, rewards = simulator.step(t, state, moves)
        # what is paid at t is that of the places the move at t - 1 led to
        later = t - 1 - chosen
        weight = torch.where((later >= 0) & (later < AHEAD), DISCOUNT ** later.clamp(0), 0.0)
        returns += weight * rewards.agent.mean(1)
    return Samples(shown, acts, returns)


def at_random(games: int, agents: int, generator: torch.Generator) -> Tensor:
    """PIC's untrained policy: softmax of Gumbel noise."""
    uniform = torch.rand(games, agents, 5, generator=generator).clamp(1e-9)
    return torch.softmax(-torch.log(-torch.log(uniform)), -1)


def observed(x: Tensor, v: Tensor, marks: Tensor, neighbours: int) -> Tensor:
    """PIC: velocity, place, the k + 1 nearest landmarks and k nearest others; [B, N, 6 + 4 k]."""
    near = _nearest(marks[:, None] - x[:, :, None], neighbours + 1)
    others = _nearest(x[:, None] - x[:, :, None], neighbours + 1)[:, :, 2:]
    return torch.cat([v, x, near, others], -1)


def _nearest(gaps: Tensor, count: int) -> Tensor:
    order = gaps.square().sum(-1).topk(count, largest=False).indices
    return gaps.gather(2, order[..., None].expand(*order.shape, 2)).flatten(2)


def fitted(kind: CriticKind, train: Samples, test: Samples, budget: int, seed: int) -> float:
    """Best R^2 on the test samples over the epochs of Adam; inputs and returns standardised."""
    torch.manual_seed(seed)
    _, agents, width = train.observations.shape
    critic = sized(kind, width, 5, agents, budget)
    flat = train.observations.flatten(0, 1)
    centre, spread = flat.mean(0), flat.std(0)
    train, test = (
        replace(s, observations=(s.observations - centre) / spread) for s in (train, test)
    )
    middle, scale = train.returns.mean(), train.returns.std()
    optimizer = torch.optim.Adam(critic.parameters(), RATE)
    generator = torch.Generator().manual_seed(seed)
    best = -float("inf")
    for _ in range(EPOCHS):
        for part in torch.randperm(len(train.returns), generator=generator).split(BATCH):
            chosen = train[part]
            goal = (chosen.returns - middle) / scale
            value = critic(chosen.observations, chosen.actions)
            loss = (value - (goal[:, None] if critic.single else goal)).square().mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            value = critic(test.observations, test.actions)
            value = value.mean(-1) if critic.single else value
            apart = (value * scale + middle - test.returns).square().mean()
            best = max(best, 1 - (apart / test.returns.var(correction=0)).item())
    return best


def rows(
    agents: int, samples: int, budget: int, kinds: Sequence[CriticKind], seeds: int
) -> list[Row]:
    """The lines of one team and budget."""
    found = []
    sets = [drawn(agents, samples + TESTED, seed) for seed in range(seeds)]
    for kind in kinds:
        began = time.perf_counter()
        scores = [
            fitted(kind, data[:samples], data[samples:], budget, seed)
            for seed, data in enumerate(sets)
        ]
        width = sets[0].observations.shape[-1]
        size = parameter_count(sized(kind, width, 5, agents, budget))
        mean, seconds = sum(scores) / len(scores), time.perf_counter() - began
        found.append(Row(agents, samples, budget, kind, size, mean, min(scores), seconds))
    return found


SMALL = ((3, 4096, 600), (3, 4096, 1500), (3, 4096, 4000), (15, 4096, 20_000))
PAPER = (*SMALL, (3, 4096, 12_000), (30, 2048, 20_000), (200, 8192, 20_000))


def text(row: Row) -> str:
    """A row as a line."""
    size = f"{row.parameters:6d} of {row.budget:6d}"
    scores = f"R2 {row.mean:6.3f}  least {row.least:6.3f}"
    return f"N {row.agents:3d}  {size}  {row.critic:11s} {scores}"


def table(found: Sequence[Row]) -> list[str]:
    """One line for each team and budget, one column for each critic: mean R^2 and least one."""
    lines = [f"| N | samples | parameters | {' | '.join(ALL)} |", "|" + "---|" * (3 + len(ALL))]
    for setting in dict.fromkeys((r.agents, r.samples, r.budget) for r in found):
        here = {r.critic: r for r in found if (r.agents, r.samples, r.budget) == setting}
        cells = [f"{number:,}" for number in setting]
        cells += [f"{here[k].mean:.3f} ({here[k].least:.3f})" for k in ALL]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def plot(axes: Any, found: Sequence[Row]) -> None:
    """Means over seeds as bars, one group for each team and budget."""
    settings = list(dict.fromkeys((r.agents, r.budget) for r in found))
    for k, kind in enumerate(ALL):
        heights = [max(0.0, r.mean) for r in found if r.critic == kind]
        places = [g + 0.13 * (k - 2.5) for g in range(len(settings))]
        axes.bar(places, heights, 0.12, label=kind)
    axes.set_xticks(range(len(settings)), [f"N = {n}\n{b:,} par." for n, b in settings])
    axes.set_ylabel("R^2 on test samples (0 where negative)")
    axes.legend(fontsize="x-small", ncols=3)


def main() -> None:
    """Fit all critics that are asked for and print their rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget", choices=("small", "paper"), default="small")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", action="store_true", help="write the committed results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = []
    for agents, samples, budget in SMALL if options.budget == "small" else PAPER:
        for row in rows(agents, samples, budget, ALL, options.seeds):
            found.append(row)
            print(json.dumps(asdict(row)) if options.json else text(row), flush=True)
    if options.write:
        note = (
            "Best R^2 on test samples over 40 epochs, the mean over seeds and in brackets the worst"
            " seed: the discounted team return of the next three steps of agents at random in"
            " cooperative navigation, from all observations and actions, at equal numbers of"
            " parameters."
        )
        command = f"python -m bench.papers.critics --budget {options.budget} --write"
        numbers = [asdict(row) for row in found]
        page = [note, "\n".join(table(found))]
        title = "Critics from few samples: cooperative navigation"
        commit("critics", title, command, page, numbers, lambda axes: plot(axes, found))


if __name__ == "__main__":
    main()
