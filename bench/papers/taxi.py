"""Four kinds of networks in the taxi game of Yardim and He 2025 (2408.15173), at equal data.

`python -m bench.papers.taxi [--seeds 3] [--size SIZE] [--kept FILE | --further]`
trains `ppo_nash` with one network for all drivers, the same with who they are as entries or as a
number, and one for each driver, and writes mean returns by epoch. Of the sizes `small`, `gathered`,
`steep` and `paper` the second has its requests around a centre, so that most of a return must be
learned, as in the paper; `steep` has longer steps of Adam. Drivers have costs of their own in a
file, the same in every game, so that who one is means something. The environment of the paper is
not published.
Finished runs go to FILE, a line each, and those that are there are not run again; with `--further`
only the seeds run that the page lacks, and its seconds of an epoch stay.
"""

import argparse
import json
import math
import random
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch

import mfdsl
from bench.papers.committed import RESULTS, commit
from mfdsl.game import Game
from mfdsl.runtime.behaviours import still, uniform

KINDS = ("symmetric", "one_hot", "integer", "individual")
PAPER = {"symmetric": 23.1, "one_hot": 22.6, "integer": 21.6, "individual": 4.0}
WANTED = "  let wanted    = demand * day.busy * day.wave * (1 + 0.5 * cos(2 * pi * row(x) / n))"
GATHERED = """
  let near      = exp({0} * (cos(2 * pi * row(x) / n) + cos(2 * pi * col(x) / n) - 2))
  let nearness  = (sum(exp({0} * (cos(2 * pi * i / n) - 1)) for i in 0..n - 1) / n)^2"""
TRAIT = "trait  cost_factor : real in [1 - spread, 1 + spread] "
SPREAD = 0.3
GAMES = 64  # of a measurement


@dataclass(frozen=True)
class Size:
    """How large the city and the crowd are, how long a day is, how many requests there are, and for
    how many epochs of so many games is learned; `members` enter the loss of shared networks.
    """

    side: int
    drivers: int
    steps: int
    demand: float
    epochs: int
    games: int
    members: int
    rate: float = 3e-3
    centre: float = 0.0


SIZES = {
    "small": Size(8, 100, 64, 0.1, 100, 2, 100),
    "gathered": Size(8, 100, 64, 0.1, 100, 2, 100, centre=2.0),
    "steep": Size(8, 100, 64, 0.1, 100, 2, 100, rate=1e-2),
    "paper": Size(16, 1000, 128, 0.25, 40, 1, 250, rate=1e-2),
}


def city(size: Size, folder: Path) -> Game:
    """The game with drivers whose costs stand in a file: even quantiles in a fixed order."""
    text = (Path(__file__).parents[2] / "specs" / "taxi.mfg").read_text()
    places = [(i + 0.5) / size.drivers for i in range(size.drivers)]
    random.Random(0).shuffle(places)
    costs = [f"{1 - SPREAD + 2 * SPREAD * place:.6f}" for place in places]
    (folder / "drivers.csv").write_text("\n".join(["cost_factor", *costs]) + "\n")
    for before, after in (
        (TRAIT + "~ uniform", TRAIT + 'from "drivers.csv"'),
        ("  agents drivers\n", ""),
        (WANTED, gathered(size.centre)),
    ):
        assert before in text
        text = text.replace(before, after)
    (folder / "taxi.mfg").write_text(text)
    params = {"n": size.side, "T": size.steps, "drivers": size.drivers, "demand": size.demand}
    return mfdsl.load(str(folder / "taxi.mfg"), params=params)


def gathered(centre: float) -> str:
    """Requests that gather around the first cell: `centre` is how far."""
    return f"{GATHERED.format(centre)}\n{WANTED} * near / nearness" if centre else WANTED


def run(game: Game, size: Size, kind: str, seed: int) -> dict[str, Any]:
    """Mean returns of a driver measured along the course, and the CPU seconds of the whole."""
    options = {
        "network": kind,
        "games": size.games,
        "members": size.members,
        "learning_rate": size.rate,
        "gap": "none",
        "evaluate_games": GAMES if size.drivers < 500 else 8,
        "evaluate_every": size.epochs // 10,
    }
    began = time.process_time()
    found = mfdsl.solve(game, "ppo_nash", iterations=size.epochs, options=options, seed=seed)
    measured = [r for r in found.history if r.measured == r.measured]
    return {
        "epochs": [r.iteration for r in measured],
        "returns": [r.measured for r in measured],
        "std_error": found.value.std_error,
        "training": [r.value for r in found.history],
        "seconds": time.process_time() - began,
    }


def epoch_seconds(game: Game, size: Size, kind: str, members: int) -> float:
    """CPU seconds of one epoch of learning, measurements left out: the least of three."""
    from mfdsl.learning import prepare_training
    from mfdsl.settings import resolve

    options = {"network": kind, "games": size.games, "members": members, "evaluate_games": 2}
    settings = resolve(game.model, "ppo_nash", iterations=10, options=options | {"kl": 1e6})
    learner = prepare_training(game, settings).learner
    times = []
    for epoch in range(4):
        began = time.process_time()
        learner.step(epoch)
        times.append(time.process_time() - began)
    return min(times[1:])


def rules(game: Game, size: Size) -> dict[str, float]:
    """Mean returns of drivers who stand still, and who drive anywhere."""
    simulator = game.simulator(batch=GAMES if size.drivers < 500 else 8, seed=0)
    found = {}
    for name, rule in (("still", still), ("anywhere", uniform)):
        found[name] = simulator.rollout(rule).returns["driver"].mean
    return found


def table(runs: dict[str, list[dict[str, Any]]]) -> list[str]:
    """A row for each kind: last returns by seed, their mean and spread, the course, seconds."""
    head = ["network", "end, by seed", "end", "mean of the course", "CPU s", "paper, end"]
    rows = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for kind in KINDS:
        ends = [r["returns"][-1] for r in runs[kind]]
        course = fmean(fmean(r["returns"]) for r in runs[kind])
        spread = stdev(ends) if len(ends) > 1 else float("nan")
        seconds = fmean(r["seconds"] for r in runs[kind])
        shown = " ".join(f"{end:.2f}" for end in ends)
        cells = [kind, shown, f"{fmean(ends):.2f} ± {spread:.2f}", f"{course:.2f}"]
        rows.append(f"| {' | '.join([*cells, f'{seconds:.0f}', str(PAPER[kind])])} |")
    return rows


def order(runs: dict[str, list[dict[str, Any]]]) -> str:
    """The kinds from the best to the worst, and how sure each place is: differences of ends between
    neighbours, seed by seed, with their standard errors, and how many seeds would make two of these
    of what is seen.
    """
    ends = {kind: [r["returns"][-1] for r in runs[kind]] for kind in KINDS}
    ranked = sorted(KINDS, key=lambda kind: -fmean(ends[kind]))
    steps = []
    for better, worse in pairwise(ranked):
        apart = [a - b for a, b in zip(ends[better], ends[worse], strict=True)]
        error = stdev(apart) / len(apart) ** 0.5 if len(apart) > 1 else float("nan")
        wins = sum(a > 0 for a in apart)
        told = ""
        if fmean(apart) < 2 * error:
            told = f"; told apart by {math.ceil((2 * stdev(apart) / fmean(apart)) ** 2)}"
        steps.append(
            f"{better} above {worse} by {fmean(apart):.2f} ± {error:.2f}"
            f" ({wins} of {len(apart)} seeds{told})"
        )
    return f"Order of the ends: {', '.join(ranked)}. With standard errors: {'; '.join(steps)}."


def trained(
    game: Game,
    size: Size,
    seeds: int,
    kept: Path | None,
    shown: dict[str, list[dict[str, Any]]] | None,
) -> dict[str, list[dict[str, Any]]]:
    """Runs of all kinds by seed, those of a file, those that the page has, and the others."""
    lines = kept.read_text().splitlines() if kept is not None and kept.exists() else []
    known = {(r["size"], r["kind"], r["seed"]): r["run"] for r in map(json.loads, lines)}
    for kind, each in (shown or {}).items():
        known |= {(repr(size), kind, seed): one for seed, one in enumerate(each)}
    runs: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
    for seed in range(seeds):
        for kind in KINDS:
            key = (repr(size), kind, seed)
            found = known[key] if key in known else run(game, size, kind, seed)
            runs[kind].append(found)
            print(kind, seed, f"{found['returns'][-1]:.3f}", flush=True)
            if kept is not None and key not in known:
                line = dict(zip(("size", "kind", "seed"), key, strict=True)) | {"run": found}
                with kept.open("a") as file:
                    file.write(json.dumps(line) + "\n")
    return runs


def main() -> None:
    """Train all kinds and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="runs of each kind")
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--kept", type=Path, help="file of finished runs")
    parser.add_argument("--further", action="store_true", help="keep the seeds of the page")
    given = parser.parse_args()
    torch.set_num_threads(1)
    size = SIZES[given.size]
    kept = {}
    if given.further:
        kept = json.loads((RESULTS / f"{page_of(given.size)}.json").read_text())
    with tempfile.TemporaryDirectory() as folder:
        game = city(size, Path(folder))
        known = kept.get("rules") or rules(game, size)
        print(known, flush=True)
        runs = trained(game, size, given.seeds, given.kept, kept.get("runs"))
    times = kept.get("seconds_of_an_epoch")
    if times is None:
        # neither the step of Adam nor where requests are takes time
        times = {} if given.size in ("steep", "gathered") else clock()
    page(given.size, size, known, runs, times)


def clock() -> dict[str, float]:
    """CPU seconds of an epoch of the large game, by network and drivers in the loss."""
    large, each = SIZES["paper"], SIZES["paper"].drivers
    loads = (("symmetric", 250), ("symmetric", each), ("one_hot", each), ("individual", each))
    with tempfile.TemporaryDirectory() as folder:
        game = city(large, Path(folder))
        return {
            f"{kind}, {members:,} drivers in the loss": epoch_seconds(game, large, kind, members)
            for kind, members in loads
        }


def seconds(times: dict[str, float]) -> list[str]:
    """What an epoch takes, as paragraphs; nothing where that was not measured."""
    if not times:
        return []
    slowest = max(times.values())
    lines = ["| network | CPU s of an epoch | below individual |", "|---|---|---|"]
    lines += [f"| {k} | {s:.2f} | {100 * (1 - s / slowest):.0f} % |" for k, s in times.items()]
    said = "Learning with 1,000 drivers, 128 steps and one game, without measurements:"
    return [said, "\n".join(lines)]


def _gathered(size: Size) -> str:
    """Where requests are, if not everywhere."""
    if size.centre == 0:
        return ""
    most = (math.e**size.centre / fmean(_crowding(size))) ** 2
    return f", {most:.0f} times as many at the centre where they gather"


def _crowding(size: Size) -> list[float]:
    sides = range(size.side)
    return [math.exp(size.centre * math.cos(2 * math.pi * i / size.side)) for i in sides]


def page_of(size: str) -> str:
    """The name of the page of a size."""
    return "taxi" if size == "small" else f"taxi_{size}"


def page(
    name: str,
    size: Size,
    known: dict[str, float],
    runs: dict[str, list[dict[str, Any]]],
    times: dict[str, float],
) -> None:
    """Write what was found."""
    rows = table(runs)
    print("\n".join(rows))

    def draw(axes: Any) -> None:
        for k, kind in enumerate(KINDS):
            for seed, one in enumerate(runs[kind]):
                label = kind if seed == 0 else None
                axes.plot(one["epochs"], one["returns"], color=f"C{k}", label=label)
        for rule, value in known.items():
            axes.axhline(value, color="gray", linestyle=":" if rule == "still" else "--")
        axes.set(xlabel="epoch", ylabel="mean return of a driver")
        axes.legend(fontsize=8)

    commit(
        page_of(name),
        "Networks that know their drivers, and one that does not",
        f"python -m bench.papers.taxi --size {name}",
        [
            f"A city of {size.side} by {size.side} places with {size.drivers:,} drivers,"
            f" {size.steps} steps, {size.demand} requests at a place and step{_gathered(size)};"
            f" {size.epochs} epochs of {size.games} game(s), `ppo_nash`, equal options for all,"
            f" steps of Adam from {size.rate:g} on."
            " Means over drivers and measured games, which are the same for all; ± is the deviation"
            " of the seeds."
            f" Standing still returns {known['still']:.2f} (dotted), driving anywhere"
            f" {known['anywhere']:.2f} (dashed). The game of the paper is another one: its figures"
            " show its order.",
            "\n".join(rows),
            order(runs),
            *seconds(times),
        ],
        {"size": size.__dict__, "rules": known, "runs": runs, "seconds_of_an_epoch": times},
        draw,
    )


if __name__ == "__main__":
    main()
