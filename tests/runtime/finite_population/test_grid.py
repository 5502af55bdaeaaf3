"""Grids of laws, extensions from them, and alpha and beta on them."""

import math
from itertools import permutations, product

import numpy as np
import pytest

from mfdsl.runtime.finite_population import enumerate as enumeration, extension, sampling
from mfdsl.runtime.finite_population.constants import affine_slopes, anchored_slopes
from mfdsl.runtime.finite_population.grid import (
    FloatArray,
    all_profiles,
    grid_size,
    position,
    tallies,
    tally,
)
from mfdsl.runtime.finite_population.kirszbraun import kirszbraun, l2_modulus


@pytest.mark.parametrize(("others", "cells"), [(1, 1), (2, 3), (4, 3), (5, 2), (3, 6)])
def test_tallies_are_all_there_in_order(others: int, cells: int) -> None:
    counts = tallies(others, cells)
    assert len(counts) == grid_size(others, cells) == len({tuple(row) for row in counts})
    assert (counts.sum(-1) == others).all()
    assert sorted(map(tuple, counts)) == [tuple(row) for row in counts]
    assert (position(counts) == np.arange(len(counts))).all()
    assert set(position(tally(all_profiles(others, cells), cells))) == set(range(len(counts)))


def test_grid_sizes_of_the_note() -> None:
    assert [grid_size(10, 4), grid_size(100, 4), grid_size(20, 6)] == [286, 176_851, 53_130]


def random_laws(rng: np.random.Generator, count: int, cells: int) -> FloatArray:
    return rng.dirichlet(np.full(cells, 0.7), size=count)


def l1_modulus(values: FloatArray, points: FloatArray) -> float:
    far = np.abs(points[:, None] - points).sum(-1)
    apart = np.abs(values[:, None] - values).reshape(len(points), len(points), -1).sum(-1)
    return float((apart[far > 0] / far[far > 0]).max())


def test_bernstein_is_the_mean_over_independent_others() -> None:
    rng = np.random.default_rng(0)
    others, cells = 4, 3
    values = rng.dirichlet(np.ones(2), size=grid_size(others, cells))
    laws = random_laws(rng, 5, cells)
    profiles = all_profiles(others, cells)
    places = position(tally(profiles, cells))
    slow = [np.prod(law[profiles], axis=1) @ values[places] for law in laws]
    assert extension.bernstein(values, others, laws) == pytest.approx(np.array(slow), abs=1e-12)
    points = extension.grid_laws(others, cells)
    slope = rng.normal(size=(cells, 2))
    affine = extension.bernstein(points @ slope, others, laws)
    assert affine == pytest.approx(laws @ slope, abs=1e-12)


def test_bernstein_keeps_the_modulus_and_its_bias_is_bounded() -> None:
    rng = np.random.default_rng(1)
    others, cells = 5, 3
    points = extension.grid_laws(others, cells)
    values = rng.uniform(size=(len(points), 2))
    laws = random_laws(rng, 60, cells)
    # The modulus on neighbours of the grid is that on the whole grid, in l1.
    modulus = l1_modulus(values, points)
    assert l1_modulus(extension.bernstein(values, others, laws), laws) <= modulus + 1e-12
    bias = np.abs(extension.bernstein(values, others, points) - values).sum(-1).max()
    assert 0 < bias <= modulus * math.sqrt((cells - 1) / others)


def test_bernstein_by_sampling_agrees() -> None:
    rng = np.random.default_rng(2)
    others, cells = 6, 3
    values = rng.uniform(size=grid_size(others, cells))
    law = np.array([0.2, 0.5, 0.3])
    mean, error = extension.bernstein_sampled(
        lambda p: values[position(tally(p, cells))], others, law, 20_000, rng
    )
    exact = extension.bernstein(values, others, law[None])[0]
    assert abs(mean - exact) < 5 * error
    assert error < 0.01


def test_mcshane_interpolates_with_the_modulus() -> None:
    rng = np.random.default_rng(3)
    points = extension.grid_laws(4, 3)
    values = rng.uniform(size=len(points))
    modulus = l1_modulus(values, points)
    assert extension.mcshane(values, points, modulus, points) == pytest.approx(values, abs=1e-12)
    laws = np.concatenate([random_laws(rng, 80, 3), points])
    assert l1_modulus(extension.mcshane(values, points, modulus, laws), laws) <= modulus + 1e-9
    with pytest.raises(ValueError, match="modulus"):
        extension.mcshane(values, points, 0.9 * modulus, laws)


@pytest.mark.parametrize(("others", "cells"), [(4, 3), (3, 4), (2, 6), (5, 2)])
def test_kuhn_interpolates_within_hulls(others: int, cells: int) -> None:
    rng = np.random.default_rng(4)
    points = extension.grid_laws(others, cells)
    values = rng.dirichlet(np.ones(3), size=len(points))
    assert extension.kuhn(values, others, points) == pytest.approx(values, abs=1e-12)
    laws = random_laws(rng, 200, cells)
    found = extension.kuhn(values, others, laws)
    assert found.min() >= 0 and found.sum(-1) == pytest.approx(1.0, abs=1e-12)
    assert extension.kuhn(points, others, laws) == pytest.approx(laws, abs=1e-12)
    assert l1_modulus(found, laws) <= (cells - 1) * l1_modulus(values, points) + 1e-9


def test_kirszbraun_on_fifteen_points() -> None:
    """The figures of the note: interpolation at 2e-15, modulus not exceeded, sums exact."""
    rng = np.random.default_rng(5)
    points = extension.grid_laws(4, 3)
    values = rng.dirichlet(np.ones(3), size=15)
    modulus = l2_modulus(values, points)
    assert kirszbraun(values, points, points) == pytest.approx(values, abs=1e-12)
    laws = random_laws(rng, 100, 3)
    found = kirszbraun(values, points, laws)
    assert found.min() >= 0 and found.sum(-1) == pytest.approx(1.0, abs=1e-12)
    sampled = l2_modulus(found, laws)
    both = l2_modulus(np.concatenate([found, values]), np.concatenate([laws, points]))
    assert 0.8 * modulus < sampled <= modulus * (1 + 1e-9)
    assert both == pytest.approx(modulus, rel=1e-9)
    with pytest.raises(ValueError, match="modulus"):
        kirszbraun(values, points, laws, 0.9 * modulus)


def test_kirszbraun_where_the_program_is_degenerate() -> None:
    points = extension.grid_laws(6, 3)
    affine = points @ np.array([[0.2, 0.8], [0.5, 0.5], [0.9, 0.1]])
    laws = random_laws(np.random.default_rng(6), 20, 3)
    for values in (affine, np.ones((len(points), 2)) / 2, np.round(affine)):
        found = kirszbraun(values, points, laws)
        both = l2_modulus(np.concatenate([found, values]), np.concatenate([laws, points]))
        assert both <= l2_modulus(values, points) * (1 + 1e-9)


def test_slopes_of_affine_functions_are_exact() -> None:
    rng = np.random.default_rng(7)
    gradient = rng.normal(size=(3, 4))
    law = np.array([0.5, 0.5, 0.0, 0.0])
    others = random_laws(rng, 4000, 4)
    far = np.abs(others - law).sum(-1)
    sampled = (np.abs((others - law) @ gradient.T).sum(-1) / far).max()
    anchored, everywhere = affine_slopes(gradient, law), affine_slopes(gradient)
    assert sampled <= anchored <= everywhere
    corners = [
        0.5 * np.abs(gradient[:, i] - gradient[:, j]).sum() for i, j in permutations(range(4), 2)
    ]
    assert everywhere == pytest.approx(max(corners))
    attained = [
        np.abs(gradient @ step).sum() / np.abs(step).sum()
        for j in (0, 1)
        for i in range(4)
        if i != j
        for step in [0.5 * (np.eye(4)[i] - np.eye(4)[j])]
    ]
    assert anchored == pytest.approx(max(attained))
    points = extension.grid_laws(4, 4)
    by_grid = anchored_slopes(points @ gradient.T, points, gradient @ law, law)
    assert by_grid == pytest.approx(anchored)


def test_a_jump_at_the_law_has_no_slope() -> None:
    points = extension.grid_laws(2, 2)
    values = np.array([[0.0], [1.0], [0.0]])
    assert anchored_slopes(values, points, np.array([0.5]), points[1]) == np.inf
    assert anchored_slopes(values, points, np.array([1.0]), points[1]) == pytest.approx(1.0)


def linear_rewards(weights: FloatArray, taste: FloatArray) -> enumeration.Of:
    """R^i = sum of w_ij phi(x_j) + theta_i phi(own action), one state and two actions."""
    players = len(weights)
    profiles = all_profiles(players - 1, 2)

    def values(player: int, places: np.ndarray) -> FloatArray:
        pull = profiles[places] @ np.delete(weights[player], player)
        return np.asarray((pull[:, None] + taste[player] * np.arange(2))[:, None])

    return values


def test_beta_of_weights_is_the_closed_form() -> None:
    """The note, 3.1: non-anonymity half the sum of |w_ij - mean w_i|, times the span of phi."""
    rng = np.random.default_rng(8)
    players = 5
    weights = rng.uniform(size=(players, players)) / 10
    taste = rng.uniform(size=players) / 10
    found = enumeration.measure(linear_rewards(weights, taste), players, 2, rewards=True)
    rows = np.array([np.delete(weights[i], i) for i in range(players)])
    away = 0.5 * np.abs(rows - rows.mean(1, keepdims=True)).sum(1)
    assert found.anonymity == pytest.approx(away, abs=1e-12)
    means = rows.sum(1)
    corners = [
        np.abs((means - means.mean()) * share + (taste - taste.mean()) * action)
        for share, action in product((0, 1), repeat=2)
    ]
    assert found.heterogeneity == pytest.approx(np.max(corners, axis=0), abs=1e-12)
    assert found.centred is not None
    assert (found.centred <= found.total + 1e-15).all()
    assert (np.maximum(found.heterogeneity, found.anonymity / 2) <= found.total + 1e-12).all()
    assert (found.total <= found.heterogeneity + found.anonymity + 1e-12).all()


def test_alpha_of_types_is_the_closed_form() -> None:
    """The note, 3.1: a probability theta e moved between two states."""
    rates = np.array([0.2, 0.5, 0.6, 0.3])
    profiles = all_profiles(3, 4)

    def kernel(player: int, places: np.ndarray) -> FloatArray:
        sick = (profiles[places] >= 2).mean(1)
        table = np.zeros((len(places), 2, 2, 2))
        table[:, 0, :, 1] = rates[player] * sick[:, None]
        table[:, 1, :, 1] = 1.0
        table[..., 0] = 1 - table[..., 1]
        return table

    found = enumeration.measure(kernel, 4, 4, rewards=False)
    assert found.total == pytest.approx(2 * np.abs(rates - rates.mean()), abs=1e-12)
    assert found.anonymity == pytest.approx(0.0, abs=1e-15)
    witness = found.witness
    assert witness.value == found.total.max()
    assert sorted(cell // 2 for cell in witness.others) == [1, 1, 1]
    at = np.flatnonzero((profiles == witness.others).all(1))
    state, action = witness.entry
    mean = np.mean([kernel(i, at)[0, state, action] for i in range(4)], axis=0)
    replay = np.abs(kernel(witness.player, at)[0, state, action] - mean).sum()
    assert replay == pytest.approx(witness.value, abs=1e-12)


def test_symmetric_games_have_no_distance_and_names_do_not_matter() -> None:
    rng = np.random.default_rng(9)
    place = position(tally(all_profiles(3, 4), 4))
    grid = rng.uniform(size=(2, 2, grid_size(3, 4)))
    same = np.broadcast_to(grid[..., place], (4, 2, 2, 64))
    zero = enumeration.measure(enumeration.of_arrays(same), 4, 4, rewards=True)
    assert zero.total == pytest.approx(0.0, abs=1e-15)
    # Player i's table, once the players are renamed by the permutation.
    odd = rng.uniform(size=(4, 2, 2, 4, 4, 4))
    renamed = np.array([2, 0, 3, 1])
    moved = np.empty_like(odd)
    for new, old in enumerate(renamed):
        order = [k for k in range(4) if k != old]
        axes = [order.index(renamed[j]) for j in range(4) if j != new]
        moved[new] = np.transpose(odd[old], (0, 1, *(2 + axis for axis in axes)))
    one, two = (
        enumeration.measure(enumeration.of_arrays(t.reshape(4, 2, 2, 64)), 4, 4, rewards=True)
        for t in (odd, moved)
    )
    for name in ("total", "centred", "heterogeneity", "anonymity"):
        assert getattr(two, name) == pytest.approx(getattr(one, name)[renamed], abs=1e-12)
    assert two.mean == pytest.approx(one.mean, abs=1e-12)


def test_a_ring_is_anonymous_for_three_players_only() -> None:
    def ring(players: int) -> enumeration.Measured:
        profiles = all_profiles(players - 1, 2)

        def values(player: int, places: np.ndarray) -> FloatArray:
            # Without the player itself its neighbours come right before and right after it.
            left, right = (player - 1) % (players - 1), player % (players - 1)
            mean = 0.5 * (profiles[places][:, left] + profiles[places][:, right])
            return np.broadcast_to(mean[:, None, None], (len(places), 1, 2))

        return enumeration.measure(values, players, 2, rewards=True)

    assert ring(3).total == pytest.approx(0.0, abs=1e-15)
    assert ring(4).total == pytest.approx(1 / 3)
    assert (ring(5).anonymity > 0.4).all()


def test_too_many_profiles_are_refused() -> None:
    with pytest.raises(ValueError, match="sample instead"):
        enumeration.measure(lambda i, p: np.zeros((len(p), 4, 1)), 30, 4, rewards=True)


def test_sampling_brackets_enumeration() -> None:
    rng = np.random.default_rng(10)
    players = 6
    weights = rng.uniform(size=(players, players)) / 10
    values = linear_rewards(weights, np.zeros(players))
    exact = enumeration.measure(values, players, 2, rewards=True)
    size = {tuple(p): k for k, p in enumerate(all_profiles(players - 1, 2))}

    def distance(player: int, state: int, action: int, others: np.ndarray) -> float:
        place = size[tuple(others.tolist())]
        mean = exact.mean[position(tally(others, 2)), state, action]
        return float(abs(values(player, np.array([place]))[0, state, action] - mean))

    sizes = sampling.Sizes(players, 1, 2)
    found = sampling.climb(distance, sizes, rng)
    assert found.value <= exact.total.max() + 1e-12
    assert found.value == pytest.approx(exact.total.max())
    state, action = found.entry
    assert distance(found.player, state, action, np.array(found.others)) == found.value
    largest = max(
        abs(
            values(i, np.array([size[tuple(p)]]))[0, 0, 0]
            - values(i, np.array([size[tuple(q)]]))[0, 0, 0]
        )
        for i in range(players)
        for p in all_profiles(players - 1, 2)
        for j, k in product(range(players - 1), repeat=2)
        for q in [p[_swapped(players - 1, j, k)]]
    )
    upper = sampling.transposition_bound(players - 1, largest)
    assert exact.anonymity.max() <= upper


def _swapped(count: int, j: int, k: int) -> np.ndarray:
    order = np.arange(count)
    order[[j, k]] = order[[k, j]]
    return order


def test_numbers_of_draws_and_what_they_say() -> None:
    assert sampling.quantile_draws(1e-3, 0.05) == 2996
    assert sampling.quantile_draws(1e-4, 0.01) == 46_052
    assert sampling.hoeffding_draws(0.01, 0.05) == 18_445
    rng = np.random.default_rng(11)
    failed = {"quantile": 0, "hoeffding": 0, "bernstein": 0}
    for _ in range(400):
        draws = rng.uniform(size=100) ** 4
        statement = sampling.quantile_statement(draws, 0.1)
        failed["quantile"] += 1 - statement.largest ** (1 / 4) > statement.fraction
        for name, mean in (
            ("hoeffding", sampling.hoeffding_mean(draws, 0.1)),
            ("bernstein", sampling.bernstein_mean(draws, 0.1)),
        ):
            failed[name] += not mean.lower <= 0.2 <= mean.upper
    assert 20 <= failed["quantile"] <= 60
    assert failed["hoeffding"] <= 40 and failed["bernstein"] <= 40
    with pytest.raises(ValueError, match="0 < delta < 1"):
        sampling.quantile_statement(np.zeros(0), 0.1)


def test_radii_of_laws_hold() -> None:
    rng = np.random.default_rng(12)
    law = np.array([0.1, 0.2, 0.3, 0.4])
    apart = np.abs(rng.multinomial(50, law, size=400) / 50 - law).sum(1)
    assert (apart > sampling.law_radius(4, 50, 0.1)).mean() <= 0.1
    means = rng.dirichlet(np.ones(4), size=(400, 50)).mean(1)
    assert (np.abs(means - 0.25).sum(1) > sampling.mean_law_radius(4, 50, 0.1)).mean() <= 0.1
