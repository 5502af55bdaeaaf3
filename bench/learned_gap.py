"""Learned best responses beside exact ones: 20 games and more, two policies of each.

    python bench/learned_gap.py [GAME ...]

Everybody follows the uniform policy, or one that a solver left after a few iterations. A response
is learned from games of N agents (`runtime/learning/gaps.py`) and judged twice: in further games of
N, as where no tables are, and by the tables of the limit, where it never exceeds the
exploitability. The games that are named are done again, all others keep their rows.
"""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

import mfdsl
from bench.papers.committed import RESULTS, commit
from mfdsl.compiler.driver import ParameterValue
from mfdsl.game import Game, load
from mfdsl.learning import tables_of, weighted_of
from mfdsl.playing import by_table
from mfdsl.runtime.evaluate import Evaluation
from mfdsl.runtime.exploitability import lower_bound
from mfdsl.runtime.learning.base import Lesson
from mfdsl.runtime.learning.deviators import steep
from mfdsl.runtime.learning.gaps import Budget, gain_in_tables, responses_to
from mfdsl.runtime.learning.placed import Tables
from mfdsl.runtime.policy import TabularPolicy
from mfdsl.runtime.solution import Solution

GAMES = 4


@dataclass(frozen=True)
class Case:
    """A game, how many agents play it, the budget of a response, and the iterations that leave a
    policy half solved.
    """

    name: str
    half: int = 5
    agents: int | None = 1000
    iterations: int = 60
    test_games: int = 128
    restarts: int = 1
    replays: int = 0
    deviators: int = 128
    params: Mapping[str, ParameterValue] = field(default_factory=dict)


CASES = (
    Case("asymmetric_sis"),
    Case("beach_bar", agents=2000, test_games=64),
    Case("conservative_treasure_hunting"),
    Case("contraction", half=1, test_games=64),
    Case("crowd", iterations=40, restarts=1, replays=60, test_games=32),
    Case("crowd_1d", restarts=2),
    Case("crowd_2d", agents=5000, restarts=0, replays=60, test_games=64),
    Case("crowd_avoidance", test_games=64),
    Case("dynamic_routing", agents=500, iterations=20, test_games=32),
    Case("equilibrium_price"),
    Case("four_rooms", agents=5000, restarts=0, replays=60, test_games=16),
    Case("garnet", iterations=120, restarts=2),
    Case("left_right", half=2),
    Case("linear_quadratic", half=1),
    Case("lq_ring"),
    Case("mfax_beach_bar", params={"T": 8}, iterations=120),
    Case("mfglib_beach_bar"),
    Case("nfg_biased_rps", half=2),
    Case("nfg_coop", half=1),
    Case("nfg_dom", half=2),
    Case("openspiel_predator_prey", agents=500, iterations=60, test_games=32),
    Case(
        "periodic_aversion",
        half=1,
        agents=4000,
        deviators=1000,
        restarts=0,
        replays=60,
        test_games=64,
    ),
    Case("predator_prey", agents=5000, restarts=0, replays=60, test_games=64),
    Case("random_linear"),
    Case("rock_paper_scissors", half=2),
    Case("routing", iterations=40, test_games=64),
    Case("sis", agents=500, test_games=64),
    Case("stationary_sis", half=2, test_games=64),
    Case("two_bars", half=2, test_games=64),
)


@dataclass(frozen=True)
class Row:
    """One policy of one game; `limit` is what the learned response gains by the tables, `gain` and
    `std_error` what it gains among N, `bound` the lower bound that this gives.
    """

    game: str
    policy: str
    exact: float
    limit: float
    gain: float
    std_error: float
    bound: float
    steep: bool
    agents: int
    quarters: tuple[tuple[float, ...], ...]
    seconds: float

    @property
    def share(self) -> float:
        """The part of the exploitability that the response reaches in the limit."""
        return self.limit / self.exact


def measured(case: Case, game: Game, tables: Tables, named: str, policy: TabularPolicy) -> Row:
    """Learn a response to a policy and judge it."""
    lesson = Lesson(game.agents, tables.params, 0, 1, weighted_of(game), lambda: tables)
    exact = Evaluation(tables.view, policy).exploitability.value
    began = time.process_time()
    found = responses_to(
        lesson,
        by_table(game, policy),
        agents=case.agents,
        games=GAMES,
        budget=Budget(
            iterations=case.iterations,
            deviators=case.deviators,
            restarts=case.restarts,
            replays=case.replays,
            test_games=case.test_games,
        ),
    )
    seconds = time.process_time() - began
    gap = lower_bound([response for _, response in found])
    limit = sum(max(0.0, gain_in_tables(tables, policy, answer)) for answer, _ in found)
    return Row(
        case.name,
        named,
        exact,
        limit,
        gap.gain,
        gap.std_error or 0.0,
        gap.value,
        steep(game.model),
        max(response.agents for _, response in found),
        tuple(response.quarters for _, response in found),
        seconds,
    )


def rows_of(case: Case) -> list[Row]:
    """Both policies of a game."""
    game = load(case.name, params=case.params)
    tables = tables_of(game, game.agents.params(dtype=torch.float32))
    if tables is None:
        raise ValueError(f"{case.name} has no tables")
    solved = mfdsl.solve(game, iterations=case.half)
    assert isinstance(solved, Solution)
    policies = {"uniform": tables.view.uniform(), f"{case.half} iterations": solved.policy}
    found = []
    for named, policy in policies.items():
        if Evaluation(tables.view, policy).exploitability.value > 1e-4:
            found.append(measured(case, game, tables, named, policy))
            print(line(found[-1]), f"{found[-1].seconds:.0f} s", flush=True)
    return found


def line(row: Row) -> str:
    """A row of the table."""
    kind = "one of N" if row.steep else "weight 0"
    return (
        f"| {row.game} | {row.policy} | {row.exact:.4g} | {row.limit:.4g} | {row.share:.1%} |"
        f" {row.gain:.4g} ± {row.std_error:.2g} | {row.bound:.4g} | {row.agents:,} | {kind} |"
    )


def written(rows: Sequence[Row]) -> None:
    """The page, the numbers and the plot."""
    games = sorted({row.game for row in rows})
    within = [row for row in rows if row.limit <= row.exact * (1 + 1e-9)]
    below = [row for row in rows if row.bound <= row.exact]
    reached = [row for row in rows if row.share >= 0.8]
    whole = [game for game in games if all(r.share >= 0.8 for r in rows if r.game == game)]
    short = ", ".join(f"{r.game} ({r.policy}) {r.share:.0%}" for r in rows if r.share < 0.8)
    said = (
        f"{len(rows)} policies of {len(games)} games. In the limit no learned response gains more"
        f" than the exploitability ({len(within)} of {len(rows)}), which holds by definition and is"
        f" a test of the tables; {len(reached)} reach at least 80 % of it, all policies of"
        f" {len(whole)} games do. The lower bound from games of N alone is below the exploitability"
        f" of the limit in {len(below)} of {len(rows)}."
    )
    said += f" Below 80 %: {short}." if short else ""
    head = (
        "| game | policy | exploitability | learned, in the limit | part | among N | lower bound |"
        " N | judged as |\n|---|---|---|---|---|---|---|---|---|"
    )
    table = "\n".join([head, *(line(row) for row in rows)])
    note = (
        "`learned, in the limit` is the learned network read at every place of the tables, against"
        " the exact flow of the policy; `among N` the same network in games of N agents that it"
        " never saw, beside players with the same draws who stay. Where rewards are steep in small"
        " masses (logarithms and quotients of means) one of N is judged, whose gain may be far from"
        " that of the limit; else players of weight 0, also beside N / 2, from which the limit is"
        " extrapolated for the bound. One seed; bounds are ends of intervals of 95 %."
    )

    def draw(axes: Any) -> None:
        axes.plot([1e-3, 1e3], [1e-3, 1e3], color="0.6", linewidth=1)
        axes.plot([1e-3, 1e3], [8e-4, 8e2], color="0.8", linewidth=1, linestyle="--")
        exact = [row.exact for row in rows]
        axes.scatter(exact, [row.limit for row in rows], s=14, label="in the limit")
        bounds = [max(row.bound, 1e-3) for row in rows]
        axes.scatter(exact, bounds, s=14, marker="v", label="lower bound among N")
        axes.set(xscale="log", yscale="log", xlabel="exploitability", ylabel="learned response")
        axes.legend()

    numbers = [asdict(row) for row in rows]
    title = "Learned best responses beside exact ones"
    commit("learned_gap", title, "python bench/learned_gap.py", [said, table, note], numbers, draw)


def kept() -> list[Row]:
    """The rows of earlier runs."""
    path = RESULTS / "learned_gap.json"
    if not path.is_file():
        return []
    entries = json.loads(path.read_text())
    return [Row(**{**e, "quarters": tuple(map(tuple, e["quarters"]))}) for e in entries]


def main(names: Sequence[str]) -> None:
    """Do the named games, or all."""
    torch.set_num_threads(1)
    rows = {(row.game, row.policy): row for row in kept()}
    for case in CASES:
        if not names or case.name in names:
            rows = {key: row for key, row in rows.items() if key[0] != case.name}
            rows |= {(row.game, row.policy): row for row in rows_of(case)}
    written([rows[key] for key in sorted(rows)])


if __name__ == "__main__":
    main(sys.argv[1:])
