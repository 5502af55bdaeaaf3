"""Generated mean fields: laws of populations by generators, beside what is known of them.

`python -m bench.papers.gd_mfrl [--only GD1 GD2] [--seeds 3] [--merge]` runs the cases and writes
the page with all that were ever run; with `--merge` rows of other seeds stay in it. GD1: a
linear-quadratic game in up to ten dimensions. GD2: flocking without decay. GD3: two valleys, beside
exact mirror descent on a grid. GD4: four rooms, with an autoregressive generator. GD5: birds who
heed those near them. GD6: one policy for many initial laws and parameters. GD7: a generator that
begins with that of another game. GD8: a game whose tables no machine holds.
"""

import argparse
import json
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

import mfdsl
from bench.papers.committed import RESULTS, commit
from bench.papers.gaussian_flows import flocking, rotating_target
from bench.papers.gd_families import gd5, gd6
from bench.papers.gd_learners import (
    SAMPLES,
    Row,
    audit_part,
    draws_of,
    exploited,
    fidelity,
    learner_of,
    moments,
    trained,
)
from mfdsl.compiler.tabular.grids import Bins
from mfdsl.errors import UsageError
from mfdsl.game import Game, load
from mfdsl.learning import prepare_training
from mfdsl.runtime.evaluate import Evaluation
from mfdsl.runtime.learning.generated.autoregressive import Autoregressive
from mfdsl.runtime.learning.generated.distances import (
    total_variation,
    wasserstein_line,
)
from mfdsl.runtime.learning.generated.learner import GeneratedField, warmed
from mfdsl.runtime.learning.generated.table_response import ByTables
from mfdsl.runtime.learning.placed import Tables
from mfdsl.settings import resolve
from mfdsl.shipped import find_spec

MANY = 32_768  # draws for moments
AXES = (1, 2, 4, 6, 10)
SIDES = (11, 21, 41, 101)
EXACT_LAW = {"crowd": 16_384, "paths": 16_384, "fit_steps": 40, "final_rate": 0.03}
EXACT_LAW |= {"evaluate_games": 2}
OLDER = (
    "The column code says what was different of rows that were run before: `drawn starts`, crowds"
    " had at t = 0 the means of their draws and not those of the paths; `drawn noise`, besides that"
    " noise was as it is drawn, but for the opposite one of half of those who learn, and Adam along"
    " the path had a memory of 100 steps and not of 33."
)
FREE = "ind(free(landing, m))"  # in `four_rooms`, the weight of a move m
TRIED = 81  # places on a side up to which the compiler tries them all, whether these are not all 0
NAMED = ("d", "side", "family", "response", "seed")  # what a row is about


def linear(axes: int, seed: int, iterations: int = 20) -> Row:
    """GD1: the rotating target in some dimensions."""
    game = load("rotating_target", params={"d": axes})
    learner = learner_of(game, EXACT_LAW, seed, iterations)
    found, seconds = trained(learner, iterations)
    return {"d": axes, "seed": seed, "seconds": seconds} | linear_figures(learner, axes, found)


def linear_figures(learner: GeneratedField, axes: int, found: Mapping[str, float]) -> Row:
    """Figures of a learner of the rotating target."""
    means, variances = (v.float() for v in rotating_target(axes))
    deviations = variances.sqrt()[:, None]
    draws = torch.Generator().manual_seed(1)
    exact, again = (
        means[1:, None] + deviations[1:, None] * torch.randn(20, SAMPLES, axes, generator=draws)
        for _ in range(2)
    )
    made = draws_of(learner, MANY)
    row = fidelity(made[1:, :SAMPLES], exact, again, draws)
    row |= moments(made[1:], means[1:], deviations[1:])
    return row | {"exploitability": exploited(learner)} | audit_part(found)


def gd1(seeds: int) -> list[Row]:
    """The rotating target in all dimensions."""
    return [linear(axes, seed) for axes in AXES for seed in range(seeds)]


def gd2(seeds: int) -> list[Row]:
    """Flocking with beta = 0 on one axis and on three."""
    return [flock(axes, seed) for axes in (1, 3) for seed in range(seeds)]


def flock(axes: int, seed: int, iterations: int = 12) -> Row:
    """GD2: birds on some axes; the state has twice as many numbers."""
    game = load("flocking", params={"d": axes})
    # crowds have the means of their law exactly, and no more of it enters where beta = 0
    options = {**EXACT_LAW, "crowd": 1024, "paths": 8192, "evaluate_every": iterations}
    learner = learner_of(game, options, seed, iterations)
    found, seconds = trained(learner, iterations)
    covariances = flocking().float()
    draws = torch.Generator().manual_seed(1)
    roots = torch.linalg.cholesky(covariances)[1:]

    def sample() -> Tensor:
        normal = torch.randn(50, SAMPLES, axes, 2, generator=draws)
        both = normal @ roots[:, None].transpose(-1, -2)
        return torch.cat([both[..., 0], both[..., 1]], -1)

    made = draws_of(learner, MANY)
    spread = covariances.diagonal(dim1=1, dim2=2).sqrt()[:, None].expand(-1, axes, -1)
    spread = torch.cat([spread[..., 0], spread[..., 1]], -1)
    row = fidelity(made[1:, :SAMPLES], sample(), sample(), draws)
    row |= moments(made[1:], torch.zeros(50, 2 * axes), spread[1:])
    crossed = (made[25, :, :axes] * made[25, :, axes:]).mean(0)
    row |= {"cross": crossed.tolist(), "cross_exact": float(covariances[25, 0, 1])}
    row |= {"exploitability": exploited(learner)} | audit_part(found)
    return {"d": 2 * axes, "seed": seed, "seconds": seconds} | row


def exact_descent(tables: Tables, rate: float, iterations: int) -> tuple[float, Tensor]:
    """Mirror descent with exact flows: exploitability, and the law [T + 1, S]."""
    view = tables.view
    probs = view.uniform().probs[:1]
    scores = torch.zeros_like(probs)
    for _ in range(iterations):
        policy = view.policy(probs)
        q = view.q_values(view.flow(policy), policy)
        scores = scores + rate * q.where(q > -torch.inf, 0)
        probs = torch.softmax(scores.where(q > -torch.inf, -torch.inf), -1)
    done = Evaluation(view, view.policy(probs))
    return done.exploitability.value, done.flow.laws[0]


def gd3(seeds: int) -> list[Row]:
    """GD3: two valleys on a line."""
    return [valleys(seed) for seed in range(seeds)]


def valleys(seed: int, iterations: int = 60) -> Row:
    """A course beside exact descent of as many iterations, and the law of eleven times as many."""
    game, bins = load("double_well"), Bins(None, {"x": 201, "a": 25})
    options = {"response": "tables", "mirror": 0.8, "fresh": 1.0, "fit_steps": 40, "paths": 4096}
    options |= {"final_rate": 0.03, "evaluate_every": iterations}
    learner = learner_of(game, options, seed, iterations, bins)
    found, seconds = trained(learner, iterations)
    responder = learner.responder
    assert isinstance(responder, ByTables)
    exact, _ = exact_descent(responder.tables, 0.8, iterations)
    _, law = exact_descent(responder.tables, 0.8, 11 * iterations)
    made = draws_of(learner, MANY)
    grid = torch.linspace(-3, 3, 201)
    points = [_quantiles(grid, law[t].float(), SAMPLES) for t in range(len(law))]
    apart = [float(wasserstein_line(made[t, :SAMPLES, 0], points[t])) for t in range(1, 51)]
    wells = float((made[-1, :, 0] > 0).float().mean())
    right = float(law[-1, 101:].sum() + law[-1, 100] / 2)
    row = {"w1": sum(apart) / len(apart), "right": wells, "right_exact": right}
    row |= {"exploitability": exploited(learner), "exact_descent": exact} | audit_part(found)
    return {"seed": seed, "seconds": seconds} | row


def _quantiles(grid: Tensor, law: Tensor, count: int) -> Tensor:
    """Points in the middle of equal masses of a law on a grid."""
    share = (torch.arange(count) + 0.5) / count
    place = torch.searchsorted(law.cumsum(0), share).clamp(max=len(grid) - 1)
    return grid[place]


def rooms(size: int) -> Game:
    """`four_rooms` with `size` places on a side, walls in the middle and doors at the quarters."""
    middle, doors = (size + 1) // 2, ((size + 1) // 4, 3 * (size + 1) // 4)

    def place(row: int, column: int) -> str:
        if row in (0, size + 1) or column in (0, size + 1):
            return "#"
        if (row, column) == (1, 1):
            return "S"
        walled = (row == middle and column not in doors) or (column == middle and row not in doors)
        return "#" if walled else "."

    lines = ["".join(place(r, c) for c in range(size + 2)) for r in range(size + 2)]
    head, _, rest = find_spec("four_rooms").read_text().partition('map """\n')
    tail = rest.partition('"""')[2]
    if size > TRIED:
        assert tail.count(FREE) == 1
        tail = tail.replace(FREE, f"if m == stay then 1 else {FREE}")
    return load(text=head + 'map """\n' + "\n".join(lines) + '\n"""' + tail)


def gd4(seeds: int) -> list[Row]:
    """GD4: four rooms, where the generator has probabilities and the tables are exact."""
    return [roomy(size, seed) for size in SIDES for seed in range(seeds)]


def roomy(size: int, seed: int, iterations: int = 20) -> Row:
    """Rooms of some size."""
    options = {"response": "tables", "mirror": 0.1, "fresh": 1.0, "evaluate_games": 2}
    options |= {"fit_batch": 512, "paths": 65_536, "evaluate_every": iterations}
    if size > TRIED:  # `gd_rooms.py` says what fewer steps cost there
        options |= {"paths": 131_072, "fit_steps": 300}
    learner = learner_of(rooms(size), options, seed, iterations)
    found, seconds = trained(learner, iterations)
    responder, made = learner.responder, learner.generator
    assert isinstance(responder, ByTables) and isinstance(made, Autoregressive)
    exact, _ = exact_descent(responder.tables, 0.1, iterations)
    law = responder.view.flow(responder.tabular).laws[0, 1:]
    with torch.no_grad():
        table = made.table(torch.arange(1, len(law) + 1) / len(law))
    row = {"tv": float(total_variation(table.double(), law).mean())}
    row |= {"exploitability": exploited(learner), "exact_descent": exact} | audit_part(found)
    return {"side": size, "places": law.shape[1], "seed": seed, "seconds": seconds} | row


def gd7(seeds: int) -> list[Row]:
    """GD7: from kappa = 1 to kappa = 1.3, cold and with the networks and paths of the first."""
    return [transferred(seed) for seed in range(seeds)]


def transferred(seed: int, iterations: int = 20) -> Row:
    """One course at kappa = 1, and three that come after it."""
    first = learner_of(load("rotating_target"), EXACT_LAW, seed, iterations)
    trained(first, iterations)
    game = load("rotating_target", params={"kappa": 1.3})
    means, variances = (v.float() for v in rotating_target(2, kappa=1.3))
    draws = torch.Generator().manual_seed(1)
    deviations = variances.sqrt()[1:, None, None]
    exact, again = (
        means[1:, None] + deviations * torch.randn(20, SAMPLES, 2, generator=draws)
        for _ in range(2)
    )
    row: Row = {"seed": seed}
    for name, length in (("cold", iterations), ("warm", iterations), ("warm_third", 6)):
        learner = learner_of(game, EXACT_LAW, seed, length)
        learner.step(0) if name == "cold" else warmed(learner, first.state())
        points = draws_of(learner, SAMPLES)[1:]
        row[f"{name}_jump"] = fidelity(points, exact, again, draws)["sw1"]
        for k in range(1 if name == "cold" else 0, length):
            learner.step(k)
        made = draws_of(learner, MANY)[1:, :SAMPLES]
        row |= {f"{name}_{k}": v for k, v in fidelity(made, exact, again, draws).items()}
        row[f"{name}_exploitability"] = exploited(learner)
    return row


def gd8(seeds: int) -> list[Row]:
    """GD8: six dimensions, 32 points an axis: tables are refused, the generator is taken."""
    game = load("rotating_target", params={"d": 6})
    grids = {"bins": 32, "low.x": -5, "high.x": 5, "low.a": -5, "high.a": 5}
    refused = ""
    try:
        mfdsl.solve(game, "omd", options=grids)
    except UsageError as error:
        refused = str(error)
    settings = resolve(game.model, options=grids, iterations=2)
    training = prepare_training(game, settings)
    found = training.learner.step(0)
    return [
        {"refused": refused, "chosen": settings.solver, "why": settings.reason}
        | {"return": found["return"]}
    ]


CASES: dict[str, Callable[[int], list[Row]]] = {
    "GD1": gd1,
    "GD2": gd2,
    "GD3": gd3,
    "GD4": gd4,
    "GD5": gd5,
    "GD6": gd6,
    "GD7": gd7,
    "GD8": gd8,
}


def table(rows: list[Row]) -> str:
    """The rows as a table of a page."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    lines += [f"| {' | '.join(_cell(row.get(name, '')) for name in names)} |" for row in rows]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_cell(v) for v in value)
    return f"{value:.3g}" if isinstance(value, float) else " ".join(str(value).split())


def main() -> None:
    """Run the cases and write the page, with figures of earlier runs of the others."""
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", choices=list(CASES), default=list(CASES))
    parser.add_argument("--seeds", type=int, default=3, help="runs of each case")
    parser.add_argument("--merge", action="store_true", help="keep rows of other seeds")
    asked = parser.parse_args()
    for name in asked.only:
        rows = CASES[name](asked.seeds)
        print(f"{name}\n{table(rows)}", flush=True)
        kept = RESULTS / "gd_mfrl.json"
        numbers = json.loads(kept.read_text()) if kept.exists() else {}
        before = numbers.get(name, []) if asked.merge else []
        write({**numbers, name: merged(before, rows)})


def merged(before: list[Row], rows: list[Row]) -> list[Row]:
    """The rows, those in the place of others that are about the same, in their order."""

    def about(row: Row) -> tuple[Any, ...]:
        return tuple(row.get(name) for name in NAMED)

    fresh = {about(row): row for row in rows}
    kept = [fresh.pop(about(row), row) for row in before]
    return [*kept, *fresh.values()]


def write(numbers: Mapping[str, list[Row]]) -> None:
    """The page, its numbers and the plot."""

    def draw(axes: Any) -> None:
        rows = numbers.get("GD1", [])
        axes.plot([r["d"] for r in rows], [r["sw1"] for r in rows], "o", label="generator")
        axes.plot([r["d"] for r in rows], [r["floor"] for r in rows], "_", label="floor")
        axes.set(xlabel="dimensions", ylabel="sliced W1 to the exact law", ylim=(0, None))
        axes.legend()

    blocks = [
        "Sliced distances have their floor, that of two exact samples of 4,096 points, beside them;"
        " seconds are those of the processor on one core, while two cores did the work of two to"
        " twelve processes, which makes them longer. Cases were run one by one, with as many seeds"
        " as they have rows.",
    ]
    if any("code" in row for rows in numbers.values() for row in rows):
        blocks.append(OLDER)
    for name in CASES:
        if name in numbers:
            text = (CASES[name].__doc__ or "").removeprefix(f"{name}: ")
            blocks += [f"## {name}: {text}", table(numbers[name])]
    command = "python -m bench.papers.gd_mfrl"
    commit("gd_mfrl", "Generated mean fields", command, blocks, dict(numbers), draw)


if __name__ == "__main__":
    main()
