"""Games brought to one population with finite scalars, against plain loops and against agents."""

import itertools
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch

import mfdsl
from mfdsl.compiler.tabular.grids import Bins
from mfdsl.errors import UsageError
from mfdsl.game import Game
from mfdsl.runtime.behaviours import uniform
from mfdsl.runtime.evaluate import Evaluation, View, build_view
from mfdsl.runtime.tabled import Tabled

# Shipped games and the grids that they need.
CATALOGUE: dict[str, dict[str, int]] = {
    "a_rps": {},
    "asymmetric_sis": {},
    "crowd_avoidance": {},
    "double_well": {"x": 61, "a": 21},
    "mfax_linear_quadratic": {},
    "openspiel_predator_prey": {},
    "predator_prey": {},
    "routing": {},
}

PAIR = """
model pair
param T : int in 1..9 = 3
enum Health { S, I }
objective nash
horizon T

population young {
  state  h : Health ~ mix { 0.3 -> I, else -> S }
  action a : bool
  let near = 0.8 * prob(q.h == I for q in old) + 0.1 * prob(q.h == I and q.a for q in young)
  let safe = if a then 1 - near else 1
  h' ~ match h { S -> mix { safe -> S, else -> I }, I -> mix { 0.2 -> S, else -> I } }
  reward play = 0.5 * ind(a) - ind(h == I)
}

population old {
  state  h : Health ~ mix { 0.1 -> I, else -> S }
  state  n : int in 0..2 = 1
  action go : int in 0..2
  let load = mean(q.go for q in old) / 2
  h' ~ match h { S -> mix { 0.4 * prob(q.h == I for q in young) -> I, else -> S }, I -> I }
  n' = clip(n + go - 1, 0, 2)
  reward ease = n * load - 2 * ind(h == I)
  final reward end = n - prob(q.h == S for q in young)
}
"""

NOISY = """
model noisy
param T : int in 1..6 = 3
enum Side { left, right }
objective nash
horizon T

environment sky {
  state  storm : bool ~ bernoulli(0.25)
  noise  turn  : bool ~ bernoulli(if storm then 0.5 else 0.2)
  storm' = if turn then not storm else storm
}

population bird as mu {
  state  x : Side ~ uniform
  action a : Side
  noise  slip : bool ~ bernoulli(0.1)
  x' = if slip then x else a
  reward shelter = (if sky.storm then 1.5 else 0.2) * ind(x == left)
  reward space   = -mu[x] * (1 + ind(sky.turn))
  observe x, t, sky.storm
  agents 50
}
"""


def game(text: str, bins: Mapping[str, int] | None = None) -> Game:
    return replace(mfdsl.load(text=text), bins=Bins(None, dict(bins or {})))


def shipped(name: str) -> Game:
    return replace(mfdsl.load(name), bins=Bins(None, CATALOGUE[name]))


def evaluation(played: Game, seed: int | None = None) -> tuple[View, Evaluation]:
    """The uniform policy, or a random one."""
    view = build_view(played.program)
    probs = view.uniform().probs
    if seed is not None:
        weights = torch.rand(probs.shape, generator=torch.Generator().manual_seed(seed))
        probs = probs * weights.double()
        probs = probs / probs.sum(-1, keepdim=True)
    return view, Evaluation(view, view.policy(probs))


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_tables_pay_what_many_agents_get(name: str) -> None:
    played = shipped(name)
    _, found = evaluation(played)
    small = played.reduced
    assert small is not None
    laws = found.flow.laws
    assert laws.min() >= -1e-15
    assert torch.allclose(laws.sum(-1), torch.ones_like(laws.sum(-1)), atol=1e-12)
    returns = {}
    few_and_many = (100, 400) if name == "double_well" else (500, 2000)  # pairs take N^2
    for agents in few_and_many:
        simulator = played.simulator(agents=agents, batch=40, seed=3)
        rollout = simulator.rollout(Tabled(found.policy, small, played.model))
        returns[agents] = [rollout.returns[p] for p in small.populations]
    for place in range(len(small.populations)):
        few, many = (returns[agents][place] for agents in few_and_many)
        own = found.values[0, place].item()
        # What finitely many agents change falls like 1 / N: extrapolated, it is gone.
        limit = many.mean + (many.mean - few.mean) / 3
        error = np.hypot(4 / 3 * many.std_error, few.std_error / 3)
        assert abs(limit - own) < 4.5 * error + 1e-9 * abs(own) + grid_error(played)


def grid_error(played: Game) -> float:
    """What a grid may be off: the change when it is refined once."""
    if not played.bins.named:
        return 0.0
    finer = {name: 2 * count - 1 for name, count in played.bins.named.items()}
    _, here = evaluation(played)
    _, there = evaluation(replace(played, bins=Bins(None, finer)))
    return 2 * abs(here.value.item() - there.value.item())


def pair_by_loops(young: np.ndarray, old: np.ndarray) -> tuple[float, float]:
    """Returns of both populations of PAIR under policies [T, states, actions], by enumeration."""
    mu, nu = np.array([0.7, 0.3]), np.zeros((2, 3))
    nu[0, 1], nu[1, 1] = 0.9, 0.1
    paid = [0.0, 0.0]
    for t in range(3):
        joint = mu[:, None] * young[t]
        crowd = nu.reshape(-1)[:, None] * old[t]
        sick_old = nu[1].sum()
        near = 0.8 * sick_old + 0.1 * joint[1, 1]
        paid[0] += 0.5 * joint[:, 1].sum() - mu[1]
        load = (crowd.sum(0) * np.arange(3)).sum() / 2
        paid[1] += sum(nu[h, n] * (n * load - 2 * h) for h in range(2) for n in range(3))
        next_mu, next_nu = np.zeros(2), np.zeros((2, 3))
        for h, a in itertools.product(range(2), range(2)):
            sick = 0.8 if h else near * a
            next_mu += joint[h, a] * np.array([1 - sick, sick])
        for h, n, go in itertools.product(range(2), range(3), range(3)):
            sick = 1.0 if h else 0.4 * mu[1]
            after = min(max(n + go - 1, 0), 2)
            next_nu[0, after] += crowd[3 * h + n, go] * (1 - sick)
            next_nu[1, after] += crowd[3 * h + n, go] * sick
        mu, nu = next_mu, next_nu
    paid[1] += sum(nu[h, n] * (n - mu[0]) for h in range(2) for n in range(3))
    return paid[0], paid[1]


@pytest.mark.parametrize("seed", range(4))
def test_populations_of_different_shapes_against_plain_loops(seed: int) -> None:
    played = game(PAIR)
    view, found = evaluation(played, seed)
    small = played.reduced
    assert small is not None and small.populations == ("young", "old")
    assert view.program.states["population"] == 2
    table = found.policy.probs[0].numpy()
    sizes = tuple(view.program.states.values())
    policy = table.reshape(3, *sizes, *view.program.actions.values())
    axes = [v.name for v in small.model.population.states]
    moves = [v.name for v in small.model.population.actions]
    place = {(c.player, c.variable): c.axis for c in (*small.states, *small.actions)}

    def rows(player: int, states: dict[str, int]) -> tuple[int, ...]:
        return tuple(player if name == "population" else states.get(name, 0) for name in axes)

    young, old = np.zeros((3, 2, 2)), np.zeros((3, 6, 3))
    for h in range(2):
        for a in range(2):
            at = tuple(a if m == place["young", "a"] else 0 for m in moves)
            where = rows(0, {place["young", "h"]: h})
            young[:, h, a] = policy[(slice(None), *where, *at)]
        for n, go in itertools.product(range(3), range(3)):
            at = tuple(go if m == place["old", "go"] else 0 for m in moves)
            where = rows(1, {place["old", "h"]: h, place["old", "n"]: n})
            old[:, 3 * h + n, go] = policy[(slice(None), *where, *at)]
    assert np.allclose(young.sum(-1), 1) and np.allclose(old.sum(-1), 1)
    expected = pair_by_loops(young, old)
    assert found.values[0].tolist() == pytest.approx(expected, abs=1e-12)


def noisy_by_recursion(policy: np.ndarray, past: list[dict[tuple[bool, ...], int]]) -> float:
    """The return in NOISY by following every path of the common state; policy [T, pasts, x, a]."""

    def on(path: tuple[bool, ...], law: np.ndarray, chance: float) -> float:
        t = len(path) - 1
        if t == 3:
            return 0.0
        storm, h = path[-1], past[t][path]
        joint = law[:, None] * policy[t, h]
        total = 0.0
        for turn in (False, True):
            p_turn = 0.5 if storm else 0.2
            weight = chance * (p_turn if turn else 1 - p_turn)
            shelter = (1.5 if storm else 0.2) * law[0]
            space = -(law**2).sum() * (1 + turn)
            after = 0.1 * law + 0.9 * joint.sum(0)
            total += weight * (shelter + space)
            total += on((*path, storm != turn), after, weight)
        return total

    half = np.array([0.5, 0.5])
    return on((False,), half, 0.75) + on((True,), half, 0.25)


def pasts_of(played: Game) -> list[dict[tuple[bool, ...], int]]:
    """The number of each path of the common state, stage by stage."""
    small = played.reduced
    assert small is not None and small.past is not None
    stages = [{(bool(state[0]),): h for state, h in small.past.starts.items()}]
    for children in small.past.children:
        before = {h: path for path, h in stages[-1].items()}
        stages.append({(*before[h], bool(s[0])): k for (h, s), k in children.items()})
    return stages


@pytest.mark.parametrize("seed", range(3))
def test_common_noise_against_every_path(seed: int) -> None:
    played = game(NOISY)
    _, found = evaluation(played, seed)
    stages = pasts_of(played)
    assert [len(stage) for stage in stages] == [2, 4, 8, 16]
    policy = found.policy.probs[0].numpy().reshape(3, -1, 2, 2)
    expected = noisy_by_recursion(policy, stages)
    assert found.value.item() == pytest.approx(expected, abs=1e-12)


def test_a_best_response_to_common_noise_does_not_see_the_future() -> None:
    """Against the flow of a random policy, no deterministic rule on pasts beats the best value."""
    played = game(NOISY.replace("1..6 = 3", "1..6 = 2"))
    view, found = evaluation(played, 7)
    problem = found.flow
    best = found.best_value.item()
    sizes = view.program.state_count
    reached = [int(h) for h in range(sizes)]
    top = -np.inf
    rng = np.random.default_rng(0)
    for _ in range(400):
        pure = torch.zeros_like(found.policy.probs)
        picks = torch.from_numpy(rng.integers(0, 2, pure.shape[:-1]))
        pure.scatter_(-1, picks[..., None], 1.0)
        policy = view.policy(pure)
        top = max(top, view.value(problem, view.q_values(problem, policy), policy).item())
    assert len(reached) == sizes
    assert top <= best + 1e-12
    greedy = torch.zeros_like(found.policy.probs)
    greedy.scatter_(-1, found.best_q.argmax(-1, keepdim=True), 1.0)
    own = view.value(problem, view.q_values(problem, view.policy(greedy)), view.policy(greedy))
    assert own.item() == pytest.approx(best, abs=1e-12)


def test_agents_follow_the_past_of_their_common_state() -> None:
    played = game(NOISY)
    _, found = evaluation(played, 1)
    small = played.reduced
    assert small is not None and small.past is not None and small.past.told
    rollout = played.simulator(agents=400, batch=3000, seed=5).rollout(
        Tabled(found.policy, small, played.model)
    )
    measured = rollout.returns["bird"]
    # sum of squares of 400 agents' shares: its mean is 2 (1 - sum of squares) / N above the limit
    assert abs(measured.mean - found.value.item()) < 4 * measured.std_error + 3 * 1.5 / 400


def test_a_hidden_trait_is_averaged_at_every_step() -> None:
    text = """
model taste
horizon 2
objective nash
enum Kind { mild, wild }
population p as mu {
  trait  k : Kind ~ mix { 0.25 -> wild, else -> mild }
  trait  w : real in [0, 2] ~ uniform
  state  x : int in 0..1 = 0
  action a : int in 0..1
  x' ~ if k == wild then a else mix { 0.5 -> a, else -> x }
  reward r = w * w * x + 3 * prob(q.k == wild and q.x == 1 for q in p)
  observe x, t
}
"""
    played = game(text)
    view, found = evaluation(played)
    small = played.reduced
    assert small is not None and not small.exact
    kernel = view.program.module.kernel(
        view.program.params(), torch.tensor(0), torch.full((1, 2, 2), 0.25, dtype=torch.float64)
    )
    assert kernel[0, 0, 1].tolist() == pytest.approx([0.375, 0.625], abs=1e-12)
    rewards = view.program.module.rewards(
        view.program.params(), torch.tensor(0), torch.full((1, 2, 2), 0.25, dtype=torch.float64)
    )
    # E w^2 = 4/3 for w uniform on [0, 2]; a quarter of those at x = 1, who are half of all
    assert rewards[0, 1, 0].item() == pytest.approx(4 / 3 + 3 * 0.125, abs=1e-12)
    assert found.exploitability.kind == "estimate"


def test_a_trait_that_is_seen_becomes_a_type() -> None:
    text = """
model types
horizon 3
objective nash
enum Kind { mild, wild }
population p as mu {
  trait  k : Kind ~ mix { 0.25 -> wild, else -> mild }
  state  x : int in 0..1 = 0
  action a : int in 0..1
  x' = a
  reward r = if k == wild then x else -x
  observe x, k, t
}
"""
    played = game(text)
    view, found = evaluation(played)
    assert view.program.states == {"k": 2, "x": 2}
    assert found.flow.laws[0].reshape(-1, 2, 2).sum(-1).tolist() == [[0.75, 0.25]] * 4
    assert found.best_value.item() == pytest.approx(0.25 * 2, abs=1e-12)
    assert found.exploitability.kind == "exact"


LINEAR = """
model bounded
param T : int = 10
horizon T
objective nash
population p {
  state  x : real in [-4, 4] ~ clip(normal(0.5, std = 0.6))
  action a : real in [-2, 2]
  noise  e : real ~ normal(0, std = 0.3)
  let m = mean(q.x for q in p)
  x' = clip(x + 0.5 * a + e)
  cost effort = a^2 / 2
  cost apart  = (x - m)^2 / 2
  observe x, t
}
"""


def riccati_cost() -> float:
    """Cost of LINEAR without its bounds: the mean stands still, the deviation is controlled."""
    b, sigma2 = 0.5, 0.3**2
    p, cost, gains = 0.0, 0.0, []
    for _ in range(10):
        k = b * p / (1 + b * b * p)
        gains.append(k)
        cost += p * sigma2 / 2
        p = 1 + p - (b * p) ** 2 / (1 + b * b * p)
    return cost + p * 0.6**2 / 2


def test_grids_approach_the_closed_form() -> None:
    gaps = []
    for points in (21, 41, 81):
        grids = {"bins.x": points, "bins.a": 41}
        solution = mfdsl.solve(game(LINEAR), "omd", iterations=60, options=grids)
        gaps.append(-solution.value[0] - riccati_cost())
    assert gaps[1] < gaps[0] / 3 and 0 < gaps[2] < gaps[1] / 3  # the error falls like h^2
    assert gaps[2] < 0.02 * riccati_cost()


def test_a_split_between_two_points_keeps_mass_and_mean() -> None:
    view, _ = evaluation(game(LINEAR, {"x": 17, "a": 5}))
    joint = torch.full((1, 17, 5), 1 / 85, dtype=torch.float64)
    kernel = view.program.module.kernel(view.program.params(), torch.tensor(0), joint)[0]
    places = torch.linspace(-4, 4, 17, dtype=torch.float64)
    actions = torch.linspace(-2, 2, 5, dtype=torch.float64)
    inner = kernel[5:12]  # from where no noise reaches the bounds
    assert kernel.min() >= 0 and torch.allclose(kernel.sum(-1), torch.ones(17, 5).double())
    expected = places[5:12, None] + 0.5 * actions
    assert torch.allclose(inner @ places, expected, atol=1e-12)


def test_a_periodic_grid_goes_round() -> None:
    text = """
model ring
horizon 3
objective nash
population p {
  state  x : real mod 1 ~ uniform
  action a : real in [-0.5, 0.5]
  x' = x + a + 0.1
  reward r = cos(2 * pi * x)
}
"""
    played = game(text, {"x": 10, "a": 11})
    view, found = evaluation(played)
    assert found.flow.laws[0].tolist() == [pytest.approx([0.1] * 10, abs=1e-5)] * 4
    kernel = view.program.module.kernel(
        view.program.params(), torch.tensor(0), torch.full((1, 10, 11), 1 / 110).double()
    )
    assert kernel[0, 9, 5].tolist() == pytest.approx([1.0] + [0.0] * 9, abs=1e-9)


def test_actions_of_a_ball_lie_inside_it() -> None:
    text = """
model disc
horizon 2
objective nash
population p {
  state  x : real[2] in [-1, 1] ~ uniform
  action a : real[2] in ball(1)
  x' = clip(x + a)
  reward r = -norm(x)
}
"""
    played = game(text, {"x": 5, "a": 5})
    view, _ = evaluation(played)
    legal = view.program.module.legal(view.program.params(), torch.tensor(0))[0, 0]
    points = list(itertools.product(np.linspace(-1, 1, 5), repeat=2))
    assert legal.tolist() == [bool(np.hypot(*p) <= 1 + 1e-12) for p in points]


@pytest.mark.parametrize(
    ("name", "bins", "words"),
    [
        ("m3fc_beach", {}, "225 pasts at t ="),
        ("m3fg_sis", {}, "pasts at t ="),
        ("lq_game", {}, "has no bounds"),
        ("double_well", {}, "`x` is continuous"),
        ("taxi", {}, "do not see"),
    ],
)
def test_games_without_tables_say_why(name: str, bins: dict[str, int], words: str) -> None:
    played = replace(mfdsl.load(name), bins=Bins(None, bins))
    with pytest.raises(UsageError, match=words):
        assert played.program


def test_too_many_pasts_are_refused_before_they_are_listed() -> None:
    played = game(NOISY.replace("1..6 = 3", "1..60 = 40"))
    with pytest.raises(UsageError, match="pasts at t ="):
        assert played.reduced


def test_where_nothing_reads_the_law_the_common_state_needs_no_past() -> None:
    played = game(NOISY.replace("-mu[x] * (1 + ind(sky.turn))", "-ind(sky.turn)"))
    view, found = evaluation(played)
    assert view.program.states == {"sky_storm": 2, "x": 2}
    simulated = played.simulator(agents=1, batch=40_000, seed=2).rollout(uniform).returns["bird"]
    assert abs(simulated.mean - found.value.item()) < 4 * simulated.std_error


def test_a_swept_parameter_may_not_move_the_pasts() -> None:
    text = NOISY.replace("param T", "param p : real in [0, 1] = 0.2\nparam T").replace(
        "else 0.2", "else p"
    )
    with pytest.raises(UsageError, match="`p` moves the common state"):
        mfdsl.solve(game(text), sweep={"p": (0.1, 0.2)}, iterations=1)


@pytest.mark.parametrize(
    ("name", "params", "solver", "figures"),
    [
        (
            "openspiel_predator_prey",
            {},
            "fictitious_play",
            {0: 36.9684, 1: 40.0062, 3: 14.199, 10: 3.09383, 30: 0.886212, 50: 0.469144},
        ),
        (
            "openspiel_predator_prey",
            {},
            "fixed_point",
            {0: 36.9684, 1: 1391.91, 3: 1402.19, 10: 1405.05, 30: 1405.49},
        ),
        ("crowd_avoidance", {"c_meet": 0}, "fictitious_play", {0: 6.27654, 10: 0.571}),
        ("crowd_avoidance", {"c_meet": 0}, "fixed_point", {0: 6.27654, 1: 0.0}),
    ],
)
def test_several_populations_agree_with_openspiel(
    name: str, params: dict[str, float], solver: str, figures: dict[int, float]
) -> None:
    """Exploitability summed over populations, measured with OpenSpiel 2.0.2."""
    played = mfdsl.load(name, params=params)
    solution = mfdsl.solve(
        played, solver, iterations=max(figures), tolerance=0, options={"ties": "first"}
    )
    found = {record.iteration: record.exploitability for record in solution.history}
    for iteration, figure in figures.items():
        assert found[iteration] == pytest.approx(figure, rel=1e-3 if figure == 0.571 else 1e-5)
    assert sum(solution.exploitability.per_population.values()) == pytest.approx(
        solution.exploitability.value
    )
