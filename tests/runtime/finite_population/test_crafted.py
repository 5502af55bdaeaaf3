"""Small games where the bounds are nearly attained, the mutations they kill, and monotonicity."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from mfdsl.runtime.finite_population import recursion
from mfdsl.runtime.finite_population.constants import Constants, a_priori
from mfdsl.runtime.finite_population.grid import FloatArray
from mfdsl.runtime.finite_population.majors import several_majors
from mfdsl.runtime.finite_population.recursion import (
    Asymmetry,
    MajorSlopes,
    Seen,
    asymmetry_of_players,
)
from mfdsl.runtime.finite_population.theorem_a import Bound, least_players, theorem_a
from tests.runtime.finite_population import oracle


@dataclass(frozen=True)
class Case:
    game: oracle.Game
    policy: FloatArray
    constants: Constants
    asymmetry: Asymmetry
    seen: Seen = "others"
    majors: MajorSlopes | None = None

    def gains(self) -> FloatArray:
        table = np.repeat(self.policy[:, None], len(self.game.major), axis=1)
        found = [oracle.solve(self.game, table, i) for i in range(self.game.players)]
        return np.array([best - returns[i] for i, (best, returns, _) in enumerate(found)])

    def bound(self) -> Bound:
        return theorem_a(
            self.constants,
            self.game.players,
            0.0,
            1.0,
            asymmetry=self.asymmetry,
            seen=self.seen,
            majors=self.majors,
        )


def game_of(
    players: int,
    steps: int,
    sizes: tuple[int, int],
    start: list[float],
    kernel: Callable[[int, int, int, FloatArray], list[float]],
    reward: Callable[[int, int, int, FloatArray], float],
) -> oracle.Game:
    """Players i in state s with action a who see the law [states, actions] of the others."""
    s, a = sizes
    full = oracle.everybody(players, s * a)
    moves, gifts = np.zeros((1, players, len(full), s)), np.zeros((1, players, len(full)))
    for i in range(players):
        laws = oracle.empirical(oracle.others_of(full, i), s * a).reshape(-1, s, a)
        for at, law in enumerate(laws):
            own = divmod(int(full[at, i]), a)
            moves[0, i, at], gifts[0, i, at] = kernel(i, *own, law), reward(i, *own, law)
    still = np.ones((1, 1, len(full), 1))
    no_reward = np.zeros((1, 1, len(full)))
    alone = np.ones((steps, 1, 1))
    law = np.tile(start, (players, 1))
    return oracle.Game(players, s, a, steps, law, moves, gifts, still, no_reward, alone)


def constants_of(steps: int, **changes: float | list[float]) -> Constants:
    """Nothing reacts, unless told; a list has one entry for each step."""
    base = a_priori(steps, 2, 0.0, 0.0, 0.0, 0.0)
    tables = {k: np.ravel(v) * np.ones(steps) for k, v in {"spread": 0.0, **changes}.items()}
    return replace(base, **{k: v.reshape(getattr(base, k).shape) for k, v in tables.items()})


def uneven_rewards(beta: float) -> Case:
    """One step, R^i = 1/2 +- beta for players 0 and 1, and 1/2 for player 2."""
    sign = (1, -1, 0)
    game = game_of(
        3,
        1,
        (1, 2),
        [1.0],
        lambda i, s, a, law: [1.0],
        lambda i, s, a, law: 0.5 + beta * sign[i] * (1 - 2 * a),
    )
    policy = np.array([[[0.0, 1.0]]])
    rewards = beta * np.abs(sign)[:, None]
    return Case(game, policy, constants_of(1), asymmetry_of_players(0 * rewards, rewards))


def uneven_moves(alpha: float) -> Case:
    """Player 0 can move mass alpha / 2 to the better state, or to the worse one."""

    def kernel(i: int, s: int, a: int, law: FloatArray) -> list[float]:
        up = 0.5 + 0.5 * alpha * (1 - 2 * a) * (i == 0)
        return [1 - up, up]

    game = game_of(3, 2, (2, 2), [0.5, 0.5], kernel, lambda i, s, a, law: float(s))
    policy = np.tile([0.0, 1.0], (2, 2, 1))
    moves = np.array([[alpha] * 2, [0.0] * 2, [0.0] * 2])
    constants = constants_of(2, reward_span=1.0)
    return Case(game, policy, constants, asymmetry_of_players(moves, 0 * moves))


def noisy_other() -> Case:
    """The reward of action 0 grows with the distance of the one other from a fair mixture."""

    def reward(i: int, s: int, a: int, law: FloatArray) -> float:
        return 0.5 + 0.5 * (1 - 2 * a) * float(np.abs(law[0] - 0.5).sum())

    game = game_of(2, 1, (1, 2), [1.0], lambda i, s, a, law: [1.0], reward)
    constants = constants_of(1, reward_slope=0.5, spread=1.0)
    zero = np.zeros((2, 1))
    return Case(game, np.full((1, 1, 2), 0.5), constants, asymmetry_of_players(zero, zero))


def led_other() -> Case:
    """What player i does moves the one other, whose next state is i's reward."""

    def kernel(i: int, s: int, a: int, law: FloatArray) -> list[float]:
        moved = float(law[:, 1].sum())
        return [1 - moved, moved]

    game = game_of(2, 2, (2, 2), [1.0, 0.0], kernel, lambda i, s, a, law: float(law[1].sum()))
    policy = np.tile([1.0, 0.0], (2, 2, 1))
    constants = constants_of(2, reward_slope=0.5, own_slope=1.0, crowd_slope=1.0)
    zero = np.zeros((2, 2))
    return Case(game, policy, constants, asymmetry_of_players(zero, zero))


def unlike_other(alpha: float) -> Case:
    """The one other of player 1 moves by alpha / 2 more to state 1, which action 0 sells."""

    def kernel(i: int, s: int, a: int, law: FloatArray) -> list[float]:
        up = 0.5 * alpha * (i == 0)
        return [1 - up, up]

    def reward(i: int, s: int, a: int, law: FloatArray) -> float:
        return 0.5 + 0.5 * (1 - 2 * a) * float(law[1].sum())

    game = game_of(2, 2, (2, 2), [1.0, 0.0], kernel, reward)
    policy = np.tile([0.0, 1.0], (2, 2, 1))
    moves = np.array([[alpha] * 2, [0.0] * 2])
    # The limit keeps everybody in state 0, so that both actions are worth 1/2.
    constants = constants_of(2, reward_slope=0.25)
    return Case(game, policy, constants, asymmetry_of_players(moves, 0 * moves))


def stranger(moved: int, own: bool) -> Case:
    """Nobody moves; player `moved` starts in state 1, where (or because of which) action 1 pays."""

    def reward(i: int, s: int, a: int, law: FloatArray) -> float:
        return a * (float(s) if own else float(law[1].sum()))

    def kernel(i: int, s: int, a: int, law: FloatArray) -> list[float]:
        return [float(s == 0), float(s == 1)]

    steps = 5
    game = game_of(2, steps, (2, 2), [1.0, 0.0], kernel, reward)
    starts = np.eye(2)[[int(i == moved) for i in range(2)]]
    policy = np.tile([1.0, 0.0], (steps, 2, 1))
    slope, span = (0.0, 1.0) if own else (0.5, 0.0)
    constants = constants_of(
        steps, reward_slope=slope, reward_span=span, own_mixing=1.0, crowd_mixing=1.0
    )
    zero = np.zeros((2, steps))
    eta = np.where(np.arange(2) == moved, 2.0, 0.0)
    return Case(
        replace(game, initial=starts), policy, constants, asymmetry_of_players(zero, zero, eta)
    )


def own_part() -> Case:
    """Rewards are the share of everyone who plays action 1, the player itself included."""

    def reward(i: int, s: int, a: int, law: FloatArray) -> float:
        return 0.5 * (a + float(law[0, 1]))

    game = game_of(2, 1, (1, 2), [1.0], lambda i, s, a, law: [1.0], reward)
    zero = np.zeros((2, 1))
    constants = constants_of(1, reward_slope=0.5)
    policy = np.array([[[1.0, 0.0]]])
    return Case(game, policy, constants, asymmetry_of_players(zero, zero), seen="everyone")


def bribed_major() -> Case:
    """The major goes to its state 1 with the share of action 1 among everyone; rewards are y."""
    game = game_of(2, 2, (1, 2), [1.0], lambda i, s, a, law: [1.0], lambda i, s, a, law: 0.0)
    full = oracle.everybody(2, 2)
    share = full.mean(1)
    moves = np.stack([1 - share, share], axis=-1)
    game = replace(
        game,
        kernel=np.repeat(game.kernel, 2, axis=0),
        reward=np.stack([game.reward[0], game.reward[0] + 1]),
        major=np.stack([moves, moves])[:, None],
        major_reward=np.zeros((2, 1, len(full))),
        major_policy=np.ones((2, 2, 1)),
    )
    zero = np.zeros((2, 2))
    majors = MajorSlopes(np.ones((2, 1)), np.ones((2, 2)))
    policy = np.tile([1.0, 0.0], (2, 1, 1))
    unlike = asymmetry_of_players(zero, zero)
    return Case(game, policy, constants_of(2), unlike, majors=majors)


TIGHT = {
    "rewards": (uneven_rewards(0.2), 1.0),
    "moves": (uneven_moves(0.3), 1.0),
    "sampling": (noisy_other(), 0.5),
    "influence": (led_other(), 0.5),
    "others": (unlike_other(0.4), 1.0),
    "own start": (stranger(0, own=True), 0.5),
    "start of others": (stranger(1, own=False), 0.5),
    "own part": (own_part(), 0.5),
    "major": (bribed_major(), 0.5),
}


@pytest.mark.parametrize("name", TIGHT)
def test_crafted_games_come_close_to_their_bounds(name: str) -> None:
    case, ratio = TIGHT[name]
    gains, terms = case.gains(), np.sum(list(case.bound().terms.values()), axis=0)
    assert (gains <= terms + 1e-12).all()
    assert (gains <= case.bound().epsilon + 1e-12).all()
    assert float((gains / np.maximum(terms, 1e-12)).max()) == pytest.approx(ratio, abs=1e-9)


def test_majors_who_never_part_cost_nothing_where_rewards_have_no_bound() -> None:
    case = uneven_rewards(0.2)
    rows, steps = case.asymmetry.rewards.shape
    majors = MajorSlopes(np.zeros((steps, 1)), np.full((rows, steps), np.inf))
    found = replace(case, majors=majors).bound().epsilon
    assert found == pytest.approx(case.bound().epsilon)
    bribed = bribed_major()
    wide = replace(bribed, majors=MajorSlopes(np.ones((2, 1)), np.full((2, 2), np.inf)))
    assert np.isinf(np.sum(list(wide.bound().terms.values()), axis=0)).all()


def test_the_gain_from_uneven_rewards_is_twice_beta() -> None:
    case = uneven_rewards(0.2)
    assert case.gains() == pytest.approx([0.4, 0.0, 0.0])
    assert case.bound().epsilon == pytest.approx([0.4, 0.4, 0.0])


def mutated(case: Case, **changes: FloatArray) -> Case:
    return replace(case, asymmetry=replace(case.asymmetry, **changes))


MUTATIONS: dict[str, tuple[str, Callable[[Case], Case]]] = {
    "half of alpha": ("moves", lambda c: mutated(c, transitions=c.asymmetry.transitions / 2)),
    "total variation for l1": (
        "others",
        lambda c: mutated(c, others_transitions=c.asymmetry.others_transitions / 2),
    ),
    "beta of the next player": (
        "rewards",
        lambda c: mutated(c, rewards=np.roll(c.asymmetry.rewards, 1, 0)),
    ),
    "half of beta": ("rewards", lambda c: mutated(c, rewards=c.asymmetry.rewards / 2)),
    "alpha of others forgotten": (
        "others",
        lambda c: mutated(c, others_transitions=0 * c.asymmetry.transitions),
    ),
    "no sampling": (
        "sampling",
        lambda c: replace(c, constants=replace(c.constants, spread=0 * c.constants.spread)),
    ),
    "own drift forgotten": (
        "own start",
        lambda c: replace(c, constants=replace(c.constants, own_mixing=0 * c.constants.own_mixing)),
    ),
    "drift of others forgotten": (
        "start of others",
        lambda c: replace(
            c, constants=replace(c.constants, crowd_mixing=0 * c.constants.crowd_mixing)
        ),
    ),
    "the others for everyone": ("own part", lambda c: replace(c, seen="others")),
    "no majors": ("major", lambda c: replace(c, majors=None)),
    "no span of rewards": (
        "moves",
        lambda c: replace(
            c, constants=replace(c.constants, reward_span=0 * c.constants.reward_span)
        ),
    ),
}


def test_two_majors_split_twice_as_often() -> None:
    case = bribed_major()
    assert case.majors is not None
    calm = MajorSlopes(0.2 * case.majors.slope, 0.5 * case.majors.reward_range)
    both = several_majors([calm, calm])
    assert both.slope == pytest.approx(0.4) and both.reward_range == pytest.approx(0.5)
    once, twice = (replace(case, majors=m).bound().deviations.split[0] for m in (calm, both))
    assert once == pytest.approx([0.0, 0.1]) and twice == pytest.approx([0.0, 0.2])
    with pytest.raises(ValueError, match="no majors"):
        several_majors([])


def test_a_major_sees_everyone_and_not_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """The recursion of the note, 2.6, has no 2 / N here, and would promise a gain of 0."""
    case = bribed_major()
    monkeypatch.setattr(recursion, "_one_more", lambda constants, crowd: 0 * constants.width)
    assert (case.gains() > case.bound().epsilon + 0.01).all()


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_mutations_break_the_bound(mutation: str) -> None:
    name, mutate = MUTATIONS[mutation]
    case = TIGHT[name][0]
    assert (case.gains() > mutate(case).bound().epsilon + 0.01).any()


def test_later_steps_count_by_their_discount() -> None:
    case = stranger(0, own=True)
    halves = replace(case.constants, weights=0.5 ** np.arange(5.0))
    bound = replace(case, constants=halves).bound()
    # Twice the sum over the steps of half the span times a distance of 2.
    assert bound.terms["initial laws"][0] == pytest.approx(2 * (1 + 0.5 + 0.25 + 0.125 + 0.0625))
    assert bound.cap[0] == pytest.approx(1.9375)


def test_agents_of_two_populations_see_laws_this_far_apart() -> None:
    """All pairs of agents in two populations of two, each with the others of its own kind."""
    sizes = np.repeat([0, 1], 2)
    furthest = 0.0
    for cells in itertools.product(range(2), repeat=4):
        seen = []
        for agent in range(4):
            law = np.zeros(4)
            for other in range(4):
                count = 2 - (sizes[other] == sizes[agent])
                if other != agent:
                    law[2 * sizes[other] + cells[other]] += 0.5 / count
            seen.append(law)
        furthest = max(furthest, *(np.abs(a - b).sum() for a in seen for b in seen))
    one = constants_of(1)
    two = replace(one, spread=np.zeros((2, 1, 1)), shares=np.full(2, 0.5))
    swap = recursion._finite_size(two, recursion.Crowd(4))[1]
    assert furthest <= swap[0, 0] == pytest.approx(1.0)
    assert furthest == pytest.approx(1.0)


def test_without_own_influence_the_bound_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    case = led_other()
    sizes = recursion._finite_size

    def forgetful(*arguments: object) -> tuple[FloatArray, ...]:
        noise, swap, joining, leaving = sizes(*arguments)  # type: ignore[arg-type]
        return noise, 0 * swap, joining, leaving

    monkeypatch.setattr(recursion, "_finite_size", forgetful)
    assert (case.gains() > case.bound().epsilon + 0.01).all()


def symmetric_bound(players: int, **changes: float) -> float:
    """Theorem A of a symmetric game of 10 steps on four cells, before the cap."""
    given = {"kernel": 0.1, "reward": 0.4, "mixing": 0.7, "span": 1.0, "steps": 10} | changes
    constants = a_priori(
        int(given["steps"]), 3, given["kernel"], given["reward"], given["mixing"], given["span"]
    )
    steps = constants.steps
    alpha, beta = given.get("alpha", 0.0), given.get("beta", 0.0)
    table = np.full((1, steps), alpha)
    unlike = Asymmetry(table, np.full((1, steps), beta), np.zeros(1), table, np.zeros(1))
    bound = theorem_a(constants, players, 0.0, 1.0, asymmetry=unlike)
    return float(np.sum(list(bound.terms.values()), axis=0)[0])


def test_the_bound_grows_with_all_that_is_bad_and_falls_with_the_players() -> None:
    falling = [symmetric_bound(n, alpha=0.01) for n in (2, 3, 5, 10, 100, 1000, 10**6, 10**9)]
    assert falling == sorted(falling, reverse=True)
    grids: dict[str, list[float]] = {
        "alpha": [0, 0.01, 0.1, 1, 2],
        "beta": [0, 0.01, 0.1, 1],
        "kernel": [0, 0.01, 0.1, 0.5, 2],
        "reward": [0, 0.1, 0.5, 1],
        "mixing": [0, 0.3, 0.7, 1],
        "span": [0, 0.5, 1],
        "steps": [1, 2, 5, 10, 20],
    }
    for name, grid in grids.items():
        for players in (10, 1000):
            rising = [symmetric_bound(players, **{name: value}) for value in grid]
            assert rising == sorted(rising), name


def test_explicit_figures_of_symmetric_games() -> None:
    """The design note, 2.2: c = sqrt 2, L = .4, span 1; N = 100, 1000, 10000."""
    note = {
        (10, 0.0, 0.7): (1.14, 0.36, 0.11),
        (20, 0.1, 0.7): (4.4, 1.34, 0.42),
        (20, 0.3, 0.7): (18.6, 5.5, 1.7),
        (20, 0.3, 0.9): (20.0, 20.0, 6.7),
    }
    for (steps, slope, mixing), figures in note.items():
        constants = a_priori(steps, 3, slope, 0.4, mixing, 1.0)
        found = [theorem_a(constants, n, 0.0, 1.0).worst for n in (100, 1000, 10_000)]
        assert found == pytest.approx(figures, rel=0.03)


def test_least_players_for_a_target() -> None:
    constants = a_priori(10, 3, 0.0, 0.4, 0.7, 1.0)
    least = least_players(lambda n: theorem_a(constants, n, 0.0, 1.0), 0.0501)
    # Without coupling in P: N >= 1 + (2 H L c / eps)^2.
    assert least == 1 + np.ceil((2 * 10 * 0.4 * np.sqrt(2) / 0.0501) ** 2)
    assert least_players(lambda n: theorem_a(constants, n, 0.1, 1.0), 0.05) is None
    assert least_players(lambda n: theorem_a(constants, n, 0.0, 0.1), 2.0) == 2


def test_causes_add_up_and_vacuous_bounds_say_so() -> None:
    constants = a_priori(20, 3, 0.3, 0.4, 0.9, 1.0)
    bound = theorem_a(constants, 100, 0.2, 1.0)
    assert bound.vacuous.all()
    assert bound.epsilon == pytest.approx(20.0)
    assert bound.terms["solver gap"] == pytest.approx(0.2)
    causes = sum(v for k, v in bound.terms.items() if k != "solver gap")
    assert causes == pytest.approx(bound.deviations.total + bound.followed.total)
    assert not theorem_a(constants, 10**9, 0.2, 1.0).vacuous.any()


def test_what_does_not_fit_is_refused() -> None:
    constants = a_priori(3, 3, 0.1, 0.4, 0.9, 1.0)
    zero = np.zeros((3, 2))
    with pytest.raises(ValueError, match="2 steps"):
        theorem_a(constants, 3, 0.0, 1.0, asymmetry=asymmetry_of_players(zero, zero))
    with pytest.raises(ValueError, match="at least two"):
        theorem_a(constants, 1, 0.0, 1.0)
    with pytest.raises(ValueError, match="negative or not a number"):
        a_priori(3, 3, -0.1, 0.4, 0.9, 1.0)
    with pytest.raises(ValueError, match="negative or not a number"):
        a_priori(3, 3, np.nan, 0.4, 0.9, 1.0)
