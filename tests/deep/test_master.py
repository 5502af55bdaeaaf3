"""master: games from many laws side by side, and laws that it was not trained on."""

import pytest
import torch

import mfdsl
from mfdsl.runtime.evaluate import build_view
from mfdsl.runtime.solvers.loop import solve
from mfdsl.runtime.solvers.networks.laws import (
    drawn_laws,
    mean_places,
    normal_laws,
    one_game,
    own_sizes,
    with_initial_laws,
)
from mfdsl.runtime.solvers.networks.master import exploitabilities, family_of, pushed
from mfdsl.runtime.solvers.networks.options import MasterConfig
from tests.runtime import oracle

GAMES = ["beach_bar", "susceptible_infected", "masked_queue", "left_right"]


@pytest.mark.parametrize("name", GAMES)
def test_games_from_several_laws_are_each_game_from_its_law(name: str) -> None:
    """The slow way: the emitted module with that initial law, alone."""
    program = oracle.load(name)
    view = one_game(build_view(program))
    laws = drawn_laws(view, 3, 1.0, (0, 0, "test"))
    family = with_initial_laws(view, laws)
    source = torch.Generator().manual_seed(0)
    uniform = view.uniform().probs
    scores = torch.rand(3, *uniform.shape[1:], generator=source, dtype=uniform.dtype)
    probs = torch.softmax(scores.masked_fill(uniform == 0, -torch.inf), -1)
    together = family.exploitability(family.policy(probs))
    flows = family.laws(family.policy(probs))
    for b in range(3):
        game = oracle.dense_game(program, program.params())
        game = type(game)(**{**vars(game), "initial": laws[b].numpy()})
        alone = oracle.exploitability(game, probs[b].numpy(), program.discount)
        assert float(together[b]) == pytest.approx(alone, abs=1e-10)
    law = family.tables.initial
    for t in range(view.stages):
        torch.testing.assert_close(law.t(), flows[:, t])
        law = pushed(family.tables, torch.tensor(t), law, probs[:, t])


def test_several_populations_keep_their_masses() -> None:
    view = one_game(build_view(mfdsl.load("predator_prey").program))
    laws = drawn_laws(view, 5, 0.5, (0, 0, "test"))
    torch.testing.assert_close(laws.view(5, 3, -1).sum(-1), torch.full((5, 3), 1 / 3).double())


def test_bell_curves_lie_in_the_middle_half_and_mean_places_are_means() -> None:
    program = mfdsl.load("predator_prey").program
    view = one_game(build_view(program))
    laws = normal_laws(view, 20, (0, 0, "test"))
    sizes = own_sizes(program)
    apart = laws.view(20, 3, -1)
    torch.testing.assert_close(apart.sum(-1), torch.full((20, 3), 1 / 3).double())
    places = mean_places(program, laws[:, None])
    assert places.shape == (20, 1, 3 * sum(size > 1 for size in sizes))
    long = [size for size in sizes if size > 1]
    expected = []
    for axis in range(len(long)):
        line = torch.linspace(-1, 1, long[axis]).double()
        shape = [-1 if other == axis else 1 for other in range(len(long))]
        along = 3 * apart.view(20, 3, *long) * line.view(shape)
        expected.append(along.flatten(2).sum(-1))
    torch.testing.assert_close(places[:, 0], torch.cat(expected, -1))
    wide = one_game(build_view(mfdsl.load("beach_bar").program))
    found = normal_laws(wide, 200, (0, 0, "test"))
    means = mean_places(wide.program, found[:, None])[:, 0, 0]
    assert -0.55 < float(means.min()) < -0.4 and 0.4 < float(means.max()) < 0.55
    line = torch.linspace(-1, 1, 100).double()
    widths = ((found * line**2).sum(-1) - means**2).sqrt()
    assert 0.045 < float(widths.min()) < 0.07 and 0.17 < float(widths.max()) < 0.205


def test_laws_that_were_not_seen_are_played_nearly_as_well() -> None:
    """Held-out laws: at most twice the exploitability of the laws that were trained on."""
    program = mfdsl.load("crowd_1d").program
    config = MasterConfig(temperature=1.0, hidden=48)
    found = solve(program, None, "master", config, iterations=25, tolerance=0)
    view = build_view(program)
    trained = family_of(view, config, found.iterations - 1).tables.initial.t()
    other = drawn_laws(one_game(view), 40, 1.0, (1, 0, "held out"))
    with torch.no_grad():
        seen, unseen, first = (
            exploitabilities(view, config, found.state["weights"], laws)
            for laws in (trained, other, trained[:1])
        )
    assert float(first[0]) == pytest.approx(found.exploitability.value, rel=1e-4)
    assert float(unseen.mean()) < 2 * float(seen.mean())
    start = solve(program, None, "omd", iterations=0).exploitability.value
    assert float(unseen.mean()) < 0.3 * start
