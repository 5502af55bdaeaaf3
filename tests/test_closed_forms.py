"""Linear-quadratic games under their closed-form policies cost what they ought to cost.

The figures here and in `bench/lq_cases.py` are those of `closed_forms.json`, the reference file of
the project's design notes, to its twelve digits. What that file has no figure of (finite N of the
games, the rotating target's cost) is compared with exact second moments, which are themselves
compared with every figure that the file has.
"""

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bench.lq_cases import COSTS, LIMIT, SETTINGS, played
from bench.lq_gains import (
    Game,
    Policy,
    chase,
    closed,
    costs,
    crowd,
    flock,
    moments,
    nash,
    regulated,
    team,
    unseen,
    with_major,
)
from mfdsl.game import Game as Spec, load
from mfdsl.runtime.own_policies import OwnPolicy

GAMES: dict[tuple[str, str], tuple[list[Game], list[Policy]]] = {}
for _case in ("lq1", "lq1b", "lq1, common noise"):
    _game = crowd(SETTINGS[_case])
    GAMES["lq_game", _case] = [_game], [nash(_game)]
    GAMES["lq_control", _case] = [_game], [team(_game)]
_game = with_major(SETTINGS["lq5"])
GAMES["lq_major", "lq5"] = [_game], [nash(_game)]
GAMES["lq_major_control", "lq5"] = [_game], [team(_game)]
_axes = 3 * [flock(SETTINGS["lq3"])]
GAMES["flocking", "lq3"] = _axes, [unseen(g, nash(g)) for g in _axes]
_axes = [chase(SETTINGS["lq4"], axis) for axis in (0, 1)]
GAMES["rotating_target", "lq4"] = _axes, [unseen(g, nash(g)) for g in _axes]


def cost(spec: str, case: str, player: str, agents: float) -> float:
    """Exact, over all axes."""
    kind = 0 if player == "leader" else 1
    return sum(costs(*pair, agents)[kind] for pair in zip(*GAMES[spec, case], strict=True))


@pytest.mark.parametrize(("spec", "case", "player"), COSTS)
def test_costs_of_closed_forms_are_those_of_the_file(spec: str, case: str, player: str) -> None:
    for agents, figure in COSTS[spec, case, player].items():
        assert cost(spec, case, player, agents) == pytest.approx(figure, rel=1e-11)


@pytest.mark.parametrize(
    ("spec", "case", "t", "row"),
    [  # of a minor: (x, y, m, 1) with the mean apart from one's own state
        ("lq_game", "lq1", 0, [0.835781668769, 0, -0.172460000059, 0]),
        ("lq_game", "lq1", 19, [0.545454545455, 0, -0.217794970986, 0]),
        ("lq_control", "lq1", 0, [0.835781668769, 0, 0.644842733991 - 0.835781668769, 0]),
        ("lq_game", "lq1b", 0, [0.66244047428, 0, -0.401713466272, 0]),
        ("lq_control", "lq1b", 0, [0.66244047428, 0, 0.437352429691 - 0.66244047428, 0]),
        (
            "lq_major",
            "lq5",
            0,
            [0.577831259611, 0.0243389929078, -0.14210888504, -0.481551575526],
        ),
        (
            "lq_major",
            "lq5",
            14,
            [0.439024390244, -0.0545454545455, -0.178418329638, -0.242424242424],
        ),
        (
            "lq_major_control",
            "lq5",
            0,
            [
                0.577831259611,
                -0.0337229886729,
                0.34151373641 - 0.577831259611,
                -0.195905137162,
            ],
        ),
        ("flocking", "lq3", 0, [0.251829706145, 1.17945274837, 0, 0, 0, 0]),
        ("flocking", "lq3", 25, [0.128602544233, 1.05110753676, 0, 0, 0, 0]),
        ("flocking", "lq3", 49, [0, 0.909090909091, 0, 0, 0, 0]),
    ],
)
def test_gains_of_minors_are_those_of_the_file(
    spec: str, case: str, t: int, row: list[float]
) -> None:
    assert GAMES[spec, case][1][0].minor[t] == pytest.approx(row, abs=1e-11)


@pytest.mark.parametrize(
    ("spec", "t", "row"),
    [
        ("lq_major", 0, [0.627902474783, -0.0949676872339, -0.905639063169]),
        ("lq_major", 14, [0.552121212121, -0.163838383838, -0.731313131313]),
        ("lq_major_control", 0, [0.631482128734, -0.193142505101, -0.713140899092]),
    ],
)
def test_gains_of_the_major_are_those_of_the_file(spec: str, t: int, row: list[float]) -> None:
    assert GAMES[spec, "lq5"][1][0].major[t] == pytest.approx(row, abs=1e-11)


def tracked(spec: str, case: str) -> list[tuple[Game, Policy]]:
    """Games and their policies that see the mean."""
    return [(game, nash(game)) for game in GAMES[spec, case][0]]


@pytest.mark.parametrize(
    ("spec", "case"),
    [
        ("lq_game", "lq1"),
        ("lq_game", "lq1b"),
        ("lq_major", "lq5"),
        ("flocking", "lq3"),
        ("rotating_target", "lq4"),
    ],
)
def test_nobody_gains_by_another_policy_at_equilibrium(spec: str, case: str) -> None:
    """Against the frozen rows of the others, each one's own control problem has the same rows."""
    for game, policy in tracked(spec, case):
        d, size = game.size, 2 * game.size + 2
        alone = [closed(game, k, row) for k, row in zip(policy.major, policy.minor, strict=True)]
        push, lead = np.zeros((size, 1)), np.zeros((d + 2, 1))
        push[:d, 0], lead[0, 0] = game.act, game.lead
        for mine, loops, moved, charges, weight in (
            (policy.minor, alone, push, list(game.charges), game.r),
            (
                policy.major,
                [loop[d:, d:] for loop in alone],
                lead,
                [game.charge0(t) for t in range(len(game.charges))],
                game.r0,
            ),
        ):
            idle = [loop + moved * row for loop, row in zip(loops, mine, strict=True)]
            for t, row in enumerate(mine):  # one step at a time: the others' rows depend on t
                later = value(idle[t + 1 :], moved, charges[t + 1 :], weight)
                (best,) = regulated(idle[t], moved, [charges[t], later], np.array([[weight]]))
                assert best[0] == pytest.approx(row, abs=1e-12)


def value(
    idle: list[NDArray[Any]], push: NDArray[Any], charges: list[NDArray[Any]], weight: float
) -> NDArray[Any]:
    """The least cost as a quadratic form, by completing the square."""
    ends = charges[-1]
    for moves, charge in zip(reversed(idle), reversed(charges[:-1]), strict=True):
        cross = push.T @ ends @ moves
        ends = charge + moves.T @ ends @ moves - cross.T @ cross / (weight + push.T @ ends @ push)
    return ends


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Tensors are small here: on a busy machine threads wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


SIZES = {1: 20_000, 2: 20_000, 10: 20_000, 50: 2000, 1000: 150}  # agents: games
PAIRS = {1: 3000, 2: 3000, 10: 300, 50: 16}  # of a game where agents look at each other in pairs
RUNS = [
    (spec, case, agents, games)
    for spec, case in GAMES
    for agents, games in (PAIRS if spec == "flocking" else SIZES).items()
]


@functools.cache
def spec_of(spec: str, case: str) -> Spec:
    return load(spec, params=SETTINGS[case])


def simulated(spec: str, case: str, agents: int, games: int, **options: Any) -> Any:
    simulator = spec_of(spec, case).simulator(agents=agents, batch=games, seed=agents)
    return simulator.rollout(OwnPolicy(played(spec, GAMES[spec, case][1])), **options)


@pytest.mark.parametrize(("spec", "case", "agents", "games"), RUNS)
def test_simulated_costs_are_the_closed_form_at_any_number_of_agents(
    spec: str, case: str, agents: int, games: int
) -> None:
    for player, found in simulated(spec, case, agents, games).returns.items():
        exact = cost(spec, case, player, agents)
        assert found.std_error < 0.05 * exact
        assert abs(-found.mean - exact) <= 4 * found.std_error


@pytest.mark.parametrize(("spec", "case", "player"), [k for k in COSTS if k[0] != "flocking"])
def test_simulated_costs_of_many_agents_are_those_of_the_limit(
    spec: str, case: str, player: str
) -> None:
    found = simulated(spec, case, 2000, 60).returns[player]
    assert abs(-found.mean - COSTS[spec, case, player][LIMIT]) <= 4 * found.std_error


def test_the_swarm_follows_its_target_along_the_mean_and_with_the_spread_of_the_file() -> None:
    means = {5: (-0.129489821789, 0.102096272659), 20: (0.0418010734521, -0.579415720856)}
    variances = {1: 0.780799352544, 10: 0.167740530243, 20: 0.217286620796}
    axes = [list(moments(g, p)) for g, p in zip(*GAMES["rotating_target", "lq4"], strict=True)]
    assert cost("rotating_target", "lq4", "agent", LIMIT) == pytest.approx(5.54337980996, abs=1e-11)
    paths = simulated("rotating_target", "lq4", 20_000, 1, record=True).record["agent.x"][:, 0]
    for t, mean in means.items():
        assert [axis[t][0, -1] for axis in axes] == pytest.approx(mean, abs=1e-11)
        error = paths[t].std(0) / len(paths[t]) ** 0.5
        assert torch.all((paths[t].mean(0) - torch.tensor(mean)).abs() <= 4 * error)
    for t, variance in variances.items():
        assert axes[0][t][0, 0] - axes[0][t][0, -1] ** 2 == pytest.approx(variance, abs=1e-11)
        error = variance * (2 / len(paths[t])) ** 0.5
        assert torch.all((paths[t].var(0) - variance).abs() <= 4 * error)


def test_the_flock_spreads_and_slows_down_as_in_the_file() -> None:
    cases = {
        10: [0.938053643454, -0.0866149512761, 0.0492707584774],
        50: [0.458564510951, 0.00225572132481, 0.0229812618362],
    }
    games, policies = GAMES["flocking", "lq3"]
    path = list(moments(games[0], policies[0]))
    birds = simulated("flocking", "lq3", 50, 16, record=True).record
    for t, (xx, xv, vv) in cases.items():
        assert path[t][[0, 0, 1], [0, 1, 1]] == pytest.approx([xx, xv, vv], abs=1e-11)
        x, v = (birds[f"bird.{name}"][t].flatten() for name in "xv")
        for found, exact, error in (
            (x * x, xx, 2 * xx * xx),
            (x * v, xv, xx * vv + xv * xv),
            (v * v, vv, 2 * vv * vv),
        ):
            assert abs(found.mean() - exact) <= 4 * (error / x.numel()) ** 0.5
