"""What networks read: features of values, displacements, histograms, heads of actions."""

import math

import numpy as np
import pytest
import torch

import mfdsl
from mfdsl.compiler.ir.types import Type
from mfdsl.runtime.learning.actor import Shape
from mfdsl.runtime.learning.advantage import Scale, advantages
from mfdsl.runtime.learning.crew import Crew, Look
from mfdsl.runtime.learning.encoders import EncoderKind, Histogram, encoder as encoder_of
from mfdsl.runtime.learning.features import Axis, Entry
from mfdsl.runtime.learning.heads import ActionLaw, Drawn, Head
from mfdsl.runtime.learning.planner import Plan, Planner
from mfdsl.runtime.learning.relative import Displacement
from mfdsl.runtime.learning.sight import Feature, sights_of
from mfdsl.runtime.simulator import Simulator

BEACH = mfdsl.load("m3fc_beach")
CELL = next(t for t in BEACH.model.types if t.kind == "cell" and not t.dims)


def test_bounded_reals_fill_the_interval_and_angles_lie_on_the_circle() -> None:
    box = Entry(Type(kind="real", lo=-2, hi=6, dims=(2,)), BEACH.model)
    torch.testing.assert_close(box(torch.tensor([[-2.0, 6.0]])), torch.tensor([[-1.0, 1.0]]))
    ring = Entry(Type(kind="real", lo=-2, hi=2, periodic=True), BEACH.model)
    turn = ring(torch.tensor([-2.0, 2.0, 0.0]))
    torch.testing.assert_close(turn[0], turn[1])
    torch.testing.assert_close(turn[2], torch.tensor([1.0, 0.0]))


def test_unbounded_reals_are_centred_by_what_was_seen() -> None:
    entry = Entry(Type(kind="real"), BEACH.model)
    values = torch.tensor([[3.0, 5.0, 7.0]])
    entry.calibrate(values)
    found = entry(values)[..., 0]
    assert found.mean().abs() < 1e-6
    assert found.std(correction=0) == pytest.approx(1.0, abs=1e-6)


def test_displacements_on_a_torus_depend_on_the_difference_only() -> None:
    apart = Displacement(CELL, BEACH.model)
    own, common = torch.tensor([[0, 7, 24]]), torch.tensor([3])
    # shift both by one row and two columns of the 5 x 5 torus
    shifted = torch.tensor([[((c // 5 + 1) % 5) * 5 + (c % 5 + 2) % 5 for c in own[0].tolist()]])
    goal = torch.tensor([((3 // 5 + 1) % 5) * 5 + (3 % 5 + 2) % 5])
    torch.testing.assert_close(apart(own, common), apart(shifted, goal))
    assert len(torch.unique(apart(torch.arange(25)[None], common)[0], dim=0)) == 25


def test_a_histogram_counts_cells_and_spreads_between_centres() -> None:
    generator = torch.Generator().manual_seed(0)
    points = 2 * torch.rand(1, 500, 2, generator=generator) - 1
    axes = (Axis("line", (0,)), Axis("line", (1,)))
    found = Histogram(axes, 4, smooth=False)(points)
    counted, _, _ = np.histogram2d(*points[0].numpy().T, bins=4, range=[[-1, 1], [-1, 1]])
    np.testing.assert_allclose(found.numpy().reshape(4, 4), counted / 500, atol=1e-6)
    smooth = Histogram(axes, 4)(points)
    assert smooth.sum() == pytest.approx(1.0, abs=1e-5)
    half = Histogram(axes, 4)(torch.tensor([[[0.0, -0.75]]])).reshape(4, 4)
    torch.testing.assert_close(half[:, 0], torch.tensor([0.0, 0.5, 0.5, 0.0]))


def test_a_histogram_of_cells_is_the_law() -> None:
    entry = Entry(CELL, BEACH.model)
    cells = torch.tensor([[0, 0, 7, 24]])
    found = Histogram(entry.axes, 3)(entry(cells))
    assert found.shape == (1, 25)
    assert found[0, [0, 7, 24]].tolist() == [0.5, 0.25, 0.25]


def test_too_many_cells_are_refused() -> None:
    with pytest.raises(ValueError, match="take fewer `bins`"):
        Histogram([Axis("line", (k,)) for k in range(8)], 7)


def test_sights_follow_observe() -> None:
    boat, bather = sights_of(BEACH.agents)
    assert [f.name for f in bather.own] == ["x"]
    assert [f.name for f in bather.common] == ["boat.y", "weather.spot"]
    assert [c.name for c in bather.crowds] == ["bather"]
    assert boat.single and not boat.own
    drone = sights_of(mfdsl.load("m3fc_2g").agents)[0]
    assert [f.name for f in drone.points] == ["sky.user"]
    assert sights_of(mfdsl.load("m3fc_2g").agents, hidden=("sky.user",))[0].points == ()


def test_laws_of_actions_agree_with_torch() -> None:
    generator = torch.Generator().manual_seed(1)
    mean, logits = torch.randn(5, 3, generator=generator), torch.randn(5, 4, generator=generator)
    law = ActionLaw(mean, torch.tensor([-1.0, 0.0, 0.5]), logits)
    drawn = law.sample(torch.randn(5, 3, generator=generator), torch.rand(5, generator=generator))
    normal = torch.distributions.Normal(mean, torch.tensor([-1.0, 0.0, 0.5]).exp())
    finite = torch.distributions.Categorical(logits=logits)
    assert drawn.reals is not None and drawn.index is not None
    expected = normal.log_prob(drawn.reals).sum(-1) + finite.log_prob(drawn.index)
    torch.testing.assert_close(law.log_prob(drawn), expected)
    torch.testing.assert_close(law.entropy(), normal.entropy().sum(-1) + finite.entropy())


@pytest.mark.parametrize("spread", [(3,), (5, 3)])
def test_slopes_of_a_log_density_are_those_of_the_formula(spread: tuple[int, ...]) -> None:
    """Of agents with one deviation and of such with their own, to rounding."""
    stream = torch.Generator().manual_seed(0)
    reals, mean = (torch.randn(4, 5, 3, generator=stream, dtype=torch.float64) for _ in range(2))
    log_std = 0.3 * torch.randn(spread, generator=stream, dtype=torch.float64)
    weights = torch.randn(4, 5, generator=stream, dtype=torch.float64)
    given = [v.requires_grad_() for v in (reals, mean, log_std)]
    found = ActionLaw(mean, log_std, None).log_prob(Drawn(reals, None))
    expected = torch.distributions.Normal(mean, log_std.exp()).log_prob(reals).sum(-1)
    torch.testing.assert_close(found, expected)
    slopes, formula = (torch.autograd.grad((weights * v).sum(), given) for v in (found, expected))
    for one, other in zip(slopes, formula, strict=True):
        torch.testing.assert_close(one, other)
    entropy = torch.distributions.Normal(mean, log_std.exp()).entropy().sum(-1)
    torch.testing.assert_close(ActionLaw(mean, log_std, None).entropy(), entropy)


def test_choices_are_drawn_with_their_chances_and_never_where_they_are_illegal() -> None:
    choice = Feature("a", Type(kind="int", lo=0, hi=3), True)
    head = Head((choice,))
    mask = torch.tensor([True, False, True, True])
    law = head.law(torch.tensor([0.0, 5.0, 1.0, 2.0]).expand(100_000, 4), mask)
    uniform = torch.rand(100_000, generator=torch.Generator().manual_seed(2))
    index = law.sample(None, uniform).index
    assert index is not None
    counts = torch.bincount(index, minlength=4) / 100_000
    chances = torch.softmax(torch.tensor([0.0, -math.inf, 1.0, 2.0]), 0)
    torch.testing.assert_close(counts, chances, atol=5e-3, rtol=0)
    assert counts[1] == 0


@pytest.mark.parametrize("squash", ["tanh", "clip", "simplex"])
def test_actions_lie_in_their_bounds(squash: str) -> None:
    action = Feature("a", Type(kind="real", lo=0, hi=1, dims=(5,)), True)
    head = Head((action,), squash)  # type: ignore[arg-type]
    (value,) = head.values(Drawn(3 * torch.randn(50, 5), None), torch.zeros(()))
    assert value.min() >= 0 and value.max() <= 1
    if squash == "simplex":
        torch.testing.assert_close(value.sum(-1), torch.ones(50))


def test_advantages_are_discounted_sums_of_errors() -> None:
    generator = torch.Generator().manual_seed(3)
    rewards, values = (torch.randn(6, 2, generator=generator) for _ in range(2))
    last = torch.randn(2, generator=generator)
    found = advantages(rewards, values, last, 0.9, 0.7)
    after = torch.cat([values[1:], last[None]])
    errors = rewards + 0.9 * after - values
    for t in range(6):
        expected = sum((0.63**k) * errors[t + k] for k in range(6 - t))
        torch.testing.assert_close(found[t], expected)


def test_scales_follow_returns() -> None:
    scale = Scale(0.5)
    assert (scale.centre, scale.spread) == (0.0, 1.0)
    for _ in range(40):
        scale.add(torch.tensor([8.0, 12.0]))
    assert scale.centre == pytest.approx(10.0)
    assert scale.spread == pytest.approx(2.0)
    other = Scale(0.5)
    other.restore(scale.state())
    assert (other.centre, other.spread) == (scale.centre, scale.spread)


def test_neighbours_are_the_nearest_of_the_others() -> None:
    game = mfdsl.load("navigation", params={"n": 6})
    simulator = game.simulator(batch=2, dtype="float32")
    scene = simulator.scene(0, simulator.reset())
    crew = Crew(game.agents, Shape(), Look(nearest=3, hidden=("x",)))
    own = crew.views(scene)["agent"].own
    assert own is not None
    places = scene.state.agent.x
    apart = places[:, None] - places[:, :, None]
    far = apart.norm(dim=-1) + torch.diag(torch.full((6,), math.inf))
    nearest = far.argsort(-1)[..., :3]
    expected = torch.stack(
        [apart[b, i, nearest[b, i]] for b in range(2) for i in range(6)]
    ).reshape(2, 6, 6)
    torch.testing.assert_close(own[..., 2:8], expected)


@pytest.mark.parametrize("encoder", ["histogram", "moments"])
def test_planners_read_what_fixed_encoders_give_of_the_laws(encoder: EncoderKind) -> None:
    """So that networks read it as if they had taken it themselves, and keep their sizes."""
    game = mfdsl.load("m3fc_foraging")
    simulator = Simulator(game.agents, agents=6, batch=2)
    scene = simulator.scene(0, simulator.reset())
    plain = Planner(game.agents, Shape((8,), encoder="mean_embed"), Plan(3))
    fixed = Planner(game.agents, Shape((8,), encoder=encoder, bins=3), Plan(3))
    for planner in (plain, fixed):
        planner.calibrate(scene)
    (seen,), (read,) = plain.views(scene).values(), fixed.views(scene).values()
    _, common, laws = plain.overview.widths
    taken = [
        encoder_of(encoder, law, 4, 8, 3)(*seen_)
        for law, *seen_ in zip(laws, seen.laws, seen.weights, strict=True)
    ]
    torch.testing.assert_close(read.common, torch.cat([*taken, seen.common], -1))
    assert read.laws == () and fixed.overview.widths == (0, read.common.shape[-1], ())
    assert read.common.shape[-1] == common + sum(t.shape[-1] for t in taken)
