"""One game whose states two processes share, against the same game in one process.

Both make the same iterations, in pairs of processes that compare and write down how far they were
apart; a test for each solver and game reads what they found.
"""

import json
from pathlib import Path

import pytest
import torch

from mfdsl.game import load
from mfdsl.runtime.distributed import view as views
from mfdsl.runtime.distributed.group import Group
from mfdsl.runtime.distributed.view import PartView
from mfdsl.runtime.evaluate import Evaluation, build_view
from mfdsl.runtime.solvers.base import make_solver
from tests.distributed.processes import begin, ended

ITERATIONS = 4
TOLERANCE = 1e-12  # relative to the largest number of the kind
SOLVERS = (
    ("omd", {"learning_rate": 0.5}),
    ("omd", {}),
    ("fictitious_play", {}),
    ("fixed_point", {"damping": 0.5}),
    ("fixed_point", {"temperature": 2.0}),
    ("policy_iteration", {"temperature": 2.0, "damping": 0.5}),
    ("pmd", {"temperature": 1.0, "learning_rate": 0.5}),
    ("soft_fixed_point", {"temperature": 5.0}),
    ("munchausen_omd", {"temperature": 5.0}),
    ("prior_descent", {}),
)
FEW = (("omd", {"learning_rate": 0.5}), ("fictitious_play", {}))
GAMES = {
    "crowd_1d": ({"n": 7, "H": 4}, SOLVERS),  # rewards read the law
    "predator_prey": ({"n": 3, "T": 4}, FEW),  # three populations
    "mfax_linear_quadratic": ({"T": 4, "half": 5}, FEW[:1]),  # common noise, moves read the law
    "sis": ({"T": 6}, (*FEW, SOLVERS[3])),  # moves read the law
    "dynamic_routing": ({"T": 8}, FEW),  # actions that are not legal, laws of actions
    "lq_ring": ({"H": 4}, FEW[:1]),  # final rewards
    "mfppo_toy": ({}, FEW[:1]),  # no end, cut where what follows is worth nothing
}
STREAMED = "crowd_1d"
CASES = [
    (game, number, streamed)
    for game, (_, solvers) in GAMES.items()
    for number in range(len(solvers))
    for streamed in ((False, True) if game == STREAMED else (False,))
]


def key_of(game: str, number: int, streamed: bool) -> str:
    return f"{game} {number} {streamed}"


def compare(folder: str) -> None:
    """Every case in this process and its fellow, beside the whole game."""
    group = Group.join(torch.device("cpu"), timeout=60)
    found = {}
    with torch.no_grad():
        for game, number, streamed in CASES:
            views.STREAMED_ENTRIES = 0 if streamed else 1 << 25
            found[key_of(game, number, streamed)] = apart(group, game, number)
    Path(folder, f"{group.rank}.json").write_text(json.dumps(found))
    group.leave()


def apart(group: Group, game: str, number: int) -> dict[str, float]:
    """How far policies, flows and exploitabilities are apart at most, and how large these are."""
    values, solvers = GAMES[game]
    program = load(f"specs/{game}.mfg", params=values).program
    part, whole = PartView.build(group, program, program.params()), build_view(program)
    solver = make_solver(*solvers[number])
    own, state = solver.init(part), solver.init(whole)
    at = part.tables.places[group.rank]
    far = {"policy": 0.0, "flow": 0.0, "gap": 0.0, "scale": 1.0}
    for _ in range(ITERATIONS):
        mine, all_ = (
            Evaluation(part, part.policy(own.probs)),
            Evaluation(whole, whole.policy(state.probs)),
        )
        policy = (own.probs - state.probs[:, :, at]).abs().max()
        flow = (mine.flow.laws - all_.flow.laws[:, :, at]).abs().max()
        gap = abs(mine.exploitability.value - all_.exploitability.value)
        values_apart = (mine.values - all_.values).abs().max()
        far["policy"] = max(far["policy"], float(policy))
        far["flow"] = max(far["flow"], float(flow))
        far["gap"] = max(far["gap"], gap, float(values_apart))
        far["scale"] = max(far["scale"], float(all_.values.abs().max()))
        own, state = solver.step(mine, own), solver.step(all_, state)
    far["states"] = float(len(at))
    far["all"] = float(program.state_count)
    return far


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, float]]]:
    folder = tmp_path_factory.mktemp("pair")
    for game, (values, _) in GAMES.items():  # compile loops once here, not once in each process
        whole = build_view(load(f"specs/{game}.mfg", params=values).program)
        assert Evaluation(whole, whole.uniform()).exploitability.value >= 0
    assert ended(begin(2, compare, str(folder))) == [0, 0]
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]


@pytest.mark.parametrize(("game", "number", "streamed"), CASES)
def test_two_processes_make_the_iterations_of_one(
    found: list[dict[str, dict[str, float]]], game: str, number: int, streamed: bool
) -> None:
    parts = [rank[key_of(game, number, streamed)] for rank in found]
    for far in parts:
        assert far["policy"] <= TOLERANCE
        assert far["flow"] <= TOLERANCE
        assert far["gap"] <= TOLERANCE * far["scale"]
    assert parts[0]["gap"] == parts[1]["gap"], "all processes make the same decisions"
    assert parts[0]["states"] + parts[1]["states"] == parts[0]["all"]
    assert min(part["states"] for part in parts) > 0
