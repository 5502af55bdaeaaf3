"""Games of a batch do not know of each other: shares of a batch end where the whole one does."""

import pytest
import torch

from mfdsl.game import load
from mfdsl.runtime.distributed.shared_games import places_of
from mfdsl.runtime.solvers.loop import solve
from mfdsl.runtime.solvers.state_rows import params_of
from mfdsl.runtime.solvers.table import SOLVERS

# Steps of Adam divide by gradients, and enlarge what is rounded where these are small.
ADAM = 1e-6
SHARED = [name for name, row in SOLVERS.items() if not (row.plays or row.together)]
PROCESSES = 2


@pytest.mark.parametrize("count", [2, 3, 7, 100])
def test_every_game_has_one_process_and_every_process_a_game(count: int) -> None:
    shares = [places_of(count, rank, PROCESSES) for rank in range(PROCESSES)]
    assert [place for share in shares for place in share] == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("name", SHARED)
def test_shares_of_a_batch_end_where_the_batch_ends(name: str) -> None:
    program = load("specs/crowd_1d.mfg", params={"n": 5, "H": 3}).program
    params = program.params({"eps": [1e-4, 1e-2, 1e-1]})
    seeds = {"seed": (1, 2, 3)} if "seed" in SOLVERS[name].varied else {}
    near = ADAM if name == "mf_omo" else 1e-12
    whole = solve(program, params, name, iterations=6, tolerance=0, varied=seeds)
    for rank in range(PROCESSES):
        places = places_of(3, rank, PROCESSES)
        own = {option: tuple(v[p] for p in places) for option, v in seeds.items()}
        part = solve(
            program,
            params_of(program, params, places),
            name,
            iterations=6,
            tolerance=0,
            varied=own,
        )
        at = slice(places.start, places.stop)
        torch.testing.assert_close(part.policy.probs, whole.policy.probs[at], rtol=near, atol=near)
        torch.testing.assert_close(part.flow.laws, whole.flow.laws[at], rtol=near, atol=near)
        gaps = whole.exploitability.per_game[at]
        assert part.exploitability.per_game == pytest.approx(gaps, rel=near, abs=near)
