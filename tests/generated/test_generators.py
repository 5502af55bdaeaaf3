"""Generators: exact starts, densities that are densities, and laws that they come near."""

from math import isnan, sqrt
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mfdsl.game import load
from mfdsl.runtime.learning.base import LessonError
from mfdsl.runtime.learning.generated.autoregressive import Autoregressive
from mfdsl.runtime.learning.generated.discriminators import Critic, energy, mmd, sliced
from mfdsl.runtime.learning.generated.distances import energy_distance, wasserstein_line
from mfdsl.runtime.learning.generated.fitting import Fitting, Kind, Known
from mfdsl.runtime.learning.generated.generators import Flow, FlowMatching, Implicit
from mfdsl.runtime.learning.generated.mixtures import Mixture
from mfdsl.runtime.learning.generated.space import space_of
from mfdsl.runtime.learning.sight import model_of
from tests.generated.lessons import learner_of

SHARE = torch.tensor([0.0, 0.5, 1.0])
ALONE = torch.zeros(1, 0)  # one game, of which nothing is told


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def made(name: str, told: int = 0) -> Implicit | Flow | FlowMatching | Mixture:
    torch.manual_seed(3)
    match name:
        case "flow":
            return Flow(2, 16, 2, told)
        case "cfm":
            return FlowMatching(2, 16, 2, 2, told)
        case "mdn":
            return Mixture(2, 16, 2, 2, told)
    return Implicit(2, 0, 16, 2, 2, told)


def stirred(generator: nn.Module, size: float = 0.1) -> Any:
    """The generator with other weights: some are 0 at first."""
    with torch.no_grad():
        for weight in generator.parameters():
            weight.add_(size * torch.randn(weight.shape, generator=draws(5)))
    return generator


def test_a_level_crowd_has_the_means_and_deviations_of_the_paths() -> None:
    """With few points, of which others miss the means by their noise."""
    paths = torch.tensor([3.0, -1.0]) + 2 * torch.randn(3, 4000, 2, generator=draws(2))
    generator = made("implicit")  # whose displacements are 0 at first
    assert isinstance(generator, Implicit)
    generator.calibrate(paths, ALONE)
    noise = torch.randn(3, 20, 2, generator=draws(1))
    level, usual = (generator.draw(paths[0, :20], SHARE, noise, level=on) for on in (True, False))
    assert torch.allclose(level.mean(1), paths.mean(1), atol=1e-4)
    assert (usual[1:].mean(1) - paths[1:].mean(1)).abs().max() > 0.1
    assert torch.allclose(level[1:].var(1, correction=0) / usual[1:].var(1), torch.ones(2, 2))


def test_a_level_crowd_begins_with_its_traits_and_with_what_all_have_alike() -> None:
    """Of three entries the first is the same for all, the last a trait."""
    paths = torch.randn(3, 4000, 3, generator=draws(2))
    paths[..., 0] = 0.7
    generator = Implicit(3, 1, 16, 2, 2)
    generator.calibrate(paths, ALONE)
    noise = torch.randn(3, 20, 3, generator=draws(1))
    found = generator.draw(paths[0, :20], SHARE, noise, level=True)
    assert torch.equal(found[0, :, ::2], paths[0, :20, ::2])
    assert (found[0, :, 1].mean() - paths[0, :, 1].mean()).abs() < 1e-5


@pytest.mark.parametrize("name", ["implicit", "flow", "cfm", "mdn"])
def test_generators_give_the_starts_themselves_at_the_start(name: str) -> None:
    start, noise = torch.randn(50, 2, generator=draws()), torch.randn(3, 50, 2, generator=draws(1))
    generator = made(name)
    generator.calibrate(3 + 2 * torch.randn(3, 50, 2, generator=draws(2)), ALONE)
    found = generator.draw(start, SHARE, noise)
    assert torch.equal(found[0], start)
    assert not torch.allclose(found[2], start)


@pytest.mark.parametrize("name", ["implicit", "flow", "cfm", "mdn"])
def test_what_is_told_of_a_game_stands_beside_the_time(name: str) -> None:
    """Rows of several games are those of each of them, and differ by what is told."""
    generator = made(name, told=1)
    if name == "implicit":
        stirred(generator)
    start = torch.randn(2, 40, 2, generator=draws())
    noise = torch.randn(2, 40, 2, generator=draws(1))
    share = torch.tensor([[1.0, -1.0], [1.0, 1.0]])
    both = generator.draw(start, share, noise)
    for game in range(2):
        alone = generator.draw(start[game], share[game : game + 1], noise[game : game + 1])
        assert torch.allclose(alone[0], both[game], atol=1e-6)
    told = generator.draw(start[:1], share[1:], noise[:1])
    assert not torch.allclose(told[0], both[0], atol=1e-4)


def test_traits_stay_as_they_are() -> None:
    start, noise = torch.randn(50, 3, generator=draws()), torch.randn(3, 50, 3, generator=draws(1))
    found = stirred(Implicit(3, 1, 16, 2, 2)).draw(start, SHARE, noise)
    assert not torch.allclose(found[2, :, 0], start[:, 0])
    assert torch.equal(found[..., 2], start[:, 2].expand(3, 50))


@pytest.mark.parametrize("name", ["flow", "mdn"])
def test_densities_are_those_of_draws(name: str) -> None:
    """They add up to 1, and their means agree with those of draws."""
    generator = stirred(made(name))
    assert isinstance(generator, Flow | Mixture)
    mixed = torch.tensor([[1.0, 0.5], [0.0, 2.0]])
    generator.calibrate(torch.randn(3, 500, 2, generator=draws(2)) @ mixed, ALONE)
    line = torch.linspace(-20, 20, 801)
    points = torch.cartesian_prod(line, line)
    with torch.no_grad():
        mass = generator.log_density(points[None], SHARE[1:2]).exp()[0] * (40 / 800) ** 2
        noise = torch.randn(1, 20_000, 2, generator=draws(4))
        drawn = generator.draw(noise[0], SHARE[1:2], noise)[0]
    assert float(mass.sum()) == pytest.approx(1, abs=0.01)
    error = 4 * drawn.std(0) / sqrt(20_000)
    assert bool(((mass[:, None] * points).sum(0) - drawn.mean(0)).abs().lt(error + 0.01).all())


def rings(count: int, seed: int) -> Tensor:
    """Paths of two steps: two clouds that move apart, [3, n, 2]."""
    start = 0.3 * torch.randn(count, 2, generator=draws(seed))
    side = torch.where(torch.rand(count, generator=draws(seed + 1)) < 0.5, -1.0, 1.0)
    move = torch.stack([side, torch.zeros(count)], -1)
    return torch.stack([start, start + move, start + 2 * move])


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("implicit", "energy"),
        ("implicit", "sliced"),
        ("implicit", "mmd"),
        ("flow", "likelihood"),
        ("cfm", "velocity"),
        ("mdn", "likelihood"),
    ],
)
def test_fitted_generators_come_near_a_law_with_two_clouds(name: str, kind: Kind) -> None:
    paths = rings(4000, 0)
    fitting = Fitting(made(name), kind, 300, 128, 5e-3)
    fitting.fit(paths, 1.0, draws(1))
    generator = fitting.drawn
    assert not isinstance(generator, Autoregressive)
    other, share = rings(2000, 7), torch.tensor([0.5, 1.0])
    noise = torch.randn(2, 2000, 2, generator=draws(2))
    with torch.no_grad():
        drawn = generator.draw(other[0], share, noise)
    start = energy_distance(other[0], other[2])
    assert energy_distance(drawn[1], other[2]) < 0.08 * start
    assert float((drawn[1, :, 0] > 0).float().mean()) == pytest.approx(0.5, abs=0.06)


def test_nothing_is_fitted_to_agents_who_left_all_bounds() -> None:
    fitting = Fitting(made("implicit"), "energy", 3, 16, 5e-3)
    before = {name: value.clone() for name, value in fitting.state().items()}
    paths = rings(100, 0)
    paths[2, 5] = torch.inf
    assert isnan(fitting.fit(paths, 1.0, draws(1)))
    after = fitting.state()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_the_critic_of_wgan_learns_to_tell_points_apart() -> None:
    torch.manual_seed(0)
    critic = Critic(1, 32)
    optimizer = torch.optim.Adam(critic.parameters(), 1e-2)
    share = torch.tensor([1.0])
    for k in range(150):
        real = torch.randn(1, 256, 1, generator=draws(k)) + 1
        fake = torch.randn(1, 256, 1, generator=draws(1000 + k)) - 1
        mix = torch.rand(1, 256, 1, generator=draws(2000 + k))
        loss = critic.loss(fake, real, share, mix)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    gap = float((critic(real, share).mean() - critic(fake, share).mean()).detach())
    apart = float(wasserstein_line(real[0], fake[0]))
    # a slope s earns s W1 - (s - 1)^2, which is most at s = 1 + W1 / 2
    assert gap == pytest.approx(apart * (1 + apart / 2), rel=0.15)


def test_losses_are_least_where_the_laws_agree() -> None:
    x, y = torch.randn(2, 400, 2, generator=draws()), torch.randn(2, 400, 2, generator=draws(1))
    for loss in (
        lambda a, b: energy(a, b),
        lambda a, b: sliced(a, b, draws(3)),
        lambda a, b: mmd(a, b, draws(3)),
    ):
        near, far = float(loss(x, y)), float(loss(x, y + 0.5))
        assert near < 0.2 * far
        assert float(loss(x, x)) <= near + 1e-6


def test_energy_on_lines_is_that_of_all_pairs() -> None:
    """Its slopes, too; the pairs are those of points with a second coordinate, which is 0."""
    x, y = (torch.randn(3, n, 1, generator=draws(n), dtype=torch.float64) for n in (40, 30))
    x.requires_grad_()
    flat = energy(x, y)
    pairs = energy(torch.cat([x, 0 * x], -1), torch.cat([y, 0 * y], -1))
    assert flat.item() == pytest.approx(pairs.item(), rel=1e-6)
    assert flat.item() == pytest.approx(
        sum(energy_distance(a.detach(), b) for a, b in zip(x, y, strict=True)) / 3, rel=1e-12
    )
    slopes = [torch.autograd.grad(loss, x)[0] for loss in (flat, pairs)]
    assert torch.allclose(*slopes, atol=1e-9)


def test_an_autoregressive_law_adds_up_to_one_and_draws_what_it_says() -> None:
    program = load("four_rooms").agents
    space = space_of(program)
    torch.manual_seed(1)
    generator = stirred(Autoregressive(space.types, model_of(program), 16, 2), 0.5)
    rows: list[int] = []

    def count(_: nn.Module, read: tuple[Tensor], made: Tensor) -> None:
        rows.append(made[..., 0].numel())

    with torch.no_grad():
        asked = [net.register_forward_hook(count) for net in generator.networks]
        table = generator.table(SHARE)
        for hook in asked:
            hook.remove()
        every = torch.arange(104.0)[:, None].expand(3, -1, -1)
        assert torch.allclose(table, generator.log_probs(every, SHARE).exp())
        noise = torch.randn(3, 40_000, 1, generator=draws(3))
        drawn = generator.draw(torch.zeros(40_000, 1), SHARE, noise)[2, :, 0].long()
    assert torch.allclose(table.sum(1), torch.ones(3), atol=1e-5)
    assert rows == [3, 3 * 11]  # a column is asked for once in each row of the rooms
    counts = torch.bincount(drawn, minlength=table.shape[1]) / len(drawn)
    error = 4.5 * (table[2] / len(drawn)).sqrt() + 1e-4
    assert bool((counts - table[2]).abs().lt(error).all())


def test_counts_give_the_likelihood_of_all_points() -> None:
    """That of each point by itself, and a few rows in the place of a thousand points."""
    program = load("four_rooms").agents
    space = space_of(program)
    torch.manual_seed(1)
    generator = stirred(Autoregressive(space.types, model_of(program), 16, 2), 0.5)
    points = torch.randint(104, (3, 1000, 1), generator=draws(4)).float()
    counted = generator.followers(points, 3 * 128)
    assert counted is not None and sum(len(rows.moment) for rows in counted) == 3 * (1 + 11)
    with torch.no_grad():
        found = generator.likelihood(counted, SHARE)
        assert float(found) == pytest.approx(float(generator.log_probs(points, SHARE).mean()), 1e-5)
    assert generator.followers(points, 30) is None


def test_moments_are_those_of_the_paths_at_each_time() -> None:
    """Without any step of its network: means, covariances, and those with the starts."""
    start = torch.randn(4000, 2, generator=draws())
    moved = start @ torch.tensor([[0.3, 0.1], [0.0, 0.5]]) + torch.tensor([3.0, -1.0])
    moved = moved + 0.2 * torch.randn(4000, 2, generator=draws(1))
    paths = torch.stack([start, moved, 1e-2 * moved])
    generator = made("implicit")
    generator.calibrate(paths, ALONE)
    noise = torch.randn(3, 4000, 2, generator=draws(2))
    with torch.no_grad():
        found = generator.draw(start, SHARE, noise)
    for t in range(1, 3):
        wanted, drawn = (torch.cov(torch.cat([start, p[t]], 1).T) for p in (paths, found))
        unit = paths[t].std()
        assert torch.allclose(found[t].mean(0) / unit, paths[t].mean(0) / unit, atol=0.05)
        assert torch.allclose(drawn[2:] / unit, wanted[2:] / unit, atol=0.06)


def test_displacements_leave_the_moments_of_the_paths() -> None:
    """Whatever the network does; without `settled` it moves means and covariances."""
    paths = rings(4000, 0)
    generator = stirred(made("implicit"), 0.3)
    generator.calibrate(paths, ALONE)
    noise = torch.randn(3, 4000, 2, generator=draws(2))

    def apart() -> float:
        with torch.no_grad():
            found = generator.draw(paths[0], SHARE, noise)[1:]
        mean = (found.mean(1) - paths[1:].mean(1)).abs().max()
        spread = (found.std(1) / paths[1:].std(1) - 1).abs().max()
        return float(max(mean, spread))

    before = apart()
    generator.settled(paths[0][None, :2048], ALONE, draws(3))
    assert before > 0.2 and apart() < 0.06


def test_means_of_games_are_affine_in_what_is_told() -> None:
    told = torch.tensor([[-1.0], [0.0], [1.0]])
    start = told[:, None] + torch.randn(3, 2000, 2, generator=draws())
    paths = torch.stack([start, 0.5 * start, 0.1 * start]).flatten(1, 2)
    generator = made("implicit", told=1)
    generator.calibrate(paths, told)
    begun = 0.5 + torch.randn(1, 2000, 2, generator=draws(1))
    noise = torch.randn(1, 2000, 2, generator=draws(2))
    with torch.no_grad():
        found = generator.draw(begun, torch.tensor([[1.0, 0.5]]), noise)
    assert torch.allclose(found[0], 0.1 * begun[0], atol=0.02)


def test_long_ranges_are_digits() -> None:
    kind = space_of(load("beach_bar").agents).types[0].model_copy(update={"lo": -3, "hi": 996})
    generator = Autoregressive((kind,), model_of(load("beach_bar").agents), 8, 1)
    assert generator.sizes == [8, 128]
    with torch.no_grad():
        table = generator.table(SHARE[:1])
        points = generator.draw(
            torch.zeros(5000, 1), torch.tensor([1.0]), torch.randn(1, 5000, 1, generator=draws())
        )
    assert table.shape == (1, 1000)
    assert float(table.sum()) == pytest.approx(1, abs=1e-5)
    assert points.min() >= -3 and points.max() <= 996


def test_options_that_do_not_fit_are_refused() -> None:
    with pytest.raises(LessonError, match="states of sis are finite"):
        learner_of(load("sis"), generator="implicit")
    with pytest.raises(LessonError, match="states of rotating_target are real"):
        learner_of(load("rotating_target"), generator="autoreg")
    with pytest.raises(LessonError, match="couplings need two numbers"):
        learner_of(load("double_well"), generator="flow")
    with pytest.raises(LessonError, match="`cfm` is not fitted by `energy`"):
        learner_of(load("rotating_target"), generator="cfm", loss="energy")
    with pytest.raises(LessonError, match="`mdn` is for 4 numbers at most"):
        learner_of(load("flocking"), generator="mdn")
    with pytest.raises(LessonError, match="more players than one population"):
        learner_of(load("price_formation"))


def test_a_batch_has_whole_paths_of_the_games_that_it_names() -> None:
    """Every path says in each of its points which game it is of, and which of its paths."""
    games, runs, steps = 6, 10, 3
    names = torch.cartesian_prod(torch.arange(games), torch.arange(runs)).float()
    known = Known(names.expand(steps + 1, -1, -1), torch.arange(games)[:, None].float())
    batch = known.batch(7, draws(1))
    assert len(set(batch.games.tolist())) == len(batch.games) == 4
    assert torch.equal(batch.start, batch.points)
    wanted = batch.games.repeat_interleave(steps)[:, None].expand(-1, 7).float()
    assert torch.equal(batch.points[..., 0], wanted)
    assert torch.equal(batch.share[:, 1], wanted[:, 0])
    assert torch.equal(batch.points[:, :, 1], batch.points[:1, :, 1].expand(len(wanted), -1))
