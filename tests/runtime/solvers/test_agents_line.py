"""Games of agents along a compiled loop: the same as by tensors, and None where they are not."""

import pytest
import torch
from torch import Tensor

import mfdsl
from mfdsl.compiler.tabular.reduce import reduced
from mfdsl.runtime.policy import softmax_probs
from mfdsl.runtime.solvers import agents_played
from mfdsl.runtime.solvers.agents_line import agents_line
from mfdsl.runtime.solvers.agents_played import line_of, played_by_loops
from mfdsl.runtime.solvers.episodes import Crowd, play, played_by_tensors
from mfdsl.runtime.solvers.followed import alone, shared
from mfdsl.runtime.streams import hashed, hashed_by_tensors

pytest.importorskip("numba")

GAMES = {
    "a_rps": {"T": 4},  # means over agents
    "asymmetric_sis": {"T": 4},  # finite draws, traits
    "beach_bar": {},  # a histogram, looked up by each agent
    "equilibrium_price": {},  # two actions from one place
    "lq_ring": {},  # paid at the end
    "sir_vaccination": {},  # powers and logarithms, more draws
}


def crowd(name: str, **params: float) -> Crowd:
    game = mfdsl.load(name, params=params)
    kept = game.reduced or reduced(game.model, game.bins)
    axes = game.program.state_axes(), game.program.action_axes()
    return Crowd(game.agents, game.agents.params(), kept, *axes, 3)


def policies(crowd: Crowd, agents: int) -> Tensor:
    states, actions = (
        torch.tensor([axis.size for axis in axes]).prod() for axes in (crowd.states, crowd.actions)
    )
    generator = torch.Generator().manual_seed(1)
    shape = (agents, crowd.stages, int(states), int(actions))
    return softmax_probs(torch.randn(shape, generator=generator, dtype=torch.float64))


@pytest.mark.parametrize("name", GAMES)
def test_loops_play_as_tensors_do(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = crowd(name, **GAMES[name])
    simulator, many = made.simulator(2, 9), policies(made, 9)
    assert made.line is not None
    monkeypatch.setattr(agents_played, "MOST_DRAWN", 50)  # draws of a few stages at once
    for followed in (shared(many[0]), alone(many)):
        slow = played_by_tensors(made, simulator, followed, 5)
        fast = played_by_loops(made, made.line, simulator, followed, 5)
        assert torch.equal(fast.places, slow.places)
        assert torch.equal(fast.actions, slow.actions)
        torch.testing.assert_close(fast.rewards, slow.rewards, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(fast.final, slow.final, rtol=1e-12, atol=1e-12)
    assert len(slow.places.unique()) > 1 and len(slow.actions.unique()) > 1


def test_lines_that_read_how_many_agents_there_are_are_not_played() -> None:
    """Roads count pairs of drivers, of whom a line is written down with one."""
    made = crowd("dynamic_routing")
    assert agents_line(made.program, made.params, made.places(), 0) is not None
    assert line_of(made) is None
    episodes = play(made, made.simulator(1, 5), shared(policies(made, 1)[0]), 0)
    assert bool(episodes.rewards.isfinite().all())


def test_other_settings_are_played_by_tensors() -> None:
    made = crowd("a_rps", T=2)
    narrow = Crowd(
        made.program,
        made.program.params(dtype=torch.float32),
        made.reduced,
        made.states,
        made.actions,
    )
    several = Crowd(
        made.program,
        made.program.params({"rock_scissors": [0.1, 0.2]}),
        made.reduced,
        made.states,
        made.actions,
    )
    assert made.line is not None and narrow.line is None and several.line is None


def test_numbers_of_places_are_the_same_by_loops_and_tensors() -> None:
    key, device = (3, 1 << 40, "policy"), torch.device("cpu")
    numbers = hashed((4, 1000), key, device)
    assert torch.equal(numbers, hashed_by_tensors((4, 1000), key, device))
    assert torch.equal(numbers[:2], hashed((2, 1000), key, device))  # whatever the batch is
    assert abs(float(numbers.mean()) - 0.5) < 0.02 and 0 <= numbers.min() < numbers.max() < 1
