"""Mean-field PPO as in its theory, on a team whose values are known exactly (specs/mfppo_toy.mfg).

Prints the gaps of Algorithm 1 of Li et al. 2021 (arXiv:2105.08268) with exact fits, then those of
Algorithms 1 to 3 with networks and samples, for the step of the theorem and for a larger one, then
what a rule learned through exact moves of the law reaches. Values are normalised, gaps are means
over all laws of ten agents; those of sampled runs are the least of all iterates, seed by seed.

    python -m bench.papers.mf_ppo [--budget small|paper] [--json] [--write]
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from bench.papers.committed import commit
from mfdsl import Game, load
from mfdsl.compiler.backend.torch_emit import emit_torch
from mfdsl.runtime.learning.law_chains import LawChains, Visits, policy_on_laws
from mfdsl.runtime.learning.lifted_rule import Lifting, course_values, trained
from mfdsl.runtime.learning.mean_field_mdp import (
    MeanFieldMDP,
    of_agents,
    of_limit,
    optimal_values,
    policy_values,
)
from mfdsl.runtime.learning.proximal_energy import Proximity, exact_iterates, proximal_iterates
from mfdsl.runtime.program import Program, load_program

AGENTS, SEEDS, SAMPLES = 10, 5, 50
SHOWN = (0, 1, 5, 10, 20, 50, 99)


@dataclass(frozen=True)
class Row:
    """One line: what was run, its gaps, and seconds of the processor."""

    method: str
    gaps: tuple[float, ...]
    seconds: float


def tables_of(game: Game) -> Program:
    """The tables of a team: those of the game with the same moves and rewards."""
    model = game.model.model_copy(update={"objective": "nash"})
    line_of = game.compilation.line_of
    text = emit_torch(model, source_name=game.name, digest="0" * 8, line_of=line_of)
    return load_program(text, model, game.name)


def exact(mdp: MeanFieldMDP) -> Row:
    """Algorithm 1 with exact action values, K = 100, upsilon = 0.05; the gaps at `SHOWN`."""
    began = time.process_time()
    best = optimal_values(mdp)
    gaps = [(best - i.values).mean().item() for i in exact_iterates(mdp, 100, 0.05)]
    return Row("exact", tuple(gaps[k] for k in SHOWN), time.process_time() - began)


def sampled(mdp: MeanFieldMDP, options: Proximity, visits: Visits) -> Row:
    """Algorithms 1 to 3, five seeds side by side."""
    began = time.process_time()
    best, least = optimal_values(mdp), torch.full((SEEDS,), torch.inf)
    chains = LawChains(mdp, SEEDS, SAMPLES, torch.Generator().manual_seed(1), visits)
    for logits in proximal_iterates(chains, options, seed=0):
        policy = policy_on_laws(mdp, logits, SAMPLES)
        least = torch.minimum(least, (best - policy_values(mdp, policy)).mean(-1))
    step = f"step {options.step:.3f}, {visits}, {options.iterate}"
    return Row(f"sampled, {step}", tuple(least.tolist()), time.process_time() - began)


def lifted(program: Program, updates: int) -> Row:
    """A learned rule in the limit of many agents, against random rules on a grid: mean, worst."""
    began = time.process_time()
    share = torch.linspace(0, 1, 21, dtype=torch.float64)
    rows = torch.stack([1 - share, share], -1)
    rules = torch.stack([torch.stack([one, two]) for one in rows for two in rows])
    mdp = of_limit(program, 160, rules=rules)
    params = program.params()
    *_, (rule, _) = trained(program, params, Lifting(updates=updates), 0)
    with torch.no_grad():
        gap = optimal_values(mdp) - course_values(program, params, rule, mdp.laws, 200)
    return Row("lifted rule", (gap.mean().item(), gap.max().item()), time.process_time() - began)


def rows(budget: str) -> Iterator[Row]:
    """All lines of the table; `paper` has the step of the theorem and the last iterate as well."""
    program = tables_of(load("mfppo_toy"))
    mdp = of_agents(program, AGENTS)
    yield exact(mdp)
    yield sampled(mdp, Proximity(rate=0.5), "stationary")
    if budget == "paper":
        yield sampled(mdp, Proximity(rate=0.5), "discounted")
        yield sampled(mdp, Proximity(rate=0.5, iterate="last"), "stationary")
        yield sampled(mdp, Proximity(), "stationary")
        yield sampled(mdp, Proximity(steps=20_000), "stationary")
    yield lifted(program, 2000 if budget == "paper" else 600)


def text(row: Row) -> str:
    """A row as a line."""
    gaps = " ".join(f"{gap:.5f}" for gap in row.gaps)
    return f"{row.method:44s} {gaps}  {row.seconds:.1f} s"


def table(found: Sequence[Row]) -> list[str]:
    """Gaps by method, as Markdown."""
    lines = ["| method | gaps | CPU s |", "|---|---|---|"]
    for row in found:
        gaps = " ".join(f"{gap:.4f}" for gap in row.gaps)
        lines.append(f"| {row.method} | {gaps} | {row.seconds:.1f} |")
    return lines


def plot(axes: Any, found: Sequence[Row]) -> None:
    """The gaps of exact iterates by iteration, and those of the best sampled ones at the end."""
    axes.plot(SHOWN, found[0].gaps, "o-", label="exact")
    for k, row in enumerate(found[1:]):
        if row.method.startswith("sampled"):
            axes.plot([105 + 3 * k] * len(row.gaps), row.gaps, ".", label=row.method)
    axes.set_yscale("log")
    axes.set_xlabel("iterations (dots at the right: the least gap of each seed, with samples)")
    axes.set_ylabel("gap to the optimum, mean over laws")
    axes.legend(fontsize="x-small")


def main() -> None:
    """Print or write all rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget", choices=("small", "paper"), default="small")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", action="store_true", help="write the committed results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = []
    for row in rows(options.budget):
        found.append(row)
        print(json.dumps(asdict(row)) if options.json else text(row), flush=True)
    if options.write:
        note = (
            f"Gaps to the optimum, means over all laws of ten agents. `exact`: after"
            f" {', '.join(map(str, SHOWN))} iterations. `sampled`: the least of all iterates, for"
            f" each of {SEEDS} seeds; half of the gap of the uniform policy (0.0972) is to be"
            " reached in four of five. `lifted rule`: the mean and the worst over laws."
        )
        command = f"python -m bench.papers.mf_ppo --budget {options.budget} --write"
        numbers = [asdict(row) for row in found]
        page = [note, "\n".join(table(found))]
        title = "Mean-field PPO as in its theory"
        commit("mf_ppo", title, command, page, numbers, lambda axes: plot(axes, found))


if __name__ == "__main__":
    main()
