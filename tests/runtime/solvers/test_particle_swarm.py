"""The particle swarm: its moves, that its best never gets worse, and the games it can solve."""

from itertools import pairwise

import pytest
import torch

import mfdsl
from mfdsl.runtime.evaluate import Evaluation
from mfdsl.runtime.solvers.base import SolverError, make_solver
from mfdsl.runtime.streams import draw
from mfdsl.runtime.views.finite import FiniteView
from tests.runtime import oracle
from tests.runtime.solvers.games import gaps, program, run

OPTIONS = {"particles": 5, "seed": 3}


def test_iterates_are_those_of_the_algorithm() -> None:
    """Particle by particle, each evaluated by itself."""
    played = program("cycle")
    game = oracle.dense_game(played, played.params())
    view = FiniteView.build(played)
    solver = make_solver("mf_pso", OPTIONS)
    with torch.no_grad():
        state = solver.init(view)
        x = [p.clone() for p in state.positions[0]]
        v = [p.clone() for p in state.velocities[0]]
        own = [p.clone() for p in x]

        def gap(logits: torch.Tensor) -> float:
            return oracle.exploitability(game, torch.softmax(logits, -1).numpy())

        for k in (1, 2, 3):
            best = min(own, key=gap)
            shape = (5, *x[0].shape)
            u = draw(("uniform",), shape, (3, k, "mf_pso.personal"))
            w = draw(("uniform",), shape, (3, k, "mf_pso.social"))
            for i in range(5):
                pull = 1.49618 * u[i] * (own[i] - x[i]) + 1.49618 * w[i] * (best - x[i])
                v[i] = 0.7298 * v[i] + pull
                x[i] = x[i] + v[i]
            own = [a if gap(a) < gap(b) else b for a, b in zip(x, own, strict=True)]
            state = solver.step(Evaluation(view, view.policy(state.probs)), state)
            torch.testing.assert_close(state.positions[0], torch.stack(x))
            torch.testing.assert_close(state.velocities[0], torch.stack(v))
            expected = [gap(logits) for logits in own]
            assert state.gaps[0].tolist() == pytest.approx(expected, abs=1e-12)
            torch.testing.assert_close(state.probs[0], torch.softmax(min(own, key=gap), -1))


@pytest.mark.parametrize("name", ["ring", "company", "sis", "contraction"])
def test_the_best_policy_never_gets_worse(name: str) -> None:
    found = gaps(run(program(name), "mf_pso", 12, particles=8))
    assert all(after <= before for before, after in pairwise(found))
    assert found[-1] < found[0]


def test_it_starts_no_worse_than_at_the_uniform_policy() -> None:
    played = oracle.load("masked_queue")
    view = FiniteView.build(played)
    start = float(view.exploitability(view.uniform()))
    assert gaps(run(played, "mf_pso", 0, particles=4))[0] <= start


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", ["nfg_biased_rps", "rock_paper_scissors"])
def test_small_games_are_solved_from_any_seed(name: str, seed: int) -> None:
    found = gaps(run(mfdsl.load(name).program, "mf_pso", 200, seed=seed))
    assert found[-1] < 1e-5


def test_seeds_give_other_swarms_and_the_same_seed_the_same() -> None:
    played = program("cycle")
    first, again, other = (
        gaps(run(played, "mf_pso", 6, particles=6, seed=seed)) for seed in (4, 4, 5)
    )
    assert first == again
    assert first != other


def test_a_swarm_beyond_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mfdsl.runtime.solvers.particle_swarm.memory_of", lambda device: 1000)
    with pytest.raises(SolverError, match=r"64 particles need .*: take fewer `particles`"):
        run(program("cycle"), "mf_pso", 1)
