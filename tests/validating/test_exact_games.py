"""Certificates of small specs beside three players solved exactly, who see everything.

The N-player games are written out once more in numpy, apart from the compiler.
"""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from mfdsl.game import Game, load
from mfdsl.runtime.evaluate import build_view
from mfdsl.runtime.policy import TabularPolicy
from mfdsl.validating import clusters
from mfdsl.validating.certified import Among, AtSize
from mfdsl.validating.conditional_game import conditional_game
from mfdsl.validating.finite_population import finite_population_report
from tests.runtime.finite_population import oracle

PLAYERS = 3
ROUNDING = 1e-9
STEPS = 3
S, I, OUT = 0, 1, 0  # noqa: E741  states and actions of the specs

TYPED = """\
model typed
objective nash
horizon 3
enum Health {{ S, I }}
enum Choice {{ out, home }}
param b : real in [0, 1] = 0.2
param w : real in [0, 2] = 0.5
population person as mu {{
  trait  {trait}
  state  h : Health ~ mix {{ 0.4 -> I, else -> S }}
  action a : Choice
  h' ~ match h {{
    S -> if a == home then S else mix {{ (0.3 + 0.2 * k) * b * mu[h = I] -> I, else -> S }},
    I -> mix {{ 0.3 + 0.2 * k -> S, else -> I }}
  }}
  cost ill  = (1 + 0.5 * k) * ind(h == I)
  cost home = w * ind(a == home)
  cost full = 0.02 * mu[h]
  observe h, t
}}
"""
DRAWN = "k : int in 0..1 ~ mix { 0.3 -> 1, else -> 0 }"
GIVEN = 'k : real in [0, 1] from "players.csv"'

MAJOR = """\
model around
objective nash
horizon 3
enum Season { calm, wild }
enum Rule { lax, strict }
enum Health { S, I }
enum Choice { out, home }
param b : real in [0, 1] = 0.2
param k : real in [0, 0.5] = 0.1
param w : real in [0, 2] = 0.5
major gov {
  state  y : Season = calm
  action r : Rule
  let ill = prob(q.h == I for q in person)
  y' ~ match y {
    calm -> mix { k * ill + 0.2 * ind(r == lax) -> wild, else -> calm },
    wild -> mix { 0.3 + 0.3 * ind(r == strict) -> calm, else -> wild }
  }
  cost bad   = ill + 0.3 * ind(y == wild)
  cost rules = 0.2 * ind(r == strict)
  observe y, t, law(person)
}
population person as mu {
  state  h : Health ~ mix { 0.4 -> I, else -> S }
  action a : Choice
  let strength = 0.5 + 0.5 * ind(gov.y == wild)
  h' ~ match h {
    S -> if a == home then S else mix { b * mu[h = I] * strength -> I, else -> S },
    I -> mix { 0.4 -> S, else -> I }
  }
  cost ill  = (1 + 0.5 * ind(gov.y == wild)) * ind(h == I)
  cost home = w * ind(a == home)
  observe h, t, gov.y, law(person)
}
"""

NOISE = """\
model weather
objective nash
horizon 3
enum Season { calm, wild }
enum Health { S, I }
enum Choice { out, home }
param b : real in [0, 1] = 0.2
param w : real in [0, 2] = 0.5
environment sky {
  state y : Season = calm
  y' ~ match y {
    calm -> mix { 0.2 -> wild, else -> calm },
    wild -> mix { 0.3 -> calm, else -> wild }
  }
}
population person as mu {
  state  h : Health ~ mix { 0.4 -> I, else -> S }
  action a : Choice
  let strength = 0.5 + 0.5 * ind(sky.y == wild)
  h' ~ match h {
    S -> if a == home then S else mix { b * mu[h = I] * strength -> I, else -> S },
    I -> mix { 0.4 -> S, else -> I }
  }
  cost ill  = (1 + 0.5 * ind(sky.y == wild)) * ind(h == I)
  cost home = w * ind(a == home)
  observe h, t, sky.y, law(person)
}
"""

PROFILES = oracle.everybody(PLAYERS, 4)  # cells are 2 * state + action
SICK = (PROFILES // 2 == I).mean(1)


def entry(cell: int) -> tuple[int, int]:
    return divmod(int(cell), 2)


def typed_game(kinds: tuple[float, ...], b: float, w: float) -> oracle.Game:
    """The game of three players with these traits."""
    kernel = np.zeros((1, PLAYERS, len(PROFILES), 2))
    reward = np.zeros((1, PLAYERS, len(PROFILES)))
    for i, k in enumerate(kinds):
        for p, profile in enumerate(PROFILES):
            h, a = entry(profile[i])
            risk = (0.3 + 0.2 * k) * b * SICK[p] if a == OUT else 0.0
            ill = risk if h == S else 1 - (0.3 + 0.2 * k)
            kernel[0, i, p] = 1 - ill, ill
            here = SICK[p] if h == I else 1 - SICK[p]
            reward[0, i, p] = -(1 + 0.5 * k) * (h == I) - w * (a != OUT) - 0.02 * here
    still = np.ones((1, 1, len(PROFILES), 1))
    return oracle.Game(
        PLAYERS, 2, 2, STEPS, np.tile([0.6, 0.4], (PLAYERS, 1)), kernel, reward,
        still, still[..., 0] * 0, np.ones((STEPS, 1, 1)),
    )  # fmt: skip


def around_game(b: float, k: float, w: float, rules: np.ndarray) -> oracle.Game:
    """The game of three players and the government; `rules` [steps, seasons, actions]."""
    kernel = np.zeros((2, PLAYERS, len(PROFILES), 2))
    reward = np.zeros((2, PLAYERS, len(PROFILES)))
    for y, i, (p, profile) in product(range(2), range(PLAYERS), enumerate(PROFILES)):
        h, a = entry(profile[i])
        risk = b * SICK[p] * (0.5 + 0.5 * y) if a == OUT else 0.0
        ill = risk if h == S else 0.6
        kernel[y, i, p] = 1 - ill, ill
        reward[y, i, p] = -(1 + 0.5 * y) * (h == I) - w * (a != OUT)
    major = np.zeros((2, 2, len(PROFILES), 2))
    lead = np.zeros((2, 2, len(PROFILES)))
    for r in range(2):
        wild = k * SICK + 0.2 * (r == 0), np.full(len(PROFILES), 0.7 - 0.3 * r)
        for y in range(2):
            major[y, r] = np.stack([1 - wild[y], wild[y]], -1)
            lead[y, r] = -(SICK + 0.3 * y) - 0.2 * r
    start = np.tile([0.6, 0.4], (PLAYERS, 1))
    return oracle.Game(PLAYERS, 2, 2, STEPS, start, kernel, reward, major, lead, rules)


def terms_of(among: Among) -> float:
    """What is certified of three players, whatever the cap is."""
    (size,) = among.sizes
    assert isinstance(size, AtSize) and size.players == PLAYERS
    total = float(sum(size.terms.values()))
    assert size.worst <= total + ROUNDING
    return total


def drawn_policy(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.dirichlet(np.full(2, 0.7), shape)


def table_of(game: Game, probs: np.ndarray) -> TabularPolicy:
    return build_view(game.program).policy(torch.from_numpy(probs)[None])


@pytest.fixture
def players_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[float, ...]:
    kinds = (0.0, 1.0, 0.25)
    (tmp_path / "players.csv").write_text("k\n" + "\n".join(map(str, kinds)) + "\n")
    (tmp_path / "typed.mfg").write_text(TYPED.format(trait=GIVEN))
    monkeypatch.chdir(tmp_path)
    return kinds


def test_players_given_by_a_file(players_file: tuple[float, ...]) -> None:
    rng = np.random.default_rng(0)
    tight = 0.0
    for _ in range(8):
        b, w = rng.uniform(0, 0.6) ** 2, rng.uniform(0, 1)
        game = load("typed.mfg", params={"b": b, "w": w})
        probs = drawn_policy(rng, STEPS, 2)
        (among,) = finite_population_report(game, table_of(game, probs), [PLAYERS]).players
        exact = typed_game(players_file, b, w)
        found = [oracle.solve(exact, probs[:, None], i) for i in range(PLAYERS)]
        gains = [best - found[0][1][i] for i, (best, _, _) in enumerate(found)]
        assert max(gains) <= terms_of(among) + ROUNDING
        assert max(gains) <= among.sizes[0].worst + ROUNDING
        assert min(gains) >= -ROUNDING
        tight = max(tight, max(gains) / terms_of(among))
    assert tight > 0.5  # so that a bound of half the size fails here


def test_players_whose_traits_are_drawn() -> None:
    """The bound is for the mean over the types of the others."""
    rng = np.random.default_rng(1)
    shares = (0.7, 0.3)
    for _ in range(6):
        b, w = rng.uniform(0, 0.6), rng.uniform(0, 1)
        game = load(text=TYPED.format(trait=DRAWN), params={"b": b, "w": w})
        probs = drawn_policy(rng, STEPS, 2)
        (among,) = finite_population_report(game, table_of(game, probs), [PLAYERS]).players
        for own in range(2):
            mean = 0.0
            for others in product(range(2), repeat=PLAYERS - 1):
                exact = typed_game((own, *others), b, w)
                best, returns, _ = oracle.solve(exact, probs[:, None], 0)
                mean += float(np.prod([shares[k] for k in others])) * (best - returns[0])
            assert mean <= terms_of(among) + ROUNDING


def past_table(game: Game, own: np.ndarray, rules: np.ndarray | None) -> TabularPolicy:
    """Policies [steps, seasons, states, actions] and [steps, seasons, actions] over the pasts."""
    program, tree = game.program, conditional_game(game).tree
    shape = (*program.states.values(), program.action_count)
    table = np.zeros((STEPS, *shape))
    table[..., 0] = 1.0
    for t, states in enumerate(tree.states[:-1]):
        for past, (season,) in enumerate(states):
            if rules is None:
                table[t, past] = own[t, season]
                continue
            for k, name in enumerate(program.populations):
                table[t, k, past] = own[t, season] if name == "person" else rules[t, season]
    return table_of(game, table.reshape(STEPS, program.state_count, -1))


def test_a_major_and_those_around_it() -> None:
    rng = np.random.default_rng(2)
    for _ in range(5):
        b, k, w = rng.uniform(0, 0.6), rng.uniform(0, 0.4), rng.uniform(0, 1)
        game = load(text=MAJOR, params={"b": b, "k": k, "w": w})
        own, rules = drawn_policy(rng, STEPS, 2, 2), drawn_policy(rng, STEPS, 2)
        report = finite_population_report(game, past_table(game, own, rules), [PLAYERS])
        among = {a.player: a for a in report.players}
        assert among["gov"].kind == "major"
        exact = around_game(b, k, w, rules)
        best, returns, _ = oracle.solve(exact, own, 0)
        assert best - returns[0] <= terms_of(among["person"]) + ROUNDING
        best, _, lead = oracle.solve(exact, own, None, major_deviates=True)
        assert best - lead <= terms_of(among["gov"]) + ROUNDING
    still = load(text=MAJOR, params={"b": b, "k": 0.0, "w": w})
    alone = finite_population_report(still, past_table(still, own, rules), [PLAYERS])
    assert terms_of(alone.players[0]) < terms_of(among["person"])  # its path cannot split


def test_common_noise() -> None:
    rng = np.random.default_rng(3)
    tight = 0.0
    for _ in range(8):
        b, w = rng.uniform(0, 0.6) ** 2, rng.uniform(0, 1)
        game = load(text=NOISE, params={"b": b, "w": w})
        own = drawn_policy(rng, STEPS, 2, 2)
        (among,) = finite_population_report(game, past_table(game, own, None), [PLAYERS]).players
        lax = np.zeros((STEPS, 2, 2))
        lax[..., 0] = 1.0
        exact = around_game(b, 0.0, w, lax)
        best, returns, _ = oracle.solve(exact, own, 0)
        assert best - returns[0] <= terms_of(among) + ROUNDING
        tight = max(tight, (best - returns[0]) / terms_of(among))
    assert tight > 0.5


def test_a_large_population_is_as_good_as_the_limit() -> None:
    game = load(text=MAJOR)
    even = build_view(game.program).uniform()
    report = finite_population_report(game, even, [10, 10**6, 10**12])
    for among in report.players:
        values = [size.worst for size in among.sizes]
        assert values == sorted(values, reverse=True)
        assert values[-1] == pytest.approx(among.sizes[0].limit[0], abs=1e-4)


def test_clusters_of_given_players(
    players_file: tuple[float, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two centres for three players: the third is bounded by how far it is from its centre."""
    rng = np.random.default_rng(4)
    for _ in range(3):
        b, w = rng.uniform(0, 0.6), rng.uniform(0, 1)
        game = load("typed.mfg", params={"b": b, "w": w})
        probs = drawn_policy(rng, STEPS, 2)
        table = table_of(game, probs)
        (alone,) = finite_population_report(game, table, [PLAYERS]).players
        with monkeypatch.context() as few:
            few.setattr(clusters, "MOST", 2)
            few.setattr(clusters, "CENTRES", 2)
            (among,) = finite_population_report(game, table, [PLAYERS, 3 * 10**9]).players
        assert "2 clusters" in "".join(among.notes)
        assert alone.sizes[0].limit[0] <= among.sizes[1].worst  # though it is not one of two
        exact = typed_game(players_file, b, w)
        found = [oracle.solve(exact, probs[:, None], i) for i in range(PLAYERS)]
        gains = [best - found[0][1][i] for i, (best, _, _) in enumerate(found)]
        assert max(gains) <= among.sizes[0].worst + ROUNDING
