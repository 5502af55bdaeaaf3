"""A-SIS and A-RPS of Yardim and He (L4DC 2025), as reconstructed in the design note, section 5."""

from dataclasses import dataclass

import numpy as np
import pytest

from mfdsl.runtime.finite_population.constants import (
    Constants,
    a_priori,
    affine_slopes,
    along_flow,
)
from mfdsl.runtime.finite_population.grid import FloatArray
from mfdsl.runtime.finite_population.recursion import asymmetry_of_players
from mfdsl.runtime.finite_population.theorem_a import least_players, theorem_a
from mfdsl.runtime.finite_population.theorem_b import (
    TypedFlow,
    TypedGame,
    theorem_b,
    typed_flow,
    typed_gains,
)

STEPS = 20
BY_STATE = np.array([[0, 0], [1, 1]])


@dataclass(frozen=True)
class Sis:
    """Infection and recovery rates and weights of illness [players]; rewards in [0, 1]."""

    infection: FloatArray
    recovery: FloatArray
    weight: FloatArray

    def game(self) -> TypedGame:
        count = len(self.infection)

        def kernel(h: int, joint: FloatArray) -> FloatArray:
            table = np.zeros((count, 2, 2, 2))
            table[:, 0, 0, 1] = self.infection * joint[1].sum()
            table[:, 1, :, 1] = (1 - self.recovery)[:, None]
            table[..., 0] = 1 - table[..., 1]
            return table

        def reward(h: int, joint: FloatArray) -> FloatArray:
            cost = np.zeros((count, 2, 2))
            cost[:, 1] += self.weight[:, None]
            cost[..., 1] += 0.5
            return 1 - cost / 1.6

        start = np.tile([0.4, 0.6], (count, 1))
        return TypedGame(STEPS, start, np.full(count, 1 / count), kernel, reward)

    def constants(self, flow: TypedFlow, policy: FloatArray) -> Constants:
        slopes = np.zeros((len(self.infection), STEPS, 2, 2, 1))
        slopes[:, :, 0, 0, 0] = self.infection[:, None]
        return along_flow(
            flow.kernels, flow.rewards, flow.joint, policy, slopes, 0 * slopes, groups=BY_STATE
        )


@pytest.fixture(scope="module")
def sis() -> Sis:
    spread = 1 + 0.1 * np.random.default_rng(0).uniform(-1, 1, size=(3, 1000))
    return Sis(0.81 * spread[0], 0.3 * spread[1], spread[2])


def mean_of(sis: Sis) -> Sis:
    return Sis(*(np.array([x.mean()]) for x in (sis.infection, sis.recovery, sis.weight)))


@pytest.fixture(scope="module")
def policy(sis: Sis) -> FloatArray:
    """The best policy that mirror descent passes in the mean game."""
    game = mean_of(sis).game()
    scores = np.zeros((STEPS, 2, 2))
    table = np.full((STEPS, 2, 2), 0.5)
    best, least = table, np.inf
    for _ in range(100):
        flow = typed_flow(game, table)
        gap = float(typed_gains(game, flow, table)[0])
        best, least = (table, gap) if gap < least else (best, least)
        value = np.zeros(2)
        for h in reversed(range(STEPS)):
            q = flow.rewards[0, h] + flow.kernels[0, h] @ value
            value = (q * table[h]).sum(-1)
            scores[h] += 0.5 * q
        table = np.exp(scores - scores.max(-1, keepdims=True))
        table /= table.sum(-1, keepdims=True)
    return best


def test_figures_of_a_sis(sis: Sis, policy: FloatArray) -> None:
    """The note: finite-N term 12.1, 3.5, 1.1, .34 of 20 at N = 10^3..10^6, flows within .0017."""
    game, mean = sis.game(), mean_of(sis).game()
    flow, alone = typed_flow(game, policy), typed_flow(mean, policy)
    gains = typed_gains(game, flow, policy)
    gap = float(typed_gains(mean, alone, policy)[0])
    assert np.abs(flow.joint.sum(-1) - alone.joint.sum(-1)).sum(-1).max() < 0.0017
    assert [gains.mean(), np.quantile(gains, 0.95), gains.max()] == pytest.approx(
        [0.16, 0.30, 0.50], abs=0.01
    )
    assert gap == pytest.approx(0.096, abs=0.001)
    constants = sis.constants(flow, policy)
    found, crowd = [], []
    for players in (10**3, 10**4, 10**5, 10**6):
        bound = theorem_b(
            constants, players, gains, np.ones(1000), composition="fixed", solver_gap=gap
        )
        found.append(2 * bound.deviations.total.max())
        crowd.append(bound.deviations.crowd[:, -1].max())
        assert not bound.vacuous.any()
    assert found == pytest.approx([12.29, 3.588, 1.105, 0.3465], rel=1e-2)
    assert crowd == pytest.approx([1.10, 0.321, 0.0986, 0.0309], rel=1e-2)

    def bound_at(players: int) -> float:
        return theorem_b(constants, players, gains, np.ones(1000), composition="fixed").worst

    least = least_players(
        lambda n: theorem_b(constants, n, gains, np.ones(1000), composition="fixed"), 1.0
    )
    assert least is not None
    assert bound_at(least) <= 1.0 < bound_at(least - 1)


def test_alpha_and_beta_say_nothing_about_a_sis(sis: Sis, policy: FloatArray) -> None:
    """The note: alpha .17, and a priori 20 of 20."""
    apart = [np.abs(x - x.mean()) for x in (sis.infection, sis.recovery, sis.weight)]
    alpha = 2 * np.maximum(apart[0], apart[1])
    assert alpha.max() == pytest.approx(0.17, abs=0.01)
    steps = np.ones(STEPS)
    unlike = asymmetry_of_players(np.outer(alpha, steps), np.outer(apart[2] / 3.2, steps))
    bound = theorem_a(a_priori(STEPS, 2, 0.81, 0.0, 1.0, 1.0), 1000, 0.0, 1.0, asymmetry=unlike)
    assert bound.vacuous.all() and bound.worst == 20.0
    mean = mean_of(sis)
    flow = typed_flow(mean.game(), policy)
    anchored = theorem_a(mean.constants(flow, policy), 1000, 0.1, 1.0, asymmetry=unlike)
    assert anchored.vacuous.any()
    assert max(anchored.terms, key=lambda k: anchored.terms[k].max()) == "transition asymmetry"


def test_the_worst_player_of_a_sis_gains_what_the_typed_flow_says(
    sis: Sis, policy: FloatArray
) -> None:
    """Simulated in the game of a thousand players, with paired draws."""
    game = sis.game()
    flow = typed_flow(game, policy)
    gains = typed_gains(game, flow, policy)
    worst = int(gains.argmax())
    response = np.zeros((STEPS, 2))
    value = np.zeros(2)
    for h in reversed(range(STEPS)):
        q = flow.rewards[worst, h] + flow.kernels[worst, h] @ value
        response[h], value = q[:, 1] > q[:, 0], q.max(-1)
    episodes, count = 300, 1000
    differences = np.zeros(episodes)
    for sign, home in ((1, response), (-1, policy[:, :, 1])):
        rng = np.random.default_rng(1)
        sick = rng.uniform(size=(episodes, count)) < 0.6
        for h in range(STEPS):
            chance = np.where(sick, policy[h, 1, 1], policy[h, 0, 1])
            chance[:, worst] = np.where(sick[:, worst], home[h, 1], home[h, 0])
            stays = rng.uniform(size=sick.shape) < chance
            cost = sis.weight[worst] * sick[:, worst] + 0.5 * stays[:, worst]
            differences += sign * (1 - cost / 1.6)
            others = (sick.sum(1, keepdims=True) - sick) / (count - 1)
            rate = np.where(sick, 1 - sis.recovery, np.where(stays, 0, sis.infection * others))
            sick = rng.uniform(size=sick.shape) < rate
    error = differences.std() / np.sqrt(episodes)
    assert abs(differences.mean() - gains[worst]) < 4 * error + 0.02
    bound = theorem_b(
        sis.constants(flow, policy), count, gains, np.ones(count), composition="fixed"
    )
    assert differences.mean() - 4 * error < bound.epsilon[worst]


def test_figures_of_a_rps() -> None:
    """The note: 2.25 of 10 with beta itself, finite-N term .25 at N = 2000."""
    players, steps = 2000, 10
    taste = np.random.default_rng(0).uniform(-1, 1, size=(players, 3))
    taste -= taste.mean(1, keepdims=True)
    taste /= np.abs(taste).max()
    wins = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]])
    moves = np.broadcast_to(np.eye(3), (players, 3, 3, 3))

    def reward(h: int, joint: FloatArray) -> FloatArray:
        base = 0.5 + 0.4 * wins @ joint.sum(1) + 0.1 * taste
        return np.repeat(base[..., None], 3, axis=-1)

    game = TypedGame(
        steps,
        np.full((players, 3), 1 / 3),
        np.full(players, 1 / players),
        lambda h, joint: moves,
        reward,
    )
    uniform = np.full((steps, 3, 3), 1 / 3)
    flow = typed_flow(game, uniform)
    gains = typed_gains(game, flow, uniform)
    # The mean over all players of the uniform policy: whoever likes one move most gains by it.
    assert gains == pytest.approx(0.1 * 9 * taste.max(1), abs=1e-9)
    tilt = affine_slopes(0.4 * wins[:, None, :])[:, None, None] * np.ones((3, 3, 1))
    constants = along_flow(
        flow.kernels[:1],
        np.full((1, steps, 3, 3), 0.5),
        flow.joint,
        uniform,
        np.zeros((1, steps, 3, 3, 1)),
        np.broadcast_to(tilt, (1, steps, 3, 3, 1)),
        groups=np.repeat(np.arange(3)[:, None], 3, axis=1),
    )
    typed = theorem_b(constants, players, gains, np.ones(players), composition="fixed")
    assert 2 * typed.deviations.total.max() == pytest.approx(0.26, abs=0.01)
    still = np.zeros((players, steps))
    beta = 0.1 * np.abs(taste).max(1)
    centred = 0.05 * (taste.max(1) - taste.min(1))
    worst = [
        theorem_a(
            constants,
            players,
            0.0,
            1.0,
            asymmetry=asymmetry_of_players(still, np.outer(size, np.ones(steps))),
        ).worst
        for size in (beta, centred)
    ]
    assert worst[0] == pytest.approx(2.25, abs=0.01)
    assert gains.max() < worst[1] < worst[0]
