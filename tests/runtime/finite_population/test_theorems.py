"""Theorems A and B against exact best responses in random games of three and four players."""

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from mfdsl.runtime.finite_population.extension import bernstein, grid_laws, kuhn
from mfdsl.runtime.finite_population.grid import FloatArray, position, tally
from mfdsl.runtime.finite_population.majors import bound_major
from mfdsl.runtime.finite_population.recursion import Crowd, Seen, asymmetry_of_players, deviations
from mfdsl.runtime.finite_population.theorem_a import Bound, following, theorem_a
from mfdsl.runtime.finite_population.theorem_b import theorem_b
from tests.runtime.finite_population import games, oracle
from tests.runtime.finite_population.games import Kind, Sample

ROUNDING = 1e-9

PLAIN = [
    Kind(interaction=0.02, heterogeneity=0.02),
    Kind(interaction=0.1, heterogeneity=0.3, starts=0.3),
    Kind(interaction=0.05, nonlinear=True, heterogeneity=0.1, steps=4),
    Kind(interaction=0.0, heterogeneity=0.5),
    Kind(interaction=0.0, anonymity=0.3),
    Kind(interaction=0.2, anonymity=0.05, heterogeneity=0.05, starts=0.1, nonlinear=True),
    Kind(interaction=0.1, everyone=True, steps=2),
    Kind(interaction=0.1, players=4, steps=2, heterogeneity=0.1),
    Kind(interaction=0.05, players=4, steps=3, anonymity=0.02),
    Kind(interaction=0.1, states=3, steps=2, heterogeneity=0.1, starts=0.2),
    Kind(interaction=0.05, actions=3, steps=2, nonlinear=True),
]
WITH_MAJORS = [
    Kind(majors=2, interaction=0.05, major_reacts=0.1, steps=2),
    Kind(majors=2, interaction=0.1, major_reacts=0.0, heterogeneity=0.2, steps=3),
    Kind(majors=2, interaction=0.02, major_reacts=0.3, heterogeneity=0.1, anonymity=0.1),
    Kind(majors=3, interaction=0.1, major_reacts=0.05, steps=2, everyone=True, starts=0.2),
    Kind(majors=2, interaction=0.1, major_reacts=0.1, steps=2, players=4, nonlinear=True),
]


def gains_of(one: Sample, policy: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Exact gains of the best informed deviations, and returns, of all players."""
    found = [oracle.solve(one.game, policy, i) for i in range(one.kind.players)]
    returns = found[0][1]
    return np.array([best for best, _, _ in found]) - returns, returns


def bound_of(one: Sample, policy: FloatArray) -> tuple[Bound, FloatArray, float]:
    """Theorem A, the bounds of |J - V|, and V."""
    nodes = oracle.walk(one.limit, one.game, policy)
    constants = games.constants_of(one, one.limit, nodes, policy)
    root = nodes[0]
    gap = float((one.limit.initial * (root.best - root.own)).sum())
    players = one.kind.players
    majors = games.major_slopes(one, nodes, players) if one.kind.majors > 1 else None
    seen: Seen = "everyone" if one.kind.everyone else "others"
    bound = theorem_a(
        constants,
        players,
        gap,
        one.reward_range,
        asymmetry=one.asymmetry,
        seen=seen,
        majors=majors,
    )
    drift = deviations(following(constants), one.plain, Crowd(players, seen), majors=majors)
    return bound, drift.total, float((one.limit.initial * root.own).sum())


def improved(one: Sample, policy: FloatArray, rounds: int = 40) -> FloatArray:
    """Nearly an equilibrium of the induced game without majors, by mirror descent."""
    scores = np.zeros_like(policy)
    for _ in range(rounds):
        nodes = oracle.walk(one.limit, one.game, policy)
        q = np.zeros_like(policy)
        ahead = np.zeros(one.kind.states)
        for node in reversed(nodes):
            kernel = one.limit.kernel(0, node.joint)[0]
            q[node.step, 0] = one.limit.reward(0, node.joint)[0] + kernel @ ahead
            ahead = (q[node.step, 0] * policy[node.step, 0]).sum(-1)
        scores += 4 * q
        policy = np.exp(scores - scores.max(-1, keepdims=True))
        policy /= policy.sum(-1, keepdims=True)
    return policy


def worst_ratio(kinds: list[Kind], seed: int, rounds: int, equilibria: bool) -> tuple[float, int]:
    """Check all; the largest exact gain over its bound without the cap, and the games checked."""
    rng = np.random.default_rng(seed)
    tightest, checked = 0.0, 0
    for kind, _ in product(kinds, range(rounds)):
        one = games.sample(kind, rng)
        policy = games.random_policy(one, rng)
        policy = improved(one, policy) if equilibria else policy
        bound, error, value = bound_of(one, policy)
        gains, returns = gains_of(one, policy)
        terms = np.sum(list(bound.terms.values()), axis=0)
        assert (gains <= terms + ROUNDING).all(), kind
        assert (gains <= bound.epsilon + ROUNDING).all(), kind
        assert (np.abs(returns - value) <= error + ROUNDING).all(), kind
        tightest = max(tightest, float((gains / terms).max()))
        checked += 1
    return tightest, checked


def test_random_policies_of_games_without_majors() -> None:
    tightest, checked = worst_ratio(PLAIN, 1, 6, equilibria=False)
    assert checked == 66
    assert tightest > 0.7


def test_equilibria_of_the_induced_game() -> None:
    tightest, checked = worst_ratio(PLAIN, 2, 2, equilibria=True)
    assert checked == 22
    assert tightest > 0.05


def test_games_with_majors() -> None:
    tightest, checked = worst_ratio(WITH_MAJORS, 3, 8, equilibria=False)
    assert checked == 40
    assert tightest > 0.3


def test_a_major_gains_no_more_than_its_bound() -> None:
    rng = np.random.default_rng(4)
    for kind, _ in product(WITH_MAJORS, range(4)):
        one = games.sample(replace(kind, heterogeneity=0.0, anonymity=0.0, starts=0.0), rng)
        policy = games.random_policy(one, rng)
        nodes = oracle.walk(one.limit, one.game, policy)
        constants = games.constants_of(one, one.limit, nodes, policy)
        slopes = games.major_slopes(one, nodes, 1, folded=False)
        # Its reward is an inner product with the law: half the span of the gradient is its slope.
        prizes = one.game.major_reward.reshape(-1)
        span = float(prizes.max() - prizes.min())
        reward_slope = np.full((kind.steps, 1), 0.5)
        bound = bound_major(
            constants, kind.players, slopes, nodes[0].lead_best - nodes[0].lead, reward_slope, span
        )
        best, _, own = oracle.solve(one.game, policy, None, major_deviates=True)
        assert best - own <= np.sum(list(bound.terms.values())) + ROUNDING
        assert abs(own - nodes[0].lead) <= bound.deviations.total[0] + ROUNDING


def test_common_noise_costs_nothing() -> None:
    rng = np.random.default_rng(5)
    one = games.sample(Kind(majors=2, major_reacts=0.0, interaction=0.1), rng)
    policy = games.random_policy(one, rng)
    nodes = oracle.walk(one.limit, one.game, policy)
    slopes = games.major_slopes(one, nodes, 3)
    assert slopes.slope == pytest.approx(0.0, abs=1e-12)
    constants = games.constants_of(one, one.limit, nodes, policy)
    with_noise = deviations(constants, one.asymmetry, Crowd(3), majors=slopes).total
    assert with_noise == pytest.approx(deviations(constants, one.asymmetry, Crowd(3)).total)


def extended_by(
    extend: Callable[[FloatArray, int, FloatArray], FloatArray], table: FloatArray, others: int
) -> Callable[[int, FloatArray], FloatArray]:
    return lambda y, joint: extend(table, others, joint.reshape(1, -1))


def test_with_bernsteins_rewards_and_moves_of_its_own_a_player_sees_the_limit_exactly() -> None:
    """The note, 2.5: P common and blind to the others, R extended by the multinomial average."""
    rng = np.random.default_rng(8)
    errors = {"bernstein": 0.0, "kuhn": 0.0}
    for players in (3, 4):
        one = games.sample(Kind(players=players, interaction=0.0, steps=3), rng)
        cells, others = one.game.cells, players - 1
        table = rng.uniform(size=(len(grid_laws(others, cells)), 2, 2))
        full = oracle.everybody(players, cells)
        rewards = [
            table[(position(tally(oracle.others_of(full, i), cells)), *divmod(full[:, i], 2))]
            for i in range(players)
        ]
        game = replace(one.game, reward=np.stack(rewards)[None])
        policy = games.random_policy(one, rng)
        _, returns, _ = oracle.solve(game, policy, 0)
        for name, extend in (("bernstein", bernstein), ("kuhn", kuhn)):
            limit = replace(one.limit, reward=extended_by(extend, table, others))
            value = float((limit.initial * oracle.walk(limit, game, policy)[0].own).sum())
            errors[name] = max(errors[name], float(np.abs(returns - value).max()))
    assert errors["bernstein"] < 1e-12
    assert errors["kuhn"] > 1e-4


def test_names_of_players_do_not_matter() -> None:
    rng = np.random.default_rng(9)
    one = games.sample(Kind(interaction=0.1, heterogeneity=0.3, starts=0.3), rng)
    bound, _, _ = bound_of(one, policy := games.random_policy(one, rng))
    order = np.array([2, 0, 1])
    renamed = replace(
        one,
        asymmetry=asymmetry_of_players(
            one.asymmetry.transitions[order],
            one.asymmetry.rewards[order],
            one.asymmetry.initial[order],
        ),
    )
    assert bound_of(renamed, policy)[0].epsilon == pytest.approx(bound.epsilon[order])


def test_types_in_fixed_numbers() -> None:
    rng = np.random.default_rng(6)
    kinds = [
        Kind(interaction=0.05, heterogeneity=0.5, starts=0.3),
        Kind(interaction=0.1, heterogeneity=1.0, steps=2, starts=1.0),
        Kind(interaction=0.02, heterogeneity=0.8, players=4, steps=2, nonlinear=True),
        Kind(interaction=0.05, heterogeneity=0.4, everyone=True),
        Kind(interaction=0.05, heterogeneity=0.4, majors=2, major_reacts=0.05, steps=2),
        Kind(interaction=0.0, heterogeneity=1.0),
    ]
    tightest = 0.0
    for kind, _ in product(kinds, range(5)):
        one = games.sample(kind, rng)
        policy = games.random_policy(one, rng)
        bound = typed_bound(one, policy, "fixed")
        gains, _ = gains_of(one, policy)
        terms = np.sum(list(bound.terms.values()), axis=0)
        assert (gains <= terms + ROUNDING).all(), kind
        tightest = max(tightest, float((gains / np.maximum(terms, ROUNDING)).max()))
        if kind.interaction == 0:
            assert gains == pytest.approx(terms, abs=1e-9)
    assert tightest > 0.99


def typed_bound(one: Sample, policy: FloatArray, composition: str) -> Bound:
    nodes = oracle.walk(one.typed, one.game, policy)
    constants = games.constants_of(one, one.typed, nodes, policy)
    types = len(one.typed.initial)
    majors = games.major_slopes(one, nodes, types) if one.kind.majors > 1 else None
    if majors is not None:
        majors = replace(majors, reward_range=np.full_like(majors.reward_range, one.reward_range))
    return theorem_b(
        constants,
        one.kind.players,
        (one.typed.initial * (nodes[0].best - nodes[0].own)).sum(-1),
        np.full(types, one.reward_range),
        composition="drawn" if composition == "drawn" else "fixed",
        seen="everyone" if one.kind.everyone else "others",
        majors=majors,
    )


def test_types_that_are_drawn_for_each_player() -> None:
    rng = np.random.default_rng(7)
    kind = Kind(interaction=0.05, heterogeneity=0.8, steps=2)
    for _ in range(10):
        pair, one = games.sample_of_two_types(kind, rng)
        policy = games.random_policy(one((0, 0, 0)), rng)
        bound = typed_bound(pair, policy, "drawn")
        terms = np.sum(list(bound.terms.values()), axis=0)
        for own in range(2):
            mean = 0.0
            for others in product(range(2), repeat=2):
                weight = np.prod(pair.typed.shares[list(others)])
                game = one((own, *others)).game
                best, returns, _ = oracle.solve(game, policy, 0)
                mean += float(weight) * (best - returns[0])
            assert mean <= terms[own] + ROUNDING
